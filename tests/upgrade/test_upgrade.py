"""A home that an earlier version made opens, migrates and goes on, and loses nothing."""

from __future__ import annotations

import shutil
import sqlite3
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline_assets.operations.reconcile import reconcile
from resources.ledger.batches import BatchState, due, release
from resources.ledger.database import HEAD
from resources.ledger.tables import batches
from resources.platform import Platform
from resources.settings import Settings
from sensors.looking import look_for_arrivals, plan_batches
from tests.aggregates.updating import assert_up_to_date, update
from tests.conftest import putter
from tests.running import all_states, rows_of, run, toy, visible
from tests.toy_source import TOY
from tests.upgrade.make_home import PLACE, SETTINGS

ARCHIVE = Path(__file__).with_name("home_0002.tar.xz")
COMMITTED = {"toy/committed.csv": [1.0, 2.0], "toy/replaced.csv": [4.0, 5.0]}


@pytest.fixture
def old_home() -> Iterator[Path]:
    shutil.rmtree(PLACE, ignore_errors=True)
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(PLACE, filter="data")
    yield PLACE / "home"
    shutil.rmtree(PLACE)


@pytest.fixture
def upgraded(old_home: Path) -> Iterator[Platform]:
    """Opened by this version, nothing done yet."""
    platform = Platform(Settings(home=old_home, **SETTINGS))
    yield platform
    platform.close()


def drain(platform: Platform) -> None:
    number = 0
    while True:
        look_for_arrivals(platform, TOY)
        plan_batches(platform, TOY, flush=True)
        batches_due = due(platform.ledger, "toy", ignore_backoff=True)
        if not batches_due:
            return
        for batch in batches_due:
            number += 1
            run(platform, batch, f"new-run-{number}")


def revision(home: Path) -> str:
    with sqlite3.connect(home / "ledger.db") as connection:
        return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def test_the_home_is_as_old_as_it_says(old_home: Path) -> None:
    assert revision(old_home) == "0002" != HEAD
    with sqlite3.connect(old_home / "ledger.db") as connection:
        states = dict(connection.execute("SELECT state, count(*) FROM files GROUP BY state"))
    assert states == {"committed": 2, "superseded": 1, "quarantined": 1, "held": 6, "running": 1, "pending": 2}


def test_what_was_committed_is_there_at_once(upgraded: Platform) -> None:
    assert visible(upgraded) == COMMITTED
    assert revision(upgraded.settings.home) == HEAD
    assert rows_of(upgraded, "SELECT key, error_class FROM operations.quarantine") == [
        ("toy/refused.csv", "not_a_number")
    ]


def test_it_drains_and_is_balanced(upgraded: Platform, tmp_path: Path) -> None:
    """The dead run's batch, the planned and the pending file, a new file, a new version of an old one, the held batch."""
    put = putter(upgraded.landing, tmp_path)
    put("toy/new.csv", toy(9))
    put("toy/committed.csv", toy(10))
    drain(upgraded)
    rows = {
        **COMMITTED,
        "toy/committed.csv": [10.0],
        "toy/running.csv": [6.0],
        "toy/planned.csv": [7.0],
        "toy/pending.csv": [8.0],
        "toy/new.csv": [9.0],
    }
    assert visible(upgraded) == rows
    with upgraded.ledger.read() as connection:
        held = connection.execute(batches.select().where(batches.c.state == BatchState.HELD)).one()
    release(upgraded.ledger, held.batch_id)
    drain(upgraded)
    assert visible(upgraded) == rows
    states = all_states(upgraded)
    assert {state for _, state in states} == {"committed", "superseded", "quarantined"}
    assert sum(states.values()) == 13 + 2, "no file of the old ledger is gone"
    findings = reconcile(upgraded, TOY)
    assert findings.balanced
    assert findings.rows == {"readings": 7, "files": 6}
    update(upgraded)
    assert_up_to_date(upgraded)
