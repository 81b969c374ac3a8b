"""What ECS is to a task, on this machine: starts the command of each task that moto has taken as a process, and tells moto
what became of it.

moto keeps tasks and runs none. A task's exit code, its stop code and the time of its start are therefore this agent's word
and not AWS's.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from tests.crash.sessions import own_environment
from tests.local_server import serving
from tests.log_lines import ROOT

_LOOK_EVERY_SECONDS = 0.1
_GRACE_SECONDS = 120.0
"""Between SIGTERM and SIGKILL, as the run's task definition has it."""
_HOST_NAMES = """
import os, socket
name = os.environ.get("EMULATED_HOST_NAME")
if name:
    socket.gethostname = lambda: name
"""


@dataclass
class Ran:
    """A task and its process."""

    task: Any
    """moto's"""
    image: str
    process: subprocess.Popen[bytes] | None
    """None while the task does not start"""
    log: Path
    begun: float = field(default_factory=time.monotonic)
    asked_to_stop: float | None = None

    @property
    def arn(self) -> str:
        return str(self.task.task_arn)

    @property
    def definition(self) -> str:
        return str(self.task.task_definition_arn)

    @property
    def container(self) -> dict[str, Any]:
        found: dict[str, Any] = self.task.overrides["containerOverrides"][0]
        return found

    @property
    def exit_code(self) -> int | None:
        """None while it runs, and of a task that never started."""
        return None if self.process is None else self.process.poll()

    def says(self) -> str:
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else "(nothing)"

    def state(self) -> str:
        """In a line, as ECS tells it."""
        tags = {one["key"]: one["value"] for one in self.task.tags}
        return (
            f"{self.arn.rpartition('/')[2]} {tags.get('dagster/job_name')} of run {tags.get('dagster/run_id')} on {self.image[-8:]} "
            f"{self.task.capacity_provider_name}: {self.task.status}, wanted {self.task.desired_status}, exit code {self.exit_code}, "
            f"{self.task.stopped_reason or 'no reason given'}"
        )


class Agent:
    """Runs the tasks of one cluster until it is stopped. backend: moto's of ECS. secret: the value of a secret by its ARN."""

    def __init__(self, backend: Any, cluster: str, folder: Path, secret: Any) -> None:
        self.ran: list[Ran] = []
        self.never_start = 0
        """so many of the next tasks of batches stay as if no machine were found for them"""
        self.failed: Exception | None = None
        self._backend, self._cluster, self._folder, self._secret = backend, cluster, folder, secret
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="ecs-agent", daemon=True)
        (folder / "sitecustomize.py").write_text(_HOST_NAMES)
        self._metadata = ""

    @contextmanager
    def at_work(self) -> Iterator[Agent]:
        with self._metadata_server() as self._metadata:
            self._thread.start()
            try:
                yield self
            finally:
                self._stopped.set()
                self._thread.join()
                for one in self.ran:
                    if one.process is not None and one.process.poll() is None:
                        _signal(one.process, signal.SIGKILL)
                        one.process.wait()

    def kill(self, ran: Ran, stop_code: str, reason: str) -> None:
        """End a task as the loss of its machine does: at once, all of it."""
        assert ran.process is not None, f"it never started: {ran.state()}"
        assert ran.exit_code is None, f"it has ended by itself: {ran.state()}"
        ran.task.stop_code, ran.task.stopped_reason = stop_code, reason
        _signal(ran.process, signal.SIGKILL)

    def interrupt(self, ran: Ran) -> None:
        """Tell a task to stop, as Spot does two minutes ahead."""
        assert ran.process is not None, f"it never started: {ran.state()}"
        assert ran.exit_code is None, f"it has ended by itself: {ran.state()}"
        ran.task.stop_code = "SpotInterruption"
        ran.task.stopped_reason = "Your Spot Task was interrupted."
        _signal(ran.process, signal.SIGTERM)

    def _watch(self) -> None:
        try:
            self._look_until_stopped()
        except Exception as error:  # a test that waits for a task is to know that none will come
            self.failed = error

    def _look_until_stopped(self) -> None:
        while not self._stopped.wait(_LOOK_EVERY_SECONDS):
            known = {one.arn for one in self.ran}
            for task in list(self._backend.tasks.get(self._cluster, {}).values()):
                if task.task_arn not in known:
                    self.ran.append(self._take(task))
            for one in self.ran:
                self._look_at(one)

    def _take(self, task: Any) -> Ran:
        definition = self._backend.describe_task_definition(task.task_definition_arn)
        container = definition.container_definitions[0]
        log = self._folder / f"{task.id}.log"
        if self.never_start > 0 and {"key": "dagster/job_name", "value": "toy_ingest"} in task.tags:
            self.never_start -= 1
            task.status = "PROVISIONING"
            return Ran(task, container["image"], None, log)
        task.status = "RUNNING"
        override = task.overrides["containerOverrides"][0]
        with log.open("wb") as output:
            process = subprocess.Popen(
                override["command"], cwd=ROOT, env=self._environment(task, container, override), stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        return Ran(task, container["image"], process, log)

    def _environment(self, task: Any, container: Any, override: Any) -> dict[str, str]:
        """Nothing of this process's but where programs are found: what a task knows it has from its definition."""
        names = ("HOME", "LANG", "TMPDIR", "PYTHONPYCACHEPREFIX")
        mine = own_environment()
        given = {one["name"]: one["value"] for one in [*container["environment"], *override.get("environment", [])]}
        secrets = {one["name"]: self._secret(one["valueFrom"]) for one in container.get("secrets", [])}
        return {
            **{name: mine[name] for name in names if name in mine},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "EMULATED_HOST_NAME": f"ip-{task.id[:8]}",
            "ECS_CONTAINER_METADATA_URI_V4": f"{self._metadata}/{self._cluster}/{task.id}",
            **given,
            **secrets,
            "PYTHONPATH": str(self._folder),
        }

    def _look_at(self, one: Ran) -> None:
        if one.process is None:
            if one.task.desired_status == "STOPPED":
                one.task.containers[0].exitCode = None
            return
        code = one.process.poll()
        if code is None:
            self._stop_if_asked(one)
            return
        container = one.task.containers[0]
        if container.last_status != "STOPPED":
            _signal(one.process, signal.SIGKILL)  # with its first process all of a container ends
            container.exitCode = 128 - code if code < 0 else code
            container.last_status = "STOPPED"
            if not one.task.stopped_reason:
                one.task.stop_code, one.task.stopped_reason = (
                    "EssentialContainerExited",
                    "Essential container in task exited",
                )
            one.task.desired_status = one.task.status = "STOPPED"

    def _stop_if_asked(self, one: Ran) -> None:
        assert one.process is not None
        if one.task.desired_status != "STOPPED":
            return
        if one.asked_to_stop is None:
            one.asked_to_stop = time.monotonic()
            one.task.stop_code = "UserInitiated"
            _signal(one.process, signal.SIGTERM)
        elif time.monotonic() - one.asked_to_stop > _GRACE_SECONDS:
            _signal(one.process, signal.SIGKILL)

    @contextmanager
    def _metadata_server(self) -> Iterator[str]:
        """What a container asks to know its own task (task metadata endpoint, version 4)."""
        backend = self._backend

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                cluster, task_id, *_ = self.path.strip("/").split("/")
                task = next(one for one in backend.tasks[cluster].values() if one.id == task_id)
                body = json.dumps({"Cluster": task.cluster_arn, "TaskARN": task.task_arn, "Name": "run"}).encode()
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        with serving(Handler) as url:
            yield url


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """To the process alone when it is asked, to its whole session when it is ended, as a container is."""
    try:
        if number == signal.SIGKILL:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
    except ProcessLookupError:
        pass
