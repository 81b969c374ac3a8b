"""A sensor whose own ticks fail is told once, and again when it had been over. Ticks are real: Dagster's sensor daemon asks a
code location in a process of its own."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import TickStatus
from dagster._daemon.sensor import execute_sensor_iteration

from pipeline_assets.definitions import Overrides, build_defs
from pipeline_assets.operations.schedules import HEALTH_JOB
from resources.ledger.alerts import untold
from resources.platform import Platform
from resources.settings import Settings
from resources.telling import tell_people
from sensors.tick_alerts import look_for_failed_ticks
from tests.alerts.slack_server import Slack
from tests.rules.graphql import Deployment, deployment
from tests.toy_source import TOY


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    (tmp_path / "landing").mkdir()
    return settings.model_copy(update={"landing": tmp_path / "landing"})


@pytest.fixture
def running(platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    """Its code location tells nobody: only the test does."""
    values = {
        "HOME": str(platform.settings.home), "LANDING": str(platform.settings.landing), "SETTLE_SECONDS": "0",
        "SENSOR_INTERVAL_SECONDS": "1",
    }  # fmt: skip
    for name, value in values.items():
        monkeypatch.setenv(f"STRANDLINE_{name}", value)
    (tmp_path / "dagster").mkdir()
    with deployment(platform, tmp_path / "dagster") as made:
        for state in ("alerts", "aggregates", "partition_pruning"):
            stop(made, state)
        yield made


def stop(running: Deployment, sensor: str) -> None:
    context = running.workspace.create_request_context()
    (location,) = context.code_locations
    (repository,) = location.get_repositories().values()
    running.instance.stop_sensor(
        repository.get_sensor(sensor).get_remote_origin_id(), repository.get_sensor(sensor).selector_id,
        repository.get_sensor(sensor),
    )  # fmt: skip


def tick(running: Deployment) -> TickStatus:
    """One tick of the source's sensor; how it ended."""
    time.sleep(1.05)  # its interval
    logger = logging.getLogger("sensors")
    with ThreadPoolExecutor(1) as thread:
        thread.submit(list, execute_sensor_iteration(running.workspace, logger, None, None)).result()
    (state,) = (one for one in running.instance.all_instigator_state() if one.instigator_name == "toy_arrivals")
    newest = running.instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)[0]
    return newest.status


def tell(running: Deployment) -> int:
    look_for_failed_ticks(running.instance, running.platform.ledger, [TOY])
    return tell_people(running.platform).alerts


def test_a_sensor_that_fails_again_and_again_is_told_until_it_is_over(running: Deployment, slack: Slack) -> None:
    platform = running.platform
    landing = platform.settings.landing_folder
    assert landing is not None
    assert tick(running) == TickStatus.SKIPPED
    landing.rmdir()
    for _ in range(2):
        assert tick(running) == TickStatus.FAILURE
        assert tell(running) == 0, "not at the first failures: the next tick may mend it"
    assert tick(running) == TickStatus.FAILURE
    assert tell(running) == 1
    (text,) = slack.texts
    assert "sensor toy_arrivals fails (3 times in a row)" in text
    assert str(landing) in text
    assert "`strandline doctor`" in text
    assert tell(running) == 0, "nothing new"
    assert tick(running) == TickStatus.FAILURE
    assert tell(running) == 0, "it goes on"
    landing.mkdir()
    assert tick(running) == TickStatus.SKIPPED
    assert tell(running) == 0
    shutil.rmtree(landing)
    for _ in range(3):
        tick(running)
    assert tell(running) == 1, "it had been over"
    assert len(slack.messages) == 2


def test_the_health_job_tells_it_as_well(running: Deployment, slack: Slack) -> None:
    """In case it is the sensor `alerts` that fails."""
    platform = running.platform
    landing = platform.settings.landing_folder
    assert landing is not None
    landing.rmdir()
    for _ in range(3):
        tick(running)
    defs = build_defs(Overrides(sources=(TOY,), platform=platform, sensor_status=dg.DefaultSensorStatus.STOPPED))
    assert defs.resolve_job_def(HEALTH_JOB).execute_in_process(instance=running.instance).success
    (text,) = slack.texts
    assert "toy_arrivals" in text
    assert untold(platform.ledger) == {}


def test_a_sensor_that_is_off_is_not_told(running: Deployment, slack: Slack) -> None:
    landing = running.platform.settings.landing_folder
    assert landing is not None
    landing.rmdir()
    for _ in range(3):
        tick(running)
    stop(running, "toy_arrivals")
    assert tell(running) == 0
    assert {one.instigator_type for one in running.instance.all_instigator_state()} == {InstigatorType.SENSOR}
