"""Files that belong together, in the ledger: the parts of records that wait, and the groups that are a batch each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, exists, func, insert, select, update

from resources.ledger.batches import BatchState
from resources.ledger.database import Ledger, utc_now
from resources.ledger.states import FileState, chunked, move
from resources.ledger.tables import batches, file_rows, files

_GROUPS_AT_ONCE = 200
_LONGEST_BATCH_ID = 64
_NOT_THERE = (FileState.SUPERSEDED, FileState.DELETED, FileState.DUPLICATE, FileState.FORGOTTEN)


@dataclass(frozen=True)
class Part:
    """A file of a record or group: the newest version of its key."""

    file_id: str
    key: str
    version: str
    size_bytes: int
    state: FileState
    batch_id: str | None
    updated_at: datetime
    needs: tuple[str, ...] | None
    """names of the other files it asks for, once its content was looked at"""

    @property
    def is_busy(self) -> bool:
        """Whether a batch has it that is not finished."""
        return self.state in {FileState.RUNNING, FileState.HELD} or (
            self.state == FileState.PENDING and self.batch_id is not None
        )


def waiting_groups(ledger: Ledger, source: str) -> Iterator[dict[str, list[Part]]]:
    """All parts of each record or group that a file waits for, the longest waiting first, some of them at a time."""
    waiting = (
        select(files.c.group_key)
        .where(files.c.source == source, files.c.state == FileState.WAITING, files.c.group_key.is_not(None))
        .group_by(files.c.group_key)
        .order_by(func.min(files.c.seq))
    )
    with ledger.read() as connection:
        names = list(connection.scalars(waiting))
    for chunk in chunked(names, _GROUPS_AT_ONCE):
        with ledger.read() as connection:
            yield parts_of(connection, source, chunk)


def supersede_outdated(ledger: Ledger, source: str) -> None:
    """End the waiting of files that a newer version of their key has overtaken, since nothing will ever read them.

    A version waits behind a newer one when that landed while a run had it, or when it was replayed.
    """
    newer = files.alias("newer")
    query = (
        select(files.c.file_id)
        .where(files.c.source == source, files.c.state == FileState.WAITING)
        .where(exists().where(newer.c.store == files.c.store, newer.c.key == files.c.key, newer.c.seq > files.c.seq))
        .where(~exists().where(file_rows.c.file_id == files.c.file_id))
    )
    with ledger.read() as connection:
        if connection.scalars(query.limit(1)).first() is None:
            return
    with ledger.write() as connection:
        ids = list(connection.scalars(query))
        move(connection, ids, FileState.SUPERSEDED, at=utc_now(), reason="a newer version of its key landed meanwhile")


def parts_of(connection: Connection, source: str, group_keys: Sequence[str]) -> dict[str, list[Part]]:
    """The newest version of every key of some records or groups that is there to be read, by group."""
    rows = connection.execute(
        select(
            files.c.group_key, files.c.file_id, files.c.key, files.c.version, files.c.size_bytes, files.c.state,
            files.c.batch_id, files.c.updated_at, files.c.needs,
        )
        .where(files.c.source == source, files.c.group_key.in_(group_keys))
        .order_by(files.c.seq)
    )  # fmt: skip
    newest: dict[str, Row[Any]] = {row.key: row for row in rows}
    found: dict[str, list[Part]] = {name: [] for name in group_keys}
    for row in sorted(newest.values(), key=lambda row: row.key):
        if row.state not in _NOT_THERE:
            needs = None if row.needs is None else tuple(row.needs)
            found[row.group_key].append(
                Part(
                    row.file_id, row.key, row.version, row.size_bytes, FileState(row.state), row.batch_id,
                    row.updated_at, needs,
                )
            )  # fmt: skip
    return found


def note_needs(ledger: Ledger, needs: Mapping[str, Sequence[str]]) -> None:
    """Remember, by file id, what describing files ask for: a version of a file always asks for the same."""
    with ledger.write() as connection:
        for file_id, names in needs.items():
            connection.execute(update(files).where(files.c.file_id == file_id).values(needs=list(names)))


def make_ready(ledger: Ledger, records: Sequence[tuple[Sequence[Part], str]]) -> None:
    """Let records be planned, all parts of each together, also those that were read before without the rest.

    records: parts, with the reason. A record that changed since its parts were looked at is left for the next look.
    """
    now = utc_now()
    for chunk in chunked(records, _GROUPS_AT_ONCE):
        with ledger.write() as connection:
            ids = [part.file_id for parts, _ in chunk for part in parts]
            states: dict[str, tuple[str, str | None]] = {}
            for some in chunked(ids):
                query = select(files.c.file_id, files.c.state, files.c.batch_id).where(files.c.file_id.in_(some))
                states |= {row.file_id: (row.state, row.batch_id) for row in connection.execute(query)}
            by_reason: dict[str, list[str]] = {}
            for parts, reason in chunk:
                if all(states[part.file_id] == (part.state, part.batch_id) for part in parts):
                    by_reason.setdefault(reason, []).extend(part.file_id for part in parts)
            for reason, ready in by_reason.items():
                freed = {"batch_id": None, "run_id": None, "error_class": None, "error": None}
                move(connection, ready, FileState.PENDING, at=now, reason=reason, **freed)


def group_batch_id(source: str, group_key: str) -> str:
    """The one batch that a group is: its source and name, shortened to what the ledger keeps."""
    name = f"{source}/{group_key}"
    if len(name) <= _LONGEST_BATCH_ID:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{name[: _LONGEST_BATCH_ID - len(digest) - 1]}~{digest}"


def plan_groups(
    ledger: Ledger,
    source: str,
    *,
    quiet_seconds: float,
    is_done: Callable[[str], bool],
    flush: bool = False,
) -> list[str]:
    """Plan a generation of each group that something landed for: of all files the group has now. Their batch ids.

    A group is planned once nothing more came for `quiet_seconds`, once a waiting file's key `is_done` (a marker), or
    with `flush`. A group that a run works on, or that is held, waits for that to end; but one that is held for files that were
    refused is tried with what landed, for that may be what mends it.
    """
    planned: list[str] = []
    for groups in waiting_groups(ledger, source):
        for group_key, parts in groups.items():
            waiting = [part for part in parts if part.state == FileState.WAITING]
            if not waiting:
                continue
            quiet_since = max(part.updated_at for part in waiting) + timedelta(seconds=quiet_seconds)
            if flush or quiet_since <= utc_now() or any(is_done(part.key) for part in waiting):
                planned += _plan_group(ledger, source, group_key)
    return planned


def _plan_group(ledger: Ledger, source: str, group_key: str) -> list[str]:
    now = utc_now()
    batch_id = group_batch_id(source, group_key)
    with ledger.write() as connection:
        parts = parts_of(connection, source, [group_key])[group_key]
        waiting = [part.file_id for part in parts if part.state == FileState.WAITING]
        batch = connection.execute(select(batches).where(batches.c.batch_id == batch_id)).one_or_none()
        if not waiting or (batch is not None and batch.state == BatchState.RUNNING):
            return []
        held: list[str] = []
        if batch is not None and batch.state == BatchState.HELD:
            if not _stopped_for_refusals(connection, batch):
                return []
            of_batch = select(files.c.file_id).where(files.c.batch_id == batch_id, files.c.state == FileState.HELD)
            held = list(connection.scalars(of_batch))
        generation = {
            "state": BatchState.PLANNED.value,
            "files": len(parts),
            "size_bytes": sum(part.size_bytes for part in parts),
            "updated_at": now,
        }
        if batch is None:
            connection.execute(
                insert(batches).values(
                    batch_id=batch_id, source=source, group_key=group_key, attempt=0, released=False, created_at=now,
                    **generation,
                )
            )  # fmt: skip
        else:
            if batch.state in {BatchState.FINISHED, BatchState.HELD}:
                generation |= {"attempts_before": batch.attempt, "released": False, "not_before": None, "error": None}
            connection.execute(update(batches).where(batches.c.batch_id == batch_id).values(**generation))
        reason = f"planned with {len(parts)} files of {group_key}"
        move(connection, waiting, FileState.PENDING, at=now, reason=reason, batch_id=batch_id)
        move(connection, held, FileState.PENDING, at=now, reason=reason, error_class=None, error=None)
        return [batch_id]


def _stopped_for_refusals(connection: Connection, batch: Row[Any]) -> bool:
    """Whether a group is held for files that its latest run refused; one that landed anew meanwhile is superseded."""
    refused = select(files.c.file_id).where(
        files.c.batch_id == batch.batch_id,
        files.c.run_id == batch.run_id,
        files.c.state.in_((FileState.HELD, FileState.SUPERSEDED)),
        files.c.error_class.is_not(None),
    )
    return connection.scalars(refused.limit(1)).first() is not None
