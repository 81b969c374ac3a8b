"""A cancel whose signal was lost is sent again; one that was heard is not."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from types import FrameType

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test, instance_for_test

from pipeline_assets.cancel_watch import CancelWatch


@pytest.fixture
def signals() -> Iterator[list[int]]:
    """What the process was sent."""
    got: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        got.append(number)

    before = signal.signal(signal.SIGINT, note)
    yield got
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with instance_for_test() as made:
        yield made


def started(instance: dg.DagsterInstance) -> str:
    return create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED).run_id


def cancel(instance: dg.DagsterInstance, run_id: str) -> None:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    instance.report_run_canceling(run)


def test_a_run_that_did_not_hear_is_told_again(instance: dg.DagsterInstance, signals: list[int]) -> None:
    run_id = started(instance)
    with CancelWatch(instance, run_id, look_every=0.02):
        cancel(instance, run_id)
        for _ in range(500):
            if signals:
                break
            time.sleep(0.02)
    assert signals[:1] == [signal.SIGINT]


def test_a_run_that_heard_is_left_in_peace(instance: dg.DagsterInstance, signals: list[int]) -> None:
    run_id = started(instance)
    with CancelWatch(instance, run_id, look_every=0.02) as watch:
        cancel(instance, run_id)
        assert watch.is_canceled()
        time.sleep(0.4)
    assert signals == []


def test_a_run_that_nobody_canceled_is_left_in_peace(instance: dg.DagsterInstance, signals: list[int]) -> None:
    with CancelWatch(instance, started(instance), look_every=0.02) as watch:
        time.sleep(0.4)
    assert signals == []
    assert not watch.is_canceled()
