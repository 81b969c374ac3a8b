"""How far the listing of a source has come, so that one too long for a single look goes on where it stopped."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Update, insert, select, update

from resources.ledger.database import Ledger, utc_now
from resources.ledger.tables import sweeps


@dataclass(frozen=True)
class Sweep:
    """One passage through all keys of a source, in as many looks as it takes."""

    source: str
    store: str
    number: int
    position: str | None
    """the key after which it goes on; None: from the start"""


def go_on(ledger: Ledger, source: str, store: str, *, rest_seconds: float = 0.0, restart: bool = False) -> Sweep | None:
    """The sweep that is under way, or a new one; None while the last one is younger than `rest_seconds`.

    `restart` begins anew, whatever was under way.
    """
    query = select(sweeps).where(sweeps.c.source == source, sweeps.c.store == store)
    with ledger.read() as connection:
        row = connection.execute(query).one_or_none()
    if row is not None and row.position is None and not restart:
        rested = row.finished_at is None or row.finished_at + timedelta(seconds=rest_seconds) <= utc_now()
        return Sweep(source, store, row.number, None) if rested else None
    if row is not None and not restart:
        return Sweep(source, store, row.number, row.position)
    if row is not None and row.position is None and row.finished_at is None:
        return Sweep(source, store, row.number, None)
    with ledger.write() as connection:
        row = connection.execute(query).one_or_none()
        if row is None:
            connection.execute(insert(sweeps).values(source=source, store=store, number=1))
            return Sweep(source, store, 1, None)
        number = row.number + 1
        connection.execute(_this(source, store, row.number).values(number=number, position=None, finished_at=None))
        return Sweep(source, store, number, None)


def save_position(ledger: Ledger, sweep: Sweep, position: str | None, *, keep_time: bool) -> None:
    """Note how far a sweep has come; None: to the end. Nothing when another look has ended or restarted it.

    `keep_time` says that somebody will ask when the sweep ended. Without it a sweep that began and ended in one look
    leaves nothing to note.
    """
    if position is None and sweep.position is None and not keep_time:
        return
    values = (
        {"position": position}
        if position is not None
        else {"number": sweep.number + 1, "position": None, "finished_at": utc_now()}
    )
    with ledger.write() as connection:
        connection.execute(_this(sweep.source, sweep.store, sweep.number).values(**values))


def _this(source: str, store: str, number: int) -> Update:
    return update(sweeps).where(sweeps.c.source == source, sweeps.c.store == store, sweeps.c.number == number)
