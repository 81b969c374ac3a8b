"""The instance is started when a survey needs it and stopped when nobody does: real requests to an EC2 at the wire."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import pytest

from resources.caris_host.config import CarisSettings
from resources.caris_host.holds import Holds
from resources.caris_host.host import HostNotReady, HostUnavailable
from resources.caris_host.machine import Machine
from resources.ledger import Ledger
from resources.platform import Platform
from resources.settings import Settings
from sensors.caris_host import build_caris_host_sensor


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield made
    made.close()


@pytest.fixture(scope="module")
def ec2(aws: str) -> Any:
    return boto3.client("ec2")


@pytest.fixture(scope="module")
def made(ec2: Any) -> str:
    # It warns of an image that it does not know, and makes the instance.
    answer = ec2.run_instances(ImageId="ami-0123456789abcdef0", MinCount=1, MaxCount=1)
    return str(answer["Instances"][0]["InstanceId"])


@pytest.fixture
def instance(ec2: Any, made: str) -> str:
    ec2.stop_instances(InstanceIds=[made])
    return made


def state(ec2: Any, instance: str) -> str:
    return str(ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]["State"]["Name"])


def caris(instance: str, **more: Any) -> CarisSettings:
    values = {"host": f"ssm:{instance}", "work_folder": "D:\\work", "bucket": "s3://surveys", "idle_seconds": 0, **more}
    return CarisSettings.model_validate(values)


def machine(ledger: Ledger, instance: str, **more: Any) -> tuple[Holds, Machine]:
    holds = Holds(lambda: ledger, f"ssm:{instance}", 2, 60)
    return holds, Machine(instance, holds, caris(instance, **more), pause=lambda _: None)


def test_started_by_the_first_and_stopped_after_the_last(ledger: Ledger, ec2: Any, instance: str) -> None:
    holds, host = machine(ledger, instance)
    assert state(ec2, instance) == "stopped"
    with holds.hold("a", 0):
        host.start()
        assert state(ec2, instance) == "running"
        with holds.hold("b", 0):
            host.start()
        host.leave()
        assert state(ec2, instance) == "running", "the other survey works on it"
    host.leave()
    assert state(ec2, instance) == "stopped"
    assert not holds.is_to_be_stopped()


@pytest.mark.parametrize(("stop", "then"), [("started", "running"), ("never", "running"), ("always", "stopped")])
def test_one_that_ran_before_is_left_running_unless_so_set(
    ledger: Ledger, ec2: Any, instance: str, stop: str, then: str
) -> None:
    ec2.start_instances(InstanceIds=[instance])
    holds, host = machine(ledger, instance, stop=stop)
    with holds.hold("a", 0):
        host.start()
    host.leave()
    assert state(ec2, instance) == then


def test_one_that_is_never_to_be_stopped_is_started_all_the_same(ledger: Ledger, ec2: Any, instance: str) -> None:
    holds, host = machine(ledger, instance, stop="never")
    with holds.hold("a", 0):
        host.start()
    host.leave()
    assert state(ec2, instance) == "running"


def test_a_dead_run_s_host_is_stopped_by_the_sensor(
    settings: Settings, ec2: Any, instance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "HOST": f"ssm:{instance}",
        "WORK_FOLDER": "D:\\work",
        "BUCKET": "s3://surveys",
        "IDLE_SECONDS": "0",
    }.items():
        monkeypatch.setenv(f"STRANDLINE_CARIS_{name}", value)
    platform = Platform(settings)
    (sensor,) = build_caris_host_sensor(platform.caris, dg.DefaultSensorStatus.STOPPED)

    def look() -> str:
        context = dg.build_sensor_context(resources={"platform": platform})
        return str(sensor.evaluate_tick(context).skip_message)

    holds, host = machine(platform.ledger, instance)
    with holds.hold("a", 0):
        host.start()
        assert "not to be stopped now" in look()
    # It never said that it left.
    assert state(ec2, instance) == "running"
    assert "is being stopped" in look()
    assert state(ec2, instance) == "stopped"
    assert "not to be stopped now" in look()
    platform.close()


def test_no_sensor_where_there_is_nothing_to_stop() -> None:
    for settings in (
        CarisSettings(),
        CarisSettings.model_validate({"host": "local:"}),
        caris("i-0123456789abcdef0", stop="never"),
    ):
        assert build_caris_host_sensor(settings, dg.DefaultSensorStatus.STOPPED) == []


def test_an_instance_that_does_not_come_up(
    ledger: Ledger, ec2: Any, instance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, host = machine(ledger, instance)
    monkeypatch.setattr(host, "_state", lambda: "pending")
    object.__setattr__(host._settings, "start_seconds", -1.0)
    with pytest.raises(HostUnavailable, match=r"still pending .*START_SECONDS"):
        host.start()


def test_instances_that_cannot_be_started(
    ledger: Ledger, ec2: Any, instance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(HostNotReady, match="STRANDLINE_CARIS_INSTANCE"):
        machine(ledger, "i-00000000000000000")[1].start()
    monkeypatch.setattr("resources.caris_host.aws._ATTEMPTS", 1)
    with monkeypatch.context() as away:
        away.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        with pytest.raises(HostUnavailable, match="ec2:DescribeInstances"):
            machine(ledger, instance)[1].start()
    ec2.terminate_instances(InstanceIds=[instance])
    with pytest.raises(HostNotReady, match="terminated"):
        machine(ledger, instance)[1].start()
