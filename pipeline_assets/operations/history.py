"""Deleting what Dagster keeps of runs that ended long ago. Dagster itself has no such policy but for ticks.

Stays: every run that has not ended, and what the pages of assets show: of each asset, and of each partition that there is,
the newest materialization and the newest result of each check, with their metadata. Goes: the run, its events and logs.
Nothing is lost that the ledger does not know better.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as db
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.runs.schema import RunsTable, RunTagsTable
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage

from pipeline_assets.operations.event_log import delete_logs
from pipeline_assets.source import FileSource
from pipeline_assets.source_defs import partitions_name

_AT_ONCE = 200
_LONGEST_SECONDS = 600.0
_BUSY_SECONDS = 60.0
_ENDED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
_MATERIALIZED = dg.DagsterEventType.ASSET_MATERIALIZATION.value
_PLANNED = AssetCheckExecutionRecordStatus.PLANNED.value
_FREE_TO_COMPACT = 0.5

events, checks, tags = SqlEventLogStorageTable, AssetCheckExecutionsTable, AssetEventTagsTable


@dataclass
class PrunedHistory:
    """What one pruning did. Bytes are of Dagster's databases on disk, 0 where these are a server's."""

    runs: int = 0
    events: int = 0
    runs_left: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    seconds: float = 0.0
    is_done: bool = True
    """false when there was more to delete than time; the next one goes on"""


def prune_history(
    instance: dg.DagsterInstance,
    sources: Sequence[FileSource],
    days: int,
    *,
    longest_seconds: float = _LONGEST_SECONDS,
) -> PrunedHistory:
    """Delete the runs that ended more than `days` days ago, but for what pages of assets show.

    Goes on in steps, the oldest first, until the time is over. A step that is cut short is repeated by the next one.
    Safe beside a daemon, a web server and runs. On storage that is not SQL nothing is done.
    """
    begun = time.monotonic()
    done = PrunedHistory(bytes_before=_bytes(instance))
    run_storage, event_storage = instance.run_storage, instance.event_log_storage
    if isinstance(run_storage, SqlRunStorage) and isinstance(event_storage, SqlEventLogStorage):
        before = datetime.now(UTC) - timedelta(days=days)
        partitions = {key for source in sources for key in instance.get_dynamic_partitions(partitions_name(source))}
        while run_ids := _ended_before(run_storage, before):
            if time.monotonic() - begun > longest_seconds:
                done.is_done = False
                break
            done.events += _delete_events(event_storage, run_ids, partitions)
            for run_id in run_ids:
                delete_logs(instance, run_id)
            _delete_runs(run_storage, run_ids)
            done.runs += len(run_ids)
        if done.runs:
            _compact(instance)
    done.runs_left = instance.get_runs_count()
    done.bytes_after = _bytes(instance)
    done.seconds = time.monotonic() - begun
    return done


def _ended_before(storage: SqlRunStorage, before: datetime) -> list[str]:
    query = (
        db.select(RunsTable.c.run_id)
        .where(RunsTable.c.status.in_([status.value for status in _ENDED]))
        .where(RunsTable.c.update_timestamp < before.replace(tzinfo=None))
        .where(db.or_(RunsTable.c.end_time.is_(None), RunsTable.c.end_time < before.timestamp()))
        .order_by(RunsTable.c.id)
        .limit(_AT_ONCE)
    )
    with storage.connect() as connection:
        return list(connection.execute(query).scalars())


def _delete_runs(storage: SqlRunStorage, run_ids: Sequence[str]) -> None:
    with storage.connect() as connection:
        # Not left to the foreign key, which SQLite does not keep.
        connection.execute(RunTagsTable.delete().where(RunTagsTable.c.run_id.in_(run_ids)))
        connection.execute(RunsTable.delete().where(RunsTable.c.run_id.in_(run_ids)))


def _delete_events(storage: Any, run_ids: Sequence[str], partitions: Collection[str]) -> int:
    """How many went of those that several runs share."""
    of_runs = events.c.run_id.in_(run_ids)
    with storage.index_connection() as connection:
        results = connection.execute(
            db.select(checks.c.id, checks.c.evaluation_event_storage_id, checks.c.partition).where(
                checks.c.run_id.in_(run_ids), checks.c.execution_status != _PLANNED, ~_newer_result()
            )
        ).all()
        results = [row for row in results if row.partition is None or row.partition in partitions]
        shown = connection.execute(
            db.select(events.c.id, events.c.partition).where(
                of_runs, events.c.dagster_event_type == _MATERIALIZED, ~_newer_event(same_partition=True)
            )
        ).all()
        kept = {row.id for row in shown if row.partition is None or row.partition in partitions}
        kept |= {row.evaluation_event_storage_id for row in results}
        newest_of_asset = db.select(events.c.id).where(
            of_runs, events.c.dagster_event_type == _MATERIALIZED, ~_newer_event(same_partition=False)
        )
        kept |= set(connection.execute(newest_of_asset).scalars())
        of_all = connection.execute(db.select(events.c.id).where(of_runs)).scalars()
        going = [event_id for event_id in of_all if event_id not in kept]
        for begin in range(0, len(going), _AT_ONCE):
            chunk = going[begin : begin + _AT_ONCE]
            connection.execute(tags.delete().where(tags.c.event_id.in_(chunk)))
            connection.execute(events.delete().where(events.c.id.in_(chunk)))
        stay = [row.id for row in results]
        connection.execute(checks.delete().where(checks.c.run_id.in_(run_ids), checks.c.id.not_in(stay)))
    if hasattr(storage, "path_for_shard"):  # SQLite: each run's events are a file of their own as well
        for run_id in run_ids:
            path = Path(storage.path_for_shard(run_id))
            for suffix in ("", "-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
    return len(going)


def _newer_event(*, same_partition: bool) -> Any:
    """Whether there is a newer event of that type of the asset, or of the asset's partition."""
    newer = events.alias("newer")
    conditions = [
        newer.c.asset_key == events.c.asset_key,
        newer.c.dagster_event_type == events.c.dagster_event_type,
        newer.c.id > events.c.id,
    ]
    if same_partition:
        conditions.append(_equal(newer.c.partition, events.c.partition))
    return db.select(newer.c.id).where(*conditions).exists()


def _newer_result() -> Any:
    """Whether there is a newer result of that check of the asset and partition."""
    newer = checks.alias("newer")
    return (
        db.select(newer.c.id)
        .where(
            newer.c.asset_key == checks.c.asset_key,
            newer.c.check_name == checks.c.check_name,
            newer.c.execution_status != _PLANNED,
            newer.c.id > checks.c.id,
            _equal(newer.c.partition, checks.c.partition),
        )
        .exists()
    )


def _equal(left: Any, right: Any) -> Any:
    return db.or_(left == right, left.is_(None) & right.is_(None))


def _databases(instance: dg.DagsterInstance) -> list[Path]:
    storage: Any = instance.event_log_storage
    if not hasattr(storage, "path_for_shard"):
        return []
    index = Path(storage.path_for_shard("index"))
    return [index, index.parent.parent / "runs.db"]


def _bytes(instance: dg.DagsterInstance) -> int:
    found = _databases(instance)
    if not found:
        return 0
    return sum(path.stat().st_size for path in found[0].parent.parent.rglob("*") if path.is_file())


def _compact(instance: dg.DagsterInstance) -> None:
    """Write SQLite's files anew where most of them is empty, so that they shrink; what is empty is used again anyway."""
    for path in _databases(instance):
        if not path.exists():
            continue
        with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)) as connection:
            free, pages = (
                connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("freelist_count", "page_count")
            )
            if free > pages * _FREE_TO_COMPACT:
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
