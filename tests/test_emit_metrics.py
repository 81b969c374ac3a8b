"""What a deployment on AWS says of itself: of a real instance of Dagster and a real ledger."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.storage.dagster_run import DagsterRunStatus
from dagster._core.test_utils import create_run_for_test
from dagster._daemon.types import DaemonHeartbeat

from deploy.aws.emf import Metric
from deploy.aws.emit_metrics import emit_once, heartbeat_age, measured
from deploy.aws.profiles import SOURCES
from pipeline_assets.registry import NAMES
from resources.ledger.batches import claim, give_back
from resources.platform import Platform
from tests.conftest import Put
from tests.running import next_batch, toy

_LOCATION = GrpcServerCodeLocationOrigin(host="code", port=4000, location_name="strandline")
_ORIGIN = RemoteJobOrigin(RemoteRepositoryOrigin(_LOCATION, "repository"), "job")


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """Of all these tests, for making one takes a second: who counts runs looks from its own beginning on."""
    folder = tmp_path_factory.mktemp("dagster")
    with dg.DagsterInstance.local_temp(str(folder)) as made:
        yield made


def beat(instance: dg.DagsterInstance, at: float, *, but: str = "") -> None:
    instance.wipe_daemon_heartbeats()
    for name in instance.get_required_daemon_types():
        if name != but:
            instance.add_daemon_heartbeat(DaemonHeartbeat(at, name, "daemon", []))


def test_the_oldest_sign_of_any_part_counts(instance: dg.DagsterInstance) -> None:
    beat(instance, 1000.0)
    assert heartbeat_age(instance, 1010.0, 900.0) == 10.0
    instance.add_daemon_heartbeat(DaemonHeartbeat(700.0, "SENSOR", "daemon", []))
    assert heartbeat_age(instance, 1010.0, 900.0) == 310.0


def test_a_part_that_never_gave_a_sign_counts_from_the_start(instance: dg.DagsterInstance) -> None:
    beat(instance, 1000.0, but="SENSOR")
    assert heartbeat_age(instance, 1010.0, 900.0) == 110.0


def test_runs_and_held_batches_are_counted(platform: Platform, put: Put, instance: dg.DagsterInstance) -> None:
    put("toy/a.csv", toy(1))
    batch = next_batch(platform)
    before = time.time()
    statuses = [DagsterRunStatus.SUCCESS, DagsterRunStatus.NOT_STARTED,
                DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]  # fmt: skip
    for status in statuses:
        create_run_for_test(instance, status=status)
    create_run_for_test(instance, status=DagsterRunStatus.QUEUED, remote_job_origin=_ORIGIN)
    for _ in range(2):
        instance.report_run_failed(create_run_for_test(instance, status=DagsterRunStatus.STARTED))

    def now() -> dict[Metric, float]:
        return measured(instance, platform.ledger, started=before, looked=before, now=time.time() + 1)

    found = now()
    assert (found[Metric.FAILED_RUNS], found[Metric.QUEUED_RUNS], found[Metric.RUNNING_RUNS]) == (2, 1, 3)
    assert found[Metric.HELD_BATCHES] == 0
    give_back(
        platform.ledger, claim(platform.ledger, batch.batch_id, "run-1", 10), "too bad", max_attempts=5, hold=True
    )
    assert now()[Metric.HELD_BATCHES] == 1


def test_a_failed_run_is_counted_once(
    platform: Platform, instance: dg.DagsterInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.time()
    instance.report_run_failed(create_run_for_test(instance, status=DagsterRunStatus.STARTED))
    looked = emit_once(platform, instance, started=began, looked=began)
    emit_once(platform, instance, started=began, looked=looked)
    lines = [json.loads(one) for one in capsys.readouterr().out.splitlines()]
    assert [one["FailedRuns"] for one in lines] == [1, 0]
    assert all(one["namespace"] == "default" and "_aws" in one for one in lines)


def test_what_cannot_be_asked_is_no_metric_and_is_asked_again(
    platform: Platform,
    instance: dg.DagsterInstance,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(*_: object, **__: object) -> int:
        raise ConnectionError("postgresql://strandline:very-secret-word@db/strandline is away")

    monkeypatch.setattr(instance, "get_runs_count", away)
    assert emit_once(platform, instance, started=1.0, looked=2.0) == 2.0
    told = capsys.readouterr()
    assert told.out == ""
    assert "no metrics now: ConnectionError" in told.err
    assert "very-secret-word" not in told.err


def test_the_stack_knows_all_sources() -> None:
    assert set(SOURCES) == set(NAMES)
