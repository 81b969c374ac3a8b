"""Forgetting files: their rows, refusals and names go from the ledger in one transaction, a tombstone stays."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Row, and_, delete, func, insert, or_, select, update

from resources.ledger import leases
from resources.ledger.aggregates import NO_BATCH
from resources.ledger.arrivals import tombstone_of
from resources.ledger.database import Ledger, utc_now
from resources.ledger.leases import Lease, batch_lease
from resources.ledger.products import newest_publication_in
from resources.ledger.publishing import published_in
from resources.ledger.replacing import forget_key, forget_replacements
from resources.ledger.states import FileState, chunked
from resources.ledger.tables import (
    alerts,
    batches,
    erasures,
    file_history,
    file_rows,
    files,
    looks,
    products,
    publications,
    quarantine,
    tombstones,
)

_ERASED = "erased because a person asked for it"


@dataclass(frozen=True)
class Erasure:
    """What was forgotten in one go."""

    erasure_id: str
    source: str
    file_ids: tuple[str, ...]
    rows: Mapping[str, int]
    refusals: int
    erased_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True)
class Doomed:
    """A file that is to be forgotten."""

    file_id: str
    store: str
    key: str
    version: str
    size_bytes: int
    state: FileState

    @property
    def mark(self) -> str:
        return tombstone_of(self.store, self.key, self.version, self.size_bytes)


def doomed(ledger: Ledger, file_ids: Collection[str], *, versions: bool = True) -> list[Doomed]:
    """The files that go when these go: the same bytes in every generation, all parts of their records, and, with
    `versions`, every other version of their keys."""
    with ledger.read() as connection:
        return [_doomed(row) for row in _with_theirs(connection, file_ids, versions)]


def _doomed(row: Row) -> Doomed:
    return Doomed(row.file_id, row.store, row.key, row.version, row.size_bytes, FileState(row.state))


def _with_theirs(connection: Connection, file_ids: Collection[str], versions: bool) -> list[Row]:
    found: dict[str, Row] = {}
    for file_id in file_ids:
        one = connection.execute(select(files).where(files.c.file_id == file_id)).one()
        same_key = and_(files.c.store == one.store, files.c.key == one.key)
        if not versions:
            same_key = and_(same_key, files.c.version == one.version, files.c.size_bytes == one.size_bytes)
        same = same_key
        if one.group_key is not None:
            same = or_(same_key, and_(files.c.source == one.source, files.c.group_key == one.group_key))
        for row in connection.execute(select(files).where(same, files.c.state != FileState.FORGOTTEN)):
            found[row.file_id] = row
    return sorted(found.values(), key=lambda row: row.seq)


def any_batch(ledger: Ledger, source: str) -> str | None:
    """A batch of the source that the ledger knows, as the label of snapshots that no batch makes."""
    with ledger.read() as connection:
        return connection.scalar(select(func.max(batches.c.batch_id)).where(batches.c.source == source))


def erase(
    ledger: Ledger,
    turn: Lease,
    erasure_id: str,
    source: str,
    gone: Sequence[Doomed],
    snapshots: Mapping[str, int | None],
) -> Erasure:
    """Make files forgotten: the tables' new snapshots, the files' states, their refusals and names, their tombstones.

    One transaction, as `publish` is for a batch. A run that reads one of the files now finds it forgotten when it
    wants to commit. Ends the turn. Raises LeaseLost when the turn is lost; nothing is changed then.
    """
    now = utc_now()
    ids = [file.file_id for file in gone]
    with ledger.write() as connection:
        leases.check(connection, turn)
        if connection.dialect.name == "sqlite":
            # What is deleted is overwritten, too.
            connection.exec_driver_sql("PRAGMA secure_delete=ON")
        rows = _count_rows(connection, ids)
        refusals = 0
        involved = _batches_of(connection, ids)
        _raise_tombstones(connection, source, {file.mark for file in gone}, now)
        for chunk in chunked(ids):
            connection.execute(delete(file_rows).where(file_rows.c.file_id.in_(chunk)))
            refusals += connection.execute(delete(quarantine).where(quarantine.c.file_id.in_(chunk))).rowcount
            connection.execute(update(file_history).where(file_history.c.file_id.in_(chunk)).values(reason=_ERASED))
        forget_replacements(connection, ids)
        states = {row.file_id: row for row in _rows_of(connection, ids)}
        for file in gone:
            connection.execute(delete(looks).where(looks.c.store == file.store, looks.c.key == file.key))
            forget_key(connection, file.store, file.key)
            connection.execute(
                update(files)
                .where(files.c.file_id == file.file_id)
                .values(
                    state=FileState.FORGOTTEN.value, key=f"{source}/(forgotten)/{file.file_id}", version="", size_bytes=0,
                    error_class=None, error=None, needs=None, content=None, group_key=None, updated_at=now,
                )
            )  # fmt: skip
            row = states[file.file_id]
            connection.execute(
                insert(file_history).values(
                    file_id=file.file_id, at=now, from_state=row.state, to_state=FileState.FORGOTTEN.value,
                    batch_id=row.batch_id, run_id=row.run_id, reason=_ERASED,
                )
            )  # fmt: skip
        _clean_batches(connection, involved, [file.key for file in gone])
        _drop_alerts(connection, source, [*ids, *(file.key for file in gone)])
        if snapshots:
            connection.execute(
                insert(publications).values(
                    source=source, batch_id=NO_BATCH, run_id=erasure_id, published_at=now,
                    snapshots={**published_in(connection, source), **snapshots},
                )
            )  # fmt: skip
        _outdate_products(connection, source, involved)
        done = Erasure(erasure_id, source, tuple(ids), rows, refusals, now, None)
        connection.execute(
            insert(erasures).values(
                erasure_id=erasure_id,
                source=source,
                file_ids=ids,
                file_count=len(ids),
                rows=rows,
                row_count=sum(rows.values()),
                refusals=refusals,
                erased_at=now,
            )
        )
        leases.drop(connection, turn)
        return done


def _rows_of(connection: Connection, ids: Sequence[str]) -> Iterable[Row]:
    for chunk in chunked(ids):
        yield from connection.execute(
            select(files.c.file_id, files.c.state, files.c.batch_id, files.c.run_id).where(files.c.file_id.in_(chunk))
        )


def _count_rows(connection: Connection, ids: Sequence[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for chunk in chunked(ids):
        query = select(file_rows.c.table_name, func.sum(file_rows.c.rows)).where(file_rows.c.file_id.in_(chunk))
        for table, rows in connection.execute(query.group_by(file_rows.c.table_name)):
            counts[table] = counts.get(table, 0) + int(rows)
    return counts


def _batches_of(connection: Connection, ids: Sequence[str]) -> set[str]:
    found: set[str | None] = set()
    for chunk in chunked(ids):
        found |= set(connection.scalars(select(file_history.c.batch_id).where(file_history.c.file_id.in_(chunk))))
        found |= set(connection.scalars(select(files.c.batch_id).where(files.c.file_id.in_(chunk))))
    return {batch_id for batch_id in found if batch_id}


def _clean_batches(connection: Connection, batch_ids: Collection[str], keys: Sequence[str]) -> None:
    """An error of a batch may name a file of it."""
    for chunk in chunked(sorted(batch_ids)):
        query = select(batches.c.batch_id, batches.c.error).where(batches.c.batch_id.in_(chunk))
        for row in connection.execute(query.where(batches.c.error.is_not(None))).all():
            if any(key in row.error for key in keys):
                connection.execute(
                    update(batches).where(batches.c.batch_id == row.batch_id).values(error=f"(its text was {_ERASED})")
                )


def _outdate_products(connection: Connection, source: str, batch_ids: Collection[str]) -> None:
    """What is made from the rows is to be made without them; an error of one may quote them."""
    publication = newest_publication_in(connection, source)
    for chunk in chunked(sorted(batch_ids)):
        outdated = {"due": publication, "made": 0, "failures": 0, "error": None, "permanent": False}
        connection.execute(update(products).where(products.c.batch_id.in_(chunk)).values(**outdated))


def _drop_alerts(connection: Connection, source: str, names: Sequence[str]) -> None:
    """What is to be told, or was, may name a file or quote it."""
    kept = connection.execute(select(alerts.c.key, alerts.c.content, alerts.c.error).where(alerts.c.source == source))
    for row in kept.all():
        told = json.dumps([row.key, row.content, row.error], ensure_ascii=False)
        if any(name in told or json.dumps(name, ensure_ascii=False)[1:-1] in told for name in names):
            connection.execute(delete(alerts).where(alerts.c.key == row.key))


def _raise_tombstones(connection: Connection, source: str, marks: Iterable[str], at: datetime) -> None:
    for chunk in chunked(sorted(marks)):
        known = set(connection.scalars(select(tombstones.c.mark).where(tombstones.c.mark.in_(chunk))))
        new = [{"mark": mark, "source": source, "erased_at": at} for mark in chunk if mark not in known]
        if new:
            connection.execute(insert(tombstones), new)


def marks_of(ledger: Ledger, source: str) -> set[str]:
    """The tombstones of a source."""
    with ledger.read() as connection:
        return set(connection.scalars(select(tombstones.c.mark).where(tombstones.c.source == source)))


def is_barred(ledger: Ledger, mark: str) -> bool:
    """Whether what has this tombstone was forgotten."""
    with ledger.read() as connection:
        return connection.scalar(select(tombstones.c.mark).where(tombstones.c.mark == mark)) is not None


def adopt_marks(ledger: Ledger, source: str, marks: Collection[str]) -> None:
    """Take over tombstones that were found beside the tables."""
    with ledger.write() as connection:
        _raise_tombstones(connection, source, marks, utc_now())


def forgotten_among(ledger: Ledger, file_ids: Collection[str]) -> set[str]:
    """Those of the files that are forgotten."""
    found: set[str] = set()
    with ledger.read() as connection:
        for chunk in chunked(file_ids):
            query = select(files.c.file_id).where(files.c.file_id.in_(chunk), files.c.state == FileState.FORGOTTEN)
            found |= set(connection.scalars(query))
    return found


def unfinished(ledger: Ledger) -> list[Erasure]:
    """Erasures whose bytes may be there still, because they were interrupted."""
    with ledger.read() as connection:
        rows = connection.execute(
            select(erasures).where(erasures.c.finished_at.is_(None)).order_by(erasures.c.erased_at)
        )
        return [
            Erasure(
                row.erasure_id, row.source, tuple(row.file_ids), dict(row.rows), row.refusals, row.erased_at, row.finished_at
            )
            for row in rows
        ]  # fmt: skip


def readers_of(ledger: Ledger, erasure: Erasure) -> list[str]:
    """Live batches that had one of the files when it was forgotten, and may be writing its rows somewhere."""
    with ledger.read() as connection:
        return sorted(
            batch_id
            for batch_id in _batches_of(connection, erasure.file_ids)
            if leases.is_live(connection, batch_lease(batch_id))
        )


def runs_and_batches(ledger: Ledger, erasure: Erasure) -> tuple[set[str], set[str]]:
    """The runs that handled the files, and the batches that the files were ever in."""
    runs: set[str | None] = set()
    with ledger.read() as connection:
        for chunk in chunked(erasure.file_ids):
            runs |= set(connection.scalars(select(file_history.c.run_id).where(file_history.c.file_id.in_(chunk))))
            runs |= set(connection.scalars(select(files.c.run_id).where(files.c.file_id.in_(chunk))))
        return {run for run in runs if run}, _batches_of(connection, erasure.file_ids)


def publish_without(ledger: Ledger, turn: Lease, erasure: Erasure, snapshots: Mapping[str, int | None]) -> None:
    """Show other snapshots with the same rows. The turn goes on. Raises LeaseLost."""
    with ledger.write() as connection:
        leases.check(connection, turn)
        connection.execute(
            insert(publications).values(
                source=erasure.source, batch_id=NO_BATCH, run_id=erasure.erasure_id, published_at=utc_now(),
                snapshots={**published_in(connection, erasure.source), **snapshots},
            )
        )  # fmt: skip


def check_turn(ledger: Ledger, turn: Lease) -> None:
    """Raises LeaseLost unless the turn is still its owner's."""
    with ledger.read() as connection:
        leases.check(connection, turn)


def finish(ledger: Ledger, erasure: Erasure) -> None:
    """Note that an erasure left nothing behind."""
    with ledger.write() as connection:
        done = update(erasures).where(erasures.c.erasure_id == erasure.erasure_id)
        connection.execute(done.values(finished_at=utc_now()))
    if ledger.engine.dialect.name == "sqlite":
        # What was overwritten in the database stands in its log until that is written back.
        with ledger.engine.connect() as plain:
            plain.connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
