"""Batches whose Dagster partition may go, and the way back: a batch that was finished or held is done again.

The ledger itself is never pruned: a batch without a partition is as known as before.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import func, select, update

from resources.ledger.batches import Batch, BatchBusy, BatchState, NotClaimed, get_batch
from resources.ledger.database import Ledger, utc_now
from resources.ledger.states import FileState, chunked, move
from resources.ledger.tables import batches, files


def prunable(ledger: Ledger, source: str, keep: int, most: int, *, busy: Collection[str] = ()) -> list[str]:
    """The batches of a source that were finished longest ago, beyond the `keep` newest; at most `most` of them.
    A group's partition stays: it is what its next generation goes into.

    `busy` are batches that Dagster has a run for. They, and batches that are not finished, are never among them.
    """
    mine = (
        batches.c.source == source,
        batches.c.state == BatchState.FINISHED.value,
        batches.c.pruned_at.is_(None),
        batches.c.group_key.is_(None),
    )
    with ledger.read() as connection:
        beyond = connection.execute(select(func.count()).where(*mine)).scalar_one() - keep
        if beyond <= 0:
            return []
        oldest = connection.scalars(
            select(batches.c.batch_id).where(*mine).order_by(batches.c.updated_at, batches.c.batch_id).limit(beyond)
        )
        found: list[str] = []
        for batch_id in oldest:
            if len(found) == most:
                break
            if batch_id not in busy:
                found.append(batch_id)
        return found


def note_pruned(ledger: Ledger, batch_ids: Collection[str]) -> None:
    """Note that these have no partition any more. One that is added again by hand then stays until it has been run."""
    now = utc_now()
    with ledger.write() as connection:
        for chunk in chunked(batch_ids):
            connection.execute(
                update(batches)
                .where(batches.c.batch_id.in_(chunk), batches.c.state == BatchState.FINISHED.value)
                .values(pruned_at=now)
            )


_OWNED = (FileState.COMMITTED, FileState.QUARANTINED, FileState.HELD, FileState.PENDING)


def redo(ledger: Ledger, batch_id: str) -> tuple[Batch, int]:
    """Let a finished or held batch be done again by the next run; with it, how many files it still owns. Its attempts count anew.

    The sensor or `strandline drain` adds its partition anew. What of it is visible stays so until that run commits.
    Raises NotClaimed when it waits for a run, is being worked on, or owns no file any more.
    """
    now = utc_now()
    with ledger.write() as connection:
        row = connection.execute(
            select(batches.c.state, batches.c.run_id).where(batches.c.batch_id == batch_id)
        ).first()
        if row is not None and row.state == BatchState.PLANNED:
            raise NotClaimed(f"Batch {batch_id} waits for its run already; without a sensor: strandline drain")
        if row is not None and row.state == BatchState.RUNNING:
            raise BatchBusy(
                f"Batch {batch_id} is being worked on by run {row.run_id}. Wait for that run to end, or cancel it."
            )
        of_batch = select(files.c.file_id).where(files.c.batch_id == batch_id)
        owned = list(connection.scalars(of_batch.where(files.c.state.in_(_OWNED))))
        if row is not None and not owned:
            raise NotClaimed(
                f"Batch {batch_id} owns no file any more: newer versions or newer batches took them. See: strandline files "
                f"--batch {batch_id}"
            )
        connection.execute(
            update(batches)
            .where(batches.c.batch_id == batch_id)
            .values(
                state=BatchState.PLANNED.value,
                attempts_before=batches.c.attempt,
                not_before=None,
                error=None,
                pruned_at=None,
                updated_at=now,
            )
        )
        held = list(connection.scalars(of_batch.where(files.c.state == FileState.HELD)))
        move(
            connection,
            held,
            FileState.PENDING,
            at=now,
            reason="to be done again, asked for by a person",
            error_class=None,
            error=None,
        )
    return get_batch(ledger, batch_id), len(owned)
