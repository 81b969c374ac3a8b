"""What discovery writes into the ledger: looks at keys, and the files that they turn out to be."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, exists, insert, or_, select

from resources.ledger.database import Ledger, utc_now
from resources.ledger.states import FileState, chunked, move, read_anew
from resources.ledger.tables import file_history, file_rows, files, looks, tombstones

_KEYS_A_QUERY = 1000


@dataclass(frozen=True)
class Look:
    """What a listing says of one key."""

    key: str
    size_bytes: int
    mtime_ns: int
    version: str | None = None
    """where the listing tells it, as a bucket's does; the time then says nothing more"""

    @property
    def landed_at(self) -> datetime:
        return datetime.fromtimestamp(self.mtime_ns / 1e9, UTC)


@dataclass(frozen=True)
class KnownLook:
    """What the ledger remembers of a key."""

    size_bytes: int
    mtime_ns: int
    looked_at: datetime
    version: str | None

    def same_as(self, look: Look) -> bool:
        if look.version is not None:
            return (self.version, self.size_bytes) == (look.version, look.size_bytes)
        return self.size_bytes == look.size_bytes and self.mtime_ns == look.mtime_ns


@dataclass(frozen=True)
class Settled:
    """A key whose file is whole, with the version that its bytes are."""

    look: Look
    version: str


@dataclass(frozen=True)
class Delivery:
    """What a source's files mean when they arrive.

    group_of: the record or group that a key is a part of; None for a file of its own.
    waits: whether the file of a key that is a part of something waits for the rest even if nothing of it is there yet.
    keeps_older: whether other bytes under a known key are a delivery of their own, beside the older one.
    """

    group_of: Callable[[str], str | None] = lambda key: None
    waits: Callable[[str], bool] = lambda key: True
    keeps_older: bool = False


EACH_ALONE = Delivery()
"""Every file by itself, the newest version of a key in the place of the older ones."""


def file_identity(store: str, key: str, version: str, size_bytes: int, generation: int) -> str:
    """The id of a file: of what it is (store, key, version, size), never of when it was seen.

    `generation` tells apart the first and the later times that a key had these bytes with others in between.
    """
    text = "\0".join((store, key, version, str(size_bytes), str(generation)))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def tombstone_of(store: str, key: str, version: str, size_bytes: int) -> str:
    """What is kept of these bytes under this key once they are forgotten, whichever generation they were."""
    return file_identity(store, key, version, size_bytes, 0)


_NOT_THERE = {FileState.SUPERSEDED, FileState.DELETED}


def known_looks(
    ledger: Ledger, source: str, store: str, keys: Sequence[str] | None = None, *, unsettled: bool = False
) -> dict[str, KnownLook]:
    """What listings saw of a source's keys: of some of them, of those not yet whole, or of all.

    Nothing is known of a key whose file turned out to be gone or changed: what is there must be looked at anew.
    """
    query = (
        select(looks.c.key, looks.c.size_bytes, looks.c.mtime_ns, looks.c.looked_at, looks.c.version)
        .outerjoin(files, files.c.file_id == looks.c.file_id)
        .where(looks.c.store == store)
        .where(or_(files.c.state.is_(None), files.c.state.not_in(_NOT_THERE)))
    )
    if keys is None:  # with keys, naming the source as well would make SQLite go through all of the source's looks
        query = query.where(looks.c.source == source)
    if unsettled:
        query = query.where(looks.c.version.is_(None))
    known: dict[str, KnownLook] = {}
    with ledger.read() as connection:
        for chunk in [None] if keys is None else chunked(keys, _KEYS_A_QUERY):
            for row in connection.execute(query if chunk is None else query.where(looks.c.key.in_(chunk))):
                known[row.key] = KnownLook(row.size_bytes, row.mtime_ns, row.looked_at, row.version)
    return known


def remember_looks(ledger: Ledger, source: str, store: str, seen: Sequence[Look]) -> None:
    """Note keys that are new or changed, so that the next look can tell whether they are still being written."""
    now = utc_now()
    with ledger.write() as connection:
        for chunk in chunked(seen):
            _forget(connection, store, [look.key for look in chunk])
            connection.execute(
                insert(looks),
                [
                    {
                        "store": store,
                        "key": look.key,
                        "source": source,
                        "size_bytes": look.size_bytes,
                        "mtime_ns": look.mtime_ns,
                        "looked_at": now,
                    }
                    for look in chunk
                ],
            )


def forget_looks(ledger: Ledger, store: str, keys: Iterable[str]) -> None:
    """Make the next look start anew for these keys, because they are gone or changed under a reader."""
    with ledger.write() as connection:
        for chunk in chunked(keys):
            _forget(connection, store, chunk)


def _forget(connection: Connection, store: str, keys: Sequence[str]) -> None:
    connection.execute(delete(looks).where(looks.c.store == store, looks.c.key.in_(keys)))


def record_arrivals(
    ledger: Ledger, source: str, store: str, arrivals: Sequence[Settled], delivery: Delivery = EACH_ALONE
) -> list[str]:
    """Enter whole files into the ledger; the ids of those that are new.

    The same bytes under the same key again change nothing. Bytes that the key had before, with others in between,
    are a new generation. An older version of the key that has not been read is superseded at once; one that is
    committed stays until the new version is committed in its place. What was forgotten does not come in again.
    """
    new_ids: list[str] = []
    for chunk in chunked(arrivals):
        with ledger.write() as connection:
            new_ids += _record_chunk(connection, source, store, chunk, delivery)
    return new_ids


_UNREAD = {FileState.WAITING, FileState.PENDING, FileState.HELD, FileState.DELETED}


def _record_chunk(
    connection: Connection, source: str, store: str, arrivals: Sequence[Settled], delivery: Delivery
) -> list[str]:
    now = utc_now()
    arrivals, barred = _barred(connection, store, arrivals)
    _remember_versions(connection, source, store, barred, [None] * len(barred), now)
    versions = _versions_by_key(connection, store, [arrival.look.key for arrival in arrivals])
    new: dict[str, tuple[Settled, int]] = {}
    file_ids: list[str] = []
    for arrival in arrivals:
        earlier = versions.get(arrival.look.key, [])
        this = (arrival.version, arrival.look.size_bytes)
        newest = earlier[-1] if earlier else None
        if newest and (newest.version, newest.size_bytes) == this and newest.state != FileState.SUPERSEDED:
            file_ids.append(newest.file_id)
            if newest.state == FileState.DELETED:
                read_anew(connection, [newest.file_id], at=now, reason="landed again")
            continue
        generation = sum((version.version, version.size_bytes) == this for version in earlier)
        file_id = file_identity(store, arrival.look.key, arrival.version, arrival.look.size_bytes, generation)
        file_ids.append(file_id)
        new[file_id] = (arrival, generation)
        unread = [version.file_id for version in earlier if version.state in _UNREAD and not version.has_rows]
        move(connection, unread, FileState.SUPERSEDED, at=now, reason=f"overwritten by {file_id} before it was read")
    _insert_files(connection, source, store, new, now, delivery)
    _remember_versions(connection, source, store, arrivals, file_ids, now)
    return list(new)


def _barred(connection: Connection, store: str, arrivals: Sequence[Settled]) -> tuple[list[Settled], list[Settled]]:
    """Those that may come in, and those that were forgotten."""
    marks = [tombstone_of(store, one.look.key, one.version, one.look.size_bytes) for one in arrivals]
    known: set[str] = set()
    for chunk in chunked(marks):
        known |= set(connection.scalars(select(tombstones.c.mark).where(tombstones.c.mark.in_(chunk))))
    let_in = [one for one, mark in zip(arrivals, marks, strict=True) if mark not in known]
    return let_in, [one for one, mark in zip(arrivals, marks, strict=True) if mark in known]


def _versions_by_key(connection: Connection, store: str, keys: Sequence[str]) -> dict[str, list[Row[Any]]]:
    has_rows = exists().where(file_rows.c.file_id == files.c.file_id)
    rows = connection.execute(
        select(
            files.c.key, files.c.file_id, files.c.version, files.c.size_bytes, files.c.state,
            has_rows.label("has_rows"),
        )
        .where(files.c.store == store, files.c.key.in_(keys))
        .order_by(files.c.seq)
    )  # fmt: skip
    versions: dict[str, list[Row[Any]]] = {}
    for row in rows:
        versions.setdefault(row.key, []).append(row)
    return versions


def _insert_files(
    connection: Connection,
    source: str,
    store: str,
    new: dict[str, tuple[Settled, int]],
    now: datetime,
    delivery: Delivery,
) -> None:
    if not new:
        return
    groups = {file_id: delivery.group_of(arrival.look.key) for file_id, (arrival, _) in new.items()}
    begun = _groups_with_other_keys(connection, source, {name for name in groups.values() if name is not None}, new)
    rows = []
    for file_id, (arrival, generation) in new.items():
        group_key = groups[file_id]
        waits = group_key is not None and (group_key in begun or delivery.waits(arrival.look.key))
        rows.append(
            {
                "file_id": file_id,
                "source": source,
                "store": store,
                "key": arrival.look.key,
                "version": arrival.version,
                "size_bytes": arrival.look.size_bytes,
                "generation": generation,
                "landed_at": arrival.look.landed_at,
                "seen_at": now,
                "state": (FileState.WAITING if waits else FileState.PENDING).value,
                "attempts": 0,
                "updated_at": now,
                "group_key": group_key,
            }
        )
    connection.execute(insert(files), rows)
    connection.execute(
        insert(file_history),
        [{"file_id": row["file_id"], "at": now, "to_state": row["state"], "reason": "discovered"} for row in rows],
    )


def _groups_with_other_keys(
    connection: Connection, source: str, names: set[str], new: dict[str, tuple[Settled, int]]
) -> set[str]:
    """Those of the records or groups that have a key which is not among the new files'."""
    keys = {arrival.look.key for arrival, _ in new.values()}
    begun: set[str] = set()
    for chunk in chunked(sorted(names)):
        rows = connection.execute(
            select(files.c.group_key, files.c.key)
            .where(files.c.source == source, files.c.group_key.in_(chunk))
            .where(files.c.state.not_in(_NOT_THERE))
        )
        begun |= {row.group_key for row in rows if row.key not in keys}
    return begun


def _remember_versions(
    connection: Connection,
    source: str,
    store: str,
    arrivals: Sequence[Settled],
    file_ids: Sequence[str | None],
    now: datetime,
) -> None:
    if not arrivals:
        return
    _forget(connection, store, [arrival.look.key for arrival in arrivals])
    connection.execute(
        insert(looks),
        [
            {
                "store": store,
                "key": arrival.look.key,
                "source": source,
                "size_bytes": arrival.look.size_bytes,
                "mtime_ns": arrival.look.mtime_ns,
                "looked_at": now,
                "version": arrival.version,
                "file_id": file_id,
            }
            for arrival, file_id in zip(arrivals, file_ids, strict=True)
        ],
    )
