"""What reconciling writes into the ledger when it, the lake and the landing store are not of one mind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from resources.ledger.batches import BatchState
from resources.ledger.database import Ledger, utc_now
from resources.ledger.states import FileState, chunked, move
from resources.ledger.tables import batches, file_history, file_rows, files, publications

UNKNOWN_VERSION = "unknown"
"""The version of a file of which only its rows are left."""


@dataclass(frozen=True)
class FoundFile:
    """A file that the tables have rows of and the ledger does not know."""

    file_id: str
    batch_id: str
    key: str
    version: str
    size_bytes: int
    generation: int
    landed_at: datetime
    rows: Mapping[str, int]


def committed_files(ledger: Ledger, source: str) -> dict[str, tuple[str, str]]:
    """Key and version of each committed file of a source, by file id."""
    query = select(files.c.file_id, files.c.key, files.c.version).where(
        files.c.source == source, files.c.state == FileState.COMMITTED
    )
    with ledger.read() as connection:
        return {row.file_id: (row.key, row.version) for row in connection.execute(query)}


def read_again(ledger: Ledger, file_ids: Sequence[str], reason: str) -> None:
    """Make committed files `pending`, to be planned anew. Rows that they still have go when they are committed."""
    with ledger.write() as connection:
        move(connection, file_ids, FileState.PENDING, at=utc_now(), reason=reason, batch_id=None, run_id=None)


def forget_lake(ledger: Ledger, source: str, tables: Sequence[str]) -> int:
    """Note that a source's tables are gone: nothing is published, every committed file is to be read again."""
    now = utc_now()
    with ledger.write() as connection:
        ids = list(
            connection.scalars(
                select(files.c.file_id).where(files.c.source == source, files.c.state == FileState.COMMITTED)
            )
        )
        of_source = select(files.c.file_id).where(files.c.source == source)
        connection.execute(delete(file_rows).where(file_rows.c.file_id.in_(of_source)))
        reason = "its tables were lost"
        move(connection, ids, FileState.PENDING, at=now, reason=reason, batch_id=None, run_id=None)
        connection.execute(
            insert(publications).values(
                source=source,
                batch_id="",
                run_id="reconcile",
                snapshots=dict.fromkeys(tables),
                published_at=now,
            )
        )
        return len(ids)


def adopt_lake(
    ledger: Ledger, source: str, store: str, snapshots: Mapping[str, int | None], found: Sequence[FoundFile]
) -> None:
    """Enter what the tables hold into a ledger that knows nothing of the source: files, batches, and as published the
    snapshots that the tables have now."""
    now = utc_now()
    reason = "found in the tables by reconciling"
    with ledger.write() as connection:
        for chunk in chunked(found):
            _insert_found(connection, source, store, chunk, now)
            ids = [file.file_id for file in chunk]
            move(connection, ids, FileState.RUNNING, at=now, reason=reason)
            move(connection, ids, FileState.COMMITTED, at=now, reason=reason)
        _insert_batches(connection, source, found, now)
        connection.execute(
            insert(publications).values(
                source=source, batch_id="", run_id="reconcile", snapshots=dict(snapshots), published_at=now
            )
        )


def _insert_found(connection: Connection, source: str, store: str, found: Sequence[FoundFile], now: datetime) -> None:
    state = FileState.PENDING.value
    connection.execute(
        insert(files),
        [
            {
                "file_id": file.file_id,
                "source": source,
                "store": store,
                "key": file.key,
                "version": file.version,
                "size_bytes": file.size_bytes,
                "generation": file.generation,
                "landed_at": file.landed_at,
                "seen_at": now,
                "state": state,
                "batch_id": file.batch_id,
                "attempts": 0,
                "updated_at": now,
            }
            for file in found
        ],
    )
    connection.execute(
        insert(file_history),
        [{"file_id": file.file_id, "at": now, "to_state": state, "reason": "discovered"} for file in found],
    )
    connection.execute(
        insert(file_rows),
        [
            {"file_id": file.file_id, "table_name": table, "rows": count}
            for file in found
            for table, count in file.rows.items()
        ],
    )


def _insert_batches(connection: Connection, source: str, found: Sequence[FoundFile], now: datetime) -> None:
    members: dict[str, list[FoundFile]] = {}
    for file in found:
        members.setdefault(file.batch_id, []).append(file)
    for batch_id, of_batch in members.items():
        connection.execute(
            insert(batches).values(
                batch_id=batch_id,
                source=source,
                state=BatchState.FINISHED.value,
                files=len(of_batch),
                size_bytes=sum(file.size_bytes for file in of_batch),
                attempt=1,
                released=False,
                created_at=now,
                updated_at=now,
            )
        )
