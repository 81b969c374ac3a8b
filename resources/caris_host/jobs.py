"""What a host is asked to do, and what it answers: the contract of `runner.sh` and `runner.ps1`."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from resources.caris_host.host import Finished, HostFile, HostNotReady, HostUnavailable
from resources.caris_host.paths import checked
from resources.ledger.leases import LeaseLost

_FILE = re.compile(r"file ([0-9a-f]{64}) (\d+) (.+)")
_ENDED = re.compile(r"ended (-?\d+|-) ?(.*)")
_SHOWN = 300


@dataclass(frozen=True)
class Job:
    """One thing to do in a work folder.

    verb: begin, run, stop, list, remove; get and give (files from and to a bucket) only of a Windows host under SSM.
    nonce: what answers begin with, so that no output of a command is taken for one. moves: of get and give, pairs of
    a relative path and an s3:// URI.
    """

    verb: str
    folder: str
    fence: int = 0
    argv: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    moves: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0
    quiet_seconds: float = 0.0
    nonce: str = field(default_factory=lambda: uuid.uuid4().hex)


class Hearing:
    """Takes a job's lines: hands on what a command says, keeps what the runner answers.

    where: the host, as messages name it.
    """

    def __init__(self, job: Job, where: str, say: Callable[[str], None] = lambda line: None) -> None:
        self._job = job
        self._where = where
        self._say = say
        self.lines: list[str] = []
        self.files: dict[str, HostFile] = {}
        self.is_done = False
        self.ended: tuple[int | None, str | None] | None = None

    def hear(self, lines: Sequence[str]) -> None:
        """Raises LeaseLost or HostNotReady where the runner refused the job."""
        for line in lines:
            if line.startswith(f"{self._job.nonce} "):
                self._answer(line.removeprefix(f"{self._job.nonce} "))
            else:
                self.lines.append(line)
                self._say(line)

    def _answer(self, answer: str) -> None:
        if answer == "done":
            self.is_done = True
        elif answer.startswith("refused"):
            raise self._refused(answer)
        elif found := _FILE.fullmatch(answer):
            path = checked(found[3])
            self.files[path] = HostFile(path, int(found[2]), found[1])
        elif found := _ENDED.fullmatch(answer):
            self.ended = (None if found[1] == "-" else int(found[1]), found[2] or None)

    def _refused(self, answer: str) -> Exception:
        _, kind, *why = answer.split(" ", 2)
        if kind == "fence":
            return LeaseLost(f"a later run works in {self._job.folder} on {self._where}")
        if kind == "program":
            return HostNotReady(
                f"there is no program {self._job.argv[0]} on {self._where}. Set STRANDLINE_CARIS_PROGRAM to "
                "carisbatch with its whole path there."
            )
        return HostUnavailable(f"{self._where} did not {self._job.verb} {self._job.folder}: {' '.join(why) or kind}")

    def expect_done(self) -> None:
        """Raises HostNotReady unless the runner said that it did all of the job."""
        if not self.is_done:
            raise HostNotReady(
                f"{self._where} did not {self._job.verb} the work folder {self._job.folder}: {self.excerpt()}. Correct "
                "what it complains of, or set STRANDLINE_CARIS_WORK_FOLDER to a folder that its user can write to."
            )

    def excerpt(self) -> str:
        """The last of what was said, for a message."""
        return " / ".join(line for line in self.lines[-5:] if line.strip())[-_SHOWN:] or "it said nothing"

    def finished(self, code: int | None, seconds: float, stopped: str | None) -> Finished:
        """The command's end, as the runner told it or, where it told nothing, as the way to it did."""
        if self.ended is not None and stopped is None:
            code, stopped = self.ended
        if stopped is None and code is not None and code < 0:
            stopped = f"killed by signal {-code}"
        return Finished(None if stopped else code, tuple(self.lines), seconds, stopped)
