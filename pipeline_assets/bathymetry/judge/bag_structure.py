"""Whether a BAG has what its format asks, as NOAA's QC Tools look at it (BAG Checks), and lies where its corners say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pipeline_assets.bathymetry.judge.judged import Judged, by_rules
from pipeline_assets.bathymetry.landed_surface.bag import MAX_CELLS, NO_DATA, metadata_bytes
from pipeline_assets.bathymetry.landed_surface.bag_guard import opened_bag
from pipeline_assets.bathymetry.landed_surface.bag_metadata import BagMetadata, read_metadata
from pipeline_assets.bathymetry.vertical_datums import is_declared
from pipeline_assets.landed_file import Refused

VERSION_ATTRIBUTE = "Bag Version"
MOST_REFINEMENTS = 10_000_000
"""GDAL reads no BAG with more refinement grids."""
_REQUIRED = ("metadata", "elevation", "uncertainty", "tracking_list")
_REQUIRED_OF_SEVERAL = ("varres_metadata", "varres_refinements", "varres_tracking_list")


def bag_structure(path: Path, max_cells: int = MAX_CELLS, *, strict_corners: bool = False) -> Judged:
    """Groups, layers, metadata, tracking list, values and corner points are in order.

    The format gives the centres of the first and last cell as corner points. CARIS HIPS 10 puts the last one a cell further,
    which GDAL warns of and reads: it is told as `corner points`, and is a problem only when `strict_corners`.
    """
    try:
        with opened_bag(path, max_cells) as root:
            problems, found = _problems(root, strict_corners)
    except Refused as refusal:
        problems, found = [refusal.message], {}
    return by_rules("bag_structure", problems, found)


def _problems(root: Any, strict_corners: bool) -> tuple[list[str], dict[str, int | float | str]]:
    version = root.attrs.get(VERSION_ATTRIBUTE, b"")
    version = version.decode(errors="replace") if isinstance(version, bytes) else str(version)
    several = any(name in root for name in _REQUIRED_OF_SEVERAL)
    required = (*_REQUIRED, *(_REQUIRED_OF_SEVERAL if several else ()))
    problems = [f"The BAG has no {name}." for name in required if name not in root]
    if not version:
        problems.append(f"BAG_root has no attribute {VERSION_ATTRIBUTE!r}.")
    found: dict[str, int | float | str] = {"version": version[:20], "several resolutions": str(several).lower()}
    metadata = None
    if "metadata" in root:
        try:
            metadata = read_metadata(metadata_bytes(root))
        except Refused as refusal:
            problems.append(refusal.message)
    if metadata is not None:
        problems += _metadata_problems(metadata)
        found["corner points"] = f"{metadata.corner_cells[0]:g} by {metadata.corner_cells[1]:g} cells apart"
        found["uncertainties are"] = metadata.uncertainty
        problems += _corner_problems(metadata, strict_corners)
    for name in ("elevation", "uncertainty"):
        if name in root:
            problems += _layer_problems(name, root[name], metadata, several)
    problems += _tracking_problems(root, metadata)
    if several and "varres_metadata" in root and root["varres_metadata"].size > MOST_REFINEMENTS:
        problems.append(f"It has more than {MOST_REFINEMENTS:,} refinement grids, which GDAL does not read.")
    return problems, found


def _metadata_problems(metadata: BagMetadata) -> list[str]:
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    problems = []
    try:
        if not CRS.from_user_input(metadata.horizontal).is_projected:
            problems.append("The horizontal CRS is not projected; expected a projected one in metres.")
    except CRSError:
        problems.append(f"The horizontal CRS {metadata.horizontal[:60]!r} is unknown to PROJ; expected its WKT.")
    if not is_declared(metadata.vertical_name):
        problems.append("The metadata declares no vertical datum; expected its WKT.")
    return problems


def _corner_problems(metadata: BagMetadata, strict: bool) -> list[str]:
    along, down = metadata.corner_cells
    if max(abs(along - (metadata.columns - 1)), abs(down - (metadata.rows - 1))) < 0.01:
        return []
    if not strict and max(abs(along - metadata.columns), abs(down - metadata.rows)) < 0.01:
        return []
    return [
        f"The corner points lie {along:.2f} by {down:.2f} cells apart; expected the centres of the first and last cell, "
        f"{metadata.columns - 1} by {metadata.rows - 1}."
    ]


def _layer_problems(name: str, layer: Any, metadata: BagMetadata | None, several: bool) -> list[str]:
    if layer.ndim != 2 or layer.dtype != np.float32:
        return [f"{name} is of {layer.ndim} dimensions and type {layer.dtype}; expected two and float32."]
    if metadata is not None and layer.shape != (metadata.rows, metadata.columns):
        return [f"{name} is of {layer.shape}, the metadata says {metadata.rows} rows and {metadata.columns} columns."]
    values = np.asarray(layer[()])
    known = np.isfinite(values) & (values != NO_DATA)
    if not known.any() and not several:
        return [f"{name} has no value at all."]
    if name == "uncertainty" and np.any(values[known] < 0.0):
        return [f"{int(np.count_nonzero(values[known] < 0.0)):,} uncertainties are negative; expected none below zero."]
    return []


def _tracking_problems(root: Any, metadata: BagMetadata | None) -> list[str]:
    """The tracking list names cells of the grid, and nothing else."""
    if "tracking_list" not in root or metadata is None:
        return []
    listed = root["tracking_list"]
    if listed.dtype.names is None or not {"row", "col"} <= set(listed.dtype.names):
        return ["The tracking list has no columns row and col."]
    for name, most in (("row", metadata.rows), ("col", metadata.columns)):
        if listed.size and int(np.asarray(listed[name]).max()) >= most:
            return [f"The tracking list names {name} {int(np.asarray(listed[name]).max()):,}, of {most:,}."]
    return []
