"""A Dagster deployment without its UI: an instance on disk, a code location in a process of its own, runs in processes of
their own, and the GraphQL API that the UI and scripts use."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.test_utils import instance_for_test
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget
from dagster._daemon.backfill import execute_backfill_iteration
from dagster_graphql.test.utils import execute_dagster_graphql

from resources.platform import Platform
from tests.running import next_batch
from tests.toy_source import TOY

_LOCATION = "tests.rules.toy_location"
_REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": _LOCATION}

LAUNCH = """mutation($params: ExecutionParams!) { launchPipelineExecution(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
BACKFILL = """mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
ADD = """mutation($repository: RepositorySelector!, $key: String!) {
  addDynamicPartition(repositorySelector: $repository, partitionsDefName: "toy_batches", partitionKey: $key) {
  __typename } }"""
TERMINATE = """mutation($run: String!) { terminateRun(runId: $run, terminatePolicy: SAFE_TERMINATE) { __typename } }"""


@dataclass
class Deployment:
    platform: Platform
    instance: dg.DagsterInstance
    workspace: WorkspaceProcessContext

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The answer's only field."""
        # In a thread of its own: a browser's test may have left an event loop running in this one.
        with ThreadPoolExecutor(1) as thread:
            context = self.workspace.create_request_context()
            result = thread.submit(execute_dagster_graphql, context, query, variables).result()
        assert not result.errors, result.errors
        (answer,) = result.data.values()
        return dict(answer)

    def launch(self, partition: str | None, tags: Mapping[str, str] = {}, job: str = "toy_ingest") -> str:
        """Launch a job as the UI does, the source's for one partition; the run's id."""
        of_partition = {"dagster/partition": partition} if partition else {}
        params = {
            "selector": {**_REPOSITORY, "jobName": job},
            "mode": "default",
            "executionMetadata": {
                "tags": [{"key": key, "value": value} for key, value in {**of_partition, **tags}.items()]
            },
        }
        answer = self.ask(LAUNCH, params=params)
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def backfill(self, partitions: list[str]) -> list[str]:
        """Materialize several partitions as the UI does; the ids of the runs that the daemon then starts."""
        params = {
            "assetSelection": [{"path": ["toy", name]} for name in ("raw_files", "readings", "files")],
            "partitionNames": partitions,
        }
        answer = self.ask(BACKFILL, params=params)
        assert answer["__typename"] == "LaunchBackfillSuccess", answer
        runs = dg.RunsFilter(tags={"dagster/backfill": answer["backfillId"]})
        logger = logging.getLogger("backfill")
        for _ in range(20):
            with ThreadPoolExecutor(1) as thread:  # for the same reason
                thread.submit(list, execute_backfill_iteration(self.workspace, logger)).result()
            backfill = self.instance.get_backfill(answer["backfillId"])
            assert backfill is not None
            assert backfill.error is None, backfill.error
            ids = [run.run_id for run in self.instance.get_runs(runs)]
            if len(ids) >= len(partitions):
                return ids
            time.sleep(0.2)
        raise AssertionError(f"the backfill started {len(ids)} runs")

    def add_partition(self, key: str) -> None:
        assert self.ask(ADD, repository=_REPOSITORY, key=key)["__typename"] == "AddDynamicPartitionSuccess"

    def planned(self) -> str:
        """Close a batch of what landed and give it a partition, as the sensor does."""
        batch_id = next_batch(self.platform, TOY).batch_id
        self.instance.add_dynamic_partitions("toy_batches", [batch_id])
        return batch_id

    def status(self, run_id: str) -> str:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run.status.value

    def end_of(self, run_id: str) -> str:
        """Wait for a run to end; how it ended."""
        ended = {"SUCCESS", "FAILURE", "CANCELED"}
        wait_until(lambda: self.status(run_id) in ended, f"run {run_id} ends")
        return self.status(run_id)

    def failure_of(self, run_id: str) -> str:
        """Why a step of a run failed."""
        assert self.end_of(run_id) == "FAILURE"
        events = [record.dagster_event for record in self.instance.all_logs(run_id)]
        failed = [event for event in events if event is not None and event.is_step_failure]
        error: Any = failed[0].step_failure_data.error
        return "\n".join([error.message] + ([error.cause.message] if error.cause else []))


def wait_until(holds: Callable[[], bool], what: str, seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.1)


@contextmanager
def deployment(platform: Platform, folder: Path, config: Mapping[str, Any] | None = None) -> Iterator[Deployment]:
    """On the platform that the environment names as well. config: of the instance, as in dagster.yaml; without it runs
    are launched at once, past any queue."""
    options: dict[str, Any] = {"overrides": dict(config)} if config else {"synchronous_run_coordinator": True}
    with (
        instance_for_test(temp_dir=str(folder), **options) as instance,
        WorkspaceProcessContext(instance, ModuleTarget(_LOCATION, None, None, _LOCATION)) as workspace,
    ):
        yield Deployment(platform, instance, workspace)
