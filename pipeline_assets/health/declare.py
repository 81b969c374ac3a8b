"""From the mapping to what the source declares: datasets with their fields, and tables with what each column is made from."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline_assets.columns import ColumnInfo, Columns
from pipeline_assets.health.mapping import Mapping
from pipeline_assets.health.tables import KEYS, Column, TableSpec, dataset_tables
from pipeline_assets.source import Dataset, Table

_DOCUMENT = "$"
"""The document as a whole, as JSONPath names it."""
_UNITS = {"index": "1", "year": "1", "month": "1", "day": "1"}


def declared(mapping: Mapping) -> tuple[tuple[Dataset, ...], tuple[Table, ...]]:
    """All datasets of a mapping and their tables."""
    specs: dict[str, list[TableSpec]] = {}
    for spec in dataset_tables(mapping):
        specs.setdefault(spec.dataset, []).append(spec)
    datasets = tuple(_dataset(mapping, name, of_dataset) for name, of_dataset in specs.items())
    tables = tuple(_table(spec) for of_dataset in specs.values() for spec in of_dataset)
    return datasets, tables


def _dataset(mapping: Mapping, name: str, specs: Sequence[TableSpec]) -> Dataset:
    fields = {_DOCUMENT: (_DOCUMENT, "object", "the document as a whole")}
    for spec in specs:
        for column in spec.columns:
            field = _field(spec, column)
            if field != _DOCUMENT and column.name not in KEYS and column.made_from:
                fields[field] = (field, str(column.type), column.description)
        if spec.path:
            fields.setdefault(".".join(spec.path), (".".join(spec.path), "array", spec.description))
    ids = sorted(schema_id for schema_id, dataset in mapping.schema_mapping.items() if dataset == name)
    told = (
        ("JSON schemas", ", ".join(ids) or "none: mapped by assessment and file name"),
        ("mapping", mapping.version),
    )
    return Dataset(name, f"The JSON files of archives that are of dataset {name}.", tuple(fields.values()), told)


def _table(spec: TableSpec) -> Table:
    columns = tuple(
        ColumnInfo(
            name=column.name,
            type=column.type,
            nullable=column.name not in KEYS,
            unit=_UNITS.get(column.name, ""),
            description=column.description,
            made_from=("file",) if column.name in KEYS else (f"{spec.dataset}.{_field(spec, column)}",),
        )
        for column in spec.columns
    )
    return Table(spec.name, Columns(spec.name, spec.description, columns), dataset=spec.dataset)


def _field(spec: TableSpec, column: Column) -> str:
    """The field of the dataset that a column holds."""
    if not column.made_from:  # the frame of a list, or what is of the document as a whole
        return ".".join(spec.path) if spec.path and column.name in {"id", "index"} else _DOCUMENT
    parts = [part.replace("~1", "/").replace("~0", "~") for part in column.made_from.split("/")[1:] if part]
    return ".".join((*spec.path, *parts)) or _DOCUMENT
