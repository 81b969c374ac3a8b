"""A `strandline dev` of a test's own: started in a session of its own, asked over HTTP, ended with all it started."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

from resources.platform import Platform
from resources.settings import Settings
from tests.crash.sessions import assert_session_ends, end_session, own_environment, processes_of, wait_until

ROOT = Path(__file__).parents[2]
HOST = "127.0.0.1"
START_SECONDS = 90.0
STOP_SECONDS = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


class DevServer:
    """Leaving it kills whatever of it is left; `interrupt` first is how a person ends it."""

    def __init__(self, home: Path, *, with_api: bool = False, **settings: str) -> None:
        self.home = home
        self._options = () if with_api else ("--no-api",)
        self.address = f"http://{HOST}:{free_port()}"
        self.log = home.parent / "dev.log"
        self.environment = {
            **own_environment(), "STRANDLINE_HOME": str(home), "STRANDLINE_SETTLE_SECONDS": "0.2", **settings,
        }  # fmt: skip
        self.platform = Platform(Settings(home=home))

    def __enter__(self) -> DevServer:
        port = self.address.rpartition(":")[2]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cli.main", "dev", "-p", port, "-h", HOST, *self._options],
                cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        try:
            wait_until(self._answers, START_SECONDS, f"the UI answers; see {self.log}")
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        end_session(self.process.pid)
        self.process.wait(10)
        self.platform.close()

    def interrupt(self) -> None:
        """Ctrl-C. Fails unless everything of the session is gone soon."""
        os.kill(self.process.pid, signal.SIGINT)
        assert_session_ends(self.process.pid, STOP_SECONDS)

    def _answers(self) -> bool:
        assert self.process.poll() is None, f"`strandline dev` ended: {self.log.read_text()[-2000:]}"
        try:
            with urllib.request.urlopen(f"{self.address}/server_info", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def strandline(self, *arguments: str) -> str:
        """Run a command on the same home, as from another terminal; what it prints."""
        done = subprocess.run(
            [sys.executable, "-m", "cli.main", *arguments],
            cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def graphql(self, query: str, **variables: Any) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.address}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            content = json.load(answer)
        assert "errors" not in content, content["errors"]
        return content["data"]

    def readers(self) -> dict[int, str]:
        """The processes of fork servers: the servers themselves and the readers."""
        return {pid: command for pid, command in processes_of(self.process.pid).items() if "forkserver" in command}
