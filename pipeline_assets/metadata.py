"""What every asset says of itself in the Dagster UI: schema, place, lineage, code, counts."""

from __future__ import annotations

import base64
import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from pipeline_assets.aggregate import Aggregate
from pipeline_assets.batch_report import BatchReport, RefusedFile
from pipeline_assets.columns import ColumnInfo, columns_of
from pipeline_assets.lineage import RAW_COLUMNS, column_lineage
from pipeline_assets.product import Product
from pipeline_assets.source import FileSource, Table

_MOST_REFUSED_SHOWN = 20
MOST_FILES_SHOWN = 20
_LONGEST_KEY_SHOWN = 40
"""The asset's page of the UI cuts off what does not fit, and breaks no line within a key."""
MOST_PICTURE_BYTES = 100_000
"""Metadata lives in the event log, which every page of the asset reads."""

_SQL_NAMES = {
    "string": "string", "large_string": "string", "int32": "int", "int64": "bigint", "float": "float",
    "double": "double", "bool": "boolean", "date32[day]": "date", "timestamp[us, tz=UTC]": "timestamp with time zone",
    "timestamp[us]": "timestamp",
}  # fmt: skip


def column_schema(table: Table | Aggregate) -> dg.TableSchema:
    """The table's schema as Dagster shows it: type, description with unit, nullability and rules."""
    columns = columns_of(table.schema, isinstance(table, Aggregate))
    return dg.TableSchema(columns=[_column(column) for column in columns])


def _column(column: ColumnInfo) -> dg.TableColumn:
    text = column.description + (f" [{column.unit}]" if column.unit not in {"", "1"} else "")
    return dg.TableColumn(
        name=column.name,
        type=_SQL_NAMES.get(str(column.type), str(column.type)),
        description=text,
        constraints=dg.TableColumnConstraints(
            nullable=column.nullable, unique="unique" in column.rules, other=list(column.rules)
        ),
    )


def table_metadata(source: FileSource, table: Table, uri: str) -> dict[str, Any]:
    """What is known of a table before any batch."""
    code = [table.schema, source.derive] + [reader.read for reader in source.readers]
    return lake_metadata(source, table, uri) | code_references(code)


def aggregate_metadata(source: FileSource, aggregate: Aggregate, uri: str) -> dict[str, Any]:
    """What is known of an aggregate before it is made."""
    return {
        **lake_metadata(source, aggregate, uri),
        "made from": f"{source.name}.{aggregate.of}",
        "one row for each": ", ".join(aggregate.keys),
        **code_references([aggregate.compute, aggregate.schema]),
    }


def lake_metadata(source: FileSource, table: Table | Aggregate, uri: str) -> dict[str, Any]:
    """What is known of any table in the lake."""
    return {
        "dagster/column_schema": column_schema(table),
        "dagster/table_name": f"{source.name}.{table.name}",
        "dagster/uri": uri,
        "dagster/storage_kind": "iceberg",
        "query it": f'strandline sql "SELECT * FROM {source.name}.{table.name} LIMIT 10"',
        **lineage_metadata(source, table),
    }


def lineage_metadata(source: FileSource, table: Table | Aggregate) -> dict[str, Any]:
    """Where each column comes from: as Dagster keeps it, and as a table, because only Dagster+ draws it."""
    lineage = column_lineage(source, table)
    rows = (f"| `{name}` | {', '.join(f'`{origin}`' for origin in origins)} |" for name, origins in lineage.items())
    return {
        "dagster/column_lineage": dg.TableColumnLineage(
            {
                name: [dg.TableColumnDep(dg.AssetKey([source.name, one.table]), one.column) for one in origins]
                for name, origins in lineage.items()
            }
        ),
        "columns come from": dg.MetadataValue.md("\n".join(["| column | comes from |", "|---|---|", *rows])),
    }


def raw_metadata(source: FileSource, uri: str) -> dict[str, Any]:
    reads = "\n".join(f"- {reader.description}" for reader in source.readers)
    return {
        "dagster/column_schema": dg.TableSchema(
            columns=[dg.TableColumn(name, kind, description=text) for name, (kind, text) in RAW_COLUMNS.items()]
        ),
        "dagster/uri": uri,
        "takes": dg.MetadataValue.md(reads),
        "land a file": f"strandline land {source.name} FILE...",
        **code_references([reader.read for reader in source.readers]),
    }


def product_metadata(source: FileSource, product: Product, uri: str) -> dict[str, Any]:
    """What is known of a product before any batch."""
    return {
        "dagster/uri": uri,
        "made of": ", ".join(f"{source.name}.{name}" for name in (*product.of, *product.after, *product.beside)),
        **{f"rows of {name}": f'strandline sql "SELECT * FROM {source.name}.{name}"' for name in product.tables},
        "up to date?": f"strandline sql \"SELECT * FROM operations.products WHERE source = '{source.name}'\"",
        **dict(product.told),
        **code_references([product.make]),
    }


def code_references(objects: Iterable[Any]) -> dict[str, Any]:
    """Links from the asset's page to the code that makes it."""
    references: list[dg.LocalFileCodeReference | dg.UrlCodeReference] = []
    for thing in objects:
        if thing is None:
            continue
        try:
            path, line = inspect.getsourcefile(thing), inspect.getsourcelines(thing)[1]
        except (OSError, TypeError):
            continue
        if path:
            references.append(dg.LocalFileCodeReference(file_path=path, line_number=line, label=thing.__name__))
    if not references:
        return {}
    return {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=references)}


def batch_metadata(source: FileSource, report: BatchReport, table: Table, *, is_checked: bool) -> dict[str, Any]:
    """What a run made of one table of a batch. The checked dataset's page also tells of the files."""
    rows = report.rows.get(table.name, 0)
    shown: dict[str, Any] = {
        "dagster/partition_row_count": rows,
        "dagster/row_count": report.tables[table.name].total_rows,
        "snapshot": str(report.tables[table.name].snapshot_id),
        "seconds": round(report.seconds, 3),
        "rows per second": round(rows / report.seconds, 1) if report.seconds else 0.0,
    }
    if not is_checked:
        return shown
    shown |= {
        "files": report.files,
        "files committed": report.committed,
        "files quarantined": len(report.refused),
        "files gone or overwritten": report.gone,
        "bytes": report.size_bytes,
    }
    if report.readers:
        shown["files by reader"] = ", ".join(f"{name} {files:,}" for name, files in report.readers.items())
    if report.refused:
        shown["all refused"] = f"strandline quarantine list --batch {report.batch.batch_id}"
        shown["refused"] = refused_in_brief(source, report.refused)
    if report.picture and len(report.picture) <= MOST_PICTURE_BYTES:
        shown["picture"] = picture(report.picture, report.picture_key or "")
    return shown


def picture(png: bytes, title: str) -> dg.MarkdownMetadataValue:
    text = title.replace("[", "(").replace("]", ")")
    return dg.MetadataValue.md(f"![{text}](data:image/png;base64,{base64.b64encode(png).decode()})")


def refused_table(refused: Sequence[RefusedFile]) -> dg.TableMetadataValue:
    """The first refused files with their reasons, as a check's page has room for; the rest are in operations.quarantine."""
    records = [
        {
            "why": item.refusal.error_class + (f": {item.refusal.location}" if item.refusal.location else ""),
            "error": item.refusal.message,
            "key": item.key,
        }
        for item in refused[:_MOST_REFUSED_SHOWN]
    ]
    return record_table(records)


def refused_in_brief(source: FileSource, refused: Sequence[RefusedFile]) -> dg.TableMetadataValue:
    """The same in one column, whose lines break between words: the asset's page has no room for more."""
    return record_table(
        [
            {"why: file": f"{item.refusal.error_class}: {shortened(source, item.key)}"}
            for item in refused[:_MOST_REFUSED_SHOWN]
        ]
    )


def shortened(source: FileSource, key: str) -> str:
    """A key without its source's folder, and without its middle where it is too long to show; its end tells most."""
    text = key.removeprefix(source.prefix)
    if len(text) <= _LONGEST_KEY_SHOWN:
        return text
    start = _LONGEST_KEY_SHOWN // 4
    return f"{text[:start]}…{text[start + 1 - _LONGEST_KEY_SHOWN :]}"


_KINDS: dict[type, str] = {int: "int", float: "float", bool: "bool"}


def record_table(records: Sequence[Mapping[str, Any]]) -> dg.TableMetadataValue:
    """Records of text and numbers as a table in the UI."""
    return dg.MetadataValue.table(
        records=[dg.TableRecord(dict(record)) for record in records],
        schema=dg.TableSchema(
            columns=[
                dg.TableColumn(name, _KINDS.get(type(value), "string"))
                for name, value in (records[0] if records else {}).items()
            ]
        ),
    )
