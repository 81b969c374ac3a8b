"""What differs between two snapshots of a table, by key; and the rows of the keys that do.

Reads only data files that one of the snapshots has and the other has not, and of all files only the columns that are
asked for. Larger than memory is fine: DuckDB sets aside what does not fit.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from resources.lake.lake import Lake, TableName
from resources.lake.sql import select_rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MEMORY = "1GiB"
_ROWS_AT_ONCE = 50_000


@dataclass(frozen=True)
class Snapshot:
    """One state of a table, by its data files."""

    schema: pa.Schema
    paths: tuple[str, ...]

    @classmethod
    def of(cls, lake: Lake, table: TableName, snapshot_id: int | None) -> Snapshot:
        """Raises SnapshotGone."""
        schema = lake.schema(table)
        return cls(schema if schema is not None else pa.schema([]), tuple(lake.data_files(table, snapshot_id)))


@dataclass(frozen=True)
class Chunk:
    """All rows of some keys, numbered from `first` to `last`; sorted by key, then by file and value."""

    first: int
    last: int
    rows: pa.Table


@contextmanager
def open_workspace(workers: int) -> Iterator[DuckDBPyConnection]:
    """A database for one piece of work, bounded in memory; what it sets aside on disk is gone afterwards."""
    import duckdb

    with tempfile.TemporaryDirectory(prefix="strandline-aggregate-") as folder, duckdb.connect() as connection:
        connection.execute("SET TimeZone='UTC'")
        connection.execute(f"SET memory_limit='{_MEMORY}'")
        connection.execute(f"SET temp_directory='{folder}'")
        connection.execute(f"SET threads={workers}")
        # The order of rows is always asked for, so none has to be kept in memory.
        connection.execute("SET preserve_insertion_order=false")
        yield connection


def quoted(names: Sequence[str], prefix: str = "") -> str:
    return ", ".join(f'{prefix}"{name}"' for name in names)


def same_keys(keys: Sequence[str], left: str, right: str) -> str:
    """A condition under which two rows have the same key. No value equals no value."""
    return " AND ".join(f'{left}."{key}" IS NOT DISTINCT FROM {right}."{key}"' for key in keys)


class TouchedKeys:
    """The keys that have other rows now than before, numbered from 0 in their own order, and their rows now.

    before: None means that every key counts.
    keys: columns that make a key. columns: further ones that count.
    """

    def __init__(
        self,
        connection: DuckDBPyConnection,
        before: Snapshot | None,
        now: Snapshot,
        keys: Sequence[str],
        columns: Sequence[str],
    ) -> None:
        self._connection = connection
        self._keys = tuple(keys)
        self._columns = (*keys, *columns)
        self._all = (*self._columns, "file_id", "batch_id")
        source = self._select(now.schema, now.paths, "now") if before is None else self._changed(before, now)
        connection.execute(
            f"CREATE TEMP TABLE touched AS SELECT row_number() OVER (ORDER BY {self._order}) - 1 AS key_number, * "
            f"FROM (SELECT DISTINCT {quoted(self._keys)} FROM ({source}))"
        )
        if self.count:
            picked = self._select(now.schema, now.paths, "all_now")
        else:
            picked = self._select(now.schema, (), "nothing_now")
        connection.execute(
            f"CREATE TEMP TABLE picked AS SELECT key_number, {quoted(self._all, 'rows.')} FROM ({picked}) rows "
            f"JOIN touched ON {same_keys(self._keys, 'rows', 'touched')}"
        )
        connection.execute(
            "CREATE TEMP TABLE key_batches AS SELECT key_number, max(batch_id) AS batch_id, count(*) AS number "
            "FROM picked GROUP BY key_number"
        )

    @property
    def _order(self) -> str:
        return ", ".join(f'"{key}" NULLS LAST' for key in self._keys)

    def _select(self, schema: pa.Schema, paths: Sequence[str], name: str) -> str:
        return f"SELECT {quoted(self._all)} FROM ({select_rows(self._connection, schema, paths, f'empty_{name}')})"

    def _changed(self, before: Snapshot, now: Snapshot) -> str:
        """Rows that one snapshot has and the other has not. A data file that both have says nothing."""
        old = [path for path in before.paths if path not in set(now.paths)]
        new = [path for path in now.paths if path not in set(before.paths)]
        gone = self._select(now.schema, old, "old")
        come = self._select(now.schema, new, "new")
        return f"({gone} EXCEPT ALL {come}) UNION ALL ({come} EXCEPT ALL {gone})"

    @property
    def count(self) -> int:
        return self._number("SELECT count(*) FROM touched")

    @property
    def rows(self) -> int:
        return self._number("SELECT count(*) FROM picked")

    def _number(self, query: str) -> int:
        return int(self._connection.execute(query).fetchall()[0][0])

    def chunks(self, most_rows: int) -> Iterator[Chunk]:
        """The rows, as many whole keys at once as have `most_rows` together; a key with more comes alone."""
        counts = self._connection.execute("SELECT key_number, number FROM key_batches ORDER BY key_number").fetchall()
        parts: list[tuple[int, int]] = []
        size = 0
        for key_number, rows in counts:
            if parts and size + rows <= most_rows:
                parts[-1] = (parts[-1][0], key_number)
                size += rows
            else:
                parts.append((key_number, key_number))
                size = rows
        for first, last in parts:
            rows = self._connection.sql(
                f"SELECT {quoted(self._columns)} FROM picked WHERE key_number BETWEEN {first} AND {last} "
                f"ORDER BY key_number, file_id, {quoted(self._columns)}"
            )
            yield Chunk(first, last, rows.to_arrow_table())

    def keep(self, made: pa.Table, first: int, last: int) -> list[tuple[object, ...]]:
        """Take the aggregate's rows of a chunk, each with its newest batch. Keys that are not of the chunk or come
        twice: these are given back, and none is kept."""
        self._connection.register("computed", made)
        matched = (
            f"FROM computed LEFT JOIN touched ON {same_keys(self._keys, 'computed', 'touched')} "
            f"AND key_number BETWEEN {first} AND {last}"
        )
        wrong = self._connection.execute(
            f"SELECT {quoted(self._keys, 'computed.')} {matched} GROUP BY ALL "
            "HAVING count(*) > 1 OR count(key_number) = 0 LIMIT 5"
        ).fetchall()
        if not wrong:
            rows = (
                f"SELECT computed.* EXCLUDE (batch_id), key_batches.batch_id {matched} "
                "LEFT JOIN key_batches USING (key_number)"
            )
            begin = "INSERT INTO made BY NAME" if self._has_made else "CREATE TEMP TABLE made AS"
            self._connection.execute(f"{begin} {rows}")
        self._connection.unregister("computed")
        return wrong

    @property
    def _has_made(self) -> bool:
        return self._number("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'made'") > 0

    def whole(self, schema: pa.Schema, before: Snapshot) -> Iterator[pa.Table]:
        """The aggregate's rows: those of `before` whose keys were not touched, and those kept; sorted by key."""
        old = select_rows(self._connection, schema, before.paths, "empty_aggregate")
        query = (
            f"SELECT {quoted(schema.names)} FROM ({old}) old WHERE NOT EXISTS "
            f"(SELECT 1 FROM touched WHERE {same_keys(self._keys, 'old', 'touched')})"
        )
        if self._has_made:
            query += f" UNION ALL SELECT {quoted(schema.names)} FROM made"
        ordered = self._connection.sql(f"SELECT * FROM ({query}) ORDER BY {self._order}")
        for batch in ordered.to_arrow_reader(_ROWS_AT_ONCE):
            yield pa.Table.from_batches([batch]).cast(schema)
