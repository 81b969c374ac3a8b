"""Products in the ledger: which batches have rows that a product was not made from yet, and why."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, case, func, insert, select, update

from resources.ledger import leases
from resources.ledger.database import Ledger, utc_now
from resources.ledger.leases import Lease
from resources.ledger.states import chunked
from resources.ledger.tables import batches, files, products, publications


@dataclass(frozen=True)
class BehindProduct:
    """A product of a batch that lacks what was published. error: of its last try, None before the first.

    since: when its rows were published, or it was last tried.
    """

    batch_id: str
    name: str
    due: int
    failures: int
    error: str | None
    is_permanent: bool
    """the next try would fail as well, until code or rows change"""
    since: datetime


def products_lease(batch_id: str) -> str:
    """One product of a batch is made at a time, for one may be made from another."""
    return f"products:{batch_id}"


def take_products(ledger: Ledger, batch_id: str, run_id: str, seconds: float) -> Lease | None:
    """The right to make products of a batch. None while another live run has it."""
    with ledger.write() as connection:
        return leases.acquire(connection, products_lease(batch_id), run_id, seconds)


def give_products_back(ledger: Ledger, lease: Lease) -> None:
    with ledger.write() as connection:
        leases.drop(connection, lease)


def are_being_made(ledger: Ledger, batch_id: str) -> bool:
    with ledger.read() as connection:
        return leases.is_live(connection, products_lease(batch_id))


def note_due(connection: Connection, source: str, batch_id: str, names: Collection[str], publication: int) -> None:
    """Products are to be made from what a batch has published."""
    known = set(connection.scalars(select(products.c.name).where(products.c.batch_id == batch_id)))
    _due_anew(connection, [batch_id], publication)
    for name in sorted(set(names) - known):
        connection.execute(
            insert(products).values(
                batch_id=batch_id,
                name=name,
                source=source,
                due=publication,
                made=0,
                failures=0,
                permanent=False,
                updated_at=utc_now(),
            )
        )


def note_rows_removed(connection: Connection, file_ids: Sequence[str], publication: int) -> None:
    """Products of the batches that files were in are to be made anew without their rows."""
    found: set[str | None] = set()
    for chunk in chunked(file_ids):
        found |= set(connection.scalars(select(files.c.batch_id).where(files.c.file_id.in_(chunk)).distinct()))
    _due_anew(connection, sorted(batch_id for batch_id in found if batch_id), publication)


def _due_anew(connection: Connection, batch_ids: Sequence[str], publication: int) -> None:
    values = {"due": publication, "failures": 0, "error": None, "permanent": False, "updated_at": utc_now()}
    for chunk in chunked(batch_ids):
        connection.execute(update(products).where(products.c.batch_id.in_(chunk)).values(**values))


def newest_publication_in(connection: Connection, source: str) -> int:
    return int(connection.scalar(select(func.max(publications.c.seq)).where(publications.c.source == source)) or 0)


def newest_publication_of(ledger: Ledger, source: str) -> int:
    with ledger.read() as connection:
        return newest_publication_in(connection, source)


def note_made(
    ledger: Ledger, lease: Lease, source: str, batch_id: str, name: str, publication: int, run_id: str
) -> None:
    """A product is what the rows of a publication make. Raises LeaseLost; nothing is changed then."""
    with ledger.write() as connection:
        leases.check(connection, lease)
        values = {
            "made": publication, "failures": 0, "error": None, "permanent": False, "run_id": run_id, "updated_at": utc_now(),
        }  # fmt: skip
        if connection.execute(_one(batch_id, name)).one_or_none() is None:
            # The source had no such product when the batch was committed.
            fixed = {"batch_id": batch_id, "name": name, "source": source, "due": publication}
            connection.execute(insert(products).values(**fixed, **values))
        else:
            connection.execute(update(products).where(_is(batch_id, name)).values(**values))


def note_failed(ledger: Ledger, batch_id: str, name: str, error: str, run_id: str, *, permanent: bool) -> None:
    """A product is as it was, and why."""
    with ledger.write() as connection:
        values = {
            "failures": products.c.failures + 1, "error": error, "permanent": permanent, "run_id": run_id,
            "updated_at": utc_now(),
        }  # fmt: skip
        connection.execute(update(products).where(_is(batch_id, name)).values(**values))


def behind(ledger: Ledger, source: str, names: Collection[str]) -> list[BehindProduct]:
    """The products of a source that lack something, the oldest first."""
    query = (
        select(products)
        .where(products.c.source == source, products.c.made < products.c.due, products.c.name.in_(names))
        .order_by(products.c.batch_id, products.c.name)
    )
    with ledger.read() as connection:
        return [_behind(row) for row in connection.execute(query)]


def _behind(row: Row) -> BehindProduct:
    return BehindProduct(row.batch_id, row.name, row.due, row.failures, row.error, row.permanent, row.updated_at)


def runs_of(ledger: Ledger, batch_ids: Collection[str]) -> set[str]:
    """The runs that last made products of batches, or tried to."""
    found: set[str | None] = set()
    with ledger.read() as connection:
        for chunk in chunked(sorted(batch_ids)):
            found |= set(connection.scalars(select(products.c.run_id).where(products.c.batch_id.in_(chunk))))
    return {run_id for run_id in found if run_id}


PRODUCT_COLUMNS = ("source", "batch_id", "partition", "product", "state", "error", "run_id", "updated_at")
"""The columns of `operations.products`."""


def select_products() -> Select[Any]:
    up_to_date = products.c.made >= products.c.due
    state = case(
        (up_to_date, "made"), (products.c.error.is_not(None), "failed"), (products.c.made > 0, "outdated"), else_="due"
    )
    partition = func.coalesce(batches.c.group_key, products.c.batch_id)
    return (
        select(
            products.c.source, products.c.batch_id, partition, products.c.name, state, products.c.error,
            products.c.run_id, products.c.updated_at,
        )
        .join(batches, batches.c.batch_id == products.c.batch_id, isouter=True)
        .order_by(products.c.batch_id, products.c.name)
    )  # fmt: skip


def _one(batch_id: str, name: str) -> Select[Any]:
    return select(products.c.name).where(_is(batch_id, name))


def _is(batch_id: str, name: str) -> ColumnElement[bool]:
    return and_(products.c.batch_id == batch_id, products.c.name == name)
