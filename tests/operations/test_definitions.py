"""The platform's own assets as Dagster sees them: what they tell, their schedules, and real runs of their jobs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from pipeline_assets.definitions import Overrides, build_defs
from pipeline_assets.operations.schedules import (
    BALANCE_JOB,
    CRONS,
    HEALTH_JOB,
    HISTORY_JOB,
    MAINTENANCE_JOB,
    unfinished,
)
from pipeline_assets.source_defs import PROCESS_TAG
from resources.ledger.leases import this_process
from resources.platform import Platform
from tests.conftest import Put
from tests.running import look_and_run, toy
from tests.toy_source import TOY

ASSETS = {"ledger_balance", "health", "lake_maintenance", "dagster_history"}


@pytest.fixture
def defs(platform: Platform) -> dg.Definitions:
    return build_defs(Overrides(sources=(TOY,), platform=platform))


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as made:
        yield made


def test_every_asset_tells_what_it_is(defs: dg.Definitions) -> None:
    specs = [spec for spec in defs.resolve_all_asset_specs() if spec.group_name == "operations"]
    assert {spec.key.path[-1] for spec in specs} == ASSETS
    for spec in specs:
        assert spec.key.path[0] == "operations"
        assert spec.description
        assert spec.owners
        assert spec.kinds
        assert spec.code_version
        assert spec.partitions_def is None
        assert spec.metadata["by hand"].startswith("strandline ")
        (reference,) = spec.metadata["dagster/code_references"].code_references
        assert Path(reference.file_path).is_file()


def test_every_job_has_a_schedule_that_is_on(defs: dg.Definitions) -> None:
    for name in (HEALTH_JOB, BALANCE_JOB, MAINTENANCE_JOB, HISTORY_JOB):
        schedule = defs.resolve_schedule_def(name)
        assert schedule.cron_schedule == CRONS[name]
        assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
        assert schedule.description
        assert defs.resolve_job_def(name).partitions_def is None


def test_schedules_are_off_where_sensors_are(platform: Platform) -> None:
    off = build_defs(Overrides(sources=(TOY,), platform=platform, sensor_status=dg.DefaultSensorStatus.STOPPED))
    for name in CRONS:
        assert off.resolve_schedule_def(name).default_status == dg.DefaultScheduleStatus.STOPPED


def run_job(defs: dg.Definitions, instance: dg.DagsterInstance, name: str) -> dg.ExecuteInProcessResult:
    return defs.resolve_job_def(name).execute_in_process(instance=instance)


def numbers(result: dg.ExecuteInProcessResult) -> dict[str, object]:
    (event,) = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.materialization.metadata.items()}


def test_real_runs_of_every_job(
    defs: dg.Definitions, instance: dg.DagsterInstance, platform: Platform, put: Put
) -> None:
    for number in range(5):
        put(f"toy/{number}.csv", toy(number))
        look_and_run(platform, f"run-{number}")
    told = numbers(run_job(defs, instance, HEALTH_JOB))
    assert (told["outstanding files"], told["toy: files committed, last hour"]) == (0, 5)
    told = numbers(run_job(defs, instance, MAINTENANCE_JOB))
    assert (told["toy: data files merged"], told["toy: data files"]) == (10, 2)
    result = run_job(defs, instance, BALANCE_JOB)
    assert (numbers(result)["toy: files committed"], numbers(result)["differences"]) == (5, 0)
    assert {check.check_name: check.passed for check in result.get_asset_check_evaluations()} == {
        "balanced": True,
        "no_files_left_unresolved": True,
    }


def test_the_health_job_also_looks_for_files_left_lying(
    defs: dg.Definitions, instance: dg.DagsterInstance, platform: Platform
) -> None:
    (check,) = run_job(defs, instance, HEALTH_JOB).get_asset_check_evaluations()
    assert (check.check_name, check.passed) == ("no_files_left_unresolved", True)


def test_a_difference_fails_the_check_with_the_command_that_mends_it(
    defs: dg.Definitions, instance: dg.DagsterInstance, platform: Platform, put: Put
) -> None:
    put("toy/1.csv", toy(1))
    look_and_run(platform)
    with platform.ledger.write() as connection:
        connection.exec_driver_sql("UPDATE file_rows SET rows = 9 WHERE table_name = 'readings'")
    checks = {check.check_name: check for check in run_job(defs, instance, BALANCE_JOB).get_asset_check_evaluations()}
    wrong = checks["balanced"]
    assert not wrong.passed
    assert "toy: 1 files have other rows than the ledger counted" in (wrong.description or "")
    assert "strandline reconcile --source toy" in str(wrong.metadata["what to do"].value)


def test_a_schedule_waits_for_its_run_and_ends_one_whose_process_died(
    defs: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    job = defs.resolve_job_def(HEALTH_JOB)
    assert unfinished(instance, HEALTH_JOB) == ""
    run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags={PROCESS_TAG: this_process()})
    with dg.build_schedule_context(instance=instance) as context:
        told = defs.resolve_schedule_def(HEALTH_JOB).evaluate_tick(context)
    assert not told.run_requests
    assert run.run_id in (told.skip_message or "")
    code = "from resources.ledger.leases import this_process; print(this_process())"
    dead = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    instance.add_run_tags(run.run_id, {PROCESS_TAG: dead})
    with dg.build_schedule_context(instance=instance) as context:
        assert defs.resolve_schedule_def(HEALTH_JOB).evaluate_tick(context).run_requests
    ended = instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert ended.status == dg.DagsterRunStatus.FAILURE


def test_maintenance_comes_before_its_hour_where_small_files_piled_up(
    platform: Platform, put: Put, tmp_path: Path
) -> None:
    few = Platform(platform.settings.model_copy(update={"compact_small_files": 4}))
    defs = build_defs(Overrides(sources=(TOY,), platform=few))
    schedule = defs.resolve_schedule_def(MAINTENANCE_JOB)
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as instance:

        def tick(minute: int) -> dg.ScheduleExecutionData:
            at = datetime(2026, 1, 1, 12, minute, tzinfo=UTC)
            resources = {"platform": few}
            with dg.build_schedule_context(
                instance=instance, scheduled_execution_time=at, resources=resources
            ) as context:
                return schedule.evaluate_tick(context)

        for number in range(4):
            put(f"toy/{number}.csv", toy(number))
            look_and_run(platform, f"run-{number}")
        told = tick(46)
        assert not told.run_requests
        assert told.skip_message == "no table has more than 4 small data files; the next is at minute 41"
        assert tick(41).run_requests
        put("toy/5.csv", toy(5))
        look_and_run(platform, "run-5")
        assert tick(46).run_requests
        assert run_job(defs, instance, MAINTENANCE_JOB).success
        assert not tick(46).run_requests
    few.close()
