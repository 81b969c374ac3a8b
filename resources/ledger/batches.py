"""Batches in the ledger: planned from pending files, claimed by one run, released when that run fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection, Row, and_, exists, or_, select, update

from resources.errors import PermanentFailure, UserError
from resources.ledger import leases
from resources.ledger.database import Ledger, utc_now
from resources.ledger.leases import Lease, batch_lease
from resources.ledger.states import FileState, move
from resources.ledger.tables import batches, file_rows, files, replacements

_NOT_READ_AGAIN = (FileState.SUPERSEDED, FileState.DELETED, FileState.DUPLICATE, FileState.FORGOTTEN)
_BACKOFF_SECONDS = 5.0
_BACKOFF_MOST_SECONDS = 300.0

Refusals = Mapping[str, tuple[str, str]]
"""By the id of a file, the class and the reason of its refusal."""


class BatchState(StrEnum):
    PLANNED = "planned"
    """waits for a run to claim it"""
    RUNNING = "running"
    FINISHED = "finished"
    HELD = "held"
    """waits for a person"""


@dataclass(frozen=True)
class Batch:
    batch_id: str
    source: str
    state: BatchState
    files: int
    size_bytes: int
    attempt: int
    run_id: str | None
    not_before: datetime | None
    released: bool
    error: str | None
    attempts_before: int = 0
    group_key: str | None = None

    @property
    def partition(self) -> str:
        """The Dagster partition that the batch is."""
        return self.batch_id if self.group_key is None else self.group_key

    @property
    def next_run_key(self) -> str:
        """Names the next attempt. Dagster starts no second run under a key it has seen."""
        return f"{self.batch_id}/{self.attempt + 1}"


@dataclass(frozen=True)
class ClaimedFile:
    """A file that a run may read."""

    file_id: str
    key: str
    version: str
    size_bytes: int
    group_key: str | None = None
    """the record or group that it is a part of"""
    landed_at: datetime | None = None


@dataclass(frozen=True)
class Claim:
    """The right of one run to decide a batch's files."""

    batch: Batch
    lease: Lease
    files: tuple[ClaimedFile, ...]
    older: Mapping[str, str] = field(default_factory=dict)
    """in a group: files of its earlier generation of whose keys there are newer versions, with the ids of these"""

    @property
    def run_id(self) -> str:
        return self.lease.owner


class NotClaimed(UserError, PermanentFailure):
    """The batch is not there to be worked on. The message says why."""


class UnknownBatch(NotClaimed):
    pass


class BatchBusy(NotClaimed):
    """Another live run works on the batch."""


class SourceBusy(NotClaimed):
    """As many live runs as there may be work on batches of the source."""


def _batch(row: Row) -> Batch:
    return Batch(
        row.batch_id,
        row.source,
        BatchState(row.state),
        row.files,
        row.size_bytes,
        row.attempt,
        row.run_id,
        row.not_before,
        row.released,
        row.error,
        row.attempts_before,
        row.group_key,
    )


def get_batch(ledger: Ledger, batch_id: str) -> Batch:
    with ledger.read() as connection:
        return get_in(connection, batch_id)


def get_in(connection: Connection, batch_id: str) -> Batch:
    row = connection.execute(select(batches).where(batches.c.batch_id == batch_id)).one_or_none()
    if row is None:
        raise UnknownBatch(
            f"There is no batch {batch_id!r} in the ledger. Batches are made from landed files by the source's "
            "sensor or by `strandline drain`; a partition added by hand has no files. Delete the partition."
        )
    return _batch(row)


def is_known(ledger: Ledger, batch_id: str) -> bool:
    with ledger.read() as connection:
        return connection.scalar(select(batches.c.batch_id).where(batches.c.batch_id == batch_id)) is not None


def due(ledger: Ledger, source: str, *, ignore_backoff: bool = False) -> list[Batch]:
    """Planned batches whose next attempt may start, oldest first."""
    now = utc_now()
    query = select(batches).where(batches.c.source == source, batches.c.state == BatchState.PLANNED)
    if not ignore_backoff:
        query = query.where(or_(batches.c.not_before.is_(None), batches.c.not_before <= now))
    with ledger.read() as connection:
        return [_batch(row) for row in connection.execute(query.order_by(batches.c.batch_id))]


def live(ledger: Ledger, source: str) -> list[Batch]:
    """Batches that a run is working on now."""
    with ledger.read() as connection:
        return _live_in(connection, source)


def _live_in(connection: Connection, source: str, other_than: str = "") -> list[Batch]:
    query = select(batches).where(batches.c.source == source, batches.c.state == BatchState.RUNNING)
    rows = [_batch(row) for row in connection.execute(query.order_by(batches.c.batch_id))]
    return [
        batch
        for batch in rows
        if batch.batch_id != other_than and leases.is_live(connection, batch_lease(batch.batch_id))
    ]


def claim(
    ledger: Ledger,
    batch_id: str,
    run_id: str,
    lease_seconds: float,
    *,
    attempt: int | None = None,
    most_runs: int | None = None,
) -> Claim:
    """Give a run the batch's files that still are the batch's and are not superseded; they become `running`.

    Claiming again by the same run gives the same. A batch that was finished is done again, exactly the files it
    still owns, but for those that are to be replaced. `attempt`: claim only if this would be that attempt. `most_runs`: claim only if fewer live runs work on
    batches of the source. Raises UnknownBatch, BatchBusy while another live run holds the batch or when another run
    was quicker to make the attempt, SourceBusy; nothing is changed then.
    """
    now = utc_now()
    with ledger.write() as connection:
        batch = get_in(connection, batch_id)
        lease = leases.acquire(connection, batch_lease(batch_id), run_id, lease_seconds)
        if lease is None:
            raise BatchBusy(
                f"Batch {batch_id} is being worked on by run {batch.run_id}. Wait for that run to end, or cancel it."
            )
        again = batch.state == BatchState.RUNNING and batch.run_id == run_id
        if attempt is not None and not again and attempt != batch.attempt + 1:
            raise BatchBusy(f"Attempt {attempt} of batch {batch_id} was made by run {batch.run_id}.")
        if most_runs is not None and not again and len(_live_in(connection, batch.source, batch_id)) >= most_runs:
            raise SourceBusy(
                f"{most_runs} runs work on batches of {batch.source}, as many as STRANDLINE_MAX_RUNS_OF lets. Wait for one "
                "to end."
            )
        if not again:
            connection.execute(
                update(batches)
                .where(batches.c.batch_id == batch_id)
                .values(
                    state=BatchState.RUNNING.value,
                    run_id=run_id,
                    attempt=batch.attempt + 1,
                    not_before=None,
                    error=None,
                    pruned_at=None,
                    updated_at=now,
                )
            )
        rows = connection.execute(
            select(
                files.c.file_id, files.c.key, files.c.version, files.c.size_bytes, files.c.group_key, files.c.landed_at
            )
            .where(files.c.batch_id == batch_id)
            .where(files.c.state.not_in(_NOT_READ_AGAIN))
            # What is to be replaced stays as it is until then: two runs must not decide about it.
            .where(
                ~and_(files.c.state == FileState.COMMITTED, exists().where(replacements.c.file_id == files.c.file_id))
            )
            .order_by(files.c.key, files.c.seq)
        ).all()
        newest = {row.key: row.file_id for row in rows} if batch.group_key is not None else {}
        older = {row.file_id: newest[row.key] for row in rows if newest.get(row.key, row.file_id) != row.file_id}
        mine = tuple(ClaimedFile(*row) for row in rows if row.file_id not in older)
        ids = [file.file_id for file in mine]
        if not again:
            move(
                connection,
                ids,
                FileState.RUNNING,
                at=now,
                reason="claimed",
                run_id=run_id,
                attempts=files.c.attempts + 1,
            )
        return Claim(get_in(connection, batch_id), lease, mine, older)


def give_back(
    ledger: Ledger,
    claim: Claim,
    error: str,
    *,
    max_attempts: int,
    hold: bool = False,
    backoff: bool = True,
    refused: Refusals | None = None,
) -> None:
    """End a claim that could not be finished. Its files wait for the next attempt, or are held; those that an earlier
    run committed are committed still.

    `hold` says that only a person moves the batch on; so does reaching `max_attempts`. `refused`: the files for which it is held,
    by id, with class and reason; what lands of their group then moves it on, too. Raises LeaseLost.
    """
    with ledger.write() as connection:
        leases.check(connection, claim.lease)
        _give_back(connection, claim.batch, error, max_attempts=max_attempts, hold=hold, backoff=backoff)
        for file_id, (error_class, why) in (refused or {}).items():
            of_file = (files.c.file_id == file_id, files.c.state == FileState.HELD)
            connection.execute(update(files).where(*of_file).values(error_class=error_class, error=why))
        leases.drop(connection, claim.lease)


def _give_back(
    connection: Connection, batch: Batch, error: str, *, max_attempts: int, hold: bool = False, backoff: bool = True
) -> None:
    now = utc_now()
    attempts = batch.attempt - batch.attempts_before
    hold = hold or attempts >= max_attempts
    wait = _backoff(attempts) if backoff else 0.0
    connection.execute(
        update(batches)
        .where(batches.c.batch_id == batch.batch_id)
        .values(
            state=(BatchState.HELD if hold else BatchState.PLANNED).value,
            not_before=now + timedelta(seconds=wait),
            error=error,
            updated_at=now,
        )
    )
    running = select(files.c.file_id).where(files.c.batch_id == batch.batch_id, files.c.state == FileState.RUNNING)
    visible = exists().where(file_rows.c.file_id == files.c.file_id)
    committed = list(connection.scalars(running.where(visible)))
    move(connection, committed, FileState.COMMITTED, at=now, reason=f"its rows stay as they were: {error}")
    ids = list(connection.scalars(running))
    to = FileState.HELD if hold else FileState.PENDING
    move(connection, ids, to, at=now, reason=error, error_class=None, error=error)


def _backoff(attempts: int) -> float:
    return min(_BACKOFF_SECONDS * 2.0 ** (attempts - 1), _BACKOFF_MOST_SECONDS)


def free_dead(ledger: Ledger, source: str, max_attempts: int) -> list[Batch]:
    """Take back the batches whose run gives no more sign of life."""
    query, freed = select(batches).where(batches.c.source == source, batches.c.state == BatchState.RUNNING), []
    with ledger.write() as connection:
        for batch in [_batch(row) for row in connection.execute(query)]:
            lease = batch_lease(batch.batch_id)
            if not leases.is_live(connection, lease):
                error = f"run {batch.run_id} ended without a word (killed, or its machine stopped)"
                _give_back(connection, batch, error, max_attempts=max_attempts, backoff=False)
                leases.forget(connection, lease)  # a run that was only silent must not publish what waits for another
                freed.append(batch)
    return freed


def count_lost_request(ledger: Ledger, batch: Batch, error: str, *, max_attempts: int, hold: bool = False) -> None:
    """Note that the run requested for a planned batch ended before it could claim it, so a next one may start, later.

    `hold` says that a person stopped that run, so only a person moves the batch on.
    """
    with ledger.write() as connection:
        now = utc_now()
        current = get_in(connection, batch.batch_id)
        if current.state != BatchState.PLANNED or current.attempt != batch.attempt:
            return
        attempts = batch.attempt + 1 - batch.attempts_before
        hold = hold or attempts >= max_attempts
        connection.execute(
            update(batches)
            .where(batches.c.batch_id == batch.batch_id)
            .values(
                attempt=batch.attempt + 1,
                state=(BatchState.HELD if hold else BatchState.PLANNED).value,
                not_before=now + timedelta(seconds=_backoff(attempts)),
                error=error,
                updated_at=now,
            )
        )
        if hold:
            of_batch = select(files.c.file_id).where(files.c.batch_id == batch.batch_id)
            ids = list(connection.scalars(of_batch.where(files.c.state == FileState.PENDING)))
            move(connection, ids, FileState.HELD, at=now, reason=error, error_class=None, error=error)


def release(ledger: Ledger, batch_id: str) -> Batch:
    """Let a held batch go on, past its threshold, its attempts counted anew. Raises NotClaimed when it is not held."""
    now = utc_now()
    with ledger.write() as connection:
        batch = get_in(connection, batch_id)
        if batch.state != BatchState.HELD:
            raise NotClaimed(f"Batch {batch_id} is {batch.state}, not held: there is nothing to release.")
        connection.execute(
            update(batches)
            .where(batches.c.batch_id == batch_id)
            .values(
                state=BatchState.PLANNED.value,
                attempts_before=batches.c.attempt,
                released=True,
                not_before=None,
                error=None,
                updated_at=now,
            )
        )
        ids = list(
            connection.scalars(
                select(files.c.file_id).where(files.c.batch_id == batch_id, files.c.state == FileState.HELD)
            )
        )
        move(connection, ids, FileState.PENDING, at=now, reason="released by a person", error_class=None, error=None)
        return get_in(connection, batch_id)
