"""Surfaces that land ready-made: a BAG, or a GeoTIFF with all layers or one of them, held against what the survey declares."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.bathymetry.config import BathymetryConfig, Declared, declared_for
from pipeline_assets.bathymetry.judge.bag_structure import bag_structure
from pipeline_assets.bathymetry.judge.cog import cog
from pipeline_assets.bathymetry.judge.compare import same_crs
from pipeline_assets.bathymetry.judge.judged import Judged
from pipeline_assets.bathymetry.landed_surface.bag import read_bag
from pipeline_assets.bathymetry.landed_surface.bag_guard import is_bag
from pipeline_assets.bathymetry.landed_surface.geotiff import is_geotiff, read_layers, surface_of_layers
from pipeline_assets.bathymetry.positions import box_of, check_sign, crs_of_grid
from pipeline_assets.bathymetry.read.line import MOST_DEPTH_M, identity, line_of
from pipeline_assets.bathymetry.surface import LAYERS, Surface
from pipeline_assets.bathymetry.vertical_datums import is_declared, short_name
from pipeline_assets.landed_file import LandedFile, Refused

_LONGEST_NAME = 80
_OF_ONE_LAYER = re.compile(r"(.+)_(depth|density|uncertainty)(\.[^.]+)", re.IGNORECASE)
"""How AusSeabed's deliveries call a file that has one layer of a surface."""


@dataclass(eq=False)
class LandedSurface:
    """What a file of a ready-made surface holds.

    kind: `bag` or `geotiff`. layers: those of `surface` that the file has; the others are empty there. name: of the surface,
    the same for the files that have its layers one by one. own_datum: what the file itself calls its vertical datum, empty
    where it does not. box: west, south, east, north of its cells, degrees. file_check: what is found of the file's own order.
    """

    key: str
    kind: str
    sha256: str
    size_bytes: int
    declared: Declared
    name: str
    surface: Surface
    layers: tuple[str, ...]
    own_datum: str
    box: tuple[float, float, float, float]
    file_check: Judged


def recognise_bag(head: bytes) -> bool:
    return is_bag(head)


def recognise_geotiff(head: bytes) -> bool:
    return is_geotiff(head)


def read_bag_file(file: LandedFile, config: BathymetryConfig) -> LandedSurface:
    """The surface of a BAG; one of several resolutions is brought to the finest. Raises Refused."""
    declared = declared_for(file, config)
    with _on_disk(file) as path:
        found = read_bag(path, config.max_landed_cells)
        judged = bag_structure(path, config.max_landed_cells)
    layers = tuple(name for name in LAYERS if _has_values(getattr(found, name)))
    return _checked(file, "bag", declared, config, found, layers, judged)


def read_geotiff_file(file: LandedFile, config: BathymetryConfig) -> LandedSurface:
    """The surface of a GeoTIFF, or a layer of one. Heights, as they are usual there, unless the survey declares depths.

    Raises Refused.
    """
    declared = declared_for(file, config)
    with _on_disk(file) as path:
        grid, layers = read_layers(path, config.max_landed_cells, lone=_layer_by_name(file.name))
        judged = cog(path)
    found = surface_of_layers(grid, layers, declared.vertical_datum, positive_down=declared.positive == "down")
    return _checked(file, "geotiff", declared, config, found, tuple(sorted(layers)), judged)


def surface_name(key: str) -> str:
    """The name of the surface that a file is, or is a layer of: the file's below the survey's folder, without the layer."""
    line = line_of(key)
    match = _OF_ONE_LAYER.fullmatch(line)
    return f"{match[1]}{match[3]}" if match else line


def _layer_by_name(name: str) -> str:
    match = _OF_ONE_LAYER.fullmatch(name)
    return match[2].lower() if match else "depth"


def _has_values(layer: NDArray) -> bool:
    return bool(np.isfinite(layer).any() if layer.dtype.kind == "f" else (layer > 0).any())


def _checked(
    file: LandedFile, kind: str, declared: Declared, config: BathymetryConfig, found: Surface, layers: tuple[str, ...], judged: Judged
) -> LandedSurface:  # fmt: skip
    """The surface, if it can be one and lies where the survey is. Raises Refused."""
    with file.open() as stream:
        sha256, size = identity(stream.read())
    known = np.isfinite(found.depth) if "depth" in layers else _any_value(found, layers)
    if not known.any():
        raise Refused("empty_surface", "no cell of the surface has a value. Write and send it again.")
    crs, box = _place(found, known, declared, config, "the BAG" if kind == "bag" else "the GeoTIFF")
    if "depth" in layers:
        _check_depths(found.depth[known], kind, declared, config)
    own_datum = found.vertical_datum if kind == "bag" and is_declared(found.vertical_datum) else ""
    datum = declared.vertical_datum if is_declared(declared.vertical_datum) else own_datum or declared.vertical_datum
    surface = replace(found, grid=replace(found.grid, crs=crs), vertical_datum=short_name(datum))
    name = surface_name(file.key) if kind == "geotiff" else line_of(file.key)
    return LandedSurface(
        file.key, kind, sha256, size, declared, name, surface, layers, own_datum, box, judged,
    )  # fmt: skip


def _any_value(surface: Surface, layers: tuple[str, ...]) -> NDArray[np.bool_]:
    known = np.zeros(surface.depth.shape, np.bool_)
    for name in layers:
        layer = getattr(surface, name)
        known |= np.isfinite(layer) if layer.dtype.kind == "f" else layer > 0
    return known


def _place(
    surface: Surface, known: NDArray[np.bool_], declared: Declared, config: BathymetryConfig, whose: str
) -> tuple[str, tuple[float, float, float, float]]:
    """The CRS as the survey calls it, and the box of the cells with values, degrees. Raises Refused."""
    grid = surface.grid
    row, column = (some.astype(np.float64) for some in np.nonzero(known))
    x, y = grid.west + (column + 0.5) * grid.cell, grid.north - (row + 0.5) * grid.cell
    if not (np.isfinite(x).all() and np.isfinite(y).all() and np.isfinite(grid.cell)):
        raise Refused("bad_position", f"{whose} lies nowhere: its origin or its cells are no numbers. Write it again.")
    own = declared.crs if declared.crs is not None and same_crs(declared.crs, grid.crs) else grid.crs
    crs = crs_of_grid(x, y, declared, config, own, whose)
    return crs, box_of(x, y, declared, crs)


def _check_depths(depth: NDArray[np.float32], kind: str, declared: Declared, config: BathymetryConfig) -> None:
    values = depth.astype(np.float64)
    if kind == "bag":
        # Which way its numbers point, says the format.
        share = float((values < 0).mean())
        if share >= config.wrong_sign_share and not declared.ellipsoidal:
            raise Refused(
                "wrong_sign",
                f"{share:.0%} of the BAG's elevations are above the vertical datum, where a BAG has elevations that are negative "
                'below it. Write it again with elevations; if its datum is an ellipsoid, declare "ellipsoidal": true in survey.json.',
            )
    else:
        check_sign(values, np.ones(len(values), np.bool_), declared.positive or "up", declared, config)
    deepest = float(np.abs(values).max())
    if deepest > MOST_DEPTH_M:
        raise Refused(
            "impossible_depth",
            f"a cell of the surface is {deepest:,.0f} m deep; no sea is deeper than {MOST_DEPTH_M:,.0f} m. Send metres, and a value "
            "for cells without a depth that the file declares.",
        )


@contextmanager
def _on_disk(file: LandedFile) -> Iterator[Path]:
    """A path that has the file's bytes: libraries for surfaces read no others."""
    if file.path is not None:
        yield file.path
        return
    name = re.sub(r"[^\w.+-]", "_", file.name, flags=re.ASCII).lstrip(".")[-_LONGEST_NAME:] or "surface"
    with tempfile.TemporaryDirectory(prefix="surface-") as folder:
        path = Path(folder, name)
        path.write_bytes(file.read_bytes())
        yield path
