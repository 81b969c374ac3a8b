"""A surface as a hydrographer looks at it first: its relief, how deep it is, how sure. Each a PNG of at most 100 kB."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.bathymetry.products.geotiff import hillshade
from pipeline_assets.bathymetry.s44 import Order, tvu_max
from pipeline_assets.bathymetry.surface import Surface

MOST_BYTES = 100_000
_PIXELS, _LEAST_PIXELS, _COLOURS = 900, 200, 96
_SEEN_PIXELS = 400
"""A cell of a small surface becomes several pixels, until the picture is so large."""


def hillshade_png(surface: Surface) -> bytes:
    """Depths in colour, shaded, north up; white where there are none."""
    from matplotlib import colormaps

    step = _step(surface.depth.shape, 2 * _PIXELS)
    depth = _thinned(surface.depth, step)
    known = np.isfinite(depth)
    shade = hillshade(-depth, surface.grid.cell * step).astype(np.float64) / 255.0
    # Beside gaps there is no slope: shown as even ground.
    shade[known & (shade == 0.0)] = np.sqrt(0.5)
    low, high = _limits(depth[known])
    colours = colormaps["viridis_r"](np.clip((depth - low) / (high - low), 0.0, 1.0))[..., :3]
    picture = np.full((*depth.shape, 3), 255, dtype=np.uint8)
    picture[known] = np.clip(colours[known] * (0.35 + 0.9 * shade[known, None]) * 255.0, 0, 255).astype(np.uint8)
    times = max(1, _SEEN_PIXELS // max(picture.shape))
    return _small_png(picture.repeat(times, axis=0).repeat(times, axis=1))


def depth_histogram_png(surface: Surface) -> bytes:
    """How many cells have which depth."""
    known = surface.depth[np.isfinite(surface.depth)]
    figure, axes = _figure()
    if known.size:
        axes.hist(known, bins=60, color="#1f618d")
    axes.set_title(f"{known.size:,} cells" if known.size else "no depths", fontsize=9)
    axes.set_xlabel("depth (m)", fontsize=8)
    axes.set_ylabel("cells", fontsize=8)
    return _drawn(figure)


def uncertainty_map_png(surface: Surface, order: str | Order) -> bytes:
    """The uncertainty of each cell as a part of what the order allows; red above 1."""
    step = _step(surface.depth.shape, _PIXELS)
    depth, uncertainty = _thinned(surface.depth, step), _thinned(surface.uncertainty, step, np.fmax)
    figure, axes = _figure()
    with np.errstate(invalid="ignore"):
        part = np.abs(uncertainty) / tvu_max(order, depth)
    grid = surface.grid
    extent = (grid.west, grid.west + grid.cell * grid.columns, grid.north - grid.cell * grid.rows, grid.north)
    if np.isfinite(part).any():
        shown = axes.imshow(part, cmap="RdYlGn_r", vmin=0.0, vmax=2.0, extent=extent, interpolation="nearest")
        figure.colorbar(shown, ax=axes, label="uncertainty / limit").ax.tick_params(labelsize=7)
        axes.set_title(f"worst {float(np.nanmax(part)):.2f} of the limit", fontsize=9)
    else:
        axes.set_title("no uncertainty", fontsize=9)
    axes.ticklabel_format(useOffset=False, style="plain")
    axes.set_xlabel("easting (m)", fontsize=8)
    axes.set_ylabel("northing (m)", fontsize=8)
    return _drawn(figure)


def _limits(known: NDArray[np.float32]) -> tuple[float, float]:
    if not known.size:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(known, (1.0, 99.0)))
    return low, max(high, low + 0.01)


def _step(shape: tuple[int, ...], most: int) -> int:
    return max(1, -(-max(shape) // most))


def _thinned(values: NDArray[np.float32], step: int, take: Any = np.fmin) -> NDArray[np.float32]:
    """One cell for each `step` by `step`, its shallowest (or what `take` takes), so that nothing shoal is left out."""
    if step == 1:
        return values
    rows, columns = -(-values.shape[0] // step), -(-values.shape[1] // step)
    padded = np.full((rows * step, columns * step), np.nan, dtype=np.float32)
    padded[: values.shape[0], : values.shape[1]] = values
    thinned: NDArray[np.float32] = take.reduce(take.reduce(padded.reshape(rows, step, columns, step), axis=3), axis=1)
    return thinned


def _figure() -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.4), dpi=80, layout="constrained")
    axes = figure.add_subplot()
    axes.tick_params(labelsize=7)
    return figure, axes


def _drawn(figure: Any) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return _small_png(np.asarray(canvas.buffer_rgba())[..., :3])


def _small_png(picture: NDArray[np.uint8]) -> bytes:
    """A PNG of few colours, made smaller until it is small enough for the event log."""
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(picture)).convert("RGB")
    size = _PIXELS
    while True:
        smaller = image.copy()
        smaller.thumbnail((size, size))
        out = io.BytesIO()
        smaller.quantize(_COLOURS, dither=Image.Dither.NONE).save(out, format="PNG", optimize=True)
        if out.tell() <= MOST_BYTES or size <= _LEAST_PIXELS:
            return out.getvalue()
        # Noise packs badly: bytes go with the area.
        size = max(_LEAST_PIXELS, int(size * min(0.9, 0.95 * (MOST_BYTES / out.tell()) ** 0.5)))
