"""Each kind of failure through real runs: what is tried again, what is held at once, and that nothing loops."""

from __future__ import annotations

import json
import os
import pickle
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from sqlalchemy import exc, select, update
from sqlalchemy.engine import make_url

from cli.drain import PLATFORM_ERROR, drain_sources
from pipeline_assets.batch_run import BatchHeld
from pipeline_assets.definitions import Overrides, build_defs
from pipeline_assets.failures import FailureKind, in_words, kind_of
from pipeline_assets.run_tags import FAILURE_TAG
from pipeline_assets.source import FileSource, NoConfig, Table
from pipeline_assets.worker_pool import PoolError
from resources.lake.lake import Lake, SchemaConflict, SnapshotGone, UnknownRows
from resources.landing.folder import LandingGone
from resources.landing.store import StoreError
from resources.ledger.batches import BatchBusy, get_batch, release
from resources.ledger.leases import LeaseLost
from resources.ledger.pruning import redo
from resources.ledger.queries import count_by_state
from resources.ledger.states import IllegalMove
from resources.ledger.tables import batches
from resources.platform import Platform
from resources.settings import Settings
from sensors.looking import look_for_arrivals
from tests.conftest import Put, putter
from tests.cut_line import Line, line_to
from tests.running import Silent, next_batch, run, toy, visible
from tests.test_batch_failures import OtherReadings
from tests.toy_source import TOY, Files


@pytest.mark.parametrize(
    "error",
    [
        StoreError("away"), LandingGone("away"), PoolError("no processes"), LeaseLost("gone"), SnapshotGone("expired"),
        OSError(28, "No space left on device"), TimeoutError(), ConnectionResetError(), MemoryError(), EOFError(),
        exc.OperationalError("SELECT", {}, Exception("server closed the connection")), exc.TimeoutError(),
        exc.InterfaceError("SELECT", {}, Exception()), exc.IntegrityError("INSERT", {}, Exception()),
        pa.ArrowInvalid("file is too small"), RuntimeError("can't start new thread"), Exception("of a kind unknown"),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_what_is_tried_again(error: Exception) -> None:
    assert kind_of(error) is FailureKind.TRANSIENT
    assert in_words(error, "b1") == f"{type(error).__name__}: {error}"


@pytest.mark.parametrize(
    "error",
    [
        SchemaConflict("m"), UnknownRows("m"), BatchHeld("m"), BatchBusy("m"), IllegalMove("m"), TypeError("m"),
        AttributeError("m"), KeyError("m"), IndexError("m"), ValueError("m"), ZeroDivisionError("m"), ImportError("m"),
        AssertionError("m"), NotImplementedError("m"), RecursionError("m"), pickle.PicklingError("m"),
        exc.ProgrammingError("SELEC", {}, Exception("syntax error")), exc.ArgumentError("m"),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_what_is_held_at_once(error: Exception) -> None:
    assert kind_of(error) is FailureKind.PERMANENT


class Deployment:
    """Sensor and runs of one source on an instance, with every wait between attempts over at once."""

    def __init__(self, platform: Platform, instance: dg.DagsterInstance, source: FileSource = TOY) -> None:
        self.platform, self.instance = platform, instance
        stopped = dg.DefaultSensorStatus.STOPPED
        self.defs = build_defs(Overrides(sources=(source,), platform=platform, sensor_status=stopped))

    def tick_and_run(self) -> int:
        with self.platform.ledger.write() as connection:
            connection.execute(update(batches).values(not_before=None))
        context = dg.build_sensor_context(instance=self.instance, resources={"platform": self.platform})
        asked: Any = self.defs.resolve_sensor_def("toy_arrivals")(context)
        for request in asked.dynamic_partitions_requests or []:
            self.instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
        for request in asked.run_requests or []:
            self.defs.resolve_job_def("toy_ingest").execute_in_process(
                instance=self.instance, partition_key=request.partition_key, tags=dict(request.tags),
                raise_on_error=False, run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )  # fmt: skip
        return len(asked.run_requests or [])


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def fail_with(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Lake, name: Any, **kwargs: Any) -> Any:
        raise error

    monkeypatch.setattr(Lake, "commit", fail)


@pytest.mark.parametrize(("error", "attempts"), [(ConnectionError("no route"), 3), (TypeError("a fault"), 1)])
def test_the_sensor_asks_for_a_bounded_number_of_runs(
    settings: Settings, instance: dg.DagsterInstance, put: Put, monkeypatch: pytest.MonkeyPatch,
    error: Exception, attempts: int,
) -> None:  # fmt: skip
    platform = Platform(settings.model_copy(update={"max_attempts": 3}))
    put("toy/a", toy(1))
    deployment = Deployment(platform, instance)
    fail_with(error, monkeypatch)
    assert sum(deployment.tick_and_run() for _ in range(attempts + 4)) == attempts
    assert count_by_state(platform.ledger) == {"held": 1}
    runs = instance.get_runs()
    assert len(runs) == attempts
    assert {run.tags[FAILURE_TAG] for run in runs} == {kind_of(error).value}
    assert {run.tags["dagster/retry_on_asset_or_op_failure"] for run in runs} == {"false"}
    with platform.ledger.read() as connection:
        (text,) = connection.scalars(select(batches.c.error))
    assert ("The same code would fail again on these files, so the batch is held." in text) is (attempts == 1)
    assert ("then: strandline redo " in text) is (attempts == 1)
    platform.close()


@pytest.mark.parametrize(("error", "attempts"), [(ConnectionError("no route"), 3), (TypeError("a fault"), 1)])
def test_drains_make_a_bounded_number_of_attempts(
    settings: Settings, put: Put, monkeypatch: pytest.MonkeyPatch, error: Exception, attempts: int
) -> None:
    platform = Platform(settings.model_copy(update={"max_attempts": 3}))
    put("toy/a", toy(1))
    source = replace(TOY, aggregates=())
    monkeypatch.setenv("DAGSTER_HOME", "")
    with monkeypatch.context() as broken:
        fail_with(error, broken)
        codes = [drain_sources(platform, [source]) for _ in range(attempts + 1)]
    assert codes == [PLATFORM_ERROR] * (attempts - 1) + [3, 0]
    with platform.ledger.read() as connection:
        ((state, attempt),) = connection.execute(select(batches.c.state, batches.c.attempt)).all()
    assert (state, attempt) == ("held", attempts)
    platform.close()


@pytest.mark.parametrize("again", [release, redo])
def test_what_a_person_sends_on_has_all_its_attempts_again(
    settings: Settings, put: Put, monkeypatch: pytest.MonkeyPatch, again: Any
) -> None:
    platform = Platform(settings.model_copy(update={"max_attempts": 2}))
    put("toy/a", toy(1))
    batch = next_batch(platform)
    with monkeypatch.context() as broken:
        fail_with(ConnectionError("no route"), broken)
        for attempt, state in enumerate(["planned", "held", "planned", "held"], 1):
            with pytest.raises(ConnectionError):
                run(platform, batch, f"run-{attempt}")
            assert get_batch(platform.ledger, batch.batch_id).state == state
            if attempt == 2:
                again(platform.ledger, batch.batch_id)
    again(platform.ledger, batch.batch_id)
    run(platform, batch, "run-5")
    assert visible(platform) == {"toy/a": [1.0]}
    platform.close()


def broken_derive(values: list[float], config: NoConfig) -> dict[str, object]:
    return {"readings": values + {}, "files": None}  # type: ignore[operator]


def test_a_programming_error_in_derive_is_each_file_s_refusal_and_no_failure(
    platform: Platform, instance: dg.DagsterInstance, put: Put
) -> None:
    put("toy/a", toy(1))
    deployment = Deployment(platform, instance, replace(TOY, derive=broken_derive))
    assert [deployment.tick_and_run() for _ in range(3)] == [1, 0, 0]
    assert count_by_state(platform.ledger) == {"quarantined": 1}


def test_a_programming_error_in_derive_holds_a_batch_of_many_files_once(
    platform: Platform, instance: dg.DagsterInstance, put: Put
) -> None:
    for number in range(5):
        put(f"toy/{number}", toy(number))
    deployment = Deployment(platform, instance, replace(TOY, derive=broken_derive))
    assert [deployment.tick_and_run() for _ in range(3)] == [1, 0, 0]
    assert count_by_state(platform.ledger) == {"held": 5}


def test_a_schema_that_a_table_cannot_take_is_tried_once(
    platform: Platform, instance: dg.DagsterInstance, put: Put
) -> None:
    put("toy/a", toy(1))
    assert Deployment(platform, instance).tick_and_run() == 1
    put("toy/b", toy(2))
    tables = (Table("readings", OtherReadings), Table("files", Files, derived_from=("readings",)))
    changed = Deployment(platform, instance, replace(TOY, tables=tables, aggregates=()))
    assert [changed.tick_and_run() for _ in range(3)] == [1, 0, 0]
    assert count_by_state(platform.ledger) == {"committed": 1, "held": 1}


def drain(home: Path, *, most_bytes: int | None = None) -> tuple[int, dict[str, Any]]:
    """`strandline drain` as a process of its own, whose files (its readers', too) may not grow beyond `most_bytes`."""
    limit = "" if most_bytes is None else f"resource.setrlimit(resource.RLIMIT_FSIZE, ({most_bytes}, {most_bytes})); "
    code = f"import resource, runpy; {limit}runpy.run_module('tests.toy_cli', run_name='__main__')"
    environment = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    environment |= {"STRANDLINE_HOME": str(home), "STRANDLINE_WORKERS": "1", "STRANDLINE_SETTLE_SECONDS": "0.1"}
    done = subprocess.run(
        [sys.executable, "-c", code, "drain", "--json"],
        capture_output=True, text=True, timeout=200, env=environment, cwd=Path(__file__).parent.parent, check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_a_disk_that_takes_no_more_refuses_no_file(settings: Settings, platform: Platform, put: Put) -> None:
    chance = random.Random(7)
    put("toy/large", toy(*(chance.uniform(0, 1000) for _ in range(200_000))))
    code, summary = drain(settings.home, most_bytes=1024 * 1024)
    assert code == PLATFORM_ERROR, summary
    assert "File too large" in summary["failed"][0]
    assert count_by_state(platform.ledger) == {"pending": 1}
    code, summary = drain(settings.home)
    assert (code, summary["states"]) == (0, {"committed": 1})


@pytest.fixture
def line(postgresql: str) -> Iterator[Line]:
    """A line to the PostgreSQL server."""
    url = make_url(postgresql)
    folder = url.query.get("host")

    def connect() -> socket.socket:
        if url.host is None:
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(f"{folder}/.s.PGSQL.{url.port or 5432}")
            return connection
        return socket.create_connection((url.host, url.port or 5432))

    with line_to(connect) as made:
        yield made


@pytest.fixture
def served(postgresql: str, line: Line, settings: Settings, request: pytest.FixtureRequest) -> Iterator[Platform]:
    """A platform whose ledger is at the other end of the line."""
    url = make_url(postgresql).set(host="127.0.0.1", port=line.port, query={})
    values = {
        "ledger_url": type(Settings(ledger_url="postgresql://u:p@h/d").ledger_url)(url.render_as_string(False)),
        "namespace": f"away_{abs(hash(request.node.name)) % 10**8}", "lease_seconds": 2.0,
    }  # fmt: skip
    made = Platform(settings.model_copy(update=values))
    yield made
    made.close()


class Cutting(Silent):
    """Does something to the line at the first progress of a run."""

    def __init__(self, act: Any) -> None:
        super().__init__()
        self._act = act

    def progress(self, *args: Any) -> None:
        act, self._act = self._act, lambda: None
        act()


def run_with(platform: Platform, batch_id: str, reporter: Silent) -> None:
    from pipeline_assets.batch_run import run_batch

    run_batch(platform, TOY, NoConfig(), batch_id, "run-1", reporter, hold_when_stopped=lambda: False)


def test_connections_to_the_database_that_break_do_not_fail_a_run(served: Platform, line: Line, tmp_path: Path) -> None:
    putter(served.landing, tmp_path)("toy/a", toy(1))  # type: ignore[arg-type]
    batch = next_batch(served)
    run_with(served, batch.batch_id, Cutting(line.drop))
    assert visible(served) == {"toy/a": [1.0]}


def test_a_database_that_is_away_for_a_moment(served: Platform, line: Line, tmp_path: Path) -> None:
    putter(served.landing, tmp_path)("toy/a", toy(1))  # type: ignore[arg-type]
    batch = next_batch(served)
    with pytest.raises(exc.OperationalError) as away:
        run_with(served, batch.batch_id, Cutting(line.cut))
    assert kind_of(away.value) is FailureKind.TRANSIENT
    with pytest.raises(exc.OperationalError):
        look_for_arrivals(served, TOY)
    line.mend()
    deadline = time.monotonic() + 30
    while get_batch(served.ledger, batch.batch_id).state != "planned":
        assert time.monotonic() < deadline, "the batch was not taken back"
        time.sleep(0.2)
        look_for_arrivals(served, TOY)
    assert get_batch(served.ledger, batch.batch_id).attempt == 1
    assert count_by_state(served.ledger) == {"pending": 1}
    run(served, batch, "run-2")
    assert visible(served) == {"toy/a": [1.0]}
