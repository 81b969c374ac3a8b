"""Starts a run as an ECS task of the size and on the capacity that its tags say.

It is Dagster's own launcher; what is here is what that leaves open: Spot with a way out, throttling, a task that never
starts, a worker that ended without a word, a release between a run's workers.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from dagster import DagsterRun, DagsterRunStatus, Field, StringSource
from dagster._core.launcher.base import CheckRunHealthResult, ResumeRunContext, WorkerStatus
from dagster._serdes import ConfigurableClassData
from dagster_aws.ecs.launcher import EcsRunLauncher
from dagster_aws.ecs.utils import RetryableEcsException

from resources.ecs.sizes import CAPACITY_TAG, FARGATE, FARGATE_SPOT

_THROTTLED = {"ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded"}
_NO_CAPACITY = "Capacity is unavailable"
_TASK_DEFINITION = "ecs/keep_task_definition"
_LONGEST_REASON = 1024

_log = logging.getLogger(__name__)


class BatchTaskLauncher(EcsRunLauncher):
    """`EcsRunLauncher` with the network as plain settings, for a task definition that the deploy has registered.

    cluster: name or ARN. subnets, security_groups: ids with commas between them. public_address: ENABLED where the subnets
    have no NAT gateway, else DISABLED.
    """

    def __init__(
        self,
        inst_data: ConfigurableClassData | None = None,
        *,
        cluster: str,
        subnets: str,
        security_groups: str,
        public_address: str = "DISABLED",
        **options: Any,
    ) -> None:
        network = {
            "subnets": _listed("subnets", subnets),
            "securityGroups": _listed("security_groups", security_groups),
            "assignPublicIp": public_address,
        }
        super().__init__(
            inst_data,
            run_task_kwargs={"cluster": cluster, "networkConfiguration": {"awsvpcConfiguration": network}},
            use_current_ecs_task_config=False,
            # Secrets are in the task definition; looking for tagged ones would ask Secrets Manager at every launch.
            secrets_tag=None,  # type: ignore[arg-type]
            **options,
        )

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        of_ecs = super().config_type()
        return {
            "cluster": Field(StringSource),
            "subnets": Field(StringSource),
            "security_groups": Field(StringSource),
            "public_address": Field(StringSource, is_required=False, default_value="DISABLED"),
            **{name: of_ecs[name] for name in ("task_definition", "container_name", "run_resources", "run_ecs_tags")},
        }

    def get_boto_client_config(self) -> Config:
        """AWS asks to slow down per account; adaptive retries also slow down the calls that follow."""
        return Config(retries={"mode": "adaptive", "max_attempts": 8}, connect_timeout=5, read_timeout=30)

    def resume_run(self, context: ResumeRunContext) -> None:
        """Start another worker for a run whose worker died: on demand, and from the task definition of the first one, so
        that a run ends on the image that it began with, whatever was released since."""
        run = context.dagster_run
        tags = {**run.tags, CAPACITY_TAG: _on_demand(run.tags.get(CAPACITY_TAG, FARGATE))}
        definition = self._task_definition_of(run)
        if definition:
            tags[_TASK_DEFINITION] = definition
        super().resume_run(context._replace(dagster_run=run.with_tags(tags)))

    def _task_definition_of(self, run: DagsterRun) -> str | None:
        tags = self._get_run_tags(run.run_id)
        if not (tags.arn and tags.cluster):
            return None
        tasks = self.ecs.describe_tasks(tasks=[tags.arn], cluster=tags.cluster).get("tasks")
        # ECS tells of a task for an hour after its end.
        return str(tasks[0]["taskDefinitionArn"]) if tasks else None

    def _get_run_task_kwargs_from_run(self, run: DagsterRun) -> dict[str, Any]:
        provider = run.tags.get(CAPACITY_TAG, FARGATE)
        kwargs: dict[str, Any] = {"capacityProviderStrategy": _strategy(provider)}
        if provider not in {FARGATE, FARGATE_SPOT}:
            # Tasks on machines of one's own cannot have a public address.
            network = self.run_task_kwargs["networkConfiguration"]["awsvpcConfiguration"]
            kwargs["networkConfiguration"] = {"awsvpcConfiguration": {**network, "assignPublicIp": "DISABLED"}}
        kwargs |= super()._get_run_task_kwargs_from_run(run)
        if _TASK_DEFINITION in run.tags:
            kwargs["taskDefinition"] = run.tags[_TASK_DEFINITION]
        return kwargs

    def _run_task(self, **run_task_kwargs: Any) -> Mapping[str, Any]:
        try:
            return self._ask_for_task(run_task_kwargs)
        except RetryableEcsException as refused:
            strategy = run_task_kwargs["capacityProviderStrategy"]
            if _NO_CAPACITY not in str(refused) or strategy[0]["capacityProvider"] != FARGATE_SPOT:
                raise
            _log.warning("there is no Spot capacity (%s); the task is started on demand", refused)
            return self._ask_for_task({**run_task_kwargs, "capacityProviderStrategy": _strategy(FARGATE)})

    def _ask_for_task(self, run_task_kwargs: dict[str, Any]) -> Mapping[str, Any]:
        try:
            task: Mapping[str, Any] = super()._run_task(**run_task_kwargs)
            return task
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _THROTTLED:
                raise RetryableEcsException(str(error)) from error
            raise

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """As Dagster's, but a worker that ended in good order while its run did not has failed.

        A container that is told to stop, as Spot and a drained machine do, ends with 0, and its run would stay `started`.
        """
        result: CheckRunHealthResult = super().check_run_worker_health(run)
        if result.status != WorkerStatus.SUCCESS:
            return result
        now = self._instance.get_run_by_id(run.run_id)
        if now is None or now.status != DagsterRunStatus.STARTED:
            return result
        return CheckRunHealthResult(
            WorkerStatus.FAILED,
            "The task ended, and its run did not: it was told to stop (Spot, or its machine).",
            run_worker_id=result.run_worker_id,
        )

    def get_run_worker_debug_info(self, run: DagsterRun, include_container_logs: bool | None = True) -> str | None:
        """What is told of a run that is given up: it did not start, or not stop, in time. Its task is stopped, which would
        else run on, and be paid for, with nobody who waits for it."""
        told = super().get_run_worker_debug_info(run, include_container_logs)
        if run.status not in {DagsterRunStatus.STARTING, DagsterRunStatus.CANCELING}:
            return told
        tags = self._get_run_tags(run.run_id)
        if not (tags.arn and tags.cluster):
            return "\n".join(filter(None, [told, "No task was ever started for it."]))
        reason = f"run {run.run_id} was given up while {run.status.value.lower()}"
        try:
            found = self.ecs.describe_tasks(tasks=[tags.arn], cluster=tags.cluster).get("tasks") or [{}]
            self.ecs.stop_task(task=tags.arn, cluster=tags.cluster, reason=reason[:_LONGEST_REASON])
        except (ClientError, BotoCoreError) as error:
            return "\n".join(filter(None, [told, f"Its task {tags.arn} could not be stopped: {error}"]))
        state = f"{found[0].get('lastStatus', 'unknown')}; {found[0].get('stoppedReason') or 'no reason given'}"
        return "\n".join(filter(None, [told, f"Its task {tags.arn} ({state}) was stopped."]))


def _strategy(provider: str) -> list[dict[str, Any]]:
    return [{"capacityProvider": provider, "weight": 1}]


def _on_demand(provider: str) -> str:
    return FARGATE if provider == FARGATE_SPOT else provider


def _listed(name: str, text: str) -> list[str]:
    found = [one.strip() for one in text.split(",") if one.strip()]
    if not found:
        raise ValueError(f"run_launcher.config.{name} in dagster.yaml is empty; expected ids with commas between them")
    return found
