"""R8 UI. Materialize works on one batch or several (`BackfillPolicy.multi_run(1)`); range single-runs are refused with a
message; hand-added partitions fail by name; a run cancelled in the UI frees its files as `held` and leaves no child process.
Only the checked step changes file states. The same starts exist in the CLI and through Dagster's GraphQL API.

Here all starts go through the GraphQL API, to runs in processes of their own. The same without processes, in a browser and
in the CLI:

- tests/test_dagster_runs.py::test_a_range_of_partitions_is_refused
- tests/test_dagster_runs.py::test_a_partition_added_by_hand_fails_by_name
- tests/test_dagster_runs.py::test_a_run_canceled_before_it_began_holds_its_files
- tests/test_definitions.py::test_a_backfill_starts_one_run_for_each_batch
- tests/browser/test_cancel.py::test_a_cancelled_run_frees_its_files_as_held
- tests/rules/test_r09_pruning.py::test_a_pruned_batch_comes_back_when_it_is_redone
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from pipeline_assets.source_defs import PROCESS_TAG, only_partition
from resources.ledger.batches import get_batch
from resources.ledger.pruning import note_pruned
from resources.platform import Platform
from resources.settings import Settings
from tests.conftest import Put, putter
from tests.ledger.conftest import dump
from tests.rules.graphql import TERMINATE, Deployment, deployment, wait_until
from tests.running import run, states, toy, visible
from tests.test_dagster_runs import READINGS, Dagster


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """One deployment for all: starting one takes seconds. Each test lands keys of its own."""
    folder = tmp_path_factory.mktemp("graphql")
    settings = Settings(home=folder / "home", workers=2, settle_seconds=0.05, file_timeout_seconds=60)
    (folder / "dagster").mkdir()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("STRANDLINE_HOME", str(settings.home))
        environment.setenv("STRANDLINE_WORKERS", "2")
        platform = Platform(settings)
        with deployment(platform, folder / "dagster") as made:
            yield made
        platform.close()


@pytest.fixture
def land(running: Deployment, tmp_path: Path) -> Put:
    return putter(running.platform.landing, tmp_path)  # type: ignore[arg-type]


def shown(running: Deployment, prefix: str) -> dict[str, list[float]]:
    return {key: values for key, values in visible(running.platform).items() if key.startswith(prefix)}


def test_one_batch_is_launched_by_its_partition(running: Deployment, land: Put) -> None:
    land("toy/one/a", toy(1, 2))
    batch_id = running.planned()
    assert running.end_of(running.launch(batch_id)) == "SUCCESS"
    assert running.end_of(running.launch(batch_id)) == "SUCCESS", "and again"
    assert get_batch(running.platform.ledger, batch_id).attempt == 2
    assert shown(running, "toy/one") == {"toy/one/a": [1.0, 2.0]}


def test_several_batches_are_a_run_each(running: Deployment, land: Put) -> None:
    made = []
    for number in range(3):
        land(f"toy/several/{number}", toy(number))
        made.append(running.planned())
        run(running.platform, made[-1], f"before-{number}")
    ids = running.backfill(made)
    assert [running.end_of(run_id) for run_id in ids] == ["SUCCESS"] * 3
    found = [running.instance.get_run_by_id(run_id) for run_id in ids]
    assert sorted(str(only_partition(one.tags)) for one in found if one) == sorted(made)
    records = running.instance.fetch_materializations(READINGS, limit=3).records
    assert sorted(str(record.partition_key) for record in records) == sorted(made)
    assert [get_batch(running.platform.ledger, batch_id).attempt for batch_id in made] == [2, 2, 2]
    assert shown(running, "toy/several") == {f"toy/several/{n}": [float(n)] for n in range(3)}


def test_a_range_as_one_run_is_refused_with_a_message(running: Deployment, land: Put) -> None:
    land("toy/range/a", toy(1))
    batch_id = running.planned()
    running.add_partition("another")
    tags = {"dagster/asset_partition_range_start": batch_id, "dagster/asset_partition_range_end": "another"}
    before = dump(running.platform.ledger)
    assert "let Dagster start a run for each" in running.failure_of(running.launch(None, tags))
    assert dump(running.platform.ledger) == before
    assert running.end_of(running.launch(batch_id)) == "SUCCESS"


def test_a_partition_added_by_hand_fails_by_name(running: Deployment) -> None:
    running.add_partition("by hand")
    before = dump(running.platform.ledger)
    assert "There is no batch 'by hand' in the ledger" in running.failure_of(running.launch("by hand"))
    assert dump(running.platform.ledger) == before


def test_a_pruned_partition_comes_back_by_hand(running: Deployment, land: Put) -> None:
    land("toy/pruned/a", toy(5))
    batch_id = running.planned()
    assert running.end_of(running.launch(batch_id)) == "SUCCESS"
    running.instance.delete_dynamic_partition("toy_batches", batch_id)
    note_pruned(running.platform.ledger, [batch_id])
    running.add_partition(batch_id)
    assert running.end_of(running.launch(batch_id)) == "SUCCESS"
    assert get_batch(running.platform.ledger, batch_id).attempt == 2
    assert shown(running, "toy/pruned") == {"toy/pruned/a": [5.0]}


def test_a_cancelled_run_frees_its_files_as_held_and_leaves_no_process(running: Deployment, land: Put) -> None:
    land("toy/cancel/a", "toy\nslow,50\n1\n")
    batch_id = running.planned()
    run_id = running.launch(batch_id)
    key = "toy/cancel/a"
    wait_until(lambda: states(running.platform)[key] == "running", "the run claims the batch")
    wait_until(lambda: len(below(running, run_id)) >= 3, "the run has its readers")
    processes = below(running, run_id)
    assert running.ask(TERMINATE, run=run_id)["__typename"] == "TerminateRunSuccess"
    assert running.end_of(run_id) == "CANCELED"
    assert states(running.platform)[key] == "held"
    assert "canceled by a person" in (get_batch(running.platform.ledger, batch_id).error or "")
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in processes), "its processes are gone", 20)
    land(key, toy(1))
    assert running.end_of(running.launch(running.planned())) == "SUCCESS"
    assert shown(running, "toy/cancel") == {key: [1.0]}


def below(running: Deployment, run_id: str) -> set[int]:
    """The run's process and all that it has started, also by other processes that it has started."""
    run = running.instance.get_run_by_id(run_id)
    assert run is not None
    found = {int(run.tags[PROCESS_TAG].split("/")[1])}
    parents: dict[int, int] = {}
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit():
                parents[int(entry)] = int(Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def test_only_the_checked_step_changes_file_states(platform: Platform, put: Put) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        dagster = Dagster(platform, instance)
        put("toy/a", toy(1))
        (request,) = dagster.tick()
        before = dump(platform.ledger)
        only_raw = dagster.job.execute_in_process(
            instance=instance, partition_key=request.partition_key, asset_selection=[dg.AssetKey(["toy", "raw_files"])]
        )
        assert only_raw.success
        assert dump(platform.ledger) == before
        assert dagster.execute_request(request).success
        assert states(platform) == {"toy/a": "committed"}
