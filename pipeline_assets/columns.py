"""From a pandera model to the columns of its table: Arrow types, units, rules. The model is their only definition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from pandera.pandas import DataFrameModel

FILE_ID = "file_id"
BATCH_ID = "batch_id"
SOURCE_KEY = "source_key"

_FRAME_COLUMNS = {
    FILE_ID: "the file the row was read from (operations.files)",
    BATCH_ID: "the batch that committed the row",
}

_AGGREGATE_COLUMNS = {
    FILE_ID: "always empty: the row is of many files",
    BATCH_ID: "the newest batch among the rows that the row was made from",
}

_ARROW_TYPES: dict[str, pa.DataType] = {
    "object": pa.string(),
    "bool": pa.bool_(),
    "boolean": pa.bool_(),
    "int8": pa.int32(),
    "int16": pa.int32(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "uint8": pa.int32(),
    "uint16": pa.int32(),
    "uint32": pa.int64(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "date": pa.date32(),
    "category": pa.string(),
}
"""A category is text with few different values, which is checked and written many times faster as such. Iceberg has 32 and 64 bit signed integers only, so smaller ones are widened."""


@dataclass(frozen=True)
class ColumnInfo:
    """One column as people and tables need to know it."""

    name: str
    type: pa.DataType
    nullable: bool
    unit: str
    description: str
    rules: tuple[str, ...] = ()
    made_from: tuple[str, ...] = ()
    """what the model says it comes from; see `lineage`"""


@cache
def columns_of(model: type[DataFrameModel], is_aggregate: bool = False) -> tuple[ColumnInfo, ...]:
    """The table's columns in order: the model's own, then those that the frame adds. Raises TypeError for a dtype
    that no table can hold."""
    schema = model.to_schema()
    own = tuple(
        ColumnInfo(
            name=name,
            type=_arrow_type(model, name, column.dtype),
            nullable=bool(column.nullable),
            unit=str((column.metadata or {}).get("unit", "")),
            description=column.description or "",
            rules=tuple(_rule(check) for check in column.checks) + (("unique",) * bool(column.unique)),
            made_from=tuple((column.metadata or {}).get("from", ())),
        )
        for name, column in schema.columns.items()
    )
    texts = _AGGREGATE_COLUMNS if is_aggregate else _FRAME_COLUMNS
    added = tuple(
        ColumnInfo(name, pa.string(), is_aggregate and name == FILE_ID, "", text) for name, text in texts.items()
    )
    return own + added


@cache
def arrow_schema(model: type[DataFrameModel], is_aggregate: bool = False) -> pa.Schema:
    columns = columns_of(model, is_aggregate)
    return pa.schema([pa.field(column.name, column.type, column.nullable) for column in columns])


_SIGNS = {
    "greater_than_or_equal_to": "≥", "greater_than": ">", "less_than_or_equal_to": "≤", "less_than": "<",
    "equal_to": "=", "str_matches": "matches", "isin": "one of",
}  # fmt: skip


def _rule(check: Any) -> str:
    """A pandera check in words: ``greater_than(0)`` is ``> 0``."""
    values = list((check.statistics or {}).values())
    if check.name in _SIGNS and len(values) == 1:
        value = ", ".join(map(str, values[0])) if isinstance(values[0], list | tuple) else values[0]
        return f"{_SIGNS[check.name]} {value}"
    return str(check.error or check.name)


def _arrow_type(model: type[DataFrameModel], name: str, dtype: Any) -> pa.DataType:
    text = str(dtype).lower()
    if text in _ARROW_TYPES:
        return _ARROW_TYPES[text]
    if text.startswith(("string", "str")):
        return pa.string()
    if text.startswith("datetime64"):
        return pa.timestamp("us", tz="UTC") if "utc" in text else pa.timestamp("us")
    raise TypeError(
        f"{model.__name__}.{name}: no table type for {dtype}. Use str, datetime64 or one of {', '.join(sorted(_ARROW_TYPES))}."
    )


class RowsError(ValueError):
    """Rows that a reader gave do not make a table. The message says which column and why."""


def to_table(
    model: type[DataFrameModel], rows: Any, fill: Mapping[str, str | None], is_aggregate: bool = False
) -> pa.Table:
    """Rows of one file, or of an aggregate, as an Arrow table with the model's columns.

    rows: a DataFrame, or columns by name, each an array, a list or one value for all rows. NaN becomes null.
    fill: values of the columns that the frame knows (`file_id`, `batch_id`, `source_key`).
    Raises RowsError for missing or unexpected columns, unequal lengths and values of another type.
    """
    given = {str(name): rows[name] for name in (rows.columns if hasattr(rows, "columns") else rows)}
    schema = arrow_schema(model, is_aggregate)
    values = {**fill, **given}
    missing = [name for name in schema.names if name not in values]
    unexpected = [name for name in given if name not in schema.names]
    if missing or unexpected:
        raise RowsError(
            f"the rows of {model.__name__} lack the columns {missing} and have columns that its schema does not know: "
            f"{unexpected}"
        )
    length = _length(model, values)
    arrays = [_to_array(field, values[field.name], length) for field in schema]
    return pa.Table.from_arrays(arrays, names=schema.names)


def _length(model: type[DataFrameModel], values: Mapping[str, Any]) -> int:
    lengths = {name: len(value) for name, value in values.items() if not _is_scalar(value)}
    if len(set(lengths.values())) > 1:
        raise RowsError(f"the columns of {model.__name__} have unequal lengths: {lengths}")
    return next(iter(lengths.values()), 1)


def _is_scalar(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return False
    return value is None or isinstance(value, (str, bytes)) or np.ndim(value) == 0


def _to_array(field: pa.Field, value: Any, length: int) -> pa.Array:
    try:
        if _is_scalar(value):
            one = value.item() if isinstance(value, (np.generic, np.ndarray)) else value
            return pa.repeat(pa.scalar(one, field.type, from_pandas=True), length)
        array = pa.array(value, from_pandas=True)
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
        return array if array.type == field.type else array.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, TypeError, OverflowError) as error:
        raise RowsError(f"column {field.name}: {error}") from error
