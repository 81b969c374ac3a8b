"""A host that Systems Manager reaches: each job is one Run Command, files and output go by way of a bucket.

What Run Command itself says of output is cut off after 24,000 characters and comes at the end only, so the whole of it is
read from the bucket, and silence is watched by the runner on the host. The states are those of
https://docs.aws.amazon.com/systems-manager/latest/userguide/monitor-commands.html.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from resources.caris_host.aws import code_of, in_our_words, make_client
from resources.caris_host.buckets import Buckets, is_uri
from resources.caris_host.config import Ssm
from resources.caris_host.host import Finished, HostFile, HostNotReady, HostUnavailable
from resources.caris_host.jobs import Hearing, Job
from resources.caris_host.paths import beside
from resources.caris_host.remote import RemoteFolder, in_parts
from resources.caris_host.shells import WindowsShell, powershell_script
from resources.caris_host.watch import CANCELLED, Guard, over
from resources.settings import S3Address

_ASK_SECONDS = 3600.0
_MARGIN_SECONDS = 120
"""What the runner has beyond a command's own time, to stop it and to say so."""
_LONGEST_SECONDS = 172_800
"""of `executionTimeout`; its default of 3600 would end most steps"""
_DELIVERY_SECONDS = 600
"""How long a command may wait for the host's agent."""
_UNKNOWN_SECONDS = 60.0
"""How long Systems Manager may not know a command that it took."""
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 15.0
_COMMENT = 100
_SHORT_OUTPUT = 23_000

_ENDS = {
    "Success", "Failed", "Cancelled", "TimedOut", "DeliveryTimedOut", "ExecutionTimedOut", "Undeliverable",
    "InvalidPlatform", "Terminated", "AccessDenied",
}  # fmt: skip


@dataclass(frozen=True)
class _End:
    """How a command ended in Systems Manager's eyes."""

    state: str
    code: int
    output: str
    error: str


class SsmTransport:
    """Work folders below `root` on an instance that runs the agent of Systems Manager.

    bucket: both this platform and the instance's role may read and write there. patience: seconds for which an agent that
    is not online yet is waited for.
    """

    def __init__(
        self,
        address: Ssm,
        root: str,
        bucket: S3Address,
        buckets: Buckets,
        patience: float,
        pause: Callable[[float], None] = time.sleep,
        client: Any = None,
    ) -> None:
        self._instance = address.instance
        self._root = root
        self._bucket = bucket
        self._buckets = buckets
        self._patience = patience
        self._pause = pause
        self._given_client = client

    def __str__(self) -> str:
        return self._instance

    @cached_property
    def _ssm(self) -> Any:
        return self._given_client or make_client("ssm")

    @contextmanager
    def folder(self, name: str, guard: Guard) -> Iterator[RemoteFolder]:
        self._wait_for_agent(guard)
        way = SsmWay(self._ssm, self._instance, self._bucket, self._buckets, self._pause)
        separator = WindowsShell.separator
        yield RemoteFolder(way, f"{self._root}{separator}{name}", separator, guard)

    def _wait_for_agent(self, guard: Guard) -> None:
        deadline = time.monotonic() + self._patience
        while True:
            guard.check()
            with in_our_words(self._instance, "ssm:DescribeInstanceInformation"):
                answer = self._ssm.describe_instance_information(
                    Filters=[{"Key": "InstanceIds", "Values": [self._instance]}]
                )
            known = answer["InstanceInformationList"]
            if known and known[0].get("PlatformType", "Windows") != "Windows":
                raise HostNotReady(
                    f"the CARIS host {self._instance} runs {known[0]['PlatformType']}; an ssm: host runs Windows"
                )
            if known and known[0].get("PingStatus") == "Online":
                return
            if time.monotonic() > deadline:
                state = known[0].get("PingStatus") if known else "unknown to it"
                raise HostUnavailable(
                    f"the CARIS host {self._instance} is not online in Systems Manager (it is {state}) after "
                    f"{self._patience:g} s. It needs its agent, a way to it, and a role with AmazonSSMManagedInstanceCore."
                )
            self._pause(_LONGEST_PAUSE / 3)


class SsmWay:
    """Run Command on one instance."""

    def __init__(
        self, ssm: Any, instance: str, bucket: S3Address, buckets: Buckets, pause: Callable[[float], None]
    ) -> None:
        self._ssm = ssm
        self._instance = instance
        self._bucket = bucket
        self._buckets = buckets
        self._pause = pause

    def __str__(self) -> str:
        return self._instance

    def ask(self, job: Job, guard: Guard) -> Hearing:
        hearing = Hearing(job, self._instance)
        end = self._carry_out(job, guard, hearing, _ASK_SECONDS)
        if not hearing.is_done:
            raise self._no_answer(job, end)
        return hearing

    def run(self, job: Job, guard: Guard, say: Callable[[str], None]) -> Finished:
        hearing = Hearing(job, self._instance, say)
        began = time.monotonic()
        end = self._carry_out(job, guard, hearing, job.seconds)
        seconds = time.monotonic() - began
        if hearing.ended is not None:
            return hearing.finished(None, seconds, None)
        if end.state in {"Cancelled", "ExecutionTimedOut", "TimedOut"}:
            # The runner had no time to end it. Nothing of a command outlives it.
            self.ask(Job("stop", job.folder, job.fence), guard)
            return hearing.finished(None, seconds, CANCELLED if end.state == "Cancelled" else over(job.seconds))
        raise self._no_answer(job, end)

    def bring(self, folder: str, files: Mapping[str, str], guard: Guard) -> Iterator[HostFile]:
        aside = self._aside()
        try:
            for part in in_parts(list(files.items())):
                moves = []
                for number, (name, source) in enumerate(part):
                    uri = source if is_uri(source) else f"{aside}{number}"
                    if not is_uri(source):
                        self._buckets.upload(Path(source), uri)
                    moves.append((name, uri))
                sizes = {name: self._buckets.size(uri) for name, uri in moves}
                came = self.ask(Job("get", folder, moves=tuple(moves)), guard).files
                yield from (file for file in came.values() if file.size_bytes == sizes[file.path])
        finally:
            self._drop(aside)

    def take(self, folder: str, files: Sequence[HostFile], to: Path, guard: Guard) -> None:
        aside = self._aside()
        try:
            for part in in_parts([file.path for file in files]):
                moves = tuple((path, f"{aside}{number}") for number, path in enumerate(part))
                self.ask(Job("give", folder, moves=moves), guard)
                for path, uri in moves:
                    with beside(to / path) as local:
                        self._buckets.download(uri, local)
        finally:
            self._drop(aside)

    def _aside(self) -> str:
        return f"s3://{self._bucket.bucket}/{self._bucket.prefix}files/{uuid.uuid4().hex}/"

    def _drop(self, aside: str) -> None:
        # What is left over costs a little; it must not hide why the files did not come.
        with suppress(HostUnavailable):
            self._buckets.delete(self._buckets.below(aside))

    def _carry_out(self, job: Job, guard: Guard, hearing: Hearing, seconds: float) -> _End:
        allowed = min(math.ceil(seconds) + _MARGIN_SECONDS, _LONGEST_SECONDS)
        command = self._send(job, allowed)
        try:
            end = self._wait(command, guard, allowed)
        except BaseException:
            # Cancelled, or not our work any more.
            with suppress(Exception):
                self._ssm.cancel_command(CommandId=command, InstanceIds=[self._instance])
            if job.verb == "run":
                # A cancelled command's processes may live on; nobody waits for this one to end them.
                with suppress(Exception):
                    self._send(Job("stop", job.folder, job.fence), _MARGIN_SECONDS)
            raise
        hearing.hear(self._output(command, end).splitlines())
        return end

    @property
    def _of_commands(self) -> str:
        return f"{self._bucket.prefix}commands"

    def _send(self, job: Job, allowed: int) -> str:
        """Send a job; the command's id."""
        with in_our_words(self._instance, "ssm:SendCommand"):
            answer = self._ssm.send_command(
                InstanceIds=[self._instance],
                DocumentName="AWS-RunPowerShellScript",
                Comment=f"strandline {job.verb} {' '.join(job.argv)}"[:_COMMENT].strip(),
                TimeoutSeconds=_DELIVERY_SECONDS,
                Parameters={"commands": powershell_script(job), "executionTimeout": [str(allowed)]},
                OutputS3BucketName=self._bucket.bucket,
                OutputS3KeyPrefix=self._of_commands,
            )
        return str(answer["Command"]["CommandId"])

    def _wait(self, command: str, guard: Guard, allowed: int) -> _End:
        began, pause = time.monotonic(), _FIRST_PAUSE
        waited = 0.0
        while True:
            guard.check()
            end = self._look(command, waited)
            if end is not None:
                return end
            if time.monotonic() - began > _DELIVERY_SECONDS + allowed + _MARGIN_SECONDS:
                raise HostUnavailable(f"Systems Manager does not say how command {command} on {self._instance} ended")
            self._pause(pause)
            waited += pause
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    def _look(self, command: str, waited: float) -> _End | None:
        try:
            with in_our_words(self._instance, "ssm:GetCommandInvocation"):
                found = self._ssm.get_command_invocation(CommandId=command, InstanceId=self._instance)
        except HostUnavailable as error:
            # So it answers for some moments after it took a command.
            if code_of(error) == "InvocationDoesNotExist" and waited <= _UNKNOWN_SECONDS:
                return None
            raise
        detail = str(found.get("StatusDetails", "")).replace(" ", "").replace("Canceled", "Cancelled")
        state = detail if detail in _ENDS else str(found["Status"])
        if state not in _ENDS:
            return None
        return _End(
            state,
            int(found.get("ResponseCode", -1)),
            str(found.get("StandardOutputContent", "")),
            str(found.get("StandardErrorContent", "")),
        )

    def _output(self, command: str, end: _End) -> str:
        """All that the command said: what Systems Manager has of it where that is all, else from the bucket."""
        if len(end.output) < _SHORT_OUTPUT:
            return end.output
        place = f"s3://{self._bucket.bucket}/{self._of_commands}/{command}/"
        for _ in range(10):
            found = [uri for uri in self._buckets.below(place) if uri.endswith("/stdout")]
            if found:
                return self._buckets.read(found[0]).decode("utf-8", "replace")
            self._pause(_FIRST_PAUSE)
        if end.state not in {"Success", "Failed"}:
            return end.output
        raise HostUnavailable(
            f"the output of command {command} is not below {place}. The role of the instance {self._instance} needs "
            "s3:PutObject there."
        )

    def _no_answer(self, job: Job, end: _End) -> Exception:
        what = f"Systems Manager could not {job.verb} on the CARIS host {self._instance}"
        said = f" ({end.error.strip()[:300]})" if end.error.strip() else ""
        if end.state == "AccessDenied":
            return HostNotReady(
                f"{what}: access denied{said}. Its role or the sender's lacks the right to run the document."
            )
        if end.state == "InvalidPlatform":
            return HostNotReady(
                f"{what}: it does not run Windows{said}. Set STRANDLINE_CARIS_HOST to the right instance."
            )
        if end.state == "Undeliverable":
            return HostUnavailable(
                f"{what}: its agent does not answer{said}. Is the instance running, and its agent online?"
            )
        if end.state == "DeliveryTimedOut":
            return HostUnavailable(f"{what}: its agent did not take the command within {_DELIVERY_SECONDS} s{said}.")
        if end.state == "Terminated":
            return HostUnavailable(f"{what}: the command was ended before it reached the host{said}.")
        if end.state == "Cancelled":
            return HostUnavailable(f"{what}: the command was cancelled in Systems Manager{said}.")
        if end.state in {"ExecutionTimedOut", "TimedOut"}:
            return HostUnavailable(f"{what} in its time{said}.")
        if end.code == -1:
            return HostUnavailable(f"{what}: PowerShell did not begin there{said}.")
        return HostUnavailable(
            f"{what}: PowerShell ended with {end.code} and without an answer{said}. On the host, powershell.exe (5.1) must "
            "run scripts of Systems Manager."
        )
