"""Tells when a source's files stop coming, and when they come again. Where nothing arrives nothing runs, so no run tells it."""

# No postponed annotations here: Dagster reads those of the functions below.

from datetime import timedelta

import dagster as dg

from pipeline_assets.freshness import freshness_result
from pipeline_assets.source import FileSource
from pipeline_assets.source_defs import raw_key
from resources.ledger.alerts import Alert, AlertKind, record, settle
from resources.logs import bound
from resources.platform import Platform

_INTERVAL_SECONDS = 60


def build_freshness_sensor(source: FileSource, every: timedelta, status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"{source.name}_freshness",
        minimum_interval_seconds=_INTERVAL_SECONDS,
        default_status=status,
        description=f"Records the check `freshness` of {source.name} whenever its result changes.",
    )
    @bound(source=source.name)
    def freshness(context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]) -> dg.SensorResult:
        result = freshness_result(platform, source, every, raw_key(source))
        state = "fresh" if result.passed else f"stale ({result.severity.value})"
        if state == context.cursor:
            return dg.SensorResult(skip_reason=f"still {state}: {result.description}")
        log = context.log.info if result.passed else context.log.warning
        log(f"{source.name} is {state}: {result.description}")
        _note_alert(platform, source, result)
        evaluation = dg.AssetCheckEvaluation(
            asset_key=raw_key(source),
            check_name=result.check_name or "",
            passed=result.passed,
            severity=result.severity,
            description=result.description,
            metadata=result.metadata,
        )
        return dg.SensorResult(asset_events=[evaluation], cursor=state)

    return freshness


def _note_alert(platform: Platform, source: FileSource, result: dg.AssetCheckResult) -> None:
    """What the sensor `alerts` is to tell; late files anew once they are an error."""
    with platform.ledger.write() as connection:
        if result.passed:
            settle(connection, kind=AlertKind.STALE, source=source.name)
            return
        severity = result.severity.value
        record(
            connection,
            Alert(
                f"{AlertKind.STALE}/{source.name}/{severity}",
                AlertKind.STALE,
                source.name,
                title=f"{source.name}: files are late ({severity})",
                text=result.description or "",
                commands=(f"strandline files --source {source.name}",),
            ),
        )
