"""Systems Manager: what it is asked, and each state that it may answer with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from resources.caris_host.buckets import Buckets
from resources.caris_host.config import Ssm
from resources.caris_host.host import HostNotReady, HostUnavailable
from resources.caris_host.jobs import Job
from resources.caris_host.shells import RUNNER_PS1, powershell_script
from resources.caris_host.ssm import SsmTransport, SsmWay
from resources.caris_host.watch import Guard
from tests.caris_host.conftest import BUCKET, free
from tests.caris_host.ssm_server import INSTANCE

COMMAND = "11111111-2222-3333-4444-555555555555"
JOB = Job("run", "D:\\work\\a", 1, ("carisbatch", "--version"), seconds=60_000, quiet_seconds=600)


@pytest.fixture
def ssm() -> Iterator[tuple[Any, Stubber]]:
    client = boto3.client("ssm", region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b")
    with Stubber(client) as stubber:
        yield client, stubber


def way(client: Any, pauses: list[float] | None = None) -> SsmWay:
    return SsmWay(client, INSTANCE, BUCKET, Buckets(), (pauses if pauses is not None else []).append)


def expect_sent(stubber: Stubber, **more: Any) -> None:
    expected = {
        "InstanceIds": [INSTANCE], "DocumentName": "AWS-RunPowerShellScript", "Comment": ANY, "TimeoutSeconds": ANY,
        "Parameters": ANY, "OutputS3BucketName": BUCKET.bucket, "OutputS3KeyPrefix": "by-way/commands", **more,
    }  # fmt: skip
    stubber.add_response("send_command", {"Command": {"CommandId": COMMAND}}, expected)


def answer(
    stubber: Stubber, status: str, details: str | None = None, code: int = -1, output: str = "", error: str = ""
) -> None:
    stubber.add_response(
        "get_command_invocation",
        {
            "Status": status, "StatusDetails": details or status, "ResponseCode": code,
            "StandardOutputContent": output, "StandardErrorContent": error,
        },
        {"CommandId": COMMAND, "InstanceId": INSTANCE},
    )  # fmt: skip


def test_what_is_sent(ssm: tuple[Any, Stubber]) -> None:
    client, stubber = ssm
    sent = {"commands": powershell_script(JOB), "executionTimeout": ["60120"]}
    expect_sent(stubber, Parameters=sent, Comment="strandline run carisbatch --version", TimeoutSeconds=600)
    answer(stubber, "Success", code=0, output=f"carisbatch 11.4\n{JOB.nonce} ended 0\n")
    said: list[str] = []
    done = way(client).run(JOB, free(), said.append)
    assert (done.exit_code, done.lines, done.stopped) == (0, ("carisbatch 11.4",), None)
    assert said == ["carisbatch 11.4"]
    stubber.assert_no_pending_responses()


def test_it_is_asked_later_and_later(ssm: tuple[Any, Stubber]) -> None:
    client, stubber = ssm
    expect_sent(stubber)
    stubber.add_client_error("get_command_invocation", "InvocationDoesNotExist")
    for state in ("Pending", "Delayed", *["InProgress"] * 8):
        answer(stubber, state)
    answer(stubber, "Failed", code=1, output=f"Error: no\n{JOB.nonce} ended 1\n")
    pauses: list[float] = []
    assert way(client, pauses).run(JOB, free(), print).exit_code == 1
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (1.0, 15.0)


@pytest.mark.parametrize(
    ("status", "details", "code", "kind", "says"),
    [
        ("TimedOut", "Delivery Timed Out", -1, HostUnavailable, "did not take the command within 600 s"),
        ("TimedOut", "DeliveryTimedOut", -1, HostUnavailable, "did not take the command within 600 s"),
        ("Failed", "Undeliverable", -1, HostUnavailable, "its agent does not answer"),
        ("Failed", "Terminated", -1, HostUnavailable, "before it reached the host"),
        ("Failed", "InvalidPlatform", -1, HostNotReady, "does not run Windows"),
        ("Failed", "Access Denied", -1, HostNotReady, "lacks the right to run the document"),
        ("Failed", "Failed", -1, HostUnavailable, "PowerShell did not begin"),
        ("Failed", "Failed", 1, HostUnavailable, r"ended with 1 and without an answer \(cannot be loaded\)"),
        ("Success", "Success", 0, HostUnavailable, "without an answer"),
    ],
)  # fmt: skip
def test_each_way_to_fail(
    ssm: tuple[Any, Stubber], status: str, details: str, code: int, kind: type[Exception], says: str
) -> None:
    client, stubber = ssm
    expect_sent(stubber)
    answer(stubber, status, details, code, error="cannot be loaded")
    with pytest.raises(kind, match=says):
        way(client).run(JOB, free(), print)
    stubber.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("status", "details", "stopped"),
    [("Cancelled", "Cancelled", "cancelled"), ("TimedOut", "Execution Timed Out", "over 60000 s"), ("TimedOut", "ExecutionTimedOut", "over 60000 s")],
)  # fmt: skip
def test_what_was_ended_there_is_told_and_its_processes_are_ended(
    ssm: tuple[Any, Stubber], status: str, details: str, stopped: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, stubber = ssm
    stopping = Job("stop", JOB.folder, JOB.fence, nonce="n" * 32)
    expect_sent(stubber)
    answer(stubber, status, details, output="Converted Line: a\n")
    expect_sent(stubber, Comment="strandline stop", Parameters={"commands": ANY, "executionTimeout": ["3720"]})
    answer(stubber, "Success", code=0, output=f"{stopping.nonce} done\n")
    monkeypatch.setattr("resources.caris_host.ssm.Job", lambda *_: stopping)
    done = way(client).run(JOB, free(), print)
    assert (done.exit_code, done.lines, done.stopped) == (None, ("Converted Line: a",), stopped)
    stubber.assert_no_pending_responses()


def test_a_cancelled_run_cancels_its_command(ssm: tuple[Any, Stubber]) -> None:
    client, stubber = ssm
    expect_sent(stubber)
    stubber.add_response("cancel_command", {}, {"CommandId": COMMAND, "InstanceIds": [INSTANCE]})
    expect_sent(stubber, Comment="strandline stop")

    def cancelled() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        way(client).run(JOB, Guard(1, cancelled, cancelled), print)
    stubber.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        ("AccessDeniedException", HostNotReady, "ssm:SendCommand"),
        ("UnsupportedPlatformType", HostNotReady, "STRANDLINE_CARIS_HOST"),
        ("InvalidInstanceId", HostUnavailable, "not in a valid state"),
    ],
)
def test_commands_that_are_not_taken(ssm: tuple[Any, Stubber], code: str, kind: type[Exception], says: str) -> None:
    client, stubber = ssm
    stubber.add_client_error("send_command", code, "Instances not in a valid state")
    with pytest.raises(kind, match=says):
        way(client).run(JOB, free(), print)


def test_a_command_that_it_never_knows(ssm: tuple[Any, Stubber]) -> None:
    client, stubber = ssm
    expect_sent(stubber)
    for _ in range(20):
        stubber.add_client_error("get_command_invocation", "InvocationDoesNotExist")
    stubber.add_client_error("cancel_command", "InvalidCommandId")
    with pytest.raises(HostUnavailable, match="InvocationDoesNotExist"):
        way(client).run(JOB, free(), print)


def test_an_agent_that_is_not_online(ssm: tuple[Any, Stubber]) -> None:
    client, stubber = ssm
    for about in ([], [{"PingStatus": "ConnectionLost"}], [{"PingStatus": "Online", "PlatformType": "Linux"}]):
        stubber.add_response("describe_instance_information", {"InstanceInformationList": about})
    transport = SsmTransport(Ssm(INSTANCE), "D:\\w", BUCKET, Buckets(), patience=-1, pause=[].append, client=client)
    for kind, says in (
        (HostUnavailable, "unknown to it"), (HostUnavailable, "ConnectionLost"), (HostNotReady, "runs Linux"),
    ):  # fmt: skip
        with pytest.raises(kind, match=says), transport.folder("a", free()):
            pass


def test_the_aws_that_answers_success_to_everything(aws: str) -> None:
    """moto's Run Command says Success, 0 and nothing: that no answer came must not pass for work done."""
    client = boto3.client("ssm", endpoint_url=aws)
    with pytest.raises(HostUnavailable, match="without an answer"):
        way(client).run(JOB, free(), print)


def test_no_value_is_a_part_of_the_script() -> None:
    """All that differs between two jobs is one word of base64."""
    evil = Job("run", "D:\\work\\a", 1, ("x", "'; Remove-Item C:\\ #", '"', "$(calc)", "{{ssm:secret}}", "\n"))
    first, *middle, last = powershell_script(evil)
    assert [first, *middle] == powershell_script(JOB)[:-1]
    assert re.fullmatch(r"\} '[A-Za-z0-9+/=]+'", last)
    text = RUNNER_PS1.read_text(encoding="ascii")
    assert "{{" not in text
    assert "}}" not in text
    for opening, closing in ("{}", "()", "[]"):
        bare = re.sub(r"'[^'\n]*'|\"[^\"\n]*\"|^\s*#.*$", "", text, flags=re.MULTILINE)
        assert bare.count(opening) == bare.count(closing)
