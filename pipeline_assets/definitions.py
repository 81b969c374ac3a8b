"""The roof: the whole platform as Dagster sees it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

import dagster as dg
from dagster import BetaWarning, PreviewWarning

from pipeline_assets.registry import SOURCES
from pipeline_assets.source import FileSource
from pipeline_assets.source_defs import LogReporter, ReporterFactory, build_source_defs
from resources.platform import Platform
from resources.settings import load_source_config
from sensors.arrivals import build_arrivals_sensor


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
    built = [
        build_source_defs(source, load_source_config(source.config, source.name), platform) for source in chosen.sources
    ]
    interval = platform.settings.sensor_interval_seconds
    return dg.Definitions(
        assets=[asset for source in built for asset in source.assets],
        asset_checks=[check for source in built for check in source.checks],
        jobs=[source.job for source in built],
        sensors=[build_arrivals_sensor(source, interval, chosen.sensor_status) for source in built],
        resources={"platform": platform, "reporter": chosen.reporter},
        # A batch's steps share one process: starting a process for each would cost more than the steps.
        executor=dg.in_process_executor,
    )


defs = build_defs()
