"""The roles as data: within what ECS takes, and what the image has."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import pytest

from deploy.healthy import ask_grpc, ask_http, main
from deploy.release.branches import namespace_of
from deploy.roles import APP, DAGSTER_HOME, HOME, LOCATION, ROLES, ROLLOUT, USER_ID, WORKSPACE, run_family, stack_name
from tests.checkout import ROOT
from tests.deploy.local import COMMANDS, free_port

DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text()


def test_the_roles_are_those_that_everything_else_names() -> None:
    assert set(ROLES) == {"code", "webserver", "webserver-read-only", "rates-api", "daemon", "run"}
    assert set(ROLLOUT) == set(ROLES) - {"run"}
    assert ROLLOUT[0] == "code"
    assert ROLLOUT[-1] == "daemon"


@pytest.mark.parametrize("role", ROLES.values(), ids=lambda role: role.name)
def test_ecs_takes_the_health_check(role) -> None:  # type: ignore[no-untyped-def]
    # https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_HealthCheck.html
    assert 5 <= role.interval <= 300
    assert 2 <= role.timeout <= 60
    assert 0 <= role.start <= 300
    assert 1 <= role.retries <= 10
    assert role.timeout < role.interval
    assert 0 < role.stop_seconds <= 120
    for command in (role.command, role.health or ()):
        if command:
            assert command[0] in {*COMMANDS, "python"}
        if role.port and command:
            assert str(role.port) in " ".join((*command, *role.environment.values()))
    assert (role.health is None) == (role.name == "run")


def test_a_name_in_aws_has_no_underscore() -> None:
    assert stack_name("branch_tides") == "strandline-branch-tides"
    assert run_family("default") == "strandline-default-run"
    # CloudFormation takes 128 characters, load balancers' names 32 and so are not made of it.
    assert re.fullmatch(r"[a-z][a-z0-9-]{1,127}", stack_name(namespace_of("Some/very-long branch name" * 9)))


def test_the_dockerfile_has_the_same_places_and_user() -> None:
    for place in (DAGSTER_HOME, HOME, f"WORKDIR {APP}"):
        assert place in DOCKERFILE
    assert DOCKERFILE.count(str(USER_ID)) >= 6
    assert f"USER {USER_ID}:{USER_ID}" in DOCKERFILE
    assert f"{APP}/deploy/aws/workspace.yaml" == WORKSPACE
    assert LOCATION in (ROOT / "workspace.yaml").read_text()


def test_it_prints_how_each_is_started() -> None:
    done = subprocess.run([sys.executable, "deploy/roles.py"], cwd=ROOT, text=True, capture_output=True, check=True)
    assert "dagster-daemon run -w" in done.stdout


def test_http_health() -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/healthz" else 503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    assert ask_http(port, "/healthz") is None
    assert ask_http(port, "/readyz") == f"port {port} answers /readyz with 503; expected 200"
    assert main(["http", str(port), "/healthz"]) == 0
    assert main(["http", str(port), "/readyz"]) == 1
    server.shutdown()
    server.server_close()
    thread.join()
    assert "does not answer" in str(ask_http(port, "/healthz"))


@pytest.mark.parametrize(("answer", "is_well"), [(b"\x08\x01", True), (b"\x08\x02", False), (b"", False)])
def test_grpc_health(answer: bytes, is_well: bool) -> None:
    from concurrent.futures import ThreadPoolExecutor

    asked = []

    class Health(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
            asked.append(details.method)
            return grpc.unary_unary_rpc_method_handler(lambda request, _: asked.append(request) or answer)

    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers([Health()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    assert (ask_grpc(port) is None) == is_well
    server.stop(None).wait()
    assert asked == ["/grpc.health.v1.Health/Check", b"\x0a\x0aDagsterApi"]


def test_grpc_health_of_nothing() -> None:
    port = free_port()
    assert ask_grpc(port) == f"port {port} does not answer: UNAVAILABLE"
    assert main(["grpc", str(port)]) == 1
    assert main(["udp"]) == 2
