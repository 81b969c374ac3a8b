"""docs/operations.md, entry by entry: what can go wrong is made to go wrong, what the page quotes is shown, and what it
says to do helps. Here those of the tables, of lost parts and of restoring; the others are in `test_entries_inside` and
`test_entries_outside`."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import update

from pipeline_assets.definitions import Overrides, build_defs
from pipeline_assets.operations import history
from pipeline_assets.operations import maintain as maintaining
from pipeline_assets.operations.schedules import BALANCE_JOB
from pipeline_assets.source import FileSource
from resources.ledger.publishing import take_commit_turn
from resources.ledger.tables import file_rows, files
from resources.ledger.upkeep import take_maintenance
from sensors.looking import look_for_arrivals
from tests.crash.sessions import own_environment
from tests.landing import test_backup_in_a_bucket  # noqa: F401
from tests.operations import test_entries_inside, test_entries_outside  # noqa: F401  # so that their entries are known here
from tests.operations.page import ENTRIES, WALKED, saw, walks
from tests.operations.shell import Shell, agrees
from tests.operations.test_commands import ROOT
from tests.running import look_and_run, toy
from tests.toy_records import RECORDS
from tests.toy_source import TOY

DATA = "lake/warehouse/toy/readings/data/**/*.parquet"


def test_every_entry_of_the_page_has_its_test() -> None:
    assert len(ENTRIES) > 30
    assert set(ENTRIES) == set(WALKED)


@pytest.fixture
def with_small_files(drained_shell: Shell) -> Shell:
    """Some batches of one file each, for maintenance to merge."""
    for number in range(4):
        drained_shell.put(f"toy/{number}.csv", toy(70 + number, number))
        look_and_run(drained_shell.platform, f"small-{number}")
    return drained_shell


# How is it going


@walks("outstanding grows, committed last hour is 0", "Nothing starts by itself")
def test_nothing_starts_by_itself(shell: Shell) -> None:
    shell.put("toy/1.csv", toy(1))
    look_for_arrivals(shell.platform, TOY)
    told = shell("status", code=0)
    assert "outstanding  1 pending" in told
    assert "last hour 0 files" in told
    diagnosis = shell("doctor", code=0)
    saw("outstanding grows, committed last hour is 0", told)
    saw("Nothing starts by itself", diagnosis)
    shell("drain", code=0)
    assert "outstanding  nothing" in shell("status", code=0)


@walks("outstanding grows, committed last hour does not fall")
def test_more_arrives_than_is_read(drained_shell: Shell) -> None:
    for number in range(10, 30):
        drained_shell.put(f"toy/{number}.csv", toy(number))
    look_for_arrivals(drained_shell.platform, TOY)
    told = drained_shell("status", code=0)
    assert "outstanding  20 pending" in told
    assert "last hour 4 files" in told
    saw("outstanding grows, committed last hour does not fall", told)
    drained_shell.environment["STRANDLINE_BATCH_MAX_FILES"] = "100"
    assert "1 batch run: 20 committed" in drained_shell("drain", code=0)


class TestRecords:
    @pytest.fixture
    def sources(self) -> tuple[FileSource, ...]:
        return (RECORDS,)

    @walks("oldest outstanding grows while other files are committed")
    def test_a_file_waits_for_the_rest_of_its_record(self, shell: Shell) -> None:
        shell.put("toy/alone.toy", toy(1))
        shell.put("toy/half.hdr", "toy\n@half.part\n1\n")
        shell("drain", code=3)
        told = shell("status", code=0)
        assert "outstanding  1 waiting" in told
        assert "last hour 1 files" in told
        assert "toy/half.hdr" in shell("files", "--state", "waiting")
        assert "half.part" in shell("explain", "half.hdr")
        saw("oldest outstanding grows while other files are committed", told)
        shell.put("toy/half.part", toy(2))
        shell("drain", code=0)


@walks("held batches")
def test_a_held_batch(shell: Shell) -> None:
    def land(*values: float | str) -> str:
        for number in range(6):
            shell.put(f"toy/{number}.csv", toy(*values))
        shell("drain", code=3 if "bad" in values else 0)
        lines = shell("status").splitlines()
        return next((line.split()[-1] for line in lines if "strandline release" in line), "")

    held = land("bad")
    told = shell("status", code=3)
    assert f"strandline redo {held}   or   strandline release {held}" in told
    saw("held batches", told)
    shell("redo", held, code=0)
    shell("drain", code=3)
    shell("release", held, code=0)
    shell("drain", code=3)
    assert "6 quarantined" in agrees(shell)
    shell("status", code=0)
    held = land("still", "bad")
    assert land(1) == held, "all of its files were overwritten, so there is nothing to do again"
    assert "owns no file any more" in shell("redo", held)
    shell("release", held, code=0)
    shell("drain", code=0)
    shell("status", code=0)
    assert "6 committed" in agrees(shell)


@walks("one error class grows")
def test_one_error_class_grows(drained_shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        drained_shell.put(f"toy/bad{number}.csv", toy("log" if number else "bad"))
    drained_shell("drain", code=3)
    told = drained_shell("status", code=0)
    assert "not_a_number 1" in told
    assert "toy/bad0.csv" in drained_shell("quarantine", "list", "--class", "not_a_number")
    saw("one error class grows", told)
    drained_shell.put("toy/bad0.csv", toy(1))
    drained_shell("quarantine", "replay", "--class", "not_a_number", code=0)
    drained_shell("drain", code=0)
    assert "quarantined" not in agrees(drained_shell)


# Does it all add up


def balance_says(shell: Shell, ephemeral: dg.DagsterInstance) -> str:
    defs = build_defs(Overrides(sources=(TOY,), platform=shell.platform))
    result = defs.resolve_job_def(BALANCE_JOB).execute_in_process(instance=ephemeral)
    (check,) = [one for one in result.get_asset_check_evaluations() if one.check_name == "balanced"]
    return check.description or ""


@walks("data files are gone", "The lake is lost")
def test_the_lake_is_lost(drained_shell: Shell, ephemeral: dg.DagsterInstance) -> None:
    before = drained_shell("sql", "select * from toy.readings order by all", code=0)
    next(drained_shell.home.glob(DATA)).unlink()
    told = balance_says(drained_shell, ephemeral)
    assert "data files are gone" in told
    drained_shell("sql", "select * from toy.readings")
    assert drained_shell.code != 0
    drained_shell("reconcile", "--check", code=1)
    mended = drained_shell("reconcile", code=3)
    saw("data files are gone", told)
    saw("The lake is lost", told, mended)
    drained_shell("drain", code=0)
    agrees(drained_shell)
    assert drained_shell("sql", "select * from toy.readings order by all", code=0).count("\n") == before.count("\n")
    drained_shell.platform.close()
    shutil.rmtree(drained_shell.home / "lake")
    (drained_shell.home / "landing/toy/0.csv").unlink()
    assert "--accept-loss" in drained_shell("reconcile", code=3)
    drained_shell("reconcile", "--accept-loss", code=3)
    drained_shell("drain")
    assert "3 committed, 1 deleted; 6 rows in toy.readings" in agrees(drained_shell)


@walks("files have other rows than the ledger counted")
def test_rows_differ(drained_shell: Shell, ephemeral: dg.DagsterInstance) -> None:
    with drained_shell.platform.ledger.write() as connection:
        connection.execute(update(file_rows).where(file_rows.c.table_name == "readings").values(rows=9))
    told = balance_says(drained_shell, ephemeral)
    assert "files have other rows than the ledger counted" in told
    saw("files have other rows than the ledger counted", told)
    drained_shell("reconcile", code=3)
    drained_shell("drain", code=0)
    agrees(drained_shell)


@walks("files have rows that the ledger does not account for")
def test_rows_that_nobody_accounts_for(drained_shell: Shell, ephemeral: dg.DagsterInstance) -> None:
    backup = drained_shell.home.parent / "backup"
    drained_shell("backup", str(backup), code=0)
    with drained_shell.platform.ledger.write() as connection:
        connection.execute(file_rows.delete())
        connection.execute(update(files).values(state="deleted"))
    told = balance_says(drained_shell, ephemeral)
    assert "files have rows that the ledger does not account for" in told
    saw("files have rows that the ledger does not account for", told)
    assert "that the ledger does not account for. First:" in drained_shell("reconcile", code=3)
    restore(drained_shell, backup)
    agrees(drained_shell)


def restore(shell: Shell, backup: Path) -> None:
    """The page's steps."""
    shell.platform.close()
    broken = shell.home.with_name("home.broken")
    shell.home.rename(broken)
    subprocess.run(["cp", "-a", str(backup), str(shell.home)], check=True)
    (broken / "landing").rename(shell.home / "landing")
    shell("reconcile")
    shell("drain", code=0)


@walks("Everything is to be restored")
def test_everything_is_to_be_restored(drained_shell: Shell) -> None:
    backup = drained_shell.home.parent / "backup"
    drained_shell("backup", str(backup), code=0)
    drained_shell.put("toy/later.csv", toy(5, 6))
    drained_shell.put("toy/1.csv", toy(11))
    drained_shell("drain", code=0)
    before = agrees(drained_shell)
    restore(drained_shell, backup)
    after = agrees(drained_shell)
    saw("Everything is to be restored", after)
    assert before.split("rows in")[0].split("; ")[-1] == after.split("rows in")[0].split("; ")[-1] == "9 "


@walks("The ledger is lost", "`has rows of batch ..., which the ledger does not know`")
def test_the_ledger_is_lost(drained_shell: Shell) -> None:
    drained_shell.platform.close()
    for path in drained_shell.home.glob("ledger.db*"):
        path.unlink()
    assert "toy" not in drained_shell("files", code=0)
    differ = drained_shell("reconcile", "--check", code=1)
    drained_shell.put("toy/new.csv", toy(5))
    failed = drained_shell("drain")
    saw("`has rows of batch ..., which the ledger does not know`", failed)
    mended = drained_shell("reconcile", code=3)
    saw("The ledger is lost", failed, differ, mended)
    drained_shell("drain", code=0)
    assert "5 committed; 9 rows in toy.readings, 5 rows in toy.files" in agrees(drained_shell)


# Lake maintenance


@walks("`not all was done: batches were committing all the time`")
def test_maintenance_gets_no_turn(drained_shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintaining, "_LONGEST_WAIT_SECONDS", 0.1)
    assert take_commit_turn(drained_shell.platform.ledger, "toy", "a-batch", 1.0) is not None
    told = drained_shell("maintain", code=3)
    saw("`not all was done: batches were committing all the time`", told)
    time.sleep(1.1)
    drained_shell("maintain", code=0)


@walks("`not all was done: another run maintains its tables, or backs them up`")
def test_maintenance_one_at_a_time(drained_shell: Shell) -> None:
    assert take_maintenance(drained_shell.platform.ledger, "toy", "another", 1.0) is not None
    saw("`not all was done: another run maintains its tables, or backs them up`", drained_shell("maintain", code=3))
    time.sleep(1.1)
    drained_shell("maintain", code=0)


@walks("the disk does not get emptier")
def test_the_disk_does_not_get_emptier(with_small_files: Shell) -> None:
    shell = with_small_files
    before = len(list(shell.home.glob(DATA)))
    told = shell("maintain", code=0)
    assert "0 unused files deleted" in told
    assert len(list(shell.home.glob(DATA))) == before + 1, "merged beside the originals"
    saw("the disk does not get emptier", told)
    shell.environment["STRANDLINE_LAKE_KEEP_HOURS"] = "0"
    for _ in range(3):
        shell("maintain", code=0)
    assert len(list(shell.home.glob(DATA))) == 1
    agrees(shell)


@walks("it was killed")
def test_maintenance_was_killed(with_small_files: Shell) -> None:
    shell = with_small_files
    killed = subprocess.run(
        [sys.executable, "-m", "tests.operations.maintain_toy", "before_publish", "maintain"],
        cwd=ROOT, env={**own_environment(), "STRANDLINE_HOME": str(shell.home)}, capture_output=True, check=False,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    saw("it was killed", agrees(shell))
    shell.put("toy/1.csv", toy(78))
    shell("drain", code=0)
    agrees(shell)


# What Dagster keeps


@walks(
    "`not all was done: run it again`",
    "a run that an alert or a log names is not there",
    "the disk fills between two prunings",
)
def test_what_dagster_keeps_goes(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.put("toy/1.csv", toy(1))
    shell("drain", code=0)
    with closing(sqlite3.connect(shell.home / "dagster/history/runs.db")) as connection, connection:
        connection.execute("UPDATE runs SET update_timestamp = '2026-01-01 00:00:00', end_time = 1767225600")
    with monkeypatch.context() as patched:
        patched.setattr(history, "_AT_ONCE", 1)
        patched.setattr(history, "prune_history", partial(history.prune_history, longest_seconds=0))
        saw("`not all was done: run it again`", shell("prune", code=3))
    pruned = shell("prune", "--days", "2", code=0)
    assert " 0 runs stay" in pruned
    saw("the disk fills between two prunings", pruned)
    told = shell("explain", "toy/1.csv", code=0)
    assert "COMMITTED" in told
    saw("a run that an alert or a log names is not there", told)
