"""Assets of the health source that are made apart from its batches: completeness against a listing, and a trial of schemas.

They call what the commands of `strandline health` call.
"""

# No postponed annotations here: Dagster reads those of the functions below.

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from pipeline_assets import metadata
from pipeline_assets.aggregate_defs import PRIORITY_TAG
from pipeline_assets.code_version import code_version
from pipeline_assets.health.config import HealthConfig
from pipeline_assets.health.operations.completeness import Completeness, completeness
from pipeline_assets.health.operations.listing import FUNCTION, BadListing, source_records
from pipeline_assets.health.operations.sample import Tried, try_sample
from pipeline_assets.health.schemas import MappingError
from pipeline_assets.operations.schedules import unfinished
from pipeline_assets.own_defs import OwnDefs
from pipeline_assets.source import FileSource
from pipeline_assets.source_defs import PROCESS_TAG, SOURCE_TAG
from resources.errors import UserError
from resources.ledger.leases import this_process
from resources.platform import Platform

COMPLETENESS, SAMPLE = "health_completeness", "health_sample"
"""Their jobs."""
COMPLETE, ALL_TAKEN = "complete", "all_are_taken"

_CRON = "7 * * * *"
"""In UTC. The original compares every hour, too."""
_MOST_SHOWN = 20
_MOST_TO_SEND = 200
_LONGEST_WHY = 200


class ListingConfig(dg.Config):
    """What a person may ask for when materializing `health/completeness`."""

    listing: str = Field(
        "",
        description="a .csv, .json or .ndjson file with recordid and perhaps exportedon, or synapse:VIEW. Empty: "
        "STRANDLINE_HEALTH_LISTING",
    )


class SchemasConfig(dg.Config):
    """What a person may ask for when materializing `health/sample`."""

    schemas: str = Field(
        "", description="folder with the candidate schemas. Empty: STRANDLINE_HEALTH_CANDIDATE_SCHEMAS"
    )


def build_health_defs(source: FileSource, settings: HealthConfig, status: dg.DefaultSensorStatus) -> OwnDefs:
    """Completeness has a schedule once a listing is set, which follows the sensors' `status`."""
    jobs = {
        COMPLETENESS: dg.define_asset_job(
            COMPLETENESS,
            selection=dg.AssetSelection.assets(_key(source, "completeness")),
            description="Compares a listing of the source's records with what landed.",
            tags={PRIORITY_TAG: "-1", SOURCE_TAG: source.name},
        ),
        SAMPLE: dg.define_asset_job(
            SAMPLE,
            selection=dg.AssetSelection.assets(_key(source, "sample")),
            description="Reads one archive of each app version with candidate schemas, and changes nothing.",
            tags={PRIORITY_TAG: "-1", SOURCE_TAG: source.name},
        ),
    }
    schedules = (_schedule(jobs[COMPLETENESS], status),) if settings.listing else ()
    return OwnDefs((_completeness(source, settings), _sample(source, settings)), tuple(jobs.values()), schedules)


def _key(source: FileSource, name: str) -> dg.AssetKey:
    return dg.AssetKey([source.name, name])


def _told(
    source: FileSource, name: str, function: Callable[..., Any], command: str, description: str
) -> dict[str, Any]:
    """What each of these assets says of itself. function: the one that does the work."""
    return {
        "key": _key(source, name),
        "deps": [_key(source, "records")],
        "group_name": source.name,
        "owners": list(source.owners),
        "kinds": {"python"},
        "tags": {SOURCE_TAG: source.name},
        "description": description,
        "metadata": {"by hand": command, **metadata.code_references([function])},
        "code_version": code_version(frozenset({inspect.getmodule(function).__name__})),  # type: ignore[union-attr]
    }


def _completeness(source: FileSource, settings: HealthConfig) -> dg.AssetsDefinition:
    key = _key(source, "completeness")
    spec = dg.AssetCheckSpec(
        COMPLETE,
        asset=key,
        description="Every record of the listing is processed, in its latest export. An error if some are missing, outdated or "
        "refused, a warning if they are under way.",
    )
    told = _told(
        source, "completeness", completeness, "strandline health completeness LISTING",
        "What became of every record that the source says it has: the listing of its records against what landed.",
    )  # fmt: skip

    @dg.asset(**told, check_specs=[spec])
    def health_completeness(
        context: dg.AssetExecutionContext, config: ListingConfig, platform: dg.ResourceParam[Platform]
    ) -> dg.MaterializeResult:
        context.instance.add_run_tags(context.run.run_id, {PROCESS_TAG: this_process()})
        listing = config.listing or settings.listing or ""
        if not listing:
            raise _failure(
                "No listing is named. Set STRANDLINE_HEALTH_LISTING, or name one in the run's configuration: `listing`"
            )
        if config.listing.startswith(FUNCTION):
            raise _failure("A run's configuration names no function to call. Set STRANDLINE_HEALTH_LISTING to it")
        try:
            found = completeness(platform, source_records(listing))
        except BadListing as error:
            raise _failure(str(error)) from error
        return dg.MaterializeResult(
            metadata={"listing": listing, **_statuses(found)}, check_results=[_complete(found, key)]
        )

    return health_completeness


def _statuses(found: Completeness) -> dict[str, Any]:
    unfinished_ones = [one for one in found.records if one.status not in {"processed", "not_listed"}]
    to_send = [one.recordid for one in found.to_send()]
    shown: dict[str, Any] = {
        "records": len(found.records),
        **{f"{status} records": found.counts.get(status, 0) for status in _STATUSES},
    }
    if unfinished_ones:
        shown["first that are not processed"] = dg.MetadataValue.md(
            _md_table(
                ("record", "status", "why"),
                ((one.recordid, one.status, f"{one.error_class}: {one.error}" if one.error_class else one.source_key)
                 for one in unfinished_ones[:_MOST_SHOWN]),
            )
        )  # fmt: skip
    if to_send:
        more = f" and {len(to_send) - _MOST_TO_SEND:,} more" if len(to_send) > _MOST_TO_SEND else ""
        shown["to be exported (again)"] = ", ".join(to_send[:_MOST_TO_SEND]) + more
    return shown


_STATUSES = ("processed", "outdated", "refused", "in_progress", "missing", "not_listed")


def _complete(found: Completeness, key: dg.AssetKey) -> dg.AssetCheckResult:
    counts = {status: found.counts.get(status, 0) for status in ("missing", "outdated", "refused", "in_progress")}
    said = ", ".join(f"{count:,} {status}" for status, count in counts.items() if count)
    is_wrong = any(count for status, count in counts.items() if status != "in_progress")
    listed = sum(count for status, count in found.counts.items() if status != "not_listed")
    return dg.AssetCheckResult(
        check_name=COMPLETE,
        asset_key=key,
        passed=found.is_complete,
        severity=dg.AssetCheckSeverity.ERROR if is_wrong else dg.AssetCheckSeverity.WARN,
        description=f"of {listed:,} listed records: {said}" if said else f"all {listed:,} listed records are processed",
        metadata=counts,
    )


def _sample(source: FileSource, settings: HealthConfig) -> dg.AssetsDefinition:
    key = _key(source, "sample")
    spec = dg.AssetCheckSpec(
        ALL_TAKEN,
        asset=key,
        description="With the candidate schemas no record of the sample would be refused.",
    )
    told = _told(
        source, "sample", try_sample, "strandline health sample FOLDER",
        "The newest record of each app version, system, assessment and revision, read with candidate schemas: what it would "
        "become, or why it would be refused. Changes nothing.",
    )  # fmt: skip

    @dg.asset(**told, check_specs=[spec])
    def health_sample(
        context: dg.AssetExecutionContext, config: SchemasConfig, platform: dg.ResourceParam[Platform]
    ) -> dg.MaterializeResult:
        context.instance.add_run_tags(context.run.run_id, {PROCESS_TAG: this_process()})
        candidate = Path(config.schemas) if config.schemas else settings.candidate_schemas
        if candidate is None:
            raise _failure(
                "No candidate schemas are named. Name their folder in the run's configuration, `schemas`, or set "
                "STRANDLINE_HEALTH_CANDIDATE_SCHEMAS"
            )
        try:
            tried = try_sample(platform, source, settings, candidate)
        except (UserError, MappingError) as error:
            raise _failure(str(error)) from error
        return dg.MaterializeResult(
            metadata={"schemas": str(candidate), **_outcomes(tried)}, check_results=[_all_taken(tried, key)]
        )

    return health_sample


def _outcomes(tried: list[Tried]) -> dict[str, Any]:
    # Refused ones first: a table has room for a few only.
    shown = sorted(tried, key=lambda one: one.is_good)[:_MOST_SHOWN]
    rows = [
        (
            ", ".join(str(value) for value in one.version.values() if value is not None),
            one.recordid,
            f"{sum(one.rows.values()):,} rows of {len(one.rows)} tables"
            + (f"; {one.unmapped} files unmapped" * bool(one.unmapped))
            if one.is_good
            else f"refused: {one.error_class}: {one.error}",
        )
        for one in shown
    ]
    return {
        "app versions": len(tried),
        "would be refused": sum(not one.is_good for one in tried),
        "files of no dataset": sum(one.unmapped for one in tried),
        "outcome": dg.MetadataValue.md(
            _md_table(("app, system, version, assessment, revision", "record", "becomes"), rows)
        ),
    }


def _all_taken(tried: list[Tried], key: dg.AssetKey) -> dg.AssetCheckResult:
    wrong = [one for one in tried if not one.is_good]
    return dg.AssetCheckResult(
        check_name=ALL_TAKEN,
        asset_key=key,
        passed=not wrong,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{len(wrong)} of {len(tried)} app versions would be refused. First: {wrong[0].recordid}: "
        f"{wrong[0].error_class}: {wrong[0].error}"[:2000]
        if wrong
        else f"a record of each of {len(tried)} app versions would be taken",
        metadata={"app versions": len(tried), "would be refused": len(wrong)},
    )


def _failure(why: str) -> dg.Failure:
    return dg.Failure(why, allow_retries=False)


def _md_table(names: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [tuple(names)]
    lines += [tuple(_cell(text) for text in row) for row in rows]
    lines.insert(1, tuple("---" for _ in lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    short = text if len(text) <= _LONGEST_WHY else text[: _LONGEST_WHY - 1] + "…"
    return short.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def _schedule(job: Any, status: dg.DefaultSensorStatus) -> dg.ScheduleDefinition:
    is_on = status == dg.DefaultSensorStatus.RUNNING

    @dg.schedule(
        name=job.name,
        job=job,
        cron_schedule=_CRON,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING if is_on else dg.DefaultScheduleStatus.STOPPED,
        description=f"{job.description} Skips while an earlier run is under way.",
    )
    def due(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        under_way = unfinished(context.instance, job.name)
        if under_way:
            return dg.SkipReason(f"run {under_way} of {job.name} is queued or under way")
        return dg.RunRequest()

    return due
