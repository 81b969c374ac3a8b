"""What reconciling writes into the ledger when it, the lake and the landing store are not of one mind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from resources.ledger import leases
from resources.ledger.aggregates import NO_BATCH
from resources.ledger.arrivals import EACH_ALONE, Delivery
from resources.ledger.assembly import group_batch_id
from resources.ledger.batches import BatchBusy, BatchState
from resources.ledger.database import Ledger, utc_now
from resources.ledger.leases import Lease
from resources.ledger.publishing import published_in
from resources.ledger.states import FileState, chunked, move, read_anew
from resources.ledger.tables import batches, file_history, file_rows, files, looks, publications

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
    """Let committed files be planned anew. Rows that they still have go when they are committed."""
    with ledger.write() as connection:
        read_anew(connection, file_ids, at=utc_now(), reason=reason)


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
        read_anew(connection, ids, at=now, reason="its tables were lost")
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


def publish_restored(
    ledger: Ledger,
    turn: Lease,
    source: str,
    snapshots: Mapping[str, int | None],
    counts: Mapping[str, Mapping[str, int]],
    again: Sequence[str],
    reason: str,
) -> None:
    """Show other snapshots of some tables, with other rows of the same files.

    counts: of each of these tables, the rows of every file that has some now. again: files to be read again, and why.
    Raises LeaseLost when the turn to commit is another's by now; nothing is changed then.
    """
    now = utc_now()
    with ledger.write() as connection:
        leases.check(connection, turn)
        shown = {**published_in(connection, source), **snapshots}
        connection.execute(
            insert(publications).values(
                source=source, batch_id=NO_BATCH, run_id=turn.owner, snapshots=shown, published_at=now
            )
        )
        of_source = select(files.c.file_id).where(files.c.source == source)
        of_tables = (file_rows.c.table_name.in_(list(counts)), file_rows.c.file_id.in_(of_source))
        connection.execute(delete(file_rows).where(*of_tables))
        rows = [
            {"file_id": file_id, "table_name": table, "rows": count}
            for table, by_file in counts.items()
            for file_id, count in by_file.items()
        ]
        if rows:
            connection.execute(insert(file_rows), rows)
        read_anew(connection, again, at=now, reason=reason)


def adopt_lake(
    ledger: Ledger,
    source: str,
    store: str,
    snapshots: Mapping[str, int | None],
    found: Sequence[FoundFile],
    delivery: Delivery = EACH_ALONE,
) -> None:
    """Enter what the tables hold into a ledger that knows nothing of the source: files, batches, and as published the
    snapshots that the tables have now.

    What a look or a failed run has entered meanwhile is dropped, for the next look to enter again: after the files of
    the tables, in whose place it may come. Raises BatchBusy while a run works on files of the source.
    """
    now = utc_now()
    reason = "found in the tables by reconciling"
    with ledger.write() as connection:
        _drop_unread(connection, source)
        for chunk in chunked(found):
            _insert_found(connection, source, store, chunk, now, delivery)
            ids = [file.file_id for file in chunk]
            move(connection, ids, FileState.RUNNING, at=now, reason=reason)
            move(connection, ids, FileState.COMMITTED, at=now, reason=reason)
        _insert_batches(connection, source, found, now, delivery)
        connection.execute(
            insert(publications).values(
                source=source, batch_id="", run_id="reconcile", snapshots=dict(snapshots), published_at=now
            )
        )


def _drop_unread(connection: Connection, source: str) -> None:
    running = select(batches.c.batch_id).where(batches.c.source == source, batches.c.state == BatchState.RUNNING)
    for batch_id in connection.scalars(running):
        raise BatchBusy(
            f"A run works on batch {batch_id} of {source}. Wait for it to end, or cancel it; then reconcile again."
        )
    unread = list(
        connection.scalars(
            select(files.c.file_id).where(
                files.c.source == source, files.c.state.in_([FileState.PENDING, FileState.WAITING, FileState.HELD])
            )
        )
    )
    for chunk in chunked(unread):
        connection.execute(delete(file_history).where(file_history.c.file_id.in_(chunk)))
        connection.execute(delete(files).where(files.c.file_id.in_(chunk)))
    connection.execute(delete(looks).where(looks.c.source == source))
    unfinished = batches.c.state.in_([BatchState.PLANNED, BatchState.HELD])
    connection.execute(delete(batches).where(batches.c.source == source, unfinished))


def _insert_found(
    connection: Connection,
    source: str,
    store: str,
    found: Sequence[FoundFile],
    now: datetime,
    delivery: Delivery,
) -> None:
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
                "group_key": delivery.group_of(file.key),
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


def _insert_batches(
    connection: Connection, source: str, found: Sequence[FoundFile], now: datetime, delivery: Delivery
) -> None:
    members: dict[str, list[FoundFile]] = {}
    for file in found:
        members.setdefault(file.batch_id, []).append(file)
    for batch_id, of_batch in members.items():
        group_key = delivery.group_of(of_batch[0].key)
        is_group = group_key is not None and batch_id == group_batch_id(source, group_key)
        connection.execute(
            insert(batches).values(
                batch_id=batch_id,
                source=source,
                state=BatchState.FINISHED.value,
                group_key=group_key if is_group else None,
                files=len(of_batch),
                size_bytes=sum(file.size_bytes for file in of_batch),
                attempt=1,
                released=False,
                created_at=now,
                updated_at=now,
            )
        )
