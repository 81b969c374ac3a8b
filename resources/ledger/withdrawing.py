"""Files that a person takes back: their rows go from the tables, the files to the quarantine, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import insert, select

from resources.ledger import leases
from resources.ledger.aggregates import NO_BATCH
from resources.ledger.database import Ledger, utc_now
from resources.ledger.leases import Lease
from resources.ledger.publishing import published_in
from resources.ledger.states import FileState, chunked
from resources.ledger.tables import files, publications
from resources.ledger.taking_back import take_back

WITHDRAWN = "withdrawn"
"""The error class of a file that was taken back. A replay takes it in again, exactly as it was."""


def committed_among(ledger: Ledger, file_ids: Sequence[str]) -> set[str]:
    """Those of the files that are committed."""
    found: set[str] = set()
    with ledger.read() as connection:
        for chunk in chunked(file_ids):
            query = select(files.c.file_id).where(files.c.file_id.in_(chunk), files.c.state == FileState.COMMITTED)
            found |= set(connection.scalars(query))
    return found


def publish_withdrawal(
    ledger: Ledger, turn: Lease, file_ids: Sequence[str], snapshots: Mapping[str, int | None], source: str, reason: str
) -> None:
    """Show tables without the rows of some committed files, which are refused from now on. Ends the turn.

    Raises LeaseLost, and IllegalMove for a file that is not committed; nothing is changed then.
    """
    now = utc_now()
    with ledger.write() as connection:
        leases.check(connection, turn)
        connection.execute(
            insert(publications).values(
                source=source, batch_id=NO_BATCH, run_id=turn.owner, published_at=now,
                snapshots={**published_in(connection, source), **snapshots},
            )
        )  # fmt: skip
        take_back(connection, file_ids, WITHDRAWN, reason, run_id=turn.owner, at=now)
        leases.drop(connection, turn)
