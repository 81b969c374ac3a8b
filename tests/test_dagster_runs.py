"""Sensor, runs, events and checks as Dagster sees them, on an instance of its own."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg
import pytest
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.test_utils import create_run_for_test
from sqlalchemy import update

from pipeline_assets.definitions import Overrides, build_defs
from pipeline_assets.source_defs import LogReporter, ReporterFactory, run_tags
from resources.ledger.batches import claim, get_batch, give_back
from resources.ledger.database import utc_now
from resources.ledger.queries import count_by_state
from resources.ledger.tables import batches
from resources.platform import Platform
from tests import metadata_contract as contract
from tests.conftest import Put
from tests.running import Silent, next_batch, run, states, toy, visible
from tests.toy_source import TOY

READINGS, FILES, RAW = (dg.AssetKey(["toy", name]) for name in ("readings", "files", "raw_files"))


@dataclass
class Dagster:
    """Definitions of the toy source on one platform, and an instance to run them on."""

    platform: Platform
    instance: dg.DagsterInstance
    reporter: ReporterFactory = LogReporter

    def __post_init__(self) -> None:
        overrides = Overrides(
            sources=(TOY,),
            platform=self.platform,
            reporter=self.reporter,
            sensor_status=dg.DefaultSensorStatus.STOPPED,
        )
        self.defs = build_defs(overrides)
        self.job = self.defs.resolve_job_def("toy_ingest")
        self.sensor = self.defs.resolve_sensor_def("toy_arrivals")

    def tick(self) -> list[dg.RunRequest]:
        """Evaluate the sensor and do with its partition requests what the daemon does."""
        context = dg.build_sensor_context(instance=self.instance, resources={"platform": self.platform})
        result: Any = self.sensor(context)
        for request in result.dynamic_partitions_requests or []:
            self.instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
        self.skipped = result.skip_reason
        return list(result.run_requests or [])

    def let_time_pass(self) -> None:
        """Until every batch that waits after a failure has waited enough."""
        with self.platform.ledger.write() as connection:
            connection.execute(update(batches).values(not_before=utc_now()))

    def execute(self, partition: str | None, tags: dict[str, str] | None = None) -> dg.ExecuteInProcessResult:
        return self.job.execute_in_process(
            instance=self.instance,
            partition_key=partition,
            tags=tags,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )

    def execute_request(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        return self.execute(request.partition_key, dict(request.tags))

    def materialized(self, key: dg.AssetKey) -> list[tuple[str | None, int]]:
        """Partition and row count of every materialization of a table, the oldest first."""
        records = self.instance.fetch_materializations(key, limit=100, ascending=True).records
        events = [record.asset_materialization for record in records]
        return [
            (event.partition, event.metadata["dagster/partition_row_count"].value) for event in events if event
        ]  # fmt: skip


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def dagster(platform: Platform, instance: dg.DagsterInstance) -> Dagster:
    return Dagster(platform, instance)


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    assert not result.success
    failed = [event for event in result.all_events if event.is_step_failure]
    error: Any = failed[0].step_failure_data.error
    return "\n".join([error.message] + ([error.cause.message] if error.cause else []))


def test_a_tick_asks_for_one_run_of_one_batch(dagster: Dagster, put: Put) -> None:
    assert dagster.tick() == []
    assert dagster.skipped == dg.SkipReason("no batch to start: 0 new of 0 in the folder")
    put("toy/a", toy(1))
    put("toy/b", toy(2))
    (request,) = dagster.tick()
    assert request.run_key == f"{request.partition_key}/1"
    assert request.partition_key is not None
    assert request.tags == run_tags(get_batch(dagster.platform.ledger, request.partition_key))
    assert dagster.instance.get_dynamic_partitions("toy_batches") == [request.partition_key]


def test_a_second_tick_waits_for_the_run_that_was_asked_for(dagster: Dagster, put: Put) -> None:
    put("toy/a", toy(1))
    (request,) = dagster.tick()
    (again,) = dagster.tick()
    assert again.run_key == request.run_key, "no run yet: asked for again under the same key, which Dagster starts once"
    create_run_for_test(dagster.instance, "toy_ingest", tags=dict(request.tags))
    put("toy/b", toy(2))
    assert dagster.tick() == []
    dagster.execute_request(request)
    (following,) = dagster.tick()
    assert following.partition_key != request.partition_key
    dagster.execute_request(following)
    assert visible(dagster.platform) == {"toy/a": [1.0], "toy/b": [2.0]}
    assert dagster.tick() == []


def test_a_run_leaves_events_for_every_table_and_check(dagster: Dagster, put: Put) -> None:
    put("toy/a", toy(1, 2))
    put("toy/bad", toy("bad"))
    (request,) = dagster.tick()
    result = dagster.execute_request(request)
    assert result.success
    batch_id = request.partition_key
    assert dagster.materialized(READINGS) == [(batch_id, 2)]
    assert dagster.materialized(FILES) == [(batch_id, 1)]
    checks = {(e.asset_key, e.check_name): e for e in result.get_asset_check_evaluations()}
    assert {key: (check.passed, check.partition) for key, check in checks.items()} == {
        (READINGS, "schema"): (True, batch_id),
        (FILES, "schema"): (True, batch_id),
        (READINGS, "balance"): (True, batch_id),
        (FILES, "balance"): (True, batch_id),
        (READINGS, "quarantine_rate"): (False, batch_id),
    }
    rate = checks[READINGS, "quarantine_rate"]
    assert rate.severity == dg.AssetCheckSeverity.WARN
    assert rate.description == "1 of 2 files refused: not_a_number 1"
    events = {event.asset_key: event for event in result.get_asset_materialization_events()}
    shown = events[READINGS].materialization.metadata
    assert {name: shown[name].value for name in ("files", "files committed", "files quarantined")} == {
        "files": 2, "files committed": 1, "files quarantined": 1
    }  # fmt: skip
    assert shown["dagster/row_count"].value == 2
    assert events[RAW].materialization.metadata["files"].value == 2


def test_a_run_s_events_have_every_entry(dagster: Dagster, put: Put) -> None:
    long = "toy/" + "a folder/" * 5 + "recording_0001.csv"
    put("toy/a", toy(1, 2))
    put(long, toy("bad"))
    (request,) = dagster.tick()
    result = dagster.execute_request(request)
    shown = {event.asset_key: event.materialization.metadata for event in result.get_asset_materialization_events()}
    wanted = {
        RAW: contract.OF_RUN_RAW_FILES,
        READINGS: contract.OF_RUN_WITH_REFUSALS,
        FILES: contract.OF_RUN,
    }
    for key, names in wanted.items():
        assert contract.missing_of_run(shown[key], names) == []
        for name in names:
            poorer = {one: value for one, value in shown[key].items() if one != name}
            assert contract.missing_of_run(poorer, names) == [name]
    rows, seconds = (shown[READINGS][name].value for name in ("dagster/row_count", "seconds"))
    assert rows == 2
    assert shown[READINGS]["rows per second"].value == pytest.approx(rows / seconds, rel=0.1)
    (refused,) = shown[READINGS]["refused"].records
    assert refused.data == {"why: file": "not_a_number: a folder/a…r/a folder/recording_0001.csv"}
    assert shown[READINGS]["all refused"].value == f"strandline quarantine list --batch {request.partition_key}"
    (rate,) = [one for one in result.get_asset_check_evaluations() if one.check_name == "quarantine_rate"]
    (whole,) = rate.metadata["refused files"].records
    assert whole.data["why"] == "not_a_number: row 1"
    assert whole.data["key"] == long


def test_the_balance_check_reads_the_tables_anew(dagster: Dagster, put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    put("toy/a", toy(1, 2))
    (request,) = dagster.tick()
    monkeypatch.setattr("pipeline_assets.checks.count_rows_by_file", lambda *args: {"some other file": 3})
    result = dagster.execute_request(request)
    balance = [e for e in result.get_asset_check_evaluations() if e.check_name == "balance"]
    assert [check.passed for check in balance] == [False, False]
    assert {check.severity for check in balance} == {dg.AssetCheckSeverity.ERROR}
    assert all("2 files differ from the ledger" in (check.description or "") for check in balance)


def test_a_partition_added_by_hand_fails_by_name(dagster: Dagster) -> None:
    dagster.instance.add_dynamic_partitions("toy_batches", ["by hand"])
    message = failure_of(dagster.execute("by hand"))
    assert "There is no batch 'by hand' in the ledger" in message
    assert "Delete the partition" in message
    assert dagster.materialized(READINGS) == []


def test_a_range_of_partitions_is_refused(dagster: Dagster, put: Put) -> None:
    put("toy/a", toy(1))
    first = next_batch(dagster.platform).batch_id
    dagster.instance.add_dynamic_partitions("toy_batches", [first, "other"])
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": "other"}
    assert "a run does one batch" in failure_of(dagster.execute(None, tags))
    assert states(dagster.platform) == {"toy/a": "pending"}


def test_a_run_without_a_partition_is_refused(dagster: Dagster) -> None:
    assert "a run does one batch" in failure_of(dagster.execute(None))


def test_a_stale_request_does_nothing_and_a_person_s_does(dagster: Dagster, put: Put) -> None:
    put("toy/a", toy(1))
    (request,) = dagster.tick()
    assert dagster.execute_request(request).success
    stale = dagster.execute_request(request)
    assert stale.success, failure_of(stale)
    assert not stale.get_asset_materialization_events()
    assert not stale.get_asset_check_evaluations()
    assert get_batch(dagster.platform.ledger, request.partition_key or "").attempt == 1
    by_hand = dagster.execute(request.partition_key)
    assert by_hand.success
    assert dagster.materialized(READINGS) == [(request.partition_key, 1)] * 2
    again = dagster.execute(request.partition_key, {**request.tags, "dagster/parent_run_id": by_hand.run_id})
    assert again.success
    assert get_batch(dagster.platform.ledger, request.partition_key or "").attempt == 3
    assert visible(dagster.platform) == {"toy/a": [1.0]}


def test_a_batch_that_another_run_works_on(dagster: Dagster, put: Put) -> None:
    put("toy/a", toy(1))
    (request,) = dagster.tick()
    other = claim(dagster.platform.ledger, request.partition_key or "", "run-other", 10)
    automatic = dagster.execute_request(request)
    assert automatic.success, failure_of(automatic)
    assert dagster.materialized(READINGS) == []
    assert "is being worked on by run run-other" in failure_of(dagster.execute(request.partition_key))
    assert states(dagster.platform) == {"toy/a": "running"}
    give_back(dagster.platform.ledger, other, "test", max_attempts=5)


def test_a_held_batch_fails_its_run_with_the_reason(dagster: Dagster, put: Put) -> None:
    for number in range(5):
        put(f"toy/{number}", toy("bad"))
    (request,) = dagster.tick()
    message = failure_of(dagster.execute_request(request))
    assert f"strandline release {request.partition_key}" in message
    assert count_by_state(dagster.platform.ledger) == {"held": 5}
    assert dagster.tick() == [], "only a person moves it on"


def test_a_batch_that_owns_nothing_materializes_no_rows(dagster: Dagster, put: Put) -> None:
    put("toy/a", toy(1))
    (request,) = dagster.tick()
    put("toy/a", toy(2))
    dagster.tick()
    result = dagster.execute_request(request)
    assert result.success
    assert dagster.materialized(READINGS) == [(request.partition_key, 0)]


def end_before_claim(dagster: Dagster, request: dg.RunRequest, status: dg.DagsterRunStatus) -> None:
    create_run_for_test(dagster.instance, "toy_ingest", tags=dict(request.tags), status=status)


def test_a_run_canceled_before_it_began_holds_its_files(dagster: Dagster, put: Put) -> None:
    put("toy/a", toy(1))
    (request,) = dagster.tick()
    end_before_claim(dagster, request, dg.DagsterRunStatus.CANCELED)
    assert dagster.tick() == []
    assert states(dagster.platform) == {"toy/a": "held"}
    assert "(canceled) before it could claim" in (
        get_batch(dagster.platform.ledger, request.partition_key or "").error or ""
    )
    assert dagster.tick() == []
    assert dagster.execute(request.partition_key).success
    assert visible(dagster.platform) == {"toy/a": [1.0]}


def test_canceling_holds_also_when_a_file_was_overwritten_meanwhile(dagster: Dagster, put: Put) -> None:
    put("toy/a", toy(1))
    put("toy/b", toy(1))
    (request,) = dagster.tick()
    put("toy/a", toy(2))
    assert len(dagster.tick()) == 1
    assert states(dagster.platform) == {"toy/a": "pending", "toy/b": "pending"}
    end_before_claim(dagster, request, dg.DagsterRunStatus.CANCELED)
    (following,) = [one for _ in range(2) for one in dagster.tick()]
    assert states(dagster.platform) == {"toy/a": "pending", "toy/b": "held"}
    assert dagster.execute_request(following).success
    assert visible(dagster.platform) == {"toy/a": [2.0]}


def test_a_run_that_failed_before_it_began_is_followed_by_the_next_attempt(dagster: Dagster, put: Put) -> None:
    put("toy/a", toy(1))
    (request,) = dagster.tick()
    end_before_claim(dagster, request, dg.DagsterRunStatus.FAILURE)
    assert dagster.tick() == []
    assert dagster.tick() == [], "not before its time"
    dagster.let_time_pass()
    (second,) = dagster.tick()
    assert second.run_key == f"{request.partition_key}/2"
    assert dagster.execute_request(second).success
    assert visible(dagster.platform) == {"toy/a": [1.0]}


def test_requests_that_always_fail_end_with_a_held_batch(dagster: Dagster, put: Put) -> None:
    put("toy/a", toy(1))
    asked = 0
    for _ in range(20):
        for request in dagster.tick():
            asked += 1
            end_before_claim(dagster, request, dg.DagsterRunStatus.FAILURE)
        dagster.let_time_pass()
    assert asked == dagster.platform.settings.max_attempts
    assert states(dagster.platform) == {"toy/a": "held"}


def test_a_failed_attempt_is_tried_again_after_a_while(
    dagster: Dagster, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("toy/a", toy(1))
    (request,) = dagster.tick()

    def gone(*args: Any, **kwargs: Any) -> None:
        raise ConnectionError("no connection")

    with monkeypatch.context() as patched:
        patched.setattr("pipeline_assets.batch_commit.publish", gone)
        assert "no connection" in failure_of(dagster.execute_request(request))
    assert dagster.tick() == [], "not before its time"
    batch = get_batch(dagster.platform.ledger, request.partition_key or "")
    assert (batch.state, batch.attempt) == ("planned", 1)
    dagster.let_time_pass()
    (second,) = dagster.tick()
    assert second.run_key == f"{request.partition_key}/2"
    assert dagster.execute_request(second).success
    assert visible(dagster.platform) == {"toy/a": [1.0]}


class Interrupted(Silent):
    """Stands for what interrupts a run while the batch is read: Terminate in the UI, or the end of the platform."""

    def __init__(self, instance: dg.DagsterInstance, *, canceled: bool) -> None:
        super().__init__()
        self.instance, self.canceled = instance, canceled

    def progress(self, *args: Any) -> None:
        if self.canceled:
            (run_under_way,) = self.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
            self.instance.report_run_canceling(run_under_way)
        raise DagsterExecutionInterruptedError


@pytest.mark.parametrize(("canceled", "state"), [(True, "held"), (False, "pending")])
def test_interrupting_a_run_frees_its_files(
    platform: Platform, instance: dg.DagsterInstance, put: Put, canceled: bool, state: str
) -> None:
    def interrupted(log: logging.Logger) -> Interrupted:
        return Interrupted(instance, canceled=canceled)

    dagster = Dagster(platform, instance, interrupted)
    put("toy/a", toy(1))
    (request,) = dagster.tick()
    assert not dagster.execute_request(request).success
    assert states(platform) == {"toy/a": state}
    run(platform, request.partition_key or "", "run-after")
    assert visible(platform) == {"toy/a": [1.0]}
