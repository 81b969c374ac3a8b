"""Where each column of a source's tables comes from: the file, its key, or columns of another table. No Dagster here.

A column of the checked dataset comes from the file's content, and one of a derived table from the columns of the same name
in the tables it is derived from. Where that is not so, the column says so in the model:
``pa.Field(..., metadata={"from": ["samples.mv"]})``, with ``file`` for the file's content and ``file.key`` for its key.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline_assets.aggregate import Aggregate
from pipeline_assets.columns import BATCH_ID, FILE_ID, SOURCE_KEY, ColumnInfo, columns_of, schema_name
from pipeline_assets.source import FileSource, Table

RAW_FILES = "raw_files"

RAW_COLUMNS = {
    FILE_ID: ("string", "the file's identity: store, key, version and size"),
    BATCH_ID: ("string", "the batch that the file belongs to"),
    "key": ("string", "key in the landing store"),
    "version": ("string", "content hash, or the store's ETag"),
    "bytes": ("bigint", "size [byte]"),
    "landed_at": ("timestamp with time zone", "the landing store's own time of the file"),
    "content": ("binary", "the file's bytes; they stay in the landing store"),
}
"""What is known of a landed file: name, type and description. `operations.files` has all but the content."""

_FROM_FILE = {"file": "content", "file.key": "key"}


@dataclass(frozen=True)
class Origin:
    """A column that another one is made from. table: of the same source, or RAW_FILES."""

    table: str
    column: str

    def __str__(self) -> str:
        names = {column: name for name, column in _FROM_FILE.items()}
        return (
            names.get(self.column, f"file.{self.column}") if self.table == RAW_FILES else f"{self.table}.{self.column}"
        )


def column_lineage(source: FileSource, table: Table | Aggregate) -> dict[str, tuple[Origin, ...]]:
    """For each column of a table, what it is made from; empty where nothing says so.

    A column of an aggregate that declares nothing is made from the input's column of its name, else from all of them
    that the aggregate reads. Raises ValueError for a declaration that names no column the table can be made from.
    """
    if isinstance(table, Aggregate):
        inputs = (*table.keys, *table.columns)
        all_inputs = tuple(Origin(table.of, name) for name in inputs)
        read = {table.of: {*inputs, BATCH_ID}}
        columns = [column for column in columns_of(table.schema, is_aggregate=True) if column.name != FILE_ID]
        return {column.name: _origins(table, column, read) or all_inputs for column in columns}
    parents = {parent.name: parent for parent in source.tables if parent.name in table.derived_from}
    known = {name: {column.name for column in columns_of(parent.schema)} for name, parent in parents.items()}
    known |= {
        dataset.name: {name for name, *_ in dataset.columns}
        for dataset in source.datasets
        if dataset.name == table.dataset
    }
    return {column.name: _origins(table, column, known) for column in columns_of(table.schema)}


def _origins(table: Table | Aggregate, column: ColumnInfo, known: dict[str, set[str]]) -> tuple[Origin, ...]:
    if column.made_from:
        return tuple(_declared(table, column.name, text, known) for text in column.made_from)
    inherited = tuple(Origin(parent, column.name) for parent, names in known.items() if column.name in names)
    if inherited:
        return inherited
    if column.name in {FILE_ID, BATCH_ID}:
        return (Origin(RAW_FILES, column.name),)
    if column.name == SOURCE_KEY:
        return (Origin(RAW_FILES, "key"),)
    return () if known else (Origin(RAW_FILES, "content"),)


def _declared(table: Table | Aggregate, column: str, text: str, known: dict[str, set[str]]) -> Origin:
    if text in _FROM_FILE:
        return Origin(RAW_FILES, _FROM_FILE[text])
    parent, _, name = text.partition(".")
    if name not in known.get(parent, set()):
        choices = [*_FROM_FILE, *(f"{parent}.COLUMN" for parent in known)]
        raise ValueError(
            f"{schema_name(table.schema)}.{column}: its metadata says it is made from {text!r}, which is no column that "
            f"{table.name} can be made from. Expected one of: {', '.join(choices)}"
        )
    return Origin(parent, name)
