"""Keeping tables quick to read: small data files merged, old snapshots expired, files that nothing refers to removed.

PyIceberg 0.12 can expire snapshots and no more: it neither rewrites data files nor deletes any. What may be expired, and
when readers see merged files, is the ledger's to say (`pipeline_assets.operations.maintain`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from resources.lake import files
from resources.lake.files import local
from resources.lake.lake import BATCH_LABEL, Lake, SnapshotGone, TableName, new_data_file, set_back

if TYPE_CHECKING:
    from pyiceberg.table import Table

COMPACTED = "compacted"
"""Folder of merged files, where a batch's id stands for its own."""
_MAINTENANCE_LABEL = "strandline.maintenance"
_SMALL = 0.75
"""A file of this part of the target size is left alone."""
_FEWEST = 4
_TIER = 4
"""Merged are at least so many files whose sizes differ by at most this factor: a row is written anew only a few times (the
logarithm of its table's size) however often maintenance runs."""
_LEAST_PART = 8
"""Files of this part of the target size and larger may stay for good: fewer than `_FEWEST` of them fill a merged one."""
_ROWS_AT_ONCE = 65_536
_ROW_GROUP_ROWS = 1 << 20
_ROW_GROUP_BYTES = 64 << 20


@dataclass(frozen=True)
class DataFile:
    """A data file of a snapshot."""

    path: str
    size_bytes: int
    rows: int


@dataclass(frozen=True)
class Merged:
    """Data files and the one that has exactly their rows."""

    old: tuple[DataFile, ...]
    new: str


def data_files(lake: Lake, table: TableName, snapshot_id: int | None) -> list[DataFile]:
    """The data files of a snapshot that can be merged: those without rows deleted by reference. Raises SnapshotGone."""
    if snapshot_id is None:
        return []
    loaded = lake.catalog.load_table(lake.identifier(table))
    if loaded.snapshot_by_id(snapshot_id) is None:
        raise SnapshotGone(f"The table {table} has no snapshot {snapshot_id} (any more).")
    tasks = loaded.scan(snapshot_id=snapshot_id).plan_files()
    return [
        DataFile(task.file.file_path, task.file.file_size_in_bytes, task.file.record_count)
        for task in tasks
        if not task.delete_files
    ]


def count_small(lake: Lake, table: TableName, snapshot_id: int | None, target_bytes: int) -> int:
    """Data files of a snapshot beyond those that may be large, of which merging leaves some forty at most. By the snapshot's
    own summary: no list of files is read, so it costs the same for any table. Raises SnapshotGone.
    """
    if snapshot_id is None:
        return 0
    snapshot = lake.catalog.load_table(lake.identifier(table)).snapshot_by_id(snapshot_id)
    if snapshot is None:
        raise SnapshotGone(f"The table {table} has no snapshot {snapshot_id} (any more).")
    summary = snapshot.summary
    count, size = (int((summary and summary[name]) or 0) for name in ("total-data-files", "total-files-size"))
    return small_beyond(count, size, target_bytes)


def small_beyond(count: int, size_bytes: int, target_bytes: int) -> int:
    """How many of so many data files of so many bytes in all are more than may be large."""
    return max(0, count - size_bytes * _LEAST_PART // target_bytes)


def groups_to_merge(data_files: Iterable[DataFile], target_bytes: int) -> list[list[DataFile]]:
    """Files to be merged with each other: small ones, of like size, neighbours by name (so by time: batch ids sort so)."""
    tiers: dict[int, list[DataFile]] = {}
    for file in data_files:
        if file.size_bytes < _SMALL * target_bytes:
            tiers.setdefault((max(file.size_bytes, 1).bit_length() - 1) // (_TIER.bit_length() - 1), []).append(file)
    groups: list[list[DataFile]] = []
    for tier in sorted(tiers):
        group: list[DataFile] = []
        size = 0
        for file in sorted(tiers[tier], key=lambda file: file.path):
            if group and size + file.size_bytes > target_bytes:
                groups.append(group)
                group, size = [], 0
            group.append(file)
            size += file.size_bytes
        groups.append(group)
    return [group for group in groups if len(group) >= _FEWEST]


def merge(lake: Lake, table: TableName, group: Sequence[DataFile]) -> Merged:
    """Write a data file with the rows of others, in their order, every value as it is. Nobody refers to it yet.

    Memory is bounded by a row group. Raises FileNotFoundError when one of the files is gone.
    """
    loaded = lake.catalog.load_table(lake.identifier(table))
    schema = loaded.schema().as_arrow()
    uri = new_data_file(f"{loaded.location()}/data", COMPACTED)
    files.make_room(uri)
    written = 0
    with pq.ParquetWriter(files.path_in(uri), schema, compression="zstd", **files.place(uri)) as writer:
        for part in _row_groups(_rows(group, schema)):
            writer.write_table(part)
            written += part.num_rows
    wanted = sum(file.rows for file in group)
    if written != wanted:
        files.delete([uri])
        raise RuntimeError(f"merging {len(group)} data files of {table} gave {written} rows instead of {wanted}")
    return Merged(tuple(group), uri)


def _rows(group: Sequence[DataFile], schema: pa.Schema) -> Iterator[pa.Table]:
    for file in group:
        with pq.ParquetFile(files.path_in(file.path), **files.place(file.path)) as opened:
            for batch in opened.iter_batches(batch_size=_ROWS_AT_ONCE):
                rows = pa.Table.from_batches([batch])
                # A column that was added after the file was written has no values there.
                columns = [
                    rows[field.name] if field.name in rows.column_names else pa.nulls(rows.num_rows, field.type)
                    for field in schema
                ]
                yield pa.table(dict(zip(schema.names, columns, strict=True))).cast(schema)


def _row_groups(parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
    held: list[pa.Table] = []
    rows = size = 0
    for part in parts:
        held.append(part)
        rows += part.num_rows
        size += part.nbytes
        if rows >= _ROW_GROUP_ROWS or size >= _ROW_GROUP_BYTES:
            yield pa.concat_tables(held)
            held, rows, size = [], 0, 0
    if held:
        yield pa.concat_tables(held)


def replace_files(
    lake: Lake,
    table: TableName,
    *,
    base: int | None,
    merged: Sequence[Merged],
    run_id: str,
    knows_batch: Callable[[str], bool],
) -> tuple[int | None, int]:
    """Put merged files in place of those they were made of, on top of `base`: the new snapshot, and how many files went.

    A merged file of which an original is not in `base` any more is left out. The snapshot carries the label of the batch that
    `base` shows, so that the next commit knows what it sets back should this run die before it publishes.
    Only the holder of the source's turn to commit may call this. Raises UnknownRows.
    """
    from pyiceberg.io.pyarrow import parquet_file_to_data_file

    loaded = lake.catalog.load_table(lake.identifier(table))
    set_back(table, loaded, base, knows_batch)
    snapshot = loaded.current_snapshot()
    label = snapshot.summary[BATCH_LABEL] if snapshot and snapshot.summary else None
    if snapshot is None or label is None:
        return base, 0
    here = {task.file.file_path: task.file for task in loaded.scan(snapshot_id=snapshot.snapshot_id).plan_files()}
    usable = [one for one in merged if all(file.path in here for file in one.old)]
    if not usable:
        return base, 0
    labels = {BATCH_LABEL: label, _MAINTENANCE_LABEL: run_id}
    with loaded.transaction() as transaction:
        with transaction.update_snapshot(snapshot_properties=labels).overwrite() as change:
            for one in usable:
                for file in one.old:
                    change.delete_data_file(here[file.path])
                change.append_data_file(parquet_file_to_data_file(loaded.io, loaded.metadata, one.new))
        # That snapshot names every file that went, for each of its readers to pass over; one more takes over none.
        with transaction.update_snapshot(snapshot_properties=labels).fast_append():
            pass
    current = loaded.current_snapshot()
    assert current is not None
    if current.summary and current.summary["total-records"] != (snapshot.summary and snapshot.summary["total-records"]):
        raise RuntimeError(f"merging data files of {table} changed its number of rows; nothing was published")
    return current.snapshot_id, sum(len(one.old) for one in usable)


def expire(lake: Lake, table: TableName, *, keep: Collection[int | None], age: timedelta) -> int:
    """Forget snapshots older than `age`, except the current one and those to keep; how many. Deletes no file.

    Only who may commit to the table may call this.
    """
    loaded = lake.catalog.load_table(lake.identifier(table))
    current = loaded.current_snapshot()
    before_ms = (datetime.now(UTC) - age).timestamp() * 1000
    old = [
        snapshot.snapshot_id
        for snapshot in loaded.metadata.snapshots
        if snapshot.timestamp_ms <= before_ms and snapshot.snapshot_id not in {*keep, current and current.snapshot_id}
    ]
    if old:
        loaded.maintenance.expire_snapshots().by_ids(old).commit()
    return len(old)


def files_on_disk(lake: Lake, table: TableName) -> dict[str, files.FileInLake]:
    """Every file in the table's folder by its address, also those nothing refers to."""
    return {one.address: one for one in files.listing(lake.location(table))}


def files_referred_to(lake: Lake, table: TableName) -> set[str]:
    """Paths of all files that any snapshot of the table needs, and of its metadata now and before."""
    loaded = lake.catalog.load_table(lake.identifier(table))
    return set(_referred_to(loaded))


def _referred_to(loaded: Table) -> Iterator[str]:
    yield local(loaded.metadata_location)
    yield from (local(entry.metadata_file) for entry in loaded.metadata.metadata_log)
    seen: set[str] = set()
    for snapshot in loaded.metadata.snapshots:
        yield local(snapshot.manifest_list)
        for manifest in snapshot.manifests(loaded.io):
            yield local(manifest.manifest_path)
            if manifest.manifest_path in seen:
                continue
            seen.add(manifest.manifest_path)
            for entry in manifest.fetch_manifest_entry(loaded.io, discard_deleted=True):
                yield local(entry.data_file.file_path)


def pick_orphans(
    on_disk: Mapping[str, float],
    used: Collection[str],
    live_folders: Collection[str],
    noted: Mapping[str, float],
    age: timedelta,
) -> tuple[list[str], dict[str, float]]:
    """The files to delete now, and those to note as unused with the time since when: seconds since 1970.

    A file goes when it was found unused, already older than `age`, and found so again when `age` had passed since: one
    that a run still writes is young or in the folder of a live batch, and one that a query still reads was in use a moment ago.
    """
    now = time.time()
    seconds = age.total_seconds()
    delete, note = [], {}
    for path, written in on_disk.items():
        if path in used or written > now - seconds or Path(path).parent.name in live_folders:
            continue
        if path in noted and noted[path] <= now - seconds:
            delete.append(path)
        else:
            note[path] = noted.get(path, now)
    return delete, note
