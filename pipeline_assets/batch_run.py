"""What a run does with a batch: claim it, read its files in parallel, decide, commit, account.

No Dagster here: `source_defs` wraps this into assets, and tests call it directly.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from pebble import ProcessExpired, ProcessFuture
from pydantic import BaseModel

from pipeline_assets.batch_report import BatchReport, RefusedFile, log_refused, log_report, log_unfinished
from pipeline_assets.columns import arrow_schema
from pipeline_assets.failures import FailureKind, in_words, kind_of
from pipeline_assets.generations import STAYS, keep_what_stood, older_replaced
from pipeline_assets.heartbeat import Heartbeat
from pipeline_assets.reading import SliceResult, SliceTask, draw, read_slice
from pipeline_assets.reading_units import Unit, units
from pipeline_assets.source import FileSource
from pipeline_assets.worker_pool import ReaderPool
from resources.errors import PermanentFailure
from resources.lake.lake import Committed, TableName
from resources.ledger import FileState
from resources.ledger.aggregates import snapshots_in_use
from resources.ledger.batches import Batch, Claim, ClaimedFile, claim, give_back, is_known
from resources.ledger.erasure import forgotten_among
from resources.ledger.leases import Lease
from resources.ledger.publishing import (
    NO_RIVALS,
    Outcome,
    Refusal,
    duplicates,
    end_commit_turn,
    files_with_rows,
    publish,
    published_snapshots,
    rivals,
    take_commit_turn,
)
from resources.logs import OUTSIDE_EVENT_LOG, bound, redact
from resources.platform import Platform

_SLICE_FILES = 64
_SLICE_BYTES = 16 * 1024 * 1024
_FILES_A_LIMIT = 16
"""A slice gets one file's time limit, and once more for each so many files. One that needs longer is read file by file."""
_PICTURE_SECONDS = 30.0
_LARGE_BATCH_FILES = 200
_PANDERA = ("pandera.pandas", "pandera.backends.pandas.builtin_checks")
"""The second is what pandera imports at its first check: a third of a second for each reader process."""
_LONGEST_ERROR = 2000

_log = logging.getLogger(f"{OUTSIDE_EVENT_LOG}.batch")


class Reporter(Protocol):
    """Hears how a batch gets on."""

    def progress(self, batch: Batch, done: int, total: int, refused: int) -> None: ...

    def say(self, message: str) -> None: ...


class BatchHeld(PermanentFailure):
    """The batch was stopped before anything of it was visible. The message says why and what to do."""


@dataclass
class _Work:
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    data_files: dict[str, list[str]] = field(default_factory=dict)

    def add(self, result: SliceResult) -> None:
        for outcome in result.outcomes:
            self.outcomes[outcome.file_id] = outcome
        for table, paths in result.data_files.items():
            self.data_files.setdefault(table, []).extend(paths)

    @property
    def refused(self) -> int:
        return sum(outcome.state == FileState.QUARANTINED for outcome in self.outcomes.values())


def preload_for(source: FileSource, files: int) -> list[str]:
    """Modules that the reader processes of a batch import before their first slice.

    What only the picture needs delays the first row, so a small batch does without; for a large one it is worth it,
    because another batch is likely to follow.
    """
    functions = [reader.read for reader in source.readers] + [source.derive, source.picture]
    own = {function.__module__ for function in functions if function is not None}
    picture = source.preload_for_picture if files >= _LARGE_BATCH_FILES else ()
    return ["pipeline_assets.reading", *_PANDERA, *sorted(own - {"__main__"}), *source.preload, *picture]


def run_batch(
    platform: Platform,
    source: FileSource,
    config: BaseModel,
    batch_id: str,
    run_id: str,
    reporter: Reporter,
    *,
    hold_when_stopped: Callable[[], bool],
) -> BatchReport:
    """Do a batch from claim to account. Doing it again equals doing it once.

    hold_when_stopped: asked when the run is interrupted; true leaves its files `held` for a person to move on, else
    they wait for the next run.
    Raises NotClaimed, BatchHeld, and whatever else fails; the claim is given back then, and the batch is held if the
    failure is permanent (`failures.kind_of`).
    """
    with bound(source=source.name, batch=batch_id, run=run_id):
        report = _run_claimed_or_give_back(platform, source, config, batch_id, run_id, reporter, hold_when_stopped)
        log_report(report)
        return report


def _run_claimed_or_give_back(
    platform: Platform,
    source: FileSource,
    config: BaseModel,
    batch_id: str,
    run_id: str,
    reporter: Reporter,
    hold_when_stopped: Callable[[], bool],
) -> BatchReport:
    settings = platform.settings
    started = time.monotonic()
    claimed = claim(platform.ledger, batch_id, run_id, settings.lease_seconds)

    def give_up(outcome: str, why: str, *, hold: bool = False, backoff: bool = True) -> None:
        _give_back(platform, claimed, why, hold=hold, backoff=backoff)
        log_unfinished(batch_id, outcome, why, time.monotonic() - started)

    try:
        with Heartbeat(platform.ledger, settings.lease_seconds) as heartbeat:
            heartbeat.keep(claimed.lease)
            return _run_claimed(platform, source, config, claimed, reporter, heartbeat)
    except Exception as error:
        hold = kind_of(error) is FailureKind.PERMANENT
        give_up("held" if hold else "failed", redact(in_words(error, batch_id))[:_LONGEST_ERROR], hold=hold)
        raise
    except BaseException:
        hold = hold_when_stopped()
        why = f"run {run_id} was {'canceled by a person' if hold else 'stopped'}"
        give_up("stopped", why, hold=hold, backoff=False)
        raise


def _give_back(platform: Platform, claimed: Claim, error: str, *, hold: bool = False, backoff: bool = True) -> None:
    """End the claim of a run that fails, without hiding why it fails."""
    attempts = platform.settings.max_attempts
    try:
        give_back(platform.ledger, claimed, error, max_attempts=attempts, hold=hold, backoff=backoff)
    except Exception as second:
        # The lease expires by itself, and the next look for arrivals takes the batch back.
        _log.warning("batch %s could not be given back: %s", claimed.batch.batch_id, second)


def _run_claimed(
    platform: Platform,
    source: FileSource,
    config: BaseModel,
    claimed: Claim,
    reporter: Reporter,
    heartbeat: Heartbeat,
) -> BatchReport:
    started = time.monotonic()
    folders = {
        table.name: platform.lake.ensure(TableName(source.name, table.name), arrow_schema(table.schema))
        for table in source.tables
    }
    picture, picture_key = None, None
    if claimed.files:
        settings = platform.settings
        with ReaderPool(settings.workers, settings.file_memory_mb, preload_for(source, len(claimed.files))) as pool:
            work = _read_all(platform, source, config, claimed, folders, pool, reporter)
            _hold_if_too_many_refused(source, claimed, work)
            drawn = _begin_picture(platform, source, config, claimed, work, pool)
            tables = _commit(platform, source, claimed, work, heartbeat, reporter)
            picture, picture_key = _end_picture(drawn, work, reporter)
    else:
        reporter.say(f"batch {claimed.batch.batch_id} owns no files: all were superseded or are gone")
        work = _Work()
        tables = _commit(platform, source, claimed, work, heartbeat, reporter)
    return _report(claimed, work, tables, time.monotonic() - started, picture, picture_key)


def _slices(batch_units: Sequence[Unit], workers: int) -> Iterator[list[Unit]]:
    """Parts of a batch: small enough that every worker gets some, large enough to write data files worth reading."""
    most_files = max(1, min(_SLICE_FILES, -(-sum(map(len, batch_units)) // workers)))
    part: list[Unit] = []
    files = size = 0
    for unit in batch_units:
        unit_size = sum(file.size_bytes for file in unit)
        if part and (files + len(unit) > most_files or size + unit_size > _SLICE_BYTES):
            yield part
            part, files, size = [], 0, 0
        part.append(unit)
        files += len(unit)
        size += unit_size
    if part:
        yield part


def _read_all(
    platform: Platform,
    source: FileSource,
    config: BaseModel,
    claimed: Claim,
    folders: dict[str, str],
    pool: ReaderPool,
    reporter: Reporter,
) -> _Work:
    limit = platform.settings.file_timeout_seconds
    work = _Work()

    def submit(part: list[Unit]) -> ProcessFuture:
        files = tuple(file for unit in part for file in unit)
        fetcher = platform.landing.fetcher()
        task = SliceTask(source, config, fetcher, claimed.batch.batch_id, files, folders)
        # A slow landing store gives up by itself, in a time of its own, so that no file is blamed for it.
        fetching = max(fetcher.longest_seconds(file.size_bytes) for file in files)
        return pool.submit(read_slice, task, timeout=limit * (1 + len(files) / _FILES_A_LIMIT) + fetching)

    parts = _slices(units(source, claimed.files), platform.settings.workers)
    pending = [(part, submit(part)) for part in parts]
    while pending:
        again: list[list[Unit]] = []
        for part, future in pending:
            try:
                work.add(pool.result_of(future))
            except (TimeoutError, ProcessExpired, MemoryError) as error:
                if len(part) > 1:
                    # One of them is to blame; alone, each shows whether it is the one.
                    again += [[unit] for unit in part]
                else:
                    pool.prove()
                    refusal = _blame(error, platform)
                    for file in part[0]:
                        work.outcomes[file.file_id] = Outcome(file.file_id, FileState.QUARANTINED, refusal=refusal)
            reporter.progress(claimed.batch, len(work.outcomes), len(claimed.files), work.refused)
        pending = [(part, submit(part)) for part in again]
    return work


def _blame(error: BaseException, platform: Platform) -> Refusal:
    settings = platform.settings
    if isinstance(error, TimeoutError):
        return Refusal(
            "reader_timeout",
            f"reading took longer than {settings.file_timeout_seconds:g} s. If such files are right, raise "
            "STRANDLINE_FILE_TIMEOUT_SECONDS and replay the file.",
        )
    if isinstance(error, MemoryError):
        return Refusal(
            "out_of_memory",
            f"reading needed more than {settings.file_memory_mb} MiB. If such files are right, raise "
            "STRANDLINE_FILE_MEMORY_MB and replay the file.",
        )
    return Refusal(
        "reader_crashed", f"the process that read the file died ({error}). The file is broken, or its reader is."
    )


def _hold_if_too_many_refused(source: FileSource, claimed: Claim, work: _Work) -> None:
    total, refused = len(work.outcomes), work.refused
    if claimed.batch.released or total < source.hold_from_files or refused <= source.hold_above * total:
        return
    log_refused(claimed.batch.batch_id, _refused_files(claimed, work))
    classes = Counter(o.refusal.error_class for o in work.outcomes.values() if o.refusal).most_common(5)
    raise BatchHeld(
        f"{refused} of {total} files were refused ({', '.join(f'{name} {count}' for name, count in classes)}), more than "
        f"{source.hold_above:.0%}. Nothing of the batch is visible. Mend the cause and materialize the batch again, or "
        f"let it pass: strandline release {claimed.batch.batch_id}"
    )


def _commit(
    platform: Platform,
    source: FileSource,
    claimed: Claim,
    work: _Work,
    heartbeat: Heartbeat,
    reporter: Reporter,
) -> dict[str, Committed]:
    """Write every table and publish them together. The caller's claim ends with it."""
    ledger = platform.ledger
    with _commit_turn(platform, source, claimed, heartbeat, reporter) as turn:
        forgotten = forgotten_among(ledger, work.outcomes)
        work.outcomes |= {file_id: Outcome(file_id, FileState.FORGOTTEN) for file_id in forgotten}
        good = [o.file_id for o in work.outcomes.values() if o.state == FileState.COMMITTED]
        others = rivals(ledger, good) if source.overwrite == "replace" else NO_RIVALS
        for file_id in others.outdated:
            work.outcomes[file_id] = Outcome(file_id, FileState.SUPERSEDED)
        doubles = _mark_duplicates(platform, source, work)
        mine = files_with_rows(ledger, [*(file.file_id for file in claimed.files), *claimed.older])
        keep_what_stood(platform, source, claimed, work.outcomes, mine, reporter)
        replaced = older_replaced(claimed, work.outcomes)
        stays = {
            i for i in mine if i in work.outcomes and work.outcomes[i].note == STAYS
        } | claimed.older.keys() - replaced
        remove = others.to_remove | (mine - stays)
        unwanted = others.outdated | doubles | forgotten
        base = published_snapshots(ledger, source.name)
        in_use = snapshots_in_use(ledger, source.name, [aggregate.name for aggregate in source.aggregates])
        commit = partial(
            platform.lake.commit,
            batch_id=claimed.batch.batch_id,
            run_id=claimed.run_id,
            knows_batch=partial(is_known, ledger),
        )
        tables: dict[str, Committed] = {}
        for table in source.tables:
            name = TableName(source.name, table.name)
            before, used = base.get(table.name), in_use.get(table.name, set())
            added = work.data_files.get(table.name, [])
            committed = commit(name, base=before, add=added, remove_file_ids=remove, in_use=used)
            if unwanted:
                built = committed.snapshot_id
                committed = commit(name, base=built, add=[], remove_file_ids=unwanted, keep=before, in_use=used)
            tables[table.name] = committed
        heartbeat.stop()
        publish(
            ledger,
            claimed,
            turn,
            {name: committed.snapshot_id for name, committed in tables.items()},
            list(work.outcomes.values()),
            superseded=sorted((others.older | replaced) - others.outdated),
            rows_removed=sorted(remove),
        )
    return tables


def _mark_duplicates(platform: Platform, source: FileSource, work: _Work) -> frozenset[str]:
    """Files whose bytes are committed under another key already; their rows are not wanted."""
    contents = {
        o.file_id: o.content for o in work.outcomes.values() if o.state == FileState.COMMITTED and o.content is not None
    }
    found = duplicates(platform.ledger, source.name, contents) if contents else {}
    for file_id, key in found.items():
        note = f"the same bytes are committed as {key}"
        work.outcomes[file_id] = Outcome(file_id, FileState.DUPLICATE, note=note)
    return frozenset(found)


@contextmanager
def _commit_turn(
    platform: Platform, source: FileSource, claimed: Claim, heartbeat: Heartbeat, reporter: Reporter
) -> Iterator[Lease]:
    waited = False
    while True:
        turn = take_commit_turn(platform.ledger, source.name, claimed.run_id, platform.settings.lease_seconds)
        if turn is not None:
            break
        if not waited:
            reporter.say(f"waiting: another run commits to the tables of {source.name}")
            waited = True
        time.sleep(0.1)
    heartbeat.keep(turn)
    try:
        yield turn
    except BaseException:
        heartbeat.release(turn)
        end_commit_turn(platform.ledger, turn)
        raise


def _begin_picture(
    platform: Platform, source: FileSource, config: BaseModel, claimed: Claim, work: _Work, pool: ReaderPool
) -> tuple[ClaimedFile, ProcessFuture] | None:
    if source.picture is None:
        return None
    for unit in units(source, claimed.files):
        if all(work.outcomes[file.file_id].state == FileState.COMMITTED for file in unit):
            future = pool.submit(draw, source, config, platform.landing.fetcher(), unit, timeout=_PICTURE_SECONDS)
            return unit[0], future
    return None


def _end_picture(
    drawn: tuple[ClaimedFile, ProcessFuture] | None, work: _Work, reporter: Reporter
) -> tuple[bytes | None, str | None]:
    """The picture is a courtesy: a batch that is committed does not fail for it."""
    if drawn is None or work.outcomes[drawn[0].file_id].state == FileState.FORGOTTEN:
        return None, None
    file, future = drawn
    try:
        return future.result(), file.key
    except Exception as error:
        reporter.say(f"no picture of {file.key}: {type(error).__name__}: {error}")
        return None, None


def _report(
    claimed: Claim,
    work: _Work,
    tables: dict[str, Committed],
    seconds: float,
    picture: bytes | None,
    picture_key: str | None,
) -> BatchReport:
    outcomes = list(work.outcomes.values())
    rows: Counter[str] = Counter(dict.fromkeys(tables, 0))
    for outcome in outcomes:
        if outcome.state == FileState.COMMITTED:
            rows.update(outcome.rows)
    return BatchReport(
        batch=claimed.batch,
        files=len(claimed.files),
        committed=sum(o.state == FileState.COMMITTED for o in outcomes),
        size_bytes=sum(file.size_bytes for file in claimed.files),
        gone=sum(o.state in {FileState.DELETED, FileState.SUPERSEDED, FileState.FORGOTTEN} for o in outcomes),
        refused=_refused_files(claimed, work),
        rows=dict(rows),
        readers=dict(sorted(Counter(o.reader for o in outcomes if o.reader).items())),
        tables=tables,
        seconds=seconds,
        picture=picture,
        picture_key=picture_key,
    )


def _refused_files(claimed: Claim, work: _Work) -> tuple[RefusedFile, ...]:
    keys = {file.file_id: file.key for file in claimed.files}
    refused = [RefusedFile(o.file_id, keys[o.file_id], o.refusal) for o in work.outcomes.values() if o.refusal]
    return tuple(sorted(refused, key=lambda item: item.key))
