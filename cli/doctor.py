"""`strandline doctor`: what is configured, what answers, what does not, and what to do."""

from __future__ import annotations

import difflib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import click
from sqlalchemy import func, select, text

from pipeline_assets.registry import SOURCES
from resources.errors import UserError
from resources.lake import files as files_of_lake
from resources.lake.lake import TableName
from resources.ledger.batches import BatchState
from resources.ledger.publishing import published_snapshots
from resources.ledger.queries import count_by_state
from resources.ledger.tables import batches
from resources.logs import configure_logs, redact
from resources.platform import Platform
from resources.settings import PREFIX, Settings, load_source_config

OK, WARNING, WRONG = "ok", "warning", "wrong"
_LOW_DISK_BYTES = 1 << 30
_NO_SETTINGS = {"STRANDLINE_TEST_DATA", "STRANDLINE_TEST_KILLS"}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    state: str
    found: str
    advice: str = ""


def run_doctor(*, as_json: bool) -> int:
    """Look at everything and print it. Returns the exit code."""
    findings = list(examine())
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], ensure_ascii=False))
    else:
        for finding in findings:
            click.echo(f"{finding.state:<8} {finding.subject:<10} {finding.found}")
            if finding.advice:
                click.echo(f"{'':<20}{finding.advice}")
    return int(any(finding.state == WRONG for finding in findings))


def examine() -> Iterator[Finding]:
    """What was found, one thing after the other; a thing that fails does not keep the others from being looked at."""
    try:
        settings = Settings.load()
        for source in SOURCES:
            load_source_config(source.config, source.name)
    except UserError as error:
        yield Finding("settings", WRONG, str(error))
        return
    yield from _unknown_variables()
    configure_logs(settings)
    platform = Platform(settings)
    looks: tuple[tuple[str, Callable[[Platform], Iterator[Finding]]], ...] = (
        ("home", _home),
        ("landing", _landing),
        ("ledger", _ledger),
        ("lake", _lake),
        ("serving", _serving),
        ("dagster", _dagster),
    )
    for subject, look in looks:
        try:
            yield from look(platform)
        except UserError as error:
            yield Finding(subject, WRONG, str(error))
        except Exception as error:
            yield Finding(subject, WRONG, redact(f"does not answer: {type(error).__name__}: {error}"))
    platform.close()


def _unknown_variables() -> Iterator[Finding]:
    known = {PREFIX + name.upper() for name in Settings.model_fields} | _NO_SETTINGS
    for source in SOURCES:
        known |= {f"{PREFIX}{source.name}_{name}".upper() for name in source.config.model_fields}
    unknown = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)
    for name in unknown:
        near = difflib.get_close_matches(name, known, n=1)
        yield Finding("settings", WARNING, f"{name} is no setting", f"Did you mean {near[0]}?" if near else "Unset it.")
    if not unknown:
        chosen = sorted(name for name in os.environ if name in known)
        yield Finding("settings", OK, f"set from outside: {', '.join(chosen)}" if chosen else "all at their defaults")


def _home(platform: Platform) -> Iterator[Finding]:
    home = platform.settings.home
    there = home if home.exists() else next(parent for parent in home.parents if parent.exists())
    free = shutil.disk_usage(there).free
    if not os.access(there, os.W_OK):
        yield Finding("home", WRONG, f"{home} cannot be written", "Choose another folder with STRANDLINE_HOME.")
    elif free < _LOW_DISK_BYTES:
        yield Finding("home", WARNING, f"{home}: {free / 1e9:.1f} GB left", "Make room: a full disk stops every run.")
    else:
        made = "" if home.exists() else " (will be made at first use)"
        yield Finding("home", OK, f"{home}{made}, {free / 1e9:.0f} GB left")


def _landing(platform: Platform) -> Iterator[Finding]:
    for source in SOURCES:
        prefix = platform.settings.prefix_of(source.name)
        keys = sum(1 for _ in platform.landing.list(prefix))
        yield Finding("landing", OK, f"{platform.landing.uri(prefix.rstrip('/'))}: {keys:,} files")


def _ledger(platform: Platform) -> Iterator[Finding]:
    ledger = platform.ledger
    counts = count_by_state(ledger)
    states = ", ".join(f"{count:,} {state}" for state, count in sorted(counts.items())) or "no files yet"
    yield Finding("ledger", OK, f"{ledger}: {states}")
    with ledger.read() as connection:
        query = select(batches.c.batch_id, batches.c.error).where(batches.c.state == BatchState.HELD)
        for row in connection.execute(query):
            yield Finding(
                "ledger", WARNING, f"batch {row.batch_id} is held: {row.error}", f"strandline release {row.batch_id}"
            )
        failing = connection.execute(
            select(func.count(), func.max(batches.c.error)).where(
                batches.c.state == BatchState.PLANNED, batches.c.attempt > 0
            )
        ).one()
        if failing[0]:
            yield Finding("ledger", WARNING, f"{failing[0]} batches failed and will be tried again: {failing[1]}")


def _lake(platform: Platform) -> Iterator[Finding]:
    for source in SOURCES:
        for table, snapshot in published_snapshots(platform.ledger, source.name).items():
            name = TableName(source.name, table)
            if snapshot is None:
                continue
            files = platform.lake.data_files(name, snapshot)
            missing = files_of_lake.missing(files)
            if missing:
                yield Finding(
                    "lake", WRONG, f"{name}: {len(missing)} of {len(files)} data files are missing, first {missing[0]}",
                    f"Restore the lake from its backup, or: strandline reconcile --source {source.name}",
                )  # fmt: skip
            else:
                yield Finding("lake", OK, f"{name}: {len(files):,} data files")


def _serving(platform: Platform) -> Iterator[Finding]:
    serving = platform.serving
    if serving.embedded is not None and not serving.embedded.data.exists():
        yield Finding("serving", OK, f"{serving} (will be made at first use)")
        return
    with serving.read() as connection:
        served = connection.scalar(text("SELECT count(*) FROM batches"))
    yield Finding("serving", OK, f"{serving}: {served:,} batches of prices")


def _dagster(platform: Platform) -> Iterator[Finding]:
    from cli.instance import make_databases, use_dagster_home

    home = use_dagster_home(platform.settings)
    make_databases(platform.settings)
    from dagster import DagsterInstance

    with DagsterInstance.get() as instance:
        statuses = instance.get_daemon_statuses()
        alive = sorted(name for name, status in statuses.items() if status.healthy)
        if "SENSOR" in alive:
            yield Finding("dagster", OK, f"{home}: the sensors are on")
        else:
            yield Finding(
                "dagster", WARNING, f"{home}: no sensor daemon runs, so nothing starts by itself",
                "Start it with: strandline dev; or process what landed with: strandline drain",
            )  # fmt: skip
