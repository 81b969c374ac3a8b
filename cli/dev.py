"""`strandline dev`: Dagster's own `dagster dev` on this deployment's instance, and the rates API beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from cli.instance import make_databases, renew_config
from resources.settings import Settings

_ROOT = Path(__file__).parent.parent
_WORKSPACE = _ROOT / "workspace.yaml"


def run_dagster_dev(
    settings: Settings, options: Sequence[str], workspace: Path = _WORKSPACE, *, with_api: bool = False
) -> None:
    """Become `dagster dev` on a workspace, the platform's own unless another is named. Does not return.

    with_api: start the rates API, which ends when `dagster dev` does.
    """
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
    if with_api:
        _start_api()
    log_format = ("--log-format", "json") if settings.log_format == "json" else ()
    os.execv(sys.executable, [sys.executable, "-m", "dagster", "dev", "-w", str(workspace), *log_format, *options])


def _keep_run_limits(settings: Settings) -> None:
    """Before anything can start a run; while it goes on, every look of a source's sensor does the same."""
    from dagster import DagsterInstance

    from pipeline_assets.registry import SOURCES
    from sensors.run_limits import keep_run_limits

    with DagsterInstance.get() as instance:
        keep_run_limits(instance, settings, SOURCES)


def _start_api() -> None:
    """A process of its own. It lives as long as somebody holds the other end of its input: this process, which will be
    `dagster dev`. That end goes with it however it ends, and no process that it starts gets it."""
    reading, writing = os.pipe()
    subprocess.Popen([sys.executable, "-m", "cli.main", "api", "--ends-with-input"], stdin=reading, cwd=_ROOT)
    os.close(reading)
    os.set_inheritable(writing, True)
