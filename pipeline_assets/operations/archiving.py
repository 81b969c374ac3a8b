"""Archiving tables under a number, and putting archived rows back. No Dagster here.

Both are beside running batches. An archive is taken of one published moment; a restore is one transaction of the ledger,
like a batch: killed before it, nothing has happened.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import pyarrow as pa

from pipeline_assets.heartbeat import Heartbeat
from pipeline_assets.source import FileSource
from resources.errors import UserError
from resources.lake.archive import Archive, find_archive, restored_files, restored_schema, take_archive
from resources.lake.lake import Lake, TableName
from resources.ledger.aggregates import NO_BATCH
from resources.ledger.erasure import any_batch
from resources.ledger.leases import Lease
from resources.ledger.publishing import end_commit_turn, published_snapshots, take_commit_turn
from resources.ledger.queries import row_counts
from resources.ledger.repair import committed_files, publish_restored
from resources.ledger.upkeep import end_lease, take_maintenance
from resources.platform import Platform

_WAIT_SECONDS = 300.0
_LOOK_SECONDS = 0.05


class CannotArchive(UserError):
    """Nothing was archived or restored. The message says why and what to do."""


@dataclass(frozen=True)
class Restored:
    """rows: by table, those that are there now. read_again: files that landed since, to be read by the next runs."""

    archive: Archive
    rows: Mapping[str, int]
    read_again: Sequence[str]


def archive_tables(platform: Platform, source: FileSource, what: str) -> Archive:
    """Copy what a table shows now, or all tables of a dataset, into a new archive. Raises CannotArchive."""
    published = published_snapshots(platform.ledger, source.name)
    names = _names(source, published, what)
    with _lease(platform, source, "maintenance", take_maintenance, end_lease):
        # Only maintenance deletes data files, so these stay although batches go on publishing.
        published = published_snapshots(platform.ledger, source.name)
        snapshots = {name: published.get(name) for name in names}
        return take_archive(
            platform.lake, source.name, what, snapshots, datetime.now(UTC).isoformat(timespec="seconds")
        )


def _names(source: FileSource, published: Mapping[str, int | None], what: str) -> list[str]:
    datasets = [dataset.name for dataset in source.datasets]
    if what in datasets:
        names = [table.name for table in source.tables if table.dataset == what and table.name in published]
    else:
        aggregates = {aggregate.name for aggregate in source.aggregates}
        names = [what] if what in published and what not in aggregates else []
    if not names:
        choices = ", ".join([*datasets, *sorted(published)]) or f"none: no batch of {source.name} is committed yet"
        raise CannotArchive(f"{source.name} shows no table or dataset {what!r}. There are: {choices}")
    return names


def restore_tables(platform: Platform, source: FileSource, label: str) -> Restored:
    """Put the rows of an archive in place of those that its tables have now; of files that have rows still.

    Files that landed since the archive was taken are read again by the next runs. Raises CannotArchive, NoSuchArchive.
    """
    ledger, lake = platform.ledger, platform.lake
    archive = find_archive(lake, source.name, label)
    with _lease(platform, source, "the commits", take_commit_turn, end_commit_turn) as turn:
        committed = committed_files(ledger, source.name).keys()
        counted = row_counts(ledger, source=source.name)
        # Also those that a run reads again just now: what they had stays until it commits.
        with_rows = {file_id for by_file in counted.values() for file_id in by_file}
        base = published_snapshots(ledger, source.name)
        batch = any_batch(ledger, source.name) or NO_BATCH
        for table in archive.rows:
            _check_columns(lake, archive, TableName(source.name, table))
        snapshots: dict[str, int | None] = {}
        counts: dict[str, dict[str, int]] = {}
        for table in archive.rows:
            paths, counts[table] = restored_files(lake, archive, table, with_rows)
            name = TableName(source.name, table)
            replaced = lake.replace_all(name, base=base.get(table), add=paths, run_id=turn.owner, batch_id=batch)
            snapshots[table] = replaced.snapshot_id
        archived = {file_id for by_file in counts.values() for file_id in by_file}
        since = {i for table in archive.rows for i, rows in counted.get(table, {}).items() if rows} - archived
        again = sorted(since & committed)
        # That a file has no rows in a table is counted as well.
        known = {table: dict.fromkeys(counted.get(table, {}), 0) | by_file for table, by_file in counts.items()}
        publish_restored(ledger, turn, source.name, snapshots, known, again, f"{label} was restored without it")
        return Restored(archive, {table: sum(by_file.values()) for table, by_file in counts.items()}, again)


def _check_columns(lake: Lake, archive: Archive, table: TableName) -> None:
    """Make the table if it is gone. Raises CannotArchive if its columns have become others since."""
    wanted = restored_schema(lake, archive, table.name)
    have = lake.schema(table)
    if wanted is None:
        if have is None:
            raise CannotArchive(f"{table} is gone and its archive has no rows. Run a batch of {table.source} first.")
        return
    if have is None:
        lake.ensure(table, wanted)
        return
    wrong = [
        f"{field.name} ({field.type}, now {have.field(field.name).type if field.name in have.names else 'gone'})"
        for field in wanted
        if field.name not in have.names or not _fits(field.type, have.field(field.name).type)
    ]
    if wrong:
        raise CannotArchive(
            f"{archive.label} cannot be restored: columns of {table} have become others since: {', '.join(wrong)}. Read its "
            "files as they are: they are Parquet, in the lake's folder `archive`."
        )


def _fits(archived: pa.DataType, now: pa.DataType) -> bool:
    texts = {pa.string(), pa.large_string()}
    wider = {(pa.int32(), pa.int64()), (pa.float32(), pa.float64())}
    return archived == now or (archived in texts and now in texts) or (archived, now) in wider


@contextmanager
def _lease(
    platform: Platform,
    source: FileSource,
    what: str,
    take: Callable[..., Lease | None],
    end: Callable[..., None],
) -> Iterator[Lease]:
    """One of the source's leases, kept alive. Raises CannotArchive when another run has it for too long."""
    seconds, ledger = platform.settings.lease_seconds, platform.ledger
    owner = f"archive-{uuid.uuid4().hex[:12]}"
    deadline = time.monotonic() + _WAIT_SECONDS
    ask = partial(take, ledger, source.name, owner, seconds)
    while (lease := ask()) is None:
        if time.monotonic() > deadline:
            raise CannotArchive(f"{what} of {source.name} did not end within {_WAIT_SECONDS:g} s. Try again later.")
        time.sleep(_LOOK_SECONDS)
    with Heartbeat(ledger, seconds) as heartbeat:
        heartbeat.keep(lease)
        try:
            yield lease
        finally:
            heartbeat.stop()
            end(ledger, lease)
