"""R3 Groups: a group of files, named by a part of their key, is one partition; each run makes a new generation of all of it."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator

import dagster as dg
import pytest

from pipeline_assets.batch_run import BatchHeld
from pipeline_assets.definitions import Overrides, build_defs
from pipeline_assets.operations.reconcile import reconcile
from pipeline_assets.source import FileSource, Groups
from resources.ledger.assembly import group_batch_id, waiting_groups
from resources.ledger.batches import BatchBusy, claim, due, get_batch, give_back, release
from resources.ledger.queries import list_files
from resources.ledger.replay import RefusedFilter, replay
from resources.platform import Platform
from resources.settings import Settings
from sensors.looking import look_for_arrivals, plan_batches
from tests.conftest import Put
from tests.running import all_states, rows_of, run, states, toy, visible
from tests.toy_source import TOY

BY_FOLDER = Groups(r"toy/(?P<group>[^/]+)/.+", quiet_seconds=0.0, done=r".*/survey\.done", wanted="toy/<survey>/<file>")
SURVEYS = dataclasses.replace(TOY, groups=BY_FOLDER, hold_from_files=4)
PATIENT = dataclasses.replace(SURVEYS, groups=dataclasses.replace(BY_FOLDER, quiet_seconds=3600.0))


def look(platform: Platform, source: FileSource = SURVEYS, *, flush: bool = False) -> list[str]:
    """Look for what landed, and plan; the partitions that are due."""
    look_for_arrivals(platform, source)
    plan_batches(platform, source, flush=flush)
    return [batch.partition for batch in due(platform.ledger, "toy")]


def do_all(platform: Platform, source: FileSource = SURVEYS) -> list[str]:
    done = []
    while look(platform, source):
        for batch in due(platform.ledger, "toy"):
            run(platform, batch, f"run-{batch.batch_id}-{batch.attempt}", source=source)
            done.append(batch.partition)
    return done


def test_a_group_is_one_partition_with_all_its_files(platform: Platform, put: Put) -> None:
    for survey, line in (("H1", "a"), ("H2", "b"), ("H1", "c")):
        put(f"toy/{survey}/{line}", toy(1, 2))
    assert look(platform) == ["H1", "H2"]
    assert [batch.files for batch in due(platform.ledger, "toy")] == [2, 1]
    do_all(platform)
    assert sorted(visible(platform)) == ["toy/H1/a", "toy/H1/c", "toy/H2/b"]
    assert rows_of(platform, "SELECT DISTINCT batch_id FROM toy.files ORDER BY 1") == [("toy/H1",), ("toy/H2",)]


def test_a_late_file_makes_a_new_generation_of_the_whole_group(platform: Platform, put: Put) -> None:
    put("toy/H1/a", toy(1))
    put("toy/H2/b", toy(2))
    do_all(platform)
    put("toy/H1/c", toy(3))
    assert look(platform) == ["H1"]
    (batch,) = due(platform.ledger, "toy")
    assert (batch.batch_id, batch.files, batch.next_run_key) == ("toy/H1", 2, "toy/H1/2")
    do_all(platform)
    assert visible(platform) == {"toy/H1/a": [1], "toy/H1/c": [3], "toy/H2/b": [2]}
    rewritten = rows_of(platform, "SELECT run_id, count(*) FROM operations.files GROUP BY ALL ORDER BY ALL")
    assert rewritten == [("run-toy/H1-1", 2), ("run-toy/H2-0", 1)]


def test_an_overwritten_file_is_replaced_with_its_generation(platform: Platform, put: Put) -> None:
    put("toy/H1/a", toy(1))
    put("toy/H1/b", toy(2))
    do_all(platform)
    put("toy/H1/a", toy(10, 11))
    do_all(platform)
    assert visible(platform) == {"toy/H1/a": [10, 11], "toy/H1/b": [2]}
    assert all_states(platform) == {
        ("toy/H1/a", "superseded"): 1, ("toy/H1/a", "committed"): 1, ("toy/H1/b", "committed"): 1,
    }  # fmt: skip


def test_a_refused_new_version_takes_the_old_one_out_of_its_group(platform: Platform, put: Put) -> None:
    put("toy/H1/a", toy(1))
    put("toy/H1/b", toy(2))
    do_all(platform)
    put("toy/H1/a", toy("rubbish"))
    do_all(platform)
    assert visible(platform) == {"toy/H1/b": [2]}, "a surface without line a must not be checked against rows with it"
    assert all_states(platform) == {
        ("toy/H1/a", "superseded"): 1, ("toy/H1/a", "quarantined"): 1, ("toy/H1/b", "committed"): 1,
    }  # fmt: skip


def test_a_group_waits_until_nothing_more_comes_or_its_mark_lands(platform: Platform, put: Put) -> None:
    put("toy/H1/a", toy(1))
    put("toy/H2/b", toy(2))
    assert look(platform, PATIENT) == []
    assert set(states(platform).values()) == {"waiting"}
    put("toy/H2/survey.done", "")
    assert look(platform, PATIENT) == ["H2"]
    do_all(platform, PATIENT)
    assert states(platform) == {
        "toy/H1/a": "waiting", "toy/H2/b": "committed", "toy/H2/survey.done": "committed",
    }  # fmt: skip
    assert visible(platform) == {"toy/H2/b": [2]}, "the mark is not read"
    assert look(platform, PATIENT, flush=True) == ["H1"], "a drain waits for nothing"


def test_keys_of_no_group_are_refused_with_what_was_expected(platform: Platform, put: Put) -> None:
    put("toy/lonely", toy(1))
    put("toy/what...ever/a", toy(1))
    put("toy/H1/a", toy(1))
    do_all(platform)
    refused = {row.key: (row.error_class, row.error) for row in list_files(platform.ledger, state="quarantined")}
    assert {error_class for error_class, _ in refused.values()} == {"no_group"}
    assert "expected toy/<survey>/<file>" in str(refused["toy/lonely"][1])
    assert sorted(refused) == ["toy/lonely", "toy/what...ever/a"]
    assert visible(platform) == {"toy/H1/a": [1]}


def test_what_lands_during_a_run_waits_for_the_next_generation(platform: Platform, put: Put) -> None:
    put("toy/H1/a", toy(1))
    look(platform)
    held = claim(platform.ledger, "toy/H1", "run-1", 30)
    put("toy/H1/b", toy(2))
    assert look(platform) == []
    with pytest.raises(BatchBusy, match="being worked on by run run-1"):
        run(platform, "toy/H1", "run-2", source=SURVEYS)
    run(platform, "toy/H1", held.run_id, source=SURVEYS)
    assert visible(platform) == {"toy/H1/a": [1]}
    do_all(platform)
    assert visible(platform) == {"toy/H1/a": [1], "toy/H1/b": [2]}


def test_a_held_group_shows_its_earlier_generation_until_it_is_released(platform: Platform, put: Put) -> None:
    put("toy/H1/a", toy(1))
    put("toy/H1/b", toy(2))
    do_all(platform)
    for number in range(4):
        put(f"toy/H1/bad{number}", toy("rubbish"))
    look(platform)
    with pytest.raises(BatchHeld, match="strandline release toy/H1"):
        run(platform, "toy/H1", "run-9", source=SURVEYS)
    assert visible(platform) == {"toy/H1/a": [1], "toy/H1/b": [2]}
    put("toy/H1/c", toy(3))
    assert look(platform) == [], "a person moves it on"
    release(platform.ledger, "toy/H1")
    do_all(platform)
    assert visible(platform) == {"toy/H1/a": [1], "toy/H1/b": [2], "toy/H1/c": [3]}


def test_attempts_are_counted_by_generation(platform: Platform, put: Put) -> None:
    for number in range(7):
        put(f"toy/H1/{number}", toy(number))
        do_all(platform)
    assert get_batch(platform.ledger, "toy/H1").attempt == 7 > platform.settings.max_attempts
    put("toy/H1/last", toy(8))
    look(platform)
    lost = claim(platform.ledger, "toy/H1", "run-lost", 30)
    give_back(platform.ledger, lost, "its machine stopped", max_attempts=platform.settings.max_attempts)
    assert get_batch(platform.ledger, "toy/H1").state == "planned", "the first failure of a generation is not its last"


def test_replayed_files_bring_their_group(platform: Platform, put: Put) -> None:
    put("toy/H1/a", toy("rubbish"))
    put("toy/H1/b", toy(2))
    do_all(platform)
    assert len(replay(platform.ledger, RefusedFilter(source="toy"))) == 1
    assert do_all(platform) == ["H1"]
    assert states(platform) == {"toy/H1/a": "quarantined", "toy/H1/b": "committed"}


def test_lost_tables_and_a_lost_ledger_are_rebuilt_by_group(platform: Platform, put: Put, settings: Settings) -> None:
    put("toy/H1/a", toy(1))
    put("toy/H2/b", toy(2))
    do_all(platform)
    before = visible(platform)
    platform.close()
    shutil.rmtree(settings.lake_folder)
    assert reconcile(platform, SURVEYS).lake_lost
    assert sorted(do_all(platform)) == ["H1", "H2"]
    assert visible(platform) == before
    platform.close()
    for path in settings.home.glob("ledger.db*"):
        path.unlink()
    assert reconcile(platform, SURVEYS).adopted == 2
    assert get_batch(platform.ledger, "toy/H1").partition == "H1"
    put("toy/H1/c", toy(3))
    assert do_all(platform) == ["H1"]
    assert visible(platform) == before | {"toy/H1/c": [3]}


def test_long_names_of_groups_stay_apart() -> None:
    long = "x" * 200
    ids = {group_batch_id("toy", long + end) for end in "ab"}
    assert len(ids) == 2
    assert max(map(len, ids)) == 64


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def test_in_dagster_the_partition_is_the_group(platform: Platform, put: Put, instance: dg.DagsterInstance) -> None:
    defs = build_defs(Overrides(sources=(SURVEYS,), platform=platform, sensor_status=dg.DefaultSensorStatus.STOPPED))
    sensor, job = defs.resolve_sensor_def("toy_arrivals"), defs.resolve_job_def("toy_ingest")

    def tick_and_run() -> list[tuple[str | None, str | None]]:
        result = sensor(dg.build_sensor_context(instance=instance, resources={"platform": platform}))
        for request in result.dynamic_partitions_requests or []:  # type: ignore[union-attr]
            instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
        requests = result.run_requests or []  # type: ignore[union-attr]
        for request in requests:
            done = job.execute_in_process(
                instance=instance, partition_key=request.partition_key, tags=dict(request.tags), raise_on_error=False
            )
            assert done.success
            checks = done.get_asset_check_evaluations()
            assert checks
            assert all(check.passed for check in checks)
        return [(request.partition_key, request.run_key) for request in requests]

    put("toy/H 1/a", toy(1))
    assert tick_and_run() == [("H 1", "toy/H 1/1")]
    put("toy/H 1/b", toy(2))
    assert tick_and_run() == [("H 1", "toy/H 1/2")]
    assert instance.get_dynamic_partitions("toy_batches") == ["H 1"]
    assert visible(platform) == {"toy/H 1/a": [1], "toy/H 1/b": [2]}
    by_hand = job.execute_in_process(instance=instance, partition_key="H 1", raise_on_error=False)
    assert by_hand.success, "materializing the partition in the UI does the group again"
    assert get_batch(platform.ledger, "toy/H 1").attempt == 3
    assert visible(platform) == {"toy/H 1/a": [1], "toy/H 1/b": [2]}


def test_groups_that_wait_are_told_in_order_of_their_waiting(platform: Platform, put: Put) -> None:
    for name in ("b", "a"):
        put(f"toy/{name}/x", toy(1))
        look(platform, PATIENT)
    assert [name for groups in waiting_groups(platform.ledger, "toy") for name in groups] == ["b", "a"]
