"""The other end of `tests.crash.warm`."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.crash.sessions import end_session, own_environment


class Warm:
    """A process that starts `strandline` commands without the time to import them. module: says how they die."""

    def __init__(self, module: str = "tests.crash.die_at") -> None:
        self._module = module

    def __enter__(self) -> Warm:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.warm", self._module],
            cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=own_environment(),
            start_new_session=True,
        )  # fmt: skip
        assert self._process.stdout
        assert self._process.stdout.readline() == "ready\n"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        try:
            self._process.wait(10)
        finally:
            end_session(self._process.pid)

    def start(self, point: str, arguments: list[str], environment: dict[str, str], log: Path) -> Started:
        command = {"point": point, "arguments": arguments, "environment": environment, "log": str(log)}
        return Started(self, self.ask({"start": command}))

    def ask(self, request: dict[str, Any]) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@dataclass
class Started:
    """A started command; its process id is its session's too."""

    warm: Warm
    pid: int
    _code: int | None = None

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        if self._code is None:
            self._code = self.warm.ask({"poll": self.pid})
        return self._code
