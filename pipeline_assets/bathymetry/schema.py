"""The tables that survey files become: the one place where a column is defined."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.typing.pandas import Series

SURVEY = "the survey: name of its folder in the landing store"
LANDED = (
    "the surface: name of its file below the survey's folder, without the layer where its layers are files of their own"
)
LINE = "the line: name of its file below the survey's folder"
_FILE = {"from": ["file"]}
_KEY = {"from": ["file.key"]}
Category = Annotated[pd.CategoricalDtype, None, False]

ORIGINS = ("file", "model", "none")


def _figure(description: str, unit: str, made_from: list[str], **rules: Any) -> Any:
    return pa.Field(nullable=True, description=description, metadata={"unit": unit, "from": made_from}, **rules)


def _count(description: str, made_from: list[str]) -> Any:
    return pa.Field(ge=0, description=description, metadata={"unit": "1", "from": made_from})


def _time(description: str, made_from: list[str] | None = None) -> Any:
    said: dict[str, Any] = {"unit": "UTC", **({"from": made_from} if made_from else {})}
    return pa.Field(dtype_kwargs={"unit": "us", "tz": "UTC"}, nullable=True, description=description, metadata=said)


class Soundings(pa.DataFrameModel):
    """One row for each sounding, rejected ones among them, in the order of acquisition: where, how deep, how certain."""

    survey: Series[Category] = pa.Field(description=SURVEY, metadata=_KEY)
    line: Series[Category] = pa.Field(description=LINE, metadata=_KEY)
    ping: Series[np.int64] = pa.Field(description="number of the ping in its file", metadata={"unit": "1"})
    beam: Series[np.int32] = pa.Field(description="number of the beam in its ping", metadata={"unit": "1"})
    time: Series[pd.DatetimeTZDtype] = _time("time of the ping, where the file has it")
    x_m: Series[np.float64] = pa.Field(description="easting in the line's CRS (lines.crs)", metadata={"unit": "m"})
    y_m: Series[np.float64] = pa.Field(description="northing in the line's CRS", metadata={"unit": "m"})
    depth_m: Series[np.float64] = pa.Field(
        description="depth below the line's vertical datum (lines.vertical_datum), positive down",
        metadata={"unit": "m"},
    )
    tvu_m: Series[np.float32] = pa.Field(
        nullable=True,
        ge=0,
        description="total vertical uncertainty at 95 %; missing where unknown",
        metadata={"unit": "m"},
    )
    thu_m: Series[np.float32] = pa.Field(
        nullable=True, ge=0, description="total horizontal uncertainty at 95 %; missing where unknown",
        metadata={"unit": "m"},
    )  # fmt: skip
    accepted: Series[bool] = pa.Field(description="whether the file accepts the sounding")
    flag: Series[np.int32] = pa.Field(
        description="the sounding's flag as in the file (GSF: beam flag); 0 where it has none", metadata={"unit": "1"}
    )

    class Config:
        strict = True
        coerce = False


class Lines(pa.DataFrameModel):
    """One row for each line: what it is, how many soundings it has and rejects, where, when and how deep they are."""

    source_key: Series[str] = pa.Field(description="key of the file in the landing store")
    survey: Series[str] = pa.Field(description=SURVEY, metadata=_KEY)
    line: Series[str] = pa.Field(description=LINE, metadata=_KEY)
    kind: Series[str] = pa.Field(description="what the file is, by its content", metadata=_FILE)
    sha256: Series[str] = pa.Field(str_matches=r"^[0-9a-f]{64}$", description="SHA-256 of the file", metadata=_FILE)
    size_bytes: Series[np.int64] = pa.Field(gt=0, description="size of the file", metadata={"unit": "byte", **_FILE})
    system: Series[str] = pa.Field(
        nullable=True, description="version of the format, sonar, or software that wrote the file", metadata=_FILE
    )
    crs: Series[str] = pa.Field(
        description="CRS of x_m and y_m: declared, or the file's own, or the UTM zone of the line; a code, or WKT where it has none",
        metadata=_FILE,
    )
    vertical_datum: Series[str] = pa.Field(
        description="what depths are below, as declared; `unknown` if nothing is", metadata=_FILE
    )
    s44_order: Series[str] = pa.Field(description="order of survey that is declared", metadata=_FILE)
    cell_m: Series[np.float64] = _figure("edge of the surface's cells, where it is declared", "m", ["file"], gt=0)
    cells_by_depth: Series[str] = pa.Field(
        nullable=True,
        description="pairs of the depth down to which and the edge of the cells, m, as JSON, where they are declared",
        metadata=_FILE,
    )
    cube: Series[str] = pa.Field(
        nullable=True,
        description="parameters of CUBE as JSON, where they are declared: by survey.json or by a file of CARIS",
        metadata=_FILE,
    )
    golden: Series[str] = pa.Field(
        nullable=True, description="the surface that survey.json names as the golden one", metadata=_FILE
    )
    soundings: Series[np.int64] = _count("soundings", ["soundings.ping"])
    accepted: Series[np.int64] = _count("soundings that the file accepts", ["soundings.accepted"])
    pings: Series[np.int64] = _count("pings in the file; 0 where it has no pings", ["file"])
    pings_ignored: Series[np.int64] = _count("pings that the file rejects as a whole", ["file"])
    pings_left_out: Series[np.int64] = _count(
        "pings without position, heading or depths, which were not read", ["file"]
    )
    uncertainty_from: Series[str] = pa.Field(
        isin=ORIGINS, description="where tvu_m and thu_m come from: the file, the model of the sensors, or nowhere",
        metadata=_FILE,
    )  # fmt: skip
    time_min: Series[pd.DatetimeTZDtype] = _time("time of the first ping", ["soundings.time"])
    time_max: Series[pd.DatetimeTZDtype] = _time("time of the last ping", ["soundings.time"])
    depth_min_m: Series[np.float64] = _figure("least accepted depth", "m", ["soundings.depth_m"])
    depth_max_m: Series[np.float64] = _figure("greatest accepted depth", "m", ["soundings.depth_m"])
    depth_mean_m: Series[np.float64] = _figure("mean accepted depth", "m", ["soundings.depth_m"])
    tvu_median_m: Series[np.float64] = _figure("median of tvu_m of accepted soundings", "m", ["soundings.tvu_m"])
    x_min_m: Series[np.float64] = _figure("least easting", "m", ["soundings.x_m"])
    x_max_m: Series[np.float64] = _figure("greatest easting", "m", ["soundings.x_m"])
    y_min_m: Series[np.float64] = _figure("least northing", "m", ["soundings.y_m"])
    y_max_m: Series[np.float64] = _figure("greatest northing", "m", ["soundings.y_m"])
    longitude_west: Series[np.float64] = _figure("least longitude", "degrees", ["soundings.x_m"], ge=-180, le=180)
    longitude_east: Series[np.float64] = _figure("greatest longitude", "degrees", ["soundings.x_m"], ge=-180, le=180)
    latitude_min: Series[np.float64] = _figure("least latitude", "degrees", ["soundings.y_m"], ge=-90, le=90)
    latitude_max: Series[np.float64] = _figure("greatest latitude", "degrees", ["soundings.y_m"], ge=-90, le=90)
    notes: Series[str] = pa.Field(
        nullable=True, description="what else the file says of its datums, as NAME = value", metadata=_FILE
    )
    manifest: Series[Category] = pa.Field(
        nullable=True,
        description="the lines that the survey's survey.json says there are, a JSON array",
        metadata=_FILE,
    )

    class Config:
        strict = True
        coerce = False


class Surveys(pa.DataFrameModel):
    """One row for each survey.json: what it declares."""

    source_key: Series[str] = pa.Field(description="key of the survey.json in the landing store")
    survey: Series[str] = pa.Field(description=SURVEY, metadata=_KEY)
    crs: Series[str] = pa.Field(nullable=True, description="declared CRS of the survey", metadata=_FILE)
    vertical_datum: Series[str] = pa.Field(description="declared vertical datum; `unknown` if none is", metadata=_FILE)
    ellipsoidal: Series[bool] = pa.Field(description="whether that is an ellipsoid", metadata=_FILE)
    s44_order: Series[str] = pa.Field(description="declared order of survey", metadata=_FILE)
    lines: Series[pd.Int64Dtype] = pa.Field(
        nullable=True, ge=0, description="lines that it says there are; missing if it names none",
        metadata={"unit": "1", **_FILE},
    )  # fmt: skip
    declared: Series[str] = pa.Field(description="all that it declares, as JSON", metadata=_FILE)

    class Config:
        strict = True
        coerce = False


class LandedSurfaces(pa.DataFrameModel):
    """One row for each file of a surface that landed ready-made, BAG or GeoTIFF: what it holds, where, how deep, how certain."""

    source_key: Series[str] = pa.Field(description="key of the file in the landing store")
    survey: Series[str] = pa.Field(description=SURVEY, metadata=_KEY)
    surface: Series[str] = pa.Field(description=LANDED, metadata=_KEY)
    kind: Series[str] = pa.Field(isin=["bag", "geotiff"], description="what the file is, by its content")
    sha256: Series[str] = pa.Field(str_matches=r"^[0-9a-f]{64}$", description="SHA-256 of the file")
    size_bytes: Series[np.int64] = pa.Field(gt=0, description="size of the file", metadata={"unit": "byte"})
    layers: Series[str] = pa.Field(description="the layers that the file has, with commas")
    crs: Series[str] = pa.Field(description="CRS of the cells: a code, or WKT where it has none")
    vertical_datum: Series[str] = pa.Field(
        description="what depths are below: as declared, else as the file says; `unknown` if nobody does"
    )
    own_datum: Series[str] = pa.Field(nullable=True, description="vertical datum as the file itself calls it")
    s44_order: Series[str] = pa.Field(description="order of survey that is declared")
    golden: Series[str] = pa.Field(nullable=True, description="the surface that survey.json names as the golden one")
    cell_m: Series[np.float64] = pa.Field(gt=0, description="edge of a cell", metadata={"unit": "m"})
    grid_rows: Series[np.int32] = pa.Field(gt=0, description="rows of cells", metadata={"unit": "1"})
    grid_columns: Series[np.int32] = pa.Field(gt=0, description="columns of cells", metadata={"unit": "1"})
    west_m: Series[np.float64] = pa.Field(description="easting of the western edge", metadata={"unit": "m"})
    north_m: Series[np.float64] = pa.Field(description="northing of the northern edge", metadata={"unit": "m"})
    cells: Series[np.int64] = _count("cells with a value", ["file"])
    depth_min_m: Series[np.float64] = _figure("least depth", "m", ["file"])
    depth_max_m: Series[np.float64] = _figure("greatest depth", "m", ["file"])
    depth_mean_m: Series[np.float64] = _figure("mean depth", "m", ["file"])
    uncertainty_min_m: Series[np.float64] = _figure("least uncertainty", "m", ["file"])
    uncertainty_max_m: Series[np.float64] = _figure("greatest uncertainty", "m", ["file"])
    soundings: Series[np.int64] = _count("soundings behind the cells; 0 where the file does not say", ["file"])
    longitude_west: Series[np.float64] = _figure("least longitude", "degrees", ["file"], ge=-180, le=180)
    longitude_east: Series[np.float64] = _figure("greatest longitude", "degrees", ["file"], ge=-180, le=180)
    latitude_min: Series[np.float64] = _figure("least latitude", "degrees", ["file"], ge=-90, le=90)
    latitude_max: Series[np.float64] = _figure("greatest latitude", "degrees", ["file"], ge=-90, le=90)
    file_check: Series[str] = pa.Field(description="what was found of the file's own order, as JSON")

    class Config:
        strict = True
        coerce = False


class LandedCells(pa.DataFrameModel):
    """One row for each cell with a value of each file of a surface that landed ready-made."""

    survey: Series[Category] = pa.Field(description=SURVEY, metadata=_KEY)
    surface: Series[Category] = pa.Field(description=LANDED, metadata=_KEY)
    grid_row: Series[np.int32] = pa.Field(
        ge=0, description="row, 0 the northernmost; its centre lies at north_m - (grid_row + 0.5) * cell_m",
        metadata={"unit": "1"},
    )  # fmt: skip
    grid_column: Series[np.int32] = pa.Field(
        ge=0, description="column, 0 the westernmost; its centre lies at west_m + (grid_column + 0.5) * cell_m",
        metadata={"unit": "1"},
    )  # fmt: skip
    depth_m: Series[np.float32] = _figure("depth, positive down", "m", ["file"])
    uncertainty_m: Series[np.float32] = _figure("uncertainty of the depth, as the file has it", "m", ["file"])
    std_dev_m: Series[np.float32] = _figure("standard deviation of the soundings behind it", "m", ["file"])
    shoal_m: Series[np.float32] = _figure("shallowest of them", "m", ["file"])
    density: Series[np.int32] = _count("soundings of the cell; 0 where the file does not say", ["file"])
    hypotheses: Series[np.int32] = _count("depths that CUBE considered; 0 where the file does not say", ["file"])

    class Config:
        strict = True
        coerce = False


def _metres(description: str, made_from: list[str], **rules: Any) -> Any:
    return pa.Field(description=description, metadata={"unit": "m", "from": made_from}, **rules)


class Surfaces(pa.DataFrameModel):
    """One row for each surface of a survey, made here or landed: how it was made, where it is, how deep and how certain."""

    survey: Series[str] = pa.Field(description=SURVEY, metadata={"from": ["lines.survey"]})
    surface: Series[str] = pa.Field(
        description="`surface` for the one that was made here, `surface_1m`, ... where its cells grow with depth; else the name of the one that landed",
        metadata={"from": ["lines.survey", "landed_surfaces.surface"]},
    )
    method: Series[str] = pa.Field(description="how it was gridded", metadata={"from": ["lines.survey"]})
    engine: Series[str] = pa.Field(description="what gridded it", metadata={"from": ["lines.survey"]})
    engine_version: Series[str] = pa.Field(description="version of the engine", metadata={"from": ["lines.survey"]})
    s44_order: Series[str] = pa.Field(description="order of survey", metadata={"from": ["lines.s44_order"]})
    crs: Series[str] = pa.Field(description="projected CRS of the cells", metadata={"from": ["lines.crs"]})
    vertical_datum: Series[str] = pa.Field(
        description="what depths are below", metadata={"from": ["lines.vertical_datum"]}
    )
    cell_m: Series[np.float64] = _metres("edge of a cell", ["lines.cell_m", "soundings.depth_m"], gt=0)
    grid_rows: Series[np.int64] = _count("rows of cells, the first the northernmost", ["soundings.y_m"])
    grid_columns: Series[np.int64] = _count("columns of cells", ["soundings.x_m"])
    west_m: Series[np.float64] = _metres("easting of the western edge", ["soundings.x_m"])
    south_m: Series[np.float64] = _metres("northing of the southern edge", ["soundings.y_m"])
    east_m: Series[np.float64] = _metres("easting of the eastern edge", ["soundings.x_m"])
    north_m: Series[np.float64] = _metres("northing of the northern edge", ["soundings.y_m"])
    cells: Series[np.int64] = _count("cells with a depth", ["soundings.depth_m"])
    area_km2: Series[np.float64] = pa.Field(
        ge=0, description="area of the cells with a depth", metadata={"unit": "km2", "from": ["soundings.depth_m"]}
    )
    soundings: Series[np.int64] = _count("soundings behind the depths, a cell's each", ["soundings.depth_m"])
    depth_min_m: Series[np.float64] = _metres("least depth of a cell", ["soundings.depth_m"])
    depth_max_m: Series[np.float64] = _metres("greatest depth of a cell", ["soundings.depth_m"])
    depth_mean_m: Series[np.float64] = _metres("mean depth of the cells", ["soundings.depth_m"])
    uncertainty_median_m: Series[np.float64] = _figure(
        "median of the cells' uncertainties at 95 %", "m", ["soundings.tvu_m"]
    )
    uncertainty_max_m: Series[np.float64] = _figure("greatest of them", "m", ["soundings.tvu_m"])
    several_hypotheses: Series[np.int64] = _count(
        "cells for which CUBE considered several depths", ["soundings.depth_m"]
    )
    filtered: Series[np.int64] = _count(
        "soundings that the filter of the open engine rejected; 0 with another engine, which does not say",
        ["soundings.depth_m"],
    )
    parameters: Series[str] = pa.Field(
        description="what the method was told, as JSON", metadata={"from": ["lines.survey"]}
    )
    made_at: Series[pd.DatetimeTZDtype] = _time("when it was made", ["lines.survey"])

    class Config:
        strict = True
        coerce = False


class CheckResults(pa.DataFrameModel):
    """One row for each check of a surface, and of the files made of it or that it landed as."""

    survey: Series[str] = pa.Field(description=SURVEY, metadata={"from": ["lines.survey"]})
    surface: Series[str] = pa.Field(
        description="`surface` for the one that was made here, `surface_1m`, ... where its cells grow with depth; else the name of the one that landed",
        metadata={"from": ["lines.survey", "landed_surfaces.surface"]},
    )
    check_name: Series[str] = pa.Field(description="the check", metadata={"from": ["lines.survey"]})
    check_id: Series[str] = pa.Field(
        description="its id in QAJSON: QAX's, where QAX has the check", metadata={"from": ["lines.survey"]}
    )
    s44_order: Series[str] = pa.Field(
        description="order of survey that was asked", metadata={"from": ["lines.s44_order"]}
    )
    state: Series[str] = pa.Field(
        isin=["pass", "warning", "fail"],
        description="what the report calls it; fail: the surface does not keep its order",
        metadata={"from": ["soundings.depth_m"]},
    )
    passed: Series[bool] = pa.Field(description="whether it passed", metadata={"from": ["soundings.depth_m"]})
    is_blocking: Series[bool] = pa.Field(
        description="whether the order asks it, rather than warns", metadata={"from": ["lines.s44_order"]}
    )
    is_judged: Series[bool] = pa.Field(description="whether it could be made", metadata={"from": ["soundings.depth_m"]})
    share: Series[np.float64] = _figure("share that is as it should be", "1", ["soundings.depth_m"], ge=0, le=1)
    threshold: Series[np.float64] = _figure("least share with which it passes", "1", ["lines.s44_order"])
    failing_cells: Series[np.float64] = _figure(
        "cells that fail; missing where it is not about cells", "1", ["soundings.depth_m"], ge=0
    )
    message: Series[str] = pa.Field(description="the finding in words", metadata={"from": ["soundings.depth_m"]})
    method: Series[str] = pa.Field(description="how the surface was gridded", metadata={"from": ["lines.survey"]})

    class Config:
        strict = True
        coerce = False
