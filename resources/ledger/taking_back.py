"""What becomes of a committed file whose rows go: it is refused from now on, and a person may replay it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from resources.ledger.states import FileState, chunked, move
from resources.ledger.tables import file_rows, files, quarantine


def take_back(
    connection: Connection, file_ids: Sequence[str], error_class: str, reason: str, *, run_id: str, at: datetime
) -> None:
    """Let files be quarantined that were committed, or are about to be read again, in the caller's transaction.

    Raises IllegalMove for a file that is none of these.
    """
    for chunk in chunked(file_ids):
        rows = connection.execute(select(files).where(files.c.file_id.in_(chunk))).all()
        connection.execute(delete(file_rows).where(file_rows.c.file_id.in_(chunk)))
        move(connection, chunk, FileState.RUNNING, at=at, reason=f"{error_class}: {reason}")
        # Its batch, done again, must not bring it back.
        values = {"error_class": error_class, "error": reason, "batch_id": None, "run_id": None}
        move(connection, chunk, FileState.QUARANTINED, at=at, reason=reason, **values)
        connection.execute(
            insert(quarantine),
            [
                {
                    "file_id": row.file_id, "record": "", "source": row.source, "key": row.key, "error_class": error_class,
                    "error": reason, "location": "", "reader": row.reader, "batch_id": row.batch_id or "",
                    "run_id": run_id, "attempt": row.attempts, "quarantined_at": at,
                }
                for row in rows
            ],
        )  # fmt: skip
