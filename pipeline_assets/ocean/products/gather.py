"""A cruise's long rows as arrays: for each kind of data one value, flag and test result for each parameter and level."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = {
    "observations": ("row", "parameter", "standard_name", "unit", "value", "flag", "qartod"),
    "levels": (
        "cast_index", "row", "sample", "bottle", "time", "latitude", "longitude", "pressure_dbar", "depth_m",
        "temperature_c", "practical_salinity", "sigma0_kg_m3",
    ),
    "casts": (
        "source_key", "cast_index", "expocode", "section", "station", "cast_number", "time", "latitude", "longitude",
        "bottom_depth_m",
    ),
    "files": ("source_key", "kind", "observations", "casts", "stations", "comments", "stamp"),
}  # fmt: skip
"""What is needed of each table."""
_ROWS = 1 << 32
NO_FLAG = -32768
NOT_EVALUATED = 2


@dataclass
class Parameter:
    """One parameter over all levels of a part. value: NaN where there is none. flag: int16, `NO_FLAG` where there is none."""

    name: str
    unit: str
    standard_name: str | None
    value: NDArray[np.float64]
    flag: NDArray[np.int16]
    qartod: NDArray[np.int8]


@dataclass
class Part:
    """The files of one kind of a cruise.

    is_series: whether a cast is a time series at one place, not a profile.
    casts: a row each, in the order of files and casts. levels: a row each, cast by cast. sizes: levels of each cast.
    """

    kind: str
    is_series: bool
    keys: list[str]
    casts: pd.DataFrame
    levels: pd.DataFrame
    sizes: NDArray[np.int64]
    parameters: list[Parameter]


def parts_of(rows: Mapping[str, pa.Table]) -> list[Part]:
    """The parts of a cruise, one for each kind of file, profiles and series apart."""
    files = rows["files"].to_pandas()
    rank = {file_id: number for number, file_id in enumerate(files["file_id"])}
    casts = rows["casts"].to_pandas().assign(file=lambda all_: all_["file_id"].map(rank))
    casts = casts.sort_values(["file", "cast_index"], kind="stable", ignore_index=True)
    levels = rows["levels"].to_pandas().assign(file=lambda all_: all_["file_id"].map(rank))
    levels = levels.sort_values(["file", "cast_index", "row"], kind="stable", ignore_index=True)
    series = _files_of_series(levels)
    observations = _coded(rows["observations"], rank)
    parts = []
    for (kind, is_series), group in files.assign(is_series=files["file_id"].isin(series)).groupby(
        ["kind", "is_series"], sort=True
    ):
        numbers = {rank[file_id] for file_id in group["file_id"]}
        of_levels = levels[levels["file"].isin(numbers)].reset_index(drop=True)
        if not len(of_levels):
            continue
        of_casts = casts[casts["file"].isin(numbers)].reset_index(drop=True)
        parts.append(
            Part(
                str(kind), bool(is_series), list(group["source_key"]), of_casts, of_levels, _sizes(of_casts, of_levels),
                list(_parameters(observations, numbers, _place(of_levels["file"], of_levels["row"]))),
            )
        )  # fmt: skip
    return parts


def _files_of_series(levels: pd.DataFrame) -> set[str]:
    """Files with a cast whose time changes while its pressure does not."""
    by_cast = levels.groupby(["file_id", "cast_index"])
    spread = by_cast["pressure_dbar"].max() - by_cast["pressure_dbar"].min()
    is_series = (by_cast["time"].nunique() > 1) & ~(spread > 0)
    return set(is_series[is_series].index.get_level_values(0))


def _place(file: Any, row: Any) -> NDArray[np.int64]:
    """One number for a row of a file."""
    return np.asarray(file, np.int64) * _ROWS + np.asarray(row, np.int64)


def _sizes(casts: pd.DataFrame, levels: pd.DataFrame) -> NDArray[np.int64]:
    wanted = _place(casts["file"], casts["cast_index"])
    there = _place(levels["file"], levels["cast_index"])
    return np.searchsorted(there, wanted, side="right") - np.searchsorted(there, wanted, side="left")


@dataclass
class _Observations:
    """Observations by number: of the file, of the row in it, and of what was measured."""

    file: NDArray[np.int64]
    row: NDArray[np.int64]
    what: NDArray[np.int64]
    names: list[tuple[str, str, str | None]]
    """parameter, unit and standard name of each number of `what`"""
    value: NDArray[np.float64]
    flag: NDArray[np.int16]
    qartod: NDArray[np.int8]


def _coded(table: pa.Table, rank: Mapping[str, int]) -> _Observations:
    def codes(name: str) -> tuple[NDArray[np.int64], list[Any]]:
        column = table[name].combine_chunks().dictionary_encode("encode")
        column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        return column.indices.to_numpy(zero_copy_only=False).astype(np.int64), column.dictionary.to_pylist()

    file_code, file_ids = codes("file_id")
    file = np.array([rank[file_id] for file_id in file_ids], np.int64)[file_code] if file_ids else file_code
    parameter, parameters = codes("parameter")
    unit, units = codes("unit")
    standard, standards = codes("standard_name")
    combined = (parameter * max(len(units), 1) + unit) * max(len(standards), 1) + standard
    # Numbered in the order in which they stand in the files.
    found, first, what = np.unique(combined, return_index=True, return_inverse=True)
    order = np.argsort(first)
    names = [(parameters[parameter[at]], units[unit[at]] or "", standards[standard[at]]) for at in first[order]]
    renumbered = np.empty(len(found), np.int64)
    renumbered[order] = np.arange(len(found))
    return _Observations(
        file,
        table["row"].to_numpy().astype(np.int64),
        renumbered[what],
        names,
        table["value"].to_numpy().astype(np.float64),
        table["flag"].fill_null(NO_FLAG).to_numpy().astype(np.int16),
        table["qartod"].to_numpy().astype(np.int8),
    )


def _parameters(all_: _Observations, files: set[int], places: NDArray[np.int64]) -> Iterator[Parameter]:
    order = np.argsort(places)
    ordered = places[order]
    mine = np.isin(all_.file, sorted(files))
    for number, (name, unit, standard) in enumerate(all_.names):
        chosen = np.flatnonzero(mine & (all_.what == number))
        if not len(chosen):
            continue
        at = order[np.searchsorted(ordered, _place(all_.file[chosen], all_.row[chosen]))]
        value = np.full(len(places), np.nan)
        flag = np.full(len(places), NO_FLAG, np.int16)
        qartod = np.full(len(places), NOT_EVALUATED, np.int8)
        value[at], flag[at], qartod[at] = all_.value[chosen], all_.flag[chosen], all_.qartod[chosen]
        yield Parameter(name, unit, standard, value, flag, qartod)
