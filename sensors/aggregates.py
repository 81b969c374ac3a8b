"""The one sensor of all aggregates: asks for a run once what a source published has come to rest, or has waited long."""

# No postponed annotations here: Dagster reads those of the functions below.

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from pipeline_assets.aggregate_defs import AggregateDefs, aggregate_job_name
from pipeline_assets.aggregate_run import is_behind
from pipeline_assets.failures import FailureKind
from pipeline_assets.run_tags import FAILURE_TAG
from resources.ledger.aggregates import Behind
from resources.platform import Platform
from resources.settings import Settings

_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_BACKOFF_SECONDS = 10.0
_BACKOFF_MOST_SECONDS = 600.0
_INTERVAL_SECONDS = 5


def build_aggregates_sensor(
    aggregates: Sequence[AggregateDefs], settings: Settings, status: dg.DefaultSensorStatus
) -> list[dg.SensorDefinition]:
    """The sensor; none when no source has an aggregate."""
    if not aggregates:
        return []

    @dg.sensor(
        name="aggregates",
        jobs=[one.job for one in aggregates],
        minimum_interval_seconds=max(settings.sensor_interval_seconds, _INTERVAL_SECONDS),
        default_status=status,
        description="Starts a run that updates a source's aggregates once the source has published nothing for "
        f"{settings.aggregate_quiet_seconds:g} s, or, while it goes on publishing, after "
        f"{settings.aggregate_delay_seconds:g} s.",
    )
    def due(context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]) -> dg.SensorResult:
        requests, reasons = [], []
        for one in aggregates:
            reason = _why_not(context.instance, platform, one)
            if reason:
                reasons.append(f"{one.source.name}: {reason}")
            else:
                requests.append(dg.RunRequest(job_name=aggregate_job_name(one.source)))
        return dg.SensorResult(run_requests=requests, skip_reason=None if requests else "; ".join(reasons))

    return [due]


def _why_not(instance: dg.DagsterInstance, platform: Platform, one: AggregateDefs) -> str:
    """Why no run is to be asked for now; empty when one is."""
    found = [is_behind(platform, one.source, aggregate, one.config) for aggregate in one.source.aggregates]
    lacking = [behind for behind in found if behind is not None]
    if not lacking:
        return "up to date"
    job = aggregate_job_name(one.source)
    if instance.get_runs(dg.RunsFilter(job_name=job, statuses=_UNFINISHED), limit=1):
        return "its run is queued or under way"
    now = datetime.now(UTC)
    rest = min(_due_at(behind, platform.settings) for behind in lacking) - now
    if rest > timedelta(0):
        return f"batches were published a moment ago; {rest.total_seconds():.0f} s to wait"
    return _wait_after_failure(instance, platform, job, lacking, now)


def _due_at(behind: Behind, settings: Settings) -> datetime:
    if behind.first is None or behind.last is None:
        return datetime.min.replace(tzinfo=UTC)
    quiet = behind.last + timedelta(seconds=settings.aggregate_quiet_seconds)
    return min(quiet, behind.first + timedelta(seconds=settings.aggregate_delay_seconds))


def _wait_after_failure(
    instance: dg.DagsterInstance, platform: Platform, job: str, lacking: Sequence[Behind], now: datetime
) -> str:
    """A run that failed is tried again later and later; after too many tries, or when a person canceled it, only once
    something more was published."""
    most = platform.settings.max_attempts
    records = instance.get_run_records(dg.RunsFilter(job_name=job), limit=most)
    failed = []
    for record in records:
        if record.dagster_run.status == dg.DagsterRunStatus.SUCCESS:
            break
        failed.append(record)
    if not failed:
        return ""
    newest = failed[0]
    ended = datetime.fromtimestamp(newest.end_time or newest.create_timestamp.timestamp(), UTC)
    has_news = any(behind.last is not None and behind.last > newest.create_timestamp for behind in lacking)
    canceled = newest.dagster_run.status == dg.DagsterRunStatus.CANCELED
    permanent = newest.dagster_run.tags.get(FAILURE_TAG) == FailureKind.PERMANENT
    if not has_news and (canceled or permanent or len(failed) >= most):
        what = "was canceled" if canceled else "would fail again" if permanent else f"failed {len(failed)} times"
        return f"its run {what}; the next comes with the next batch, or materialize the asset"
    wait = min(_BACKOFF_SECONDS * 2.0 ** (len(failed) - 1), _BACKOFF_MOST_SECONDS)
    rest = (ended + timedelta(seconds=wait) - now).total_seconds()
    return f"its run failed; {rest:.0f} s until the next try" if rest > 0 else ""
