"""A small source for tests whose many tables are declared from data: JSON files of rows by table."""

from __future__ import annotations

import json
from typing import Any

import pandera.pandas as pa
import pyarrow as arrow
from pandera.typing import Series

from pipeline_assets.columns import ColumnInfo, Columns
from pipeline_assets.landed_file import LandedFile
from pipeline_assets.source import Dataset, FileSource, NoConfig, Reader, Table

DATASETS = ("Walk", "Sleep", "Speech")
TABLES_EACH = 12


class Documents(pa.DataFrameModel):
    """One row per file."""

    source_key: Series[str] = pa.Field(description="key in the landing store")
    tables: Series[int] = pa.Field(description="tables that the file has rows for", metadata={"from": ["file"]})

    class Config:
        strict = True


def columns_of_dataset(dataset: str) -> tuple[ColumnInfo, ...]:
    return (
        ColumnInfo("n", arrow.int64(), False, "", "number", made_from=(f"{dataset}.n",)),
        ColumnInfo("value", arrow.float64(), True, "mm", "reading", made_from=(f"{dataset}.readings[].value",)),
        ColumnInfo("at", arrow.timestamp("us", "UTC"), True, "", "time", made_from=(f"{dataset}.at",)),
    )


def table(dataset: str, number: int, columns: tuple[ColumnInfo, ...] | None = None) -> Table:
    name = f"{dataset.lower()}_{number}"
    schema = Columns(f"{dataset} {number}", f"Part {number} of {dataset}.", columns or columns_of_dataset(dataset))
    return Table(name, schema, dataset=dataset)


def recognise(head: bytes) -> bool:
    return head.startswith(b"{")


def read(file: LandedFile, config: NoConfig) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = json.loads(file.read_bytes())
    return found


def derive(rows: dict[str, list[dict[str, Any]]], config: NoConfig) -> dict[str, Any]:
    made: dict[str, Any] = {"documents": {"tables": [len(rows)]}}
    for name, values in rows.items():
        columns = {
            column.name: arrow.array([value.get(column.name) for value in values], column.type)
            for column in columns_of_dataset("")
        }
        made[name] = arrow.table(columns)
    return made


MANY = FileSource(
    name="many",
    description="Many tables for tests.",
    owners=("team:tests",),
    readers=(Reader("rows", "JSON object of rows by table", recognise, read),),
    tables=(
        Table("documents", Documents),
        *(table(dataset, number) for dataset in DATASETS for number in range(TABLES_EACH)),
    ),
    datasets=tuple(
        Dataset(
            dataset, f"What {dataset} gives.",
            (("n", "integer", "number"), ("readings[].value", "number", "reading"), ("at", "date-time", "time")),
        )
        for dataset in DATASETS
    ),
    derive=derive,
)  # fmt: skip


def content(**rows: list[float | None]) -> str:
    """A file with these values in these tables."""
    return json.dumps({name: [{"n": n, "value": v} for n, v in enumerate(values)] for name, values in rows.items()})
