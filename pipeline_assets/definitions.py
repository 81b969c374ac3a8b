"""The roof: the whole platform as Dagster sees it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import dagster as dg
from dagster import BetaWarning, PreviewWarning

from pipeline_assets.aggregate_defs import AggregateDefs, build_aggregate_defs
from pipeline_assets.health.assets import build_health_defs
from pipeline_assets.operations.schedules import build_operations_defs
from pipeline_assets.own_defs import OwnDefs
from pipeline_assets.registry import SOURCES
from pipeline_assets.source import FileSource
from pipeline_assets.source_defs import LogReporter, ReporterFactory, SourceDefs, build_source_defs
from resources.logs import configure_service_logs
from resources.platform import Platform
from resources.settings import PREFIX, Settings, SettingsError, load_source_config
from sensors.aggregates import build_aggregates_sensor
from sensors.alerts import build_alerts_sensor
from sensors.arrivals import build_arrivals_sensor
from sensors.caris_host import build_caris_host_sensor
from sensors.freshness import build_freshness_sensor
from sensors.products import build_products_sensor
from sensors.pruning import build_pruning_sensor

OWN_DEFS: Mapping[str, Callable[[FileSource, Any, dg.DefaultSensorStatus], OwnDefs]] = {"health": build_health_defs}
"""By source, what it has beyond what follows from its declaration."""


@dataclass(frozen=True)
class Overrides:
    """What a test or the command line puts in place of the usual."""

    sources: tuple[FileSource, ...] = SOURCES
    platform: Platform | None = None
    reporter: ReporterFactory = LogReporter
    sensor_status: dg.DefaultSensorStatus = field(default=dg.DefaultSensorStatus.RUNNING)


def build_defs(overrides: Overrides | None = None) -> dg.Definitions:
    """Everything, made anew. Reads settings; touches no file, network or database."""
    chosen = overrides or Overrides()
    platform = chosen.platform or Platform.from_environment()
    with warnings.catch_warnings():
        # What we use of Dagster's beta (code references, backfill policies) and preview (partitioned checks) is
        # pinned with it and tested; saying so at every start helps nobody.
        warnings.simplefilter("ignore", BetaWarning)
        warnings.simplefilter("ignore", PreviewWarning)
        return _build(chosen, platform)


def _build(chosen: Overrides, platform: Platform) -> dg.Definitions:
    _refuse_unknown_sources(platform.settings, {source.name for source in (*SOURCES, *chosen.sources)})
    configs = {source.name: load_source_config(source.config, source.name) for source in chosen.sources}
    built = [build_source_defs(source, configs[source.name], platform) for source in chosen.sources]
    over_all = [build_aggregate_defs(source, configs[source.name], platform) for source in chosen.sources]
    aggregates = [one for one in over_all if one is not None]
    groups: list[SourceDefs | AggregateDefs] = [*built, *aggregates]
    own = [
        OWN_DEFS[one.name](one, configs[one.name], chosen.sensor_status)
        for one in chosen.sources
        if one.name in OWN_DEFS
    ]
    operations = build_operations_defs(chosen.sources, chosen.sensor_status)
    interval = platform.settings.sensor_interval_seconds
    return dg.Definitions(
        assets=[
            *(asset for one in groups for asset in one.assets),
            *(asset for one in own for asset in one.assets),
            *operations.assets,
        ],
        asset_checks=[*(check for one in groups for check in one.checks), *operations.checks],
        jobs=[
            *(one.job for one in groups),
            *(one.products_job for one in built if one.products_job is not None),
            *(job for one in own for job in one.jobs),
            *operations.jobs,
        ],
        schedules=[*(schedule for one in own for schedule in one.schedules), *operations.schedules],
        sensors=[
            *(build_arrivals_sensor(one, interval, chosen.sensor_status) for one in built),
            *build_aggregates_sensor(aggregates, platform.settings, chosen.sensor_status),
            *build_products_sensor(built, platform.settings, chosen.sensor_status),
            *(
                build_freshness_sensor(one.source, one.expect_every, chosen.sensor_status)
                for one in built
                if one.expect_every is not None
            ),
            *build_caris_host_sensor(platform.caris, chosen.sensor_status),
            build_pruning_sensor(chosen.sources, chosen.sensor_status),
            build_alerts_sensor(chosen.sources, chosen.sensor_status),
        ],
        resources={"platform": platform, "reporter": chosen.reporter},
        # A batch's steps share one process: starting a process for each would cost more than the steps.
        executor=_executor(platform.settings),
    )


def _executor(settings: Settings) -> dg.ExecutorDefinition:
    if settings.runs_on != "ecs":
        return dg.in_process_executor
    from resources.ecs.executor import task_executor

    return task_executor


def _refuse_unknown_sources(settings: Settings, known: set[str]) -> None:
    for name in ("expect_every_hours", "group_quiet_seconds", "max_runs_of", "folders", "task_per_step"):
        unknown = sorted(set(getattr(settings, name)) - known)
        if unknown:
            raise SettingsError(
                f"{PREFIX}{name.upper()} names no source: {', '.join(unknown)}. Sources: {', '.join(sorted(known))}."
            )
    prefixes = sorted((settings.prefix_of(name), name) for name in known)
    for (outer, one), (inner, other) in combinations(prefixes, 2):
        if inner.startswith(outer):
            raise SettingsError(
                f"{PREFIX}FOLDERS: the folder {inner!r} of {other} is in the folder {outer!r} of {one}, so both would take its "
                "files. Choose folders apart from each other."
            )


configure_service_logs(Settings.load())
defs = build_defs()
