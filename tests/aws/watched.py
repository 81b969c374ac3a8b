"""What a test asks of a deployment: files that it lands, the tasks of their batches, what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

from pipeline_assets.source_defs import BATCH_TAG
from resources.ledger.queries import list_files
from tests.aws.agent import Ran
from tests.aws.deployment import Deployment
from tests.running import states, toy, visible

_ENDED = {DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED}
_UNDER_WAY = [one for one in DagsterRunStatus if one not in _ENDED]
_EVENTS_TOLD = 12


@dataclass
class Gate:
    """Where the reading of a file waits, in whatever task, until its test lets it go on."""

    folder: Path

    @property
    def line(self) -> str:
        return f"gate,{self.folder}"

    def is_reached(self) -> bool:
        return (self.folder / "reached").exists()

    def open(self) -> None:
        (self.folder / "open").touch()


class Watched:
    """A deployment during one test."""

    def __init__(self, deployment: Deployment, instance: DagsterInstance) -> None:
        self.deployment, self.instance, self.cloud = deployment, instance, deployment.cloud
        self.platform = deployment.platform()
        self._landed: list[str] = []
        self._gates: list[Gate] = []
        self._batches: dict[str, str | None] = {}
        """by run"""

    def land(self, name: str, *values: float | str) -> str:
        key = f"toy/{name}"
        self.cloud.put(key, toy(*values))
        self._landed.append(key)
        return key

    def gate(self, name: str) -> Gate:
        made = Gate(self.deployment.folder / f"gate-{name}")
        made.folder.mkdir()
        self._gates.append(made)
        return made

    def tasks_of(self, name: str) -> list[Ran]:
        """The tasks so far of the batch that a landed file is in, the oldest first."""
        batches = {row.batch_id for row in list_files(self.platform.ledger) if row.key == f"toy/{name}"} - {None}
        return [one for one in self.cloud.agent.ran if self._batch_of(one) in batches]

    def run_of(self, task: Ran) -> DagsterRun:
        run = self.instance.get_run_by_id(_run_id(task))
        assert run is not None, f"Dagster knows no run of {task.state()}"
        return run

    def wait_for_rows(self, **wanted: list[float]) -> None:
        expected = {f"toy/{name}": values for name, values in wanted.items()}

        def there() -> bool:
            now = states(self.platform)  # quicker to ask than what is visible
            if not all(now.get(key) == "committed" for key in expected):
                return False
            try:
                shown = visible(self.platform)
            except (AssertionError, KeyError):  # it asks several times, and something was published in between
                return False
            return all(shown.get(key) == values for key, values in expected.items())

        self.deployment.wait(there, f"{expected} are committed and visible")

    def wait_for_task(self, name: str, number: int, what: str) -> Ran:
        def there() -> Ran | None:
            found = self.tasks_of(name)
            return found[number] if len(found) > number else None

        found: Ran = self.deployment.wait(there, f"{what}: task {number + 1} of the batch with toy/{name}")
        return found

    def wait_until_reading(self, gate: Gate) -> None:
        self.deployment.wait(gate.is_reached, f"the file that waits at {gate.folder.name} is being read")

    def wait_until_ended(self, task: Ran) -> DagsterRun:
        def ended() -> DagsterRun | None:
            run = self.run_of(task)
            return run if run.status in _ENDED else None

        found: DagsterRun = self.deployment.wait(ended, f"the run of {task.state()} ends")
        return found

    def leave(self) -> None:
        """Let what was begun come to its end, so that nothing of it is beside the next test."""
        for gate in self._gates:
            gate.open()
        self.cloud.refusals.throttled = self.cloud.refusals.no_spot = self.cloud.agent.never_start = 0
        still = RunsFilter(job_name="toy_ingest", statuses=_UNDER_WAY)
        self.deployment.wait(lambda: not self.instance.get_runs(still), "all runs of batches end")

    def says(self) -> str:
        """What the test's files came to, in the ledger and in Dagster, and what the deployment says."""
        parts = ["files of this test:"]
        parts += [f"{row.key}: {row.state}, batch {row.batch_id}, run {row.run_id}" for row in self._files()]
        batches = {row.batch_id for row in self._files()} - {None}
        for run in self.instance.get_runs(RunsFilter(job_name="toy_ingest")):
            if run.tags.get(BATCH_TAG) in batches:
                parts.append(f"--- run {run.run_id}: {run.status.value}, tags {dict(run.tags)}")
                events = self.instance.all_logs(run.run_id)[-_EVENTS_TOLD:]
                parts += [f"{one.dagster_event_type}: {one.message}" for one in events]
        return "\n".join([*parts, self.deployment.says()])

    def _files(self) -> list[Any]:
        return [row for row in list_files(self.platform.ledger) if row.key in self._landed]

    def _batch_of(self, task: Ran) -> str | None:
        run_id = _run_id(task)
        if run_id not in self._batches:
            self._batches[run_id] = self.run_of(task).tags.get(BATCH_TAG)
        return self._batches[run_id]


def _run_id(task: Ran) -> str:
    return str(next(tag["value"] for tag in task.task.tags if tag["key"] == "dagster/run_id"))


def provider(task: Ran) -> str:
    return str(task.task.capacity_provider_name)
