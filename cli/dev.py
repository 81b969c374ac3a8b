"""`strandline dev`: Dagster's own `dagster dev` on this deployment's instance, and the rates API beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from cli.instance import make_databases, use_dagster_home
from resources.settings import Settings

_ROOT = Path(__file__).parent.parent
_WORKSPACE = _ROOT / "workspace.yaml"


def run_dagster_dev(settings: Settings, options: Sequence[str], *, with_api: bool) -> None:
    """Become `dagster dev`. Does not return. with_api: start the rates API, which ends when `dagster dev` does."""
    use_dagster_home(settings)
    make_databases(settings)
    if settings.landing_folder is not None:
        settings.landing_folder.mkdir(parents=True, exist_ok=True)
    # The UI's processes start elsewhere: they must mean the same home as this one.
    os.environ["STRANDLINE_HOME"] = str(settings.home)
    # Started in the background of a script, this process may ignore Ctrl-C; `dagster dev` needs it to stop cleanly.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if with_api:
        _start_api()
    log_format = ("--log-format", "json") if settings.log_format == "json" else ()
    os.execv(sys.executable, [sys.executable, "-m", "dagster", "dev", "-w", str(_WORKSPACE), *log_format, *options])


def _start_api() -> None:
    """A process of its own. It lives as long as somebody holds the other end of its input: this process, which will be
    `dagster dev`. That end goes with it however it ends, and no process that it starts gets it."""
    reading, writing = os.pipe()
    subprocess.Popen([sys.executable, "-m", "cli.main", "api", "--ends-with-input"], stdin=reading, cwd=_ROOT)
    os.close(reading)
    os.set_inheritable(writing, True)
