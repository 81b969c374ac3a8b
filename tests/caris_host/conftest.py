"""The same host, reached in four ways: as this machine, over SSH with a POSIX shell, over SSH and by Systems Manager as Windows."""

from __future__ import annotations

import itertools
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from resources.caris_host.buckets import Buckets
from resources.caris_host.config import Ssh, Ssm
from resources.caris_host.host import WorkFolder
from resources.caris_host.local import LocalTransport
from resources.caris_host.shells import PosixShell, WindowsShell
from resources.caris_host.ssh import SshTransport
from resources.caris_host.ssm import SsmTransport
from resources.caris_host.watch import Guard
from resources.landing import s3_client
from resources.settings import S3Address
from tests.caris_host.ssh_server import SshServer
from tests.caris_host.ssm_server import INSTANCE, SsmServer

BUCKET = S3Address("surveys", "by-way/")

PROGRAM = """#!/bin/sh
case $1 in
--version) echo "carisbatch 11.4" ;;
--run) [ -f "$7" ] || { echo "Error: no licence" >&2; exit 1; }; cp "$7" "$8" ;;
args) shift; for one; do printf '[%s]\\n' "$one"; done ;;
both) echo one; echo two >&2; echo three ;;
exit) echo "it ends"; exit "$2" ;;
split) printf 'Converted L'; sleep 0.2; printf 'ine: a'; sleep 0.1; printf '\\r\\nlast' ;;
write) echo "$3" >"$2" ;;
many) i=0; while [ $i -lt "$2" ]; do echo "Warning: line $i has no GPS height data, it is left as it was"; i=$((i + 1)); done ;;
silent) echo begun; while :; do echo x >>ticks; sleep 0.02; done ;;
tick) while :; do echo x >>ticks; echo tick; sleep 0.02; done ;;
child) (while :; do echo x >>ticks; sleep 0.02; done) & while [ ! -s ticks ]; do sleep 0.01; done; echo begun ;;
esac
"""


def free(fence: int = 1) -> Guard:
    """A right to work that nobody disputes."""
    return Guard(fence, lambda: None, lambda: None)


@dataclass(frozen=True)
class Way:
    """transport: the way to the host. program: carisbatch as the host calls it. surveys: the work folders, as files here."""

    name: str
    transport: Any
    program: str
    surveys: Path
    server: Any = None

    def folder(self, guard: Guard | None = None, name: str = "survey-7") -> AbstractContextManager[WorkFolder]:
        opened: AbstractContextManager[WorkFolder] = self.transport.folder(name, guard or free())
        return opened


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    with pytest.MonkeyPatch.context() as monkeypatch:
        # Else it reads descriptions of some hundred images first.
        monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
        server.stop()


@pytest.fixture(scope="module")
def aws(moto: str) -> Iterator[str]:
    """An AWS of one's own, asked as a user would have it; with a bucket."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        for name, value in {
            "ACCESS_KEY_ID": "someone", "SECRET_ACCESS_KEY": "secret", "DEFAULT_REGION": "eu-central-1",
            "EC2_METADATA_DISABLED": "true", "ENDPOINT_URL": moto,
        }.items():  # fmt: skip
            monkeypatch.setenv(f"AWS_{name}", value)
        s3_client._clients.clear()
        client = s3_client.s3_client(moto)
        client.create_bucket(Bucket=BUCKET.bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        yield moto
        for entry in client.list_objects_v2(Bucket=BUCKET.bucket).get("Contents", []):
            client.delete_object(Bucket=BUCKET.bucket, Key=entry["Key"])
        client.delete_bucket(Bucket=BUCKET.bucket)
    s3_client._clients.clear()


def install(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(PROGRAM)
    path.chmod(0o755)
    return path


@pytest.fixture
def buckets(aws: str) -> Buckets:
    return Buckets(aws)


@pytest.fixture(scope="session")
def ssh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with SshServer(tmp_path_factory.mktemp("ssh")) as server:
        yield server


@pytest.fixture(params=["local", "ssh", "ssh-windows", "ssm"])
def way(request: pytest.FixtureRequest, tmp_path: Path, moto: str) -> Iterator[Way]:
    buckets = Buckets(moto)
    if request.param == "ssm":
        client = request.getfixturevalue("buckets").client
        with SsmServer(tmp_path / "windows", client) as server:
            yield ssm_way(server, buckets)
    elif request.param == "local":
        program = str(install(tmp_path / "carisbatch"))
        yield Way(request.param, LocalTransport(tmp_path / "work", buckets), program, tmp_path / "work")
    else:
        yield ssh_way(request.getfixturevalue("ssh_server"), tmp_path, request.param == "ssh-windows", buckets)


def ssm_way(server: SsmServer, buckets: Buckets) -> Way:
    import boto3

    install(server.windows.root / "D:/carisbatch")
    client = boto3.client("ssm", endpoint_url=server.endpoint, region_name="eu-central-1")
    transport = SsmTransport(
        Ssm(INSTANCE), "D:\\work", BUCKET, buckets, patience=5, pause=lambda _: time.sleep(0.02), client=client
    )
    return Way("ssm", transport, "D:\\carisbatch", server.windows.root / "D:/work", server)


def ssh_way(server: SshServer, folder: Path, is_windows: bool, buckets: Buckets) -> Way:
    if is_windows:
        install(server.root / "D:/carisbatch")
        work = f"work-{uuid.uuid4().hex}"
        transport = _ssh("windows", server, f"D:\\{work}", WindowsShell(), buckets)
        return Way("ssh-windows", transport, "D:\\carisbatch", server.root / "D:" / work, server)
    program, surveys = install(folder / "carisbatch"), folder / "work"
    return Way("ssh", _ssh("surveyor", server, str(surveys), PosixShell(), buckets), str(program), surveys, server)


def _ssh(user: str, server: SshServer, root: str, shell: Any, buckets: Buckets) -> SshTransport:
    return SshTransport(Ssh(user, "127.0.0.1", server.port), root, shell, server.key, server.known_hosts, 0, buckets)


def stands_still(ticks: Path) -> bool:
    """Whether nothing writes to a file any more. Looked at until it does; a process that lives writes fifty times a second."""
    sizes: list[int] = []
    for _ in itertools.repeat(None, 100):
        sizes.append(ticks.stat().st_size)
        if len(sizes) >= 6 and len(set(sizes[-6:])) == 1:
            return True
        time.sleep(0.05)
    return False


def grows(ticks: Path) -> bool:
    """Whether something still writes to a file; half a minute at most."""
    before = ticks.stat().st_size
    for _ in range(1500):
        if ticks.stat().st_size > before:
            return True
        time.sleep(0.02)
    return False


def wait_for(path: Path) -> None:
    """Until there is something in a file; half a minute at most."""
    for _ in range(1500):
        if path.exists() and path.stat().st_size:
            return
        time.sleep(0.02)
    raise AssertionError(f"nothing came to {path}")


def lost_once(path: Path, error: BaseException) -> Callable[[], None]:
    """A check that fails as soon as a file is there."""

    def check() -> None:
        if path.exists():
            raise error

    return check
