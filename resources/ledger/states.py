"""The states of a file, the moves between them, and the one function that makes a move."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection, insert, select, update

from resources.errors import PermanentFailure
from resources.ledger.tables import file_history, files


class FileState(StrEnum):
    """What became of a file."""

    WAITING = "waiting"
    """for companions, its group, or to be written to the end"""
    PENDING = "pending"
    """to be read; in a batch that no run has claimed, or in none yet"""
    RUNNING = "running"
    """claimed by a run"""
    HELD = "held"
    """its batch was stopped before anything of it was visible; a person moves it on"""
    COMMITTED = "committed"
    """its rows are in every table of its source"""
    QUARANTINED = "quarantined"
    """refused, with a reason"""
    DUPLICATE = "duplicate"
    """its bytes are already there under another key, for sources that say so"""
    SUPERSEDED = "superseded"
    """a newer version of its key took its place"""
    DELETED = "deleted"
    """gone from the landing store before it was read"""
    FORGOTTEN = "forgotten"
    """erased because a person asked for it; this mark keeps it from coming back"""


_S = FileState

MOVES: dict[FileState, frozenset[FileState]] = {
    _S.WAITING: frozenset({_S.PENDING, _S.SUPERSEDED, _S.DELETED}),
    _S.PENDING: frozenset({_S.RUNNING, _S.HELD, _S.SUPERSEDED, _S.DELETED}),
    _S.RUNNING: frozenset(
        {
            _S.COMMITTED,
            _S.QUARANTINED,
            _S.HELD,
            _S.PENDING,
            _S.WAITING,
            _S.DUPLICATE,
            _S.SUPERSEDED,
            _S.DELETED,
        }
    ),
    _S.HELD: frozenset({_S.PENDING, _S.RUNNING, _S.SUPERSEDED, _S.DELETED}),
    _S.COMMITTED: frozenset({_S.RUNNING, _S.PENDING, _S.WAITING, _S.SUPERSEDED}),
    _S.QUARANTINED: frozenset({_S.RUNNING, _S.PENDING, _S.WAITING, _S.SUPERSEDED, _S.DELETED}),
    _S.DUPLICATE: frozenset({_S.PENDING, _S.SUPERSEDED}),
    _S.DELETED: frozenset({_S.PENDING, _S.WAITING, _S.SUPERSEDED}),
    _S.SUPERSEDED: frozenset(),
    _S.FORGOTTEN: frozenset(),
}
"""From each state, the states a file may move to by itself. A superseded file never comes back: its bytes landing
again are a new generation, a file of its own. To `forgotten` a file comes from any state, by `erasure.erase` alone."""

SETTLED = frozenset({_S.COMMITTED, _S.QUARANTINED, _S.DUPLICATE, _S.SUPERSEDED, _S.DELETED, _S.FORGOTTEN})
"""Nothing more happens to these unless a person or a new delivery asks for it."""


class IllegalMove(PermanentFailure, RuntimeError):
    """A move that `MOVES` does not allow was asked for: a fault of the platform, never of the data."""


_CHUNK = 500  # well under SQLite's limit of bound parameters
_Item = TypeVar("_Item")


def chunked(items: Iterable[_Item], size: int = _CHUNK) -> Iterator[list[_Item]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def move(
    connection: Connection,
    file_ids: Sequence[str],
    to: FileState,
    *,
    at: datetime,
    reason: str,
    **values: Any,
) -> None:
    """Move files to a state and write the move into their history, in the caller's transaction.

    `values` are further columns of `files` to set (`batch_id`, `run_id`, `error_class`, `error`, `attempts`).
    A file already in the state only has its columns set. Raises IllegalMove, and KeyError for an unknown file.
    """
    for chunk in chunked(file_ids):
        rows = connection.execute(
            select(files.c.file_id, files.c.state, files.c.batch_id, files.c.run_id).where(files.c.file_id.in_(chunk))
        ).all()
        if len(rows) != len(set(chunk)):
            raise KeyError(f"files not in the ledger: {sorted(set(chunk) - {row.file_id for row in rows})[:5]}")
        for row in rows:
            if row.state != to and to not in MOVES[FileState(row.state)]:
                raise IllegalMove(f"file {row.file_id} cannot move from {row.state} to {to}")
        connection.execute(
            update(files).where(files.c.file_id.in_(chunk)).values(state=to.value, updated_at=at, **values)
        )
        moved = [
            {
                "file_id": row.file_id,
                "at": at,
                "from_state": row.state,
                "to_state": to.value,
                "batch_id": values.get("batch_id", row.batch_id),
                "run_id": values.get("run_id", row.run_id),
                "reason": reason,
            }
            for row in rows
            if row.state != to
        ]
        if moved:
            connection.execute(insert(file_history), moved)


def read_anew(connection: Connection, file_ids: Sequence[str], *, at: datetime, reason: str) -> None:
    """Let files be planned anew: `pending`, or `waiting` to be put together with the rest of their record or group."""
    freed = {"batch_id": None, "run_id": None, "error_class": None, "error": None}
    for chunk in chunked(file_ids):
        parts = set(
            connection.scalars(
                select(files.c.file_id).where(files.c.file_id.in_(chunk), files.c.group_key.is_not(None))
            )
        )
        alone = [file_id for file_id in chunk if file_id not in parts]
        move(connection, alone, FileState.PENDING, at=at, reason=reason, **freed)
        move(connection, sorted(parts), FileState.WAITING, at=at, reason=reason, **freed)
