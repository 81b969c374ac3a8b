"""The services of a deployment on AWS as processes, with the dagster.yaml and workspace.yaml that are deployed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from dagster import DagsterInstance, DagsterRun, RunsFilter

from resources.platform import Platform
from resources.settings import Settings
from tests.aws.cloud import CLUSTER, FAMILY, REGION, Cloud
from tests.crash.sessions import own_environment
from tests.landing import servers
from tests.log_lines import ROOT

AWS_FOLDER = ROOT / "deploy/aws"
PASSWORD = "planted-7c1b55"
"""The server takes any; it must show nowhere."""
_SHORTER = {
    # So that what takes a quarter of an hour on AWS can be waited for.
    "poll_interval_seconds: 30": "poll_interval_seconds: 2",
    "dequeue_interval_seconds: 2": "dequeue_interval_seconds: 1",
    "upload_interval: 60": "upload_interval: 5",
}
_START_SECONDS = 25
_QUIET_START_SECONDS = 8.0


class Deployment:
    """Code location and daemon, released with an image; the runs are tasks of the cloud.

    s3: a real S3 server, for the lake and for what runs print. postgresql: the folder of the server's socket.
    """

    def __init__(self, cloud: Cloud, folder: Path, postgresql: str, database: str, s3: str) -> None:
        self.cloud, self.folder = cloud, folder
        self.definition = ""
        self._services: dict[str, subprocess.Popen[bytes]] = {}
        self._port = servers.free_ports(1)[0]
        self.home = folder / "dagster_home"
        self.home.mkdir()
        self.patience = 1.0
        """how much slower than a quiet machine this one is, by the time that its code location took to start"""
        self._configure()
        workspace = (AWS_FOLDER / "workspace.yaml").read_text()
        (folder / "workspace.yaml").write_text(workspace.replace("port: 4000", f"port: {self._port}"))
        self.environment = {
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": servers.ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": servers.SECRET_KEY,
            "AWS_ENDPOINT_URL": cloud.endpoint,
            "DAGSTER_PG_HOST": "",
            "PGHOST": postgresql,
            "DAGSTER_PG_PORT": "5432",
            "DAGSTER_PG_DB": database,
            "DAGSTER_PG_USER": "postgres",
            "AWS_ENDPOINT_URL_S3": s3,
            "DAGSTER_LOG_BUCKET": "logs",
            "DAGSTER_DISABLE_TELEMETRY": "1",
            "DAGSTER_RUN_CLUSTER": CLUSTER,
            "DAGSTER_RUN_SUBNETS": ",".join(cloud.subnets),
            "DAGSTER_RUN_SECURITY_GROUPS": cloud.security_group,
            "DAGSTER_RUN_PUBLIC_ADDRESS": "DISABLED",
            "DAGSTER_RUN_TASK_DEFINITION": FAMILY,
            "STRANDLINE_MAX_RUNS": "4",
            "STRANDLINE_NAMESPACE": "default",
            "STRANDLINE_HOME": str(folder / "home"),
            "STRANDLINE_LANDING": f"s3://{cloud.landing}",
            "STRANDLINE_LANDING_READ_ONLY": "1",
            "STRANDLINE_S3_ENDPOINT": cloud.endpoint,
            "STRANDLINE_QUEUE_URL": cloud.queue_url,
            "STRANDLINE_LISTING_INTERVAL_SECONDS": "900",
            "STRANDLINE_RUNS_ON": "ecs",
            "STRANDLINE_WORKERS": "1",
            "STRANDLINE_LOG_FORMAT": "text",
            "STRANDLINE_LAKE": "s3://lake/tables",
        }
        for bucket in ("lake", "logs"):
            servers.client(s3).create_bucket(Bucket=bucket)
        self._secret_values = {
            "DAGSTER_PG_PASSWORD": PASSWORD,
            "STRANDLINE_LEDGER_URL": f"postgresql://postgres:{PASSWORD}@/{database}?host={postgresql}",
        }
        self._secrets = {name: cloud.keep_secret(name, value) for name, value in self._secret_values.items()}

    def _configure(self) -> None:
        config = (AWS_FOLDER / "dagster.yaml").read_text()
        start = f"start_timeout_seconds: {int(_START_SECONDS * self.patience)}"
        for usual, shorter in {**_SHORTER, "start_timeout_seconds: 900": start}.items():
            assert config.count(usual) == 1, usual
            config = config.replace(usual, shorter)
        (self.home / "dagster.yaml").write_text(config)

    def release(self, image: str, module: str = "tests.toy_definitions") -> None:
        """Register the image's task definition, then let new services take the place of the old ones: runs that are under
        way are nobody's concern here."""
        self.definition = self.cloud.register(image, self.environment, self._secrets)
        self.stop_services()
        code = ["dagster", "api", "grpc", "-m", module, "-h", "127.0.0.1", "-p", str(self._port)]
        begun = time.monotonic()
        self._start("code", code)
        self.wait(self._answers, 300, "the code location answers")
        self.patience = max(1.0, (time.monotonic() - begun) / _QUIET_START_SECONDS)
        self._configure()
        self._start("daemon", ["dagster-daemon", "run", "-w", str(self.folder / "workspace.yaml")])

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
        except OSError:
            assert self._services["code"].poll() is None, _end_of(self.folder / "code.log")
            return False
        return True

    def _start(self, name: str, command: list[str]) -> None:
        mine = {name: value for name, value in own_environment().items() if not name.startswith("AWS_")}
        environment = {
            **mine, **self.environment, **self._secret_values,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "DAGSTER_HOME": str(self.home),
            "DAGSTER_CODE_HOST": "127.0.0.1",
            "DAGSTER_RUN_TASK_DEFINITION": self.definition,
        }  # fmt: skip
        with (self.folder / f"{name}.log").open("ab") as log:
            self._services[name] = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def stop_services(self) -> None:
        for process in self._services.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._services.values():
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                pass
            finally:
                _end_session(process)
        self._services.clear()

    def platform(self) -> Platform:
        """As an engineer's shell in the same network has it, who reads."""
        names = {**self.environment, **self._secret_values}
        fields = {
            name.removeprefix("STRANDLINE_").lower(): value
            for name, value in names.items()
            if name.startswith("STRANDLINE_")
        }
        return Platform(Settings.model_validate(fields))

    def runs(self, instance: DagsterInstance, **tags: str) -> list[DagsterRun]:
        """Newest first."""
        return list(instance.get_runs(RunsFilter(job_name="toy_ingest", tags=tags)))

    def wait(self, condition: Any, seconds: float, what: str) -> Any:
        """What a condition gives as soon as that is something. Fails with what the services said last."""
        deadline = time.monotonic() + seconds * self.patience
        while not (found := condition()):
            if self.cloud.agent.failed is not None:
                raise self.cloud.agent.failed
            if time.monotonic() > deadline:
                said = [f"--- {name}\n{_end_of(self.folder / f'{name}.log')}" for name in ("code", "daemon")]
                said += [f"--- task {one.arn}\n{one.says()}" for one in self.cloud.agent.ran[-2:]]
                raise AssertionError(f"not within {seconds:g} s: {what}\n" + "\n".join(said))
            time.sleep(0.2)
        return found


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-4000:] if log.exists() else "(nothing)"


def _end_session(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
