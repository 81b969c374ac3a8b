"""The ledger's part in lake maintenance: who maintains a source, what is live, and publishing merged data files."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import insert, select, update

from resources.ledger import leases
from resources.ledger.aggregates import NO_BATCH
from resources.ledger.database import Ledger, utc_now
from resources.ledger.leases import Lease
from resources.ledger.tables import aggregates, publications
from resources.ledger.tables import leases as leases_table

_BATCH, _AGGREGATE = "batch:", "aggregate:"


def take_maintenance(ledger: Ledger, source: str, run_id: str, seconds: float) -> Lease | None:
    """The right to delete files of a source's tables: one run at a time. None while another live run has it."""
    with ledger.write() as connection:
        return leases.acquire(connection, f"maintain:{source}", run_id, seconds)


def end_lease(ledger: Ledger, lease: Lease) -> None:
    with ledger.write() as connection:
        leases.drop(connection, lease)


def live_batches(ledger: Ledger) -> set[str]:
    """Ids of the batches that a live run may be writing data files for."""
    with ledger.read() as connection:
        names = list(connection.scalars(select(leases_table.c.name).where(leases_table.c.name.startswith(_BATCH))))
        return {name.removeprefix(_BATCH) for name in names if leases.is_live(connection, name)}


def has_live_aggregate(ledger: Ledger, source: str, names: Collection[str]) -> bool:
    with ledger.read() as connection:
        return any(leases.is_live(connection, f"{_AGGREGATE}{source}/{name}") for name in names)


def publish_same_rows(
    ledger: Ledger, turn: Lease, source: str, before: Mapping[str, int | None], after: Mapping[str, int | None]
) -> None:
    """Show other snapshots of a source's tables that have the same rows. Ends the turn.

    before, after: of these tables, the published snapshots and the new ones. Aggregates that were made from the one are
    from now on made from the other, so that none is updated for it.
    Raises LeaseLost when the run no longer has the turn to commit; nothing is changed then.
    """
    now = utc_now()
    with ledger.write() as connection:
        leases.check(connection, turn)
        newest = connection.scalar(
            select(publications.c.snapshots)
            .where(publications.c.source == source)
            .order_by(publications.c.seq.desc())
            .limit(1)
        )
        published = {**(newest or {}), **after}
        made = connection.execute(
            insert(publications).values(
                source=source, batch_id=NO_BATCH, run_id=turn.owner, snapshots=published, published_at=now
            )
        )
        for row in connection.execute(select(aggregates).where(aggregates.c.source == source)).all():
            inputs = dict(row.inputs)
            if inputs and all(newest and newest.get(table) == snapshot for table, snapshot in inputs.items()):
                mine = (aggregates.c.source == source, aggregates.c.name == row.name)
                renewed = {table: after.get(table, snapshot) for table, snapshot in inputs.items()}
                seq = made.inserted_primary_key[0] if made.inserted_primary_key else row.publication
                connection.execute(update(aggregates).where(*mine).values(inputs=renewed, publication=seq))
        leases.drop(connection, turn)
