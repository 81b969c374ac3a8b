"""A server on this machine that speaks the wire of ECS, ELB, ECR and CloudWatch Logs, as far as a release asks them.

A service that is updated has two deployments until it was asked about a few times; what becomes of the new one is decided
by its image. Every change is noted in order.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs

from tests.local_server import serving

ACCOUNT = "111122223333"
REGION = "eu-west-1"
REGISTRY = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
CLUSTER = "strandline-test"
LOOKS = 2
"""How often a service is asked about before it is steady."""


def arn(kind: str, rest: str) -> str:
    return f"arn:aws:ecs:{REGION}:{ACCOUNT}:{kind}/{rest}"


def image(letter: str) -> str:
    return f"{REGISTRY}/strandline@sha256:{letter * 64}"


class Wrong(Exception):
    """What AWS would refuse: its code and message."""


@dataclass
class Aws:
    url: str = ""
    definitions: dict[str, dict[str, Any]] = field(default_factory=dict)
    services: dict[str, dict[str, Any]] = field(default_factory=dict)
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    """by tag, the digest of an image"""
    changes: list[str] = field(default_factory=list)
    fates: dict[str, str] = field(default_factory=dict)
    """by image: `given_up`, `put_back` (by ECS), `stuck`, or `unregistered` (steady, but no target is healthy); and by
    `role image` for one role alone"""
    exit_code: int | None = 0
    """of the next task; None: it never ends"""
    starts_no_task: bool = False
    log: list[str] = field(default_factory=lambda: ["a line of the task"])
    asked: list[dict[str, Any]] = field(default_factory=list)
    """the requests of tasks"""

    def define(self, family: str, containers: list[dict[str, Any]], **more: Any) -> str:
        revision = 1 + sum(one["family"] == family for one in self.definitions.values())
        found = arn("task-definition", f"{family}:{revision}")
        self.definitions[found] = {
            "taskDefinitionArn": found, "family": family, "revision": revision, "status": "ACTIVE",
            "containerDefinitions": containers, "registeredBy": "somebody", "compatibilities": ["FARGATE"], **more,
        }  # fmt: skip
        return found

    def serve(self, role: str, definition: str, desired: int = 1, *, has_balancer: bool = False) -> None:
        group = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/{role}/1"
        self.services[role] = {
            "serviceName": role, "status": "ACTIVE", "taskDefinition": definition, "desiredCount": desired,
            "runningCount": desired, "events": [],
            "deployments": [{"status": "PRIMARY", "taskDefinition": definition, "rolloutState": "COMPLETED"}],
            "loadBalancers": [{"targetGroupArn": group}] if has_balancer else [],
            "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}},
        }  # fmt: skip

    def image_of(self, role: str) -> str:
        definition = self.definitions[self.services[role]["taskDefinition"]]
        return next(str(one["image"]) for one in definition["containerDefinitions"] if one["name"] == role)

    def fate(self, role: str) -> str | None:
        name = self.image_of(role)
        return self.fates.get(f"{role} {name}") or self.fates.get(name)

    # ECS

    def DescribeServices(self, asked: dict[str, Any]) -> dict[str, Any]:
        self._check_cluster(asked)
        for name in asked["services"]:
            if name in self.services:
                self._go_on(name)
        found = [self.services[name] for name in asked["services"] if name in self.services]
        return {"services": found, "failures": []}

    def _go_on(self, role: str) -> None:
        service = self.services[role]
        primary = service["deployments"][0]
        if primary["rolloutState"] != "IN_PROGRESS":
            return
        service["looks"] = service.get("looks", 0) + 1
        fate = self.fate(role)
        if service["looks"] < LOOKS or fate == "stuck":
            return
        if fate == "given_up":
            primary.update(
                rolloutState="FAILED", rolloutStateReason="ECS deployment circuit breaker: tasks failed to start."
            )
        elif fate == "put_back":
            old = service["deployments"][1]["taskDefinition"]
            service["taskDefinition"] = old
            service["deployments"] = [{"status": "PRIMARY", "taskDefinition": old, "rolloutState": "COMPLETED"}]
        else:
            primary["rolloutState"] = "COMPLETED"
            service["deployments"] = [primary]
            self.changes.append(f"steady {role}")

    def UpdateService(self, asked: dict[str, Any]) -> dict[str, Any]:
        self._check_cluster(asked)
        service, wanted = self.services[asked["service"]], asked["taskDefinition"]
        if self.definitions[wanted]["status"] != "ACTIVE":
            raise Wrong("ClientException", "TaskDefinition is inactive")
        old = service["taskDefinition"]
        service.update(taskDefinition=wanted, looks=0)
        service["events"] = [{"id": "1", "message": f"(service {asked['service']}) has started 1 tasks."}]
        service["deployments"] = [
            {"status": "PRIMARY", "taskDefinition": wanted, "rolloutState": "IN_PROGRESS"},
            {"status": "ACTIVE", "taskDefinition": old, "rolloutState": "COMPLETED"},
        ]
        self.changes.append(f"update {asked['service']} to {self.image_of(asked['service'])[-1]}")
        return {"service": service}

    def DescribeTaskDefinition(self, asked: dict[str, Any]) -> dict[str, Any]:
        name = asked["taskDefinition"]
        if name in self.definitions:
            return {
                "taskDefinition": self.definitions[name],
                "tags": [{"key": "strandline-namespace", "value": "test"}],
            }
        active = [one for one in self.definitions.values() if one["family"] == name and one["status"] == "ACTIVE"]
        if not active:
            raise Wrong("ClientException", "Unable to describe task definition.")
        return {"taskDefinition": max(active, key=lambda one: int(one["revision"])), "tags": []}

    def RegisterTaskDefinition(self, asked: dict[str, Any]) -> dict[str, Any]:
        asked = dict(asked)
        family, containers = asked.pop("family"), asked.pop("containerDefinitions")
        made = self.define(family, containers, **asked)
        self.changes.append(f"register {made.rsplit('/', 1)[-1]}")
        return {"taskDefinition": self.definitions[made]}

    def DeregisterTaskDefinition(self, asked: dict[str, Any]) -> dict[str, Any]:
        found = self.definitions[asked["taskDefinition"]]
        found["status"] = "INACTIVE"
        self.changes.append(f"deregister {found['family']}:{found['revision']}")
        return {"taskDefinition": found}

    def RunTask(self, asked: dict[str, Any]) -> dict[str, Any]:
        self._check_cluster(asked)
        self.asked.append(asked)
        if self.starts_no_task:
            return {"tasks": [], "failures": [{"reason": "RESOURCE:ENI"}]}
        made = arn("task", f"{CLUSTER}/{len(self.tasks):032x}")
        self.tasks[made] = {"taskArn": made, "lastStatus": "RUNNING", "containers": [{"name": "run"}]}
        return {"tasks": [self.tasks[made]], "failures": []}

    def DescribeTasks(self, asked: dict[str, Any]) -> dict[str, Any]:
        for name in asked["tasks"]:
            if self.exit_code is not None:
                ended = [{"name": "run", "exitCode": self.exit_code}] if self.exit_code >= 0 else [{"name": "run"}]
                self.tasks[name].update(
                    lastStatus="STOPPED", containers=ended, stoppedReason="CannotPullContainerError: no such image"
                )
        return {"tasks": [self.tasks[name] for name in asked["tasks"]], "failures": []}

    def StopTask(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.changes.append(f"stop {asked['reason']}")
        return {"task": self.tasks[asked["task"]]}

    def _check_cluster(self, asked: dict[str, Any]) -> None:
        if asked["cluster"] != CLUSTER:
            raise Wrong("ClusterNotFoundException", "Cluster not found.")

    # CloudWatch Logs

    def GetLogEvents(self, asked: dict[str, Any]) -> dict[str, Any]:
        if not asked["logStreamName"].startswith("run/run/"):
            raise Wrong("ResourceNotFoundException", "The specified log stream does not exist.")
        return {"events": [{"timestamp": at, "message": line} for at, line in enumerate(self.log)]}

    # ECR

    def GetAuthorizationToken(self, asked: dict[str, Any]) -> dict[str, Any]:
        token = base64.b64encode(b"AWS:canary-of-ecr").decode()
        return {"authorizationData": [{"authorizationToken": token, "proxyEndpoint": f"https://{REGISTRY}"}]}

    def DescribeImages(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["repositoryName"] != "strandline":
            raise Wrong("RepositoryNotFoundException", "The repository does not exist")
        if "imageIds" in asked:
            tag = asked["imageIds"][0]["imageTag"]
            if tag not in self.tags:
                raise Wrong("ImageNotFoundException", "The image does not exist")
            return {"imageDetails": [{"imageDigest": self.tags[tag], "imageTags": [tag]}]}
        numbered = enumerate(self.tags.items())
        return {
            "imageDetails": [
                {"imageDigest": digest, "imageTags": [tag], "imagePushedAt": 1_790_000_000 + at}
                for at, (tag, digest) in numbered
            ]
        }

    # ELB

    def target_health(self, group: str) -> str:
        role = group.split("/")[-2]
        service = self.services[role]
        is_sick = self.fate(role) == "unregistered"
        member = (
            "<member><Target><Id>10.0.0.1</Id></Target><TargetHealth><State>{}</State></TargetHealth></member>".format(
                "unhealthy" if is_sick else "healthy"
            )
        )
        return (
            '<DescribeTargetHealthResponse xmlns="http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/">'
            f"<DescribeTargetHealthResult><TargetHealthDescriptions>{member * service['desiredCount']}"
            "</TargetHealthDescriptions></DescribeTargetHealthResult></DescribeTargetHealthResponse>"
        )


@contextmanager
def aws_server() -> Iterator[Aws]:
    aws = Aws()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            target = self.headers.get("X-Amz-Target")
            if target is None:
                asked = parse_qs(body.decode())
                assert asked["Action"] == ["DescribeTargetHealth"], asked
                self._answer(200, "text/xml", aws.target_health(asked["TargetGroupArn"][0]).encode())
                return
            try:
                answer = getattr(aws, target.rpartition(".")[2])(json.loads(body))
                self._answer(200, "application/x-amz-json-1.1", json.dumps(answer).encode())
            except Wrong as error:
                code, message = error.args
                self._answer(
                    400, "application/x-amz-json-1.1", json.dumps({"__type": code, "message": message}).encode()
                )

        def _answer(self, status: int, kind: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with serving(Handler) as address:
        aws.url = address
        yield aws
