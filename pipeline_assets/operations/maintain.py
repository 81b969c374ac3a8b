"""Lake maintenance of a source, beside running batches: merge small data files, expire snapshots, remove unused files.

No Dagster here. It never waits for a batch to end, and a batch waits for it only while it swaps merged files in:

- Merged files are written without any lock, because data files never change. Then the run takes the source's turn to
  commit, like a batch, swaps in those whose originals are all still there, and publishes the new snapshots in one
  transaction of the ledger. Killed before that, the next commit sets the table back; killed after, it is done.
- Within the turn nobody publishes, so what must not be expired is known: the published snapshots and those that aggregates
  were made from or are being made from.
- A file is deleted only after no snapshot has needed it for `STRANDLINE_LAKE_KEEP_HOURS`, looked at twice; never one of a
  batch that has a live run. Each look lists the files first, then asks who is live, then which are in use: what is listed
  and becomes used meanwhile is seen as used, and what is written meanwhile is not listed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from pipeline_assets.heartbeat import Heartbeat
from pipeline_assets.shown_tables import shown_tables
from pipeline_assets.source import FileSource
from resources.lake import files as files_of_lake
from resources.lake import maintenance as tables
from resources.lake.lake import SnapshotGone, TableName
from resources.ledger.aggregates import give_aggregate_back, snapshots_in_use, take_aggregate
from resources.ledger.batches import is_known
from resources.ledger.leases import Lease
from resources.ledger.publishing import end_commit_turn, published_snapshots, take_commit_turn
from resources.ledger.upkeep import end_lease, has_live_aggregate, live_batches, publish_same_rows, take_maintenance
from resources.platform import Platform

_ROUND_BYTES = 1 << 30
"""Merged before each commit: what a killed run has to do again."""
_LONGEST_WAIT_SECONDS = 60.0
_LOOK_SECONDS = 0.05
_AGGREGATE_FOLDER = "aggregate"


@dataclass
class Upkeep:
    """What maintenance of a source did."""

    source: str
    files_before: int = 0
    files_after: int = 0
    """data files of the published tables"""
    merged: int = 0
    """data files that went into larger ones"""
    bytes_merged: int = 0
    expired: int = 0
    deleted: int = 0
    """files that nothing had needed for long"""
    bytes_deleted: int = 0
    unused: int = 0
    """files that nothing needs now, to be deleted when that has been so for long"""
    waits_for: str = ""
    """why not all was done; the next maintenance goes on"""
    seconds: float = 0.0


def maintain(platform: Platform, source: FileSource, run_id: str) -> Upkeep:
    """Maintain the tables of one source. Doing it again at once merges nothing more and deletes what came to be due.

    Raises UnknownRows when a table and the ledger are not of one mind; nothing was changed then.
    """
    started = time.monotonic()
    done = Upkeep(source.name)
    seconds = platform.settings.lease_seconds
    lease = take_maintenance(platform.ledger, source.name, run_id, seconds)
    if lease is None:
        done.waits_for = "another run maintains its tables, or backs them up"
        return done
    with Heartbeat(platform.ledger, seconds) as heartbeat:
        heartbeat.keep(lease)
        try:
            done.files_before = _count_files(platform, source)
            with suppress(_Busy):
                _merge(platform, source, run_id, heartbeat, done)
                _expire(platform, source, run_id, heartbeat, done)
                _expire_aggregates(platform, source, run_id, done)
            _remove_unused(platform, source, done)
            done.files_after = _count_files(platform, source)
        finally:
            heartbeat.stop()
            end_lease(platform.ledger, lease)
    done.seconds = time.monotonic() - started
    return done


def has_piled_up(platform: Platform, source: FileSource) -> bool:
    """Whether a table has so many small data files that queries feel it, so that maintenance should not wait for its hour."""
    target = platform.settings.compact_target_mb << 20
    while True:
        with suppress(SnapshotGone):  # batches were published meanwhile
            published = published_snapshots(platform.ledger, source.name)
            return any(
                tables.count_small(platform.lake, TableName(source.name, name), published.get(name), target)
                > platform.settings.compact_small_files
                for name in shown_tables(platform, source, published)
            )


class _Busy(Exception):
    """Batches took the turn to commit all the time."""


@contextmanager
def _turn(platform: Platform, source: FileSource, run_id: str, heartbeat: Heartbeat, done: Upkeep) -> Iterator[Lease]:
    deadline = time.monotonic() + _LONGEST_WAIT_SECONDS
    while (turn := take_commit_turn(platform.ledger, source.name, run_id, platform.settings.lease_seconds)) is None:
        if time.monotonic() > deadline:
            done.waits_for = "batches were committing all the time"
            raise _Busy
        time.sleep(_LOOK_SECONDS)
    heartbeat.keep(turn)
    try:
        yield turn
    finally:
        heartbeat.release(turn)
        end_commit_turn(platform.ledger, turn)


def _count_files(platform: Platform, source: FileSource) -> int:
    return sum(len(found) for found in _published_files(platform, source).values())


def _published_files(platform: Platform, source: FileSource) -> dict[str, list[tables.DataFile]]:
    """The data files of each published table, all of one moment."""
    while True:
        with suppress(SnapshotGone):  # batches were published meanwhile, and what was published before is gone
            published = published_snapshots(platform.ledger, source.name)
            return {
                name: tables.data_files(platform.lake, TableName(source.name, name), published[name])
                for name in shown_tables(platform, source, published)
                if published.get(name) is not None
            }


def _merge(platform: Platform, source: FileSource, run_id: str, heartbeat: Heartbeat, done: Upkeep) -> None:
    target = platform.settings.compact_target_mb << 20
    while True:
        merged: dict[str, list[tables.Merged]] = {}
        size = 0
        for name, files in _published_files(platform, source).items():
            for group in tables.groups_to_merge(files, target):
                if size < _ROUND_BYTES:
                    # An original can only be gone if the files of a table were deleted by something else.
                    merged.setdefault(name, []).append(tables.merge(platform.lake, TableName(source.name, name), group))
                    size += sum(file.size_bytes for file in group)
        if not merged:
            return
        went = _swap(platform, source, run_id, heartbeat, merged, done)
        done.merged += went
        done.bytes_merged += size
        if not went:
            return


def _swap(
    platform: Platform,
    source: FileSource,
    run_id: str,
    heartbeat: Heartbeat,
    merged: dict[str, list[tables.Merged]],
    done: Upkeep,
) -> int:
    """Put merged files in place of their originals and publish that, in a turn; how many originals went."""
    ledger = platform.ledger
    went = 0
    with _turn(platform, source, run_id, heartbeat, done) as turn:
        base = published_snapshots(ledger, source.name)
        after: dict[str, int | None] = {}
        for name, groups in merged.items():
            snapshot, count = tables.replace_files(
                platform.lake,
                TableName(source.name, name),
                base=base.get(name),
                merged=groups,
                run_id=run_id,
                knows_batch=partial(is_known, ledger),
            )
            if count:
                after[name] = snapshot
                went += count
        if after:
            publish_same_rows(ledger, turn, source.name, base, after)
    return went


def _expire(platform: Platform, source: FileSource, run_id: str, heartbeat: Heartbeat, done: Upkeep) -> None:
    age = timedelta(hours=platform.settings.lake_keep_hours)
    with _turn(platform, source, run_id, heartbeat, done):
        published = published_snapshots(platform.ledger, source.name)
        used = snapshots_in_use(platform.ledger, source.name, [aggregate.name for aggregate in source.aggregates])
        for name in shown_tables(platform, source, published):
            if published.get(name) is not None:
                keep = {published[name], *used.get(name, ())}
                done.expired += tables.expire(platform.lake, TableName(source.name, name), keep=keep, age=age)


def _expire_aggregates(platform: Platform, source: FileSource, run_id: str, done: Upkeep) -> None:
    """An aggregate's table has a writer of its own, which needs no turn; while it works, its table is left for next time."""
    ledger, age = platform.ledger, timedelta(hours=platform.settings.lake_keep_hours)
    for aggregate in source.aggregates:
        lease = take_aggregate(ledger, source.name, aggregate.name, run_id, platform.settings.lease_seconds)
        if lease is None:
            continue
        try:
            published = published_snapshots(ledger, source.name).get(aggregate.name)
            if published is not None:
                table = TableName(source.name, aggregate.name)
                done.expired += tables.expire(platform.lake, table, keep={published}, age=age)
        finally:
            give_aggregate_back(ledger, lease)


def _remove_unused(platform: Platform, source: FileSource, done: Upkeep) -> None:
    lake, age = platform.lake, timedelta(hours=platform.settings.lake_keep_hours)
    notes = f"{lake.root}/unused-{platform.settings.table_prefix}{source.name}.json"
    noted: dict[str, float] = {}
    with suppress(ValueError):  # a note that is lost only makes files stay longer
        noted = json.loads(files_of_lake.read_small(notes) or b"{}")
    published = published_snapshots(platform.ledger, source.name)
    tables_of_files = shown_tables(platform, source, published)
    known = [name for name in (*tables_of_files, *(one.name for one in source.aggregates)) if name in published]
    kept: dict[str, float] = {}
    for name in known:
        table = TableName(source.name, name)
        on_disk = tables.files_on_disk(lake, table)
        live = live_batches(platform.ledger)
        if has_live_aggregate(platform.ledger, source.name, [name]):
            live.add(_AGGREGATE_FOLDER)
        used = tables.files_referred_to(lake, table)
        written = {address: one.written for address, one in on_disk.items()}
        delete, note = tables.pick_orphans(written, used, live, noted, age)
        done.deleted += files_of_lake.delete(delete)
        done.bytes_deleted += sum(on_disk[address].size_bytes for address in delete)
        kept |= note
    done.unused = len(kept)
    if kept or noted:
        files_of_lake.write_small(notes, json.dumps(kept).encode())
