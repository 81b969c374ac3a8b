"""An imitation of what a run passes through on AWS: S3, EventBridge, SQS, ECS, Secrets Manager, Glue (moto), and an agent
that really executes the tasks. docs/run-launching.md says what this cannot show."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.aws.agent import Agent
from tests.landing import servers

REGION = "us-east-1"
ACCOUNT = "123456789012"
CLUSTER = "strandline-default"
FAMILY = "strandline-default-run"


@dataclass
class Refusals:
    """What the next calls of RunTask are answered instead of a task."""

    throttled: int = 0
    no_spot: int = 0
    asked: int = 0
    """calls of RunTask so far"""


class Cloud:
    """The servers, and what a deploy makes there before the platform comes."""

    def __init__(self, endpoint: str, agent: Agent, refusals: Refusals) -> None:
        self.endpoint, self.agent, self.refusals = endpoint, agent, refusals
        ec2 = self.client("ec2")
        self.subnets = [one["SubnetId"] for one in ec2.describe_subnets()["Subnets"]][:2]
        self.security_group = ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
        self.landing = f"landing-{uuid.uuid4().hex[:8]}"
        self.client("s3").create_bucket(Bucket=self.landing)
        self.queue_url = self._tell_of_arrivals()

    def client(self, service: str) -> Any:
        return servers.client(self.endpoint, service)

    def _tell_of_arrivals(self) -> str:
        """Bucket → EventBridge → SQS, as deploy/aws has it; the queue's address."""
        sqs, events = self.client("sqs"), self.client("events")
        url: str = sqs.create_queue(QueueName="arrivals", Attributes={"VisibilityTimeout": "30"})["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        pattern = {
            "source": ["aws.s3"],
            "detail-type": ["Object Created"],
            "detail": {"bucket": {"name": [self.landing]}},
        }
        events.put_rule(Name="arrivals", EventPattern=json.dumps(pattern))
        events.put_targets(Rule="arrivals", Targets=[{"Id": "queue", "Arn": arn}])
        configuration: dict[str, Any] = {"EventBridgeConfiguration": {}}
        self.client("s3").put_bucket_notification_configuration(
            Bucket=self.landing, NotificationConfiguration=configuration
        )
        return url

    def put(self, key: str, content: str) -> None:
        self.client("s3").put_object(Bucket=self.landing, Key=key, Body=content.encode())

    def messages(self) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.client("sqs").get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    def keep_secret(self, name: str, value: str) -> str:
        return str(self.client("secretsmanager").create_secret(Name=name, SecretString=value)["ARN"])

    def register(self, image: str, environment: dict[str, str], secrets: dict[str, str]) -> str:
        """Register a revision of the run's task definition, as a deploy does; its ARN."""
        container = {
            "name": "run", "image": image, "essential": True, "memoryReservation": 1024,
            "environment": [{"name": name, "value": value} for name, value in environment.items()],
            "secrets": [{"name": name, "valueFrom": arn} for name, arn in secrets.items()],
        }  # fmt: skip
        made = self.client("ecs").register_task_definition(
            family=FAMILY, networkMode="awsvpc", requiresCompatibilities=["FARGATE", "EC2"], cpu="2048", memory="8192",
            containerDefinitions=[container],
        )  # fmt: skip
        return str(made["taskDefinition"]["taskDefinitionArn"])


@contextmanager
def cloud(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    from moto.core.responses import ActionResult
    from moto.ecs.exceptions import ECSException
    from moto.ecs.models import ecs_backends
    from moto.ecs.responses import EC2ContainerServiceResponse
    from moto.moto_api import state_manager
    from moto.server import ThreadedMotoServer

    refusals = Refusals()
    take = EC2ContainerServiceResponse.run_task

    def run_task(self: EC2ContainerServiceResponse) -> ActionResult:
        refusals.asked += 1
        if refusals.throttled > 0:
            refusals.throttled -= 1
            raise ECSException("ThrottlingException", "Rate exceeded")
        strategy = self._get_param("capacityProviderStrategy") or [{}]
        if refusals.no_spot > 0 and strategy[0].get("capacityProvider") == "FARGATE_SPOT":
            refusals.no_spot -= 1
            why = "Capacity is unavailable at this time. Please try again later or in a different availability zone"
            return ActionResult({"tasks": [], "failures": [{"reason": why}]})
        return take(self)

    monkeypatch.setattr(EC2ContainerServiceResponse, "run_task", run_task)
    # Else each look at a task would bring it nearer to its end.
    state_manager.set_transition("ecs::task", {"progression": "manual", "times": 1_000_000})
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line for each call would hide what a failed test says
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    try:
        ecs = servers.client(endpoint, "ecs")
        ecs.create_cluster(clusterName=CLUSTER, capacityProviders=["FARGATE", "FARGATE_SPOT"])
        secrets = servers.client(endpoint, "secretsmanager")
        agent = Agent(
            ecs_backends[ACCOUNT][REGION], CLUSTER, folder,
            lambda arn: secrets.get_secret_value(SecretId=arn)["SecretString"],
        )  # fmt: skip
        with agent.at_work():
            yield Cloud(endpoint, agent, refusals)
    finally:
        server.stop()
        state_manager.unset_transition("ecs::task")
