"""`SurveyLine` -> rows of every table, as schema.py describes them; and rows -> `Soundings`. Pure functions of arrays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from pipeline_assets.bathymetry.config import BathymetryConfig, survey_of
from pipeline_assets.bathymetry.landed_rows import LANDED_CELLS, LANDED_SURFACES, landed_cells, landed_surface
from pipeline_assets.bathymetry.positions import box_of
from pipeline_assets.bathymetry.read.line import DeclaredCube, DeclaredSurvey, SurveyLine
from pipeline_assets.bathymetry.read.surface_file import LandedSurface
from pipeline_assets.bathymetry.soundings import Soundings
from pipeline_assets.landed_file import Refused

Rows = dict[str, Any]

SOUNDINGS = ("survey", "line", "ping", "beam", "time", "x_m", "y_m", "depth_m", "tvu_m", "thu_m", "accepted", "flag")
LINES = (
    "source_key", "survey", "line", "kind", "sha256", "size_bytes", "system", "crs", "vertical_datum", "s44_order",
    "cell_m", "cells_by_depth", "golden", "cube", "soundings", "accepted", "pings", "pings_ignored", "pings_left_out", "uncertainty_from", "time_min",
    "time_max",
    "depth_min_m", "depth_max_m", "depth_mean_m", "tvu_median_m", "x_min_m", "x_max_m", "y_min_m", "y_max_m",
    "longitude_west", "longitude_east", "latitude_min", "latitude_max", "notes", "manifest",
)  # fmt: skip
SURVEYS = ("source_key", "survey", "crs", "vertical_datum", "ellipsoidal", "s44_order", "lines", "declared")


def tables(
    read: SurveyLine | LandedSurface | DeclaredSurvey | DeclaredCube, config: BathymetryConfig
) -> dict[str, Rows]:
    """The rows of every table."""
    made = {
        "soundings": _none(SOUNDINGS), "lines": _none(LINES), "surveys": _none(SURVEYS),
        "landed_surfaces": _none(LANDED_SURFACES), "landed_cells": _none(LANDED_CELLS),
    }  # fmt: skip
    if isinstance(read, DeclaredSurvey):
        return made | {"surveys": _survey(read)}
    if isinstance(read, DeclaredCube):  # what it says stands with each line
        return made
    if isinstance(read, LandedSurface):
        return made | {"landed_surfaces": landed_surface(read), "landed_cells": landed_cells(read)}
    return made | {"soundings": _soundings(read), "lines": _line(read)}


def _none(names: tuple[str, ...]) -> Rows:
    return {name: [] for name in names}


def _one(text: str, rows: int) -> pd.Categorical:
    return pd.Categorical.from_codes(np.zeros(rows, np.int8), categories=pd.Index([text], dtype=object))


def _soundings(line: SurveyLine) -> Rows:
    rows = len(line.depth)
    return {
        "survey": _one(line.survey, rows),
        "line": _one(line.line, rows),
        "ping": line.ping,
        "beam": line.beam,
        "time": None if line.time is None else pd.DatetimeIndex(line.time).tz_localize("UTC"),
        "x_m": line.x,
        "y_m": line.y,
        "depth_m": line.depth,
        "tvu_m": line.tvu.astype(np.float32),
        "thu_m": line.thu.astype(np.float32),
        "accepted": line.accepted,
        "flag": line.flag,
    }


def _line(line: SurveyLine) -> Rows:
    depth, tvu = line.depth[line.accepted], line.tvu[line.accepted]
    known = tvu[~np.isnan(tvu)]
    west, south, east, north = box_of(line.x, line.y, line.declared, line.crs)
    named = line.declared.lines
    row = {
        "source_key": line.key,
        "survey": line.survey,
        "line": line.line,
        "kind": line.kind,
        "sha256": line.sha256,
        "size_bytes": np.int64(line.size_bytes),
        "system": line.system or None,
        "crs": line.crs,
        "vertical_datum": line.declared.vertical_datum,
        "s44_order": line.declared.order,
        "cell_m": line.declared.cell_m,
        "cells_by_depth": None if line.declared.cells_by_depth is None else json.dumps(line.declared.cells_by_depth),
        "golden": line.declared.golden,
        "cube": None if line.declared.cube is None else line.declared.cube.model_dump_json(),
        "soundings": np.int64(len(line.depth)),
        "accepted": np.int64(line.accepted.sum()),
        "pings": np.int64(line.pings),
        "pings_ignored": np.int64(line.pings_ignored),
        "pings_left_out": np.int64(line.pings_left_out),
        "uncertainty_from": line.uncertainty_from,
        "time_min": _moment(line, np.min),
        "time_max": _moment(line, np.max),
        "depth_min_m": _of(depth, np.min),
        "depth_max_m": _of(depth, np.max),
        "depth_mean_m": _of(depth, np.mean),
        "tvu_median_m": _of(known, np.median),
        "x_min_m": float(line.x.min()),
        "x_max_m": float(line.x.max()),
        "y_min_m": float(line.y.min()),
        "y_max_m": float(line.y.max()),
        "longitude_west": west,
        "longitude_east": east,
        "latitude_min": south,
        "latitude_max": north,
        "notes": "\n".join(f"{name} = {value}" for name, value in line.notes.items()) or None,
        "manifest": None if named is None else json.dumps(list(named), ensure_ascii=False),
    }
    return {name: [value] for name, value in row.items()}


def _of(values: NDArray[Any], figure: Any) -> float | None:
    return float(figure(values)) if len(values) else None


def _moment(line: SurveyLine, figure: Any) -> pd.Timestamp | None:
    if line.time is None or not len(line.time):
        return None
    return pd.Timestamp(figure(line.time)).tz_localize("UTC")


def _survey(read: DeclaredSurvey) -> Rows:
    declared = read.declared
    row = {
        "source_key": read.key,
        "survey": survey_of(read.key),
        "crs": declared.crs,
        "vertical_datum": declared.vertical_datum,
        "ellipsoidal": declared.ellipsoidal,
        "s44_order": declared.order,
        "lines": None if declared.lines is None else len(declared.lines),
        "declared": declared.model_dump_json(exclude_unset=True),
    }
    return {name: [value] for name, value in row.items()}


def soundings_of(rows: Mapping[str, pa.Table]) -> Soundings:
    """The soundings of a survey from the rows of its tables `soundings` and `lines`, such as a product is made from.

    Raises Refused if its lines are in different CRS or on different vertical datums: no surface is made of both.
    """
    lines, soundings = rows["lines"], rows["soundings"]
    crs, datum = (_alike(lines, name) for name in ("crs", "vertical_datum"))
    named = soundings["line"].combine_chunks()
    named = pa.concat_arrays(named.chunks) if isinstance(named, pa.ChunkedArray) else named
    if not pa.types.is_dictionary(named.type):
        named = named.dictionary_encode()
    arrays = {name: soundings[name].to_numpy() for name in ("x_m", "y_m", "depth_m", "tvu_m", "thu_m", "ping", "beam")}
    return Soundings(
        x=arrays["x_m"], y=arrays["y_m"], depth=arrays["depth_m"],
        tvu=arrays["tvu_m"].astype(np.float64), thu=arrays["thu_m"].astype(np.float64),
        accepted=soundings["accepted"].to_numpy(),
        line=named.indices.to_numpy(zero_copy_only=False).astype(np.int32),
        ping=arrays["ping"], beam=arrays["beam"].astype(np.int32),
        crs=crs, vertical_datum=datum, lines=tuple(named.dictionary.to_pylist()),
    )  # fmt: skip


def _alike(lines: pa.Table, name: str) -> str:
    found = sorted(set(lines[name].to_pylist()))
    if len(found) != 1:
        raise Refused(
            "mixed_reference",
            f"the lines of the survey differ in {name}: {', '.join(found) or 'there are none'}. Declare one in survey.json.",
        )
    return str(found[0])
