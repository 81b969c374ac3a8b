"""Deployments that look as if they had run for years: the rows that the platform itself writes, written in bulk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import insert, select, text

from bench.measure import say
from pipeline_assets.columns import arrow_schema
from pipeline_assets.source import FileSource
from resources.lake.lake import TableName, new_data_file
from resources.lake.maintenance import expire
from resources.landing.shards import NONE_CLOSED, Closed
from resources.landing.store import PAGE_KEYS, Page
from resources.ledger import Ledger
from resources.ledger.arrivals import Look
from resources.ledger.batches import is_known
from resources.ledger.database import utc_now
from resources.ledger.tables import files, publications
from resources.platform import Platform

_AGE = timedelta(days=30)
_BATCHES_A_COMMIT = 100
BATCHES_A_DAY = 10


def fill_ledger(
    ledger: Ledger, source: str, store: str, count: int, files_a_batch: int, table: str = "samples"
) -> None:
    """Files that were committed long ago, one row each, with all that the ledger keeps of them. Ids are as random as real
    ones; batches were planned ten a day."""
    at = utc_now() - _AGE
    values = {
        "source": source, "store": store, "count": count, "at": at.strftime("%Y-%m-%d %H:%M:%S.%f"), "table": table,
        "mtime_ns": int(at.timestamp()) * 10**9, "batch": files_a_batch, "apart": 86_400 // BATCHES_A_DAY,
    }  # fmt: skip
    with ledger.write() as connection:
        connection.exec_driver_sql("PRAGMA cache_size=-500000")
        for statement in _FILL:
            connection.execute(text(statement), values)
    ledger.close()


_FILL = (
    """INSERT INTO files (file_id, source, store, key, version, size_bytes, generation, landed_at, seen_at, state,
                           batch_id, run_id, attempts, updated_at)
       WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :count)
       SELECT lower(hex(randomblob(12))), :source, :store, printf('%s/%04d/%09d.mat', :source, n / 10000, n), 'v' || n,
              1000, 0, :at, :at, 'committed',
              strftime('%Y%m%dT%H%M%S000-fill', '2020-01-01', '+' || ((n / :batch) * :apart) || ' seconds'),
              'fill', 1, :at FROM numbers""",
    """INSERT INTO looks (store, key, source, size_bytes, mtime_ns, looked_at, version, file_id)
       SELECT store, key, source, size_bytes, :mtime_ns, :at, version, file_id FROM files""",
    "INSERT INTO file_rows (file_id, table_name, rows) SELECT file_id, :table, 1 FROM files",
    """INSERT INTO batches (batch_id, source, state, files, size_bytes, attempt, run_id, released, created_at, updated_at)
       SELECT batch_id, source, 'finished', count(*), 1000, 1, 'fill', 0, :at, :at FROM files GROUP BY batch_id""",
    """INSERT INTO file_history (file_id, at, to_state, reason)
       SELECT file_id, :at, to_state, 'filled'
       FROM files, (SELECT 'pending' AS to_state UNION ALL SELECT 'running' UNION ALL SELECT 'committed') ORDER BY seq""",
    """INSERT INTO publications (source, batch_id, run_id, snapshots, published_at)
       SELECT source, batch_id, 'fill', '{}', :at FROM batches ORDER BY batch_id""",
)


class RememberedStore:
    """Stands for a landing store whose keys all lie there as the ledger knows them; it lists them from memory."""

    name = "folder"
    kind = "folder"
    is_atomic = True
    read_only = True

    def __init__(self, ledger: Ledger) -> None:
        with ledger.read() as connection:
            rows = connection.execute(select(files.c.key, files.c.size_bytes, files.c.version).order_by(files.c.key))
            self._looks = [Look(row.key, row.size_bytes, 0, row.version) for row in rows]

    def pages(self, prefix: str, after: str | None = None, closed: Closed = NONE_CLOSED) -> Iterator[Page]:
        begin = 0 if after is None else next(n for n, look in enumerate(self._looks) if look.key > after)
        for at in range(begin, len(self._looks), PAGE_KEYS):
            part = tuple(self._looks[at : at + PAGE_KEYS])
            yield Page(part, part[-1].key if at + PAGE_KEYS < len(self._looks) else None)

    def look(self, key: str) -> Look | None:
        return None

    def version_of(self, look: Look) -> str:
        return look.version or ""


def fill_lake(platform: Platform, source: FileSource) -> None:
    """A data file for each batch of the ledger, with its files' rows, committed by the platform's own code a hundred
    batches at a time."""
    (table,) = source.tables
    name, schema = TableName(source.name, table.name), arrow_schema(table.schema)
    folder = platform.lake.ensure(name, schema)
    snapshot: int | None = None
    paths: list[str] = []
    with platform.ledger.read() as connection:
        query = select(files.c.batch_id, files.c.file_id, files.c.key, files.c.seq).order_by(files.c.seq)
        members: dict[str, list[tuple[str, str, int]]] = {}
        for row in connection.execute(query):
            members.setdefault(row.batch_id, []).append((row.file_id, row.key, row.seq))
    for number, (batch_id, of_batch) in enumerate(members.items(), start=1):
        paths.append(write_rows(schema, new_data_file(folder, batch_id), batch_id, of_batch))
        if len(paths) == _BATCHES_A_COMMIT or number == len(members):
            committed = platform.lake.commit(
                name, base=snapshot, add=paths, remove_file_ids=(), batch_id=batch_id, run_id="fill",
                knows_batch=lambda batch: is_known(platform.ledger, batch),
            )  # fmt: skip
            snapshot, paths = committed.snapshot_id, []
        if number % 2000 == 0:
            say(f"    {number:,} batches in the lake")
    # Years of commits would have left but the newest snapshots.
    expire(platform.lake, name, keep={snapshot}, age=timedelta(0))
    with platform.ledger.write() as connection:
        published = {"batch_id": batch_id, "run_id": "fill", "snapshots": {table.name: snapshot}}
        connection.execute(insert(publications).values(source=source.name, published_at=utc_now() - _AGE, **published))


def write_rows(schema: pa.Schema, uri: str, batch_id: str, members: Sequence[tuple[str, str, int]]) -> str:
    """A data file of readings, a row for each file. members: id, key and a number of each. The path."""
    path = Path(uri.removeprefix("file://"))
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {
        "source_key": [key for _, key, _ in members],
        "n": [0] * len(members),
        "value": [(number % 1000) / 1000 for _, _, number in members],
        "file_id": [file_id for file_id, _, _ in members],
        "batch_id": [batch_id] * len(members),
    }
    pq.write_table(pa.table(columns, schema=schema), path, compression="zstd")
    return uri
