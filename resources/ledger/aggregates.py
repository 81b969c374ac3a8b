"""Aggregates in the ledger: what each was made from, whether it is behind its source, and its publishing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, delete, func, insert, select, update

from resources.ledger import leases
from resources.ledger.database import Ledger, utc_now
from resources.ledger.leases import Lease
from resources.ledger.tables import aggregates, publications

NO_BATCH = ""
"""Stands in place of a batch in publications that none made."""


@dataclass(frozen=True)
class Publication:
    """What readers see of a source: for each of its tables and aggregates the snapshot."""

    seq: int
    snapshots: Mapping[str, int | None]


@dataclass(frozen=True)
class MadeFrom:
    """What an aggregate's published table was made from, and by which version of its code."""

    publication: int
    inputs: Mapping[str, int | None]
    version: str


@dataclass(frozen=True)
class Behind:
    """An aggregate that is not up to date, and when the source's batches that it lacks were published.

    No times: it lacks none, but its code changed, or its table was lost.
    """

    first: datetime | None
    last: datetime | None


def newest_publication(ledger: Ledger, source: str) -> Publication | None:
    with ledger.read() as connection:
        return _newest(connection, source)


def _newest(connection: Connection, source: str) -> Publication | None:
    row = connection.execute(
        select(publications.c.seq, publications.c.snapshots)
        .where(publications.c.source == source)
        .order_by(publications.c.seq.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else Publication(row.seq, dict(row.snapshots))


def made_from(ledger: Ledger, source: str, name: str) -> MadeFrom | None:
    """None when the aggregate was never made."""
    with ledger.read() as connection:
        return _made_from(connection, source, name)


def _made_from(connection: Connection, source: str, name: str) -> MadeFrom | None:
    row = connection.execute(_one(source, name)).one_or_none()
    return MadeFrom(row.publication, dict(row.inputs), row.version) if row is not None and row.publication else None


def _one(source: str, name: str) -> Select[Any]:
    return select(aggregates).where(aggregates.c.source == source, aggregates.c.name == name)


def behind(ledger: Ledger, source: str, name: str, of: str, version: str) -> Behind | None:
    """Whether an aggregate of the table `of` lacks something; None when it is up to date or there is nothing yet."""
    with ledger.read() as connection:
        newest = _newest(connection, source)
        if newest is None or of not in newest.snapshots:
            return None
        made = _made_from(connection, source, name)
        if (
            made is not None
            and name in newest.snapshots
            and made.version == version
            and dict(made.inputs) == {of: newest.snapshots[of]}
        ):
            return None
        first, last = connection.execute(
            select(func.min(publications.c.published_at), func.max(publications.c.published_at)).where(
                publications.c.source == source,
                publications.c.seq > (made.publication if made else 0),
                publications.c.batch_id != NO_BATCH,
            )
        ).one()
        return Behind(first, last)


def snapshots_in_use(ledger: Ledger, source: str, names: Collection[str]) -> dict[str, set[int]]:
    """By table, the snapshots that these aggregates were made from or are being made from: not to be expired, because
    the next update compares with them."""
    query = select(aggregates.c.inputs, aggregates.c.reading).where(
        aggregates.c.source == source, aggregates.c.name.in_(names)
    )
    used: dict[str, set[int]] = {}
    with ledger.read() as connection:
        for row in connection.execute(query):
            for table, snapshot in (*row.inputs.items(), *row.reading.items()):
                if snapshot is not None:
                    used.setdefault(table, set()).add(snapshot)
    return used


def take_aggregate(ledger: Ledger, source: str, name: str, run_id: str, seconds: float) -> Lease | None:
    """The right to make an aggregate: one run at a time. None while another live run has it."""
    with ledger.write() as connection:
        return leases.acquire(connection, f"aggregate:{source}/{name}", run_id, seconds)


def give_aggregate_back(ledger: Ledger, lease: Lease) -> None:
    with ledger.write() as connection:
        leases.drop(connection, lease)


def begin(ledger: Ledger, lease: Lease, source: str, name: str, of: str) -> tuple[Publication | None, MadeFrom | None]:
    """What is published now, and what the aggregate was made from. From here on both snapshots of the table `of` are in
    use. Raises LeaseLost."""
    with ledger.write() as connection:
        leases.check(connection, lease)
        newest = _newest(connection, source)
        if newest is None or of not in newest.snapshots:
            return None, None
        values = {"reading": {of: newest.snapshots[of]}, "run_id": lease.owner, "updated_at": utc_now()}
        if connection.execute(_one(source, name)).one_or_none() is None:
            never = {"publication": 0, "inputs": {}, "version": "", "rows": 0}
            connection.execute(insert(aggregates).values(source=source, name=name, **never, **values))
        else:
            _update(connection, source, name, values)
        return newest, _made_from(connection, source, name)


def _update(connection: Connection, source: str, name: str, values: Mapping[str, object]) -> None:
    mine = (aggregates.c.source == source, aggregates.c.name == name)
    connection.execute(update(aggregates).where(*mine).values(**values))


def publish_aggregate(
    ledger: Ledger, lease: Lease, source: str, name: str, snapshot: int | None, rows: int, made: MadeFrom
) -> None:
    """Make an aggregate's new table visible, and note what it was made from, in one transaction. Ends the lease.

    Raises LeaseLost when the run no longer has the aggregate; nothing is changed then.
    """
    now = utc_now()
    with ledger.write() as connection:
        leases.check(connection, lease)
        newest = _newest(connection, source)
        published = dict(newest.snapshots) if newest else {}
        _publish(connection, source, lease.owner, {**published, name: snapshot}, now)
        values = {
            "publication": made.publication,
            "inputs": dict(made.inputs),
            "reading": {},
            "version": made.version,
            "rows": rows,
            "run_id": lease.owner,
            "updated_at": now,
        }
        _update(connection, source, name, values)
        leases.drop(connection, lease)


def aggregates_known(ledger: Ledger, source: str) -> set[str]:
    """Names of the aggregates of a source that were ever made."""
    with ledger.read() as connection:
        return set(connection.scalars(select(aggregates.c.name).where(aggregates.c.source == source)))


def forget_aggregates(ledger: Ledger, source: str, names: Collection[str]) -> None:
    """Show aggregates no more; those that are still declared are made anew, whole."""
    with ledger.write() as connection:
        of_source = (aggregates.c.source == source, aggregates.c.name.in_(names))
        connection.execute(delete(aggregates).where(*of_source))
        newest = _newest(connection, source)
        if newest is not None and not newest.snapshots.keys().isdisjoint(names):
            left = {name: snapshot for name, snapshot in newest.snapshots.items() if name not in names}
            _publish(connection, source, "reconcile", left, utc_now())


def _publish(
    connection: Connection, source: str, run_id: str, snapshots: Mapping[str, int | None], at: datetime
) -> None:
    connection.execute(
        insert(publications).values(
            source=source, batch_id=NO_BATCH, run_id=run_id, snapshots=dict(snapshots), published_at=at
        )
    )
