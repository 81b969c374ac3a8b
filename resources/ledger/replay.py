"""Sending refused files back to be read again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Select, select

from resources.ledger.database import Ledger, utc_now
from resources.ledger.states import FileState, read_anew
from resources.ledger.tables import files


@dataclass(frozen=True)
class RefusedFilter:
    """Which refused files are meant; what is empty does not matter. All empty: every refused file."""

    file_ids: Sequence[str] = ()
    source: str | None = None
    error_class: str | None = None
    batch_id: str | None = None

    def select(self) -> Select[tuple[str]]:
        query = select(files.c.file_id).where(files.c.state == FileState.QUARANTINED)
        if self.file_ids:
            query = query.where(files.c.file_id.in_(self.file_ids))
        for column, wanted in (
            (files.c.source, self.source),
            (files.c.error_class, self.error_class),
            (files.c.batch_id, self.batch_id),
        ):
            if wanted:
                query = query.where(column == wanted)
        return query.order_by(files.c.seq)


def replay(ledger: Ledger, wanted: RefusedFilter) -> list[str]:
    """Let refused files be read again, in new batches. The ids of these files.

    Their refusals stay in the quarantine's record. A file that a newer version has replaced is not refused any more,
    so it is never replayed.
    """
    with ledger.write() as connection:
        ids = list(connection.scalars(wanted.select()))
        read_anew(connection, ids, at=utc_now(), reason="replayed by a person")
        return ids
