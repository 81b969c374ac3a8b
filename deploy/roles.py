"""The roles that the one image plays, and the names of one deployment in AWS. Data alone, and no import beyond Python's own.

Task definitions are made from it, the release asks for services by it, and the tests start and ask each role by it, so
that what is tested is what runs. `python deploy/roles.py` prints it.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

APP = "/app"
DAGSTER_HOME = f"{APP}/deploy/aws/dagster_home"
"""Holds the dagster.yaml of AWS; writable, for it is where Dagster keeps what it needs beside its database."""
WORKSPACE = f"{APP}/deploy/aws/workspace.yaml"
HOME = f"{APP}/home"
"""STRANDLINE_HOME in the image: what a task needs only while it lives."""
USER_ID = 10_001
LOCATION = "strandline"
"""The one code location, as workspace.yaml names it."""
_PROBE = f"{APP}/deploy/healthy.py"


@dataclass(frozen=True)
class Role:
    """One way of running the image.

    command: what the container runs; empty where whoever starts the task says it. port: on which it listens; None for none.
    health: the command that ends with 0 while the role is healthy, run in the container; None for what ends by itself.
    ready_path: of HTTP roles, where a load balancer asks whether to send requests.
    interval, timeout, start (seconds) and retries: of the health check, within what ECS takes (5-300, 2-60, 0-300, 1-10).
    stop_seconds: between SIGTERM and SIGKILL (ECS on Fargate: at most 120).
    may_overlap: whether the new one may run beside the old one; if not, the old one is stopped first.
    """

    name: str
    command: tuple[str, ...]
    port: int | None = None
    health: tuple[str, ...] | None = None
    ready_path: str | None = None
    interval: int = 30
    timeout: int = 10
    start: int = 120
    retries: int = 3
    stop_seconds: int = 30
    may_overlap: bool = True
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


_WEBSERVER = ("dagster-webserver", "-h", "0.0.0.0", "-p", "3000", "-w", WORKSPACE)
_WEBSERVER_HEALTH = ("python", _PROBE, "http", "3000", "/server_info")

ROLES: Mapping[str, Role] = MappingProxyType(
    {
        role.name: role
        for role in (
            Role(
                "code",
                ("dagster", "api", "grpc", "-m", "pipeline_assets.definitions", "-h", "0.0.0.0", "-p", "4000"),
                port=4000,
                # Dagster's own `dagster api grpc-health-check` asks the same, and spends seconds on its imports each time.
                health=("python", _PROBE, "grpc", "4000"),
                # Ticks that run in it have a minute at most.
                stop_seconds=90,
            ),
            Role("webserver", _WEBSERVER, port=3000, health=_WEBSERVER_HEALTH, ready_path="/server_info"),
            Role(
                "webserver-read-only",
                (*_WEBSERVER, "--read-only"),
                port=3000,
                health=_WEBSERVER_HEALTH,
                ready_path="/server_info",
            ),
            Role(
                "rates-api",
                ("strandline", "api"),
                port=3080,
                health=("python", _PROBE, "http", "3080", "/healthz"),
                ready_path="/readyz",
                stop_seconds=60,
                environment=MappingProxyType({"STRANDLINE_API_HOST": "0.0.0.0", "STRANDLINE_API_PORT": "3080"}),
            ),
            Role(
                "daemon",
                ("dagster-daemon", "run", "-w", WORKSPACE),
                health=("dagster-daemon", "liveness-check"),
                # The check imports Dagster, so it is asked seldom and given time.
                interval=120,
                timeout=60,
                start=300,
                stop_seconds=90,
                # Two would both start runs.
                may_overlap=False,
                # Of a heartbeat, seconds; Dagster's default is half an hour.
                environment=MappingProxyType({"DAGSTER_DAEMON_HEARTBEAT_TOLERANCE": "300"}),
            ),
            # The launcher says the command of each run (`dagster api execute_run ...`).
            Role("run", (), stop_seconds=120),
        )
    }
)

ROLLOUT = ("code", "webserver", "webserver-read-only", "rates-api", "daemon")
"""The order in which a release reaches the services: what defines runs first, what starts them last."""


def stack_name(namespace: str) -> str:
    """Of the CloudFormation stack of a namespace, and of its ECS cluster. Stacks take no underscores."""
    return f"strandline-{namespace.replace('_', '-')}"


def run_family(namespace: str) -> str:
    """Of the task definition that runs are started from. A service has its role's name, and so has each container."""
    return f"{stack_name(namespace)}-run"


def _main() -> None:
    for role in ROLES.values():
        print(f"{role.name}: {shlex.join(role.command) or '(as the task says)'}")
        print(f"    healthy: {shlex.join(role.health) if role.health else '(ends by itself)'}")


if __name__ == "__main__":
    _main()
