"""Dagster's instance of this deployment, below STRANDLINE_HOME."""

from __future__ import annotations

import os
import shutil
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from resources.settings import Settings

_MADE = ".databases_made"
_TEMPLATE = Path(__file__).parent.parent / "deploy" / "local" / "dagster.yaml"


def use_dagster_home(settings: Settings) -> Path:
    """Make the instance's folder if need be, and let this process and its children use it.

    An instance chosen from outside (DAGSTER_HOME is set) is left as it is.
    """
    chosen = os.environ.get("DAGSTER_HOME")
    if chosen:
        return Path(chosen)
    home = settings.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    config = home / "dagster.yaml"
    if not config.exists():
        shutil.copyfile(_TEMPLATE, config)
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
    return home


def make_databases(settings: Settings) -> None:
    """Make the databases of this deployment's own instance, if they are not there yet.

    One process at a time: two that make Dagster's SQLite databases at once leave them broken for good.
    """
    home = settings.dagster_home
    if use_dagster_home(settings) != home or (home / _MADE).exists():
        return
    with (home / ".making_databases").open("w") as lock:
        _wait_for(lock)
        if not (home / _MADE).exists():
            from dagster import DagsterInstance

            _make_event_log(home)
            DagsterInstance.get().dispose()
            (home / _MADE).touch()


def _wait_for(lock: TextIO) -> None:
    try:
        import fcntl
    except ImportError:  # not on Windows
        return
    fcntl.flock(lock, fcntl.LOCK_EX)


def _make_event_log(home: Path) -> None:
    """Make Dagster's event log aside and rename it into place. Dagster takes one that is there for whole, so killed
    while it makes the tables it would fail at every start from then on."""
    history = home / "history"
    if history.exists():
        return
    from dagster._core.storage.event_log import SqliteEventLogStorage

    aside = home / f".history-{uuid.uuid4().hex}"
    SqliteEventLogStorage(str(aside / "runs")).dispose()
    with suppress(OSError):  # another process was quicker
        aside.rename(history)
    shutil.rmtree(aside, ignore_errors=True)
