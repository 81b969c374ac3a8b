"""A study's rows as CSV files in one ZIP archive, with a list of all columns and what they mean."""

from __future__ import annotations

import csv
import io
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline_assets.columns import ColumnInfo, columns_of
from pipeline_assets.health.operations.completeness import SOURCE
from pipeline_assets.health.rows import RECORDS
from pipeline_assets.shown_tables import shown_tables
from pipeline_assets.source import FileSource
from resources.errors import UserError
from resources.lake.lake import TableName
from resources.lake.sql import connect
from resources.ledger.publishing import published_snapshots
from resources.platform import Platform

COLUMNS = "columns.csv"
_OWN = ("file_id", "batch_id")
_NOT_DECLARED = "not declared any more, or in a version of its dataset that is not declared"
_CHUNK = 1 << 20


class NoSuchStudy(UserError):
    """No record of the study is there. The message lists the studies that are."""


@dataclass(frozen=True)
class Exported:
    """rows: by table, of the tables that the study has rows in."""

    study: str
    records: int
    rows: Mapping[str, int]


def export_study(platform: Platform, source: FileSource, study: str, output: Path) -> Exported:
    """Write all rows of a study's records to `output`, a table to a CSV file; of one published moment.

    Every table that has some: versions of datasets that are not declared, too. The file appears whole or not at all; no table
    is held in memory. Raises NoSuchStudy.
    """
    shown = published_snapshots(platform.ledger, SOURCE)
    columns = {
        name: _columns(platform, source, name) for name in shown_tables(platform, source, shown) if name in shown
    }
    aside = output.with_name(f".{output.name}.part")
    rows: dict[str, int] = {}
    try:
        with (
            connect(platform.lake, platform.ledger, SOURCE) as connection,
            tempfile.TemporaryDirectory(prefix="strandline-export-") as folder,
            zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED) as archive,
        ):
            studies = _studies(connection) if RECORDS in shown else {}
            if study not in studies:
                known = ", ".join(f"{name} ({count} records)" for name, count in sorted(studies.items())) or "none"
                raise NoSuchStudy(
                    f"No record is of a study {study!r}. Studies: {known}. A record's study is in its key: "
                    "STRANDLINE_HEALTH_STUDY_PATTERN"
                )
            for name, has in columns.items():
                path = Path(folder) / f"{name}.csv"
                listed = ", ".join(f't."{column.name}"' for column in has)
                is_list = "index" in {column.name for column in has}
                order = "t.recordid" + (', t.file_name, t."index"' if is_list else "")
                target = str(path).replace("'", "''")
                written = connection.execute(
                    f'COPY (SELECT {listed} FROM {SOURCE}."{name}" t JOIN {SOURCE}.{RECORDS} r ON t.file_id = r.file_id '
                    f"WHERE r.study = $study ORDER BY {order}) TO '{target}' (FORMAT csv, HEADER)",
                    {"study": study},
                ).fetchall()
                if written[0][0]:
                    rows[name] = int(written[0][0])
                    _add(archive, path)
                path.unlink()
            archive.writestr(COLUMNS, _dictionary(columns, rows))
        aside.replace(output)
    finally:
        aside.unlink(missing_ok=True)
    return Exported(study, studies[study], rows)


def _studies(connection: object) -> dict[str, int]:
    query = f"SELECT study, count(*) FROM {SOURCE}.{RECORDS} WHERE study IS NOT NULL GROUP BY study"
    return dict(connection.execute(query).fetchall())  # type: ignore[attr-defined]


def _columns(platform: Platform, source: FileSource, name: str) -> list[ColumnInfo]:
    """The columns that a table has, which may be more than are declared, with what the declaration says of them."""
    told = {column.name: column for table in source.tables if table.name == name for column in columns_of(table.schema)}
    schema = platform.lake.schema(TableName(SOURCE, name))
    return [
        told.get(field.name) or ColumnInfo(field.name, field.type, True, "", _NOT_DECLARED)
        for field in schema or ()
        if field.name not in _OWN
    ]


def _add(archive: zipfile.ZipFile, path: Path) -> None:
    with path.open("rb") as content, archive.open(path.name, "w", force_zip64=True) as member:
        shutil.copyfileobj(content, member, _CHUNK)


def _dictionary(columns: Mapping[str, Sequence[ColumnInfo]], rows: Mapping[str, int]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["table", "column", "type", "unit", "description"])
    for name in rows:
        for column in columns[name]:
            writer.writerow([name, column.name, str(column.type), column.unit, column.description])
    return text.getvalue()
