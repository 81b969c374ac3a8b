"""`strandline sql`: a query's result in the form that was asked for."""

from __future__ import annotations

import json
import re
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Any, BinaryIO

import click
import pyarrow as pa

from cli.notes import note
from resources.lake.sql import copy_query, copy_source, run_query
from resources.platform import Platform

_MOST_ROWS_SHOWN = 200


def print_query(platform: Platform, query: str, form: str, output: Path | None) -> None:
    """Run a query and write its result. Raises QueryError."""
    if form == "parquet" and output is None and sys.stdout.isatty():
        raise click.UsageError("Parquet is not for a terminal: add --output FILE, or redirect.")
    result = _ask(platform, query)
    if output is None:
        _write(result, form, sys.stdout.buffer)
    else:
        with output.open("wb") as file:
            _write(result, form, file)
        note(f"{result.num_rows} rows written to {output}")


def _ask(platform: Platform, query: str) -> pa.Table:
    settings = platform.settings
    if settings.sql_engine == "duckdb":
        return run_query(platform.lake, platform.ledger, query, platform.product_rows)
    from resources.lake.athena import run_athena_query

    return run_athena_query(
        platform.lake, platform.ledger, query, workgroup=settings.athena_workgroup, seconds=settings.athena_seconds
    )


def export_to_file(platform: Platform, what: str, output: Path) -> None:
    """Write a table or a query's result to a file, its form by its ending. Raises QueryError."""
    form = output.suffix.lower().lstrip(".")
    if form not in {"csv", "parquet"}:
        raise click.UsageError(f"OUTPUT must end in .csv or .parquet, not {output.suffix or 'nothing'!r}")
    query = f"SELECT * FROM {what}" if re.fullmatch(r"\w+\.\w+", what) else what
    rows = copy_query(platform.lake, platform.ledger, query, output, form, platform.product_rows)
    note(f"{rows:,} rows written to {output}")


def export_source(platform: Platform, source: str, folder: Path, form: str) -> None:
    """Write every table of a source to a file of its own in a folder, which is made if need be."""
    if folder.is_file() or folder.suffix in {".csv", ".parquet"}:
        raise click.UsageError(f"a source has several tables: OUTPUT is a folder for their files, and {folder} is none")
    folder.mkdir(parents=True, exist_ok=True)
    written = copy_source(platform.lake, platform.ledger, source, folder, form, platform.product_rows)
    for name, rows in written.items():
        click.echo(f"{folder / name}.{form}: {rows:,} rows")
    if not written:
        note(f"{source} has no tables yet: nothing of it was ever committed")


def _write(result: pa.Table, form: str, file: BinaryIO) -> None:
    if form == "parquet":
        import pyarrow.parquet as pq

        pq.write_table(result, file, compression="zstd")
    elif form == "csv":
        import pyarrow.csv as arrow_csv

        arrow_csv.write_csv(result, file)
    elif form == "json":
        file.write(json.dumps(result.to_pylist(), default=json_value, ensure_ascii=False).encode() + b"\n")
    else:
        file.write(as_text_table(result).encode())
    file.flush()


def json_value(value: Any) -> Any:
    """What JSON has no form for."""
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def as_text_table(result: pa.Table) -> str:
    """Columns aligned, numbers to the right; at most so many rows."""
    shown = result.slice(0, _MOST_ROWS_SHOWN)
    cells = [[_cell(value) for value in column.to_pylist()] for column in shown.columns]
    names = result.column_names
    widths = [max([len(name), *map(len, column)]) for name, column in zip(names, cells, strict=True)]
    right = [pa.types.is_integer(field.type) or pa.types.is_floating(field.type) for field in result.schema]

    def line(values: list[str]) -> str:
        fitted = zip(values, widths, right, strict=True)
        return "  ".join(v.rjust(w) if r else v.ljust(w) for v, w, r in fitted).rstrip()

    lines = [line(names), "  ".join("-" * width for width in widths)]
    lines += [line([column[row] for column in cells]) for row in range(shown.num_rows)]
    more = result.num_rows - shown.num_rows
    rows = "row" if result.num_rows == 1 else "rows"
    lines.append(f"({result.num_rows:,} {rows}{f', {more:,} of them not shown: use --format csv' if more else ''})")
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, float):
        return f"{value:.10g}"
    return str(value)
