"""Surfaces that landed ready-made, as rows of tables, and back from the rows. Pure functions of arrays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from pipeline_assets.bathymetry.config import survey_of
from pipeline_assets.bathymetry.judge.judged import Judged
from pipeline_assets.bathymetry.read.line import line_of
from pipeline_assets.bathymetry.read.surface_file import LandedSurface
from pipeline_assets.bathymetry.surface import LAYERS, Grid, Surface
from pipeline_assets.landed_file import Refused

LANDED_SURFACES = (
    "source_key", "survey", "surface", "kind", "sha256", "size_bytes", "layers", "crs", "vertical_datum", "own_datum",
    "s44_order", "golden", "cell_m", "grid_rows", "grid_columns", "west_m", "north_m", "cells", "depth_min_m", "depth_max_m",
    "depth_mean_m", "uncertainty_min_m", "uncertainty_max_m", "soundings", "longitude_west", "longitude_east",
    "latitude_min", "latitude_max", "file_check",
)  # fmt: skip
_COLUMN_OF = {
    "depth": "depth_m", "uncertainty": "uncertainty_m", "std_dev": "std_dev_m", "shoal": "shoal_m",
    "density": "density", "hypotheses": "hypotheses",
}  # fmt: skip
"""The column of each layer."""
LANDED_CELLS = ("survey", "surface", "grid_row", "grid_column", *_COLUMN_OF.values())
_METHOD_OF = {"bag": "landed BAG", "geotiff": "landed GeoTIFF"}


@dataclass(frozen=True)
class FromRows:
    """A surface that landed. files: its keys with their SHA-256. checks: what was found of each file's own order.

    datums: what the files themselves call their vertical datum. golden: what survey.json names as the golden surface.
    """

    name: str
    surface: Surface
    order: str
    files: Mapping[str, str]
    checks: tuple[Judged, ...]
    datums: tuple[str, ...]
    golden: str | None

    @property
    def is_golden(self) -> bool:
        """Whether it, or a file of it, is what survey.json names."""
        return self.golden is not None and self.golden in {self.name, *map(line_of, self.files)}


def landed_surface(read: LandedSurface) -> dict[str, list[Any]]:
    """The row of a file in the table `landed_surfaces`."""
    surface, grid = read.surface, read.surface.grid
    depth, uncertainty = (_known(values) for values in (surface.depth, surface.uncertainty))
    west, south, east, north = read.box
    row = {
        "source_key": read.key, "survey": survey_of(read.key), "surface": read.name, "kind": read.kind, "sha256": read.sha256,
        "size_bytes": np.int64(read.size_bytes), "layers": ", ".join(read.layers), "crs": grid.crs,
        "vertical_datum": surface.vertical_datum, "own_datum": read.own_datum or None, "s44_order": read.declared.order,
        "golden": read.declared.golden, "cell_m": grid.cell, "grid_rows": np.int32(grid.rows),
        "grid_columns": np.int32(grid.columns), "west_m": grid.west, "north_m": grid.north,
        "cells": np.int64(np.count_nonzero(_filled(surface))), "depth_min_m": _of(depth, np.min),
        "depth_max_m": _of(depth, np.max), "depth_mean_m": _of(depth, np.mean), "uncertainty_min_m": _of(uncertainty, np.min),
        "uncertainty_max_m": _of(uncertainty, np.max), "soundings": surface.density.sum(dtype=np.int64),
        "longitude_west": west, "longitude_east": east, "latitude_min": south, "latitude_max": north,
        "file_check": json.dumps(check_told(read.file_check), ensure_ascii=False),
    }  # fmt: skip
    return {name: [value] for name, value in row.items()}


def landed_cells(read: LandedSurface) -> dict[str, Any]:
    """The rows of a file in the table `landed_cells`, from north to south and west to east."""
    row, column = np.nonzero(_filled(read.surface))
    layers = {name: getattr(read.surface, layer)[row, column] for layer, name in _COLUMN_OF.items()}
    return {
        "survey": _one(survey_of(read.key), len(row)),
        "surface": _one(read.name, len(row)),
        "grid_row": row.astype(np.int32),
        "grid_column": column.astype(np.int32),
        **layers,
    }


def _filled(surface: Surface) -> NDArray[np.bool_]:
    filled = np.zeros(surface.depth.shape, np.bool_)
    for name in LAYERS:
        values = getattr(surface, name)
        filled |= np.isfinite(values) if values.dtype.kind == "f" else values > 0
    return filled


def _one(text: str, rows: int) -> pd.Categorical:
    return pd.Categorical.from_codes(np.zeros(rows, np.int8), categories=pd.Index([text], dtype=object))


def _known(values: NDArray[np.float32]) -> NDArray[np.float64]:
    return values[np.isfinite(values)].astype(np.float64)


def _of(values: NDArray[np.float64], figure: Any) -> float | None:
    return float(figure(values)) if len(values) else None


def from_rows(files: pa.Table, cells: pa.Table) -> list[FromRows]:
    """The surfaces of a survey from the rows of `landed_surfaces` and `landed_cells`, by name; layers that are files of their own
    come together.

    Raises Refused `landed_layers` where a surface has a layer twice, none with depths, or its files differ in their cells.
    """
    by_name: dict[str, list[dict[str, Any]]] = {}
    for row in files.to_pylist():
        by_name.setdefault(row["surface"], []).append(row)
    return [_one_surface(name, rows, cells) for name, rows in sorted(by_name.items())]


def _one_surface(name: str, rows: list[dict[str, Any]], cells: pa.Table) -> FromRows:
    import pyarrow.compute as pc

    first = rows[0]
    alike = ("crs", "cell_m", "grid_rows", "grid_columns", "west_m", "north_m")
    seen: dict[str, str] = {}
    for row in rows:
        if any(row[column] != first[column] for column in alike):
            raise _cannot(f"{row['source_key']} has other cells or another CRS than {first['source_key']}")
        for layer in row["layers"].split(", "):
            if layer in seen:
                raise _cannot(f"{row['source_key']} and {seen[layer]} both have the layer {layer} of {name}")
            seen[layer] = row["source_key"]
    if "depth" not in seen:
        raise _cannot(f"{name} has {', '.join(seen)} and no depth ({first['source_key']})")
    shape = (first["grid_rows"], first["grid_columns"])
    layers: dict[str, Any] = {
        layer: np.zeros(shape, np.int32) if layer in ("density", "hypotheses") else np.full(shape, np.nan, np.float32)
        for layer in LAYERS
    }
    for row in rows:
        own = cells.filter(pc.equal(cells["file_id"], row["file_id"]))
        at = own["grid_row"].to_numpy(), own["grid_column"].to_numpy()
        for layer in row["layers"].split(", "):
            layers[layer][at] = own[_COLUMN_OF[layer]].to_numpy()
    grid = Grid(first["west_m"], first["north_m"], first["cell_m"], *shape, first["crs"])
    surface = Surface(
        grid=grid, method=_METHOD_OF[first["kind"]], parameters={}, vertical_datum=first["vertical_datum"], **layers
    )
    return FromRows(
        name, surface, first["s44_order"], {row["source_key"]: row["sha256"] for row in rows},
        tuple(check_of(json.loads(row["file_check"])) for row in rows),
        tuple(sorted({row["own_datum"] for row in rows if row["own_datum"]})), first["golden"],
    )  # fmt: skip


def check_told(judged: Judged) -> dict[str, Any]:
    """A finding of a file's own order, as JSON can hold it."""
    return {"name": judged.name, "passed": judged.passed, "message": judged.message, "metadata": dict(judged.metadata)}


def check_of(told: Mapping[str, Any]) -> Judged:
    """The finding of what `check_told` gave."""
    share = 1.0 if told["passed"] else 0.0
    return Judged(told["name"], told["passed"], share, 1.0, None, told["message"], told["metadata"])


def _cannot(what: str) -> Refused:
    return Refused(
        "landed_layers",
        f"{what}. A surface wants one file with bands named Depth, Density and Uncertainty, or one file for each, NAME_depth.tif, "
        "NAME_density.tif and NAME_uncertainty.tif, on the same cells. Land what is right; the survey is then read again.",
    )
