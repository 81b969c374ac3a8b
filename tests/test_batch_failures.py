"""What a run leaves behind when something other than a file is wrong: nothing visible, and the next run heals it."""

from __future__ import annotations

import dataclasses
import errno
import os
import threading
import time
from datetime import timedelta
from typing import Any

import numpy as np
import pandera.pandas as pa
import pyarrow.parquet as pq
import pytest
from pandera.typing import Series
from sqlalchemy import update
from sqlalchemy.exc import OperationalError

from pipeline_assets import batch_commit, batch_run, worker_pool
from pipeline_assets.reading import SliceTask, read_slice
from pipeline_assets.source import NoConfig, Table
from pipeline_assets.worker_pool import PoolError
from resources.lake.lake import Lake, SchemaConflict
from resources.ledger import publishing
from resources.ledger.batches import Claim, claim, get_batch, give_back
from resources.ledger.database import utc_now
from resources.ledger.leases import LeaseLost
from resources.ledger.publishing import end_commit_turn, take_commit_turn
from resources.ledger.queries import count_by_state
from resources.ledger.tables import leases
from resources.platform import Platform
from tests.conftest import Put
from tests.running import (
    Silent,
    batch_state,
    independent,
    look_and_run,
    next_batch,
    reader_processes,
    run,
    toy,
    visible,
)
from tests.toy_source import TOY, Files


@pytest.fixture
def seen_before(platform: Platform, put: Put) -> dict[str, list[float]]:
    """One committed file and a pending batch that overwrites it and brings a second one."""
    put("toy/a", toy(1, 2))
    look_and_run(platform, "run-0")
    put("toy/a", toy(3))
    put("toy/b", toy(4))
    return {"toy/a": [1.0, 2.0]}


def assert_healed_by_the_next_run(platform: Platform, before: dict[str, list[float]], batch_id: str) -> None:
    assert visible(platform) == before
    assert count_by_state(platform.ledger) == {"committed": 1, "pending": 2}
    assert get_batch(platform.ledger, batch_id).state == "planned"
    assert not reader_processes()
    run(platform, batch_id, "run-after")
    assert visible(platform) == independent(platform.landing.root) == {"toy/a": [3.0], "toy/b": [4.0]}
    assert count_by_state(platform.ledger) == {"committed": 2, "superseded": 1}


def test_tables_that_cannot_be_written(platform: Platform, put: Put, seen_before: dict[str, list[float]]) -> None:
    batch = next_batch(platform)
    folder = platform.settings.lake_folder / "warehouse" / "toy" / "files" / "data"
    folder.rename(folder.with_name("aside"))
    folder.touch()
    with pytest.raises(OSError, match=str(folder)):
        run(platform, batch)
    error = get_batch(platform.ledger, batch.batch_id).error
    assert error is not None
    assert "NotADirectoryError" in error or "FileExistsError" in error
    folder.unlink()
    folder.with_name("aside").rename(folder)
    assert_healed_by_the_next_run(platform, seen_before, batch.batch_id)


def test_a_full_disk_is_no_refusal(platform: Platform, put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    put("toy/a", toy(1))
    claimed = claim(platform.ledger, next_batch(platform).batch_id, "run-1", 10)
    task = SliceTask(
        TOY, NoConfig(), platform.landing.fetcher(), claimed.batch.batch_id, claimed.files,
        {table: str(platform.settings.home / table) for table in TOY.table_names},
    )  # fmt: skip

    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(pq, "write_table", full)
        with pytest.raises(OSError, match="No space left"):
            read_slice(task)
    with monkeypatch.context() as patched:
        patched.setattr("tests.toy_source.lines_of", full)
        with pytest.raises(OSError, match="No space left"):
            read_slice(dataclasses.replace(task))


def test_an_error_before_the_ledger_publishes(
    platform: Platform, put: Put, seen_before: dict[str, list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = next_batch(platform)

    def gone(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("INSERT", {}, Exception("server closed the connection"))

    with monkeypatch.context() as patched:
        patched.setattr(batch_commit, "publish", gone)
        with pytest.raises(OperationalError):
            run(platform, batch)
    assert_healed_by_the_next_run(platform, seen_before, batch.batch_id)


def test_an_error_within_the_ledger_s_transaction(
    platform: Platform, put: Put, seen_before: dict[str, list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = next_batch(platform)

    def full(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("INSERT", {}, Exception("database or disk is full"))

    with monkeypatch.context() as patched:
        patched.setattr(publishing, "_record_refusals", full)
        with pytest.raises(OperationalError):
            run(platform, batch)
    assert_healed_by_the_next_run(platform, seen_before, batch.batch_id)


def fail_on(table: str, patched: pytest.MonkeyPatch) -> None:
    commit = Lake.commit

    def failing(self: Lake, name: Any, **kwargs: Any) -> Any:
        if name.name == table:
            raise ConnectionError(f"no connection while {table} commits")
        return commit(self, name, **kwargs)

    patched.setattr(Lake, "commit", failing)


def test_an_error_between_the_tables_commits(
    platform: Platform, put: Put, seen_before: dict[str, list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = next_batch(platform)
    with monkeypatch.context() as patched:
        fail_on("files", patched)
        with pytest.raises(ConnectionError):
            run(platform, batch)
    assert_healed_by_the_next_run(platform, seen_before, batch.batch_id)


def test_an_error_between_the_first_commits_of_all(
    platform: Platform, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("toy/a", toy(1))
    batch = next_batch(platform)
    for attempt in (1, 2):
        with monkeypatch.context() as patched:
            fail_on("files", patched)
            with pytest.raises(ConnectionError):
                run(platform, batch, f"run-{attempt}")
        assert visible(platform) == {}
    put("toy/b", toy(2))
    run(platform, batch, "run-3")
    look_and_run(platform, "run-4")
    assert visible(platform) == independent(platform.landing.root)


def test_what_a_dead_run_left_goes_also_when_another_batch_is_next(
    platform: Platform, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("toy/a", toy(1))
    dead = next_batch(platform)
    with monkeypatch.context() as patched:
        fail_on("files", patched)
        patched.setattr(batch_run, "give_back", lambda *args, **kwargs: None)
        with pytest.raises(ConnectionError):
            run(platform, dead)
    put("toy/b", toy(2))
    look_and_run(platform, "run-2")
    assert visible(platform) == {"toy/b": [2.0]}


@pytest.mark.parametrize("hold", [True, False])
def test_a_run_that_a_person_stops(platform: Platform, put: Put, hold: bool) -> None:
    put("toy/a", toy(1))
    batch = next_batch(platform)

    class Stopping(Silent):
        def progress(self, *args: Any) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        batch_run.run_batch(
            platform, TOY, NoConfig(), batch.batch_id, "run-1", Stopping(), hold_when_stopped=lambda: hold
        )
    assert count_by_state(platform.ledger) == {"held" if hold else "pending": 1}
    after = get_batch(platform.ledger, batch.batch_id)
    assert (after.state, after.error) == (
        "held" if hold else "planned",
        f"run run-1 was {'canceled by a person' if hold else 'stopped'}",
    )
    assert after.not_before is not None
    assert after.not_before <= utc_now(), "a stopped batch need not wait"
    assert not reader_processes()
    assert visible(platform) == {}
    run(platform, batch, "run-2")
    assert visible(platform) == {"toy/a": [1.0]}


def test_a_stop_that_compiled_code_made_an_error_of(platform: Platform, put: Put) -> None:
    put("toy/a", toy(1))
    batch = next_batch(platform)

    class Stopping(Silent):
        def progress(self, *args: Any) -> None:
            raise ValueError("Error building `literal` serializer:\n  DagsterExecutionInterruptedError: ")

    with pytest.raises(ValueError, match="serializer"):
        batch_run.run_batch(
            platform, TOY, NoConfig(), batch.batch_id, "run-1", Stopping(), hold_when_stopped=lambda: True
        )
    assert count_by_state(platform.ledger) == {"held": 1}
    assert get_batch(platform.ledger, batch.batch_id).error == "run run-1 was canceled by a person"


def test_stopping_ends_readers_at_work(platform: Platform, put: Put) -> None:
    put("toy/a", toy(1))
    put("toy/b", toy("hang"))
    batch = next_batch(platform)

    class Stopping(Silent):
        def progress(self, *args: Any) -> None:
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        batch_run.run_batch(
            platform, TOY, NoConfig(), batch.batch_id, "run-1", Stopping(), hold_when_stopped=lambda: True
        )
    assert time.monotonic() - began < 4, "it waited for a reader that hangs"
    assert not reader_processes()


def take_over(platform: Platform, batch_id: str, run_id: str) -> Claim:
    """What another machine does when the first run's lease has run out."""
    with platform.ledger.write() as connection:
        connection.execute(
            update(leases).where(leases.c.name == f"batch:{batch_id}").values(expires_at=utc_now() - timedelta(1))
        )
    return claim(platform.ledger, batch_id, run_id, 10)


def test_a_run_that_lost_its_batch_changes_nothing(
    platform: Platform, put: Put, seen_before: dict[str, list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = next_batch(platform)
    commit, other = Lake.commit, []

    def late(self: Lake, name: Any, **kwargs: Any) -> Any:
        if not other:
            other.append(take_over(platform, batch.batch_id, "run-other"))
        return commit(self, name, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(Lake, "commit", late)
        with pytest.raises(LeaseLost, match="run-other holds it now"):
            run(platform, batch)
    assert visible(platform) == seen_before
    assert get_batch(platform.ledger, batch.batch_id).run_id == "run-other"
    assert count_by_state(platform.ledger) == {"committed": 1, "running": 2}, "the other run goes on undisturbed"
    give_back(platform.ledger, other[0], "test", max_attempts=5)
    assert_healed_by_the_next_run(platform, seen_before, batch.batch_id)


def test_a_ledger_that_is_gone_does_not_hide_the_first_error(
    platform: Platform, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("toy/a", toy(1))
    batch = next_batch(platform)

    def gone(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("UPDATE", {}, Exception("server closed the connection"))

    with monkeypatch.context() as patched:
        fail_on("readings", patched)
        patched.setattr(batch_run, "give_back", gone)
        with pytest.raises(ConnectionError, match="no connection while readings commits"):
            run(platform, batch)


def test_runs_commit_in_turns(platform: Platform, put: Put) -> None:
    put("toy/a", toy(1))
    batch = next_batch(platform)
    turn = take_commit_turn(platform.ledger, "toy", "run-other", 10)
    assert turn is not None
    assert take_commit_turn(platform.ledger, "toy", "run-third", 10) is None
    heard = Silent()
    runner = threading.Thread(
        target=batch_run.run_batch,
        args=(platform, TOY, NoConfig(), batch.batch_id, "run-1", heard),
        kwargs={"hold_when_stopped": lambda: True},
    )
    runner.start()
    deadline = time.monotonic() + 20
    while not heard.said and time.monotonic() < deadline:
        time.sleep(0.02)
    assert heard.said == ["waiting: another run commits to the tables of toy"]
    assert visible(platform) == {}
    end_commit_turn(platform.ledger, turn)
    runner.join(20)
    assert visible(platform) == {"toy/a": [1.0]}


class OtherReadings(pa.DataFrameModel):
    """Readings as text."""

    n: Series[np.int32]
    value: Series[str]


def test_a_schema_that_the_table_cannot_take_holds_the_batch(platform: Platform, put: Put) -> None:
    put("toy/a", toy(1))
    look_and_run(platform)
    put("toy/b", toy(2))
    batch = next_batch(platform)
    tables = (Table("readings", OtherReadings), Table("files", Files))
    with pytest.raises(SchemaConflict, match=r"schema of toy.readings .* column value was double and is now string"):
        run(platform, batch, source=dataclasses.replace(TOY, tables=tables))
    assert batch_state(platform, batch) == "held"
    assert count_by_state(platform.ledger) == {"committed": 1, "held": 1}
    run(platform, batch, "run-2")
    assert visible(platform) == {"toy/a": [1.0], "toy/b": [2.0]}


def test_a_batch_that_fails_too_often_is_held(platform: Platform, put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    put("toy/a", toy(1))
    batch = next_batch(platform)
    fail_on("readings", monkeypatch)
    for attempt in range(1, platform.settings.max_attempts + 1):
        with pytest.raises(ConnectionError):
            run(platform, batch, f"run-{attempt}")
        expected = "held" if attempt == platform.settings.max_attempts else "planned"
        assert batch_state(platform, batch) == expected
    assert count_by_state(platform.ledger) == {"held": 1}


def end_at_once(memory_mb: int, logs: object) -> None:
    os._exit(9)


def test_readers_that_cannot_even_start_are_no_fault_of_a_file(
    platform: Platform, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("toy/a", toy(1))
    put("toy/b", toy(2))
    batch = next_batch(platform)
    with monkeypatch.context() as broken:
        broken.setattr(worker_pool, "_prepare_worker", end_at_once)
        with pytest.raises(
            PoolError, match=r"reader processes end before they read anything.*STRANDLINE_FILE_MEMORY_MB"
        ):
            run(platform, batch)
    assert count_by_state(platform.ledger) == {"pending": 2}
    assert reader_processes() == []
    run(platform, batch, "run-2")
    assert visible(platform) == {"toy/a": [1.0], "toy/b": [2.0]}
