"""What a run does with a batch: claim it, read its files in parallel, decide, commit, account.

No Dagster here: `source_defs` wraps this into assets, and tests call it directly.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pebble import ProcessExpired, ProcessFuture
from pydantic import BaseModel

from pipeline_assets.batch_commit import commit
from pipeline_assets.batch_context import BatchContext, Reporter, Work
from pipeline_assets.batch_hold import BatchHeld as BatchHeld
from pipeline_assets.batch_hold import hold_if_group_stops, hold_if_too_many_refused, refused_files
from pipeline_assets.batch_report import BatchReport, log_report, log_unfinished
from pipeline_assets.columns import arrow_schema
from pipeline_assets.failures import FailureKind, in_words, kind_of
from pipeline_assets.heartbeat import Heartbeat
from pipeline_assets.reading import SliceTask, draw, read_slice
from pipeline_assets.reading_units import Unit, shared_by, units
from pipeline_assets.source import FileSource
from pipeline_assets.worker_pool import ReaderPool
from resources.lake.lake import Committed, SchemaConflict, TableName
from resources.ledger import FileState
from resources.ledger.batches import Claim, Refusals, claim, give_back
from resources.ledger.publishing import (
    Outcome,
    Refusal,
)
from resources.logs import OUTSIDE_EVENT_LOG, bound, redact
from resources.platform import Platform

_SLICE_FILES = 64
_LARGE_SLICE_FILES = 256
"""Of a large batch: a commit takes up each data file by itself, and so does a query. They get smaller towards the end, where
one worker would have to wait for the other."""
_SLICE_BYTES = 16 * 1024 * 1024
_FILES_A_LIMIT = 16
"""A slice gets one file's time limit, and once more for each so many files. One that needs longer is read file by file."""
_PICTURE_SECONDS = 30.0
_LARGE_BATCH_FILES = 200
_LAZY = ("pandera.pandas", "pandera.backends.pandas.builtin_checks", "pyarrow.pandas_compat")
"""What pandera and Arrow import when they first look at rows, which would count against that file's time."""
_LONGEST_ERROR = 2000

_log = logging.getLogger(f"{OUTSIDE_EVENT_LOG}.batch")


def preload_for(source: FileSource, files: int) -> list[str]:
    """Modules that the reader processes of a batch import before their first slice.

    What only the picture needs delays the first row, so a small batch does without; for a large one it is worth it,
    because another batch is likely to follow.
    """
    # A reader gets the whole declaration, so it imports what any part of that is defined in.
    parts: list[Any] = [source.derive, source.picture, source.examples, source.config]
    parts += [part for reader in source.readers for part in (reader.read, reader.recognises)]
    parts += [table.schema for table in source.tables] + [check.judge for check in source.checks]
    parts += [product.make for product in source.products] + [aggregate.compute for aggregate in source.aggregates]
    own = {part.__module__ for part in parts if hasattr(part, "__module__")}
    picture = source.preload_for_picture if files >= _LARGE_BATCH_FILES else ()
    modules = [*sorted(own - {"__main__"}), *source.preload, *picture]
    return ["pipeline_assets.reading", *_LAZY, *modules, "pipeline_assets.built_schemas"]


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
    context = BatchContext(platform, source, config, reporter)
    with bound(source=source.name, batch=batch_id, run=run_id):
        report = _claim_and_run(context, batch_id, run_id, hold_when_stopped)
        log_report(report)
        return report


def _claim_and_run(
    context: BatchContext, batch_id: str, run_id: str, hold_when_stopped: Callable[[], bool]
) -> BatchReport:
    platform = context.platform
    settings = platform.settings
    started = time.monotonic()
    claimed = claim(platform.ledger, batch_id, run_id, settings.lease_seconds)

    def give_up(
        outcome: str, why: str, *, hold: bool = False, backoff: bool = True, refused: Refusals | None = None
    ) -> None:
        _give_back(platform, claimed, why, hold=hold, backoff=backoff, refused=refused)
        log_unfinished(batch_id, outcome, why, time.monotonic() - started)

    try:
        with Heartbeat(platform.ledger, settings.lease_seconds) as heartbeat:
            heartbeat.keep(claimed.lease)
            return _run_claimed(context, claimed, heartbeat)
    except Exception as error:
        if _hides_interruption(error) and hold_when_stopped():
            give_up("stopped", f"run {run_id} was canceled by a person", hold=True, backoff=False)
            raise
        hold = kind_of(error) is FailureKind.PERMANENT
        refused = _redacted(error.refused) if isinstance(error, BatchHeld) else None
        why = redact(in_words(error, batch_id))[:_LONGEST_ERROR]
        give_up("held" if hold else "failed", why, hold=hold, refused=refused)
        raise
    except BaseException:
        hold = hold_when_stopped()
        why = f"run {run_id} was {'canceled by a person' if hold else 'stopped'}"
        give_up("stopped", why, hold=hold, backoff=False)
        raise


def _hides_interruption(error: Exception) -> bool:
    """Whether an error is what compiled code made of an interruption; pydantic's does so, and names it in the text."""
    return any(name in str(error) for name in ("KeyboardInterrupt", "DagsterExecutionInterruptedError"))


def _redacted(refused: Refusals) -> Refusals:
    return {file_id: (error_class, redact(why)[:_LONGEST_ERROR]) for file_id, (error_class, why) in refused.items()}


def _give_back(
    platform: Platform,
    claimed: Claim,
    error: str,
    *,
    hold: bool = False,
    backoff: bool = True,
    refused: Refusals | None = None,
) -> None:
    """End the claim of a run that fails, without hiding why it fails."""
    attempts = platform.settings.max_attempts
    try:
        give_back(platform.ledger, claimed, error, max_attempts=attempts, hold=hold, backoff=backoff, refused=refused)
    except Exception as second:
        # The lease expires by itself, and the next look for arrivals takes the batch back.
        _log.warning("batch %s could not be given back: %s", claimed.batch.batch_id, second)


def _run_claimed(context: BatchContext, claimed: Claim, heartbeat: Heartbeat) -> BatchReport:
    platform, source = context.platform, context.source
    started = time.monotonic()
    if source.prepare is not None:
        context = replace(context, config=source.prepare(platform, context.config))
    context = _adapted(context, None) or context
    source = context.source
    picture, picture_key = None, None
    if claimed.files:
        settings = platform.settings
        workers = min(settings.workers, len(claimed.files))
        with ReaderPool(workers, settings.file_memory_mb, preload_for(source, len(claimed.files))) as pool:
            folders = _folders(platform, source)
            work = _read_all(context, claimed, folders, pool)
            while (again := _adapted(context, work.data_files.keys())) is not None:
                context, folders = again, _folders(platform, again.source)
                work = _read_all(context, claimed, folders, pool)
            source = context.source
            hold_if_too_many_refused(source, claimed, work)
            hold_if_group_stops(context, claimed, work)
            _ensure_tables_of_datasets(platform, source, work)
            tables = commit(context, claimed, work, heartbeat)
            picture, picture_key = _picture(context, claimed, work, pool)
    else:
        context.reporter.say(f"batch {claimed.batch.batch_id} owns no files: all were superseded or are gone")
        _folders(platform, source)
        work = Work()
        tables = commit(context, claimed, work, heartbeat)
    report = _report(claimed, work, tables, time.monotonic() - started, picture, picture_key)
    return replace(report, source=source)


def _adapted(context: BatchContext, tables: Collection[str] | None) -> BatchContext | None:
    """The context with the source as this run must have it; None where it has that. tables: those with rows in the batch."""
    if context.source.adapt is None:
        return None
    adapted = context.source.adapt(context.platform, context.source, context.config, tables)
    if adapted is None:
        return None
    context.reporter.say(adapted.because)
    return replace(context, source=adapted.source, config=adapted.config)


def _folders(platform: Platform, source: FileSource) -> dict[str, str]:
    """Where each table's data files go. Makes tables that are not there; those of datasets, which may be many, are
    compared with their schema only when there is something for them."""
    there = platform.lake.names(source.name)
    folders = {}
    for table in source.tables:
        name = TableName(source.name, table.name)
        if table.dataset and table.name in there:
            folders[table.name] = platform.lake.data_folder(name)
        else:
            folders[table.name] = platform.lake.ensure(name, arrow_schema(table.schema))
    return folders


def _ensure_tables_of_datasets(platform: Platform, source: FileSource, work: Work) -> None:
    for table in source.tables:
        if table.dataset and table.name in work.data_files:
            try:
                platform.lake.ensure(TableName(source.name, table.name), arrow_schema(table.schema), may_lack=True)
            except SchemaConflict as conflict:
                raise SchemaConflict(f"{conflict} {source.on_conflict}".strip()) from None


def _slices(batch_units: Sequence[Unit], workers: int) -> Iterator[list[Unit]]:
    """Parts of a batch: small enough that every worker gets some, large enough to write data files worth reading."""
    left = sum(map(len, batch_units))
    fair = max(1, -(-left // workers))
    part: list[Unit] = []
    files = size = 0
    for unit in batch_units:
        unit_size = sum(file.size_bytes for file in unit)
        most_files = min(fair, _LARGE_SLICE_FILES, max(_SLICE_FILES, left // (4 * workers)))
        if part and (files + len(unit) > most_files or size + unit_size > _SLICE_BYTES):
            yield part
            left -= files
            part, files, size = [], 0, 0
        part.append(unit)
        files += len(unit)
        size += unit_size
    if part:
        yield part


def _read_all(context: BatchContext, claimed: Claim, folders: dict[str, str], pool: ReaderPool) -> Work:
    platform, source = context.platform, context.source
    limit = platform.settings.file_timeout_seconds
    work = Work()
    batch_units = units(source, claimed.files)
    is_one = len(batch_units) == 1
    keeps = is_one and source.picture is not None
    at_most = {} if is_one else source.at_most(context.config)
    deferred: dict[str, list[Unit]] = {}
    shared = shared_by(source, claimed.files)

    def submit(part: list[Unit], wait: frozenset[str] = frozenset(at_most)) -> ProcessFuture:
        files = tuple(file for unit in part for file in unit)
        fetcher = platform.landing.fetcher()
        task = SliceTask(source, context.config, fetcher, claimed.batch.batch_id, files, folders, wait, shared, keeps)
        # A slow landing store gives up by itself, in a time of its own, so that no file is blamed for it.
        fetching = max(fetcher.longest_seconds(file.size_bytes) for file in files)
        return pool.submit(read_slice, task, timeout=limit * (1 + len(files) / _FILES_A_LIMIT) + fetching)

    parts = _slices(batch_units, platform.settings.workers)
    pending = [(part, submit(part)) for part in parts]
    while pending:
        again: list[list[Unit]] = []
        for part, future in pending:
            try:
                result = pool.result_of(future)
                work.add(result)
                for name, later in result.deferred.items():
                    deferred.setdefault(name, []).extend(later)
            except (TimeoutError, ProcessExpired, MemoryError) as error:
                if len(part) > 1:
                    # One of them is to blame; alone, each shows whether it is the one.
                    again += [[unit] for unit in part]
                else:
                    pool.prove()
                    refusal = _blame(error, platform)
                    for file in part[0]:
                        work.outcomes[file.file_id] = Outcome(file.file_id, FileState.QUARANTINED, refusal=refusal)
            context.reporter.progress(claimed.batch, len(work.outcomes), len(claimed.files), work.refused)
        pending = [(part, submit(part)) for part in again]
        if not pending:
            pending = [([unit], submit([unit], frozenset())) for unit in _next_turn(deferred, at_most)]
    return work


def _next_turn(deferred: dict[str, list[Unit]], at_most: Mapping[str, int]) -> list[Unit]:
    """Of the files that wait for their turn as many as may be read at once; they are taken out of `deferred`."""
    turn: list[Unit] = []
    for name, waiting in deferred.items():
        turn += waiting[: at_most[name]]
        del waiting[: at_most[name]]
    return turn


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


def _picture(context: BatchContext, claimed: Claim, work: Work, pool: ReaderPool) -> tuple[bytes | None, str | None]:
    """The picture of the first accepted file, and its key. A courtesy: rows come first, and a batch that is committed does
    not fail for it."""
    source = context.source
    if source.picture is None:
        return None, None
    for unit in units(source, claimed.files):
        if source.groups is not None and source.groups.is_about_all(unit[0].key):
            continue
        if all(work.outcomes[file.file_id].state == FileState.COMMITTED for file in unit):
            break
    else:
        return None, None
    fetcher = context.platform.landing.fetcher()
    try:
        drawn = pool.submit(
            draw, source, context.config, fetcher, unit, shared_by(source, claimed.files), timeout=_PICTURE_SECONDS
        )
        return drawn.result(), unit[0].key
    except Exception as error:
        context.reporter.say(f"no picture of {unit[0].key}: {type(error).__name__}: {error}")
        return None, None


def _report(
    claimed: Claim,
    work: Work,
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
        refused=refused_files(claimed, work),
        rows=dict(rows),
        readers=dict(sorted(Counter(o.reader for o in outcomes if o.reader).items())),
        tables=tables,
        seconds=seconds,
        picture=picture,
        picture_key=picture_key,
    )
