"""A transaction of PyIceberg that does not work out its table's metadata again each time it looks at them."""

from __future__ import annotations

from typing import Any

from pyiceberg.table import Table, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update import TableUpdate, _apply_table_update, _TableMetadataUpdateContext


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
            self._seen = (base, changes, _changed(base, changes))
        return self._seen[2]


def _changed(metadata: TableMetadata, changes: tuple[TableUpdate, ...]) -> TableMetadata:
    """As `update_table_metadata`, without the copy: each change makes new metadata, and leaves the old ones as they are."""
    context = _TableMetadataUpdateContext()
    for change in changes:
        metadata = _apply_table_update(change, metadata, context)
    return metadata


def transaction_on(table: Table) -> SeenTransaction:
    """As `Table.transaction`."""
    return SeenTransaction(table)
