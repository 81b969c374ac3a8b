"""How the platform gets on, asked of the ledger: backlog, speed, refusals, and what is left lying."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, exists, func, not_, or_, select

from resources.ledger.batches import BatchState
from resources.ledger.database import Ledger, utc_now
from resources.ledger.states import SETTLED, FileState
from resources.ledger.tables import batches, file_history, files, sweeps

UNSETTLED = (FileState.WAITING, FileState.PENDING, FileState.RUNNING, FileState.HELD)
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_MOST_TIMES = 100_000
_MOST_HELD = 20
_PERCENTILES = (50, 95, 99)


@dataclass(frozen=True)
class Throughput:
    """What was committed within a time."""

    files: int = 0
    size_bytes: int = 0


@dataclass(frozen=True)
class HeldBatch:
    batch_id: str
    files: int
    since: datetime
    error: str


@dataclass(frozen=True)
class Health:
    """How one source gets on. Times in seconds, sizes in bytes."""

    source: str
    files: dict[str, int] = field(default_factory=dict)
    """unsettled files by state, each state named"""
    size_bytes: dict[str, int] = field(default_factory=dict)
    oldest_seconds: float = 0.0
    """since the oldest unsettled file became known; 0 without one"""
    last_hour: Throughput = Throughput()
    last_day: Throughput = Throughput()
    landing_to_committed: dict[int, float] = field(default_factory=dict)
    """percentiles over the files committed in the last day, at most the newest 100,000; empty without one"""
    quarantined: dict[str, int] = field(default_factory=dict)
    """files that are refused now, by error class"""
    held: tuple[HeldBatch, ...] = ()
    """the first of the held batches, the oldest first"""
    held_batches: int = 0
    listed_at: datetime | None = None
    """when all its keys in the landing store had last been listed; None where a listing is done within one look, of which
    nothing is noted"""

    @property
    def outstanding(self) -> int:
        return sum(self.files.values())

    @property
    def outstanding_bytes(self) -> int:
        return sum(self.size_bytes.values())


def health(ledger: Ledger, source: str) -> Health:
    """Costs what is outstanding, refused, or was committed within a day; not what is there."""
    now = utc_now()
    of_source = files.c.source == source
    with ledger.read() as connection:
        counted = {
            row.state: row
            for row in connection.execute(
                select(files.c.state, func.count().label("files"), func.sum(files.c.size_bytes).label("size_bytes"),
                       func.min(files.c.seen_at).label("oldest"))
                .where(of_source, files.c.state.in_(UNSETTLED))
                .group_by(files.c.state)
            )
        }  # fmt: skip
        refused = connection.execute(
            select(files.c.error_class, func.count())
            .where(of_source, files.c.state == FileState.QUARANTINED)
            .group_by(files.c.error_class)
            .order_by(func.count().desc(), files.c.error_class)
        ).all()
        is_held = and_(batches.c.source == source, batches.c.state == BatchState.HELD.value)
        held = connection.execute(select(batches).where(is_held).order_by(batches.c.updated_at).limit(_MOST_HELD)).all()
        held_batches = connection.scalar(select(func.count()).select_from(batches).where(is_held)) or 0
        finished = (
            batches.c.source == source,
            batches.c.state == BatchState.FINISHED.value,
            files.c.state == FileState.COMMITTED,
        )
        committed = select(func.count(), func.coalesce(func.sum(files.c.size_bytes), 0)).join(
            batches, batches.c.batch_id == files.c.batch_id
        )
        hour, day = (
            connection.execute(committed.where(*finished, batches.c.updated_at > now - time)).one()
            for time in (_HOUR, _DAY)
        )
        took = [
            (row.updated_at - row.landed_at).total_seconds()
            for row in connection.execute(
                select(batches.c.updated_at, files.c.landed_at)
                .join(files, batches.c.batch_id == files.c.batch_id)
                .where(*finished, batches.c.updated_at > now - _DAY)
                .order_by(batches.c.updated_at.desc())
                .limit(_MOST_TIMES)
            )
        ]
        listed_at = connection.scalar(select(func.max(sweeps.c.finished_at)).where(sweeps.c.source == source))
    oldest = min((row.oldest for row in counted.values()), default=None)
    return Health(
        source=source,
        files={state.value: counted[state].files if state in counted else 0 for state in UNSETTLED},
        size_bytes={state.value: int(counted[state].size_bytes) if state in counted else 0 for state in UNSETTLED},
        oldest_seconds=max(0.0, (now - oldest).total_seconds()) if oldest else 0.0,
        last_hour=Throughput(hour[0], int(hour[1])),
        last_day=Throughput(day[0], int(day[1])),
        landing_to_committed=_percentiles(took),
        quarantined={error_class or "(no class)": count for error_class, count in refused},
        held=tuple(HeldBatch(row.batch_id, row.files, row.updated_at, row.error or "") for row in held),
        held_batches=held_batches,
        listed_at=listed_at,
    )


def _percentiles(values: Sequence[float]) -> dict[int, float]:
    """By nearest rank: each is a value that occurred."""
    ordered = sorted(values)
    return {p: ordered[max(0, math.ceil(p / 100 * len(ordered)) - 1)] for p in _PERCENTILES} if ordered else {}


@dataclass(frozen=True)
class Unresolved:
    """A file that was not settled for long."""

    file_id: str
    source: str
    key: str
    state: str
    batch_id: str | None
    error: str | None


def unresolved(
    ledger: Ledger, sources: Sequence[str], older_than: timedelta, most: int
) -> tuple[dict[tuple[str, str], int], list[Unresolved]]:
    """Files that were unsettled all the time since then: exactly how many by source and state, and the oldest of them.

    A file that fails and is tried again has been unsettled since it was first to be read, however often its state moved.
    """
    before = utc_now() - older_than
    news = exists().where(
        file_history.c.file_id == files.c.file_id,
        file_history.c.at >= before,
        or_(file_history.c.from_state.is_(None), file_history.c.from_state.in_(SETTLED)),
    )
    left: tuple[ColumnElement[bool], ...] = (
        files.c.source.in_(sources),
        files.c.state.in_(UNSETTLED),
        files.c.seen_at < before,
        not_(news),
    )
    with ledger.read() as connection:
        counts = connection.execute(
            select(files.c.source, files.c.state, func.count()).where(*left).group_by(files.c.source, files.c.state)
        ).all()
        sample = connection.execute(
            select(files.c.file_id, files.c.source, files.c.key, files.c.state, files.c.batch_id, batches.c.error)
            .join(batches, batches.c.batch_id == files.c.batch_id, isouter=True)
            .where(*left)
            .order_by(files.c.seq)
            .limit(most)
        ).all()
    return {(source, state): count for source, state, count in counts}, [Unresolved(*row) for row in sample]
