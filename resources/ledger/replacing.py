"""Files that a person wants replaced: noted before the new one is committed, done in the transaction that publishes it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, delete, insert, or_, select

from resources.errors import TransientFailure, UserError
from resources.ledger import leases
from resources.ledger.database import Ledger, utc_now
from resources.ledger.leases import Lease
from resources.ledger.states import FileState, chunked
from resources.ledger.tables import files, replacements
from resources.ledger.taking_back import take_back

REPLACED = "replaced"
"""The error class of a file whose place another took. A replay takes it in again, beside the other."""

_AGAIN = (FileState.COMMITTED, FileState.PENDING, FileState.HELD)
"""The states of a file that has rows, or is about to have them again."""


class BeingRead(TransientFailure, RuntimeError):
    """A file that is to be replaced is being read again: its run has to end first."""


@dataclass(frozen=True)
class Replacement:
    """A committed file, and the key whose next file takes its place."""

    file_id: str
    key: str
    reason: str
    noted_at: datetime


class NotReplaced(UserError):
    """A file cannot be replaced so. The message says why and what to do; nothing was changed."""


def note_replacement(ledger: Ledger, turn: Lease, file_id: str, key: str, reason: str) -> None:
    """Let the next file that is committed under a key replace a file. Ends the turn. An earlier word on the file is forgotten.

    Raises NotReplaced, LeaseLost; nothing is changed then.
    """
    with ledger.write() as connection:
        leases.check(connection, turn)
        file = connection.execute(select(files).where(files.c.file_id == file_id)).one()
        if file.state != FileState.COMMITTED:
            raise NotReplaced(
                f"{file_id} is {file.state}, not committed, so there is nothing to replace. See: strandline explain {file_id}"
            )
        same = select(files.c.file_id).where(
            files.c.store == file.store, files.c.key == key, files.c.file_id != file_id
        )
        there = connection.scalar(same.where(files.c.state == FileState.COMMITTED, files.c.key != file.key))
        if there is not None:
            raise NotReplaced(
                f"{key} is committed already, as file {there}: its rows are beside those of {file_id}. Take the old ones back: "
                f"strandline withdraw {file_id}"
            )
        forget_replacements(connection, [file_id])
        connection.execute(
            insert(replacements).values(
                file_id=file_id, source=file.source, store=file.store, key=key, reason=reason, noted_at=utc_now()
            )
        )
        leases.drop(connection, turn)


def cancel_replacement(ledger: Ledger, file_id: str) -> bool:
    """Forget that a file is to be replaced. Whether it was."""
    with ledger.write() as connection:
        return forget_replacements(connection, [file_id]) > 0


def forget_replacements(connection: Connection, file_ids: Collection[str]) -> int:
    """How many there were, of these files."""
    chunks = chunked(sorted(file_ids))
    return sum(
        connection.execute(delete(replacements).where(replacements.c.file_id.in_(chunk))).rowcount for chunk in chunks
    )


def forget_key(connection: Connection, store: str, key: str) -> None:
    """Forget which files were to be replaced by one under a key."""
    connection.execute(delete(replacements).where(replacements.c.store == store, replacements.c.key == key))


def replacement_of(ledger: Ledger, file_id: str) -> Replacement | None:
    with ledger.read() as connection:
        row = connection.execute(select(replacements).where(replacements.c.file_id == file_id)).one_or_none()
    return None if row is None else Replacement(row.file_id, row.key, row.reason, row.noted_at)


def to_replace(ledger: Ledger, file_ids: Collection[str]) -> dict[str, str]:
    """The files that these are to replace, each with the one that does."""
    note, old, new = replacements, files.alias("old"), files.alias("new")
    query = (
        select(old.c.file_id, new.c.file_id.label("by"))
        .join(note, note.c.file_id == old.c.file_id)
        .join(new, and_(new.c.store == note.c.store, new.c.key == note.c.key, new.c.source == note.c.source))
        # Under its own key a file may have older deliveries beside it.
        .where(or_(new.c.key != old.c.key, new.c.seq > old.c.seq))
        .order_by(new.c.seq)
    )
    found: dict[str, str] = {}
    with ledger.read() as connection:
        for chunk in chunked(sorted(file_ids)):
            found |= {row.file_id: row.by for row in connection.execute(query.where(new.c.file_id.in_(chunk)))}
    return found


def end_replacements(connection: Connection, replaced: Mapping[str, str], run_id: str, at: datetime) -> None:
    """Replace files, in the caller's transaction. replaced: the old ones, each with the new one. Raises BeingRead."""
    for old, new in replaced.items():
        row = connection.execute(select(replacements).where(replacements.c.file_id == old)).one_or_none()
        reason = f"{new} took its place{'' if row is None or not row.reason else f': {row.reason}'}"
        state = connection.scalar(select(files.c.state).where(files.c.file_id == old))
        if state == FileState.RUNNING:
            raise BeingRead(f"file {old}, which {new} replaces, is being read again; its run has to end first")
        if state in _AGAIN:
            take_back(connection, [old], REPLACED, reason, run_id=run_id, at=at)
    forget_replacements(connection, replaced)
