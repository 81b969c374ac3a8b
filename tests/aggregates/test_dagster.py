"""Aggregates as Dagster sees them: the sensor that waits, runs, events and checks, on an instance of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test
from sqlalchemy import func, select, update

from pipeline_assets import aggregate_defs, aggregate_run
from pipeline_assets.definitions import Overrides, build_defs
from pipeline_assets.source import FileSource, NoConfig
from pipeline_assets.source_defs import PROCESS_TAG, SOURCE_TAG
from resources.ledger.database import utc_now
from resources.ledger.tables import publications
from resources.platform import Platform
from resources.settings import Settings
from sensors import aggregates as sensor_module
from sensors.dead_runs import end_dead_runs
from tests.conftest import Put
from tests.running import look_and_run, rows_of, toy
from tests.toy_source import BY_VALUE, TOY, by_value

KEY = dg.AssetKey(["toy", "by_value"])
JOB = "toy_aggregates"
QUIET, DELAY = 10, 120


@dataclass
class Dagster:
    platform: Platform
    instance: dg.DagsterInstance
    source: FileSource = TOY

    def __post_init__(self) -> None:
        overrides = Overrides(sources=(self.source,), platform=self.platform)
        self.defs = build_defs(overrides)
        self.job = self.defs.resolve_job_def(JOB)
        self.sensor = self.defs.resolve_sensor_def("aggregates")

    def tick(self) -> str:
        """Evaluate the sensor: the job that it asks for, or why not."""
        context = dg.build_sensor_context(instance=self.instance, resources={"platform": self.platform})
        result: Any = self.sensor(context)
        if result.run_requests:
            (request,) = result.run_requests
            return str(request.job_name)
        return str(result.skip_reason.skip_message)

    def execute(self, **config: bool) -> dg.ExecuteInProcessResult:
        ops = {"ops": {"toy__by_value": {"config": config}}} if config else {}
        return self.job.execute_in_process(
            instance=self.instance,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}, **ops},
        )

    def checks(self, result: dg.ExecuteInProcessResult) -> dict[str, tuple[bool, str | None]]:
        return {one.check_name: (one.passed, one.description) for one in result.get_asset_check_evaluations()}


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def dagster(platform: Platform, instance: dg.DagsterInstance) -> Dagster:
    return Dagster(platform, instance)


def age(platform: Platform, *, first: float, last: float) -> None:
    """Let the batches' publications have been made these seconds ago."""
    of_batches = publications.c.batch_id != ""
    now = utc_now()
    with platform.ledger.write() as connection:
        newest = connection.scalar(select(func.max(publications.c.seq)).where(of_batches))
        change = update(publications).where(of_batches)
        connection.execute(change.values(published_at=now - timedelta(seconds=first)))
        connection.execute(
            change.where(publications.c.seq == newest).values(published_at=now - timedelta(seconds=last))
        )


def test_it_waits_until_a_source_is_quiet(dagster: Dagster, put: Put) -> None:
    assert dagster.tick() == "toy: up to date"
    put("toy/a", toy(1))
    look_and_run(dagster.platform)
    assert dagster.tick().startswith("toy: batches were published a moment ago; ")
    age(dagster.platform, first=QUIET + 1, last=QUIET + 1)
    assert dagster.tick() == JOB
    assert dagster.execute().success
    assert dagster.tick() == "toy: up to date"


def test_while_load_goes_on_it_waits_no_longer_than_the_delay(dagster: Dagster, put: Put) -> None:
    for number in range(3):
        put(f"toy/{number}", toy(number))
        look_and_run(dagster.platform, f"run-{number}")
    age(dagster.platform, first=DELAY - 5, last=1)
    assert "a moment ago; 5 s to wait" in dagster.tick()
    age(dagster.platform, first=DELAY + 1, last=1)
    assert dagster.tick() == JOB
    dagster.execute()
    put("toy/more", toy(1))
    look_and_run(dagster.platform, "run-more")
    assert "a moment ago" in dagster.tick(), "only what the aggregate lacks counts"


def test_times_are_settings(settings: Settings, instance: dg.DagsterInstance, put: Put) -> None:
    platform = Platform(settings.model_copy(update={"aggregate_quiet_seconds": 0}))
    put("toy/a", toy(1))
    look_and_run(platform)
    assert Dagster(platform, instance).tick() == JOB
    platform.close()


@pytest.mark.parametrize("status", ["NOT_STARTED", "STARTED", "CANCELING"])
def test_one_run_at_a_time(dagster: Dagster, put: Put, status: str) -> None:
    put("toy/a", toy(1))
    look_and_run(dagster.platform)
    age(dagster.platform, first=QUIET + 1, last=QUIET + 1)
    create_run_for_test(dagster.instance, JOB, status=dg.DagsterRunStatus[status])
    assert dagster.tick() == "toy: its run is queued or under way"


def test_a_changed_declaration_needs_no_batch(dagster: Dagster, put: Put) -> None:
    put("toy/a", toy(1))
    look_and_run(dagster.platform)
    dagster.execute()
    changed = replace(TOY, aggregates=(replace(BY_VALUE, compute=lambda rows, config: by_value(rows, config)),))
    assert Dagster(dagster.platform, dagster.instance, changed).tick() == JOB


def broken(*args: object) -> None:
    raise ZeroDivisionError("a fault of the aggregate")


def test_a_run_that_fails_is_tried_again_later_and_not_for_ever(
    dagster: Dagster, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("toy/a", toy(1))
    look_and_run(dagster.platform)
    age(dagster.platform, first=QUIET + 1, last=QUIET + 1)
    monkeypatch.setattr(aggregate_run, "compute_rows", away)
    assert not dagster.execute().success
    assert dagster.tick().startswith("toy: its run failed; ")
    monkeypatch.setattr(sensor_module, "_BACKOFF_SECONDS", 0)
    assert dagster.tick() == JOB
    for _ in range(dagster.platform.settings.max_attempts - 1):
        dagster.execute()
    assert dagster.tick() == (
        "toy: its run failed 5 times; the next comes with the next batch, or materialize the asset"
    )
    put("toy/b", toy(2))
    look_and_run(dagster.platform, "run-2")
    assert "a moment ago" in dagster.tick()
    age_of_last_is_now_quiet(dagster.platform, monkeypatch)
    assert dagster.tick() == JOB
    monkeypatch.undo()
    assert dagster.execute().success
    assert dagster.tick() == "toy: up to date"


def away(*args: Any, **kwargs: Any) -> None:
    raise ConnectionError("no route to the lake")


def test_a_run_that_would_fail_again_waits_for_news(
    dagster: Dagster, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("toy/a", toy(1))
    look_and_run(dagster.platform)
    age(dagster.platform, first=QUIET + 1, last=QUIET + 1)
    monkeypatch.setattr(aggregate_run, "compute_rows", broken)
    assert not dagster.execute().success
    monkeypatch.setattr(sensor_module, "_BACKOFF_SECONDS", 0)
    assert dagster.tick() == (
        "toy: its run would fail again; the next comes with the next batch, or materialize the asset"
    )


def age_of_last_is_now_quiet(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        platform.__dict__, "settings", platform.settings.model_copy(update={"aggregate_quiet_seconds": 0})
    )


def test_a_run_that_a_person_canceled_is_not_started_again_by_itself(dagster: Dagster, put: Put) -> None:
    put("toy/a", toy(1))
    look_and_run(dagster.platform)
    age(dagster.platform, first=QUIET + 1, last=QUIET + 1)
    create_run_for_test(dagster.instance, JOB, status=dg.DagsterRunStatus.CANCELED)
    assert dagster.tick() == "toy: its run was canceled; the next comes with the next batch, or materialize the asset"


def test_a_dead_run_is_ended_so_that_the_next_can_start(dagster: Dagster, put: Put) -> None:
    put("toy/a", toy(1))
    look_and_run(dagster.platform)
    age(dagster.platform, first=QUIET + 1, last=QUIET + 1)
    from resources.ledger.leases import this_process

    host = this_process().rsplit("/", 2)[0]
    tags = {SOURCE_TAG: "toy", PROCESS_TAG: f"{host}/999999999/1"}
    dead = create_run_for_test(dagster.instance, JOB, status=dg.DagsterRunStatus.STARTED, tags=tags)
    assert "under way" in dagster.tick()
    assert end_dead_runs(dagster.instance, TOY, 10) == [dead.run_id]
    assert "its run failed" in dagster.tick()


def test_a_run_leaves_its_row_count_rows_and_checks(dagster: Dagster, put: Put) -> None:
    put("toy/a", toy(1, 2, 2))
    look_and_run(dagster.platform)
    result = dagster.execute()
    assert result.success
    (event,) = result.get_asset_materialization_events()
    assert event.asset_key == KEY
    shown = {name: value.value for name, value in event.materialization.metadata.items()}
    assert (shown["dagster/row_count"], shown["keys computed"], shown["rows read"]) == (2, 2, 3)
    assert shown["made anew because"] == "it was never made before"
    table: Any = event.materialization.metadata["first rows"]
    assert [record.data for record in table.records] == [
        {"value": 1.0, "readings": 1, "latest": 0},
        {"value": 2.0, "readings": 2, "latest": 2},
    ]
    assert dagster.checks(result) == {
        "schema": (True, "2 rows keep every rule"),
        "recomputed": (True, "2 keys compared"),
    }
    run = dagster.instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.tags[SOURCE_TAG] == "toy"
    assert run.tags["dagster/priority"] == "-1"
    assert PROCESS_TAG in run.tags


def test_materializing_before_any_batch_makes_nothing(dagster: Dagster) -> None:
    result = dagster.execute()
    assert result.success
    assert dagster.checks(result)["recomputed"] == (True, "0 keys compared")


def test_rows_that_break_the_schema_fail_the_check_and_the_run(
    platform: Platform, instance: dg.DagsterInstance, put: Put
) -> None:
    put("toy/a", toy(1))
    look_and_run(platform)
    never = replace(BY_VALUE, compute=lambda rows, config: by_value(rows, config).assign(readings=0))
    result = Dagster(platform, instance, replace(TOY, aggregates=(never,))).execute()
    assert not result.success
    ((name, (passed, description)),) = Dagster.checks(None, result).items()  # type: ignore[arg-type]
    assert (name, passed) == ("schema", False)
    assert "column readings: greater_than(0) does not hold for 1 rows" in str(description)
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    assert "Nothing was published" in str(failed.step_failure_data.error)


def test_the_check_finds_a_wrong_table_and_a_person_makes_it_anew(
    dagster: Dagster, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("toy/a", toy(1, 2))
    look_and_run(dagster.platform)
    compute = aggregate_run.compute_rows
    with monkeypatch.context() as patched:
        patched.setattr(aggregate_run, "compute_rows", lambda *args: compute(*args).slice(1))
        aggregate_run.update_aggregate(dagster.platform, TOY, BY_VALUE, NoConfig(), "wrong", print)
    assert rows_of(dagster.platform, "SELECT value FROM toy.by_value") == [(2.0,)]
    again = dagster.execute()
    passed, description = dagster.checks(again)["recomputed"]
    assert not passed
    assert (
        description == "2 keys compared; 1 of them differ. Materialize the asset with the configuration `whole: true`."
    )
    mended = dagster.execute(whole=True)
    assert dagster.checks(mended)["recomputed"] == (True, "2 keys compared")


def test_the_sample_is_capped(dagster: Dagster, put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregate_defs, "_KEYS_COMPARED", 3)
    put("toy/a", toy(*range(10)))
    look_and_run(dagster.platform)
    assert dagster.checks(dagster.execute())["recomputed"] == (True, "3 keys compared")
