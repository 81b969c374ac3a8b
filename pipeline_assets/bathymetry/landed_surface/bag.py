"""A ready-made BAG as a surface: of one resolution, or of several, brought to one."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.bathymetry.crs_names import horizontal, named
from pipeline_assets.bathymetry.landed_surface.bag_guard import damaged, opened_bag
from pipeline_assets.bathymetry.landed_surface.bag_metadata import BagMetadata, read_metadata
from pipeline_assets.bathymetry.surface import Grid, Surface
from pipeline_assets.bathymetry.vertical_datums import short_name
from pipeline_assets.landed_file import Refused

NO_DATA = 1_000_000.0
MAX_CELLS = 50_000_000
OTHER_LAYERS = {
    "num_soundings": "density", "num_hypotheses": "hypotheses", "standard_dev": "std_dev", "shoal_elevation": "shoal",
}  # fmt: skip
"""Layers that a BAG may have beside elevation and uncertainty, and what a surface calls them."""


def read_bag(path: Path, max_cells: int = MAX_CELLS, cell: float | None = None) -> Surface:
    """The surface of a BAG. cell: of a BAG with several resolutions, the edge of cells to bring them to, m; none: the finest.

    Raises Refused: `not_bag`, `damaged_bag`, `unsafe_bag`, `bag_too_large`, `bag_metadata`, `bag_structure`.
    """
    with opened_bag(path, max_cells) as root:
        for name in ("metadata", "elevation", "uncertainty"):
            if name not in root:
                raise Refused("bag_structure", f"The BAG has no {name}; expected metadata, elevation and uncertainty.")
        metadata = read_metadata(metadata_bytes(root))
        shape = root["elevation"].shape
        if len(shape) != 2 or shape != root["uncertainty"].shape or shape != (metadata.rows, metadata.columns):
            raise Refused(
                "bag_structure",
                f"Elevation is of {shape}, uncertainty of {root['uncertainty'].shape}, and the metadata says "
                f"{metadata.rows} rows, {metadata.columns} columns; expected the same of all.",
            )
        crs = _crs(metadata)
        try:
            if "varres_metadata" in root and "varres_refinements" in root:
                return _several(root, metadata, crs, max_cells, cell)
            return _single(root, metadata, crs)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise damaged(f"its layers cannot be read: {type(error).__name__}: {str(error)[:200]}") from error


def metadata_bytes(root: Any) -> bytes:
    """The XML. It is stored as single characters, or as one text."""
    values = np.asarray(root["metadata"][()]).ravel()
    if values.dtype.kind not in "SO":
        raise damaged(f"its metadata is of type {values.dtype}, expected text")
    return b"".join(value if isinstance(value, bytes) else str(value).encode() for value in values.tolist())


def outer_corner(metadata: BagMetadata) -> tuple[float, float]:
    """West and south of the grid's outline, m: the first corner point is the centre of the south-western cell.

    So it is in the format, in GDAL (github.com/OSGeo/gdal issue 1643), and in files of CARIS, also in those whose other corner
    point is one cell too far, for what CARIS writes of one area with one and with several resolutions then fits.
    """
    return metadata.corners[0] - metadata.cell[0] / 2.0, metadata.corners[1] - metadata.cell[1] / 2.0


def _crs(metadata: BagMetadata) -> str:
    """The EPSG code of the horizontal CRS where it has one that means the same, or its WKT."""
    from pyproj import CRS
    from pyproj.exceptions import ProjError

    corners = np.array(metadata.corners)
    try:
        return named(horizontal(CRS.from_user_input(metadata.horizontal)), corners[::2], corners[1::2])
    except ProjError as error:
        raise Refused(
            "bag_metadata",
            f"The BAG's CRS is {metadata.horizontal[:80]!r}; expected a WKT that PROJ knows.",
            location="BAG_root/metadata",
        ) from error


def _single(root: Any, metadata: BagMetadata, crs: str) -> Surface:
    width, height = metadata.cell
    if abs(width - height) > 1e-6 * width:
        raise Refused(
            "bag_structure",
            f"Cells are {width:g} by {height:g} m; expected square ones. Deliver the surface with square cells.",
        )
    west, south = outer_corner(metadata)
    grid = Grid(west, south + metadata.rows * height, width, metadata.rows, metadata.columns, crs)
    layers = {
        ours: _layer(root[theirs])
        for theirs, ours in OTHER_LAYERS.items()
        if theirs in root and root[theirs].shape == (metadata.rows, metadata.columns)
    }
    return _surface(grid, metadata, -_layer(root["elevation"]), _layer(root["uncertainty"]), layers)


def _layer(dataset: Any) -> NDArray[np.float32]:
    """A layer as float32, the northernmost row first, NaN for no data. A BAG begins in the south."""
    values = np.asarray(dataset[()])[::-1].astype(np.float32)
    values[values == NO_DATA] = np.nan
    return np.ascontiguousarray(values)


def _several(root: Any, metadata: BagMetadata, crs: str, max_cells: int, cell: float | None) -> Surface:
    """The refinements of a BAG with several resolutions, each placed in the cell that holds its node; means where there are more.

    A cell takes the mean of the depths, and the largest of the uncertainties, of the nodes that lie in it. Nodes coarser
    than the cell fill one cell each, so that a cell size above the finest may be wanted.
    """
    described = np.asarray(root["varres_metadata"][()])
    values = np.asarray(root["varres_refinements"][()]).ravel()
    known = (described["dimensions_x"] > 0) & (described["index"] < 2**32 - 1)
    rows, columns = np.nonzero(known)
    cells = described["resolution_x"][known].astype(np.float64)
    if not rows.size or not np.isfinite(cells).all() or cells.min() <= 0.0:
        raise damaged("it has no refinements with a resolution above zero")
    edge = float(cells.min()) if cell is None else cell
    west, south = outer_corner(metadata)
    width, height = metadata.columns * metadata.cell[0] / edge, metadata.rows * metadata.cell[1] / edge
    if not width * height <= max_cells:
        raise Refused(
            "bag_too_large",
            f"At {edge:g} m the surface has {width * height:,.0f} cells; at most {max_cells:,} are read. Ask for larger cells.",
        )
    grid = Grid(west, south + math.ceil(height) * edge, edge, math.ceil(height), math.ceil(width), crs)
    total, count = np.zeros(grid.rows * grid.columns), np.zeros(grid.rows * grid.columns, dtype=np.int64)
    largest = np.full(grid.rows * grid.columns, -np.inf, dtype=np.float32)
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        one = described[row, column]
        across, up = int(one["dimensions_x"]), int(one["dimensions_y"])
        begin = int(one["index"])
        piece = values[begin : begin + across * up]
        if piece.size != across * up:
            raise damaged(f"refinements of cell {row}, {column} end beyond their list")
        x = (
            west
            + column * metadata.cell[0]
            + float(one["sw_corner_x"])
            + np.arange(across) * float(one["resolution_x"])
        )
        y = south + row * metadata.cell[1] + float(one["sw_corner_y"]) + np.arange(up) * float(one["resolution_y"])
        there = (
            np.floor((grid.north - y) / edge)[:, None] * grid.columns + np.floor((x - west) / edge)[None, :]
        ).ravel()
        inside = ((y > south) & (y < grid.north))[:, None] & ((x > west) & (x < west + grid.columns * edge))[None, :]
        use = inside.ravel() & (piece["depth"] != NO_DATA) & np.isfinite(piece["depth"])
        place = there[use].astype(np.int64)
        np.add.at(total, place, -piece["depth"][use].astype(np.float64))
        np.add.at(count, place, 1)
        np.maximum.at(largest, place, piece["depth_uncrt"][use])
    filled = count > 0
    depth = np.full(filled.shape, np.nan, dtype=np.float32)
    depth[filled] = total[filled] / count[filled]
    uncertainty = np.where(filled & np.isfinite(largest) & (largest != NO_DATA), largest, np.float32(np.nan))
    shape = (grid.rows, grid.columns)
    return _surface(grid, metadata, depth.reshape(shape), uncertainty.reshape(shape).astype(np.float32), {})


def _surface(
    grid: Grid,
    metadata: BagMetadata,
    depth: NDArray[np.float32],
    uncertainty: NDArray[np.float32],
    layers: dict[str, NDArray[np.float32]],
) -> Surface:
    def counts(name: str) -> NDArray[np.int32]:
        return np.nan_to_num(layers[name]).astype(np.int32) if name in layers else np.zeros(depth.shape, dtype=np.int32)

    missing = np.full(depth.shape, np.nan, dtype=np.float32)
    shoal = -layers["shoal"] if "shoal" in layers else missing
    return Surface(
        grid, depth, uncertainty, layers.get("std_dev", missing), shoal, counts("density"), counts("hypotheses"),
        "landed BAG", {}, short_name(metadata.vertical_name),
    )  # fmt: skip
