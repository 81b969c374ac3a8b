"""`strandline reconcile --check`: sees each kind of difference, changes nothing, and takes work to do for no difference."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update

from pipeline_assets.operations.check import Checked, check
from resources.ledger.batches import claim
from resources.ledger.queries import count_by_state
from resources.ledger.tables import file_history, file_rows, files, metadata, quarantine
from resources.platform import Platform
from tests.conftest import Put
from tests.crash.sessions import end_session, own_environment, wait_until
from tests.operations.test_commands import ROOT, command
from tests.running import look_and_run, next_batch, toy
from tests.toy_source import TOY


@pytest.fixture
def drained(platform: Platform, put: Put) -> Platform:
    for number in range(4):
        put(f"toy/{number}.csv", toy(number, 10 + number))
    put("toy/bad.csv", toy("bad"))
    look_and_run(platform)
    return platform


def whole_ledger(platform: Platform) -> dict[str, list[object]]:
    with platform.ledger.read() as connection:
        return {name: list(connection.execute(select(table)).all()) for name, table in metadata.tables.items()}


def only_difference(found: Checked) -> tuple[str, int]:
    ((what, which),) = found.differences.items()
    return what, len(which)


def test_a_sound_deployment_agrees_and_is_settled(drained: Platform) -> None:
    before = whole_ledger(drained)
    found = check(drained, TOY)
    assert (found.agrees, found.outstanding, found.keys) == (True, 0, 5)
    assert (found.states, found.rows) == ({"committed": 4, "quarantined": 1}, {"readings": 8, "files": 4})
    assert whole_ledger(drained) == before


def test_what_is_not_done_yet_is_no_difference_and_stays_undone(drained: Platform, put: Put) -> None:
    put("toy/0.csv", toy(77))
    put("toy/unseen.csv", toy(1))
    before = whole_ledger(drained)
    found = check(drained, TOY)
    assert (found.agrees, found.outstanding, found.unseen) == (True, 2, ["toy/0.csv", "toy/unseen.csv"])
    assert whole_ledger(drained) == before
    claim(drained.ledger, next_batch(drained).batch_id, "run-2", 60)
    found = check(drained, TOY)
    assert (found.agrees, found.outstanding, found.unseen, found.states["running"]) == (True, 2, [], 2)


def test_nothing_at_all_agrees(platform: Platform) -> None:
    found = check(platform, TOY)
    assert (found.agrees, found.outstanding, found.keys) == (True, 0, 0)


def test_each_kind_of_difference(drained: Platform) -> None:
    ledger = drained.ledger
    one = files.c.file_id == select(files.c.file_id).where(files.c.key == "toy/3.csv").scalar_subquery()
    of_one = file_rows.c.file_id == select(files.c.file_id).where(files.c.key == "toy/3.csv").scalar_subquery()
    for change, back, expected in (
        (update(file_rows).where(of_one, file_rows.c.table_name == "files").values(rows=2),
         update(file_rows).where(of_one, file_rows.c.table_name == "files").values(rows=1),
         "toy.files: files with other rows than were counted"),
        (update(files).where(one).values(state="deleted"), update(files).where(one).values(state="committed"),
         "files in another state than their last move led to"),
        (update(files).where(one).values(key="toy/2.csv"), update(files).where(files.c.key == "toy/2.csv",
         files.c.seq == select(files.c.seq).order_by(files.c.seq.desc()).where(files.c.key == "toy/2.csv").limit(1).scalar_subquery()).values(key="toy/3.csv"),
         "keys with two committed versions"),
    ):  # fmt: skip
        with ledger.write() as connection:
            connection.execute(change)
        assert only_difference(check(drained, TOY)) == (expected, 1)
        with ledger.write() as connection:
            connection.execute(back)
        assert check(drained, TOY).agrees


def test_a_refusal_without_a_reason(drained: Platform) -> None:
    with drained.ledger.write() as connection:
        connection.execute(delete(quarantine))
    assert only_difference(check(drained, TOY)) == ("refused files without a reason", 1)


def test_files_that_run_or_are_held_in_no_such_batch(drained: Platform) -> None:
    for state, expected in (
        ("running", "files that no batch works on, though they are running"),
        ("held", "files that are held, though their batch is not"),
    ):
        with drained.ledger.write() as connection:
            one = select(files.c.file_id).where(files.c.key == "toy/bad.csv").scalar_subquery()
            connection.execute(update(files).where(files.c.key == "toy/bad.csv").values(state=state))
            connection.execute(update(file_history).where(file_history.c.file_id == one).values(to_state=state))
        assert only_difference(check(drained, TOY)) == (expected, 1)


def test_rows_that_must_not_be_there(drained: Platform) -> None:
    with drained.ledger.write() as connection:
        connection.execute(delete(file_rows).where(file_rows.c.table_name == "readings"))
        connection.execute(update(files).where(files.c.state == "committed").values(state="superseded"))
        connection.execute(
            update(file_history).where(file_history.c.to_state == "committed").values(to_state="superseded")
        )
    assert only_difference(check(drained, TOY)) == ("toy.readings: files with rows that must have none", 4)


def test_a_data_file_that_is_gone(drained: Platform) -> None:
    next(drained.lake.folder.glob("warehouse/toy/readings/data/**/*.parquet")).unlink()
    assert only_difference(check(drained, TOY)) == ("toy.readings: data files that are gone", 1)


def test_a_lost_ledger_and_one_that_is_older_than_the_lake(drained: Platform, put: Put, tmp_path: Path) -> None:
    home = drained.settings.home
    drained.close()
    shutil.copyfile(home / "ledger.db", tmp_path / "older.db")
    put("toy/new.csv", toy(5))
    look_and_run(drained, "run-2")
    drained.close()
    for path in home.glob("ledger.db*"):
        path.unlink()
    lost = check(drained, TOY)
    assert {what: len(which) for what, which in lost.differences.items()} == {
        f"toy.{table}: batches with rows there that the ledger does not know": 2 for table in ("readings", "files")
    }
    drained.close()
    for path in home.glob("ledger.db*"):
        path.unlink()
    shutil.copyfile(tmp_path / "older.db", home / "ledger.db")
    older = check(drained, TOY)
    assert {what: len(which) for what, which in older.differences.items()} == {
        f"toy.{table}: batches with rows there that the ledger does not know": 1 for table in ("readings", "files")
    }


def test_the_command_tells_three_outcomes(drained: Platform, put: Put) -> None:
    done = command(drained, "reconcile", "--check")
    assert (done.returncode, done.stdout) == (
        0,
        "toy: 5 keys in the landing store; 4 committed, 1 quarantined; 8 rows in toy.readings, 4 rows in toy.files\n"
        "  all agree\n",
    ), done.stderr
    put("toy/new.csv", toy(1))
    done = command(drained, "reconcile", "--check", "--json")
    (told,) = json.loads(done.stdout)
    assert (done.returncode, told["agrees"], told["outstanding"], told["unseen"]) == (3, True, 1, ["toy/new.csv"])
    assert "all agree; 1 files are not done yet: strandline drain" in command(drained, "reconcile", "--check").stdout
    next(drained.lake.folder.glob("warehouse/toy/readings/data/**/*.parquet")).unlink()
    done = command(drained, "reconcile", "--check")
    assert done.returncode == 1
    assert "  1 toy.readings: data files that are gone: file://" in done.stdout
    assert "they DIFFER; mend it: strandline reconcile --source toy, then strandline drain" in done.stdout
    assert count_by_state(drained.ledger) == {"committed": 4, "quarantined": 1}, "nothing was mended"
    done = command(drained, "reconcile", "--check", "--accept-loss")
    assert (done.returncode, "--check changes nothing" in done.stderr) == (2, True)


def test_after_a_kill_at_any_moment_all_agree(platform: Platform, put: Put) -> None:
    """As a stranger would: kill -9 a drain, check, and again until a drain is left alone."""
    environment = {
        **own_environment(), "STRANDLINE_HOME": str(platform.settings.home), "STRANDLINE_SETTLE_SECONDS": "0.05",
    }  # fmt: skip
    for number in range(30):
        put(f"toy/{number}.csv", toy(number))
    codes = []
    for wait in (2.0, 4.0, None):
        put("toy/0.csv", toy(wait or 0, 500))
        drain = subprocess.Popen(
            [sys.executable, "-m", "tests.toy_cli", "drain"],
            cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            if wait is None:
                wait_until(lambda one=drain: one.poll() is not None, 120, "the drain ends")
            else:
                time.sleep(wait)
                os.kill(drain.pid, signal.SIGKILL)
                drain.wait(10)
        finally:
            end_session(drain.pid)
            drain.wait(10)
        found = check(platform, TOY)
        assert found.agrees, found.differences
        codes.append(found.outstanding)
    assert codes[-1] == 0
    assert check(platform, TOY).rows == {"readings": 31, "files": 30}
