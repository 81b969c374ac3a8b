"""SQL over what is published: DuckDB on the Parquet files of each table's published snapshot, and on the ledger."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from resources.errors import UserError
from resources.lake import files
from resources.lake.lake import Lake, SnapshotGone, TableName
from resources.ledger import Ledger
from resources.ledger.products import PRODUCT_COLUMNS, select_products
from resources.ledger.publishing import all_published
from resources.ledger.queries import (
    ERASURE_COLUMNS,
    FILE_COLUMNS,
    QUARANTINE_COLUMNS,
    select_erasures,
    select_files,
    select_quarantine,
)

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from resources.products import ProductRows

OPERATIONS = "operations"
_MOST_LOOKS = 3


class QueryError(UserError):
    """The query is wrong. The message is the engine's own."""


def connect(lake: Lake, ledger: Ledger, query: str, products: ProductRows | None = None) -> DuckDBPyConnection:
    """An in-memory database with a view for each table that the query may mean. products: those of products, too.

    All views are of one moment: of each source, readers see every table of a batch or none of it. Raises SnapshotGone
    when batches were published meanwhile and what was visible before them is gone.
    """
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET TimeZone='UTC'")
    mentioned = set(re.findall(r"\w+", query.lower()))
    is_about_all = bool(mentioned & {"information_schema", "show"})
    for source, snapshots in all_published(ledger).items():
        connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{source}"')
        if source.lower() not in mentioned and not is_about_all:
            continue
        for name, snapshot in snapshots.items():
            _create_view(connection, lake, TableName(source, name), snapshot)
        if products is not None:
            # Their rows are read here and now, so only those that are asked for.
            asked = [name for name in products.tables(source) if name in mentioned or is_about_all]
            for name in asked:
                _create_product_view(connection, source, name, products.of(source, name))
    if OPERATIONS in mentioned:
        _create_operations(connection, ledger)
    return connection


def _connect(lake: Lake, ledger: Ledger, query: str, products: ProductRows | None) -> DuckDBPyConnection:
    for _ in range(_MOST_LOOKS - 1):
        with suppress(SnapshotGone):
            return connect(lake, ledger, query, products)
    return connect(lake, ledger, query, products)


def run_query(lake: Lake, ledger: Ledger, query: str, products: ProductRows | None = None) -> pa.Table:
    """The query's result. Raises QueryError."""
    import duckdb

    with _connect(lake, ledger, query, products) as connection:
        try:
            relation = connection.sql(query)
            return pa.table({}) if relation is None else relation.to_arrow_table()
        except duckdb.Error as error:
            known = ", ".join(list_tables(ledger, products))
            raise QueryError(f"{error}\nTables: {known}") from error


def copy_query(
    lake: Lake, ledger: Ledger, query: str, path: Path, form: str, products: ProductRows | None = None
) -> int:
    """Write a query's result to a file without holding it in memory; the number of rows. form: ``csv`` or ``parquet``.

    The file appears whole or not at all. Raises QueryError.
    """
    import duckdb

    with _connect(lake, ledger, query, products) as connection:
        try:
            return _copy(connection, query.rstrip().rstrip(";"), path, form)
        except duckdb.Error as error:
            raise QueryError(f"{error}\nTables: {', '.join(list_tables(ledger, products))}") from error


def copy_source(
    lake: Lake, ledger: Ledger, source: str, folder: Path, form: str, products: ProductRows | None = None
) -> dict[str, int]:
    """Write every table and aggregate of a source, and the tables of its products, to a file in a folder, all as of one moment; the rows of each."""
    written = {}
    asked = " ".join([source, *(products.tables(source) if products else ())])
    with _connect(lake, ledger, asked, products) as connection:
        views = "SELECT view_name FROM duckdb_views() WHERE schema_name = ? ORDER BY view_name"
        for (name,) in connection.execute(views, [source]).fetchall():
            query = f'SELECT * FROM "{source}"."{name}"'
            written[name] = _copy(connection, query, folder / f"{name}.{form}", form)
    return written


def _copy(connection: DuckDBPyConnection, query: str, path: Path, form: str) -> int:
    aside = path.with_name(f".{path.name}.part")
    options = "FORMAT csv, HEADER" if form == "csv" else "FORMAT parquet, COMPRESSION zstd"
    try:
        target = str(aside).replace("'", "''")
        written = connection.execute(f"COPY ({query}) TO '{target}' ({options})").fetchone()
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    return int(written[0]) if written else 0


def list_tables(ledger: Ledger, products: ProductRows | None = None) -> list[str]:
    """What can be queried."""
    published = [
        f"{source}.{name}"
        for source, tables in all_published(ledger).items()
        for name in (*tables, *(products.tables(source) if products else ()))
    ]
    return [*sorted(published), *(f"{OPERATIONS}.{name}" for name in ("files", "quarantine", "erasures", "products"))]


def _create_view(connection: DuckDBPyConnection, lake: Lake, table: TableName, snapshot: int | None) -> None:
    schema = lake.schema(table)
    if schema is None:
        return
    body = select_rows(connection, schema, lake.data_files(table, snapshot), f"empty_{table.source}_{table.name}")
    connection.execute(f'CREATE VIEW "{table.source}"."{table.name}" AS {body}')


def _create_product_view(connection: DuckDBPyConnection, source: str, name: str, rows: pa.Table | None) -> None:
    if rows is not None:
        connection.register(f"product_{source}_{name}", rows)
        connection.execute(f'CREATE VIEW "{source}"."{name}" AS SELECT * FROM "product_{source}_{name}"')


def select_rows(connection: DuckDBPyConnection, schema: pa.Schema, paths: Sequence[str], empty: str) -> str:
    """A query for the rows of some data files of a table, with all columns of its schema. Registers `empty`."""
    # The empty table gives every column its type, also one that was added after the files were written.
    connection.register(empty, schema.empty_table())
    columns = ", ".join(f'"{name}"' for name in schema.names)
    body = f"SELECT * FROM {empty}"
    if paths:
        listed = ", ".join("'" + path.replace("'", "''") + "'" for path in files.let_read(connection, paths))
        body += f" UNION ALL BY NAME SELECT * FROM read_parquet([{listed}], union_by_name=true)"
    return f"SELECT {columns} FROM ({body})"


def _create_operations(connection: DuckDBPyConnection, ledger: Ledger) -> None:
    connection.execute(f"CREATE SCHEMA {OPERATIONS}")
    tables: dict[str, tuple[tuple[str, ...], Callable[[], Any]]] = {
        "files": (FILE_COLUMNS, select_files),
        "quarantine": (QUARANTINE_COLUMNS, select_quarantine),
        "erasures": (ERASURE_COLUMNS, select_erasures),
        "products": (PRODUCT_COLUMNS, select_products),
    }
    for name, (columns, query) in tables.items():
        connection.register(f"ledger_{name}", _fetch(ledger, columns, query()))
        connection.execute(f"CREATE VIEW {OPERATIONS}.{name} AS SELECT * FROM ledger_{name}")


_LEDGER_TYPES = {
    "size_bytes": pa.int64(),
    "attempts": pa.int32(),
    "attempt": pa.int32(),
    "landed_at": pa.timestamp("us", tz="UTC"),
    "updated_at": pa.timestamp("us", tz="UTC"),
    "quarantined_at": pa.timestamp("us", tz="UTC"),
    "files": pa.int64(),
    "rows": pa.int64(),
    "refusals": pa.int64(),
    "erased_at": pa.timestamp("us", tz="UTC"),
    "finished_at": pa.timestamp("us", tz="UTC"),
}


def _fetch(ledger: Ledger, columns: tuple[str, ...], query: Any) -> pa.Table:
    with ledger.read() as connection:
        rows = connection.execute(query).all()
    schema = pa.schema([(name, _LEDGER_TYPES.get(name, pa.string())) for name in columns])
    return pa.table([pa.array([row[i] for row in rows], field.type) for i, field in enumerate(schema)], schema=schema)


def rows_by_file(lake: Lake, table: TableName, snapshot: int | None) -> dict[str, tuple[str, int]]:
    """Batch and number of rows of every file in a snapshot of a table, by file id, counted from the Parquet files."""
    import duckdb

    paths = lake.data_files(table, snapshot)
    if not paths:
        return {}
    with duckdb.connect() as connection:
        paths = files.let_read(connection, paths)
        counted = connection.execute(
            "SELECT file_id, max(batch_id), count(*) FROM read_parquet(?) GROUP BY file_id", [paths]
        ).fetchall()
    return {file_id: (batch_id, rows) for file_id, batch_id, rows in counted}


def query_snapshot(
    lake: Lake,
    table: TableName,
    snapshot: int | None,
    query: str,
    beside: Mapping[str, pa.Table] = MappingProxyType({}),
) -> pa.Table | None:
    """A query of one snapshot of a table, which it calls ``published``, and of tables beside it by their names.

    None when there is no such table.
    """
    import duckdb

    schema = lake.schema(table)
    if schema is None:
        return None
    with duckdb.connect() as connection:
        rows = select_rows(connection, schema, lake.data_files(table, snapshot), "empty_published")
        connection.execute(f"CREATE VIEW published AS {rows}")
        for name, given in beside.items():
            connection.register(name, given)
        return connection.sql(query).to_arrow_table()


def rows_of_table(
    lake: Lake,
    table: TableName,
    snapshot: int | None,
    columns: Sequence[str],
    *,
    file_ids: Collection[str] | None = None,
) -> pa.Table:
    """Rows of a snapshot of a table, all or those of some files."""
    query, beside = f"SELECT {', '.join(columns)} FROM published", {}
    if file_ids is not None:
        beside = {"wanted": pa.table({"file_id": pa.array(sorted(file_ids), pa.string())})}
        query += " WHERE file_id IN (SELECT file_id FROM wanted)"
    found = query_snapshot(lake, table, snapshot, query, beside)
    return pa.table({name: pa.array([], pa.string()) for name in columns}) if found is None else found


def keys_by_file(lake: Lake, table: TableName, snapshot: int | None) -> dict[str, str]:
    """The key of every file in a snapshot of a table that has the column `source_key`."""
    import duckdb

    paths = lake.data_files(table, snapshot)
    if not paths:
        return {}
    with duckdb.connect() as connection:
        paths = files.let_read(connection, paths)
        return dict(
            connection.execute(
                "SELECT file_id, max(source_key) FROM read_parquet(?) GROUP BY file_id", [paths]
            ).fetchall()
        )


def files_of_value(lake: Lake, table: TableName, snapshot: int | None, column: str, value: str) -> dict[str, bool]:
    """The files with a value in a column of a table, by id, and whether they have other values in it, too."""
    import duckdb

    paths = lake.data_files(table, snapshot)
    if not paths:
        return {}
    with duckdb.connect() as connection:
        paths = files.let_read(connection, paths)
        return dict(
            connection.execute(
                f"""SELECT file_id, bool_or("{column}"::VARCHAR IS DISTINCT FROM ?) FROM read_parquet(?, union_by_name=true)
                GROUP BY file_id HAVING bool_or("{column}"::VARCHAR IS NOT DISTINCT FROM ?)""",
                [value, paths, value],
            ).fetchall()
        )


def batch_rows(lake: Lake, table: TableName, snapshot: int | None, batch_id: str, columns: Sequence[str]) -> pa.Table:
    """Columns of the rows that a batch has in a snapshot of a table."""
    import duckdb

    schema = lake.schema(table)
    if schema is None:
        return pa.table({name: pa.array([], pa.null()) for name in columns})
    chosen = ", ".join(f'"{name}"' for name in columns)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone='UTC'")
        body = select_rows(connection, schema, lake.data_files(table, snapshot, batch_id), "no_rows")
        found = connection.sql(f"SELECT {chosen} FROM ({body}) WHERE batch_id = ?", params=[batch_id])
        return found.to_arrow_table()


def count_rows_by_file(
    lake: Lake, table: TableName, snapshot: int | None, batch_id: str, expected: Collection[str] = ()
) -> dict[str, int]:
    """Rows that a batch has in a snapshot of a table, by file id, counted from the Parquet files.

    expected: files of the batch. One of them without rows of this batch may have some that an earlier batch committed.
    """
    found = _count_rows(lake, table, snapshot, batch_id, "batch_id = ?", batch_id)
    elsewhere = sorted(set(expected) - found.keys())
    if elsewhere:
        found |= _count_rows(lake, table, snapshot, None, "file_id IN (SELECT unnest(?))", elsewhere)
    return found


def _count_rows(
    lake: Lake, table: TableName, snapshot: int | None, batch_id: str | None, condition: str, value: object
) -> dict[str, int]:
    import duckdb

    paths = lake.data_files(table, snapshot, batch_id)
    if not paths:
        return {}
    with duckdb.connect() as connection:
        paths = files.let_read(connection, paths)
        counted = connection.execute(
            f"SELECT file_id, count(*) FROM read_parquet(?) WHERE {condition} GROUP BY file_id", [paths, value]
        ).fetchall()
    return dict(counted)
