"""How rows are laid down in the data files of the lake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from resources.lake import files

_GROUP_ROWS = 262_144
"""Small enough that a query that wants one parameter or key of a file passes over most of it."""


_BATCH_ROWS = 65_536
"""Rows that the writer takes at once: its work for each batch, such as the least and greatest of a text, is felt at 1,024."""
_PAGE_ROWS = 131_072
"""Each page is compressed from a new start, which for 20,000 rows of a column that hardly changes costs more than they do."""
_LOOKED_AT = 4_096
_SAMPLE = 65_536
_OFTEN_NEW, _COMES_AGAIN = 0.95, 0.25
"""Shares of different values: above the first among `_LOOKED_AT`, or the second among `_SAMPLE`, looking up does not pay."""
_MOSTLY = 0.5


@dataclass(frozen=True)
class Layout:
    """How each column of a table is laid down: those that are looked up in a dictionary, and the encodings of others."""

    looked_up: tuple[str, ...]
    encodings: Mapping[str, str]


def layout_of(rows: pa.Table, schema: pa.Schema) -> Layout:
    """The layout that suits the rows.

    Texts are laid down as dictionaries, and floats that come again and again, such as counts of a converter in mV, unless they
    go evenly. The bytes of other floats are laid down place by place, which a compressor likes better (BYTE_STREAM_SPLIT), and counters as
    differences (DELTA_BINARY_PACKED).
    """
    looked_up = [field.name for field in schema if _is_looked_up(rows[field.name], field.type)]
    others = [field for field in schema if field.name not in looked_up]
    encodings = {field.name: encoding for field in others if (encoding := _encoding(rows[field.name], field.type))}
    return Layout(tuple(looked_up), encodings)


def write_data_file(uri: str, rows: pa.Table, schema: pa.Schema, layout: Layout | None = None) -> None:
    """Write rows as a table of the lake wants them. Text may be a dictionary, and is then not decoded on the way.

    layout: of the rows; of all of them, where these are a piece.
    """
    layout = layout or layout_of(rows, schema)
    files.make_room(uri)
    kept = pa.schema(
        [
            field.with_type(given.type) if pa.types.is_dictionary(given.type) else field
            for field, given in zip(schema, rows.schema, strict=True)
        ]
    )
    pq.write_table(
        rows.cast(kept), files.path_in(uri), **files.place(uri), compression="zstd", row_group_size=_GROUP_ROWS, write_batch_size=_BATCH_ROWS,
        max_rows_per_page=_PAGE_ROWS, use_dictionary=list(layout.looked_up), column_encoding=dict(layout.encodings) or None,
        store_schema=False,
    )  # fmt: skip


def _is_looked_up(column: pa.ChunkedArray, kind: pa.DataType) -> bool:
    if not pa.types.is_floating(kind):
        return pa.types.is_string(kind)
    # Measured values show in a few rows that they hardly ever come again.
    for rows, share in ((_LOOKED_AT, _OFTEN_NEW), (_SAMPLE, _COMES_AGAIN)):
        looked_at = _spread(column, rows)
        if pc.count_distinct(looked_at).as_py() > share * len(looked_at):
            return False
    return not _goes_evenly(column)


def _spread(column: pa.ChunkedArray, rows: int) -> pa.ChunkedArray:
    """So many of the values, evenly spread; all of them if they are fewer."""
    if len(column) <= rows:
        return column
    wanted = np.linspace(0, len(column) - 1, rows).astype(np.int64)
    ends = np.cumsum([len(chunk) for chunk in column.chunks])
    of_chunks = np.split(wanted, np.searchsorted(wanted, ends[:-1]))
    # From the chunks one by one: Arrow would make one of them all first.
    return pa.chunked_array(
        [
            chunk.take(pa.array(of_chunk - (end - len(chunk))))
            for chunk, of_chunk, end in zip(column.chunks, of_chunks, ends, strict=True)
        ],
        type=column.type,
    )


def _goes_evenly(column: pa.ChunkedArray) -> bool:
    """Whether values go up or down by equal steps, as pressures of a profile do: their bytes, place by place, shrink to less."""
    first = column.slice(0, _LOOKED_AT).drop_null().to_numpy()
    steps = np.diff(first)
    return len(steps) > 1 and bool(np.mean((steps[1:] == steps[:-1]) & (steps[1:] != 0)) > _MOSTLY)


def _encoding(column: pa.ChunkedArray, kind: pa.DataType) -> str | None:
    if pa.types.is_floating(kind):
        return "BYTE_STREAM_SPLIT"
    if pa.types.is_integer(kind):
        first = column.slice(0, _LOOKED_AT)
        changes = pc.sum(pc.not_equal(first[1:], first[:-1])).as_py() if len(first) > 1 else 0
        return "DELTA_BINARY_PACKED" if (changes or 0) * 16 > len(first) else None
    return None
