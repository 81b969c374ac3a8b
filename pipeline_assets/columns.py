"""From a schema to the columns of its table: Arrow types, units, rules. The schema is their only definition.

A schema is a pandera model, or `Columns` where tables are declared from data, such as from JSON schemas.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, TypeAlias, Union

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
"""A category is text with few different values. Iceberg has 32 and 64 bit signed integers only, so smaller ones are widened."""

_COLUMN_TYPES = frozenset(_ARROW_TYPES.values()) | {pa.timestamp("us"), pa.timestamp("us", tz="UTC")}


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
    """what the schema says it comes from; see `lineage`"""


@dataclass(frozen=True, eq=False)
class Columns:
    """The columns of a table that is declared from data, where other tables have a pandera model.

    Whoever makes the data checks it by its own rules; of the rows the frame checks types, and values that must be there.
    name: what a person calls the schema. columns: the table's own, without those that the frame adds.
    """

    name: str
    description: str
    columns: tuple[ColumnInfo, ...]

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        twice = sorted({name for name in names if names.count(name) > 1} | set(names) & _FRAME_COLUMNS.keys())
        if twice:
            raise ValueError(f"{self.name}: the columns {twice} are there twice")
        for column in self.columns:
            if column.type not in _COLUMN_TYPES:
                raise TypeError(f"{self.name}.{column.name}: no table type for {column.type}")

    def __reduce__(self) -> tuple[Any, ...]:
        return Columns, (self.name, self.description, self.columns)

    @cached_property
    def whole(self) -> tuple[ColumnInfo, ...]:
        """All columns of the table."""
        return self.columns + _added(is_aggregate=False)

    @cached_property
    def arrow(self) -> pa.Schema:
        return _arrow(self.whole)


Schema: TypeAlias = Union["type[DataFrameModel]", Columns]


def schema_name(schema: Schema) -> str:
    return schema.name if isinstance(schema, Columns) else schema.__name__


def description_of(schema: Schema) -> str:
    return schema.description if isinstance(schema, Columns) else (schema.__doc__ or "").strip()


def own_names(schema: Schema) -> tuple[str, ...]:
    """Names of the columns without those that the frame adds."""
    if isinstance(schema, Columns):
        return tuple(column.name for column in schema.columns)
    return tuple(schema.to_schema().columns)


def columns_of(schema: Schema, is_aggregate: bool = False) -> tuple[ColumnInfo, ...]:
    """The table's columns in order: the schema's own, then those that the frame adds. Raises TypeError for a dtype
    that no table can hold."""
    return schema.whole if isinstance(schema, Columns) else _columns_of_model(schema, is_aggregate)


@cache
def _columns_of_model(model: type[DataFrameModel], is_aggregate: bool) -> tuple[ColumnInfo, ...]:
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
    return own + _added(is_aggregate)


@cache
def _added(is_aggregate: bool) -> tuple[ColumnInfo, ...]:
    texts = _AGGREGATE_COLUMNS if is_aggregate else _FRAME_COLUMNS
    return tuple(
        ColumnInfo(name, pa.string(), is_aggregate and name == FILE_ID, "", text) for name, text in texts.items()
    )


def arrow_schema(schema: Schema, is_aggregate: bool = False) -> pa.Schema:
    return schema.arrow if isinstance(schema, Columns) else _arrow_of_model(schema, is_aggregate)


@cache
def _arrow_of_model(model: type[DataFrameModel], is_aggregate: bool) -> pa.Schema:
    return _arrow(columns_of(model, is_aggregate))


def _arrow(columns: tuple[ColumnInfo, ...]) -> pa.Schema:
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


FEW = pa.dictionary(pa.int32(), pa.string())
"""Text with few different values, each of which is kept, checked and written once. In a table it is text like any other."""


def to_table(
    schema: Schema, rows: Any, fill: Mapping[str, str | None], is_aggregate: bool = False, *, keep_few: bool = False
) -> pa.Table:
    """Rows of one file, or of an aggregate, as an Arrow table with the schema's columns.

    rows: a DataFrame, an Arrow table, or columns by name, each an array, a list or one value for all rows. NaN becomes
    null.
    fill: values of the columns that the frame knows (`file_id`, `batch_id`, `source_key`).
    keep_few: give text that came as one value or as a category as `FEW`; else all text is plain.
    Raises RowsError for missing or unexpected columns, unequal lengths and values of another type.
    """
    given = {str(name): rows[name] for name in _names(rows)}
    wanted = arrow_schema(schema, is_aggregate)
    values = {**fill, **given}
    known = set(wanted.names)
    missing = [name for name in wanted.names if name not in values]
    unexpected = [name for name in given if name not in known]
    if missing or unexpected:
        raise RowsError(
            f"the rows of {schema_name(schema)} lack the columns {missing} and have columns that its schema does not know: "
            f"{unexpected}"
        )
    length = _length(schema, values)
    arrays = [_to_array(field, values[field.name], length, keep_few) for field in wanted]
    return pa.Table.from_arrays(arrays, names=wanted.names)


def _names(rows: Any) -> Any:
    if isinstance(rows, pa.Table):
        return rows.column_names
    return rows.columns if hasattr(rows, "columns") else rows


def _length(schema: Schema, values: Mapping[str, Any]) -> int:
    lengths = {name: len(value) for name, value in values.items() if not _is_scalar(value)}
    if len(set(lengths.values())) > 1:
        raise RowsError(f"the columns of {schema_name(schema)} have unequal lengths: {lengths}")
    return next(iter(lengths.values()), 1)


def _is_scalar(value: Any) -> bool:
    if isinstance(value, (list, tuple, pa.Array, pa.ChunkedArray)):
        return False
    return value is None or isinstance(value, (str, bytes)) or np.ndim(value) == 0


def _to_array(field: pa.Field, value: Any, length: int, keep_few: bool) -> pa.Array | pa.ChunkedArray:
    try:
        if _is_scalar(value):
            one = value.item() if isinstance(value, (np.generic, np.ndarray)) else value
            scalar = pa.scalar(one, field.type, from_pandas=True)
            if keep_few and field.type == pa.string():
                return _one_text(scalar, length)
            return pa.repeat(scalar, length)
        is_arrow = isinstance(value, (pa.Array, pa.ChunkedArray))
        array = value if is_arrow else pa.array(value, from_pandas=True)
        if isinstance(array, pa.ChunkedArray) and not is_arrow:
            array = array.combine_chunks()
        if keep_few and field.type == pa.string() and pa.types.is_dictionary(array.type):
            return _few(array)
        return array if array.type == field.type else array.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, TypeError, OverflowError) as error:
        raise RowsError(f"column {field.name}: {error}") from error


def _one_text(text: pa.Scalar, length: int) -> pa.Array:
    if not text.is_valid:
        return pa.nulls(length, FEW)
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(length, dtype=np.int32)), pa.array([text], pa.string()))


def _few(array: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    if array.type == FEW:
        return array
    if isinstance(array, pa.ChunkedArray):
        return pa.chunked_array([_few(chunk) for chunk in array.chunks], type=FEW)
    return pa.DictionaryArray.from_arrays(array.indices.cast(pa.int32()), array.dictionary.cast(pa.string()))


def concat(parts: Sequence[pa.Table]) -> pa.Table:
    """The rows of several files, one after the other. A text that is `FEW` in some of them is so in all."""
    few = {
        name for part in parts for name, kind in zip(part.schema.names, part.schema.types, strict=True) if kind == FEW
    }
    return pa.concat_tables([_encoded(part, few) for part in parts]).unify_dictionaries()


def _encoded(table: pa.Table, names: Collection[str]) -> pa.Table:
    for position, field in enumerate(table.schema):
        if field.name in names and field.type != FEW:
            table = table.set_column(position, field.name, _few(table[field.name].dictionary_encode()))
    return table


def decoded(table: pa.Table, but: Collection[str] = ()) -> pa.Table:
    """The table with plain text in place of `FEW`, but in some columns."""
    for position, field in enumerate(table.schema):
        if field.type == FEW and field.name not in but:
            table = table.set_column(position, field.name, table[field.name].cast(pa.string()))
    return table
