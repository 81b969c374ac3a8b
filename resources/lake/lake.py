"""Iceberg tables: making them, committing a batch to them, listing the data files of a snapshot.

Who may commit, and what readers see, is the ledger's to say (`resources.ledger.publishing`): a table's own current
snapshot may run ahead of it for a moment, and is set back by the next commit if its run died in between.
"""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

import pyarrow as pa

from resources.errors import PermanentFailure, TransientFailure, UserError
from resources.lake import files
from resources.lake.catalogs import folder_catalog, glue_catalog
from resources.landing.address import S3Address

if TYPE_CHECKING:
    from pyiceberg.catalog import MetastoreCatalog
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

    from resources.lake.folder_catalog import LakeCatalog

_SNAPSHOT_AGE = timedelta(minutes=10)
_SNAPSHOTS_BEFORE_EXPIRY = 20
BATCH_LABEL = "strandline.batch"
_NO_LABELS: Mapping[str, str] = MappingProxyType({})
_TABLE_PROPERTIES = {
    # Commits get slower with every manifest and metadata file kept.
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": "20",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
    "write.parquet.compression-codec": "zstd",
}


class SchemaConflict(UserError, PermanentFailure):
    """A table in the lake cannot take the rows of its source's schema. The message says what differs."""


class UnknownRows(UserError, PermanentFailure):
    """A table and the ledger are not of one mind, and going on would lose rows. The message says what to do."""


class SnapshotGone(UserError, TransientFailure):
    """A snapshot was expired: others took its place since the ledger was asked for it. Ask again."""


class CommitConflict(UserError, TransientFailure):
    """Something else committed to a table at the same time. Nothing of the own commit took effect; do it again."""


@dataclass(frozen=True)
class TableName:
    """A table as users write it: ``source.name``."""

    source: str
    name: str

    def __str__(self) -> str:
        return f"{self.source}.{self.name}"


@dataclass(frozen=True)
class Committed:
    """One table after a batch: the snapshot that shows it, and the rows of the whole table."""

    snapshot_id: int | None
    total_rows: int


class Lake:
    """The tables of one namespace, in a folder, or in a bucket with AWS Glue as their catalog. Opens its catalog at first use."""

    def __init__(self, folder: Path, table_prefix: str = "", bucket: S3Address | None = None) -> None:
        self.folder = folder
        self.table_prefix = table_prefix
        self.bucket = bucket

    def __repr__(self) -> str:
        return f"Lake({self.bucket or self.folder})"

    @property
    def root(self) -> str:
        """The address that the lake's files are below."""
        return f"file://{self.folder}" if self.bucket is None else str(self.bucket)

    @cached_property
    def catalog(self) -> MetastoreCatalog:
        return folder_catalog(self.folder) if self.bucket is None else glue_catalog(self.root)

    def together(self) -> AbstractContextManager[None]:
        """A block whose commits take effect at its end, and together; in AWS Glue, which knows no such thing, each by itself.

        Raises CommitConflict at its end if something else committed to one of the tables.
        """
        return nullcontext() if self.bucket is not None else cast("LakeCatalog", self.catalog).together()

    def close(self) -> None:
        if "catalog" in self.__dict__:
            self.catalog.close()
            del self.__dict__["catalog"]

    def identifier(self, table: TableName) -> tuple[str, str]:
        return (f"{self.table_prefix}{table.source}", table.name)

    def ensure(
        self,
        table: TableName,
        schema: pa.Schema,
        *,
        is_rewritten: bool = False,
        may_lack: bool = False,
        labels: Mapping[str, str] = _NO_LABELS,
    ) -> str:
        """Make the table if it is not there, add columns that are new, let columns be null that now may be, widen types
        that Iceberg widens in place; the folder for its data files.

        may_lack: a column that is no longer in the schema stays, without values from now on, if it may be null.
        labels: what a table that is made now is to say of itself; see `labels_of`.
        is_rewritten: all rows are about to be replaced, so any change of the schema will do, and a table that lost its
        metadata is made anew.
        Raises SchemaConflict when the schema changes or drops a column that the table has.
        """
        from pyiceberg.exceptions import NamespaceAlreadyExistsError, NoSuchTableError, TableAlreadyExistsError

        identifier = self.identifier(table)
        if is_rewritten:
            try:
                self.catalog.table_exists(identifier)
            except FileNotFoundError:
                self.catalog.drop_table(identifier)
        try:
            loaded = self.catalog.load_table(identifier)
        except NoSuchTableError:
            with suppress(NamespaceAlreadyExistsError):
                self.catalog.create_namespace(identifier[0])
            try:
                properties = {**_TABLE_PROPERTIES, **labels}
                place = None if self.bucket is None else self.location(table)
                loaded = self.catalog.create_table(identifier, schema, location=place, properties=properties)
            except TableAlreadyExistsError:
                loaded = self.catalog.load_table(identifier)
        if is_rewritten:
            _redefine(loaded, schema)
        else:
            _evolve(table, loaded, schema, may_lack=may_lack)
        return f"{loaded.location()}/data"

    def commit(
        self,
        table: TableName,
        *,
        base: int | None,
        add: Sequence[str],
        remove_file_ids: Collection[str],
        batch_id: str,
        run_id: str,
        knows_batch: Callable[[str], bool],
        keep: int | None = None,
        in_use: Collection[int] = (),
    ) -> Committed:
        """Replace the rows of some files by those in data files, in one Iceberg transaction on top of `base`.

        base: the snapshot that readers see now; anything on top of it is left from a run that died and is dropped.
        add: paths of Parquet files written for this table. remove_file_ids: whose rows go.
        knows_batch: whether the ledger knows a batch. Raises UnknownRows rather than drop the rows of one it does not.
        keep: the snapshot that readers see until the batch is published, if that is not `base`.
        in_use: other snapshots that must not be expired.
        Only the holder of the source's turn to commit may call this.
        """
        from resources.lake.transactions import transaction_on

        loaded = self.catalog.load_table(self.identifier(table))
        labels = {BATCH_LABEL: batch_id, "strandline.run": run_id}
        set_back(table, loaded, base, knows_batch)
        if add or remove_file_ids:
            with transaction_on(loaded) as transaction:
                if remove_file_ids and base is not None:
                    with warnings.catch_warnings():
                        # A file may have rows in some of its source's tables only, or none, as a part of a record.
                        warnings.filterwarnings("ignore", "Delete operation did not match any records")
                        transaction.delete(_of_files(remove_file_ids), snapshot_properties=labels)
                if add:
                    transaction.add_files(list(add), snapshot_properties=labels, check_duplicate_files=False)
        _expire(loaded, {base if keep is None else keep, *in_use})
        return _committed(loaded)

    def replace_all(
        self, table: TableName, *, base: int | None, add: Sequence[str], run_id: str, batch_id: str | None = None
    ) -> Committed:
        """Replace all rows of a table by those in data files, in one Iceberg transaction, whatever the table has now.

        base: the snapshot that readers see until the new one is published. batch_id: of a table that batches commit to, one
        that the ledger knows, so that the next commit knows what it sets back should this be published never.
        Only the one writer of the table may call this.
        """
        from pyiceberg.expressions import AlwaysTrue

        from resources.lake.transactions import transaction_on

        loaded = self.catalog.load_table(self.identifier(table))
        labels = {"strandline.run": run_id, **({BATCH_LABEL: batch_id} if batch_id else {})}
        if _committed(loaded).total_rows or add:
            with transaction_on(loaded) as transaction:
                if _committed(loaded).total_rows:
                    transaction.delete(AlwaysTrue(), snapshot_properties=labels)
                if add:
                    transaction.add_files(list(add), snapshot_properties=labels, check_duplicate_files=False)
                else:
                    # The manifest of a deletion holds values of the deleted rows; that of an append takes over none.
                    with transaction.update_snapshot(snapshot_properties=labels).fast_append():
                        pass
        _expire(loaded, {base})
        return _committed(loaded)

    def total_rows(self, table: TableName, snapshot_id: int | None) -> int:
        """Rows of the whole table in a snapshot. Raises SnapshotGone."""
        if snapshot_id is None:
            return 0
        snapshot = self.catalog.load_table(self.identifier(table)).snapshot_by_id(snapshot_id)
        if snapshot is None:
            raise SnapshotGone(f"The table {table} has no snapshot {snapshot_id} (any more).")
        return _rows_of(snapshot)

    def current_snapshot(self, table: TableName) -> int | None:
        """The table's own current snapshot, published or not; None without one."""
        from pyiceberg.exceptions import NoSuchTableError

        try:
            snapshot = self.catalog.load_table(self.identifier(table)).current_snapshot()
        except (NoSuchTableError, FileNotFoundError):
            return None
        return snapshot.snapshot_id if snapshot else None

    def is_readable(self, table: TableName, snapshot_id: int | None) -> bool:
        """Whether a snapshot and all its data files are there. A table without its metadata is dropped."""
        from pyiceberg.exceptions import NoSuchTableError

        if snapshot_id is None:
            return True
        try:
            paths = self.data_files(table, snapshot_id)
        except (NoSuchTableError, SnapshotGone):
            return False
        except FileNotFoundError:
            self.catalog.drop_table(self.identifier(table))
            return False
        return not files.missing(paths)

    def data_files(self, table: TableName, snapshot_id: int | None, batch_id: str | None = None) -> list[str]:
        """Paths of the Parquet files that a snapshot is made of, all or those that may hold rows of one batch.

        Raises SnapshotGone.
        """
        if snapshot_id is None:
            return []
        from pyiceberg.expressions import AlwaysTrue, EqualTo

        loaded = self.catalog.load_table(self.identifier(table))
        if loaded.snapshot_by_id(snapshot_id) is None:  # a scan of it would find nothing, without a word
            raise SnapshotGone(f"The table {table} has no snapshot {snapshot_id} (any more).")
        row_filter = EqualTo("batch_id", batch_id) if batch_id else AlwaysTrue()  # type: ignore[call-arg, arg-type]
        tasks = loaded.scan(row_filter=row_filter, snapshot_id=snapshot_id).plan_files()
        return [task.file.file_path for task in tasks]

    def names(self, source: str) -> set[str]:
        """The tables of a source that are there."""
        from pyiceberg.exceptions import NoSuchNamespaceError

        try:
            listed = self.catalog.list_tables(self.identifier(TableName(source, ""))[0])
        except NoSuchNamespaceError:
            return set()
        return {name for _, name in listed}

    def data_folder(self, table: TableName) -> str:
        """Where the table's data files go, also before it is made."""
        return f"{self.location(table)}/data"

    def schema(self, table: TableName) -> pa.Schema | None:
        """The table's columns as Arrow types; None when there is no such table."""
        from pyiceberg.exceptions import NoSuchTableError

        try:
            return self.catalog.load_table(self.identifier(table)).schema().as_arrow()
        except NoSuchTableError:
            return None

    def labels_of(self, table: TableName) -> Mapping[str, str]:
        """What a table says of itself, its settings included; nothing for one that is not there."""
        from pyiceberg.exceptions import NoSuchTableError

        try:
            return dict(self.catalog.load_table(self.identifier(table)).properties)
        except NoSuchTableError:
            return _NO_LABELS

    def location(self, table: TableName) -> str:
        """Where the table's files lie, also before it is made."""
        namespace, name = self.identifier(table)
        if self.bucket is not None:
            return f"{self.root}/{namespace}/{name}"
        return f"file://{self.folder / 'warehouse' / namespace / name}"


def _committed(table: Table) -> Committed:
    snapshot = table.current_snapshot()
    return Committed(snapshot.snapshot_id, _rows_of(snapshot)) if snapshot else Committed(None, 0)


def _rows_of(snapshot: Snapshot) -> int:
    return int((snapshot.summary and snapshot.summary["total-records"]) or 0)


def _of_files(file_ids: Collection[str]) -> BooleanExpression:
    from pyiceberg.expressions import In

    return In("file_id", set(file_ids))  # type: ignore[call-arg, arg-type]  # its constructor is not typed


def new_data_file(folder: str, batch_id: str) -> str:
    """A path for a data file that no other attempt writes."""
    return f"{folder}/{batch_id}/{uuid.uuid4().hex}.parquet"


def set_back(name: TableName, table: Table, base: int | None, knows_batch: Callable[[str], bool]) -> None:
    """Drop what a run that died left on top of `base`. Only the holder of the turn to commit may call this.

    Raises UnknownRows rather than drop the rows of a batch that the ledger does not know.
    """
    current = table.current_snapshot()
    if (current.snapshot_id if current else None) == base:
        return
    made_by = (current.summary and current.summary[BATCH_LABEL]) if current else None
    if current is not None and not (made_by and knows_batch(made_by)):
        raise UnknownRows(
            f"The table {name} has rows of {f'batch {made_by}' if made_by else 'no batch'}, which the ledger does not "
            "know. Either the ledger was lost or is older than the tables, or something else wrote to the table. "
            f"Nothing was changed. Restore the ledger from its backup, or: strandline reconcile --source {name.source}"
        )
    if base is None:
        table.manage_snapshots().remove_branch("main").commit()
    elif table.snapshot_by_id(base) is None:
        raise UnknownRows(
            f"The table {name} lacks the snapshot {base} that the ledger published. The lake was lost or is older than "
            f"the ledger. Nothing was changed. Restore it from its backup, or: strandline reconcile --source {name.source}"
        )
    else:
        table.manage_snapshots().set_current_snapshot(snapshot_id=base).commit()


def _expire(table: Table, keep: Collection[int | None]) -> None:
    # Until this commit is published readers open the one before it, and if its run dies, the next one starts from there.
    if len(table.metadata.snapshots) <= _SNAPSHOTS_BEFORE_EXPIRY:
        return
    current = table.current_snapshot()
    kept = {*keep, current.snapshot_id if current else None}
    before_ms = (datetime.now(UTC) - _SNAPSHOT_AGE).timestamp() * 1000
    old = [
        snapshot.snapshot_id
        for snapshot in table.metadata.snapshots
        if snapshot.timestamp_ms < before_ms and snapshot.snapshot_id not in kept
    ]
    if old:
        table.maintenance.expire_snapshots().by_ids(old).commit()


def _evolve(name: TableName, table: Table, schema: pa.Schema, *, may_lack: bool) -> None:
    have = table.schema().as_arrow()
    other = [
        field for field in schema
        if field.name in have.names and not _same_type(have.field(field.name).type, field.type)
    ]  # fmt: skip
    wider = [field for field in other if (have.field(field.name).type, field.type) in _WIDER]
    problems = [
        f"column {field.name} was {have.field(field.name).type} and is now {field.type}"
        for field in other
        if field not in wider
    ]
    problems += [
        f"column {field.name} is no longer in the schema"
        for field in have
        if field.name not in schema.names and not (may_lack and field.nullable)
    ]
    problems += [
        f"new column {field.name} must be nullable, because the rows already there have no value for it"
        for field in schema
        if field.name not in have.names and not field.nullable
    ]
    if problems:
        raise SchemaConflict(
            f"The schema of {name} cannot be applied to its table: {'; '.join(problems)}. Undo the change in the "
            "source's schema.py, or give the changed column a new name."
        )
    new = [field for field in schema if field.name not in have.names]
    looser = [field for field in schema if field.nullable and field not in new and not have.field(field.name).nullable]
    if new or looser or wider:
        with table.update_schema() as update:
            update.union_by_name(pa.schema(list(schema)))


_WIDER = {(pa.int32(), pa.int64()), (pa.float32(), pa.float64())}
"""Types that Iceberg changes in place; values that are there stay as they are (specification, Schema Evolution)."""


def _redefine(table: Table, schema: pa.Schema) -> None:
    have = table.schema().as_arrow()
    if set(have.names) == set(schema.names) and all(
        _same_type(field.type, schema.field(field.name).type) and field.nullable == schema.field(field.name).nullable
        for field in have
    ):
        return
    drop = [field.name for field in have if field.name not in schema.names or not _takes(field, schema)]
    if drop:
        with table.update_schema(allow_incompatible_changes=True) as update:
            for name in drop:
                update.delete_column(name)
    with table.update_schema(allow_incompatible_changes=True) as update:
        update.union_by_name(pa.schema(list(schema)))


def _takes(field: pa.Field, schema: pa.Schema) -> bool:
    wanted = schema.field(field.name)
    return _same_type(field.type, wanted.type) and (wanted.nullable or not field.nullable)


def _same_type(left: pa.DataType, right: pa.DataType) -> bool:
    text = {pa.string(), pa.large_string()}
    return left == right or (left in text and right in text)
