"""No more runs of a source at once than the settings say, whoever starts them: through Dagster's real queue, and beside it."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from dagster._daemon.sensor import execute_sensor_iteration

from pipeline_assets.definitions import Overrides, build_defs
from resources.ledger.batches import SourceBusy, claim, give_back, live
from resources.platform import Platform
from resources.settings import Settings, SettingsError
from sensors.run_limits import keep_run_limits
from tests.conftest import Put
from tests.crash.sessions import own_environment
from tests.ledger.conftest import dump
from tests.rules.graphql import Deployment, deployment
from tests.running import next_batch, run, toy, visible
from tests.toy_source import TOY

ROOT = Path(__file__).parents[1]


def shipped_config(most_runs: int) -> dict[str, Any]:
    """What says in the shipped dagster.yaml how runs are queued. Launched runs are started by nobody: the tests end them."""
    config = yaml.safe_load((ROOT / "deploy/local/dagster.yaml").read_text())
    config["concurrency"]["runs"]["max_concurrent_runs"] = most_runs
    queued = {name: config[name] for name in ("run_coordinator", "concurrency")}
    return {**queued, "run_launcher": {"module": "dagster._core.test_utils", "class": "MockedRunLauncher"}}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"max_runs_of": {"toy": 1}})


@pytest.fixture
def queued(platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    for name, value in {
        "HOME": str(platform.settings.home), "SETTLE_SECONDS": "0", "MAX_RUNS_OF": "toy=1",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"STRANDLINE_{name}", value)
    folder = tmp_path / "dagster"
    folder.mkdir()
    with deployment(platform, folder, shipped_config(most_runs=9)) as made:
        keep_run_limits(made.instance, platform.settings, [TOY])
        yield made


def dequeue(queued: Deployment) -> set[str]:
    """What the daemon does with the queue; the runs that are under way then."""
    daemon = QueuedRunCoordinatorDaemon(interval_seconds=1)
    with ThreadPoolExecutor(1) as thread:  # a browser's test may have left an event loop in this one
        thread.submit(list, daemon.run_iteration(queued.workspace)).result()
    filters = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED])
    return {run.run_id for run in queued.instance.get_runs(filters)}


def end(queued: Deployment, run_id: str) -> None:
    run = queued.instance.get_run_by_id(run_id)
    assert run is not None
    queued.instance.report_run_failed(run, "the test ends it")


def tick(queued: Deployment) -> None:
    """What the sensor daemon does: a tick of every sensor, in the code location's own process."""
    logger = logging.getLogger("sensors")
    with ThreadPoolExecutor(1) as thread:
        thread.submit(list, execute_sensor_iteration(queued.workspace, logger, None, None)).result()


def test_all_starts_share_the_limit_and_other_jobs_go_on(queued: Deployment, put: Put) -> None:
    """Sensor, UI, backfill, and a drain beside the queue, whose run is in Dagster's storage with its pool."""
    platform = queued.platform
    for number in range(3):
        put(f"toy/{number}", toy(number))
        run(platform, queued.planned(), f"before-{number}")
    old = queued.instance.get_dynamic_partitions("toy_batches")
    of_toy = {*queued.backfill([*old[:2]]), queued.launch(old[2])}
    put("toy/new", toy(7))
    tick(queued)
    asked = {one.run_id for one in queued.instance.get_runs(dg.RunsFilter(job_name="toy_ingest"))} - of_toy
    assert len(asked) == 1, "the sensor asks for a run of what landed"
    of_toy |= asked
    others = {queued.launch(None, job="platform_health") for _ in range(3)}
    stopped = dg.DefaultSensorStatus.STOPPED
    job = build_defs(Overrides(sources=(TOY,), platform=platform, sensor_status=stopped)).resolve_job_def("toy_ingest")
    of_drain = queued.instance.create_run_for_job(
        job, status=dg.DagsterRunStatus.STARTED, tags={"dagster/partition": old[0]}
    ).run_id
    under_way = dequeue(queued)
    assert (under_way & of_toy, of_drain in under_way, under_way >= others) == (set(), True, True)
    end(queued, of_drain)
    done = set()
    while done != of_toy:
        (started,) = dequeue(queued) & of_toy
        assert dequeue(queued) & of_toy == {started}
        end(queued, started)
        done.add(started)
    assert dequeue(queued) & of_toy == set()


def test_limits_follow_the_settings(platform: Platform, tmp_path: Path) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:

        def limits() -> dict[str, int]:
            return {pool.name: pool.limit for pool in instance.event_log_storage.get_pool_limits()}

        for limit in (1, 3, 3):
            keep_run_limits(instance, platform.settings.model_copy(update={"max_runs_of": {"toy": limit}}), [TOY])
            assert limits() == {"toy_runs": limit}
        instance.event_log_storage.set_concurrency_slots("somebody's", 2)
        keep_run_limits(instance, platform.settings.model_copy(update={"max_runs_of": {}}), [TOY])
        assert limits() == {"somebody's": 2}


def test_a_claim_over_the_limit_changes_nothing(platform: Platform, put: Put) -> None:
    made = []
    for number in range(2):
        put(f"toy/{number}", toy(number))
        made.append(next_batch(platform).batch_id)
        claim(platform.ledger, made[-1], f"run-{number}", 60.0)
    put("toy/late", toy(9))
    late = next_batch(platform)
    before = dump(platform.ledger)
    with pytest.raises(SourceBusy, match=r"2 runs work on batches of toy, as many as STRANDLINE_MAX_RUNS_OF lets\."):
        claim(platform.ledger, late.batch_id, "run-late", 60.0, most_runs=2)
    assert dump(platform.ledger) == before
    again = claim(platform.ledger, made[1], "run-1", 60.0, most_runs=1)
    assert again.run_id == "run-1", "a run that has its batch is not counted against itself"
    give_back(platform.ledger, again, "test", max_attempts=5)
    assert claim(platform.ledger, late.batch_id, "run-late", 60.0, most_runs=2).run_id == "run-late"


def test_a_drain_waits_for_the_other_run_of_its_source(platform: Platform, put: Put) -> None:
    put("toy/busy", toy(1))
    other = claim(platform.ledger, next_batch(platform).batch_id, "run-other", 60.0)
    put("toy/a", toy(2))
    variables = {
        "STRANDLINE_HOME": str(platform.settings.home), "STRANDLINE_SETTLE_SECONDS": "0", "STRANDLINE_MAX_RUNS_OF": "toy=1",
    }  # fmt: skip
    drain = subprocess.Popen(
        [sys.executable, "-m", "tests.toy_cli", "drain"],
        cwd=ROOT, env={**own_environment(), **variables}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert drain.stderr is not None
    said = ""
    while "waiting for another run of toy to end" not in said:
        said += drain.stderr.readline()
        assert drain.poll() is None, said
    assert [batch.batch_id for batch in live(platform.ledger, "toy")] == [other.batch.batch_id]
    give_back(platform.ledger, other, "test", max_attempts=5, backoff=False)
    said += drain.communicate(timeout=60)[1]
    assert drain.returncode == 0, said
    assert visible(platform) == {"toy/a": [2.0], "toy/busy": [1.0]}


@pytest.mark.parametrize("value", ["toy", "toy=0", "toy=many", "=1"])
def test_a_wrong_limit_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("STRANDLINE_MAX_RUNS_OF", value)
    with pytest.raises(SettingsError, match="STRANDLINE_MAX_RUNS_OF="):
        Settings.load()


def test_a_limit_of_no_source_is_refused(platform: Platform) -> None:
    settings = platform.settings.model_copy(update={"max_runs_of": {"tyo": 1}})
    with pytest.raises(SettingsError, match="STRANDLINE_MAX_RUNS_OF names no source: tyo"):
        build_defs(Overrides(sources=(TOY,), platform=Platform(settings)))
