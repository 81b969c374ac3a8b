"""A survey whose cells grow with depth as one BAG of variable resolution: coarse cells, each with a grid of its own inside.

BAG format 1.6, "Variable resolution": `varres_metadata` says of each coarse cell where its nodes begin in `varres_refinements`, how
many they are and how far apart. Nodes run from south to north, and within that from west to east.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.bathymetry.grid.ladder import Places
from pipeline_assets.bathymetry.grid.together import Together
from pipeline_assets.bathymetry.landed_surface.bag import NO_DATA
from pipeline_assets.bathymetry.products.bag import write_bag
from pipeline_assets.bathymetry.products.provenance import Provenance
from pipeline_assets.bathymetry.surface import Surface

_OF_CELL = np.dtype(
    [
        ("index", "u4"), ("dimensions_x", "u4"), ("dimensions_y", "u4"), ("resolution_x", "f4"), ("resolution_y", "f4"),
        ("sw_corner_x", "f4"), ("sw_corner_y", "f4"),
    ]
)  # fmt: skip
_NODE = np.dtype([("depth", "f4"), ("depth_uncrt", "f4")])
_TRACKED = np.dtype(
    [
        ("row", "u4"), ("col", "u4"), ("sub_row", "u4"), ("sub_col", "u4"), ("depth", "f4"), ("uncertainty", "f4"),
        ("track_code", "u1"), ("list_series", "u2"),
    ]
)  # fmt: skip
NO_REFINEMENT = np.array((2**32 - 1, 0, 0, -1.0, -1.0, -1.0, -1.0), _OF_CELL)
_CHUNK = 1 << 16


def write_vr_bag(places: Places, parts: Iterable[tuple[int, Surface]], provenance: Provenance, path: Path) -> Path:
    """The BAG. parts: the surface of each step, one at a time, and its number in `places`.

    Its elevation and uncertainty, for programs that know no refinements, are those of the coarse cells.
    """
    import h5py

    together = Together(places, places.grid.cell)
    described = np.full(places.step.shape, NO_REFINEMENT, _OF_CELL)
    made = path.with_name(f".{path.name}.refinements")
    try:
        with h5py.File(made, "w") as scratch:
            nodes = scratch.create_dataset("nodes", (1, 0), _NODE, chunks=(1, _CHUNK), maxshape=(1, None))
            for step, surface in parts:
                together.add(surface)
                _append(nodes, described, places, step, surface)
            whole = together.surface()
            missing = np.full_like(whole.depth, np.nan)
            none = np.zeros_like(whole.density)
            # Beside refinements there are no other layers of coarse cells.
            bare = replace(whole, std_dev=missing, shoal=missing, density=none, hypotheses=none)
            write_bag(bare, provenance, path)
            with h5py.File(path, "r+") as content:
                _refined(content["BAG_root"], described, nodes)
    finally:
        made.unlink(missing_ok=True)
    return path


def _append(nodes: Any, described: NDArray[Any], places: Places, step: int, surface: Surface) -> None:
    """The nodes of a step's coarse cells, in the order of their rows from the south, and where each begins."""
    grid, inside = places.own(step)
    finer = round(places.grid.cell / grid.cell)
    # South first, in coarse cells as well as in the cells within.
    own = inside[::-1]
    rows, columns = np.nonzero(own)
    begin = nodes.shape[1]
    if begin + len(rows) * finer * finer >= 2**32 - 1:
        raise ValueError(
            "a BAG numbers at most 2**32 nodes; expected fewer. Give the survey larger cells (cells_by_depth)"
        )
    values = np.empty((len(rows), finer * finer), _NODE)
    for name, layer in (("depth", -surface.depth), ("depth_uncrt", surface.uncertainty)):
        blocks = layer[::-1].reshape(inside.shape[0], finer, inside.shape[1], finer).transpose(0, 2, 1, 3)
        values[name] = np.nan_to_num(blocks[rows, columns].reshape(len(rows), -1), nan=NO_DATA)
    nodes.resize(begin + values.size, axis=1)
    nodes[0, begin:] = values.ravel()
    south = round((grid.north - grid.rows * grid.cell - places.grid.north) / places.grid.cell) + places.grid.rows
    west = round((grid.west - places.grid.west) / places.grid.cell)
    cells = described[south + rows, west + columns]
    cells["index"] = begin + np.arange(len(rows)) * finer * finer
    cells["dimensions_x"] = cells["dimensions_y"] = finer
    cells["resolution_x"] = cells["resolution_y"] = grid.cell
    cells["sw_corner_x"] = cells["sw_corner_y"] = grid.cell / 2.0
    described[south + rows, west + columns] = cells


def _refined(root: Any, described: NDArray[Any], nodes: Any) -> None:
    refined = root.create_dataset(
        "varres_metadata", data=described, chunks=tuple(min(100, size) for size in described.shape), compression="gzip",
        compression_opts=6, fillvalue=NO_REFINEMENT,
    )  # fmt: skip
    known = described[described["dimensions_x"] > 0]
    for name in ("dimensions_x", "dimensions_y", "resolution_x", "resolution_y"):
        refined.attrs[f"min_{name}"], refined.attrs[f"max_{name}"] = known[name].min(), known[name].max()
    count = nodes.shape[1]
    written = root.create_dataset(
        "varres_refinements", (1, count), _NODE, chunks=(1, min(_CHUNK, count)), compression="gzip", compression_opts=6,
        fillvalue=np.array((NO_DATA, NO_DATA), _NODE),
    )  # fmt: skip
    limits = {"depth": [np.inf, -np.inf], "depth_uncrt": [np.inf, -np.inf]}
    for begin in range(0, count, _CHUNK):
        some = nodes[0, begin : begin + _CHUNK]
        written[0, begin : begin + len(some)] = some
        for name, limit in limits.items():
            values = some[name][some[name] != np.float32(NO_DATA)]
            if len(values):
                limit[0], limit[1] = min(limit[0], values.min()), max(limit[1], values.max())
    for name, short in (("depth", "depth"), ("depth_uncrt", "uncrt")):
        for which, value in zip(("min", "max"), limits[name], strict=True):
            written.attrs[f"{which}_{short}"] = np.float32(value if np.isfinite(value) else NO_DATA)
    tracked = root.create_dataset("varres_tracking_list", (0,), _TRACKED, chunks=(1024,), maxshape=(None,))
    tracked.attrs["VR Tracking List Length"] = np.uint32(0)
