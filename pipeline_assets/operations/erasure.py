"""Forgetting files or a subject: out of the tables, the quarantine, the aggregates and Dagster's event log, for good.

The order makes a kill at any point harmless. Before the ledger's transaction nothing has happened, but for tombstones
beside the tables; after it nothing of the files is visible and they cannot come in again, and what is left is to delete
bytes, which the next `strandline forget` goes on with. No Dagster here.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from pipeline_assets.aggregate_run import update_aggregate
from pipeline_assets.heartbeat import Heartbeat
from pipeline_assets.source import FileSource
from pipeline_assets.turns import Say, commit_turn, wait_for_lease
from resources.errors import UserError
from resources.lake.erasure import keep_marks, kept_marks, purge, purge_aggregate, remove_rows
from resources.lake.lake import TableName
from resources.lake.sql import files_of_value
from resources.ledger.aggregates import NO_BATCH, give_aggregate_back, snapshots_in_use, take_aggregate
from resources.ledger.batches import is_known
from resources.ledger.erasure import (
    Doomed,
    Erasure,
    adopt_marks,
    any_batch,
    check_turn,
    doomed,
    erase,
    finish,
    marks_of,
    publish_without,
    readers_of,
    runs_and_batches,
)
from resources.ledger.publishing import end_commit_turn, published_snapshots
from resources.platform import Platform
from resources.settings import load_source_config

ForgetRuns = Callable[[Collection[str]], None]
"""Takes away what Dagster keeps of runs."""

_WAIT_SECONDS = 0.1


class NotOneSubject(UserError):
    """A file has rows of other subjects as well. The message says what to do."""


def files_of_subject(platform: Platform, source: FileSource, value: str, *, with_others: bool) -> list[str]:
    """Ids of the files with rows of a subject. Raises UserError."""
    if source.subject is None:
        raise UserError(
            f"The source {source.name} names no column that says whose rows they are (FileSource.subject). Forget its files "
            f"by key: strandline forget KEY"
        )
    table, column = source.subject.split(".")
    published = published_snapshots(platform.ledger, source.name)
    found = files_of_value(platform.lake, TableName(source.name, table), published.get(table), column, value)
    mixed = sorted(file_id for file_id, others in found.items() if others)
    if mixed and not with_others:
        raise NotOneSubject(
            f"{len(mixed)} of the {len(found)} files of {value!r} have rows of others as well, and a file is forgotten as a "
            f"whole: the first is {mixed[0]}. Land them anew without these rows first; or, to forget the others' rows in "
            "them, too: --with-others"
        )
    return sorted(found)


def forget(
    platform: Platform,
    source: FileSource,
    file_ids: Sequence[str],
    say: Say,
    forget_runs: ForgetRuns,
    *,
    versions: bool = True,
) -> Erasure:
    """Forget files of one source, with all parts of their records. Returns when nothing of them is left."""
    erasure = _erase(platform, source, file_ids, say, versions)
    complete(platform, source, erasure, say, forget_runs)
    return erasure


def _erase(platform: Platform, source: FileSource, file_ids: Sequence[str], say: Say, versions: bool) -> Erasure:
    ledger, lake = platform.ledger, platform.lake
    erasure_id = f"forget-{uuid.uuid4().hex[:12]}"
    with commit_turn(platform, source.name, erasure_id, say) as (turn, heartbeat):
        gone = doomed(ledger, file_ids, versions=versions)
        keep_marks(lake, source.name, {file.mark for file in gone})
        base = published_snapshots(ledger, source.name)
        snapshots = without_files(platform, source, base, {file.file_id for file in gone}, erasure_id)
        heartbeat.stop()
        return erase(ledger, turn, erasure_id, source.name, gone, snapshots)


def without_files(
    platform: Platform, source: FileSource, base: dict[str, int | None], file_ids: set[str], erasure_id: str
) -> dict[str, int | None]:
    """Tables without the rows of some files, not published yet: the snapshots of those that have changed."""
    ledger = platform.ledger
    in_use = snapshots_in_use(ledger, source.name, [aggregate.name for aggregate in source.aggregates])
    label = any_batch(ledger, source.name) or NO_BATCH
    snapshots: dict[str, int | None] = {}
    for table in source.tables:
        snapshots[table.name] = remove_rows(
            platform.lake, TableName(source.name, table.name), base=base.get(table.name), file_ids=file_ids,
            batch_id=label, run_id=erasure_id, knows_batch=partial(is_known, ledger), in_use=in_use.get(table.name, set()),
        )  # fmt: skip
    return {name: snapshot for name, snapshot in snapshots.items() if snapshot != base.get(name)}


def complete(platform: Platform, source: FileSource, erasure: Erasure, say: Say, forget_runs: ForgetRuns) -> None:
    """Delete the bytes of what was forgotten. Doing it again equals doing it once."""
    ledger = platform.ledger
    _update_aggregates(platform, source, erasure, say)
    _wait_for_readers(platform, erasure, say)
    runs, batches = runs_and_batches(ledger, erasure)
    with commit_turn(platform, source.name, erasure.erasure_id, say) as (turn, heartbeat):
        file_ids = set(erasure.file_ids)
        changed = without_files(
            platform, source, published_snapshots(ledger, source.name), file_ids, erasure.erasure_id
        )
        if changed:
            publish_without(ledger, turn, erasure, changed)
        published = published_snapshots(ledger, source.name)
        for table in source.tables:
            check_turn(ledger, turn)
            purge(platform.lake, TableName(source.name, table.name), published.get(table.name), file_ids, batches)
        if source.serving is not None:
            source.serving.withdraw(platform, turn, file_ids)
        heartbeat.stop()
        end_commit_turn(ledger, turn)
    for aggregate in source.aggregates:
        with _aggregate(platform, source, aggregate.name, erasure.erasure_id, say):
            shown = published_snapshots(ledger, source.name).get(aggregate.name)
            purge_aggregate(platform.lake, TableName(source.name, aggregate.name), shown)
    forget_runs(runs)
    finish(ledger, erasure)


def _update_aggregates(platform: Platform, source: FileSource, erasure: Erasure, say: Say) -> None:
    config = load_source_config(source.config, source.name)
    for aggregate in source.aggregates:
        update_aggregate(platform, source, aggregate, config, erasure.erasure_id, say)


def _wait_for_readers(platform: Platform, erasure: Erasure, say: Say) -> None:
    """A run that read one of the files may have rows in data files, which it will not commit; it must have ended first."""
    said: list[str] = []
    while batches := readers_of(platform.ledger, erasure):
        if batches != said:
            say(f"waiting: batch {', '.join(batches)}, which had the file, is being worked on")
            said = batches
        time.sleep(_WAIT_SECONDS)


@contextmanager
def _aggregate(platform: Platform, source: FileSource, name: str, owner: str, say: Say) -> Iterator[None]:
    seconds = platform.settings.lease_seconds
    lease = wait_for_lease(
        partial(take_aggregate, platform.ledger, source.name, name, owner, seconds), say, f"{source.name}.{name}"
    )
    with Heartbeat(platform.ledger, seconds) as heartbeat:
        heartbeat.keep(lease)
        try:
            yield
        finally:
            heartbeat.stop()
            give_aggregate_back(platform.ledger, lease)


def tombstones_in_step(platform: Platform, source: FileSource) -> None:
    """Let ledger and lake have the same tombstones: one of them may have been lost."""
    there, known = kept_marks(platform.lake, source.name), marks_of(platform.ledger, source.name)
    if there - known:
        adopt_marks(platform.ledger, source.name, there - known)
    keep_marks(platform.lake, source.name, known - there)


def landed_still(platform: Platform, gone: Sequence[Doomed]) -> list[str]:
    """Keys of the files that the landing store has now, whatever their bytes: only a person deletes there."""
    keys = sorted({file.key for file in gone})
    return [key for key in keys if platform.landing.look(key) is not None]
