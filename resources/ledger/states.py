"""The states of a file, the moves between them, and the one function that makes a move."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection, insert, select, update

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


_S = FileState

MOVES: dict[FileState, frozenset[FileState]] = {
    _S.WAITING: frozenset({_S.PENDING, _S.QUARANTINED, _S.SUPERSEDED, _S.DELETED}),
    _S.PENDING: frozenset({_S.RUNNING, _S.HELD, _S.SUPERSEDED, _S.DELETED}),
    _S.RUNNING: frozenset({_S.COMMITTED, _S.QUARANTINED, _S.HELD, _S.PENDING, _S.DUPLICATE, _S.SUPERSEDED, _S.DELETED}),
    _S.HELD: frozenset({_S.PENDING, _S.RUNNING, _S.SUPERSEDED, _S.DELETED}),
    _S.COMMITTED: frozenset({_S.RUNNING, _S.PENDING, _S.SUPERSEDED}),
    _S.QUARANTINED: frozenset({_S.RUNNING, _S.PENDING, _S.SUPERSEDED, _S.DELETED}),
    _S.DUPLICATE: frozenset({_S.PENDING, _S.SUPERSEDED}),
    _S.DELETED: frozenset({_S.PENDING, _S.SUPERSEDED}),
    _S.SUPERSEDED: frozenset(),
}
"""From each state, the states a file may move to. A superseded file never comes back: its bytes landing again are a
new generation, a file of its own."""

SETTLED = frozenset({_S.COMMITTED, _S.QUARANTINED, _S.DUPLICATE, _S.SUPERSEDED, _S.DELETED})
"""Nothing more happens to these unless a person or a new delivery asks for it."""


class IllegalMove(RuntimeError):
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
