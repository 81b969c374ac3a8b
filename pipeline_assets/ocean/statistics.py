"""Numbers of each parameter and cast: how many values, of which flag, and between what they lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.ocean import qartod
from pipeline_assets.ocean.flags import is_good
from pipeline_assets.ocean.read.cruise_file import NO_FLAG, CruiseFile, Parameter

LEGAL_FLAGS = range(1, 10)


@dataclass(eq=False)
class Judged:
    """A parameter with the flags of each quality test, and the worst of them, for every row."""

    parameter: Parameter
    flags: dict[str, NDArray[np.int8]]
    worst: NDArray[np.int8]


def statistics_rows(file: CruiseFile, cruise: NDArray[Any], judged: list[Judged]) -> dict[str, Any]:
    """One row for each parameter of each cast that has it."""
    size = len(file.casts)
    columns: dict[str, list[NDArray[Any]]] = {}
    names: dict[str, list[Any]] = {"parameter": [], "standard_name": [], "unit": []}
    casts: list[NDArray[np.int64]] = []
    for one in judged:
        made, there = _of_parameter(one, file.cast_index, size)
        for name, values in made.items():
            columns.setdefault(name, []).append(values[there])
        casts.append(there)
        names["parameter"] += [one.parameter.name] * len(there)
        names["standard_name"] += [one.parameter.standard_name] * len(there)
        names["unit"] += [one.parameter.unit] * len(there)
    at = np.concatenate(casts) if casts else np.empty(0, dtype=np.int64)
    stations = np.array([cast.station for cast in file.casts] or [""], dtype=object)
    numbers = np.array([cast.number for cast in file.casts] or [""], dtype=object)
    return {
        "source_key": file.key,
        "cruise": cruise[at],
        "cast_index": at.astype(np.int32),
        "station": stations[at],
        "cast_number": numbers[at],
        **{name: np.array(values, dtype=object) for name, values in names.items()},
        **{name: np.concatenate(columns[name]) if name in columns else _EMPTY[name] for name in COLUMNS},
    }


COUNTS = (
    "n", "n_good", "n_missing", *(f"n_flag_{flag}" for flag in LEGAL_FLAGS), "n_flag_other", "n_flag_none",
    "n_qartod_suspect", "n_qartod_fail",
)  # fmt: skip
COLUMNS = (*COUNTS, "min", "max", "mean", "min_good", "max_good", "mean_good")
_EMPTY = {name: np.empty(0, dtype=np.int32 if name in COUNTS else np.float64) for name in COLUMNS}


def _of_parameter(
    one: Judged, index: NDArray[np.int32], casts: int
) -> tuple[dict[str, NDArray[Any]], NDArray[np.int64]]:
    parameter = one.parameter
    values = parameter.values
    present = parameter.present
    if present is not None:
        values, index = values[present], index[present]
    there = ~np.isnan(values)
    good = is_good(parameter) if present is None else is_good(parameter)[present]
    rows = np.bincount(index, minlength=casts)
    n = _counted(index, there, casts)
    worst = one.worst if present is None else one.worst[present]
    made: dict[str, NDArray[Any]] = {
        "n": n,
        "n_good": _counted(index, good, casts),
        "n_missing": (rows - n).astype(np.int32),
        "n_qartod_suspect": _counted(index, worst == qartod.SUSPECT, casts),
        "n_qartod_fail": _counted(index, worst == qartod.FAIL, casts),
        **_flag_counts(parameter, index, rows),
    }
    of_all = _range(values, index, there, casts)
    of_good = of_all if np.array_equal(there, good) else _range(values, index, good, casts)
    for suffix, (low, high, mean) in (("", of_all), ("_good", of_good)):
        made |= {f"min{suffix}": low, f"max{suffix}": high, f"mean{suffix}": mean}
    return made, np.flatnonzero(rows)


def _counted(index: NDArray[np.int32], mask: NDArray[np.bool_], casts: int) -> NDArray[np.int32]:
    return np.bincount(index[mask], minlength=casts).astype(np.int32)


def _flag_counts(
    parameter: Parameter, index: NDArray[np.int32], rows: NDArray[np.int64]
) -> dict[str, NDArray[np.int32]]:
    casts = len(rows)
    if parameter.flags is None:
        zero = np.zeros(casts, dtype=np.int32)
        counts = dict.fromkeys((f"n_flag_{flag}" for flag in LEGAL_FLAGS), zero)
        return counts | {"n_flag_other": zero, "n_flag_none": rows.astype(np.int32)}
    flags = parameter.flags if parameter.present is None else parameter.flags[parameter.present]
    legal = (flags >= 1) & (flags <= 9)
    code = np.where(legal, flags, np.where(flags == NO_FLAG, 10, 0)).astype(np.int64)
    table = np.bincount(index.astype(np.int64) * 11 + code, minlength=casts * 11).reshape(casts, 11).astype(np.int32)
    return {
        **{f"n_flag_{flag}": table[:, flag] for flag in LEGAL_FLAGS},
        "n_flag_other": table[:, 0],
        "n_flag_none": table[:, 10],
    }


def _range(
    values: NDArray[np.float64], index: NDArray[np.int32], mask: NDArray[np.bool_], casts: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Least, greatest and mean value of each cast; NaN for those without one."""
    chosen, of = values[mask], index[mask]
    low, high, mean = (np.full(casts, np.nan) for _ in range(3))
    if not len(chosen):
        return low, high, mean
    if np.any(of[1:] < of[:-1]):
        order = np.argsort(of, kind="stable")
        chosen, of = chosen[order], of[order]
    starts = np.flatnonzero(np.concatenate([[True], of[1:] != of[:-1]]))
    at = of[starts]
    low[at] = np.minimum.reduceat(chosen, starts)
    high[at] = np.maximum.reduceat(chosen, starts)
    with np.errstate(over="ignore"):
        sums = np.add.reduceat(chosen, starts)
    mean[at] = np.clip(sums / np.diff(np.append(starts, len(chosen))), low[at], high[at])
    return low, high, mean
