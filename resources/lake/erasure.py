"""Erasing rows from tables for good: from what is published, from every older snapshot, from every file in the lake.

Only the holder of the source's turn to commit may call what changes a table here (of an aggregate: of its lease).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

from resources.errors import UserError
from resources.lake import files
from resources.lake.lake import Lake, TableName

if TYPE_CHECKING:
    from pyiceberg.table import Table

_TOMBSTONES = "forgotten"


class RowsLeft(UserError):
    """Rows that were to be erased are in the published tables. The message says what to do."""


def remove_rows(
    lake: Lake,
    table: TableName,
    *,
    base: int | None,
    file_ids: Collection[str],
    batch_id: str,
    run_id: str,
    knows_batch: Callable[[str], bool],
    in_use: Collection[int],
) -> int | None:
    """Take the rows of some files out of the table, on top of the snapshot `base`; the snapshot without them.

    That snapshot says nothing of data files that it does not have any more, either: the manifests of a deletion hold
    the smallest and largest values of the deleted files. It is `base` itself if there is nothing to do.
    Raises UnknownRows as a commit does.
    """
    if lake.schema(table) is None:
        return base
    commit = lake.commit(
        table, base=base, add=[], remove_file_ids=file_ids, batch_id=batch_id, run_id=run_id,
        knows_batch=knows_batch, keep=base, in_use=in_use,
    )  # fmt: skip
    loaded = lake.catalog.load_table(lake.identifier(table))
    return drop_deletions(loaded, {"strandline.batch": batch_id, "strandline.run": run_id}) or commit.snapshot_id


def drop_deletions(table: Table, labels: dict[str, str]) -> int | None:
    """Make a snapshot of the same rows without manifests of deleted files; None if the current one has none."""
    current = table.current_snapshot()
    if current is None or all(m.has_added_files() or m.has_existing_files() for m in current.manifests(table.io)):
        return None
    # An append of nothing: what an append takes over from the snapshot before it is what is there.
    with table.transaction() as transaction, transaction.update_snapshot(snapshot_properties=labels).fast_append():
        pass
    snapshot = table.current_snapshot()
    return snapshot.snapshot_id if snapshot else None


def purge(
    lake: Lake, table: TableName, published: int | None, file_ids: Collection[str], batch_ids: Collection[str]
) -> int:
    """Leave nothing of the files in the table's folder: expire every snapshot but the published one, and delete data files
    with their rows, and manifests that no snapshot has any more. The number of files deleted.

    batch_ids: batches that read the files; of these, data files that cannot be read go as well: a killed run left them.
    The table's current snapshot must be the published one. Raises RowsLeft.
    """
    from pyiceberg.exceptions import NoSuchTableError

    try:
        loaded = lake.catalog.load_table(lake.identifier(table))
    except (NoSuchTableError, FileNotFoundError):
        return 0
    holding = {path for path in _below(loaded.location(), ".parquet") if _holds(path, file_ids, batch_ids)}
    live = _live_data(lake, table, published)
    if holding & live:
        raise RowsLeft(
            f"The published table {table} has rows of files that were forgotten: it was restored from a backup, or changed "
            "by something else. Forget them again: strandline forget FILE_ID"
        )
    _expire_all_but(loaded, published)
    return files.delete(holding) + _delete_unreferenced_manifests(loaded)


def purge_aggregate(lake: Lake, table: TableName, published: int | None) -> int:
    """Leave only the published rows of an aggregate in its folder. The number of files deleted."""
    from pyiceberg.exceptions import NoSuchTableError

    try:
        loaded = lake.catalog.load_table(lake.identifier(table))
    except (NoSuchTableError, FileNotFoundError):
        return 0
    live = _live_data(lake, table, published)
    _expire_all_but(loaded, published)
    unseen = _below(loaded.location(), ".parquet") - live
    return files.delete(unseen) + _delete_unreferenced_manifests(loaded)


def _below(folder: str, ending: str) -> set[str]:
    return {files.local(one.address) for one in files.listing(folder) if one.address.endswith(ending)}


def _holds(path: str, file_ids: Collection[str], batch_ids: Collection[str]) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        at, place = files.path_in(path), files.place(path)
        column = pq.read_table(at, columns=["file_id"], partitioning=None, **place)["file_id"]
    except FileNotFoundError:
        return False
    except (pa.ArrowException, OSError):
        return Path(path).parent.name in batch_ids
    wanted = pa.array(sorted(file_ids), pa.string())
    return bool(pc.any(pc.is_in(column.cast(pa.string()), value_set=wanted)).as_py())


def _live_data(lake: Lake, table: TableName, published: int | None) -> set[str]:
    return {files.local(path) for path in lake.data_files(table, published)}


def _expire_all_but(table: Table, published: int | None) -> None:
    current = table.current_snapshot()
    if current is not None and published is None:
        # Nothing of the table is published, and what a killed run left on it is not wanted.
        table.manage_snapshots().remove_branch("main").commit()
    elif current is not None and published is not None and current.snapshot_id != published:
        table.manage_snapshots().set_current_snapshot(snapshot_id=published).commit()
    old = [one.snapshot_id for one in table.metadata.snapshots if one.snapshot_id != published]
    if old:
        table.maintenance.expire_snapshots().by_ids(old).commit()


def _delete_unreferenced_manifests(table: Table) -> int:
    used = set()
    for snapshot in table.metadata.snapshots:
        used.add(files.local(snapshot.manifest_list))
        used |= {files.local(one.manifest_path) for one in snapshot.manifests(table.io)}
    return files.delete(_below(f"{table.location()}/metadata", ".avro") - used)


def keep_marks(lake: Lake, source: str, marks: Collection[str]) -> None:
    """Put tombstones beside the tables: an empty file each, named by the hash that it is."""
    if not marks:
        return
    for mark in marks:
        files.write_small(f"{_marks_folder(lake, source)}/{mark}", b"")


def kept_marks(lake: Lake, source: str) -> set[str]:
    """The tombstones beside the tables of a source."""
    return {one.address.rpartition("/")[2] for one in files.listing(_marks_folder(lake, source))}


def _marks_folder(lake: Lake, source: str) -> str:
    return f"{lake.root}/{_TOMBSTONES}/{lake.table_prefix}{source}"
