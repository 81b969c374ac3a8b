"""What can be set about surveys, and what a survey says of itself in its `survey.json`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from pipeline_assets.bathymetry.caris.declared import CarisSurvey, Engine
from pipeline_assets.bathymetry.grid.caris import gridding_of_file
from pipeline_assets.bathymetry.grid.config import LADDERS, CubeParameters, Ladder, Method, check_ladder
from pipeline_assets.bathymetry.s44 import ORDERS, order_of
from pipeline_assets.bathymetry.uncertainty import Sensors
from pipeline_assets.landed_file import LandedFile, Refused

DECLARATION = "survey.json"
"""The file in a survey's folder that says what its other files do not say of themselves."""
CUBE_FILES = ("cube.xml", "cube.bag")
"""Files of CARIS in a survey's folder that say how CUBE is to make its surface: a CUBEParams XML, or a BAG that CARIS made."""
UNKNOWN_DATUM = "unknown"

GROUP_PATTERN = r"bathymetry/(?P<group>[^/]+)/.+"
MOST_DECLARATION_BYTES = 2_000_000
SAME_CELLS = 0.99
"""Least share of cells that both of two surfaces must fill, of those that either fills."""
TOLERANCE_M = 0.01


def _epsg(text: str | None) -> str | None:
    if text is None or re.fullmatch(r"EPSG:[0-9]{4,6}", text):
        return text
    raise ValueError(f"{text!r} is no code of a coordinate reference system; expected one such as EPSG:32755")


def _order(name: str) -> str:
    return order_of(name).name


def _ladder(said: Any) -> Any:
    if not isinstance(said, str):
        return said
    if said not in LADDERS:
        raise ValueError(
            f"no table of depths and cells is called {said[:60]!r}; expected {', '.join(LADDERS)}, or pairs of the depth down to which "
            "and the edge of a cell, m, such as [[20, 1], [40, 2]]"
        )
    return LADDERS[said]


CellsByDepth = Annotated[
    Ladder, BeforeValidator(_ladder), AfterValidator(check_ladder), Field(min_length=1, max_length=20)
]
Epsg = Annotated[str, AfterValidator(_epsg)]
OnRefused = Literal["continue", "stop"]


class Columns(BaseModel):
    """Which columns of text and Parquet files are what. Names are compared without regard to case.

    without_header: what the columns are where a text has no line of names; `-` is one that is not read.
    flag: 0 for soundings that are accepted. tvu, thu: uncertainties, see `Declared.uncertainty`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    x: tuple[str, ...] = ("x", "easting", "east", "e", "x_m", "easting_m")
    y: tuple[str, ...] = ("y", "northing", "north", "n", "y_m", "northing_m")
    longitude: tuple[str, ...] = ("longitude", "lon", "long")
    latitude: tuple[str, ...] = ("latitude", "lat")
    depth: tuple[str, ...] = ("depth", "z", "depth_m", "elevation", "height")
    tvu: tuple[str, ...] = ("tvu", "tvu_m", "vertical_uncertainty", "uncertainty", "depth_tpu")
    thu: tuple[str, ...] = ("thu", "thu_m", "horizontal_uncertainty", "position_tpu")
    flag: tuple[str, ...] = ("flag", "rejected", "status")
    ping: tuple[str, ...] = ("ping", "profile")
    beam: tuple[str, ...] = ("beam",)
    without_header: tuple[str, ...] = ("x", "y", "depth")

    @model_validator(mode="after")
    def _known(self) -> Self:
        known = {*NAMES, "-"}
        strange = [name for name in self.without_header if name not in known]
        if strange:
            raise ValueError(f"without_header names {strange[0]!r}; expected some of {', '.join(sorted(known))}")
        return self


NAMES = ("x", "y", "longitude", "latitude", "depth", "tvu", "thu", "flag", "ping", "beam")
"""What a column can be."""


class Declared(BaseModel):
    """What is declared of a survey.

    crs: the projected CRS that its soundings are in, or are brought to. None: of files with latitudes and longitudes the
         UTM zone of their first position; other files are refused.
    position_crs: what latitudes and longitudes in its files are in.
    vertical_datum: what depths are below, such as EPSG:5715 or "LAT". ellipsoidal: whether that is an ellipsoid, below
                    which depths may be of either sign.
    positive: which way the third column points; None: down in text and Parquet, up in LAS. GSF has depths.
    uncertainty: what uncertainties in text, Parquet and LAS are; GSF has those of 95 %.
    extent: where it is: west, south, east, north, degrees.
    order: the order of survey that it is meant to keep.
    lines: names of all its files, relative to its folder; None: nobody says.
    cell_m: edge of the cells of its surface, m; None: as the settings say. cells_by_depth: instead of it, edges that grow with
            depth, or the name of such a table (`grid.config.LADDERS`).
    cube: parameters of CUBE; None: those of a file of CARIS beside it (`CUBE_FILES`), else as the settings say.
    cube_configuration: which configuration of cube.xml, if it has several.
    golden: name of a surface in its folder, BAG or GeoTIFF, that the surface made here must agree with.
    on_refused: whether the survey goes on without files that are refused; None: as the settings say.
    sensors: for the uncertainties of files that have none.
    engine: what makes its surface; None: as the settings say. caris: its processing there, where it is CARIS.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    crs: Epsg | None = None
    position_crs: Epsg = "EPSG:4326"
    vertical_datum: Annotated[str, Field(min_length=1, max_length=100)] = UNKNOWN_DATUM
    ellipsoidal: bool = False
    positive: Literal["down", "up"] | None = None
    uncertainty: Literal["95", "1sigma"] = "95"
    extent: tuple[float, float, float, float] | None = None
    order: Annotated[str, AfterValidator(_order)] = "1a"
    lines: tuple[Annotated[str, Field(min_length=1, max_length=500)], ...] | None = None
    cell_m: Annotated[float, Field(gt=0, le=10_000)] | None = None
    cells_by_depth: CellsByDepth | None = None
    cube: CubeParameters | None = None
    cube_configuration: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    golden: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    on_refused: OnRefused | None = None
    columns: Columns = Field(default_factory=Columns)
    sensors: Sensors = Field(default_factory=Sensors)
    engine: Engine | None = None
    caris: CarisSurvey = Field(default_factory=CarisSurvey)

    @model_validator(mode="after")
    def _extent_of_the_earth(self) -> Self:
        if self.extent is not None:
            west, south, east, north = self.extent
            if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south < north <= 90):
                raise ValueError(f"extent {self.extent} is none; expected west, south, east, north in degrees")
        return self

    @model_validator(mode="after")
    def _one_way_to_say_cells(self) -> Self:
        _not_both(self.cell_m, self.cells_by_depth)
        if self.cells_by_depth is not None and self.engine == "caris":
            raise ValueError("cells_by_depth is for the engine open; declare cell_m where the engine is caris")
        return self


class BathymetryConfig(BaseModel):
    """Settings of the bathymetry source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_soundings: int = Field(
        50_000_000, ge=1, description="most soundings of one file; guards against sizes nobody can hold"
    )
    zone_margin_deg: float = Field(
        1.0,
        ge=0,
        le=30,
        description="how far positions may lie outside of the area that their CRS is made for, degrees; Strandline's own",
    )
    wrong_sign_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="share of soundings above the datum from which the sign of a file's depths is wrong; Strandline's own",
    )
    rejected_share_max: float = Field(
        0.3,
        ge=0,
        le=1,
        description="share of a line's soundings that its file may reject before the check warns; Strandline's own",
    )
    engine: Engine = Field(
        "open", description="what makes the surface of surveys that do not say: open, or caris on a licensed host"
    )
    caris_files: str | None = Field(
        None,
        description="folder or s3://BUCKET/PREFIX with the vessel files and parameters that surveys name for CARIS",
    )
    method: Method = Field(
        "cube", description="how the surface is gridded: cube, weighted_mean, median, shoalest or mean"
    )
    cell_m: float | None = Field(
        None, gt=0, le=10_000, description="edge of a surface's cells, m; unset: by depth and order of survey"
    )
    cells_by_depth: CellsByDepth | None = Field(
        None,
        description="cells whose edges grow with depth: pairs of the depth down to which and the edge, m, or the name of a table; "
        "instead of `cell_m`",
    )
    cube: CubeParameters = Field(
        default_factory=lambda: CubeParameters.model_validate({}),
        description="parameters of CUBE, see docs/gridding.md",
    )
    max_cells: int = Field(100_000_000, ge=1, description="most cells of a surface; guards against a sounding far off")
    filter_sigmas: float = Field(
        3.0,
        gt=0,
        description="how many standard deviations of its cell a sounding may lie off the preliminary surface, beyond the order's "
        "vertical uncertainty; Strandline's own",
    )
    deliver_failing: bool = Field(
        False, description="whether a survey is delivered also where its surface fails a blocking check of its order"
    )
    on_refused: OnRefused = Field(
        "continue",
        description="what becomes of a survey of which files are refused: continue without them, or stop, so that nothing of it is "
        "visible until a person lets it go on; `on_refused` in survey.json counts before it",
    )
    max_landed_cells: int = Field(
        20_000_000,
        ge=1,
        description="most cells that a layer of a BAG, or all bands of a GeoTIFF, may have where it lands ready-made",
    )
    goldens: Path | None = Field(
        None,
        description="folder of golden surfaces, NAME.bag or NAME.tif for the survey NAME, that surfaces made here must agree with; "
        "`golden` in survey.json counts before it",
    )
    agree_share: float = Field(
        0.95,
        gt=0,
        le=1,
        description="least share of the common cells in which two surfaces differ by at most both uncertainties together "
        "(JCGM 100:2008, 5.1.2)",
    )
    agree_cells_share: float = Field(
        SAME_CELLS,
        ge=0,
        le=1,
        description="least share of the cells that are in both of two surfaces; Strandline's own",
    )
    agree_tolerance_m: float = Field(
        TOLERANCE_M,
        ge=0,
        description="what counts as agreement where neither surface has an uncertainty, m; Strandline's own",
    )
    default: Declared = Field(
        default_factory=Declared,
        description=f"what holds for surveys without a {DECLARATION} and without an entry in `surveys`",
    )
    surveys: dict[str, Declared] = Field(
        default_factory=dict, description=f"what is declared of a survey, by its name, if it has no {DECLARATION}"
    )

    @model_validator(mode="after")
    def _one_way_to_say_cells(self) -> Self:
        _not_both(self.cell_m, self.cells_by_depth)
        return self


def _not_both(cell_m: float | None, cells_by_depth: Ladder | None) -> None:
    if cell_m is not None and cells_by_depth is not None:
        raise ValueError("cell_m and cells_by_depth are both set; expected at most one of them")


def survey_of(key: str) -> str:
    """The survey that a key belongs to: its folder; empty for a key that is in none."""
    match = re.fullmatch(GROUP_PATTERN, key, re.DOTALL)
    return match["group"] if match else ""


def declared_for(file: LandedFile, config: BathymetryConfig) -> Declared:
    """What is declared of the survey of a file: by the `survey.json` beside it, else by the settings; and by a file of CARIS
    beside it how CUBE grids. Raises Refused."""
    beside = file.companions.get(DECLARATION)
    if beside is not None:
        declared = parse_declaration(beside.read_bytes())
    else:
        declared = config.surveys.get(survey_of(file.key), config.default)
    return _as_caris_grids(declared, file.companions)


def _as_caris_grids(declared: Declared, companions: Mapping[str, LandedFile]) -> Declared:
    """With CUBE's parameters of a file of CARIS, and with the order and cells that a BAG tells, where nothing else is declared."""
    found = [name for name in CUBE_FILES if name in companions] + ["cube"] * (declared.cube is not None)
    if len(found) > 1:
        raise _bad(f"is not alone in saying how CUBE grids: {' and '.join(found)} are there. Keep one of them", "cube")
    if not found or declared.cube is not None:
        if declared.cube_configuration is not None:
            raise _bad(
                f"names the configuration {declared.cube_configuration!r}, and no cube.xml lies beside it",
                "cube_configuration",
            )
        return declared
    told = gridding_of_file(companions[found[0]], declared.cube_configuration)
    cell = told.cell_m if declared.cells_by_depth is None else None
    said = {"cube": told.cube, "order": told.order, "cell_m": cell}
    new = {name: value for name, value in said.items() if value is not None and name not in declared.model_fields_set}
    return declared.model_copy(update=new)


def why_it_stops(config: BathymetryConfig, shared: Mapping[str, LandedFile], refused: Sequence[str]) -> str | None:
    """Why nothing of a survey may be visible of which these keys are refused; None where it goes on without them."""
    declared = config.surveys.get(survey_of(refused[0]), config.default)
    if DECLARATION in shared:
        with suppress(Refused):  # for which the files themselves are refused
            declared = parse_declaration(shared[DECLARATION].read_bytes())
    if (declared.on_refused or config.on_refused) == "continue":
        return None
    return "The survey wants to be whole (on_refused is `stop`), and nothing new of it is visible."


def parse_declaration(data: bytes) -> Declared:
    """A `survey.json`. Raises Refused `bad_declaration`."""
    if len(data) > MOST_DECLARATION_BYTES:
        raise _bad(f"has {len(data):,} bytes; at most {MOST_DECLARATION_BYTES:,}")
    try:
        said: Any = json.loads(data)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise _bad(f"is no JSON ({error})") from error
    if not isinstance(said, dict):
        raise _bad("is no JSON object")
    try:
        return Declared.model_validate(said)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        raise _bad(
            f"says something wrong: {place[:100]}: {first['msg'].removeprefix('Value error, ')[:300]}", place[:100]
        ) from error


def _bad(what: str, location: str = "") -> Refused:
    fields = ", ".join(Declared.model_fields)
    return Refused(
        "bad_declaration",
        f"{DECLARATION} {what}. Expected a JSON object with some of {fields}; orders are {', '.join(ORDERS)}. Land it "
        "anew: the whole survey is then read again.",
        location=location or DECLARATION,
    )
