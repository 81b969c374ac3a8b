"""Pictures of a cruise: where its stations are, and a section of temperature and salinity along its track."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.ocean.extent import POLAR_LATITUDE, extent_of, wrapped

EARTH_KM = 6371.0088
"""mean radius; IUGG 1980"""
_MOST_POINTS = 40_000
_STATION, _FIRST, _WATER, _GRID = "#b03a2e", "#1e8449", "#eef4f8", "#c9d6df"
SECTIONS = (
    ("temperature_c", "in-situ temperature (°C)", "RdYlBu_r"),
    ("practical_salinity", "practical salinity", "viridis"),
)


def on_globe(latitude: NDArray[np.float64], longitude: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which positions are some on the globe."""
    with np.errstate(invalid="ignore"):
        return (np.abs(latitude) <= 90) & (longitude >= -180) & (longitude <= 360)


def track_km(latitude: NDArray[np.float64], longitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance along the track at each position, km, on the great circles between them; so over poles and the dateline.

    A position that is none on the globe stays where the one before it was.
    """
    known = on_globe(latitude, longitude)
    where = np.maximum.accumulate(np.where(known, np.arange(len(known)), -1))
    first = int(np.argmax(known)) if known.any() else 0
    where = np.where(where < 0, first, where)
    phi, lam = np.radians(np.where(known, latitude, 0)[where]), np.radians(np.where(known, longitude, 0)[where])
    half = np.sin(np.diff(phi) / 2) ** 2 + np.cos(phi[1:]) * np.cos(phi[:-1]) * np.sin(np.diff(lam) / 2) ** 2
    steps = 2 * EARTH_KM * np.arcsin(np.sqrt(np.clip(half, 0, 1)))
    return np.concatenate([[0.0], np.cumsum(steps)]) if len(known) else np.zeros(0)


def map_png(latitude: NDArray[np.float64], longitude: NDArray[np.float64]) -> bytes:
    """A map of stations in the order of their times; across the dateline, and around a pole, as it is there."""
    from matplotlib.figure import Figure

    known = on_globe(latitude, longitude)
    latitude, longitude = latitude[known], wrapped(longitude[known])
    extent = extent_of(latitude, longitude)
    figure = Figure(figsize=(6, 5), dpi=80, layout="constrained")
    axes: Any = figure.add_subplot(projection="polar" if extent.pole else None)
    axes.set_title(f"{len(latitude)} casts" if len(latitude) else "no positions", fontsize=10)
    if len(latitude):
        if extent.pole:
            along, across = np.radians(longitude), 90 - np.abs(latitude)
            axes.set_theta_zero_location("S" if extent.pole == "N" else "N")
            axes.set_theta_direction(1 if extent.pole == "N" else -1)
        else:
            along, across = np.where(extent.crosses_dateline & (longitude < 0), longitude + 360, longitude), latitude
        axes.plot(along, across, "-", color=_STATION, linewidth=0.4)
        axes.plot(along, across, ".", color=_STATION, markersize=5)
        axes.plot(along[:1], across[:1], "o", color=_FIRST, markersize=6)
        if extent.pole:
            axes.set_rlim(0, max(90 - POLAR_LATITUDE, float(across.max())))
            sign = "" if extent.pole == "N" else "-"
            axes.yaxis.set_major_formatter(lambda value, _: f"{sign}{90 - value:g}°")
        else:
            _frame(axes, latitude)
    return _png(figure)


def _frame(axes: Any, latitude: NDArray[np.float64]) -> None:
    axes.set_facecolor(_WATER)
    axes.grid(color=_GRID, linewidth=0.5)
    axes.margins(0.12)
    axes.set_aspect(1 / float(np.cos(np.radians(np.clip(latitude.mean(), -80, 80)))), adjustable="datalim")
    axes.xaxis.set_major_formatter(lambda value, _: f"{(value + 180) % 360 - 180:g}°")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}°")


def section_png(
    km: NDArray[np.float64], pressure: NDArray[np.float64], values: dict[str, NDArray[np.float64]]
) -> bytes:
    """Sections along the track. km, pressure (dbar), values: for each level; values by the names of `SECTIONS`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), dpi=80, layout="constrained")
    for place, (name, label, colours) in enumerate(SECTIONS, start=1):
        axes = figure.add_subplot(len(SECTIONS), 1, place)
        known = np.flatnonzero(np.isfinite(values[name]) & np.isfinite(pressure) & np.isfinite(km))
        known = known[:: max(1, -(-len(known) // _MOST_POINTS))]
        axes.set_ylabel("pressure (dbar)", fontsize=8)
        axes.tick_params(labelsize=7)
        if not len(known):
            axes.set_title(f"{label}: no values", fontsize=9)
            continue
        low, high = np.percentile(values[name][known], [1, 99])
        drawn = axes.scatter(
            km[known], pressure[known], c=values[name][known], s=5, cmap=colours, vmin=low, vmax=high, linewidths=0
        )
        axes.invert_yaxis()
        axes.set_title(label, fontsize=9)
        figure.colorbar(drawn, ax=axes, pad=0.01).ax.tick_params(labelsize=7)
    figure.supxlabel("distance along the track (km)", fontsize=8)
    return _png(figure)


def beside(pictures: list[bytes], height: int = 360) -> bytes:
    """Pictures side by side, small enough for the event log."""
    from PIL import Image

    images = [Image.open(io.BytesIO(picture)).convert("RGB") for picture in pictures]
    images = [image.resize((image.width * height // image.height, height)) for image in images]
    whole = Image.new("RGB", (sum(image.width for image in images), height), "white")
    left = 0
    for image in images:
        whole.paste(image, (left, 0))
        left += image.width
    return _small(whole, 48)


def _png(figure: Any) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return _small(Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB"), 128)


def _small(image: Any, colours: int) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    image.quantize(colours, dither=Image.Dither.NONE).save(stream, format="PNG", optimize=True)
    return stream.getvalue()
