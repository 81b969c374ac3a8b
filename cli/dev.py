"""`strandline dev`: Dagster's own `dagster dev` on this deployment's instance."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from cli.instance import make_databases, renew_config
from resources.settings import Settings

_WORKSPACE = Path(__file__).parent.parent / "workspace.yaml"


def run_dagster_dev(settings: Settings, options: Sequence[str]) -> None:
    """Become `dagster dev`. Does not return."""
    renew_config(settings)
    make_databases(settings)
    if settings.max_runs_of:
        _keep_run_limits(settings)
    if settings.landing_folder is not None:
        settings.landing_folder.mkdir(parents=True, exist_ok=True)
    # The UI's processes start elsewhere: they must mean the same home as this one.
    os.environ["STRANDLINE_HOME"] = str(settings.home)
    # Started in the background of a script, this process may ignore Ctrl-C; `dagster dev` needs it to stop cleanly.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    log_format = ("--log-format", "json") if settings.log_format == "json" else ()
    os.execv(sys.executable, [sys.executable, "-m", "dagster", "dev", "-w", str(_WORKSPACE), *log_format, *options])


def _keep_run_limits(settings: Settings) -> None:
    """Before anything can start a run; while it goes on, every look of a source's sensor does the same."""
    from dagster import DagsterInstance

    from pipeline_assets.registry import SOURCES
    from sensors.run_limits import keep_run_limits

    with DagsterInstance.get() as instance:
        keep_run_limits(instance, settings, SOURCES)
