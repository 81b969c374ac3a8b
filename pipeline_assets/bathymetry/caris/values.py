"""What the commands of one survey are rendered with: from the rows of its tables, its declaration, and the grid it gets."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline_assets.bathymetry.caris.command import Values
from pipeline_assets.bathymetry.caris.declared import CarisSurvey, Engine, is_text
from pipeline_assets.bathymetry.config import UNKNOWN_DATUM, BathymetryConfig, Declared
from pipeline_assets.bathymetry.products.cells import ladder_of
from pipeline_assets.bathymetry.products.gsf import file_names
from pipeline_assets.bathymetry.products.survey import positions_of
from pipeline_assets.bathymetry.surface import Grid
from pipeline_assets.landed_file import Refused

IHO_ORDERS = {
    "exclusive": "S44_EXCLUSIVE", "special": "S44_SPECIAL", "1a": "S44_1A", "1b": "S44_1B", "2": "S44_2",
    # The orders of S-44 with the same a and b.
    "hipp1": "S44_SPECIAL", "hipp2": "S44_1A", "hipp_passage": "S44_2", "noaa": "S44_1A",
}  # fmt: skip
"""CARIS's names of the orders of survey."""
_NO_TEXT = re.compile(r"[^\w .-]")
_CELLS_BESIDE = 2.0
"""How many cells the lines' positions may lie beside the extent."""


@dataclass(frozen=True)
class LineFile:
    """A line to import. name: in the work folder. key: in the landing store."""

    name: str
    key: str
    sha256: str


@dataclass(frozen=True)
class SurveyWork:
    """One survey for the chain. folder: name of its work folder: of the survey and this generation of its lines.

    given: names of the files that it brings beside its lines. revision: see `CarisSurvey`.
    """

    survey: str
    folder: str
    values: Values
    lines: tuple[LineFile, ...]
    given: tuple[str, ...]
    revision: int


def declared_of(rows: Mapping[str, Any], survey: str, config: BathymetryConfig) -> Declared:
    """What is declared of a survey: by its survey.json, of which `surveys` has the row, else by the settings.

    A survey.json without `caris` leaves that to the settings: a deployment has its vessel.
    """
    set_for_it = config.surveys.get(survey, config.default)
    said = rows["surveys"]["declared"]
    if not len(said):
        return set_for_it
    declared = Declared.model_validate_json(said[0].as_py())
    return declared if "caris" in declared.model_fields_set else declared.model_copy(update={"caris": set_for_it.caris})


def engine_of(rows: Mapping[str, Any], survey: str, config: BathymetryConfig) -> Engine:
    """The engine that makes a survey's surface."""
    return declared_of(rows, survey, config).engine or config.engine


def survey_work(rows: Mapping[str, Any], survey: str, config: BathymetryConfig, grid: Grid) -> SurveyWork:
    """rows: of the tables `lines` and `surveys`. grid: the cells that the survey gets.

    Raises Refused `no_vessel_file`, `no_vertical_datum`, `bad_command_value`, `not_gsf`, `wrong_place`, `cells_by_depth`.
    """
    declared, lines = declared_of(rows, survey, config), rows["lines"]
    if ladder_of(lines, config):
        raise Refused(
            "cells_by_depth",
            f"the cells of {survey} grow with depth, and the commands for CARIS grid with cells of one size. Declare cell_m in survey.json, "
            "or use the open engine.",
        )
    caris = declared.caris
    others = sorted({kind for kind in lines["kind"].to_pylist() if kind != "gsf"})
    if others:
        raise Refused(
            "not_gsf",
            f"CARIS is given GSF, and lines of {survey} are {', '.join(others)}. Land them as GSF, or use the open engine.",
        )
    if caris.vessel_file is None:
        raise Refused(
            "no_vessel_file",
            "the engine caris imports lines with a vessel file, and none is declared. Name it in survey.json: "
            '{"engine": "caris", "caris": {"vessel_file": "NAME.hvf"}}, in the folder STRANDLINE_BATHYMETRY_CARIS_FILES',
        )
    if declared.vertical_datum == UNKNOWN_DATUM or not is_text(declared.vertical_datum):
        raise Refused(
            "no_vertical_datum",
            f"the exported surface names its vertical datum, and {declared.vertical_datum!r} is none that a command can have. "
            "Declare `vertical_datum` in survey.json, such as EPSG:5711, of letters, digits, blanks and . , : + @ / ( ) = - _",
        )
    names = file_names(tuple(lines["line"].to_pylist()))
    files = tuple(
        LineFile(names[line], key, sha256)
        for line, key, sha256 in zip(
            *(lines[name].to_pylist() for name in ("line", "source_key", "sha256")), strict=True
        )
    )
    _check_place(grid, positions_of(lines), survey)
    given = (caris.vessel_file, *((caris.cube_config_file,) if caris.cube_config_file else ()), *caris.auxiliary)
    return SurveyWork(
        survey, _folder_name(survey, files), _values(declared, caris, files, grid, survey), files, given, caris.revision
    )


def _values(declared: Declared, caris: CarisSurvey, files: tuple[LineFile, ...], grid: Grid, survey: str) -> Values:
    of_georeferencing = caris.georeference.model_dump() if caris.georeference else {"vertical_datum_reference": None}
    return {
        "crs": grid.crs,
        "west": _number(grid.west), "south": _number(grid.north - grid.rows * grid.cell),
        "east": _number(grid.west + grid.columns * grid.cell), "north": _number(grid.north),
        "cell": f"{_number(grid.cell)}m",
        "iho_order": IHO_ORDERS[declared.order],
        "vertical_datum": declared.vertical_datum,
        "abstract": f"Surface of the survey {_NO_TEXT.sub('_', survey)[:100]}",
        "filter_scalar": _number(caris.filter_scalar),
        "line": tuple(file.name for file in files),
        **caris.model_dump(include={
            "vessel_file", "cube_config_file", "cube_config_name", "auxiliary_format", "party_name", "party_position",
            "party_organization",
        }),
        "auxiliary": caris.auxiliary,
        **of_georeferencing,
    }  # fmt: skip


def _number(value: float) -> str:
    text = f"{value:.6f}".rstrip("0")
    return f"{text}0" if text.endswith(".") else text


def _folder_name(survey: str, files: tuple[LineFile, ...]) -> str:
    """Small letters, for Windows does not tell them from others; with a mark of the survey and of its lines as they are."""
    mark = hashlib.sha256(json.dumps([survey, sorted((file.key, file.sha256) for file in files)]).encode()).hexdigest()
    plain = re.sub(r"[^a-z0-9_-]+", "-", survey.lower()).strip("-_")[:40]
    return f"{plain or 'survey'}-{mark[:12]}"


def _check_place(grid: Grid, positions: tuple[float, float, float, float] | None, survey: str) -> None:
    """Raises Refused `wrong_place` where the commands would grid another place than the one in which the lines are, such as
    the same eastings and northings of the other hemisphere."""
    if positions is None:
        return
    from pyproj import Transformer

    west, south, east, north = positions
    east = east + 360.0 if east < west else east
    place = Transformer.from_crs("EPSG:4326", grid.crs, always_xy=True)
    x, y = place.transform([west, west, east, east], [south, north, south, north])
    margin = _CELLS_BESIDE * grid.cell
    meets = (
        min(x) <= grid.west + grid.columns * grid.cell + margin
        and max(x) >= grid.west - margin
        and min(y) <= grid.north + margin
        and max(y) >= grid.north - grid.rows * grid.cell - margin
    )
    if not (np.isfinite([*x, *y]).all() and meets):
        raise Refused(
            "wrong_place",
            f"the lines of {survey} lie around {(west + east) / 2:.4f}, {(south + north) / 2:.4f} degrees, which is not in the "
            f"extent of the surface in {grid.crs}. Look at the zone and the hemisphere of `crs` in survey.json",
        )
