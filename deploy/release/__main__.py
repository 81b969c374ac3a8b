"""The steps of a release, one command each; every step of the workflows is one of these calls, and so can a person make it.

AWS's region and credentials are found by boto3's own rules.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from deploy.release import build as building
from deploy.release.branches import check_may_be_torn_down, namespace_of
from deploy.release.errors import ReleaseError
from deploy.release.github import PullRequest, as_markdown
from deploy.release.images import Images
from deploy.release.infrastructure import CONTEXT, NO_IMAGE, App
from deploy.release.patience import Patience
from deploy.release.progress import Progress
from deploy.release.rollout import Rollout
from deploy.release.services import Cluster
from deploy.release.stack import Stack
from deploy.release.tasks import Tasks
from deploy.reload import NotLoaded, reload_location

_SERVICE_SECONDS = 900.0
"""For one service: an image of a gigabyte is pulled and the health check asked until it is sure."""
_TASK_SECONDS = 1200.0
_TASK_START_SECONDS = 240.0
LANDING = "STRANDLINE_LANDING"


def _client(name: str) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(name, config=Config(retries={"mode": "adaptive", "max_attempts": 10}))


def _cluster(namespace: str) -> Cluster:
    return Cluster(namespace, _client("ecs"), _client("elbv2"))


def _progress(options: argparse.Namespace, what: str) -> Progress:
    environment = os.environ
    run = environment.get("GITHUB_RUN_ID")
    link = f" {environment['GITHUB_SERVER_URL']}/{environment['GITHUB_REPOSITORY']}/actions/runs/{run}" if run else ""
    return Progress(
        f"{what} {options.namespace}{link}",
        environment.get("STRANDLINE_SLACK_TOKEN"),
        environment.get("STRANDLINE_SLACK_CHANNEL"),
        environment.get("STRANDLINE_SLACK_URL"),
    )


def _give(name: str, value: str) -> None:
    """To whoever reads standard output, and to the workflow's later steps."""
    print(value)
    if "GITHUB_OUTPUT" in os.environ:
        with Path(os.environ["GITHUB_OUTPUT"]).open("a") as file:
            file.write(f"{name}={value}\n")


def build(options: argparse.Namespace) -> None:
    building.build(options.tool, options.tag, base=options.base, volumes=options.volume)


def push(options: argparse.Namespace) -> None:
    _give("image", Images(_client("ecr"), options.repository).push(options.local, options.tag, options.tool))


def image(options: argparse.Namespace) -> None:
    _give("image", Images(_client("ecr"), options.repository).get(options.tag))


def namespace(options: argparse.Namespace) -> None:
    _give("namespace", namespace_of(options.branch))


def diff(options: argparse.Namespace) -> None:
    app = App(Stack(options.namespace, _client("cloudformation")), os.environ.get(CONTEXT))
    with tempfile.TemporaryDirectory() as out:
        found = app.diff(options.image, Path(out))
    print(found)
    if options.pull_request:
        pull_request = PullRequest(
            os.environ["GITHUB_REPOSITORY"],
            options.pull_request,
            os.environ["GITHUB_TOKEN"],
            os.environ.get("GITHUB_API_URL", "https://api.github.com"),
        )
        title = f"What a merge would change in AWS (`{options.namespace}`)"
        pull_request.comment(f"cdk-diff-{options.namespace}", as_markdown(title, found))


def infrastructure(options: argparse.Namespace) -> None:
    stack = Stack(options.namespace, _client("cloudformation"))
    running = None if stack.template() is None else _cluster(options.namespace).running_image()
    say = _progress(options, "Infrastructure of")
    try:
        with tempfile.TemporaryDirectory() as out:
            changed = App(stack, os.environ.get(CONTEXT)).deploy(running, options.image, Path(out))
    except ReleaseError as error:
        say(f"not changed: {error}")
        raise
    if changed:
        say("changed")
    else:
        print("nothing to change")


def release(options: argparse.Namespace) -> None:
    def reload() -> None:
        try:
            reload_location(options.webserver)
        except NotLoaded as error:
            raise ReleaseError(str(error)) from None

    rollout = Rollout(
        _cluster(options.namespace),
        reload if options.webserver else None,
        _progress(options, "Release to"),
        Patience(options.seconds, options.every),
    )
    rollout.run(options.image)


def task(options: argparse.Namespace) -> None:
    tasks = Tasks(
        _cluster(options.namespace), _client("ecs"), _client("logs"), Patience(options.seconds, options.every)
    )
    print(tasks.run(options.command))


def regression(options: argparse.Namespace) -> None:
    """Landing is done from here: no task may write to the landing store. The ledger is asked from within."""
    cluster = _cluster(options.namespace)
    landing = cluster.run_environment().get(LANDING)
    if landing is None:
        raise ReleaseError(f"the runs of {options.namespace} are not told where files land ({LANDING})")
    say = _progress(options, "Regression of")
    arguments = ["-m", "deploy.regression", "--namespace", options.namespace, "--run", options.run]
    settings = {"STRANDLINE_NAMESPACE": options.namespace, LANDING: landing}
    landed = subprocess.run(
        [sys.executable, *arguments, "--land-only"], env={**os.environ, **settings}, check=False
    ).returncode
    if landed != 0:
        raise ReleaseError("the golden files were not landed")
    # The task's own limit is behind that of the waiting, so that it can say which files are not settled.
    waiting = max(60.0, options.seconds - _TASK_START_SECONDS)
    tasks = Tasks(cluster, _client("ecs"), _client("logs"), Patience(options.seconds, options.every))
    try:
        report = tasks.run(["python", *arguments, "--judge-only", "--seconds", f"{waiting:.0f}"])
    except ReleaseError as error:
        say(f"{options.namespace} does not give the known answers: {error}")
        raise
    print(report)
    say(f"{options.namespace} gives the known answers")


def tear_down(options: argparse.Namespace) -> None:
    check_may_be_torn_down(options.namespace)
    # Of the infrastructure, which knows what has to be emptied first.
    teardown = importlib.import_module("deploy.aws.teardown")
    say = _progress(options, "Tearing down")
    if Stack(options.namespace, _client("cloudformation")).template() is None:
        print("there is none")
        return
    try:
        teardown.tear_down(options.namespace, _client, say)
    except teardown.Refused as error:
        say(str(error))
        raise ReleaseError(str(error)) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.release", description=__doc__)
    steps = parser.add_subparsers(metavar="STEP", required=True)

    def step(does: Callable[[argparse.Namespace], None], name: str, tells: str) -> argparse.ArgumentParser:
        added = steps.add_parser(name, help=tells, description=tells)
        added.set_defaults(does=does)
        return added

    one = step(build, "build", "build the image from this folder")
    one.add_argument("--tag", default="strandline:local")
    one.add_argument("--with", dest="tool", choices=building.TOOLS, default="docker")
    one.add_argument("--base", help="another base image than the Dockerfile's")
    one.add_argument("--volume", action="append", default=[], help="HOST:CONTAINER:ro, of a build with buildah")

    one = step(push, "push", "push a built image to ECR under a tag; prints it by digest")
    one.add_argument("--local", default="strandline:local")
    one.add_argument("--with", dest="tool", choices=building.TOOLS, default="docker", help="that built it")
    one.add_argument("--tag", required=True)
    one.add_argument("--repository", default="strandline")

    one = step(image, "image", "the image with a tag, by digest")
    one.add_argument("--tag", required=True)
    one.add_argument("--repository", default="strandline")

    one = step(namespace, "namespace", "the namespace of a branch")
    one.add_argument("--branch", required=True)

    one = step(diff, "diff", "what a deployment would change")
    one.add_argument("--namespace", required=True)
    one.add_argument("--image", default=NO_IMAGE, help="for a namespace that is not there yet, by digest")
    one.add_argument("--pull-request", type=int, help="also write it there, as a comment")

    one = step(infrastructure, "infrastructure", "bring the infrastructure to what the CDK app says; the image stays")
    one.add_argument("--namespace", required=True)
    one.add_argument("--image", required=True, help="for a namespace that is not there yet, by digest")

    one = step(release, "release", "bring an image to every role, or leave everything as it was")
    one.add_argument("--namespace", required=True)
    one.add_argument("--image", required=True, help="REPOSITORY@sha256:...")
    one.add_argument(
        "--webserver", help="its address, if it can be reached from here: told to load the new code at once"
    )
    _add_patience(one, _SERVICE_SECONDS)

    one = step(task, "task", "run a command as a task in a namespace")
    one.add_argument("--namespace", required=True)
    _add_patience(one, _TASK_SECONDS)
    one.add_argument("command", nargs="+", help="after --")

    one = step(
        regression, "regression", "land golden files in a namespace and compare its tables with the known answers"
    )
    one.add_argument("--namespace", required=True)
    one.add_argument("--run", required=True, help="a name that no run before had; stands in the keys")
    _add_patience(one, _TASK_SECONDS)

    one = step(tear_down, "tear-down", "delete a branch's namespace with all its data")
    one.add_argument("--namespace", required=True)
    return parser


def _add_patience(parser: argparse.ArgumentParser, seconds: float) -> None:
    parser.add_argument("--seconds", type=float, default=seconds, help="longest wait for one service or task")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two looks")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        options.does(options)
    except ReleaseError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    except (ClientError, BotoCoreError) as error:
        print(f"Error: AWS does not do it: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
