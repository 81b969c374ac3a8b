"""Dagster's instance of this deployment, below STRANDLINE_HOME."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from cli.notes import note
from resources.settings import Settings

_MADE = ".databases_made"
_MADE_FROM = ".dagster.yaml.made"
"""Beside dagster.yaml: the hash of what was written there last."""
_TEMPLATE = Path(__file__).parent.parent / "deploy" / "local" / "dagster.yaml"
_EARLIER = frozenset(
    {
        "7332c1e952be0406dae91e45ea67b774cf61e04bf684b7dfb296860e9d929ef7",
        "10cc125c07d0ad3461f391badeaf94dba4299e3717dd0abc7a37bfe87385070f",
        "f47cf30a45db2016569e4ca58aa76a3ac2751fae01825b08a1f47ca99aab471a",
    }
)
"""Hashes of the files that were copied into homes before `_MADE_FROM` was kept."""


def use_dagster_home(settings: Settings) -> Path:
    """Make the instance's folder if need be, and let this process and its children use it.

    An instance chosen from outside (DAGSTER_HOME is set) is left as it is.
    """
    chosen = os.environ.get("DAGSTER_HOME")
    if chosen:
        return Path(chosen)
    home = settings.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        _write_config(home, _config_for(settings))
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
    return home


def renew_config(settings: Settings) -> None:
    """Bring the instance's dagster.yaml in step with this version and the settings, if nobody has edited it.

    One that somebody has edited is theirs; then say what it lacks, as long as it lacks it.
    """
    home = settings.dagster_home
    if use_dagster_home(settings) != home:
        return
    config, wanted = home / "dagster.yaml", _config_for(settings)
    there = config.read_text(encoding="utf-8")
    made_from = _made_from(home)
    if there == wanted:
        return
    if _hash(there) in {made_from, _hash(_TEMPLATE.read_text(encoding="utf-8"))} | _EARLIER:
        _write_config(home, wanted)
        note(f"{config} was renewed for this version and its settings")
    elif made_from != _hash(wanted):
        note(
            f"{config} was edited and is left as it is. This version's file, or a setting, has changed since it was made: "
            f"compare it with {_TEMPLATE} and take over what you want; or delete it, and it is made anew"
        )


def _config_for(settings: Settings) -> str:
    text, number = re.subn(
        r"(?m)^( +max_concurrent_runs: ).*$", rf"\g<1>{settings.max_runs}", _TEMPLATE.read_text(encoding="utf-8")
    )
    assert number == 1, _TEMPLATE
    return text


def _write_config(home: Path, text: str) -> None:
    for name, content in (("dagster.yaml", text), (_MADE_FROM, _hash(text))):
        aside = home / f".{name}-{uuid.uuid4().hex}"
        aside.write_text(content, encoding="utf-8")
        aside.replace(home / name)


def _made_from(home: Path) -> str:
    try:
        return (home / _MADE_FROM).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


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
