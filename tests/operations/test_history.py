"""Dagster's history is kept in bounds: runs that ended long ago go, what the pages of assets show stays. Real instances."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as db
from dagster._core.storage.runs.schema import RunsTable
from dagster._core.test_utils import create_run_for_test, instance_for_test
from dagster_graphql.test.utils import execute_dagster_graphql

from pipeline_assets.operations.history import PrunedHistory, prune_history
from pipeline_assets.operations.schedules import HEALTH_JOB, HISTORY_JOB
from resources.platform import Platform
from sensors.pruning import prune_partitions
from tests.conftest import Put
from tests.operations.test_commands import command
from tests.operations.test_definitions import numbers
from tests.rules.graphql import deployment
from tests.running import toy, visible
from tests.test_dagster_runs import FILES, RAW, READINGS, Dagster
from tests.toy_source import TOY

HEALTH = dg.AssetKey(["operations", "health"])
CHECK = dg.AssetCheckKey(READINGS, "schema")


@pytest.fixture
def instance(platform: Platform) -> Iterator[dg.DagsterInstance]:
    platform.settings.dagster_home.mkdir(parents=True)
    with dg.DagsterInstance.local_temp(str(platform.settings.dagster_home)) as made:
        yield made


@pytest.fixture
def dagster(platform: Platform, instance: dg.DagsterInstance) -> Dagster:
    return Dagster(platform, instance)


def batches(dagster: Dagster, put: Put, count: int) -> list[tuple[str, str]]:
    """So many finished batches: partition and run id of each."""
    made = []
    for number in range(count):
        put(f"toy/{len(visible(dagster.platform))}-{number}", toy(number))
        (request,) = dagster.tick()
        result = dagster.execute_request(request)
        assert result.success
        made.append((str(request.partition_key), result.run_id))
    return made


def health_run(dagster: Dagster) -> str:
    result = dagster.defs.resolve_job_def(HEALTH_JOB).execute_in_process(instance=dagster.instance)
    assert result.success
    return result.run_id


def age(instance: dg.DagsterInstance, days: float, run_ids: list[str] | None = None) -> None:
    """Let runs have ended longer ago than they did."""
    at = datetime.now(UTC) - timedelta(days=days)
    older = RunsTable.update().values(update_timestamp=at.replace(tzinfo=None), end_time=at.timestamp())
    with instance.run_storage.connect() as connection:  # type: ignore[attr-defined]
        connection.execute(older if run_ids is None else older.where(RunsTable.c.run_id.in_(run_ids)))


def prune(dagster: Dagster, days: int = 30, **options: Any) -> PrunedHistory:
    return prune_history(dagster.instance, [TOY], days, **options)


def shards(dagster: Dagster) -> set[str]:
    history = dagster.platform.settings.dagster_home / "history" / "runs"
    return {path.stem for path in history.glob("*.db")} - {"index"}


def shown(instance: dg.DagsterInstance) -> dict[str, Any]:
    """What the pages of assets show, asked as they ask: partitions, the newest materialization of each, check results."""
    told: dict[str, Any] = {}
    for key in (RAW, READINGS, FILES, HEALTH):
        newest = instance.get_latest_materialization_event(key)
        told[f"{key} newest"] = newest and newest.timestamp
        told[f"{key} partitions"] = instance.get_materialized_partitions(key)
        records = instance.get_latest_storage_id_by_partition(key, dg.DagsterEventType.ASSET_MATERIALIZATION)
        told[f"{key} events"] = {
            partition: instance.fetch_materializations(
                dg.AssetRecordsFilter(key, storage_ids=[storage_id]), limit=1
            ).records[0].asset_materialization
            for partition, storage_id in records.items()
        }  # fmt: skip
    checks = instance.event_log_storage.get_latest_asset_check_execution_by_key([CHECK])
    told["check"] = {key: (one.id, one.status.value) for key, one in checks.items()}
    return told


def test_old_runs_go_and_what_pages_of_assets_show_stays(dagster: Dagster, put: Put) -> None:
    old = batches(dagster, put, 3)
    assert dagster.execute(old[0][0]).success, "the first partition has two materializations of each asset"
    for _ in range(6):
        health_run(dagster)
    age(dagster.instance, 31)
    (newer,) = batches(dagster, put, 1)
    newest_health = health_run(dagster)
    before, rows = shown(dagster.instance), visible(dagster.platform)
    done = prune(dagster)
    print(f"{done.bytes_before:,} bytes before, {done.bytes_after:,} after")
    assert (done.runs, done.runs_left, done.is_done) == (3 + 1 + 6, 2, True)
    assert done.bytes_after < done.bytes_before / 2
    assert shown(dagster.instance) == before
    assert visible(dagster.platform) == rows
    assert {run.run_id for run in dagster.instance.get_runs()} == {newer[1], newest_health}
    assert shards(dagster) == {newer[1], newest_health}
    assert len(dagster.instance.fetch_materializations(HEALTH, limit=100).records) == 1
    assert sorted(dagster.materialized(READINGS)) == sorted((one[0], 1) for one in [*old, newer])
    assert (prune(dagster).runs, shown(dagster.instance)) == (0, before)


def test_all_that_is_old_may_be_the_newest(dagster: Dagster, put: Put) -> None:
    """Nothing has happened for a month: no run is left, and pages of assets show the same."""
    batches(dagster, put, 2)
    health_run(dagster)
    age(dagster.instance, 40)
    before = shown(dagster.instance)
    assert (prune(dagster).runs, dagster.instance.get_runs_count()) == (3, 0)
    assert shown(dagster.instance) == before
    batches(dagster, put, 1)
    assert len(shown(dagster.instance)[f"{READINGS} partitions"]) == 3


def test_of_a_pruned_partition_nothing_stays(dagster: Dagster, put: Put) -> None:
    batches(dagster, put, 3)
    prune_partitions(dagster.instance, dagster.platform.ledger, TOY, keep=1, budget_seconds=20)
    (kept,) = dagster.instance.get_dynamic_partitions("toy_batches")
    age(dagster.instance, 31)
    prune(dagster)
    for key in (RAW, READINGS, FILES):
        assert dagster.instance.get_materialized_partitions(key) == {kept}
    with dagster.instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        partitions = (
            connection.execute(db.text("SELECT DISTINCT partition FROM asset_check_executions")).scalars().all()
        )
    assert partitions == [kept]


def test_runs_that_have_not_ended_and_younger_ones_stay(dagster: Dagster, put: Put) -> None:
    ((_, young),) = batches(dagster, put, 1)
    age(dagster.instance, 29.9)
    under_way = create_run_for_test(dagster.instance, "toy_ingest", status=dg.DagsterRunStatus.STARTED)
    queued = create_run_for_test(dagster.instance, "toy_ingest", status=dg.DagsterRunStatus.NOT_STARTED)
    failed = create_run_for_test(dagster.instance, "toy_ingest", status=dg.DagsterRunStatus.FAILURE)
    age(dagster.instance, 99, [under_way.run_id, queued.run_id, failed.run_id])
    assert prune(dagster).runs == 1
    assert {run.run_id for run in dagster.instance.get_runs()} == {young, under_way.run_id, queued.run_id}


def test_it_goes_on_where_its_time_ended_or_it_was_killed(
    dagster: Dagster, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline_assets.operations.history._AT_ONCE", 2)
    batches(dagster, put, 3)
    age(dagster.instance, 31)
    before = shown(dagster.instance)
    assert prune(dagster, longest_seconds=0) == PrunedHistory(runs_left=3, is_done=False, **sizes(dagster))

    def killed(*args: object) -> None:
        raise ConnectionError("killed")

    with monkeypatch.context() as patched:
        patched.setattr("pipeline_assets.operations.history._delete_runs", killed)
        with pytest.raises(ConnectionError):
            prune(dagster)
    assert dagster.instance.get_runs_count() == 3
    assert prune(dagster).runs == 3
    assert shown(dagster.instance) == before


def sizes(dagster: Dagster) -> dict[str, Any]:
    done = prune(dagster, longest_seconds=0)
    return {"bytes_before": done.bytes_before, "bytes_after": done.bytes_after, "seconds": pytest.approx(0, abs=60)}


def test_where_all_events_are_in_one_table(platform: Platform, put: Put, tmp_path: Path) -> None:
    """As in PostgreSQL."""
    one_table = {
        "module": "dagster._core.storage.event_log", "class": "ConsolidatedSqliteEventLogStorage",
        "config": {"base_dir": str(tmp_path)},
    }  # fmt: skip
    with instance_for_test(overrides={"event_log_storage": one_table}) as instance:
        dagster = Dagster(platform, instance)
        batches(dagster, put, 2)
        age(instance, 31)
        before = shown(instance)
        done = prune(dagster)
        assert (done.runs, done.bytes_before) == (2, 0)
        assert done.events > 50
        assert shown(instance) == before
        with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
            left = connection.execute(db.text("SELECT DISTINCT dagster_event_type FROM event_logs")).scalars().all()
        assert sorted(left) == ["ASSET_CHECK_EVALUATION", "ASSET_MATERIALIZATION"]


def test_the_asset_tells_what_went(dagster: Dagster) -> None:
    health_run(dagster)
    health_run(dagster)
    age(dagster.instance, 31)
    told = numbers(dagster.defs.resolve_job_def(HISTORY_JOB).execute_in_process(instance=dagster.instance))
    assert (told["runs deleted"], told["runs"]) == (2, 1)
    assert int(str(told["bytes freed"])) > 0


def test_by_hand(platform: Platform, put: Put) -> None:
    put("toy/a", toy(1))
    assert command(platform, "drain").returncode == 0
    with closing(sqlite3.connect(platform.settings.dagster_home / "history/runs.db")) as connection, connection:
        connection.execute("UPDATE runs SET update_timestamp = '2026-01-01 00:00:00', end_time = 1767225600")
    assert "2 runs that ended more than 30 days ago deleted" in command(platform, "prune").stdout
    done = json.loads(command(platform, "prune", "--days", "2", "--json").stdout)
    assert (done["runs"], done["runs_left"], done["is_done"]) == (0, 0, True)
    assert visible(platform) == {"toy/a": [1.0]}


PAGES = """query($keys: [AssetKeyInput!]!) {
  assetsLatestInfo(assetKeys: $keys) { latestMaterialization { runId runOrError { __typename } } latestRun { id } }
  assetNodes(assetKeys: $keys) {
    assetMaterializations(limit: 5) { runOrError { __typename } }
    assetPartitionStatuses { __typename ... on DefaultPartitionStatuses { materializedPartitions } }
    partitionStats { numMaterialized numFailed }
    assetChecksOrError { ... on AssetChecks { checks { name executionForLatestMaterialization { status } } } }
  } }"""


def test_the_pages_of_assets_open_afterwards(
    platform: Platform, put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Dagster's UI asks for them."""
    monkeypatch.setenv("STRANDLINE_HOME", str(platform.settings.home))
    (tmp_path / "dagster").mkdir()
    with deployment(platform, tmp_path / "dagster") as running:
        dagster = Dagster(platform, running.instance)
        ((partition, _),) = batches(dagster, put, 1)
        age(running.instance, 31)
        assert prune(dagster).runs == 1
        keys = [{"path": list(key.path)} for key in (RAW, READINGS)]
        context = running.workspace.create_request_context()
        with ThreadPoolExecutor(1) as thread:  # a browser's test may have left an event loop in this one
            result = thread.submit(execute_dagster_graphql, context, PAGES, {"keys": keys}).result()
    assert not result.errors, result.errors
    assert [one["latestRun"] for one in result.data["assetsLatestInfo"]] == [None, None]
    for node in result.data["assetNodes"]:
        (materialization,) = node["assetMaterializations"]
        assert materialization["runOrError"]["__typename"] == "RunNotFoundError"
        assert node["assetPartitionStatuses"]["materializedPartitions"] == [partition]
        assert node["partitionStats"] == {"numMaterialized": 1, "numFailed": 0}
