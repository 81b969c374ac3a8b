"""PyIceberg's SQL catalog, which reads a table's metadata once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, local
from typing import TYPE_CHECKING

from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.locations import load_location_provider
from sqlalchemy import bindparam, select, update

from resources.lake.lake import CommitConflict
from resources.lake.transactions import changed

if TYPE_CHECKING:
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


_MOVE = (
    update(IcebergTables)
    .where(
        IcebergTables.catalog_name == bindparam("catalog"),
        IcebergTables.table_namespace == bindparam("namespace"),
        IcebergTables.table_name == bindparam("name"),
        IcebergTables.metadata_location == bindparam("before"),
    )
    .values(metadata_location=bindparam("after"), previous_metadata_location=bindparam("before"))
)


@dataclass
class _Moved:
    """A table whose metadata are written, and of which the database does not know yet."""

    before: str
    after: str
    metadata: TableMetadata


class _Block(local):
    moved: dict[tuple[str, str], _Moved] | None = None


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
        self._block = _Block()

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is committed to tables within the block, by this thread, becomes theirs at its end, in one transaction of the
        database: of all tables, or of none. Raises CommitConflict if one of them was committed to meanwhile."""
        moved = self._block.moved = {}
        try:
            yield
            self._move(moved)
        finally:
            self._block.moved = None

    def _move(self, moved: dict[tuple[str, str], _Moved]) -> None:
        with self.engine.begin() as connection:
            for (namespace, name), one in moved.items():
                given = {"catalog": self.name, "namespace": namespace, "name": name}
                if connection.execute(_MOVE, {**given, "before": one.before, "after": one.after}).rowcount < 1:
                    raise CommitConflict(
                        f"Something else committed to the table {namespace}.{name} at the same time, so that nothing of this "
                        "commit took effect. The batch is done again by itself."
                    )

    def load_table(self, identifier: str | Identifier) -> Table:
        namespace, name = self.namespace_from(identifier), self.table_name_from(identifier)
        key = (self.namespace_to_string(namespace), name)
        if self._block.moved is not None and key in self._block.moved:
            moved = self._block.moved[key]
            io = self._load_file_io(moved.metadata.properties, moved.after)
            return Table((*namespace, name), moved.metadata, moved.after, io, self)
        given = {"catalog": self.name, "namespace": key[0], "name": name}
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
        if self._block.moved is None:
            response = super().commit_table(table, requirements, updates)
        else:
            response = self._commit_later(table, requirements, updates, self._block.moved)
        self._keep(response.metadata_location, response.metadata)
        return response

    def _commit_later(
        self,
        table: Table,
        requirements: tuple[TableRequirement, ...],
        updates: tuple[TableUpdate, ...],
        moved: dict[tuple[str, str], _Moved],
    ) -> CommitTableResponse:
        """As `SqlCatalog.commit_table`, but for the database's part, which the end of the block does."""
        current = self.load_table(table.name())
        for requirement in requirements:
            requirement.validate(current.metadata)
        new = changed(current.metadata, updates, current.metadata_location)
        if new == current.metadata:
            return _response(current.metadata, current.metadata_location)
        provider = load_location_provider(new.location, new.properties)
        version = self._parse_metadata_version(current.metadata_location) + 1
        location = provider.new_table_metadata_file_location(version)
        self._write_metadata(new, self._load_file_io(new.properties, location), location)
        key = (self.namespace_to_string(self.namespace_from(table.name())), self.table_name_from(table.name()))
        before = moved[key].before if key in moved else current.metadata_location
        moved[key] = _Moved(before, location, new)
        return _response(new, location)

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


def _response(metadata: TableMetadata, location: str) -> CommitTableResponse:
    return CommitTableResponse(metadata=metadata, metadata_location=location)  # type: ignore[call-arg]  # by its alias too
