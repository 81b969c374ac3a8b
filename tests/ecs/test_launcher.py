"""What the launcher asks of ECS and what it makes of the answers, at the wire of moto; and the dagster.yaml that configures it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.exceptions import ClientError
from dagster import DagsterRun, DagsterRunStatus
from dagster._core.instance.config import dagster_instance_config
from dagster._core.instance.ref import InstanceRef
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._core.test_utils import instance_for_test
from dagster_aws.ecs.launcher import EcsRunLauncher
from dagster_aws.ecs.utils import RetryableEcsException
from moto import mock_aws

from resources.ecs.launcher import BatchTaskLauncher
from resources.ecs.sizes import CAPACITY_TAG
from tests.log_lines import ROOT

AWS_FOLDER = ROOT / "deploy/aws"
VARIABLES = {
    "DAGSTER_PG_HOST": "db.example", "DAGSTER_PG_PORT": "5432", "DAGSTER_PG_DB": "dagster", "DAGSTER_PG_USER": "dagster",
    "DAGSTER_PG_PASSWORD": "planted-5d11", "DAGSTER_LOG_BUCKET": "logs", "DAGSTER_CODE_HOST": "code.example",
    "STRANDLINE_NAMESPACE": "default", "STRANDLINE_MAX_RUNS": "7", "DAGSTER_RUN_PUBLIC_ADDRESS": "ENABLED", "DAGSTER_RUN_CLUSTER": "strandline-default",
}  # fmt: skip


@pytest.fixture(scope="module")
def account() -> Iterator[dict[str, str]]:
    """A cluster and a task definition; the variables that a deployment there has."""
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            environment.delenv(name)
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        with mock_aws():
            ecs = boto3.client("ecs")
            ecs.create_cluster(clusterName="strandline-default")
            subnet = boto3.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
            group = boto3.client("ec2").describe_security_groups()["SecurityGroups"][0]["GroupId"]
            yield {
                **VARIABLES, "DAGSTER_RUN_SUBNETS": subnet, "DAGSTER_RUN_SECURITY_GROUPS": f"{group}, ",
                "DAGSTER_RUN_TASK_DEFINITION": define(ecs),
            }  # fmt: skip


@pytest.fixture
def aws(account: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The ARN of the task definition, in the environment of a deployment."""
    for name, value in account.items():
        monkeypatch.setenv(name, value)
    return account["DAGSTER_RUN_TASK_DEFINITION"]


def define(ecs: Any) -> str:
    made = ecs.register_task_definition(
        family="run", networkMode="awsvpc", cpu="1024", memory="2048", requiresCompatibilities=["FARGATE"],
        containerDefinitions=[{"name": "run", "image": "i", "memoryReservation": 512}],
    )  # fmt: skip
    return str(made["taskDefinition"]["taskDefinitionArn"])


@pytest.fixture(scope="module")
def launcher(account: dict[str, str]) -> Iterator[BatchTaskLauncher]:
    config = yaml.safe_load((AWS_FOLDER / "dagster.yaml").read_text())["run_launcher"]
    with pytest.MonkeyPatch.context() as environment:
        for name, value in account.items():
            environment.setenv(name, value)
        with instance_for_test(overrides={"run_launcher": config}) as instance:
            made = instance.run_launcher
            assert isinstance(made, BatchTaskLauncher)
            yield made


def run_with(launcher: BatchTaskLauncher, status: DagsterRunStatus, **tags: str) -> DagsterRun:
    instance: Any = launcher._instance
    run = DagsterRun(job_name="toy_ingest", status=status, tags=tags)
    instance.add_run(run)
    return run


def start_task(launcher: BatchTaskLauncher, run: DagsterRun) -> str:
    kwargs = {**launcher.run_task_kwargs, "taskDefinition": launcher.task_definition}
    kwargs |= launcher._get_run_task_kwargs_from_run(run)
    task = launcher._run_task(**kwargs)
    launcher._set_run_tags(run.run_id, cluster=task["clusterArn"], task_arn=task["taskArn"])
    return str(task["taskArn"])


def test_the_real_configuration_is_taken(launcher: BatchTaskLauncher, aws: str) -> None:
    network = launcher.run_task_kwargs["networkConfiguration"]["awsvpcConfiguration"]
    assert network["assignPublicIp"] == "ENABLED"
    assert len(network["securityGroups"]) == 1, "an empty part between commas is none"
    assert launcher.task_definition == aws
    assert launcher.secrets_tags == []
    assert launcher.ecs.meta.config.retries["mode"] == "adaptive"
    assert launcher.supports_resume_run


def test_dagster_yaml_is_valid_and_says_no_password(aws: str, tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text((AWS_FOLDER / "dagster.yaml").read_text())
    found, _ = dagster_instance_config(str(tmp_path))  # checks it
    assert found["run_monitoring"]["max_resume_run_attempts"] > 0
    assert found["storage"]["postgres"]["postgres_db"]["scheme"] == "postgresql+psycopg2"
    said = json.dumps(InstanceRef.from_dir(str(tmp_path)).to_dict(), default=str)
    assert VARIABLES["DAGSTER_PG_PASSWORD"] not in said
    # It is a part of the command of every run, of which ECS takes 8,192 characters in all.
    assert len(said) < 5000


def test_dagster_home_of_the_image_has_it() -> None:
    assert (AWS_FOLDER / "dagster_home/dagster.yaml").read_text() == (AWS_FOLDER / "dagster.yaml").read_text()


def test_workspace_names_the_code_location(aws: str) -> None:
    from dagster._core.workspace.load import location_origins_from_yaml_paths

    (origin,) = location_origins_from_yaml_paths([str(AWS_FOLDER / "workspace.yaml")])
    assert origin.location_name == "strandline"
    assert (origin.host, origin.port) == ("code.example", 4000)  # type: ignore[attr-defined]


@pytest.mark.parametrize("tags", [{}, {CAPACITY_TAG: "FARGATE"}, {CAPACITY_TAG: "FARGATE_SPOT"}])
def test_capacity_follows_the_tag(launcher: BatchTaskLauncher, tags: dict[str, str]) -> None:
    arn = start_task(launcher, run_with(launcher, DagsterRunStatus.STARTING, **tags))
    (task,) = launcher.ecs.describe_tasks(tasks=[arn], cluster="strandline-default")["tasks"]
    assert task["capacityProviderName"] == tags.get(CAPACITY_TAG, "FARGATE")


def test_machines_of_ones_own_give_no_public_address(launcher: BatchTaskLauncher) -> None:
    kwargs = launcher._get_run_task_kwargs_from_run(
        run_with(launcher, DagsterRunStatus.STARTING, **{CAPACITY_TAG: "machines"})
    )
    assert kwargs["capacityProviderStrategy"] == [{"capacityProvider": "machines", "weight": 1}]
    assert kwargs["networkConfiguration"]["awsvpcConfiguration"]["assignPublicIp"] == "DISABLED"
    assert launcher.run_task_kwargs["networkConfiguration"]["awsvpcConfiguration"]["assignPublicIp"] == "ENABLED"


def test_runs_at_once_are_a_setting(aws: str) -> None:
    config = yaml.safe_load((AWS_FOLDER / "dagster.yaml").read_text())
    with instance_for_test(overrides={name: config[name] for name in ("run_coordinator", "concurrency")}) as instance:
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        assert queue.max_concurrent_runs == 7


class Answers:
    """Of RunTask: errors and failures first, then what ECS says."""

    def __init__(self, launcher: BatchTaskLauncher, monkeypatch: pytest.MonkeyPatch, *first: Any) -> None:
        self.asked: list[str] = []
        self._first = list(first)
        real = launcher.ecs.run_task

        def run_task(**kwargs: Any) -> Any:
            self.asked.append(kwargs["capacityProviderStrategy"][0]["capacityProvider"])
            answer = self._first.pop(0) if self._first else None
            if isinstance(answer, Exception):
                raise answer
            return answer or real(**kwargs)

        monkeypatch.setattr(launcher.ecs, "run_task", run_task)


def failure(reason: str) -> dict[str, Any]:
    return {"tasks": [], "failures": [{"reason": reason}]}


NO_CAPACITY = failure(
    "Capacity is unavailable at this time. Please try again later or in a different availability zone"
)


def test_no_spot_means_on_demand_at_once(launcher: BatchTaskLauncher, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = Answers(launcher, monkeypatch, NO_CAPACITY)
    start_task(launcher, run_with(launcher, DagsterRunStatus.STARTING, **{CAPACITY_TAG: "FARGATE_SPOT"}))
    assert answers.asked == ["FARGATE_SPOT", "FARGATE"]


def test_no_capacity_at_all_is_tried_again_later(launcher: BatchTaskLauncher, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = Answers(launcher, monkeypatch, NO_CAPACITY, NO_CAPACITY)
    with pytest.raises(RetryableEcsException, match="Capacity is unavailable"):
        start_task(launcher, run_with(launcher, DagsterRunStatus.STARTING, **{CAPACITY_TAG: "FARGATE_SPOT"}))
    assert answers.asked == ["FARGATE_SPOT", "FARGATE"]


@pytest.mark.parametrize("code", ["ThrottlingException", "TooManyRequestsException"])
def test_throttling_beyond_what_boto_waits_for_is_tried_again(
    launcher: BatchTaskLauncher, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    Answers(launcher, monkeypatch, ClientError({"Error": {"Code": code, "Message": "Rate exceeded"}}, "RunTask"))
    with pytest.raises(RetryableEcsException, match="Rate exceeded"):
        start_task(launcher, run_with(launcher, DagsterRunStatus.STARTING))


@pytest.mark.parametrize("answer", [failure("RESOURCE:MEMORY"), ClientError({"Error": {"Code": "AccessDeniedException"}}, "RunTask")])  # fmt: skip
def test_other_refusals_are_not(launcher: BatchTaskLauncher, monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    Answers(launcher, monkeypatch, answer)
    with pytest.raises(Exception, match=r"RESOURCE:MEMORY|AccessDenied") as error:
        start_task(launcher, run_with(launcher, DagsterRunStatus.STARTING))
    assert not isinstance(error.value, RetryableEcsException)


@pytest.mark.parametrize(
    ("status", "told"),
    [(DagsterRunStatus.STARTED, WorkerStatus.FAILED), (DagsterRunStatus.SUCCESS, WorkerStatus.SUCCESS)],
)
def test_a_worker_that_ended_in_order_while_its_run_did_not(
    launcher: BatchTaskLauncher, monkeypatch: pytest.MonkeyPatch, status: DagsterRunStatus, told: WorkerStatus
) -> None:
    run = run_with(launcher, status)
    ended = CheckRunHealthResult(WorkerStatus.SUCCESS, run_worker_id="w")
    monkeypatch.setattr(EcsRunLauncher, "check_run_worker_health", lambda self, run: ended)
    found = launcher.check_run_worker_health(run)
    assert (found.status, found.run_worker_id) == (told, "w")


@pytest.mark.parametrize("status", [DagsterRunStatus.STARTING, DagsterRunStatus.CANCELING])
def test_the_task_of_a_run_that_is_given_up_is_stopped(launcher: BatchTaskLauncher, status: DagsterRunStatus) -> None:
    run = run_with(launcher, status)
    arn = start_task(launcher, run)
    told = launcher.get_run_worker_debug_info(run)
    assert told is not None
    assert arn in told
    (task,) = launcher.ecs.describe_tasks(tasks=[arn], cluster="strandline-default")["tasks"]
    assert task["desiredStatus"] == "STOPPED"
    assert f"run {run.run_id} was given up" in task["stoppedReason"]


def test_the_task_of_a_run_that_works_is_left_alone(launcher: BatchTaskLauncher) -> None:
    run = run_with(launcher, DagsterRunStatus.STARTED)
    arn = start_task(launcher, run)
    assert launcher.get_run_worker_debug_info(run) is None
    (task,) = launcher.ecs.describe_tasks(tasks=[arn], cluster="strandline-default")["tasks"]
    assert task["desiredStatus"] == "RUNNING"


def test_a_run_without_a_task_is_told_so(launcher: BatchTaskLauncher) -> None:
    run = run_with(launcher, DagsterRunStatus.STARTING)
    assert launcher.get_run_worker_debug_info(run) == "No task was ever started for it."


@pytest.mark.parametrize("name", ["subnets", "security_groups"])
def test_an_empty_network_is_told(aws: str, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"DAGSTER_RUN_{name.upper()}", " ,")
    config = yaml.safe_load((AWS_FOLDER / "dagster.yaml").read_text())["run_launcher"]
    with (
        instance_for_test(overrides={"run_launcher": config}) as instance,
        pytest.raises(Exception, match=f"run_launcher.config.{name} in dagster.yaml is empty"),
    ):
        assert instance.run_launcher


def test_a_resumed_run_keeps_its_task_definition(launcher: BatchTaskLauncher, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was released since; and it is on demand."""
    from dagster._core.launcher.base import ResumeRunContext

    run = run_with(launcher, DagsterRunStatus.STARTED, **{CAPACITY_TAG: "FARGATE_SPOT"})
    start_task(launcher, run)
    began_with = launcher.task_definition
    newer = define(launcher.ecs)
    monkeypatch.setattr(launcher, "task_definition", newer)
    asked: list[dict[str, Any]] = []

    def start(self: Any, context: Any, args: Any) -> None:
        asked.append(self._get_run_task_kwargs_from_run(context.dagster_run))

    monkeypatch.setattr(EcsRunLauncher, "_start_task_for_run", start)
    launcher.resume_run(ResumeRunContext(dagster_run=run, workspace=None, resume_attempt_number=1))
    assert asked[0]["taskDefinition"] == began_with != newer
    assert asked[0]["capacityProviderStrategy"] == [{"capacityProvider": "FARGATE", "weight": 1}]
