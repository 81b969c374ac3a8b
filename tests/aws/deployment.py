"""The services of a deployment on AWS as processes, with the dagster.yaml and workspace.yaml that are deployed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg2

from resources.platform import Platform
from resources.settings import Settings
from tests.aws.cloud import CLUSTER, FAMILY, REGION, Cloud
from tests.crash.sessions import own_environment
from tests.landing import servers
from tests.log_lines import ROOT

AWS_FOLDER = ROOT / "deploy/aws"
PASSWORD = "planted-7c1b55"
"""The server takes any; it must show nowhere."""
_MORE_OFTEN = {
    # How often is looked, so that nobody waits for it. How long is waited until something is given up stays as deployed: no
    # time-out may depend on how busy this machine is.
    "poll_interval_seconds: 30": "poll_interval_seconds: 1",
    "dequeue_interval_seconds: 2": "dequeue_interval_seconds: 1",
    "upload_interval: 60": "upload_interval: 5",
}
_LONGEST_SECONDS = 240.0
"""What has not come by then never will: on a quiet machine nothing takes a tenth of it."""
_STOP_SECONDS = 30.0
"""Between SIGTERM and SIGKILL, as ECS has it where a service says nothing."""


class Deployment:
    """Code location and daemon, released with an image; the runs are tasks of the cloud.

    s3: a real S3 server, for the lake and for what runs print. postgresql: the folder of the server's socket.
    """

    def __init__(self, cloud: Cloud, folder: Path, postgresql: str, database: str, s3: str) -> None:
        self.cloud, self.folder = cloud, folder
        self.definition = ""
        self._database = database
        self._released: dict[str, str] = {}
        self._services: dict[str, subprocess.Popen[bytes]] = {}
        self._port = servers.free_ports(1)[0]
        self.home = folder / "dagster_home"
        self.home.mkdir()
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
            "STRANDLINE_LEASE_SECONDS": "300",
            "STRANDLINE_WORKERS": "1",
            # A file may wait for its test to let it go on.
            "STRANDLINE_FILE_TIMEOUT_SECONDS": "900",
            # Else each test would be beside an update of the aggregates after the one before.
            "STRANDLINE_AGGREGATE_QUIET_SECONDS": "3600",
            "STRANDLINE_AGGREGATE_DELAY_SECONDS": "3600",
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
        for usual, more_often in _MORE_OFTEN.items():
            assert config.count(usual) == 1, usual
            config = config.replace(usual, more_often)
        (self.home / "dagster.yaml").write_text(config)

    def release(self, image: str, module: str = "tests.toy_definitions", **settings: str) -> None:
        """Register the image's task definition, then let new services take the place of the old ones: runs that are under
        way are nobody's concern here. settings: what is other than usual."""
        self._released = {**self.environment, **settings}
        self.definition = self.cloud.register(image, self._released, self._secrets)
        self.stop_services()
        code = ["dagster", "api", "grpc", "-m", module, "-h", "127.0.0.1", "-p", str(self._port)]
        self._start("code", code)
        try:
            self.wait(self._answers, "the code location answers")
        except AssertionError as error:
            error.add_note(self.says())  # no test has begun that could tell it
            raise
        self._start("daemon", ["dagster-daemon", "run", "-w", str(self.folder / "workspace.yaml")])

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
        except OSError:
            assert self._services["code"].poll() is None, "the code location has ended"
            return False
        return True

    def _start(self, name: str, command: list[str]) -> None:
        mine = {name: value for name, value in own_environment().items() if not name.startswith("AWS_")}
        environment = {
            **mine, **self._released, **self._secret_values,
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
                process.wait(timeout=_STOP_SECONDS)
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

    def set_back_start(self, run_id: str, by: timedelta) -> None:
        """Let a run's start be so much longer ago to Dagster, so that nobody waits until it has taken too long."""
        connection = psycopg2.connect(
            host=self.environment["PGHOST"], user="postgres", password=PASSWORD, dbname=self._database
        )
        with connection, connection.cursor() as cursor:
            cursor.execute(
                "UPDATE event_logs SET timestamp = timestamp - %s WHERE run_id = %s AND dagster_event_type = 'PIPELINE_STARTING'",
                (by, run_id),
            )
            assert cursor.rowcount == 1, f"run {run_id} has {cursor.rowcount} events of its start"
        connection.close()

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        """What a condition gives as soon as that is something."""
        deadline = time.monotonic() + _LONGEST_SECONDS
        while not (found := condition()):
            if self.cloud.agent.failed is not None:
                raise self.cloud.agent.failed
            assert time.monotonic() < deadline, f"waited for {_LONGEST_SECONDS:g} s: {what}"
            time.sleep(0.2)
        return found

    def says(self) -> str:
        """What to look at when something did not happen: the tasks, and the last words of services and tasks."""
        tasks = self.cloud.agent.ran
        parts = ["tasks so far:", *(one.state() for one in tasks)]
        parts += [f"--- {name}\n{_end_of(self.folder / f'{name}.log')}" for name in ("code", "daemon")]
        parts += [f"--- task {one.state()}\n{one.says()}" for one in tasks[-4:]]
        return "\n".join(parts)


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-8000:] if log.exists() else "(nothing)"


def _end_session(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
