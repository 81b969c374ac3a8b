"""Forgetting that is killed, or that races a run which reads the very file."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline_assets import batch_run
from pipeline_assets.operations.erasure import forget
from pipeline_assets.operations.reconcile import reconcile
from resources.ledger.erasure import forgotten_among, unfinished
from resources.ledger.publishing import take_commit_turn
from resources.ledger.queries import find_files
from resources.platform import Platform
from resources.settings import Settings
from sensors.looking import look_for_arrivals
from tests.conftest import Put, putter
from tests.crash.sessions import wait_until
from tests.crash.warm_client import Warm
from tests.erasure.die import AFTER, BEFORE
from tests.erasure.test_forget import SECRET, SECRET_KEY, Run, everywhere, strandline
from tests.erasure.traces import traces
from tests.running import look_and_run, next_batch, rows_of, run, states, toy, visible
from tests.toy_records import RECORDS
from tests.toy_source import TOY

__all__ = ["strandline"]


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    with Warm("tests.erasure.die") as started:
        yield started


def kill(warm: Warm, platform: Platform, point: str, *arguments: str) -> None:
    """Let `strandline forget` die at a point."""
    platform.close()
    settings = {"STRANDLINE_HOME": str(platform.settings.home), "STRANDLINE_LEASE_SECONDS": "900"}
    log = platform.settings.home.parent / f"{point}.log"
    begun = warm.start(point, ["forget", *arguments, "--yes"], settings, log)
    wait_until(lambda: begun.poll() is not None, 120.0, f"forgetting dies at {point}; see {log}")
    assert begun.poll() == -signal.SIGKILL, (point, log.read_text())


def test_killed_anywhere_the_next_one_finishes_it(platform: Platform, put: Put, strandline: Run, warm: Warm) -> None:
    """Each takes over from the dead one before it, at once, though the lease lasts for a quarter of an hour."""
    put("toy/a.csv", toy(1))
    put(SECRET_KEY, toy(SECRET))
    strandline("drain", "--json")
    put("toy/b.csv", toy(2))
    strandline("drain", "--json")
    others = {"toy/a.csv": [1.0], "toy/b.csv": [2.0]}
    for point in BEFORE:
        kill(warm, platform, point, SECRET_KEY)
        assert visible(platform) == {**others, SECRET_KEY: [SECRET]}, point
        assert unfinished(platform.ledger) == []
    put("toy/c.csv", toy(3))
    look_and_run(platform, "run-beside")  # sets back what the dead ones left on the tables
    others["toy/c.csv"] = [3.0]
    assert visible(platform) == {**others, SECRET_KEY: [SECRET]}
    for point in AFTER:
        kill(warm, platform, point, *([SECRET_KEY] if point == "erased" else []))
        assert visible(platform) == others, point
        assert len(unfinished(platform.ledger)) == 1
    assert not reconcile(platform, TOY).balanced
    done = strandline("forget", SECRET_KEY, "--yes", "--json")
    assert (len(done["gone_on_with"]), done["erasures"]) == (1, [])
    platform.close()
    assert [place for place in everywhere(platform) if not place.startswith("ledger.db")] == []
    assert visible(platform) == others
    assert rows_of(platform, "SELECT count(*), sum(readings) FROM toy.by_value") == [(3, 3)]
    assert reconcile(platform, TOY).balanced


def forget_while_it_is_read(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> threading.Thread:
    """Forget the secret file once it has been read, and before its batch commits."""
    told: list[str] = []
    started: list[threading.Thread] = []
    beside = Platform(platform.settings)
    file_id = find_files(platform.ledger, SECRET_KEY)[-1]
    thread = threading.Thread(target=lambda: forget(beside, TOY, [file_id], told.append, lambda runs: None))
    go_on = batch_run._ensure_tables_of_datasets

    def patched(*arguments: Any) -> Any:
        if not started:
            started.append(thread)
            thread.start()
            while not forgotten_among(platform.ledger, [file_id]):
                thread.join(0.05)
                assert thread.is_alive()
        assert any("which had the file, is being worked on" in text for text in told) or thread.is_alive()
        return go_on(*arguments)

    monkeypatch.setattr(batch_run, "_ensure_tables_of_datasets", patched)
    return thread


@pytest.mark.parametrize("content", [toy(SECRET), toy("no number of anybody")], ids=["good", "refused"])
def test_a_run_that_reads_it_brings_nothing_in(
    platform: Platform, put: Put, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    put("toy/before.csv", toy(1))
    look_and_run(platform)
    put("toy/a.csv", toy(2))
    put(SECRET_KEY, content)
    batch = next_batch(platform)
    thread = forget_while_it_is_read(platform, monkeypatch)
    report = run(platform, batch, "run-2")
    thread.join(60)
    assert not thread.is_alive()
    assert (report.files, report.committed, report.gone, report.refused) == (2, 1, 1, ())
    assert visible(platform) == {"toy/before.csv": [1.0], "toy/a.csv": [2.0]}
    assert rows_of(platform, "SELECT count(*) FROM operations.quarantine") == [(0,)]
    assert unfinished(platform.ledger) == []
    platform.close()
    assert traces(platform.settings.lake_folder, [SECRET_KEY, "number of anybody"], [SECRET]) == []
    assert reconcile(platform, TOY).balanced


def test_a_newer_version_that_is_read_meanwhile_is_forgotten_with_its_key(
    platform: Platform, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(SECRET_KEY, toy(1, 2))
    look_and_run(platform)
    put(SECRET_KEY, toy(SECRET))
    batch = next_batch(platform)
    thread = forget_while_it_is_read(platform, monkeypatch)
    run(platform, batch, "run-2")
    thread.join(60)
    assert visible(platform) == {}
    assert set(states(platform).values()) == {"forgotten"}
    assert traces(platform.settings.lake_folder, [SECRET_KEY], [SECRET]) == []


def test_forgetting_waits_for_its_turn(platform: Platform, put: Put) -> None:
    put("toy/a.csv", toy(1))
    look_and_run(platform)
    assert take_commit_turn(platform.ledger, "toy", "another", 0.5)
    told: list[str] = []
    forget(platform, TOY, find_files(platform.ledger, "toy/a.csv"), told.append, lambda runs: None)
    assert told[0] == "waiting: another run commits to toy"
    assert visible(platform) == {}


def test_with_a_ledger_in_postgresql(postgresql: str, settings: Settings, tmp_path: Any) -> None:
    platform = Platform(settings.model_copy(update={"ledger_url": Settings(ledger_url=postgresql).ledger_url}))
    put = putter(platform.landing, tmp_path)
    put("toy/a.csv", toy(1))
    put(SECRET_KEY, toy(SECRET))
    look_and_run(platform)
    done = forget(platform, TOY, find_files(platform.ledger, SECRET_KEY), print, lambda runs: None)
    assert done.rows == {"files": 1, "readings": 1}
    assert visible(platform) == {"toy/a.csv": [1.0]}
    assert traces(settings.lake_folder, [SECRET_KEY], [SECRET]) == []
    assert unfinished(platform.ledger) == []
    platform.close()


def test_a_part_takes_its_record_with_it(platform: Platform, put: Put) -> None:
    put("toy/secret_record.hdr", toy("@secret_record.part", 1))
    put("toy/secret_record.part", toy(SECRET))
    put("toy/b.toy", toy(2))
    look_and_run(platform, source=RECORDS)
    part = find_files(platform.ledger, "toy/secret_record.part")
    done = forget(platform, RECORDS, part, print, lambda runs: None)
    assert (len(done.file_ids), done.rows) == (2, {"files": 1, "readings": 2})
    assert visible(platform) == {"toy/b.toy": [2.0]}
    platform.close()
    assert traces(platform.settings.lake_folder, ["secret_record"], [SECRET]) == []
    look_for_arrivals(platform, RECORDS)
    assert sorted(states(platform).values()) == ["committed", "forgotten", "forgotten"]
