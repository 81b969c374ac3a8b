"""The image's folder without an image: the wheel in an environment of its own, the files of /app, and the roles started and
asked by the commands of `deploy/roles.py`."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from deploy.roles import APP, DAGSTER_HOME, ROLES, WORKSPACE, Role
from tests.checkout import ROOT

COMMANDS = ("dagster", "dagster-webserver", "dagster-daemon", "strandline")
START_SECONDS = 90.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(is_so: Callable[[], bool], what: str, seconds: float = START_SECONDS, every: float = 0.3) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(every)


class Forwarder:
    """One address in front of whatever port is chosen, as service discovery is; connections that are open stay."""

    def __init__(self) -> None:
        self.target: int | None = None
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                inner, _ = self._listening.accept()
            except OSError:
                return
            try:
                assert self.target is not None
                outer = socket.create_connection(("127.0.0.1", self.target))
            except (OSError, AssertionError):
                inner.close()
                continue
            for one, other in ((inner, outer), (outer, inner)):
                threading.Thread(target=_pass_on, args=(one, other), daemon=True).start()

    def close(self) -> None:
        self._listening.close()


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(65_536):
            other.sendall(data)
    for end in (one, other):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


class Image:
    """What the Dockerfile makes, in a folder: `app` for /app, and an environment with the wheel in it.

    The libraries are those of the environment that the tests run in, which is not on the path itself: of the platform
    there is only what the wheel holds.
    """

    def __init__(self, folder: Path) -> None:
        self.app = folder / "app"
        self.bin = folder / "venv" / "bin"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
        site = next((folder / "venv" / "lib").glob("python3*/site-packages"))
        libraries = next(Path(one) for one in sys.path if one.endswith("site-packages"))
        (site / "libraries.pth").write_text(f"{libraries}\n")
        build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder / "dist")]
        subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
        (wheel,) = (folder / "dist").glob("*.whl")
        shutil.unpack_archive(wheel, site, "zip")
        for name in COMMANDS:
            script = (Path(sys.executable).parent / name).read_text().split("\n", 1)[1]
            (self.bin / name).write_text(f"#!{self.bin / 'python'}\n{script}")
            (self.bin / name).chmod(0o755)
        for name in ("__init__.py", "roles.py", "healthy.py", "reload.py", "golden.py", "regression.py"):
            (self.app / "deploy").mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / "deploy" / name, self.app / "deploy" / name)
        self.dagster_home = Path(self._here(DAGSTER_HOME))
        self.dagster_home.mkdir(parents=True)
        self.workspace = Path(self._here(WORKSPACE))
        self.environment = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("STRANDLINE_", "DAGSTER_", "PYTHON"))
            },
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "DAGSTER_HOME": str(self.dagster_home),
            "DAGSTER_DISABLE_TELEMETRY": "1",
            "STRANDLINE_HOME": str(self.app / "home"),
        }

    def _here(self, text: str) -> str:
        return text.replace(APP, str(self.app), 1) if text.startswith(APP) else text

    def command(self, command: Sequence[str], role: Role, port: int | None) -> list[str]:
        """A command of a role as it is here: other folders, another port."""
        changed = [str(port) if port and one == str(role.port) else self._here(one) for one in command]
        # Nobody outside of this machine is to reach it.
        return ["127.0.0.1" if one == "0.0.0.0" else one for one in changed]

    def start(self, name: str, port: int | None = None, **environment: str) -> Running:
        role = ROLES[name]
        own = {
            key: {"0.0.0.0": "127.0.0.1", str(role.port): str(port)}.get(value, value)
            for key, value in role.environment.items()
        }
        return Running(self, role, port, {**self.environment, **own, **environment})


class Running:
    """A role's process."""

    def __init__(
        self, image: Image, role: Role, port: int | None, environment: Mapping[str, str], command: Sequence[str] = ()
    ) -> None:
        self.image, self.role, self.port, self.environment = image, role, port, dict(environment)
        self.log = image.app.parent / f"{role.name}-{port}-{time.monotonic_ns()}.log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                image.command(command or role.command, role, port), cwd=image.app, env=self.environment,
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def health(self) -> int:
        """The exit code of the health check."""
        assert self.role.health is not None
        command = self.image.command(self.role.health, self.role, self.port)
        return subprocess.run(
            command, cwd=self.image.app, env=self.environment, capture_output=True, check=False
        ).returncode

    def wait_until_healthy(self) -> None:
        def is_healthy() -> bool:
            assert self.process.poll() is None, f"{self.role.name} ended:\n{self.log.read_text()[-3000:]}"
            return self.health() == 0

        wait_until(is_healthy, f"{self.role.name} healthy; its log: {self.log}", every=1.0)

    def stop(self, seconds: float = 40.0) -> int:
        """SIGTERM, as ECS sends it; the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        return self.process.returncode


def graphql(port: int, query: str, **variables: Any) -> dict[str, Any]:
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/graphql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        answer = json.load(response)
    assert "errors" not in answer, answer
    return dict(answer["data"])
