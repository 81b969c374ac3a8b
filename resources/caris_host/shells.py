"""How a job is put to a host: to a POSIX shell as a command line, to Windows PowerShell as data.

No value is ever a part of PowerShell's text: it gets JSON in base64, and hands a command line to Windows, not to a shell.
"""

from __future__ import annotations

import base64
import json
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from resources.caris_host.jobs import Job
from resources.caris_host.watch import over, silent

_HERE = Path(__file__).parent
RUNNER_SH = _HERE / "runner.sh"
RUNNER_PS1 = _HERE / "runner.ps1"


@dataclass(frozen=True)
class Asked:
    """A command line for the host's login shell, and what it reads on its standard input."""

    command: str
    standard_input: bytes = b""


class PosixShell:
    runner = RUNNER_SH
    separator = "/"

    def asks(self, runner: str, job: Job) -> Asked:
        """runner: where `runner.sh` is on the host."""
        words = ["sh", runner, job.verb, job.nonce, job.folder, str(job.fence), *job.argv, *job.names]
        if job.verb == "run":
            # A session of its own, so that one signal reaches all that it starts.
            words = ["setsid", "-w", *words]
        return Asked(shlex.join(words))

    def path_for_sftp(self, path: str) -> str:
        return path


class WindowsShell:
    runner = RUNNER_PS1
    separator = "\\"

    def asks(self, runner: str, job: Job) -> Asked:
        """runner: where `runner.ps1` is on the host: a path of the work folder's plain characters."""
        command = f"powershell.exe -NoProfile -NonInteractive -ExecutionPolicy Bypass -File {runner}"
        return Asked(command, encoded(job).encode() + b"\r\n")

    def path_for_sftp(self, path: str) -> str:
        # OpenSSH for Windows has drives as folders of the root.
        return "/" + path.replace("\\", "/")


Shell = PosixShell | WindowsShell


def encoded(job: Job) -> str:
    """A job as `runner.ps1` reads it."""
    content = {
        "verb": job.verb,
        "nonce": job.nonce,
        "folder": job.folder,
        "fence": job.fence,
        "program": job.argv[0] if job.argv else "",
        "arguments": windows_arguments(job.argv[1:]),
        "names": list(job.names),
        "moves": [list(move) for move in job.moves],
        "seconds": job.seconds,
        "quiet_seconds": job.quiet_seconds,
        "over": over(job.seconds),
        "silent": silent(job.quiet_seconds),
    }
    return base64.b64encode(json.dumps(content).encode()).decode("ascii")


def powershell_script(job: Job) -> list[str]:
    """The lines of a script that is the runner with its job, for a host that has no files of ours."""
    return ["& {", *RUNNER_PS1.read_text(encoding="ascii").splitlines(), f"}} '{encoded(job)}'"]


def windows_arguments(arguments: tuple[str, ...]) -> str:
    """A command line from which a program of Microsoft's C runtime reads these arguments again.

    The rules: https://learn.microsoft.com/cpp/c-language/parsing-c-command-line-arguments. Windows starts the program itself;
    no shell sees the line.
    """
    return subprocess.list2cmdline(arguments)
