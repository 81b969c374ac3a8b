"""A release, held against a server that speaks ECS and ELB: its order, and that it is all or nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from deploy.release.__main__ import main
from deploy.roles import ROLLOUT, run_family
from tests.deploy.aws_server import ACCOUNT, CLUSTER, REGION, Aws, image
from tests.local_server import serving

SERVICES = list(ROLLOUT)


def release(letter: str = "b", *more: str) -> int:
    quick = ["--seconds", "0.5", "--every", "0.01"]
    return main(["release", "--namespace", "test", "--image", image(letter), *quick, *more])


def updates(aws: Aws) -> list[str]:
    return [one.removeprefix("update ") for one in aws.changes if one.startswith("update ")]


def images(aws: Aws) -> set[str]:
    return {aws.image_of(role)[-1] for role in SERVICES}


def newest_run_image(aws: Aws) -> str:
    found = aws.DescribeTaskDefinition({"taskDefinition": run_family("test")})["taskDefinition"]
    return str(found["containerDefinitions"][0]["image"])[-1]


def test_one_role_after_the_other_each_healthy_before_the_next(aws: Aws) -> None:
    assert release() == 0
    registered, rest = aws.changes[: len(SERVICES) + 1], aws.changes[len(SERVICES) + 1 :]
    assert registered == [f"register {run_family('test')}:2", *(f"register {CLUSTER}-{role}:2" for role in SERVICES)]
    assert rest == [change for role in SERVICES for change in (f"update {role} to b", f"steady {role}")]
    assert newest_run_image(aws) == "b"


def test_a_new_definition_is_the_old_one_but_for_the_image_and_what_runs_are_started_from(aws: Aws) -> None:
    before = {role: aws.definitions[aws.services[role]["taskDefinition"]] for role in SERVICES}
    assert release() == 0
    new_run = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{run_family('test')}:2"
    for role in SERVICES:
        old, new = before[role], aws.definitions[aws.services[role]["taskDefinition"]]
        assert (new["cpu"], new["networkMode"]) == (old["cpu"], old["networkMode"])
        container = new["containerDefinitions"][0]
        assert container["secrets"] == old["containerDefinitions"][0]["secrets"]
        assert container["environment"] == [
            {"name": "DAGSTER_RUN_TASK_DEFINITION", "value": new_run},
            {"name": "STRANDLINE_NAMESPACE", "value": "test"},
        ]
        assert new["tags"] == [{"key": "strandline-namespace", "value": "test"}]
    beside = aws.definitions[aws.services["daemon"]["taskDefinition"]]["containerDefinitions"][1:]
    assert [one["image"] for one in beside] == [image("b"), "public.ecr.aws/envoy:v1"]


def test_the_same_image_again_changes_nothing(aws: Aws, capsys: pytest.CaptureFixture[str]) -> None:
    assert release("a") == 0
    assert aws.changes == []
    assert "runs strandline@aaaaaaaaaaaa already" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("fate", "why"),
    [
        ("given_up", "ECS has given up on webserver: ECS deployment circuit breaker"),
        ("put_back", f"ECS has put webserver back to {CLUSTER}-webserver:1"),
        ("stuck", "webserver is not healthy after 0 s.\n    ECS: (service webserver) has started 1 tasks."),
        ("unregistered", "webserver is not healthy after 0 s"),
    ],
)
def test_what_is_not_healthy_is_put_back_with_all_before_it(
    aws: Aws, capsys: pytest.CaptureFixture[str], fate: str, why: str
) -> None:
    aws.fates[f"webserver {image('b')}"] = fate
    assert release() == 1
    assert updates(aws) == ["code to b", "webserver to b", "webserver to a", "code to a"]
    assert images(aws) == {"a"}
    assert newest_run_image(aws) == "a"
    unused = {one["status"] for name, one in aws.definitions.items() if name.endswith(":2")}
    assert unused == {"INACTIVE"}
    assert why in capsys.readouterr().err


def test_nothing_is_started_when_the_code_location_is_not_healthy(aws: Aws) -> None:
    aws.fates[image("b")] = "given_up"
    assert release() == 1
    assert updates(aws) == ["code to b", "code to a"]


def test_what_cannot_be_put_back_is_said(aws: Aws, capsys: pytest.CaptureFixture[str]) -> None:
    aws.fates[image("b")] = "given_up"
    aws.fates[f"code {image('a')}"] = "stuck"
    assert release() == 2
    assert "this could not be put back: code (code is not healthy" in capsys.readouterr().err


def test_a_deployment_that_is_under_way_is_waited_for_by_a_person(aws: Aws, capsys: pytest.CaptureFixture[str]) -> None:
    aws.services["daemon"]["deployments"][0]["rolloutState"] = "IN_PROGRESS"
    aws.fates[image("a")] = "stuck"
    assert release() == 1
    assert aws.changes == []
    assert "another deployment is under way (daemon)" in capsys.readouterr().err


def test_an_image_is_named_by_its_digest(aws: Aws, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["release", "--namespace", "test", "--image", "strandline:latest"]) == 1
    assert "expected REPOSITORY@sha256:" in capsys.readouterr().err


def test_a_namespace_that_is_not_there(aws: Aws, capsys: pytest.CaptureFixture[str]) -> None:
    aws.services.clear()
    assert release() == 1
    assert "has no service `code`" in capsys.readouterr().err
    assert main(["release", "--namespace", "other", "--image", image("b")]) == 1
    assert "AWS does not do it" in capsys.readouterr().err


@contextmanager
def webserver(aws: Aws, *answers: dict[str, Any]) -> Iterator[str]:
    """Answers as Dagster's GraphQL does; when there are no answers left, the location is loaded."""
    waiting = list(answers)
    loaded = {
        "__typename": "WorkspaceLocationEntry",
        "loadStatus": "LOADED",
        "locationOrLoadError": {"__typename": "RepositoryLocation"},
    }

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert asked["variables"] == {"name": "strandline"}
            aws.changes.append("reload")
            entry = waiting.pop(0) if waiting else loaded
            content = json.dumps({"data": {"reloadRepositoryLocation": entry}}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with serving(Handler) as url:
        yield url


def test_the_webserver_loads_the_code_once_that_is_healthy(aws: Aws) -> None:
    with webserver(aws) as url:
        assert release("b", "--webserver", url) == 0
    at = aws.changes.index("reload")
    assert aws.changes[at - 2 : at + 2] == ["update code to b", "steady code", "reload", "update webserver to b"]


def test_code_that_the_webserver_cannot_load_is_put_back(aws: Aws, capsys: pytest.CaptureFixture[str]) -> None:
    error = {"__typename": "PythonError", "message": "no module named x"}
    broken = {"__typename": "WorkspaceLocationEntry", "loadStatus": "LOADED", "locationOrLoadError": error}
    with webserver(aws, broken) as url:
        assert release("b", "--webserver", url) == 1
    assert updates(aws) == ["code to b", "code to a"]
    assert aws.changes[-1] == "reload", "so that it shows what runs again"
    assert "cannot load strandline: no module named x" in capsys.readouterr().err
