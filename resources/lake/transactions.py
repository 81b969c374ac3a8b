"""A transaction of PyIceberg that does not work out its table's metadata again each time it looks at them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pyiceberg.table import Table, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update import (
    TableUpdate,
    _apply_table_update,
    _TableMetadataUpdateContext,
    _update_table_metadata_log,
)
from pyiceberg.utils.datetime import datetime_to_millis


class SeenTransaction(Transaction):
    """Gives the same metadata until the transaction stages another change.

    PyIceberg applies all staged changes, and copies the result to its depths, some twenty times a commit; that was more
    than half of what a commit cost. It only reads what it gets.
    """

    _seen: tuple[Any, Any, TableMetadata] | None = None

    @property
    def table_metadata(self) -> TableMetadata:
        base, changes = self._table.metadata, self._updates
        if not changes:
            return base
        if self._seen is None or self._seen[0] is not base or self._seen[1] is not changes:
            self._seen = (base, changes, changed(base, changes))
        return self._seen[2]


def changed(metadata: TableMetadata, changes: tuple[TableUpdate, ...], written_at: str | None = None) -> TableMetadata:
    """As `update_table_metadata`, without the copy: each change makes new metadata, and leaves the old ones as they are.

    written_at: where the old metadata are, for those that are to be written; they say of themselves when they changed.
    """
    context = _TableMetadataUpdateContext()
    new = metadata
    for change in changes:
        new = _apply_table_update(change, new, context)
    if written_at is not None and context.has_changes():
        new = _update_table_metadata_log(new, written_at, metadata.last_updated_ms)
        if new.last_updated_ms == metadata.last_updated_ms:
            new = new.model_copy(update={"last_updated_ms": datetime_to_millis(datetime.now().astimezone())})
    return new


def transaction_on(table: Table) -> SeenTransaction:
    """As `Table.transaction`."""
    return SeenTransaction(table)
