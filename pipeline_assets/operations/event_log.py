"""Taking away what Dagster keeps of runs: their events with pictures and refusals, their logs."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as db
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, AssetKeyTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

from pipeline_assets.source import FileSource
from pipeline_assets.source_defs import SOURCE_TAG, only_partition
from resources.errors import UserError
from sensors.dead_runs import end_dead_runs

_END_SECONDS = 120.0
_BUSY_SECONDS = 60.0


class RunGoesOn(UserError):
    """A run whose events are to go has not ended. The message says what to do."""


def forget_runs(
    instance: dg.DagsterInstance, source: FileSource, run_ids: Collection[str], silent_seconds: float
) -> None:
    """Delete runs with their events, check results and logs, wherever the instance keeps a copy.

    Dagster has no way to change one event, so what these runs told of other files goes as well; it is in the ledger.
    Waits for those that are about to end. Doing it again equals doing it once. Raises RunGoesOn.
    """
    if not run_ids:
        return
    # Those first: were it killed in between, the runs that they are found by are still there.
    run_ids = [*sorted(_of_the_same_partitions(instance, source, run_ids)), *sorted(run_ids)]
    end_dead_runs(instance, source, silent_seconds)
    _wait_for_end(instance, run_ids)
    for run_id in run_ids:
        instance.delete_run(run_id)
        delete_logs(instance, run_id)
    storage = instance.event_log_storage
    if isinstance(storage, SqlEventLogStorage):
        _delete_copies(storage, sorted(run_ids))
    _compact(instance, run_ids)


def _of_the_same_partitions(instance: dg.DagsterInstance, source: FileSource, run_ids: Collection[str]) -> set[str]:
    """Other runs of the partitions that these runs were of: they made some of its assets alone, and told of the files."""
    found: set[str] = set()
    for run_id in run_ids:
        run = instance.get_run_by_id(run_id)
        partition = only_partition(run.tags) if run is not None else None
        if partition is None:
            continue
        for tag in ("dagster/partition", "dagster/asset_partition_range_start"):
            same = instance.get_runs(dg.RunsFilter(tags={tag: partition}))
            found |= {one.run_id for one in same if _is_of(source, one)}
    return found - set(run_ids)


def _is_of(source: FileSource, run: dg.DagsterRun) -> bool:
    keys = run.asset_selection or set()
    return run.tags.get(SOURCE_TAG) == source.name or any(key.path[0] == source.name for key in keys)


def _wait_for_end(instance: dg.DagsterInstance, run_ids: Collection[str]) -> None:
    deadline = time.monotonic() + _END_SECONDS
    for run_id in run_ids:
        while (run := instance.get_run_by_id(run_id)) is not None and not run.is_finished:
            if time.monotonic() > deadline:
                raise RunGoesOn(
                    f"Run {run_id} handled one of the files and has not ended, so its events cannot be deleted yet. Wait for "
                    "it to end, or cancel it; then go on with: strandline forget"
                )
            time.sleep(0.2)


def delete_logs(instance: dg.DagsterInstance, run_id: str) -> None:
    with suppress(FileNotFoundError):
        instance.compute_log_manager.delete_logs(prefix=[run_id])


def _delete_copies(storage: Any, run_ids: list[str]) -> None:
    """What deleting a run leaves: results of its checks, and the newest materialization of each asset."""
    with storage.index_connection() as connection:
        checks = AssetCheckExecutionsTable
        connection.execute(checks.delete().where(checks.c.run_id.in_(run_ids)))
        events = SqlEventLogStorageTable
        of_runs = AssetKeyTable.c.last_run_id.in_(run_ids)
        for key in connection.execute(db.select(AssetKeyTable.c.asset_key).where(of_runs)).scalars().all():
            newest = connection.execute(
                db.select(events.c.run_id)
                .where(events.c.asset_key == key, events.c.dagster_event_type == "ASSET_MATERIALIZATION")
                .order_by(events.c.id.desc())
                .limit(1)
            ).scalar()
            connection.execute(
                AssetKeyTable.update()
                .where(AssetKeyTable.c.asset_key == key)
                .values(last_materialization=None, last_run_id=newest, cached_status_data=None)
            )


def _compact(instance: dg.DagsterInstance, run_ids: Collection[str]) -> None:
    """SQLite leaves what was deleted in its files until they are written anew."""
    storage = instance.event_log_storage
    if not hasattr(storage, "path_for_shard"):
        return
    index = Path(storage.path_for_shard("index"))
    for run_id in run_ids:
        for suffix in ("", "-wal", "-shm"):
            index.with_name(f"{run_id}.db{suffix}").unlink(missing_ok=True)
    for path in (index, index.parent.parent / "runs.db"):
        if path.exists():
            with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)) as connection:
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
