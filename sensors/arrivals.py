"""The sensor of a source: sees what landed, closes batches, asks Dagster for one run each."""

# No postponed annotations here: Dagster reads those of the functions below.

import dagster as dg

from pipeline_assets.source_defs import SourceDefs, run_tags
from resources.ledger.batches import Batch, count_lost_request, due
from resources.logs import bound
from resources.platform import Platform
from sensors.dead_runs import end_dead_runs
from sensors.discovery import Discovery
from sensors.lingering import look_while_idle
from sensors.looking import plan_batches
from sensors.run_limits import keep_run_limits
from sensors.task_sizes import step_config, task_tags

_RUN_ENDED = {dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.SUCCESS}


def build_arrivals_sensor(
    defs: SourceDefs, interval_seconds: int, status: dg.DefaultSensorStatus
) -> dg.SensorDefinition:
    source = defs.source

    @dg.sensor(
        name=f"{source.name}_arrivals",
        job=defs.job,
        minimum_interval_seconds=interval_seconds,
        default_status=status,
        description=f"Looks for {source.name} files that landed and starts a run for each batch of them.",
    )
    @bound(source=source.name)
    def arrivals(context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]) -> dg.SensorResult:
        found = look_while_idle(platform, source)
        for skipped in found.skipped:
            context.log.warning(f"{skipped.name} is not taken: {skipped.reason}")
        for warning in found.warnings:
            context.log.warning(warning)
        if found.new_files:
            context.log.info(f"{len(found.new_files)} new files of {found.listed} keys")
        if platform.settings.runs_on == "machine":
            for run_id in end_dead_runs(context.instance, source, platform.settings.lease_seconds):
                context.log.warning(f"run {run_id} is dead; its batch is taken back if it was not finished")
        plan_batches(platform, source)
        keep_run_limits(context.instance, platform.settings, [source])
        batches = [batch for batch in due(platform.ledger, source.name) if _wants_run(context, platform, batch)]
        if not batches:
            return dg.SensorResult(skip_reason=_nothing_to_do(found, platform.landing.kind))
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(
                    run_key=batch.next_run_key,
                    partition_key=batch.partition,
                    tags={**run_tags(batch), **task_tags(platform.settings, batch)},
                    run_config=step_config(platform.settings, batch),
                )
                for batch in batches
            ],
            dynamic_partitions_requests=[defs.partitions.build_add_request([batch.partition for batch in batches])],
        )

    return arrivals


def _nothing_to_do(found: Discovery, place: str) -> str:
    more = f"; {found.unsettled} may still be being written, the next look decides" if found.unsettled else ""
    more += f"; {found.waiting} wait for the rest of their record" if found.waiting else ""
    more += f"; {found.passed} closed shards left out" if found.passed else ""
    more += "" if found.complete else "; the listing goes on at the next look"
    return f"no batch to start: {len(found.new_files)} new of {found.listed} in the {place}{more}"


def _wants_run(context: dg.SensorEvaluationContext, platform: Platform, batch: Batch) -> bool:
    """Whether a run is to be asked for now. A run already asked for is waited for, and if it ended before it could
    claim the batch, counted as an attempt, so that the next look asks for another."""
    runs = context.instance.get_runs(dg.RunsFilter(tags=run_tags(batch)), limit=1)
    if not runs:
        return True
    run = runs[0]
    if run.status in _RUN_ENDED:
        canceled = run.status == dg.DagsterRunStatus.CANCELED
        count_lost_request(
            platform.ledger,
            batch,
            f"run {run.run_id} ended ({run.status.value.lower()}) before it could claim the batch",
            max_attempts=platform.settings.max_attempts,
            hold=canceled,
        )
    return False
