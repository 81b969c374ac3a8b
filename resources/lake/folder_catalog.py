"""PyIceberg's SQL catalog, which reads a table's metadata once."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from pyiceberg.table import Table
from sqlalchemy import bindparam, select

if TYPE_CHECKING:
    from pyiceberg.table import CommitTableResponse
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.update import TableRequirement, TableUpdate
    from pyiceberg.typedef import Identifier

_MOST_KEPT = 128
_Signature = tuple[int, int]
_LOCATION = select(IcebergTables.metadata_location).where(
    IcebergTables.catalog_name == bindparam("catalog"),
    IcebergTables.table_namespace == bindparam("namespace"),
    IcebergTables.table_name == bindparam("name"),
)


class LakeCatalog(SqlCatalog):
    """Keeps the metadata of the tables seen last.

    A metadata file is never changed: each commit writes another, and which of them is the table's the database says each
    time. So a file that is there as it was when it was read, or written by this process, need not be read again; a commit
    asked for it three times.
    """

    def __init__(self, name: str, **properties: str) -> None:
        super().__init__(name, **properties)
        self._kept: OrderedDict[str, tuple[_Signature, TableMetadata]] = OrderedDict()
        self._lock = Lock()

    def load_table(self, identifier: str | Identifier) -> Table:
        namespace, name = self.namespace_from(identifier), self.table_name_from(identifier)
        given = {"catalog": self.name, "namespace": self.namespace_to_string(namespace), "name": name}
        with self.engine.connect() as connection:
            location = connection.scalar(_LOCATION, given)
        metadata = self._known(location) if location else None
        if location is None or metadata is None:
            table = super().load_table(identifier)
            self._keep(table.metadata_location, table.metadata)
            return table
        io = self._load_file_io(metadata.properties, location)
        return Table((*namespace, name), metadata, location, io, self)

    def commit_table(
        self, table: Table, requirements: tuple[TableRequirement, ...], updates: tuple[TableUpdate, ...]
    ) -> CommitTableResponse:
        response = super().commit_table(table, requirements, updates)
        self._keep(response.metadata_location, response.metadata)
        return response

    def _known(self, location: str) -> TableMetadata | None:
        with self._lock:
            signature, metadata = self._kept.get(location, (None, None))
            if signature is None or signature != _signature(location):
                self._kept.pop(location, None)
                return None
            self._kept.move_to_end(location)
            return metadata

    def _keep(self, location: str, metadata: TableMetadata) -> None:
        signature = _signature(location)
        if signature is None:
            return
        with self._lock:
            self._kept[location] = (signature, metadata)
            if len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)


def _signature(location: str) -> _Signature | None:
    """What a file's entry in its folder says of it; None where it is no local file, or not there."""
    try:
        found = Path(location.removeprefix("file://")).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
