"""What every asset says of itself in the Dagster UI: schema, place, lineage, code, counts."""

from __future__ import annotations

import base64
import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from pipeline_assets.batch_run import BatchReport, RefusedFile
from pipeline_assets.columns import ColumnInfo, columns_of
from pipeline_assets.source import FileSource, Table

_MOST_REFUSED_SHOWN = 20
_MOST_PICTURE_BYTES = 100_000
"""Metadata lives in the event log, which every page of the asset reads."""

_SQL_NAMES = {
    "string": "string", "large_string": "string", "int32": "int", "int64": "bigint", "float": "float",
    "double": "double", "bool": "boolean", "date32[day]": "date", "timestamp[us, tz=UTC]": "timestamp with time zone",
    "timestamp[us]": "timestamp",
}  # fmt: skip


def column_schema(table: Table) -> dg.TableSchema:
    """The pandera model as Dagster shows it: type, description with unit, nullability and rules."""
    return dg.TableSchema(columns=[_column(column) for column in columns_of(table.schema)])


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
    return {
        "dagster/column_schema": column_schema(table),
        "dagster/table_name": f"{source.name}.{table.name}",
        "dagster/uri": uri,
        "dagster/storage_kind": "iceberg",
        "query it": dg.MetadataValue.md(f'`strandline sql "SELECT * FROM {source.name}.{table.name} LIMIT 10"`'),
        **code_references([table.schema, source.derive] + [reader.read for reader in source.readers]),
    }


def raw_metadata(source: FileSource, uri: str) -> dict[str, Any]:
    reads = "\n".join(f"- {reader.description}" for reader in source.readers)
    return {
        "dagster/uri": uri,
        "takes": dg.MetadataValue.md(reads),
        "land a file": dg.MetadataValue.md(f"`strandline land {source.name} FILE...`"),
        **code_references([reader.read for reader in source.readers]),
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
    rows = report.rows[table.name]
    shown: dict[str, Any] = {
        "dagster/partition_row_count": rows,
        "dagster/row_count": report.tables[table.name].total_rows,
        "snapshot": str(report.tables[table.name].snapshot_id),
    }
    if not is_checked:
        return shown
    shown |= {
        "files": report.files,
        "files committed": report.committed,
        "files quarantined": len(report.refused),
        "files gone or overwritten": report.gone,
        "bytes": report.size_bytes,
        "seconds": round(report.seconds, 3),
        "rows per second": round(rows / report.seconds, 1) if report.seconds else 0.0,
    }
    if report.refused:
        shown["refused"] = refused_in_brief(source, report.refused)
    if report.picture and len(report.picture) <= _MOST_PICTURE_BYTES:
        shown["picture"] = picture(report.picture, report.picture_key or "")
    return shown


def picture(png: bytes, title: str) -> dg.MarkdownMetadataValue:
    text = title.replace("[", "(").replace("]", ")")
    return dg.MetadataValue.md(f"![{text}](data:image/png;base64,{base64.b64encode(png).decode()})")


def refused_table(refused: Sequence[RefusedFile]) -> dg.TableMetadataValue:
    """The first refused files with their reasons; the rest are in operations.quarantine."""
    records = [
        {"key": item.key, "error_class": item.refusal.error_class, "error": item.refusal.message,
         "location": item.refusal.location}
        for item in refused[:_MOST_REFUSED_SHOWN]
    ]  # fmt: skip
    return record_table(records)


def refused_in_brief(source: FileSource, refused: Sequence[RefusedFile]) -> dg.TableMetadataValue:
    """The same, narrow enough for the asset's page."""
    return record_table(
        [
            {"why": item.refusal.error_class, "key": item.key.removeprefix(source.prefix)}
            for item in refused[:_MOST_REFUSED_SHOWN]
        ]
    )


def record_table(records: Sequence[Mapping[str, Any]]) -> dg.TableMetadataValue:
    """Records of text and numbers as a table in the UI."""
    return dg.MetadataValue.table(
        records=[dg.TableRecord(dict(record)) for record in records],
        schema=dg.TableSchema(
            columns=[
                dg.TableColumn(name, "int" if isinstance(value, int) else "string")
                for name, value in (records[0] if records else {}).items()
            ]
        ),
    )
