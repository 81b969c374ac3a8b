"""The tables that ocean files become: the one place where a column is defined."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.typing.pandas import Series

from pipeline_assets.ocean.qartod import GOOD, MISSING

CRUISE = "the cruise: EXPOCODE where the file gives one, else the name of its group"
CAST_INDEX = "number of the cast in its file, from 0; with file_id it joins the tables"
ROW = "number of the observation in its file, from 0; with file_id it joins observations and levels"
_FILE = {"from": ["file"]}
_VALUE = ["observations.value"]
_QARTOD = "1 good, 2 not evaluated, 3 suspect, 4 fail, 9 no value"
Category = Annotated[pd.CategoricalDtype, None, False]


def _qartod(test: str, made_from: list[str] | None = None) -> Any:
    metadata = {"unit": "1", "from": made_from} if made_from else {"unit": "1"}
    return pa.Field(ge=GOOD, le=MISSING, description=f"QARTOD test of {test}: {_QARTOD}", metadata=metadata)


def _figure(description: str, unit: str, made_from: list[str], **rules: Any) -> Any:
    return pa.Field(nullable=True, description=description, metadata={"unit": unit, "from": made_from}, **rules)


def _count(description: str, made_from: list[str]) -> Any:
    return pa.Field(ge=0, description=description, metadata={"unit": "1", "from": made_from})


def _text(description: str, made_from: list[str] | None = None, **rules: Any) -> Any:
    return pa.Field(description=description, metadata={"from": made_from or ["file"]}, **rules)


class Observations(pa.DataFrameModel):
    """One row for each value of each parameter: what was measured where, the originator's flag, and the quality tests'."""

    cruise: Series[Category] = pa.Field(description=CRUISE)
    station: Series[Category] = pa.Field(description="station (STNNBR), as in the file")
    cast_number: Series[Category] = pa.Field(description="cast at the station (CASTNO), as in the file")
    cast_index: Series[np.int32] = pa.Field(ge=0, description=CAST_INDEX, metadata={"unit": "1"})
    row: Series[np.int32] = pa.Field(ge=0, description=ROW, metadata={"unit": "1"})
    pressure_dbar: Series[np.float64] = pa.Field(
        nullable=True, description="sea pressure of the observation", metadata={"unit": "dbar"}
    )
    parameter: Series[Category] = pa.Field(description="name of the column in the file, such as CTDSAL")
    standard_name: Series[Category] = pa.Field(nullable=True, description="CF standard name, where it is known")
    unit: Series[Category] = pa.Field(description="unit as in the file; empty if it gives none")
    value: Series[np.float64] = pa.Field(
        nullable=True, description="the value in that unit; missing where the file has a fill value (-999) or a text"
    )
    text: Series[Category] = pa.Field(nullable=True, description="what stands there instead of a number")
    flag: Series[pd.Int16Dtype] = pa.Field(
        nullable=True,
        description="the originator's quality flag, as in the file, be it legal or not",
        metadata={"unit": "1"},
    )
    qartod: Series[np.int8] = _qartod("all tests together, the worst of them")
    qartod_gross_range: Series[np.int8] = _qartod("gross range")
    qartod_climatology: Series[np.int8] = _qartod("climatology, where one is configured")
    qartod_spike: Series[np.int8] = _qartod("spikes against both neighbours")
    qartod_rate_of_change: Series[np.int8] = _qartod("rate of change along pressure (series: along time)")
    qartod_flat_line: Series[np.int8] = _qartod("flat lines")

    class Config:
        strict = True
        coerce = False


class Levels(pa.DataFrameModel):
    """One row for each observation of a file (a sample, a level, a moment): where and when, and the state of the water."""

    cruise: Series[Category] = pa.Field(description=CRUISE)
    station: Series[Category] = pa.Field(description="station (STNNBR), as in the file")
    cast_number: Series[Category] = pa.Field(description="cast at the station (CASTNO), as in the file")
    cast_index: Series[np.int32] = pa.Field(ge=0, description=CAST_INDEX, metadata={"unit": "1"})
    row: Series[np.int32] = pa.Field(ge=0, description=ROW, metadata={"unit": "1"})
    sample: Series[Category] = pa.Field(nullable=True, description="number of the water sample (SAMPNO)")
    bottle: Series[Category] = pa.Field(nullable=True, description="number of the bottle (BTLNBR)")
    bottle_flag: Series[pd.Int16Dtype] = pa.Field(
        nullable=True, description="the originator's flag of the bottle (BTLNBR_FLAG_W)", metadata={"unit": "1"}
    )
    time: Series[pd.DatetimeTZDtype] = pa.Field(
        dtype_kwargs={"unit": "us", "tz": "UTC"}, nullable=True, description="time of the observation or of its cast",
        metadata={"unit": "UTC"},
    )  # fmt: skip
    latitude: Series[np.float64] = pa.Field(
        nullable=True, ge=-90, le=90, description="latitude, north positive", metadata={"unit": "degrees"}
    )
    longitude: Series[np.float64] = pa.Field(
        nullable=True, ge=-180, le=180, description="longitude, east positive", metadata={"unit": "degrees"}
    )
    pressure_dbar: Series[np.float64] = pa.Field(nullable=True, description="sea pressure", metadata={"unit": "dbar"})
    depth_m: Series[np.float64] = pa.Field(
        nullable=True,
        description="depth below the surface, by TEOS-10 from pressure and latitude",
        metadata={"unit": "m"},
    )
    temperature_c: Series[np.float64] = pa.Field(
        nullable=True,
        description="in-situ temperature, ITS-90, of the first column with a usable value",
        metadata={"unit": "degC"},
    )
    practical_salinity: Series[np.float64] = pa.Field(
        nullable=True,
        description="practical salinity, PSS-78, of the first column with a usable value",
        metadata={"unit": "1"},
    )
    absolute_salinity_g_kg: Series[np.float64] = pa.Field(
        nullable=True, description="absolute salinity, TEOS-10", metadata={"unit": "g/kg"}
    )
    conservative_temperature_c: Series[np.float64] = pa.Field(
        nullable=True, description="conservative temperature, TEOS-10", metadata={"unit": "degC"}
    )
    sigma0_kg_m3: Series[np.float64] = pa.Field(
        nullable=True, description="potential density anomaly at the surface, TEOS-10", metadata={"unit": "kg/m3"}
    )
    qartod_density_inversion: Series[np.int8] = _qartod("density inversion along the cast")

    class Config:
        strict = True
        coerce = False


class Casts(pa.DataFrameModel):
    """One row for each cast: one lowering of instruments, one profile, or one mooring's series."""

    source_key: Series[str] = pa.Field(description="key of the file in the landing store")
    cruise: Series[str] = pa.Field(description=CRUISE)
    cast_index: Series[np.int32] = pa.Field(ge=0, description=CAST_INDEX, metadata={"unit": "1"})
    expocode: Series[str] = _text("EXPOCODE, as in the file", nullable=True)
    section: Series[str] = _text("section (SECT_ID)", nullable=True)
    station: Series[str] = _text("station (STNNBR)")
    cast_number: Series[str] = _text("cast at the station (CASTNO)")
    time: Series[pd.DatetimeTZDtype] = pa.Field(
        dtype_kwargs={"unit": "us", "tz": "UTC"}, nullable=True, description="DATE and TIME; of a series its begin",
        metadata={"unit": "UTC", "from": ["file"]},
    )  # fmt: skip
    latitude: Series[np.float64] = pa.Field(
        nullable=True, description="latitude as in the file, north positive", metadata={"unit": "degrees", **_FILE}
    )
    longitude: Series[np.float64] = pa.Field(
        nullable=True, description="longitude as in the file, east positive", metadata={"unit": "degrees", **_FILE}
    )
    bottom_depth_m: Series[np.float64] = pa.Field(
        nullable=True, description="depth of the sea floor (DEPTH)", metadata={"unit": "m", **_FILE}
    )
    observations: Series[np.int32] = _count("observations of the cast", ["levels.row"])
    pressure_min_dbar: Series[np.float64] = _figure("least pressure", "dbar", ["levels.pressure_dbar"])
    pressure_max_dbar: Series[np.float64] = _figure("most pressure", "dbar", ["levels.pressure_dbar"])
    pressure_not_increasing: Series[np.int32] = _count(
        "levels that lie no deeper than the one before, in profiles whose levels go down", ["levels.pressure_dbar"]
    )
    qartod_location: Series[np.int8] = _qartod(
        "location: on the globe, and within a ship's reach of the cast before", ["file"]
    )
    qartod_time: Series[np.int8] = _qartod("time: no earlier than deep-sea research, no later than now", ["file"])
    member: Series[str] = _text("file of the archive that the cast came from", nullable=True)
    headers: Series[str] = _text("other header lines of the cast, as KEY = value", nullable=True)

    class Config:
        strict = True
        coerce = False


class Files(pa.DataFrameModel):
    """One row for each file: how much is in it, when and where it was measured, and how much of it is in doubt."""

    source_key: Series[str] = pa.Field(description="key of the file in the landing store")
    kind: Series[str] = _text("what the file is, by its content")
    sha256: Series[str] = _text("SHA-256 of the file", str_matches=r"^[0-9a-f]{64}$")
    size_bytes: Series[np.int64] = pa.Field(gt=0, description="size of the file", metadata={"unit": "byte", **_FILE})
    group_name: Series[str] = _text("the group that the file belongs to, from its key", ["file.key"])
    cruise: Series[str] = pa.Field(description=f"{CRUISE}; of several the first")
    expocodes: Series[str] = _text("all expocodes in the file, comma-separated", nullable=True)
    sections: Series[str] = _text("all sections in the file, comma-separated", nullable=True)
    observations: Series[np.int64] = _count("observations: data rows of the file", ["levels.row"])
    casts: Series[np.int32] = _count("casts", ["casts.cast_index"])
    stations: Series[np.int32] = _count("different stations", ["casts.station"])
    parameters: Series[np.int32] = _count("parameters", ["observations.parameter"])
    time_min: Series[pd.DatetimeTZDtype] = pa.Field(
        dtype_kwargs={"unit": "us", "tz": "UTC"}, nullable=True, description="earliest time",
        metadata={"unit": "UTC", "from": ["levels.time"]},
    )  # fmt: skip
    time_max: Series[pd.DatetimeTZDtype] = pa.Field(
        dtype_kwargs={"unit": "us", "tz": "UTC"}, nullable=True, description="latest time",
        metadata={"unit": "UTC", "from": ["levels.time"]},
    )  # fmt: skip
    pressure_min_dbar: Series[np.float64] = _figure("least pressure", "dbar", ["levels.pressure_dbar"])
    pressure_max_dbar: Series[np.float64] = _figure("most pressure", "dbar", ["levels.pressure_dbar"])
    depth_max_m: Series[np.float64] = _figure("most depth", "m", ["levels.depth_m"])
    latitude_min: Series[np.float64] = _figure("southernmost latitude", "degrees", ["levels.latitude"])
    latitude_max: Series[np.float64] = _figure("northernmost latitude", "degrees", ["levels.latitude"])
    longitude_west: Series[np.float64] = _figure(
        "western side of the smallest box that holds all positions; greater than the eastern one across the dateline",
        "degrees", ["levels.longitude"],
    )  # fmt: skip
    longitude_east: Series[np.float64] = _figure("eastern side of that box", "degrees", ["levels.longitude"])
    crosses_dateline: Series[bool] = pa.Field(
        description="whether that box lies across the dateline", metadata={"from": ["levels.longitude"]}
    )
    around_pole: Series[str] = _text(
        "N or S where the positions lie around a pole, else empty", ["levels.latitude", "levels.longitude"],
        isin=("", "N", "S"),
    )  # fmt: skip
    values_flagged_bad: Series[np.int64] = _count(
        "values that the originator calls bad or questionable", ["observations.flag"]
    )
    values_qartod_suspect: Series[np.int64] = _count("values that QARTOD's tests suspect", ["observations.qartod"])
    values_qartod_fail: Series[np.int64] = _count("values that fail QARTOD's tests", ["observations.qartod"])
    findings_error: Series[np.int32] = _count("kinds of findings that make data wrong or unusable", ["findings.code"])
    findings_warning: Series[np.int32] = _count("kinds of findings that should be mended", ["findings.code"])
    cf_score: Series[np.float64] = pa.Field(
        nullable=True, ge=0, le=1, description="share of the points of the CF conventions that a NetCDF file has",
        metadata={"unit": "1", **_FILE},
    )  # fmt: skip
    cf_points: Series[pd.Int32Dtype] = pa.Field(
        nullable=True, ge=0, description="those points (compliance-checker, cf:1.8)", metadata={"unit": "1", **_FILE}
    )
    cf_points_possible: Series[pd.Int32Dtype] = pa.Field(
        nullable=True, ge=0, description="the points that it could have", metadata={"unit": "1", **_FILE}
    )
    stamp: Series[str] = _text("first line of the file (Exchange: who wrote it, and when)", nullable=True)
    comments: Series[str] = _text("what people wrote at its beginning", nullable=True)

    class Config:
        strict = True
        coerce = False


class ParameterStats(pa.DataFrameModel):
    """One row for each parameter of each cast: how many values there are, of which flag, and between what they lie."""

    source_key: Series[str] = pa.Field(description="key of the file in the landing store")
    cruise: Series[str] = pa.Field(description=CRUISE)
    cast_index: Series[np.int32] = pa.Field(ge=0, description=CAST_INDEX, metadata={"unit": "1"})
    station: Series[str] = pa.Field(description="station (STNNBR)")
    cast_number: Series[str] = pa.Field(description="cast at the station (CASTNO)")
    parameter: Series[str] = pa.Field(description="name of the column in the file")
    standard_name: Series[str] = pa.Field(nullable=True, description="CF standard name, where it is known")
    unit: Series[str] = pa.Field(description="unit as in the file")
    n: Series[np.int32] = _count("values that are there", _VALUE)
    n_good: Series[np.int32] = _count("of them, good by the originator's flag or without one", ["observations.flag"])
    n_missing: Series[np.int32] = _count("fill values, and values that are no number", _VALUE)
    n_flag_1: Series[np.int32] = _count("rows with flag 1", ["observations.flag"])
    n_flag_2: Series[np.int32] = _count("rows with flag 2", ["observations.flag"])
    n_flag_3: Series[np.int32] = _count("rows with flag 3", ["observations.flag"])
    n_flag_4: Series[np.int32] = _count("rows with flag 4", ["observations.flag"])
    n_flag_5: Series[np.int32] = _count("rows with flag 5", ["observations.flag"])
    n_flag_6: Series[np.int32] = _count("rows with flag 6", ["observations.flag"])
    n_flag_7: Series[np.int32] = _count("rows with flag 7", ["observations.flag"])
    n_flag_8: Series[np.int32] = _count("rows with flag 8", ["observations.flag"])
    n_flag_9: Series[np.int32] = _count("rows with flag 9", ["observations.flag"])
    n_flag_other: Series[np.int32] = _count("rows with any other flag", ["observations.flag"])
    n_flag_none: Series[np.int32] = _count("rows without a flag", ["observations.flag"])
    n_qartod_suspect: Series[np.int32] = _count("values that QARTOD's tests suspect", ["observations.qartod"])
    n_qartod_fail: Series[np.int32] = _count("values that fail QARTOD's tests", ["observations.qartod"])
    min: Series[np.float64] = _figure("least value", "as unit", _VALUE)
    max: Series[np.float64] = _figure("greatest value", "as unit", _VALUE)
    mean: Series[np.float64] = _figure("mean of the values", "as unit", _VALUE)
    min_good: Series[np.float64] = _figure("least good value", "as unit", [*_VALUE, "observations.flag"])
    max_good: Series[np.float64] = _figure("greatest good value", "as unit", [*_VALUE, "observations.flag"])
    mean_good: Series[np.float64] = _figure("mean of the good values", "as unit", [*_VALUE, "observations.flag"])

    class Config:
        strict = True
        coerce = False


class Findings(pa.DataFrameModel):
    """One row for each kind of oddity of a file: what was read all the same, and should be known or mended."""

    source_key: Series[str] = pa.Field(description="key of the file in the landing store")
    cruise: Series[str] = pa.Field(description=CRUISE)
    code: Series[str] = _text("what was found, as a word to filter by")
    severity: Series[str] = _text(
        "error: data are wrong or unusable; warning: should be mended; info: worth knowing",
        isin=("error", "warning", "info"),
    )
    parameter: Series[str] = _text("the column it is about; empty when it is the file")
    message: Series[str] = _text("what was found, in words")
    count: Series[np.int64] = pa.Field(gt=0, description="how often", metadata={"unit": "1", **_FILE})
    places: Series[str] = _text("where it was seen first")

    class Config:
        strict = True
        coerce = False
