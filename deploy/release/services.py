"""A namespace's services in ECS: what runs, a definition with another image, and whether a service has become healthy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deploy.release.errors import ReleaseError, Unhealthy
from deploy.release.patience import Patience
from deploy.roles import ROLLOUT, run_family, stack_name

_REGISTERED = (
    "family", "taskRoleArn", "executionRoleArn", "networkMode", "containerDefinitions", "volumes", "placementConstraints",
    "requiresCompatibilities", "cpu", "memory", "pidMode", "ipcMode", "proxyConfiguration", "inferenceAccelerators",
    "ephemeralStorage", "runtimePlatform", "enableFaultInjection",
)  # fmt: skip
"""What of a described task definition may be registered again; the rest is ECS's own."""
_EVENTS_SHOWN = 3


@dataclass(frozen=True)
class Service:
    """role: also its name in ECS and that of its container. definition: ARN of its task definition."""

    role: str
    definition: str
    desired: int
    is_steady: bool
    network: Mapping[str, Any]


class Cluster:
    """The services of one namespace. Making it opens nothing."""

    def __init__(self, namespace: str, ecs: Any, elb: Any) -> None:
        self.namespace = namespace
        self.name = stack_name(namespace)
        self._ecs = ecs
        self._elb = elb

    def services(self) -> list[Service]:
        """Those there are, in the order in which a release reaches them. Raises ReleaseError if there is no code location."""
        described = self._ecs.describe_services(cluster=self.name, services=list(ROLLOUT))["services"]
        found = {one["serviceName"]: one for one in described if one["status"] == "ACTIVE"}
        if "code" not in found:
            raise ReleaseError(
                f"cluster {self.name} has no service `code`. Make the namespace first: python -m deploy.release infrastructure"
            )
        return [_service(role, found[role]) for role in ROLLOUT if role in found]

    def image_of(self, definition: str, container: str) -> str:
        for one in self._describe(definition)["containerDefinitions"]:
            if one["name"] == container:
                return str(one["image"])
        raise ReleaseError(f"task definition {definition} has no container `{container}`")

    def run_environment(self) -> dict[str, str]:
        """What runs are told that is no secret."""
        for one in self._describe(self.run_definition())["containerDefinitions"]:
            if one["name"] == "run":
                return {pair["name"]: pair["value"] for pair in one.get("environment", [])}
        raise ReleaseError(f"task definition {run_family(self.namespace)} has no container `run`")

    def running_image(self) -> str:
        """Of the code location."""
        return self.image_of(self.services()[0].definition, "code")

    def run_definition(self) -> str:
        """The ARN of the newest task definition that runs are started from."""
        return str(self._describe(run_family(self.namespace))["taskDefinitionArn"])

    def register(self, definition: str, container: str, image: str, run_definition: str | None = None) -> str:
        """Register a task definition like another, with another image for the role's container and those beside it that
        run the same, and return its ARN.

        run_definition: the ARN that runs are started from now, for whoever starts them.
        """
        described = self._describe(definition)
        wanted = {name: described[name] for name in _REGISTERED if described.get(name)}
        old = self.image_of(definition, container)
        family = run_family(self.namespace)
        wanted["containerDefinitions"] = [
            _changed(one, image if one["image"] == old else one["image"], family, run_definition)
            for one in described["containerDefinitions"]
        ]
        tags = self._ecs.describe_task_definition(taskDefinition=definition, include=["TAGS"]).get("tags", [])
        if tags:
            wanted["tags"] = tags
        return str(self._ecs.register_task_definition(**wanted)["taskDefinition"]["taskDefinitionArn"])

    def deregister(self, definition: str) -> None:
        """Take a definition out of use; tasks that run from it go on."""
        self._ecs.deregister_task_definition(taskDefinition=definition)

    def update(self, role: str, definition: str) -> None:
        self._ecs.update_service(cluster=self.name, service=role, taskDefinition=definition)

    def wait_until_healthy(self, role: str, definition: str, patience: Patience) -> None:
        """Until the service runs this definition and nothing else, and its load balancer, if any, sends requests to it.

        Raises Unhealthy when ECS gives up, has put another definition back, or the time is over.
        """
        if not patience.wait(lambda: self._is_healthy(role, definition) or None):
            raise Unhealthy(f"{role} is not healthy after {patience.limit:.0f} s.{self._last_events(role)}")

    def _is_healthy(self, role: str, definition: str) -> bool:
        service = self._describe_service(role)
        primary = next(one for one in service["deployments"] if one["status"] == "PRIMARY")
        if primary["taskDefinition"] != definition:
            raise Unhealthy(f"ECS has put {role} back to {_short(primary['taskDefinition'])}.{self._last_events(role)}")
        state = primary.get("rolloutState")
        if state == "FAILED":
            reason = primary.get("rolloutStateReason", "it gives no reason")
            raise Unhealthy(f"ECS has given up on {role}: {reason}.{self._last_events(role)}")
        return (
            state == "COMPLETED"
            and len(service["deployments"]) == 1
            and service["runningCount"] == service["desiredCount"]
            and all(
                self._healthy_targets(one["targetGroupArn"]) >= service["desiredCount"]
                for one in service.get("loadBalancers", [])
                if "targetGroupArn" in one
            )
        )

    def _healthy_targets(self, group: str) -> int:
        described = self._elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        return sum(one["TargetHealth"]["State"] == "healthy" for one in described)

    def _last_events(self, role: str) -> str:
        events = self._describe_service(role).get("events", [])[:_EVENTS_SHOWN]
        return "".join(f"\n    ECS: {one['message']}" for one in events)

    def _describe_service(self, role: str) -> dict[str, Any]:
        found = self._ecs.describe_services(cluster=self.name, services=[role])["services"]
        if not found:
            raise ReleaseError(f"cluster {self.name} has no service `{role}` any more")
        return dict(found[0])

    def _describe(self, definition: str) -> dict[str, Any]:
        try:
            return dict(self._ecs.describe_task_definition(taskDefinition=definition)["taskDefinition"])
        except self._ecs.exceptions.ClientException as error:
            raise ReleaseError(f"there is no task definition {definition}: {error}") from None


def _changed(container: Mapping[str, Any], image: str, family: str, run_definition: str | None) -> dict[str, Any]:
    """Where a variable names a revision of what runs are started from, it names the new one; where it names the family
    alone, ECS takes the newest by itself."""
    revision = re.compile(rf"(arn:[^\s]*:task-definition/)?{re.escape(family)}:\d+")

    def value_of(one: Mapping[str, str]) -> str:
        return run_definition if run_definition and revision.fullmatch(one["value"]) else one["value"]

    environment = [{"name": one["name"], "value": value_of(one)} for one in container.get("environment", [])]
    return {**container, "image": image, "environment": environment}


def _service(role: str, described: Mapping[str, Any]) -> Service:
    return Service(
        role=role,
        definition=described["taskDefinition"],
        desired=described["desiredCount"],
        is_steady=len(described["deployments"]) == 1
        and described["deployments"][0].get("rolloutState") != "IN_PROGRESS",
        network=described.get("networkConfiguration", {}),
    )


def _short(arn: str) -> str:
    return arn.rsplit("/", 1)[-1]
