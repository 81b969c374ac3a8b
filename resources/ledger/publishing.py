"""The end of a batch: what its tables show and what became of its files, in one transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, and_, delete, exists, func, insert, select, update

from resources.ledger import leases
from resources.ledger.batches import BatchState, Claim
from resources.ledger.database import Ledger, each_value, utc_now
from resources.ledger.leases import Lease
from resources.ledger.products import newest_publication_in, note_due, note_rows_removed
from resources.ledger.replacing import end_replacements
from resources.ledger.states import FileState, chunked, move
from resources.ledger.sweeps import reopen_shards
from resources.ledger.tables import batches, file_rows, files, looks, publications, quarantine


@dataclass(frozen=True)
class Refusal:
    """Why a file, or one record of it, was refused."""

    error_class: str
    message: str
    location: str = ""
    record: str = ""


@dataclass(frozen=True)
class Outcome:
    """What became of one file of a batch: committed with its rows a table, or refused, or gone.

    content: sha256 of its bytes, for sources that take equal bytes once.
    note: for its history, where the state alone does not say why.
    """

    file_id: str
    state: FileState
    rows: Mapping[str, int] = field(default_factory=dict)
    refusal: Refusal | None = None
    content: str | None = None
    note: str = ""
    reader: str | None = None
    """the reader that read it, where one could be chosen"""


def published_snapshots(ledger: Ledger, source: str) -> dict[str, int | None]:
    """For each table of a source, the snapshot that readers see; empty before the first publication."""
    with ledger.read() as connection:
        return published_in(connection, source)


def all_published(ledger: Ledger) -> dict[str, dict[str, int | None]]:
    """For each source that has published, the snapshots that readers see, all of one moment."""
    with ledger.read() as connection:
        newest = [
            select(func.max(publications.c.seq)).where(publications.c.source == source).scalar_subquery()
            for source in each_value(connection, publications.c.source)
        ]
        query = select(publications.c.source, publications.c.snapshots).where(publications.c.seq.in_(newest))
        return {row.source: dict(row.snapshots) for row in connection.execute(query.order_by(publications.c.source))}


def published_in(connection: Connection, source: str) -> dict[str, int | None]:
    snapshots = connection.scalar(
        select(publications.c.snapshots)
        .where(publications.c.source == source)
        .order_by(publications.c.seq.desc())
        .limit(1)
    )
    return dict(snapshots or {})


def take_commit_turn(ledger: Ledger, source: str, run_id: str, seconds: float) -> Lease | None:
    """The right to commit to a source's tables: one run at a time. None while another live run has it."""
    with ledger.write() as connection:
        return leases.acquire(connection, leases.commit_lease(source), run_id, seconds)


def end_commit_turn(ledger: Ledger, turn: Lease) -> None:
    with ledger.write() as connection:
        leases.drop(connection, turn)


@dataclass(frozen=True)
class Rivals:
    """Other versions of the keys of files about to be committed."""

    older: frozenset[str]
    """older versions that the commit makes `superseded`; one that a run still reads is left to that run"""
    to_remove: frozenset[str]
    """files whose rows the commit must take out of the tables: older versions, and earlier rows of the files"""
    outdated: frozenset[str]
    """files that must not be committed, because a newer version of their key has rows already"""


_NOT_SUPERSEDED = {FileState.SUPERSEDED, FileState.RUNNING, FileState.FORGOTTEN}
NO_RIVALS = Rivals(frozenset(), frozenset(), frozenset())


def rivals(ledger: Ledger, file_ids: Sequence[str]) -> Rivals:
    """Compare files about to be committed with the other versions of their keys, all of which they replace."""
    mine, other, with_rows = files.alias("mine"), files.alias("other"), file_rows.alias("with_rows")
    has_rows = exists().where(with_rows.c.file_id == other.c.file_id)
    older: set[str] = set()
    to_remove: set[str] = set()
    outdated: set[str] = set()
    with ledger.read() as connection:
        for chunk in chunked(file_ids):
            rows = connection.execute(
                select(
                    mine.c.file_id,
                    mine.c.seq,
                    other.c.file_id.label("other_id"),
                    other.c.seq.label("other_seq"),
                    other.c.state,
                    has_rows.label("has_rows"),
                )
                .join(other, and_(mine.c.store == other.c.store, mine.c.key == other.c.key))
                .where(mine.c.file_id.in_(chunk))
            ).all()
            for row in rows:
                if row.has_rows and row.other_seq > row.seq:
                    outdated.add(row.file_id)
                elif row.has_rows:
                    to_remove.add(row.other_id)
                if row.other_seq < row.seq and row.state not in _NOT_SUPERSEDED:
                    older.add(row.other_id)
    return Rivals(frozenset(older), frozenset(to_remove), frozenset(outdated))


def duplicates(ledger: Ledger, source: str, contents: Mapping[str, str]) -> dict[str, str]:
    """Of files about to be committed, those whose bytes are committed already, with the key where they are.

    contents: sha256 by file id. Of files with equal bytes among them the first to become known is not a duplicate.
    """
    first: dict[str, tuple[bool, int, str, str]] = {}
    with ledger.read() as connection:
        for chunk in chunked(sorted(set(contents.values()))):
            there = connection.execute(
                select(files.c.content, files.c.seq, files.c.file_id, files.c.key).where(
                    files.c.source == source, files.c.content.in_(chunk), files.c.state.in_(_THERE)
                )
            )
            for row in there:
                if row.file_id not in contents:
                    first[row.content] = min(first.get(row.content, _LAST), (False, row.seq, row.file_id, row.key))
        for chunk in chunked(contents):
            mine = connection.execute(
                select(files.c.file_id, files.c.seq, files.c.key).where(files.c.file_id.in_(chunk))
            )
            for row in mine:
                content = contents[row.file_id]
                first[content] = min(first.get(content, _LAST), (True, row.seq, row.file_id, row.key))
    return {file_id: first[content][3] for file_id, content in contents.items() if first[content][2] != file_id}


_THERE = (FileState.COMMITTED, FileState.RUNNING, FileState.PENDING, FileState.HELD)
"""The states of a file that was committed, also while it is read again."""
_LAST = (True, 1 << 62, "", "")


def files_with_rows(ledger: Ledger, file_ids: Sequence[str]) -> set[str]:
    """Those of the files that have rows in the published tables."""
    found: set[str] = set()
    with ledger.read() as connection:
        for chunk in chunked(file_ids):
            found |= set(connection.scalars(select(file_rows.c.file_id).where(file_rows.c.file_id.in_(chunk))))
    return found


def tables_with_rows(ledger: Ledger, file_ids: Collection[str]) -> set[str]:
    """The tables in which some of the files have rows."""
    found: set[str] = set()
    with ledger.read() as connection:
        for chunk in chunked(sorted(file_ids)):
            query = select(file_rows.c.table_name).where(file_rows.c.file_id.in_(chunk), file_rows.c.rows > 0)
            found |= set(connection.scalars(query.distinct()))
    return found


def publish(
    ledger: Ledger,
    claim: Claim,
    turn: Lease,
    snapshots: Mapping[str, int | None],
    outcomes: Sequence[Outcome],
    superseded: Sequence[str] = (),
    rows_removed: Sequence[str] = (),
    products: Collection[str] = (),
    replaced: Mapping[str, str] | None = None,
) -> None:
    """Make a batch visible and final: the tables' new snapshots, every file's state, its rows and refusals.

    `superseded` are older versions of committed keys, `rows_removed` the files whose rows the commit took out,
    `products` the names of what is to be made from the batch's rows, `replaced` the files that others of the batch take the
    place of, with these.
    One transaction: readers and the ledger see all of it or none. Raises LeaseLost when the run no longer holds the
    batch or the turn to commit, BeingRead; nothing is changed then.
    """
    now = utc_now()
    batch, run_id = claim.batch, claim.run_id
    with ledger.write() as connection:
        leases.check(connection, claim.lease)
        leases.check(connection, turn)
        connection.execute(
            insert(publications).values(
                source=batch.source,
                batch_id=batch.batch_id,
                run_id=run_id,
                published_at=now,
                snapshots={**published_in(connection, batch.source), **snapshots},
            )
        )
        if products:
            publication = newest_publication_in(connection, batch.source)
            note_rows_removed(connection, rows_removed, publication)
            note_due(connection, batch.source, batch.batch_id, products, publication)
        _forget_rows(connection, rows_removed)
        reason = f"a newer version of its key was committed by batch {batch.batch_id}"
        move(connection, superseded, FileState.SUPERSEDED, at=now, reason=reason)
        _record_outcomes(connection, claim, outcomes)
        end_replacements(connection, replaced or {}, run_id, now)
        missed = [o.file_id for o in outcomes if o.state in {FileState.SUPERSEDED, FileState.DELETED}]
        _forget_looks(connection, missed)
        reopen_shards(connection, missed)
        connection.execute(
            update(batches)
            .where(batches.c.batch_id == batch.batch_id)
            .values(state=BatchState.FINISHED.value, error=None, updated_at=now)
        )
        leases.drop(connection, claim.lease)
        leases.drop(connection, turn)


def _forget_rows(connection: Connection, file_ids: Sequence[str]) -> None:
    for chunk in chunked(file_ids):
        connection.execute(delete(file_rows).where(file_rows.c.file_id.in_(chunk)))


def _forget_looks(connection: Connection, file_ids: Sequence[str]) -> None:
    """Let discovery look anew at keys whose bytes were not those of the file, if it still takes them for it."""
    for chunk in chunked(file_ids):
        connection.execute(delete(looks).where(looks.c.file_id.in_(chunk)))


_REASONS = {
    FileState.COMMITTED: "rows are in every table",
    FileState.DELETED: "gone from the landing store before it was read",
    FileState.SUPERSEDED: "its key has other bytes now",
    FileState.WAITING: "another part of it was not there",
    FileState.FORGOTTEN: "forgotten while it was read",
}


def _record_outcomes(connection: Connection, claim: Claim, outcomes: Sequence[Outcome]) -> None:
    now = utc_now()
    _forget_rows(connection, [outcome.file_id for outcome in outcomes])
    alike: dict[tuple[FileState, Refusal | None, str, str | None], list[str]] = defaultdict(list)
    for outcome in outcomes:
        alike[outcome.state, outcome.refusal, outcome.note, outcome.reader].append(outcome.file_id)
    for (state, refusal, note, reader), ids in alike.items():
        reason = refusal.message if refusal else note or _REASONS[state]
        values = {
            "error_class": refusal.error_class if refusal else None,
            "error": refusal.message if refusal else None,
        }
        if state == FileState.WAITING:
            values |= {"batch_id": None, "run_id": None}
        if reader:
            values["reader"] = reader
        move(connection, ids, state, at=now, reason=reason, **values)
    for outcome in outcomes:
        if outcome.content is not None:
            connection.execute(update(files).where(files.c.file_id == outcome.file_id).values(content=outcome.content))
    rows = [
        {"file_id": outcome.file_id, "table_name": table, "rows": count}
        for outcome in outcomes
        for table, count in outcome.rows.items()
    ]
    if rows:
        connection.execute(insert(file_rows), rows)
    _record_refusals(connection, claim, [outcome for outcome in outcomes if outcome.refusal])


def _record_refusals(connection: Connection, claim: Claim, refused: Sequence[Outcome]) -> None:
    if not refused:
        return
    keys = {file.file_id: file.key for file in claim.files}
    connection.execute(
        insert(quarantine),
        [
            {
                "file_id": outcome.file_id,
                "record": outcome.refusal.record,
                "source": claim.batch.source,
                "key": keys[outcome.file_id],
                "error_class": outcome.refusal.error_class,
                "error": outcome.refusal.message,
                "location": outcome.refusal.location,
                "reader": outcome.reader,
                "batch_id": claim.batch.batch_id,
                "run_id": claim.run_id,
                "attempt": claim.batch.attempt,
                "quarantined_at": utc_now(),
            }
            for outcome in refused
            if outcome.refusal
        ],
    )
