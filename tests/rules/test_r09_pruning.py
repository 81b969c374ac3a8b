"""R9 Pruning. Dagster partitions of finished arrival batches are pruned beyond a number kept (20,000 a source) and come
back on replay; the ledger is never pruned.

That a partition added again by hand can be launched through GraphQL is in
tests/rules/test_r08_ui.py::test_a_pruned_partition_comes_back_by_hand
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner, Result
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.test_utils import create_run_for_test

from cli.main import main
from pipeline_assets.ecg.examples import write_examples
from resources.ledger.batches import claim, due, get_batch, give_back
from resources.ledger.pruning import note_pruned, prunable
from resources.ledger.queries import list_files
from resources.ledger.replay import RefusedFilter, replay
from resources.platform import Platform
from resources.settings import Settings
from sensors.pruning import Pruned, prune_partitions
from tests.conftest import Put
from tests.ledger.conftest import dump
from tests.running import batch_state, look_and_run, next_batch, run, toy, visible
from tests.test_dagster_runs import READINGS, Dagster
from tests.toy_source import TOY

PARTITIONS = "toy_batches"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def dagster(platform: Platform, instance: dg.DagsterInstance) -> Dagster:
    return Dagster(platform, instance)


def finish(dagster: Dagster, put: Put, count: int) -> list[str]:
    """So many finished batches with a partition each, the oldest first."""
    made = []
    for number in range(count):
        put(f"toy/{len(list_files(dagster.platform.ledger))}", toy(number))
        (request,) = dagster.tick()
        assert dagster.execute_request(request).success
        made.append(str(request.partition_key))
    return made


def partitions(instance: dg.DagsterInstance) -> list[str]:
    return list(instance.get_dynamic_partitions(PARTITIONS))


def prune(dagster: Dagster, keep: int, budget: float = 20.0) -> Pruned:
    return prune_partitions(dagster.instance, dagster.platform.ledger, TOY, keep=keep, budget_seconds=budget)


def test_the_oldest_finished_ones_go_and_only_those(dagster: Dagster, put: Put) -> None:
    made = finish(dagster, put, 4)
    shown = visible(dagster.platform)
    files_before = list_files(dagster.platform.ledger)
    assert prune(dagster, keep=4) == Pruned(0)
    assert prune(dagster, keep=2) == Pruned(2)
    assert partitions(dagster.instance) == made[2:]
    assert prune(dagster, keep=2) == Pruned(0), "those kept are kept"
    assert list_files(dagster.platform.ledger) == files_before
    assert visible(dagster.platform) == shown
    assert {get_batch(dagster.platform.ledger, batch_id).state for batch_id in made} == {"finished"}


def test_unfinished_batches_and_strangers_keep_their_partition(dagster: Dagster, put: Put) -> None:
    (finished,) = finish(dagster, put, 1)
    for number in range(5):
        put(f"toy/bad{number}", toy("bad"))
    (held,) = dagster.tick()
    assert not dagster.execute_request(held).success
    put("toy/running", toy(1))
    (running,) = dagster.tick()
    claimed = claim(dagster.platform.ledger, str(running.partition_key), "run-other", 10)
    put("toy/planned", toy(1))
    (planned,) = dagster.tick()
    dagster.instance.add_dynamic_partitions(PARTITIONS, ["by hand"])
    finish_order = [finished, held.partition_key, running.partition_key, planned.partition_key, "by hand"]
    assert partitions(dagster.instance) == finish_order
    put("toy/newest", toy(1))
    run(dagster.platform, str(planned.partition_key), "run-2")
    assert prune(dagster, keep=1) == Pruned(1)
    assert partitions(dagster.instance) == finish_order[1:]
    give_back(dagster.platform.ledger, claimed, "test", max_attempts=5)


def test_a_partition_with_a_run_that_has_not_ended_stays(dagster: Dagster, put: Put) -> None:
    made = finish(dagster, put, 3)
    under_way = create_run_for_test(
        dagster.instance, "toy_ingest", tags={"dagster/partition": made[0]}, status=dg.DagsterRunStatus.STARTED
    )
    assert prune(dagster, keep=1) == Pruned(1)
    assert partitions(dagster.instance) == [made[0], made[2]]
    dagster.instance.report_run_canceled(under_way)
    assert prune(dagster, keep=1) == Pruned(1)
    assert partitions(dagster.instance) == [made[2]]


def test_nothing_goes_while_a_backfill_may_still_start_runs(dagster: Dagster, put: Put) -> None:
    made = finish(dagster, put, 2)
    backfill = PartitionBackfill(
        backfill_id="abc",
        status=BulkActionStatus.REQUESTED,
        from_failure=False,
        tags={},
        backfill_timestamp=0.0,
        partition_names=made,
    )
    dagster.instance.add_backfill(backfill)
    assert prune(dagster, keep=1) == Pruned(0, waits_for="backfill abc")
    assert partitions(dagster.instance) == made
    dagster.instance.update_backfill(backfill.with_status(BulkActionStatus.COMPLETED_SUCCESS))
    assert prune(dagster, keep=1) == Pruned(1)


def test_many_go_in_steps_that_end_with_the_time(dagster: Dagster, put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensors.pruning._AT_ONCE", 2)
    made = finish(dagster, put, 6)
    assert prune(dagster, keep=1, budget=0.0) == Pruned(2, is_done=False)
    assert partitions(dagster.instance) == made[2:]
    assert prune(dagster, keep=1, budget=0.0) == Pruned(2, is_done=False)
    assert prune(dagster, keep=1, budget=0.0) == Pruned(1)
    assert partitions(dagster.instance) == made[5:]


def test_a_step_cut_short_is_repeated(dagster: Dagster, put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    made = finish(dagster, put, 3)

    def killed(*args: object) -> None:
        raise ConnectionError("killed")

    with monkeypatch.context() as patched:
        patched.setattr("sensors.pruning.note_pruned", killed)
        with pytest.raises(ConnectionError):
            prune(dagster, keep=1)
    assert partitions(dagster.instance) == made[2:]
    assert prune(dagster, keep=1) == Pruned(2)
    assert partitions(dagster.instance) == made[2:]


def test_the_sensor_prunes_as_the_settings_say(settings: Settings, instance: dg.DagsterInstance, put: Put) -> None:
    assert settings.partitions_kept == 20_000
    platform = Platform(settings.model_copy(update={"partitions_kept": 1}))
    dagster = Dagster(platform, instance)
    made = finish(dagster, put, 3)
    sensor = dagster.defs.resolve_sensor_def("partition_pruning")
    context = dg.build_sensor_context(instance=instance, resources={"platform": platform})
    assert sensor(context) == dg.SkipReason("toy: 2 partitions deleted")
    assert partitions(instance) == made[2:]
    platform.close()


def test_a_pruned_batch_comes_back_when_it_is_redone(
    dagster: Dagster, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = finish(dagster, put, 3)
    shown = visible(dagster.platform)
    prune(dagster, keep=1)
    monkeypatch.setenv("STRANDLINE_HOME", str(dagster.platform.settings.home))
    result = strandline("redo", made[0])
    assert result.output == (
        f"batch {made[0]} waits for its next run (1 files); without a sensor: strandline drain\n"
    )  # fmt: skip
    assert visible(dagster.platform) == shown, "what is visible stays until the run commits"
    (request,) = dagster.tick()
    assert (request.partition_key, request.run_key) == (made[0], f"{made[0]}/2")
    assert partitions(dagster.instance) == [made[2], made[0]]
    assert dagster.execute_request(request).success
    assert dagster.materialized(READINGS)[-1] == (made[0], 1)
    assert visible(dagster.platform) == shown
    assert prune(dagster, keep=1) == Pruned(1)
    assert partitions(dagster.instance) == [made[0]], "it is the one finished last now"


def test_a_partition_added_again_by_hand_stays_until_it_is_run(dagster: Dagster, put: Put) -> None:
    made = finish(dagster, put, 3)
    prune(dagster, keep=1)
    dagster.instance.add_dynamic_partitions(PARTITIONS, [made[0]])
    assert prune(dagster, keep=1) == Pruned(0)
    assert dagster.execute(made[0]).success
    assert dagster.materialized(READINGS)[-1] == (made[0], 1)
    assert prune(dagster, keep=1) == Pruned(1)
    assert partitions(dagster.instance) == [made[0]]


def test_replayed_files_get_a_partition_of_their_own(dagster: Dagster, put: Put) -> None:
    put("toy/bad", toy("bad"))
    (request,) = dagster.tick()
    assert dagster.execute_request(request).success
    made = finish(dagster, put, 1)
    prune(dagster, keep=1)
    assert partitions(dagster.instance) == made
    assert len(replay(dagster.platform.ledger, RefusedFilter(batch_id=request.partition_key))) == 1
    (again,) = dagster.tick()
    assert again.partition_key not in {request.partition_key, *made}
    assert partitions(dagster.instance) == [*made, again.partition_key]


def strandline(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False)


def test_redo_says_what_cannot_be_redone(platform: Platform, put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_HOME", str(platform.settings.home))
    unknown = strandline("redo", "20260101T000000000-abcd")
    assert unknown.exit_code == 2
    assert "There is no batch '20260101T000000000-abcd' in the ledger." in unknown.output
    put("toy/a", toy(1))
    batch = next_batch(platform)
    assert f"Batch {batch.batch_id} waits for its run already" in strandline("redo", batch.batch_id).output
    claimed = claim(platform.ledger, batch.batch_id, "run-1", 10)
    assert "is being worked on by run run-1" in strandline("redo", batch.batch_id).output
    give_back(platform.ledger, claimed, "test", max_attempts=5, backoff=False)
    run(platform, batch, "run-2")
    put("toy/a", toy(2))
    look_and_run(platform, "run-3")
    before = dump(platform.ledger)
    assert f"Batch {batch.batch_id} owns no file any more" in strandline("redo", batch.batch_id).output
    assert dump(platform.ledger) == before


def test_redo_tries_a_held_batch_again_without_letting_it_pass(
    platform: Platform, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRANDLINE_HOME", str(platform.settings.home))
    for number in range(5):
        put(f"toy/{number}", toy("bad"))
    batch = next_batch(platform)
    with pytest.raises(Exception, match="5 of 5 files were refused"):
        run(platform, batch)
    assert "(5 files)" in strandline("redo", batch.batch_id).output
    assert [one.batch_id for one in due(platform.ledger, "toy")] == [batch.batch_id]
    with pytest.raises(Exception, match="5 of 5 files were refused"):
        run(platform, batch, "run-2")
    assert batch_state(platform, batch) == "held"


def test_drain_prunes_what_it_adds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("STRANDLINE_BATCH_MAX_FILES", "1")
    monkeypatch.setenv("STRANDLINE_PARTITIONS_KEPT", "2")
    monkeypatch.setenv("STRANDLINE_WORKERS", "1")
    examples = tmp_path / "examples"
    write_examples(examples)
    three = sorted(examples.rglob("rec_*.mat"))[:3]
    assert strandline("land", "ecg", *map(str, three)).exit_code == 0
    summary = json.loads(strandline("drain", "--json").output.splitlines()[-1])
    assert summary["batches"] == 3
    with dg.DagsterInstance.get() as instance:
        assert len(instance.get_dynamic_partitions("ecg_batches")) == 2


def test_what_may_go_is_asked_of_an_index(platform: Platform) -> None:
    assert prunable(platform.ledger, "toy", 1, 10) == []
    note_pruned(platform.ledger, [])
    for query in (
        """EXPLAIN QUERY PLAN SELECT batch_id FROM batches WHERE source = 'toy' AND state = 'finished'
           AND pruned_at IS NULL ORDER BY updated_at LIMIT 5""",
        """EXPLAIN QUERY PLAN SELECT count(*) FROM batches WHERE source = 'toy' AND state = 'finished'
           AND pruned_at IS NULL AND group_key IS NULL""",
    ):
        with platform.ledger.read() as connection:
            plan = " ".join(str(row) for row in connection.exec_driver_sql(query))
        assert "ix_batches_unpruned" in plan, plan
