"""`CruiseFile` -> rows of every table, as schema.py describes them. Pure functions of numpy arrays."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from pipeline_assets.columns import FEW
from pipeline_assets.ocean import qartod, quality
from pipeline_assets.ocean.config import OceanConfig
from pipeline_assets.ocean.extent import extent_of
from pipeline_assets.ocean.flags import WOCE, among, check_flags
from pipeline_assets.ocean.levels import Levels, inversions, levels_of, times_of
from pipeline_assets.ocean.parameters import SALINITY, TEMPERATURE
from pipeline_assets.ocean.read.cruise_file import NO_FLAG, CruiseFile, Parameter, group_of, stem
from pipeline_assets.ocean.statistics import Judged, statistics_rows

Rows = dict[str, Any]
"""Columns by name: each an array, a list, or one value that holds for every row."""

BAD = {"woce_ctd": (3, 4), "woce_sample": (3, 4)}
_MOST_COMMENTS = 20_000


def tables(file: CruiseFile, config: OceanConfig) -> dict[str, Rows]:
    """The rows of every table. Adds to the file's findings what its values show."""
    cruise = cruises_of(file)
    time = times_of(file)
    order = quality.order_of(file, time, config)
    months = quality.months_of(time) if config.climatology else None
    # Two halves that take about as long as each other; nearly all of it is numpy and gsw, which let other threads run.
    with ThreadPoolExecutor(1, thread_name_prefix="derive") as thread:
        state = thread.submit(levels_of, file)
        check_flags(file, file.findings)
        flags = [quality.judge_parameter(file, one, order, months, config) for one in file.parameters]
        levels = state.result()
        rows = np.arange(file.rows) if order.rows is None else order.rows
        inverted = inversions(file, levels, rows, order.starts, config)
        judged = [_judged(one, of_one, inverted) for one, of_one in zip(file.parameters, flags, strict=True)]
        counted = thread.submit(statistics_rows, file, cruise, judged)
        of_casts = _of_casts(file, cruise)
        observations = _observations(file, of_casts, judged)
        casts = _casts(file, cruise, levels, config)
        statistics = counted.result()
    return {
        "observations": observations,
        "levels": _levels(file, of_casts, levels, inverted),
        "casts": casts,
        "parameter_stats": statistics,
        "findings": _findings(file, cruise),
        "files": _files(file, cruise, levels, statistics),
    }


def cruises_of(file: CruiseFile) -> NDArray[Any]:
    """The cruise of each cast."""
    name = group_of(file.key) or stem(file.key)
    return np.array([cast.expocode or name for cast in file.casts] or [name], dtype=object)


def _judged(one: Parameter, flags: dict[str, NDArray[np.int8]], inverted: NDArray[np.int8]) -> Judged:
    tests = list({id(array): array for array in flags.values()}.values())
    if one.standard_name in (TEMPERATURE, SALINITY):
        missing = np.isnan(one.values)
        tests.append(np.where(missing, np.int8(qartod.MISSING), inverted))
    return Judged(one, flags, qartod.worst(tests, len(one.values)))


def _category(codes: NDArray[Any], names: Any) -> pa.DictionaryArray:
    """A column of few different texts: codes into `names`; -1 where there is none. Equal names become one."""
    found: dict[Any, int] = {}
    as_unique = np.array([-1 if name is None else found.setdefault(name, len(found)) for name in names], dtype=np.int32)
    mapped = np.where(codes >= 0, as_unique[codes], -1) if len(as_unique) else np.full(len(codes), -1, dtype=np.int32)
    return _coded(mapped.astype(np.int32, copy=False), list(found))


def _coded(codes: NDArray[np.int32], names: list[str]) -> pa.DictionaryArray:
    missing = codes < 0
    indices = pa.array(codes, mask=missing if missing.any() else None)
    return pa.DictionaryArray.from_arrays(indices, pa.array(names, pa.string()))


def _texts(values: NDArray[Any] | None, rows: int) -> pa.DictionaryArray:
    """A column of texts, missing where they are empty."""
    if values is None:
        return pa.nulls(rows, FEW)
    codes, names = pd.factorize(np.array([value or None for value in values], dtype=object))
    return _coded(codes.astype(np.int32), list(names))


def _flags(values: NDArray[np.int16] | None, rows: int) -> pa.Array:
    if values is None:
        return pa.nulls(rows, pa.int16())
    missing = values == NO_FLAG
    return pa.array(values, mask=missing if missing.any() else None)


def _of_casts(file: CruiseFile, cruise: NDArray[Any]) -> Rows:
    index = file.cast_index
    return {
        "cruise": _category(index, cruise),
        "station": _category(index, [cast.station for cast in file.casts]),
        "cast_number": _category(index, [cast.number for cast in file.casts]),
        "cast_index": pa.array(index),
    }


def _observations(file: CruiseFile, of_casts: Rows, judged: list[Judged]) -> Rows:
    """One row for each value of each parameter, parameter by parameter, so that one parameter's values lie together in the
    data files. A column has a piece for each parameter; parameters share what is equal for them, so little is copied."""
    everywhere = {
        **of_casts,
        "row": pa.array(np.arange(file.rows, dtype=np.int32)),
        "pressure_dbar": pa.array(file.pressure, from_pandas=True),
    }
    parameters = [one.parameter for one in judged]
    at = [None if one.present is None else np.flatnonzero(one.present) for one in parameters]
    sizes = [file.rows if rows is None else len(rows) for rows in at]

    def pieces(arrays: Iterable[pa.Array], kind: pa.DataType) -> pa.ChunkedArray:
        made = [array if rows is None else array.take(pa.array(rows)) for array, rows in zip(arrays, at, strict=True)]
        return pa.chunked_array(made, type=kind)

    def named(names: list[str | None]) -> pa.ChunkedArray:
        found = list(dict.fromkeys(name for name in names if name is not None))
        codes = [-1 if name is None else found.index(name) for name in names]
        made = [_coded(np.full(size, code, dtype=np.int32), found) for code, size in zip(codes, sizes, strict=True)]
        return pa.chunked_array(made, type=FEW)

    flags = [_judgements(one) for one in judged]
    return {
        **{name: pieces([array] * len(judged), array.type) for name, array in everywhere.items()},
        "parameter": named([one.name for one in parameters]),
        "standard_name": named([one.standard_name for one in parameters]),
        "unit": named([one.unit for one in parameters]),
        "value": pieces([pa.array(one.values, from_pandas=True) for one in parameters], pa.float64()),
        "text": pieces([_texts(one.text, file.rows) for one in parameters], FEW),
        "flag": pieces([_flags(one.flags, file.rows) for one in parameters], pa.int16()),
        "qartod": pieces([pa.array(one.worst).cast(pa.int32()) for one in judged], pa.int32()),
        **{f"qartod_{test}": pieces([one[test] for one in flags], pa.int32()) for test in quality.TESTS},
    }


def _judgements(one: Judged) -> dict[str, pa.Array]:
    """The flags of each test, as tables have them. Tests that were not done share theirs."""
    made = {id(flags): pa.array(flags).cast(pa.int32()) for flags in one.flags.values()}
    return {test: made[id(flags)] for test, flags in one.flags.items()}


def _levels(file: CruiseFile, of_casts: Rows, levels: Levels, inverted: NDArray[np.int8]) -> Rows:
    rows = file.rows
    return {
        **of_casts,
        "row": np.arange(rows, dtype=np.int32),
        "sample": _texts(file.sample, rows),
        "bottle": _texts(file.bottle, rows),
        "bottle_flag": _flags(file.bottle_flags, rows),
        "time": _utc(levels.time),
        "latitude": levels.latitude,
        "longitude": levels.longitude,
        "pressure_dbar": file.pressure,
        "depth_m": levels.depth_m,
        "temperature_c": levels.temperature_c,
        "practical_salinity": levels.practical_salinity,
        "absolute_salinity_g_kg": levels.absolute_salinity,
        "conservative_temperature_c": levels.conservative_temperature,
        "sigma0_kg_m3": levels.sigma0,
        "qartod_density_inversion": inverted,
    }


def _utc(times: NDArray[np.datetime64]) -> Any:
    return pd.DatetimeIndex(times.astype("datetime64[us]")).tz_localize("UTC")


def _casts(file: CruiseFile, cruise: NDArray[Any], levels: Levels, config: OceanConfig) -> Rows:
    casts, index = file.casts, file.cast_index
    count = np.bincount(index, minlength=len(casts))
    low, high = np.full(len(casts), np.inf), np.full(len(casts), -np.inf)
    known = ~np.isnan(file.pressure)
    np.minimum.at(low, index[known], file.pressure[known])
    np.maximum.at(high, index[known], file.pressure[known])
    backwards = _not_increasing(file)
    file.findings.add(
        "pressure_not_increasing", "warning", "levels lie no deeper than the one before", count=int(backwards.sum()),
        places=[f"station {casts[at].station}, cast {casts[at].number}" for at in np.flatnonzero(backwards)],
    )  # fmt: skip
    place = quality.judge_positions(file, config)
    time = quality.judge_times(file, config, np.datetime64("now", "us"))
    _note_places(file, place, time)
    return {
        "source_key": file.key,
        "cruise": cruise[: len(casts)],
        "cast_index": np.arange(len(casts), dtype=np.int32),
        "expocode": [cast.expocode or None for cast in casts],
        "section": [cast.section or None for cast in casts],
        "station": [cast.station for cast in casts],
        "cast_number": [cast.number for cast in casts],
        "time": _utc(np.array([cast.time for cast in casts], dtype="datetime64[us]")),
        "latitude": np.array([cast.latitude for cast in casts], dtype=np.float64),
        "longitude": np.array([cast.longitude for cast in casts], dtype=np.float64),
        "bottom_depth_m": np.array([cast.bottom_depth_m for cast in casts], dtype=np.float64),
        "observations": count.astype(np.int32),
        "pressure_min_dbar": np.where(np.isinf(low), np.nan, low),
        "pressure_max_dbar": np.where(np.isinf(high), np.nan, high),
        "pressure_not_increasing": backwards.astype(np.int32),
        "qartod_location": place,
        "qartod_time": time,
        "member": [cast.member or None for cast in casts],
        "headers": [cast.headers or None for cast in casts],
    }


def _not_increasing(file: CruiseFile) -> NDArray[np.int64]:
    """For each cast, how many levels lie no deeper than the one before; 0 for samples, series and casts that go up and down."""
    none = np.zeros(len(file.casts), dtype=np.int64)
    if file.axis != "pressure" or file.is_samples or file.rows < 2:
        return none
    step = np.diff(file.pressure)
    within = file.cast_index[1:] == file.cast_index[:-1]
    with np.errstate(invalid="ignore"):
        backwards = within & (step <= 0)
    counts = np.bincount(file.cast_index[1:][backwards], minlength=len(file.casts))
    steps = np.bincount(file.cast_index[1:][within], minlength=len(file.casts))
    # A raw cast goes down and up again, and a profile may be given from below: neither is out of order.
    return np.where(counts * 4 > steps, 0, counts)


def _note_places(file: CruiseFile, place: NDArray[np.int8], time: NDArray[np.int8]) -> None:
    def where(at: int) -> str:
        cast = file.casts[at]
        return f"{cast.member + ': ' if cast.member else ''}station {cast.station}, cast {cast.number}"

    findings = file.findings
    missing = place == qartod.MISSING
    findings.add_rows("no_position", "error", "a cast has no position", missing, where)
    findings.add_rows("bad_position", "error", "a cast's position is none on the globe", place == qartod.FAIL, where)
    findings.add_rows(
        "suspect_position", "warning", "a cast is further from the one before than a ship sails in that time",
        place == qartod.SUSPECT, where,
    )  # fmt: skip
    findings.add_rows("bad_time", "warning", "a cast's time cannot be right", time == qartod.FAIL, where)
    east = np.array([cast.longitude > 180 for cast in file.casts], dtype=bool)
    findings.add_rows("longitude_to_360", "info", "longitudes count to 360 degrees east", east, where)


def _findings(file: CruiseFile, cruise: NDArray[Any]) -> Rows:
    found = list(file.findings)
    return {
        "source_key": file.key,
        "cruise": str(cruise[0]),
        "code": [one.code for one in found],
        "severity": [one.severity for one in found],
        "parameter": [one.parameter for one in found],
        "message": [one.message for one in found],
        "count": np.array([one.count for one in found], dtype=np.int64),
        "places": ["; ".join(one.places) for one in found],
    }


def _files(file: CruiseFile, cruise: NDArray[Any], levels: Levels, statistics: Rows) -> Rows:
    extent = extent_of(*_positions(file, levels))
    known = levels.time[~np.isnat(levels.time)]
    severities = [one.severity for one in file.findings]
    bad = sum(
        int(among(one.flags, BAD[one.flag_scheme]).sum())
        for one in file.parameters
        if one.flags is not None and one.flag_scheme in WOCE & BAD.keys()
    )
    return {
        "source_key": file.key, "kind": file.kind, "sha256": file.sha256,
        "size_bytes": np.array([file.size_bytes], dtype=np.int64),
        "group_name": group_of(file.key) or stem(file.key),
        "cruise": str(cruise[0]),
        "expocodes": _listed([cast.expocode for cast in file.casts]),
        "sections": _listed([cast.section for cast in file.casts]),
        "observations": file.rows, "casts": len(file.casts),
        "stations": len({(cast.expocode, cast.station) for cast in file.casts}),
        "parameters": len(file.parameters),
        "time_min": known.min() if len(known) else None, "time_max": known.max() if len(known) else None,
        "pressure_min_dbar": _least(file.pressure), "pressure_max_dbar": -_least(-file.pressure),
        "depth_max_m": -_least(-levels.depth_m),
        "latitude_min": extent.south, "latitude_max": extent.north,
        "longitude_west": extent.west, "longitude_east": extent.east,
        "crosses_dateline": extent.crosses_dateline, "around_pole": extent.pole,
        "values_flagged_bad": bad,
        "values_qartod_suspect": int(statistics["n_qartod_suspect"].sum()),
        "values_qartod_fail": int(statistics["n_qartod_fail"].sum()),
        "findings_error": severities.count("error"), "findings_warning": severities.count("warning"),
        "cf_score": file.score / file.score_possible if file.score is not None and file.score_possible else None,
        "cf_points": file.score, "cf_points_possible": file.score_possible,
        "stamp": file.stamp[:500] or None, "comments": file.comments[:_MOST_COMMENTS] or None,
    }  # fmt: skip


def _positions(file: CruiseFile, levels: Levels) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Latitude and longitude of every row; where they are those of its cast, once for rows that follow each other."""
    if file.latitude is not None or file.longitude is not None:
        return levels.latitude, levels.longitude
    firsts = np.flatnonzero(np.diff(file.cast_index, prepend=-1))
    return levels.latitude[firsts], levels.longitude[firsts]


def _listed(texts: list[str]) -> str | None:
    return ", ".join(dict.fromkeys(text for text in texts if text)) or None


def _least(values: NDArray[np.float64]) -> float:
    return float(np.nanmin(values)) if len(values) and not np.isnan(values).all() else float("nan")
