"""What the assets that stand for a source's datasets say of themselves: between the files and the tables of each."""

from __future__ import annotations

from typing import Any

import dagster as dg

from pipeline_assets.batch_report import BatchReport
from pipeline_assets.lineage import RAW_FILES
from pipeline_assets.metadata import code_references, record_table
from pipeline_assets.source import Dataset, FileSource, Table

_MOST_TABLES_SHOWN = 30


def tables_of(source: FileSource, dataset: Dataset) -> tuple[Table, ...]:
    return tuple(table for table in source.tables if table.dataset == dataset.name)


def dataset_metadata(source: FileSource, dataset: Dataset, uri: str) -> dict[str, Any]:
    """What is known of a dataset before any batch. uri: of the files that it is a part of."""
    content = [dg.TableColumnDep(dg.AssetKey([source.name, RAW_FILES]), "content")]
    tables = "\n".join(f"- `{source.name}.{table.name}`" for table in tables_of(source, dataset))
    return {
        "dagster/column_schema": dg.TableSchema(
            columns=[dg.TableColumn(name, kind, description=text) for name, kind, text in dataset.columns]
        ),
        "dagster/column_lineage": dg.TableColumnLineage({name: content for name, *_ in dataset.columns}),
        "dagster/uri": uri,
        "tables": dg.MetadataValue.md(tables),
        **dict(dataset.told),
        **code_references([reader.read for reader in source.readers]),
    }


def dataset_batch_metadata(source: FileSource, dataset: Dataset, report: BatchReport) -> dict[str, Any]:
    """What a run made of a dataset of a batch: rows by table, of the tables that have some."""
    rows = {table.name: report.rows.get(table.name, 0) for table in tables_of(source, dataset)}
    found = [{"table": name, "rows": count} for name, count in rows.items() if count]
    return {
        "dagster/partition_row_count": sum(rows.values()),
        "tables with rows": len(found),
        **({"rows": record_table(found[:_MOST_TABLES_SHOWN])} if found else {}),
    }
