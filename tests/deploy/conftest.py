"""A namespace in a fake AWS, with every role running image `a`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy.roles import ROLLOUT, run_family
from tests.deploy.aws_server import CLUSTER, REGION, Aws, aws_server, image


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    with aws_server() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        monkeypatch.delenv("GITHUB_OUTPUT", raising=False)
        monkeypatch.delenv("GITHUB_RUN_ID", raising=False)
        log = {
            "logDriver": "awslogs",
            "options": {"awslogs-group": "/strandline/test/run", "awslogs-stream-prefix": "run"},
        }
        run = server.define(
            run_family("test"),
            [
                {
                    "name": "run",
                    "image": image("a"),
                    "logConfiguration": log,
                    "environment": [{"name": "STRANDLINE_LANDING", "value": "s3://landing-of-test"}],
                }
            ],
            cpu="1024",
        )
        for role in ROLLOUT:
            container = {
                "name": role,
                "image": image("a"),
                "environment": [
                    {"name": "DAGSTER_RUN_TASK_DEFINITION", "value": run},
                    {"name": "STRANDLINE_NAMESPACE", "value": "test"},
                ],
                "secrets": [{"name": "STRANDLINE_LEDGER_URL", "valueFrom": "arn:aws:secretsmanager:::secret:ledger"}],
            }
            beside = [{"name": "metrics", "image": image("a")}, {"name": "proxy", "image": "public.ecr.aws/envoy:v1"}]
            definition = server.define(
                f"{CLUSTER}-{role}", [container, *(beside if role == "daemon" else [])], cpu="256", networkMode="awsvpc"
            )
            server.serve(role, definition, desired=2 if role == "webserver" else 1, has_balancer=role == "webserver")
        yield server
