"""The other steps of a release, each against the wire of what it asks."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.release.__main__ import main
from deploy.release.branches import namespace_of
from deploy.release.build import build_command
from deploy.release.errors import ReleaseError
from deploy.release.github import PullRequest, as_markdown
from deploy.release.images import Images
from deploy.release.infrastructure import App
from deploy.release.progress import Progress
from deploy.release.stack import images_in
from tests.deploy.aws_server import REGISTRY, Aws, image
from tests.local_server import serving

DIGEST = f"sha256:{'c' * 64}"


def task(*command: str, seconds: str = "0.3") -> int:
    return main(["task", "--namespace", "test", "--seconds", seconds, "--every", "0.01", "--", *command])


def test_a_task_runs_where_runs_do_and_its_log_is_shown(aws: Aws, capsys: pytest.CaptureFixture[str]) -> None:
    assert task("strandline", "doctor") == 0
    asked = aws.asked[0]
    assert asked["overrides"]["containerOverrides"][0]["command"] == ["strandline", "doctor"]
    assert asked["networkConfiguration"]["awsvpcConfiguration"]["subnets"] == ["subnet-1"]
    assert "a line of the task" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("code", "said"),
    [(3, "ended with 3\na line of the task"), (-1, "never ran: CannotPullContainerError: no such image")],
)
def test_a_task_that_does_not_end_well(aws: Aws, capsys: pytest.CaptureFixture[str], code: int, said: str) -> None:
    aws.exit_code = code
    assert task("strandline", "doctor") == 1
    assert said in capsys.readouterr().err


def test_a_task_that_never_ends_is_stopped(aws: Aws, capsys: pytest.CaptureFixture[str]) -> None:
    aws.exit_code = None
    assert task("strandline", "drain") == 1
    assert aws.changes == ["stop it took too long"]
    assert "has not ended after 0 s and was stopped" in capsys.readouterr().err


def test_a_task_that_cannot_start(aws: Aws, capsys: pytest.CaptureFixture[str]) -> None:
    aws.starts_no_task = True
    assert task("strandline", "doctor") == 1
    assert "RESOURCE:ENI" in capsys.readouterr().err
    assert task(*["x" * 100] * 90) == 1
    assert "too long for a task" in capsys.readouterr().err


def test_an_image_is_found_by_its_tag(
    aws: Aws, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: Any
) -> None:
    aws.tags = {"old": f"sha256:{'d' * 64}", "new": DIGEST}
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    assert main(["image", "--tag", "new"]) == 0
    assert capsys.readouterr().out.strip() == f"{REGISTRY}/strandline@{DIGEST}"
    assert (tmp_path / "output").read_text() == f"image={REGISTRY}/strandline@{DIGEST}\n"
    assert main(["image", "--tag", "gone"]) == 1
    assert "no image has the tag gone. The newest: new, old" in capsys.readouterr().err
    assert main(["image", "--tag", "no tag"]) == 1
    assert main(["image", "--tag", "new", "--repository", "other"]) == 1
    assert "there is no repository other" in capsys.readouterr().err


def fake_command(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_an_image_is_pushed_once_and_the_password_is_no_argument(aws: Aws, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    docker = fake_command(tmp_path / "docker", f'echo "$@" >> {seen}; [ "$1" != login ] || cat >> {seen}')
    images = Images(boto3.client("ecr"))
    with pytest.raises(ReleaseError, match="no image has the tag 4f1d0c2"):
        images.push("strandline:local", "4f1d0c2", docker)  # this docker pushes nothing
    assert seen.read_text().splitlines() == [
        f"login --username AWS --password-stdin {REGISTRY}",
        f"canary-of-ecrtag strandline:local {REGISTRY}/strandline:4f1d0c2",
        f"push --quiet {REGISTRY}/strandline:4f1d0c2",
    ]
    aws.tags["4f1d0c2"] = DIGEST
    seen.unlink()
    assert images.push("strandline:local", "4f1d0c2", docker) == f"{REGISTRY}/strandline@{DIGEST}"
    assert not seen.exists()


def test_a_push_that_fails_says_why(aws: Aws, tmp_path: Path) -> None:
    docker = fake_command(tmp_path / "docker", "cat > /dev/null; echo denied >&2; exit 1")
    with pytest.raises(ReleaseError, match="login ended with 1: denied"):
        Images(boto3.client("ecr")).push("strandline:local", "4f1d0c2", docker)


@settings(max_examples=30)
@given(st.lists(st.text(min_size=1), min_size=1, max_size=8, unique=True))
def test_branches_have_namespaces_of_their_own(branches: list[str]) -> None:
    names = [namespace_of(branch) for branch in branches]
    assert all(re.fullmatch(r"branch_[a-z0-9_]{1,24}", name) for name in names)
    # Six hexadecimal digits tell apart what is cut or replaced; these examples are too few to meet by chance.
    assert len(set(names)) == len(names)


def test_a_plain_branch_keeps_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert namespace_of("tides") == "branch_tides"
    assert main(["namespace", "--branch", "feature/Tides!"]) == 0
    assert re.fullmatch(r"branch_feature_tides_[0-9a-f]{6}\n", capsys.readouterr().out)


def test_only_a_branchs_namespace_is_torn_down(aws: Aws, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tear-down", "--namespace", "default"]) == 1
    assert "default is no branch's namespace" in capsys.readouterr().err


def test_one_command_for_each_tool_and_no_other() -> None:
    docker = build_command("docker", "strandline:local", 7, base="localhost/base:1")
    assert docker[:3] == ["docker", "buildx", "build"]
    assert "BASE=localhost/base:1" in docker
    buildah = build_command("buildah", "strandline:local", 7, volumes=["/etc/ssl:/etc/ssl:ro"])
    assert buildah[:5] == ["buildah", "bud", "--layers=false", "--timestamp", "7"]
    assert "SOURCE_DATE_EPOCH=7" in docker
    assert "SOURCE_DATE_EPOCH=7" in buildah
    for tool, volumes in (("docker", ["a:b"]), ("kaniko", [])):
        with pytest.raises(ReleaseError):
            build_command(tool, "strandline:local", 7, volumes=volumes)


class Wire:
    """GitHub's and Slack's API, as far as they are asked."""

    def __init__(self) -> None:
        self.url = ""
        self.comments: list[dict[str, Any]] = []
        self.messages: list[tuple[str, dict[str, str]]] = []
        self.status = 200


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()

    class Handler(BaseHTTPRequestHandler):
        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            first = (int(query["page"][0]) - 1) * 100
            self._answer(made.comments[first : first + 100])

        def do_PATCH(self) -> None:
            comment = next(one for one in made.comments if one["id"] == int(self.path.rsplit("/", 1)[-1]))
            comment["body"] = json.loads(self._body())["body"]
            self._answer(comment)

        def do_POST(self) -> None:
            body = self._body()
            if "/repos/" in self.path:
                made.comments.append({"id": len(made.comments) + 1, "body": json.loads(body)["body"]})
                self._answer(made.comments[-1])
                return
            given = {name: values[0] for name, values in parse_qs(body.decode()).items()} or json.loads(body)
            made.messages.append((self.path.rsplit("/", 1)[-1], given))
            self._answer({"ok": made.status == 200, "error": "channel_not_found", "channel": "C1", "ts": "1.5"}, 200)

        def _answer(self, answer: Any, status: int | None = None) -> None:
            content = json.dumps(answer).encode()
            self.send_response(status or made.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with serving(Handler) as address:
        made.url = address
        yield made


def test_one_comment_that_is_replaced(wire: Wire) -> None:
    wire.comments = [{"id": at, "body": "somebody's word"} for at in range(1, 151)]
    pull_request = PullRequest("owner/name", 7, "token", wire.url)
    pull_request.comment("cdk-diff", "first")
    pull_request.comment("cdk-diff", "second")
    assert len(wire.comments) == 151
    assert wire.comments[-1]["body"] == "<!-- cdk-diff -->\nsecond"
    pull_request.comment("cdk-diff", as_markdown("Title", "+ line\n" * 20_000))
    assert len(wire.comments[-1]["body"]) < 65_536
    wire.status = 403
    with pytest.raises(ReleaseError, match="pull-requests: write"):
        pull_request.comment("cdk-diff", "third")


def test_a_fence_in_the_output_does_not_end_the_comment() -> None:
    assert as_markdown("Title", "```").count("````") == 2


def test_slack_gets_one_message_that_grows(wire: Wire, capsys: pytest.CaptureFixture[str]) -> None:
    say = Progress("Release to <test>", "xoxb-canary", "C1", wire.url)
    say("code is healthy")
    say("webserver is healthy & well")
    assert [method for method, _ in wire.messages] == ["chat.postMessage", "chat.update"]
    assert wire.messages[1][1]["text"] == "*Release to &lt;test&gt;*\ncode is healthy\nwebserver is healthy &amp; well"
    assert wire.messages[1][1]["ts"] == "1.5"
    assert capsys.readouterr().out == "code is healthy\nwebserver is healthy & well\n"


def test_a_release_goes_on_without_slack(wire: Wire, capsys: pytest.CaptureFixture[str]) -> None:
    wire.status = 500
    say = Progress("Release", "xoxb-canary", "C1", wire.url)
    say("one")
    say("two")
    told = capsys.readouterr()
    assert told.out == "one\ntwo\n"
    assert told.err == "Slack is not told of what follows: channel_not_found\n"
    away = Progress("Release", "xoxb-canary", "C1", "http://127.0.0.1:9")
    away("three")
    assert "xoxb" not in capsys.readouterr().err


class FakeStack:
    name = "strandline-test"
    namespace = "test"

    def __init__(self, template: dict[str, Any] | None) -> None:
        self._template = template

    def template(self) -> dict[str, Any] | None:
        return self._template


@pytest.fixture
def app_of(tmp_path: Path) -> Any:
    """An app whose template is its context, and a CDK that notes what it is asked."""
    python = fake_command(
        tmp_path / "python",
        'mkdir -p "$CDK_OUTDIR"; [ -z "$BROKEN" ] || { echo wrong context; exit 2; }; '
        'echo "$CDK_CONTEXT_JSON" > "$CDK_OUTDIR/strandline-test.template.json"',
    )
    cdk = fake_command(
        tmp_path / "cdk", f'echo "$@" >> {tmp_path}/asked; cat "$3"/*.json >> {tmp_path}/asked; echo "[+] a bucket"'
    )
    return lambda template: App(FakeStack(template), '{"profile": "dev"}', Path(python), (cdk,))  # type: ignore[arg-type]


def test_infrastructure_is_changed_only_where_it_differs(app_of: Any, tmp_path: Path) -> None:
    there = {"profile": "dev", "namespace": "test", "image": image("a")}
    assert app_of(there).deploy(image("b"), image("c"), tmp_path / "out") is False
    assert not (tmp_path / "asked").exists()
    assert app_of({**there, "profile": "small"}).deploy(image("b"), image("c"), tmp_path / "out") is True
    asked, template = (tmp_path / "asked").read_text().splitlines()
    assert asked == f"deploy --app {tmp_path}/out --require-approval never --ci strandline-test"
    assert json.loads(template) == {**there, "image": image("b")}, "what runs stays"


def test_a_namespace_is_made_with_the_image_that_is_given(app_of: Any, tmp_path: Path) -> None:
    assert app_of(None).deploy(None, image("c"), tmp_path / "out") is True
    assert json.loads((tmp_path / "asked").read_text().splitlines()[1])["image"] == image("c")


def test_a_diff_leaves_the_image_out(app_of: Any, tmp_path: Path) -> None:
    there = {"profile": "small", "namespace": "test", "image": image("a")}
    assert app_of(there).diff(image("c"), tmp_path / "out") == "[+] a bucket\n"
    assert json.loads((tmp_path / "asked").read_text().splitlines()[1])["image"] == image("a")


def test_what_is_wrong_with_the_infrastructure_is_said(
    app_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for template in ({}, {"one": image("a"), "other": [image("b")]}):
        with pytest.raises(ReleaseError, match="images by digest; expected one"):
            app_of(template).deploy(image("a"), image("a"), tmp_path / "out")
    for context in ("{", "[]", '{"a": 1}'):
        with pytest.raises(ReleaseError, match="STRANDLINE_CDK_CONTEXT"):
            App(FakeStack(None), context).synthesize(image("a"), tmp_path)  # type: ignore[arg-type]
    monkeypatch.setenv("BROKEN", "1")
    with pytest.raises(ReleaseError, match="wrong context"):
        app_of(None).deploy(None, image("a"), tmp_path / "out")
    with pytest.raises(ReleaseError, match="make setup-deploy"):
        App(FakeStack(None), None, tmp_path / "none").synthesize(image("a"), tmp_path)  # type: ignore[arg-type]


def test_images_are_found_anywhere_in_a_template() -> None:
    assert images_in({"a": [{"Image": image("a")}, "nginx:1"], "b": image("a")}) == {image("a")}


def test_the_regression_lands_from_outside_and_is_judged_within(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = tmp_path / "seen"
    python = fake_command(tmp_path / "python", f'echo "$STRANDLINE_LANDING $STRANDLINE_NAMESPACE $@" > {seen}')
    monkeypatch.setattr("sys.executable", python)
    arguments = ["regression", "--namespace", "test", "--run", "12-1", "--seconds", "300", "--every", "0.01"]
    assert main(arguments) == 0
    assert (
        seen.read_text() == "s3://landing-of-test test -m deploy.regression --namespace test --run 12-1 --land-only\n"
    )
    command = aws.asked[0]["overrides"]["containerOverrides"][0]["command"]
    assert command == [
        "python", "-m", "deploy.regression", "--namespace", "test", "--run", "12-1", "--judge-only", "--seconds", "60",
    ]  # fmt: skip
    aws.exit_code, aws.log = 1, ["WRONG prices of each batch"]
    assert main(arguments) == 1
    assert "WRONG prices of each batch" in capsys.readouterr().err
