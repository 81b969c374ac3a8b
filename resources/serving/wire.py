"""Prices as PostgreSQL's binary COPY has them: whole arrays are turned into rows at once.

Format: https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

CODE_LENGTH = 5
"""A UN/LOCODE: two letters of the country, three of the place."""
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"

_EPOCH_DAYS = 10_957  # from 1970-01-01, Arrow's first day, to 2000-01-01, PostgreSQL's
LANE_SHIFT = 32
"""A lane and a day as one number: the lane, shifted by so many bits, plus the days since 2000-01-01."""


def _record(**columns: str) -> np.dtype[Any]:
    fields: list[tuple[str, str]] = [("fields", ">i2")]
    for name, kind in columns.items():
        fields += [(f"length of {name}", ">i4"), (name, kind)]
    return np.dtype(fields)


_STORED = _record(file_no=">i4", row=">i4", lane_id=">i4", day=">i4", price=">f8")
_MOMENT = _record(lane_id=">i4", day=">i4")
_DAILY = _record(
    lane_id=">i4", day=">i4", prices=">i4", total=">f8",
    p2_5=">f8", p25=">f8", median=">f8", p75=">f8", p97_5=">f8",
)  # fmt: skip
_COMPARED = _record(row=">i4", orig_code=f"S{CODE_LENGTH}", dest_code=f"S{CODE_LENGTH}", day=">i4", price=">f8")


@dataclass(frozen=True)
class Daily:
    """Rows of the table `daily_rates`, arrays of equal length. percentiles: 2.5, 25, 50, 75 and 97.5."""

    moments: np.ndarray
    counts: np.ndarray
    totals: np.ndarray
    percentiles: Sequence[np.ndarray]


def encode(rows: pa.Table | pa.RecordBatch, file_nos: np.ndarray, lane_ids: np.ndarray) -> tuple[bytes, np.ndarray]:
    """Rows of the table `prices`, in the order of its index on lane and day, whose pages are then written one after the
    other; and lane and day of each as one number.

    Raises ValueError for nulls.
    """
    days = _days(rows)
    moments = (lane_ids.astype(np.int64) << LANE_SHIFT) + days
    order = np.argsort(moments, kind="stable")
    values = {
        "file_no": file_nos, "row": numbers(rows.column("row")), "lane_id": lane_ids, "day": days,
        "price": numbers(rows.column("price")),
    }  # fmt: skip
    return _filled(_STORED, len(order), {name: value[order] for name, value in values.items()}), moments


def encode_moments(moments: np.ndarray) -> bytes:
    """Pairs of lane and day, from their numbers."""
    return _filled(_MOMENT, len(moments), _apart(moments))


def encode_daily(daily: Daily) -> bytes:
    names = ("p2_5", "p25", "median", "p75", "p97_5")
    values = {"prices": daily.counts, "total": daily.totals, **dict(zip(names, daily.percentiles, strict=True))}
    return _filled(_DAILY, len(daily.moments), {**_apart(daily.moments), **values})


def _apart(moments: np.ndarray) -> dict[str, np.ndarray]:
    days = moments.astype(np.int32)
    return {"lane_id": (moments - days) >> LANE_SHIFT, "day": days}


def encode_to_compare(rows: pa.Table) -> bytes:
    """Rows of `rates.prices` as a query gives them that names the lane's ends."""
    return _filled(
        _COMPARED,
        rows.num_rows,
        {
            "row": numbers(rows.column("row")),
            "orig_code": _codes(rows.column("orig_code")),
            "dest_code": _codes(rows.column("dest_code")),
            "day": _days(rows),
            "price": numbers(rows.column("price")),
        },
    )


def _filled(record: np.dtype[Any], count: int, values: dict[str, np.ndarray]) -> bytes:
    made = np.zeros(count, record)
    made["fields"] = len(values)
    for name, value in values.items():
        made[f"length of {name}"] = record[name].itemsize
        made[name] = value
    return made.tobytes()


def _days(rows: pa.Table | pa.RecordBatch) -> np.ndarray:
    """Days since PostgreSQL's first."""
    days: np.ndarray = numbers(rows.column("day").cast(pa.int32())) - np.int32(_EPOCH_DAYS)
    return days


def _codes(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    encoded = plain(column).dictionary_encode()
    texts = [code.encode() for code in encoded.dictionary.to_pylist()]
    if wrong := [code for code in texts if len(code) != CODE_LENGTH]:
        raise ValueError(f"expected codes of {CODE_LENGTH} bytes, got {wrong[0]!r}")
    return np.array(texts, f"S{CODE_LENGTH}")[numbers(encoded.indices)]


def plain(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """A column as one array."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def numbers(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """A column as NumPy has it. Raises ValueError for nulls."""
    if column.null_count:
        raise ValueError("a price has no empty column")
    array: np.ndarray = plain(column).to_numpy(zero_copy_only=False)
    return array
