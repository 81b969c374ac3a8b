"""How far the listing of a source has come, so that one too long for a single look goes on where it stopped."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Update, delete, insert, select, update

from resources.ledger.database import Ledger, utc_now
from resources.ledger.states import chunked
from resources.ledger.tables import closed_shards, files, sweeps


@dataclass(frozen=True)
class Sweep:
    """One passage through all keys of a source, in as many looks as it takes."""

    source: str
    store: str
    number: int
    position: str | None
    """the key after which it goes on; None: from the start"""
    lists_all: bool = False
    """whether it goes into closed shards, too"""
    shards: tuple[str, ...] = ()
    """closed shards that the position is within, gone through from their begin"""


def go_on(ledger: Ledger, source: str, store: str, *, rest_seconds: float = 0.0, restart: bool = False) -> Sweep | None:
    """The sweep that is under way, or a new one; None while the last one is younger than `rest_seconds`.

    `restart` begins anew, whatever was under way, and goes into closed shards as well.
    """
    query = select(sweeps).where(sweeps.c.source == source, sweeps.c.store == store)
    with ledger.read() as connection:
        row = connection.execute(query).one_or_none()
    if row is not None and row.position is None and not restart:
        rested = row.finished_at is None or row.finished_at + timedelta(seconds=rest_seconds) <= utc_now()
        return Sweep(source, store, row.number, None, bool(row.lists_all)) if rested else None
    if row is not None and not restart:
        return Sweep(source, store, row.number, row.position, bool(row.lists_all), tuple(row.shards or ()))
    with ledger.write() as connection:
        row = connection.execute(query).one_or_none()
        if row is None:
            connection.execute(insert(sweeps).values(source=source, store=store, number=1, lists_all=restart))
            return Sweep(source, store, 1, None, restart)
        number = row.number + 1
        values = {"number": number, "position": None, "finished_at": None, "lists_all": restart}
        connection.execute(_this(source, store, row.number).values(**values))
        return Sweep(source, store, number, None, restart)


def save_position(
    ledger: Ledger, sweep: Sweep, position: str | None, *, keep_time: bool, shards: Sequence[str] = ()
) -> None:
    """Note how far a sweep has come; None: to the end. Nothing when another look has ended or restarted it.

    `keep_time` says that somebody will ask when the sweep ended. Without it a sweep that began and ended in one look
    leaves nothing to note.
    """
    if position is None and sweep.position is None and not keep_time and not sweep.lists_all:
        return
    values = (
        {"position": position, "lists_all": sweep.lists_all, "shards": list(shards)}
        if position is not None
        else {"number": sweep.number + 1, "position": None, "finished_at": utc_now(), "lists_all": False}
    )
    with ledger.write() as connection:
        connection.execute(_this(sweep.source, sweep.store, sweep.number).values(**values))


def _this(source: str, store: str, number: int) -> Update:
    return update(sweeps).where(sweeps.c.source == source, sweeps.c.store == store, sweeps.c.number == number)


def listed_shards(ledger: Ledger, source: str, store: str) -> dict[str, datetime]:
    """The closed shards of a source that were gone through, and when that began."""
    query = select(closed_shards.c.prefix, closed_shards.c.listed_at).where(
        closed_shards.c.source == source, closed_shards.c.store == store
    )
    with ledger.read() as connection:
        return {row.prefix: row.listed_at for row in connection.execute(query)}


def note_listed_shards(ledger: Ledger, source: str, store: str, shards: Collection[str], listed_at: datetime) -> None:
    """Note closed shards as gone through. A larger one takes the place of those within it."""
    largest = [shard for shard in shards if not any(shard != other and shard.startswith(other) for other in shards)]
    before = listed_shards(ledger, source, store)
    replaced = [prefix for prefix in before if prefix.startswith(tuple(largest))]
    with ledger.write() as connection:
        _forget_shards(connection, source, store, replaced)
        connection.execute(
            insert(closed_shards),
            [{"source": source, "store": store, "prefix": shard, "listed_at": listed_at} for shard in largest],
        )


def reopen_shards(connection: Connection, file_ids: Sequence[str]) -> None:
    """Let the shards of files be listed again, because these were not as the listing said."""
    for chunk in chunked(file_ids):
        query = select(files.c.source, files.c.store, files.c.key).where(files.c.file_id.in_(chunk))
        for row in connection.execute(query).all():
            mine = closed_shards.c.source == row.source, closed_shards.c.store == row.store
            prefixes = connection.scalars(select(closed_shards.c.prefix).where(*mine)).all()
            found = [prefix for prefix in prefixes if row.key.startswith(prefix)]
            _forget_shards(connection, row.source, row.store, found)


def _forget_shards(connection: Connection, source: str, store: str, prefixes: Sequence[str]) -> None:
    mine = closed_shards.c.source == source, closed_shards.c.store == store
    for chunk in chunked(prefixes):
        connection.execute(delete(closed_shards).where(*mine, closed_shards.c.prefix.in_(chunk)))
