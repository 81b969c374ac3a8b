"""Prices as PostgreSQL's binary COPY has them: whole arrays are turned into rows at once.

Format: https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

CODE_LENGTH = 5
"""A UN/LOCODE: two letters of the country, three of the place."""
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"

_EPOCH_DAYS = 10_957  # from 1970-01-01, Arrow's first day, to 2000-01-01, PostgreSQL's
_COLUMNS: dict[str, str] = {
    "row": ">i4", "orig_code": f"S{CODE_LENGTH}", "dest_code": f"S{CODE_LENGTH}", "day": ">i4", "price": ">f8",
}  # fmt: skip


def _record(columns: Mapping[str, str]) -> np.dtype[Any]:
    fields: list[tuple[str, str]] = [("fields", ">i2")]
    for name, kind in columns.items():
        fields += [(f"length of {name}", ">i4"), (name, kind)]
    return np.dtype(fields)


STAGED = _record({"file_no": ">i4", **_COLUMNS})
COMPARED = _record(_COLUMNS)


def encode(rows: pa.Table | pa.RecordBatch, file_nos: np.ndarray | None = None) -> bytes:
    """Rows of `rates.prices` as rows of COPY.

    file_nos: the number of the file that each row is of, as the first column; None: without it.
    Raises ValueError for a code that is not `CODE_LENGTH` bytes, and for nulls.
    """
    record = COMPARED if file_nos is None else STAGED
    made = np.zeros(rows.num_rows, record)
    names = [name for name in record.names or () if name != "fields" and not name.startswith("length of ")]
    made["fields"] = len(names)
    for name in names:
        made[f"length of {name}"] = record[name].itemsize
    if file_nos is not None:
        made["file_no"] = file_nos
    for name in ("orig_code", "dest_code"):
        made[name] = codes(rows.column(name))
    made["row"] = _numbers(rows.column("row"))
    made["day"] = _numbers(rows.column("day").cast(pa.int32())) - _EPOCH_DAYS
    made["price"] = _numbers(rows.column("price"))
    return made.tobytes()


def codes(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Codes as bytes of one length. Raises ValueError."""
    encoded = column.dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.unify_dictionaries().combine_chunks()
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.chunk(0) if encoded.num_chunks else pa.array([], column.type).dictionary_encode()
    texts = [text.encode() for text in encoded.dictionary.to_pylist()]
    if wrong := [text for text in texts if len(text) != CODE_LENGTH]:
        raise ValueError(f"expected codes of {CODE_LENGTH} bytes, got {wrong[0]!r}")
    if not texts:
        return np.zeros(0, f"S{CODE_LENGTH}")
    return np.array(texts, f"S{CODE_LENGTH}")[_numbers(encoded.indices)]


def _numbers(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    if column.null_count:
        raise ValueError("a price has no empty column")
    return column.to_numpy() if isinstance(column, pa.ChunkedArray) else column.to_numpy(zero_copy_only=False)
