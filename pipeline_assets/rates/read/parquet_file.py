"""Prices as Parquet."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline_assets.landed_file import LandedFile, Refused
from pipeline_assets.rates.config import RatesConfig
from pipeline_assets.rates.read.cells import COLUMNS, Cells, days, numbered, prices
from pipeline_assets.rates.read.checked import prices_of

_MOST_UNPACKED_BYTES = 2 * 1024**3
_NO_SHIFT = (None, "UTC", "+00:00", "Etc/UTC", "Z")


def recognise_parquet(head: bytes) -> bool:
    return head.startswith(b"PAR1")


def read_parquet(file: LandedFile, config: RatesConfig) -> dict[str, pa.Array]:
    """All rows of a file. Raises Refused."""
    try:
        with pq.ParquetFile(pa.BufferReader(file.read_bytes())) as opened:
            _check_header(opened)
            table = opened.read(columns=list(COLUMNS))
        return prices_of(_cells(table), config)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise Refused("unreadable", f"the file is no whole Parquet file ({error}). Send it again.") from error


def _check_header(opened: pq.ParquetFile) -> None:
    names = opened.schema_arrow.names
    if sorted(name for name in names if name in COLUMNS) != sorted(COLUMNS):
        raise Refused(
            "missing_columns",
            f"the file must have the columns {', '.join(COLUMNS)}, each once; it has {', '.join(names)[:200]}.",
        )
    groups = (opened.metadata.row_group(number) for number in range(opened.metadata.num_row_groups))
    size = sum(group.total_byte_size for group in groups)
    if size > _MOST_UNPACKED_BYTES:
        raise Refused(
            "too_large", f"the file says that it unpacks to {size:,} bytes; at most {_MOST_UNPACKED_BYTES:,}. Split it."
        )


def _cells(table: pa.Table) -> Cells:
    columns = {name: _plain(table.column(name)) for name in COLUMNS}
    return Cells(
        _text("orig_code", columns["orig_code"]),
        _text("dest_code", columns["dest_code"]),
        _days(columns["day"]),
        _prices(columns["price"]),
        lambda name, at: _said(columns[name][at]),
        numbered(table.num_rows),
    )


def _said(cell: pa.Scalar) -> str:
    try:
        value = cell.as_py()
    except (OverflowError, ValueError):  # a day that Python has not, text that is none
        return "(a value that no calendar or alphabet has)"
    return "" if value is None else str(value)


def _plain(column: pa.ChunkedArray) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        # Some writers do not say that their bytes are text.
        column = column.cast(pa.string())
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _text(name: str, column: pa.Array) -> pa.Array:
    if not _is_text(column.type):
        raise _wrong_type(name, column, "text")
    return pc.utf8_trim_whitespace(column.cast(pa.string()))


def _days(column: pa.Array) -> pa.Array:
    if _is_text(column.type):
        return days(_text("day", column))
    if pa.types.is_date(column.type):
        return _of_calendar(column.cast(pa.date32()))
    if pa.types.is_timestamp(column.type) and column.type.tz in _NO_SHIFT:
        naive = column.cast(pa.timestamp(column.type.unit))
        found = naive.cast(pa.date32(), safe=False)
        # A moment within a day is no day.
        return _of_calendar(pc.if_else(pc.equal(found.cast(naive.type, safe=False), naive), found, None))
    raise _wrong_type("day", column, "a date")


def _of_calendar(days: pa.Array) -> pa.Array:
    """Days of the years 1 to 9999; null for others."""
    first, last = (pa.scalar(day, pa.date32()) for day in (date.min, date.max))
    return pc.if_else(pc.and_(pc.greater_equal(days, first), pc.less_equal(days, last)), days, None)


def _prices(column: pa.Array) -> pa.Array:
    kind = column.type
    if _is_text(kind):
        return prices(_text("price", column))
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return column.cast(pa.float64(), safe=False)
    raise _wrong_type("price", column, "a number")


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _wrong_type(name: str, column: pa.Array, wanted: str) -> Refused:
    return Refused(
        "wrong_type", f"the column {name} is {column.type}; expected {wanted}. Send it as such.", location=name
    )
