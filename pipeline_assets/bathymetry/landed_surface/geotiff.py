"""A ready-made GeoTIFF as a surface: one file with its layers as bands, or a file for each layer, as AusSeabed delivers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.bathymetry.landed_surface.bag import MAX_CELLS
from pipeline_assets.bathymetry.surface import Grid, Surface
from pipeline_assets.landed_file import Refused

Layers = dict[str, NDArray[np.float32]]
_LAYERS = ("depth", "density", "uncertainty")
_MOST_COUNTED = 2_000_000_000
_WRONG_SIGNS = 0.5


def is_geotiff(head: bytes) -> bool:
    """Whether a file that begins with these bytes is a TIFF, whatever its name; whether it lies anywhere shows on reading."""
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_geotiff(
    paths: Sequence[Path], vertical_datum: str, *, positive_down: bool = False, max_cells: int = MAX_CELLS
) -> Surface:
    """The surface of one or more GeoTIFFs, whose bands are found by their names, Depth, Density and Uncertainty.

    A lone band without a name is the depth. positive_down: the sign of depths; AusSeabed delivers them negative. It is held
    against the depths themselves, unless they are heights of the ellipsoid, which run either way.
    Raises Refused: `not_geotiff`, `damaged_geotiff`, `geotiff_too_large`, `geotiff_grid`, `geotiff_bands`, `depth_sign`.
    """
    layers: Layers = {}
    grid: Grid | None = None
    for path in paths:
        its_grid, its_layers = read_layers(path, max_cells, lone="depth" if len(paths) == 1 else None)
        if grid is not None and its_grid != grid:
            raise Refused(
                "geotiff_grid",
                f"{path.name} has other cells or another CRS than the files before it; expected one grid for all.",
            )
        twice = sorted(set(layers) & set(its_layers))
        if twice:
            raise Refused("geotiff_bands", f"{path.name} has the layer {twice[0]} once more; expected each layer once.")
        grid = its_grid
        layers.update(its_layers)
    if grid is None or "depth" not in layers:
        raise Refused(
            "geotiff_bands",
            "No band is named Depth; expected bands named Depth, Density and Uncertainty. Name the bands of the GeoTIFF.",
        )
    surface = surface_of_layers(grid, layers, vertical_datum, positive_down=positive_down)
    _check_sign(surface.depth, positive_down, vertical_datum)
    return surface


def surface_of_layers(grid: Grid, layers: Layers, vertical_datum: str, *, positive_down: bool = False) -> Surface:
    """The surface of layers by their names, as `read_layers` gives them; what is not among them is empty."""
    missing = np.full((grid.rows, grid.columns), np.nan, dtype=np.float32)
    none = np.zeros(missing.shape, np.int32)
    depth = layers.get("depth", missing)
    counts = none
    if "density" in layers:
        counts = np.clip(np.nan_to_num(layers["density"]), 0, _MOST_COUNTED).astype(np.int32)
    return Surface(
        grid, depth if positive_down else -depth, layers.get("uncertainty", missing), missing, missing, counts, none,
        "landed GeoTIFF", {}, vertical_datum,
    )  # fmt: skip


def read_layers(path: Path, max_cells: int, lone: str | None) -> tuple[Grid, Layers]:
    """The bands of a GeoTIFF that are layers of a surface, by their names: depth, density, uncertainty, signs as in the file.

    lone: what the band of a file with one band is, where nothing names it; None: such a file is refused. Raises Refused.
    """
    return _read(path, max_cells, lambda content: _bands(content, path, lone))


def read_layer(path: Path, max_cells: int = MAX_CELLS) -> tuple[Grid, NDArray[np.float32]]:
    """The first band of a GeoTIFF, whatever it is called, and its cells; NaN where there is no value.

    Raises Refused: `not_geotiff`, `damaged_geotiff`, `geotiff_too_large`, `geotiff_grid`.
    """
    grid, layers = _read(path, max_cells, lambda _: {"first": 1})
    return grid, layers["first"]


def _read(path: Path, max_cells: int, choose: Callable[[Any], dict[str, int]]) -> tuple[Grid, Layers]:
    """choose: of an open file, the numbers of the bands that are wanted, by what they are to be called."""
    import rasterio

    with path.open("rb") as file:
        if not is_geotiff(file.read(4)):
            raise Refused("not_geotiff", f"{path.name} does not begin as a TIFF does; expected a GeoTIFF.")
    try:
        # No files beside it, no other driver that its content might name, and few bytes of cache for what it unpacks to.
        with (
            rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_PAM_ENABLED="NO", GDAL_CACHEMAX=64),
            rasterio.open(path, driver="GTiff") as content,
        ):
            grid = _grid(content, path, max_cells)
            return grid, {name: _band(content, index) for name, index in choose(content).items()}
    except (Refused, MemoryError):
        raise
    except Exception as error:  # GDAL answers damaged bytes with errors of no common kind
        raise Refused(
            "damaged_geotiff", f"{path.name} cannot be read: {str(error)[:200]}. Write and send it again."
        ) from error


def _grid(content: Any, path: Path, max_cells: int) -> Grid:
    if content.width * content.height * max(1, content.count) > max_cells:
        raise Refused(
            "geotiff_too_large",
            f"{path.name} has {content.width:,} by {content.height:,} cells in {content.count} bands; at most {max_cells:,} "
            "cells are read. Split the surface or raise the limit.",
        )
    transform, crs = content.transform, content.crs
    if crs is None or transform.is_identity:
        raise Refused(
            "geotiff_grid", f"{path.name} does not say where it lies; expected a GeoTIFF with a CRS and an origin."
        )
    if not crs.is_projected:
        raise Refused(
            "geotiff_grid",
            f"{path.name} is in {crs.to_string()[:60]}, in degrees; expected a projected CRS in metres. Project it.",
        )
    if not all(map(math.isfinite, transform)):
        raise Refused(
            "geotiff_grid", f"{path.name} lies nowhere: its origin or its cells are no numbers. Write it again."
        )
    if transform.b or transform.d or transform.a <= 0 or abs(transform.a + transform.e) > 1e-6 * transform.a:
        raise Refused(
            "geotiff_grid", f"{path.name} has cells of {transform.a:g} by {-transform.e:g} m, or turned ones; expected square "
            "cells, the northernmost row first.",
        )  # fmt: skip
    code = crs.to_epsg()
    return Grid(
        float(transform.c), float(transform.f), float(transform.a), content.height, content.width,
        f"EPSG:{code}" if code else crs.to_wkt(),
    )  # fmt: skip


def _bands(content: Any, path: Path, lone: str | None) -> dict[str, int]:
    named: dict[str, int] = {}
    for index, description in enumerate(content.descriptions, start=1):
        name = (description or "").strip().lower()
        if name in _LAYERS and name not in named:
            named[name] = index
    if not named and content.count == 1 and lone is not None:
        return {lone: 1}
    if not named:
        raise Refused(
            "geotiff_bands",
            f"{path.name} has {content.count} bands, none of them named Depth, Density or Uncertainty. Name its bands.",
        )
    return named


def _band(content: Any, index: int) -> NDArray[np.float32]:
    values = content.read(index, masked=True).astype(np.float32)
    filled: NDArray[np.float32] = values.filled(np.nan)
    return filled


def _check_sign(depth: NDArray[np.float32], positive_down: bool, vertical_datum: str) -> None:
    known = depth[np.isfinite(depth)]
    if "ellips" in vertical_datum.lower() or not known.size:
        return
    wrong = float(np.count_nonzero(known < 0.0)) / known.size
    if wrong > _WRONG_SIGNS:
        said, other = ("down", "up") if positive_down else ("up", "down")
        raise Refused(
            "depth_sign",
            f"{wrong:.0%} of the depths lie above the vertical datum if they are positive {said}, as is declared; they look "
            f"positive {other}. Declare the sign of the file.",
        )
