"""A command as a task of its own in a namespace, on the image and with the settings of its runs: for what has to be done
inside of the network, such as asking the ledger."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from deploy.release.errors import ReleaseError, Unhealthy
from deploy.release.patience import Patience
from deploy.release.services import Cluster

_CONTAINER = "run"
_LINES_SHOWN = 60
_LONGEST_OVERRIDES = 8192
"""Characters, of all overrides of one task (RunTask's own limit)."""


class Tasks:
    """Starts tasks in one namespace's cluster. Making it opens nothing."""

    def __init__(self, cluster: Cluster, ecs: Any, logs: Any, patience: Patience) -> None:
        self._cluster = cluster
        self._ecs = ecs
        self._logs = logs
        self._patience = patience

    def run(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
        """Run a command to its end and return the end of what it printed.

        Raises ReleaseError when it cannot be started or ends with another code than 0, Unhealthy when it takes too long;
        then it is stopped.
        """
        overrides = {
            "containerOverrides": [
                {
                    "name": _CONTAINER,
                    "command": list(command),
                    "environment": [{"name": name, "value": value} for name, value in (environment or {}).items()],
                }
            ]
        }
        if len(str(overrides)) > _LONGEST_OVERRIDES:
            raise ReleaseError(f"the command is too long for a task: over {_LONGEST_OVERRIDES} characters")
        definition = self._cluster.run_definition()
        started = self._ecs.run_task(
            cluster=self._cluster.name,
            taskDefinition=definition,
            launchType="FARGATE",
            networkConfiguration=self._cluster.services()[0].network,
            overrides=overrides,
            startedBy="release",
        )
        if not started["tasks"]:
            reasons = ", ".join(one.get("reason", "no reason given") for one in started.get("failures", []))
            raise ReleaseError(f"ECS started no task for {shlex.join(command)}: {reasons}")
        task = started["tasks"][0]["taskArn"]
        ended = self._patience.wait(lambda: self._ended(task))
        if ended is None:
            self._ecs.stop_task(cluster=self._cluster.name, task=task, reason="it took too long")
            raise Unhealthy(f"{shlex.join(command)} has not ended after {self._patience.limit:.0f} s and was stopped")
        printed = self._printed(definition, task)
        code = next((one.get("exitCode") for one in ended["containers"] if one["name"] == _CONTAINER), None)
        if code != 0:
            why = (
                f"ended with {code}"
                if code is not None
                else f"never ran: {ended.get('stoppedReason', 'no reason given')}"
            )
            raise ReleaseError(f"{shlex.join(command)} {why}\n{printed}".rstrip())
        return printed

    def _ended(self, task: str) -> dict[str, Any] | None:
        found = self._ecs.describe_tasks(cluster=self._cluster.name, tasks=[task])["tasks"]
        return found[0] if found and found[0]["lastStatus"] == "STOPPED" else None

    def _printed(self, definition: str, task: str) -> str:
        """The end of the task's log; empty where its definition keeps none, or it has written nothing."""
        described = self._ecs.describe_task_definition(taskDefinition=definition)["taskDefinition"]
        options = next(
            one.get("logConfiguration", {}).get("options", {})
            for one in described["containerDefinitions"]
            if one["name"] == _CONTAINER
        )
        if "awslogs-stream-prefix" not in options:
            return ""
        stream = f"{options['awslogs-stream-prefix']}/{_CONTAINER}/{task.rsplit('/', 1)[-1]}"
        try:
            events = self._logs.get_log_events(
                logGroupName=options["awslogs-group"], logStreamName=stream, limit=_LINES_SHOWN, startFromHead=False
            )["events"]
        except ClientError as error:
            return f"(its log cannot be read: {error})"
        return "\n".join(one["message"] for one in events)
