"""When the assets about the platform are made: four schedules, each of one job, never two runs of one job at once."""

# No postponed annotations here: Dagster reads those of the functions below.

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from pipeline_assets.aggregate_defs import PRIORITY_TAG
from pipeline_assets.operations.assets import (
    BALANCE_KEY,
    HEALTH_KEY,
    HISTORY_KEY,
    MAINTENANCE_KEY,
    NONE_LEFT,
    build_assets,
    build_checks,
)
from pipeline_assets.operations.maintain import has_piled_up
from pipeline_assets.source import FileSource
from pipeline_assets.source_defs import PROCESS_TAG
from resources.ledger.leases import is_dead
from resources.platform import Platform

_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_LEFT = dg.AssetCheckKey(BALANCE_KEY, NONE_LEFT)

HEALTH_JOB, BALANCE_JOB, MAINTENANCE_JOB = "platform_health", "ledger_balance", "lake_maintenance"
HISTORY_JOB = "dagster_history"
CRONS = {
    HEALTH_JOB: "*/5 * * * *",
    # Reads a column of every data file: not more often than somebody would look at it.
    BALANCE_JOB: "17 */6 * * *",
    # At the 41st minute always, at the others where small files have piled up. How much there is to do does not depend on how
    # often it is done.
    MAINTENANCE_JOB: "1-56/5 * * * *",
    HISTORY_JOB: "23 3 * * *",
}
"""In UTC; off the full hour, when other things start."""
_MAINTENANCE_MINUTE = 41
_SMALL_TASK = {"ecs/cpu": "512", "ecs/memory": "2048"}
"""Where runs are tasks of Amazon ECS: 288 runs a day that ask the ledger some questions need no more."""


@dataclass(frozen=True)
class OperationsDefs:
    """What Dagster knows of the platform's own assets."""

    assets: tuple[dg.AssetsDefinition, ...]
    checks: tuple[dg.AssetChecksDefinition, ...]
    jobs: tuple[Any, ...]
    schedules: tuple[dg.ScheduleDefinition, ...]


def build_operations_defs(sources: Sequence[FileSource], status: dg.DefaultSensorStatus) -> OperationsDefs:
    """status: of the sensors; the schedules follow it."""
    left = dg.AssetSelection.checks(_LEFT)
    selections = {
        HEALTH_JOB: (
            dg.AssetSelection.assets(HEALTH_KEY).without_checks() | left,
            "Health numbers, and files left lying.",
        ),
        BALANCE_JOB: (dg.AssetSelection.assets(BALANCE_KEY), "Compares landing store, ledger and tables."),
        MAINTENANCE_JOB: (dg.AssetSelection.assets(MAINTENANCE_KEY), "Keeps the lake's tables quick to read."),
        HISTORY_JOB: (dg.AssetSelection.assets(HISTORY_KEY), "Keeps Dagster's own history in bounds."),
    }
    # Batches that wait in the queue go first.
    jobs = tuple(
        dg.define_asset_job(
            name,
            selection=selection,
            description=description,
            tags={PRIORITY_TAG: "-1", **(_SMALL_TASK if name == HEALTH_JOB else {})},
        )
        for name, (selection, description) in selections.items()
    )
    is_on = status == dg.DefaultSensorStatus.RUNNING
    on = dg.DefaultScheduleStatus.RUNNING if is_on else dg.DefaultScheduleStatus.STOPPED
    schedules = tuple(
        _maintenance_schedule(job, on, sources) if job.name == MAINTENANCE_JOB else _schedule(job, on) for job in jobs
    )
    return OperationsDefs(build_assets(sources), build_checks(sources), jobs, schedules)


def _schedule(job: Any, status: dg.DefaultScheduleStatus) -> dg.ScheduleDefinition:
    @dg.schedule(**_told(job, status))
    def due(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return _one_at_a_time(context.instance, job.name)

    return due


def _maintenance_schedule(
    job: Any, status: dg.DefaultScheduleStatus, sources: Sequence[FileSource]
) -> dg.ScheduleDefinition:
    @dg.schedule(**_told(job, status))
    def due(
        context: dg.ScheduleEvaluationContext, platform: dg.ResourceParam[Platform]
    ) -> dg.RunRequest | dg.SkipReason:
        is_the_hour = context.scheduled_execution_time.minute == _MAINTENANCE_MINUTE
        if is_the_hour or any(has_piled_up(platform, source) for source in sources):
            return _one_at_a_time(context.instance, job.name)
        most = platform.settings.compact_small_files
        return dg.SkipReason(
            f"no table has more than {most} small data files; the next is at minute {_MAINTENANCE_MINUTE}"
        )

    return due


def _told(job: Any, status: dg.DefaultScheduleStatus) -> dict[str, Any]:
    return {
        "name": job.name,
        "job": job,
        "cron_schedule": CRONS[job.name],
        "execution_timezone": "UTC",
        "default_status": status,
        "description": f"{job.description} Skips while an earlier run is under way.",
    }


def _one_at_a_time(instance: dg.DagsterInstance, job_name: str) -> dg.RunRequest | dg.SkipReason:
    under_way = unfinished(instance, job_name)
    if under_way:
        return dg.SkipReason(f"run {under_way} of {job_name} is queued or under way")
    return dg.RunRequest()


def unfinished(instance: dg.DagsterInstance, job_name: str) -> str:
    """A run of the job that has not ended; empty without one. One whose process died without a word is ended here, because
    it would keep its place in the queue for ever."""
    found = ""
    for run in instance.get_runs(dg.RunsFilter(job_name=job_name, statuses=_UNFINISHED)):
        process = run.tags.get(PROCESS_TAG)
        if process is not None and is_dead(process):
            instance.report_run_failed(run, "The run's process ended without a word (killed, or its machine stopped).")
        else:
            found = run.run_id
    return found
