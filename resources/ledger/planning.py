"""Batches by arrival: which of a source's pending files the next one takes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Row, func, insert, select

from resources.ledger.batches import Batch, BatchState, get_in
from resources.ledger.database import Ledger, utc_now
from resources.ledger.states import FileState, chunked, move
from resources.ledger.tables import batches, files


@dataclass(frozen=True)
class BatchLimits:
    """When a batch by arrival is full: files, bytes, or seconds since its first file became known."""

    files: int
    size_bytes: int
    seconds: float = 0.0


def batch_id_for(file_ids: Sequence[str], at: datetime) -> str:
    """Sortable by time, then a hash of the members."""
    members = hashlib.sha256("\n".join(sorted(file_ids)).encode()).hexdigest()[:4]
    return f"{at:%Y%m%dT%H%M%S}{at.microsecond // 1000:03d}-{members}"


def plan(ledger: Ledger, source: str, limits: BatchLimits, *, flush: bool = False) -> Batch | None:
    """Close at most one batch of a source's pending files, oldest first.

    None while another batch of the source waits for a run (so that load makes batches larger, not more), while
    nothing is pending, or, unless `flush`, while a batch that is not full may still grow.
    """
    now = utc_now()
    with ledger.write() as connection:
        waiting = connection.execute(
            select(func.count()).where(batches.c.source == source, batches.c.state == BatchState.PLANNED)
        ).scalar_one()
        if waiting:
            return None
        rows = connection.execute(
            select(files.c.file_id, files.c.size_bytes, files.c.seen_at, files.c.group_key)
            .where(files.c.source == source, files.c.state == FileState.PENDING, files.c.batch_id.is_(None))
            .order_by(files.c.seq)
            .limit(limits.files)
        ).all()
        if not rows:
            return None
        members, size_bytes = _fill(rows, limits.size_bytes)
        full = len(members) == limits.files or len(members) < len(rows)
        parts = {row.group_key for row in rows[: len(members)] if row.group_key is not None}
        members, size_bytes = _with_rest_of_records(connection, source, parts, members, size_bytes)
        if not (full or flush) and rows[0].seen_at + timedelta(seconds=limits.seconds) > now:
            return None
        batch_id = batch_id_for(members, now)
        connection.execute(
            insert(batches).values(
                batch_id=batch_id,
                source=source,
                state=BatchState.PLANNED.value,
                files=len(members),
                size_bytes=size_bytes,
                attempt=0,
                released=False,
                created_at=now,
                updated_at=now,
            )
        )
        move(connection, members, FileState.PENDING, at=now, reason=f"planned in {batch_id}", batch_id=batch_id)
        return get_in(connection, batch_id)


def _fill(rows: Sequence[Row], most_bytes: int) -> tuple[list[str], int]:
    members: list[str] = []
    total = 0
    for row in rows:
        if members and total + row.size_bytes > most_bytes:
            break
        members.append(row.file_id)
        total += row.size_bytes
    return members, total


def _with_rest_of_records(
    connection: Connection, source: str, group_keys: set[str], members: list[str], size_bytes: int
) -> tuple[list[str], int]:
    """A record is read as one, so its parts go into one batch, even if that exceeds its limits a little."""
    known = set(members)
    for chunk in chunked(sorted(group_keys)):
        rest = connection.execute(
            select(files.c.file_id, files.c.size_bytes)
            .where(files.c.source == source, files.c.group_key.in_(chunk))
            .where(files.c.state == FileState.PENDING, files.c.batch_id.is_(None))
        )
        for row in rest:
            if row.file_id not in known:
                known.add(row.file_id)
                members.append(row.file_id)
                size_bytes += row.size_bytes
    return members, size_bytes
