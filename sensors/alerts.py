"""Looks in the ledger and in Dagster's event log for what people should know, and tells them.

Each look notes in one transaction of the ledger what it found and how far it came, so nothing is passed over and nothing
counted twice, whoever looks: the sensor, or a drain at its end.
"""

# No postponed annotations here: Dagster reads those of the functions below.

import json
import shlex
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import dagster as dg
from sqlalchemy import Connection, String, cast, func, literal, select

from pipeline_assets.freshness import FRESHNESS
from pipeline_assets.source import FileSource
from pipeline_assets.source_defs import BATCH_TAG, SOURCE_TAG, only_partition
from resources.ledger import Ledger
from resources.ledger.alerts import Alert, AlertKind, forget_position, position, record, set_position, settle
from resources.ledger.batches import Batch, BatchState, NotClaimed, get_batch
from resources.ledger.database import utc_now
from resources.ledger.tables import alerts as alert_rows
from resources.ledger.tables import batches, files, quarantine
from resources.platform import Platform
from resources.telling import tell_people
from sensors.tick_alerts import look_for_failed_ticks

_INTERVAL_SECONDS = 30
_FIRST_LOOK_BACK = timedelta(days=1)
"""The first look of all tells nothing older."""
_RUNS_AT_ONCE = 50
_HELD_AT_ONCE = 200
_MOST_CLASSES = 10
_ENDED: dict[str, Any] = {"succeeded": dg.DagsterEventType.RUN_SUCCESS, "failed": dg.DagsterEventType.RUN_FAILURE}


def build_alerts_sensor(sources: Sequence[FileSource], status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    @dg.sensor(
        name="alerts",
        minimum_interval_seconds=_INTERVAL_SECONDS,
        default_status=status,
        description="Tells people of failed runs and ticks, held batches, failed checks, refused files, files that are late, "
        "and what reconciling found: by Slack if STRANDLINE_SLACK_TOKEN is set, else by log lines.",
    )
    def alerts(context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]) -> dg.SkipReason:
        look_for_alerts(context.instance, platform, sources)
        told = tell_people(platform, budget_seconds=platform.settings.tick_budget_seconds / 2)
        if told.error:
            return dg.SkipReason(f"{told.alerts} alerts told; not delivered, to be tried again: {told.error}")
        return dg.SkipReason(f"{told.alerts} alerts told")

    return alerts


def look_for_alerts(instance: dg.DagsterInstance, platform: Platform, sources: Sequence[FileSource]) -> None:
    """Enter into the ledger what happened since the last look. Telling it is another matter."""
    _look_for_held(platform.ledger)
    every = timedelta(minutes=platform.settings.alert_digest_minutes)
    for source in sources:
        _look_for_refused(platform.ledger, source, every)
    look_for_failed_ticks(instance, platform.ledger, sources)
    for outcome in _ENDED:
        _look_at_ended_runs(instance, platform, sources, outcome)


def _look_for_held(ledger: Ledger) -> None:
    key = literal(f"{AlertKind.BATCH_HELD}/") + batches.c.batch_id + "/" + cast(batches.c.attempt, String)
    query = (
        select(batches.c.batch_id)
        .where(batches.c.state == BatchState.HELD.value)
        .where(~select(alert_rows.c.key).where(alert_rows.c.key == key).exists())
        .order_by(batches.c.batch_id)
        .limit(_HELD_AT_ONCE)
    )
    with ledger.read() as connection:
        held = list(connection.scalars(query))
    found = [get_batch(ledger, batch_id) for batch_id in held]
    with ledger.write() as connection:
        for batch in found:
            if batch.state == BatchState.HELD:
                record(connection, _held_alert(connection, batch))


def _held_alert(connection: Connection, batch: Batch) -> Alert:
    first = _first_file(connection, batch.batch_id)
    return Alert(
        f"{AlertKind.BATCH_HELD}/{batch.batch_id}/{batch.attempt}",
        AlertKind.BATCH_HELD,
        batch.source,
        title=f"{batch.source}: batch {batch.batch_id} is held ({batch.files} files)",
        text=batch.error or "It waits for a person.",
        file=first,
        run_id=batch.run_id,
        commands=(*_explain(first), f"strandline files --batch {batch.batch_id}"),
    )


def _first_file(connection: Connection, batch_id: str) -> str | None:
    return connection.scalar(select(files.c.key).where(files.c.batch_id == batch_id).order_by(files.c.seq).limit(1))


def _explain(key: str | None) -> tuple[str, ...]:
    return (f"strandline explain {shlex.quote(key)}",) if key else ()


def _look_for_refused(ledger: Ledger, source: FileSource, every: timedelta) -> None:
    name = f"{AlertKind.QUARANTINE}/{source.name}"
    now = utc_now()
    with ledger.read() as connection:
        before = position(connection, name)
    if before is not None and now - before.at < every:
        return
    news = [quarantine.c.source == source.name]
    news.append(
        quarantine.c.seq > int(before.text) if before else quarantine.c.quarantined_at >= now - _FIRST_LOOK_BACK
    )
    with ledger.read() as connection:
        by_class = connection.execute(
            select(quarantine.c.error_class, func.count(quarantine.c.file_id.distinct()), func.max(quarantine.c.seq))
            .where(*news)
            .group_by(quarantine.c.error_class)
            .order_by(func.count(quarantine.c.file_id.distinct()).desc(), quarantine.c.error_class)
        ).all()
        if not by_class:
            return
        newest = max(row[2] for row in by_class)
        first = connection.execute(
            select(quarantine).where(*news, quarantine.c.seq <= newest).order_by(quarantine.c.seq).limit(1)
        ).one()
    counts = [f"{error_class} {count}" for error_class, count, _ in by_class[:_MOST_CLASSES]]
    more = f" and {len(by_class) - _MOST_CLASSES} other classes" if len(by_class) > _MOST_CLASSES else ""
    total = sum(row[1] for row in by_class)
    place = f" ({first.location})" if first.location else ""
    alert = Alert(
        f"{name}/{newest}",
        AlertKind.QUARANTINE,
        source.name,
        title=f"{source.name}: {total} more file{'' if total == 1 else 's'} refused",
        text=f"{', '.join(counts)}{more}. First: {first.error_class}{place}: {first.error}",
        file=first.key,
        run_id=first.run_id,
        commands=(*_explain(first.key), f"strandline quarantine list --source {source.name}"),
    )
    with ledger.write() as connection:
        if position(connection, name) == before:  # else somebody else looked at the same time
            record(connection, alert)
            set_position(connection, name, str(newest))


def _look_at_ended_runs(
    instance: dg.DagsterInstance, platform: Platform, sources: Sequence[FileSource], outcome: str
) -> None:
    name = f"runs/{outcome}"
    ledger = platform.ledger
    with ledger.read() as connection:
        before = position(connection, name)
    since = None if before else (utc_now() - _FIRST_LOOK_BACK).timestamp()
    wanted = dg.RunStatusChangeRecordsFilter(_ENDED[outcome], after_timestamp=since)
    seen, cursor = json.loads(before.text) if before else (-1, None)
    ended = instance.fetch_run_status_changes(wanted, limit=_RUNS_AT_ONCE, cursor=cursor, ascending=True)
    if not ended.records:
        newest = instance.fetch_run_status_changes(_ENDED[outcome], limit=1).records
        if before is not None and (not newest or newest[0].storage_id < seen):
            # Dagster's storage was replaced; the old position would pass over everything to come.
            with ledger.write() as connection:
                forget_position(connection, name)
        return
    found = []
    checks: list[tuple[dg.AssetCheckEvaluation, str]] = []
    for ended_record in ended.records:
        run = instance.get_run_by_id(ended_record.event_log_entry.run_id)
        if run is None:
            continue
        if outcome == "failed":
            found.append(_failure_alert(instance, platform, sources, run))
        checks += [(evaluation, run.run_id) for evaluation in _evaluations(instance, run.run_id)]
    with ledger.write() as connection:
        if position(connection, name) != before:
            return
        for alert in found:
            if alert is not None:
                record(connection, alert)
        for evaluation, run_id in checks:
            _note_check(connection, evaluation, run_id)
        set_position(connection, name, json.dumps([ended.records[-1].storage_id, ended.cursor]))


def _evaluations(instance: dg.DagsterInstance, run_id: str) -> Iterator[dg.AssetCheckEvaluation]:
    records = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION).records
    for one in records:
        event = one.event_log_entry.dagster_event
        if event is not None:
            yield event.asset_check_evaluation_data


def _note_check(connection: Connection, evaluation: dg.AssetCheckEvaluation, run_id: str) -> None:
    asset = evaluation.asset_key.to_user_string()
    source = evaluation.asset_key.path[0]
    if evaluation.check_name == FRESHNESS:
        return  # told by the sensor that watches it
    partition = evaluation.partition
    key = f"{AlertKind.CHECK_FAILED}/{asset}/{evaluation.check_name}/{partition or ''}"
    if evaluation.passed:
        settle(connection, kind=AlertKind.CHECK_FAILED, source=source, key=key)
    elif evaluation.severity == dg.AssetCheckSeverity.ERROR:
        of = f" of {partition}" if partition else ""
        first = _first_file(connection, partition) if partition else None
        record(
            connection,
            Alert(
                key,
                AlertKind.CHECK_FAILED,
                source,
                title=f"{asset}: check {evaluation.check_name}{of} failed",
                text=evaluation.description or "It gave no description.",
                run_id=run_id,
                commands=(f"strandline files --batch {partition}",) if first else (),
            ),
        )


def _failure_alert(
    instance: dg.DagsterInstance, platform: Platform, sources: Sequence[FileSource], run: dg.DagsterRun
) -> Alert | None:
    """What to tell of a failed run; None where the batch is held for it, which is told instead.

    While the batch will be tried again, its first failure is told and the following ones only counted.
    """
    source = run.tags.get(SOURCE_TAG, "")
    error = _first_error(instance, run.run_id)
    batch = _batch_of(platform.ledger, sources, run)
    if batch is None:
        partition = only_partition(run.tags) or ""
        of = f" of {partition}" if partition else ""
        return Alert(
            f"{AlertKind.RUN_FAILED}/{run.job_name}/{partition}",
            AlertKind.RUN_FAILED,
            source or run.job_name,
            title=f"{source or run.job_name}: run of {run.job_name}{of} failed",
            text=error,
            run_id=run.run_id,
        )
    if batch.state == BatchState.HELD:
        return None
    failed = batch.attempt - batch.attempts_before
    then = {
        BatchState.PLANNED: f"It is tried again ({failed} of {platform.settings.max_attempts} attempts made).",
        BatchState.RUNNING: "It is being tried again.",
        BatchState.FINISHED: "Its rows are published all the same.",
    }[batch.state]
    with platform.ledger.read() as connection:
        first = _first_file(connection, batch.batch_id)
    return Alert(
        f"{AlertKind.RUN_FAILED}/{batch.batch_id}/{batch.attempts_before}",
        AlertKind.RUN_FAILED,
        batch.source,
        title=f"{batch.source}: run of batch {batch.batch_id} failed ({batch.files} files)",
        text=f"{error}\n{then}",
        file=first,
        run_id=run.run_id,
        commands=_explain(first),
    )


def _batch_of(ledger: Ledger, sources: Sequence[FileSource], run: dg.DagsterRun) -> Batch | None:
    source = next((one for one in sources if one.name == run.tags.get(SOURCE_TAG)), None)
    partition = only_partition(run.tags)
    batch_id = run.tags.get(BATCH_TAG) or (source.batch_of(partition) if source and partition else None)
    if batch_id is None:
        return None
    try:
        return get_batch(ledger, batch_id)
    except NotClaimed:
        return None


def _first_error(instance: dg.DagsterInstance, run_id: str) -> str:
    """What a failed run says of why, in its innermost words."""
    for event_type in (dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE):
        records = instance.get_records_for_run(run_id, of_type=event_type, limit=1).records
        for one in records:
            event = one.event_log_entry.dagster_event
            data: Any = event.event_specific_data if event is not None else None
            failure = getattr(data, "user_failure_data", None)
            if failure is not None and failure.description:
                return str(failure.description)
            error = getattr(data, "error", None)
            while error is not None and error.cause is not None:
                error = error.cause
            if error is not None:
                return str(error.message).strip()
            if event is not None and event.message:
                return str(event.message)
    return "It gave no reason."
