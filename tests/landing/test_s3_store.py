"""What is particular to buckets: odd keys, pinned and interrupted reads, and a store that is at fault."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from resources.errors import UserError
from resources.landing import s3, s3_client
from resources.landing.s3 import S3Store
from resources.landing.spool import new_spool_file
from resources.landing.store import BadKey, FileArchived, FileChanged, FileGone, Skipped, StoreError
from resources.ledger.arrivals import Look
from resources.settings import S3Address
from tests.landing import servers
from tests.landing.conftest import Bucket

KEYS = [
    "toy/with space and  two",
    "toy/é漢字😀",
    "toy/a%2Fb",
    "toy/a/b",
    "toy/plus+and%20",
    "toy/quote'\"`<>&",
    "toy/question?hash#star*[x]{y}|~^",
    "toy/.hidden/_temporary",
    "toy/amp&amp;",
    "toy/-dash;semi:colon,comma=@$!()",
    "toy/" + "/".join(["y" * 200] * 5) + "/" + "z" * 15,
]
AWS_ONLY_KEYS = [
    "toy//two",
    "toy/back\\slash",
    "toy/./dot",
    "toy/tab\tq",
    "toy/" + "x" * 1020,
    "toy/é" + "x" * 1018,
]
"""SeaweedFS keeps keys as paths of files, so it does not know these."""


def known_keys(store: S3Store) -> set[str]:
    return {look.key for look in store.list("toy/") if isinstance(look, Look)}


@pytest.mark.parametrize("server", ["bucket", "moto_bucket"])
def test_keys_of_every_kind(request: pytest.FixtureRequest, server: str, tmp_path: Path) -> None:
    bucket: Bucket = request.getfixturevalue(server)
    keys = KEYS + (AWS_ONLY_KEYS if server == "moto_bucket" else [])
    assert len(KEYS[-1].encode()) == 1024
    for key in keys:
        bucket.put(key, key)
    store = bucket.store(tmp_path)
    listed = {look.key: look for look in store.list("toy/") if isinstance(look, Look)}
    assert set(listed) == set(keys)
    for key in keys:
        look = store.look(key)
        assert look is not None, key
        assert (look.size_bytes, look.version) == (listed[key].size_bytes, listed[key].version)
        assert store.fetcher().fetch(key, store.version_of(listed[key]), look.size_bytes) == key.encode()


def test_what_stands_for_a_folder_is_no_file(bucket: Bucket, moto_bucket: Bucket, tmp_path: Path) -> None:
    for one in (bucket, moto_bucket):
        one.put("toy/", b"")
        one.put("toy/folder/", b"")
        one.put("toy/folder/a", b"1")
        one.put("toy/empty", b"")
        assert [look.key for look in one.store(tmp_path).list("toy/")] == ["toy/empty", "toy/folder/a"]


def test_a_key_that_no_database_can_hold_is_told(tmp_path: Path) -> None:
    store = S3Store(S3Address("b"), spool=tmp_path)
    seen = store._seen({"Key": "toy/nul\0", "Size": 1})
    assert isinstance(seen, Skipped)
    assert seen.name == "'toy/nul\\x00'"


def test_the_key_with_the_prefix_is_within_1024_bytes(moto_bucket: Bucket, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"1")
    store = moto_bucket.store(tmp_path, "p" * 99 + "/")
    assert store.put(file, "x" * 924)
    with pytest.raises(BadKey, match=r"1,024 bytes with the bucket's prefix"):
        store.put(file, "x" * 925)
    assert len(moto_bucket.content()) == 1


def test_the_same_bytes_are_known_whoever_uploaded_them(bucket: Bucket, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    bucket.put("toy/a", b"12345")
    store = bucket.store(tmp_path)
    assert not store.put(file, "toy/a"), "its ETag is the MD5 of the bytes"
    bucket.put("toy/a", b"54321")
    assert store.put(file, "toy/a")


def test_a_large_file_is_landed_in_parts_once(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file.bin"
    file.write_bytes(os.urandom(21 * 1024 * 1024))
    monkeypatch.setattr(s3, "BIG_FILE_BYTES", 20 * 1024 * 1024)
    store = bucket.store(tmp_path / "spool")
    assert store.put(file, "toy/a.bin")
    look = store.look("toy/a.bin")
    assert look is not None
    assert look.version is not None
    assert look.version.endswith("-5"), "uploaded in five parts"
    assert not store.put(file, "toy/a.bin"), "known by its SHA-256, which the ETag is not"
    fetcher = store.fetcher()
    path = fetcher.fetch("toy/a.bin", look.version, look.size_bytes)
    assert isinstance(path, Path)
    assert path.read_bytes() == file.read_bytes()
    fetcher.done(path)
    assert [one for one in (tmp_path / "spool").rglob("*") if one.is_file()] == []


def test_what_a_killed_reader_left_in_the_spool_is_cleared(tmp_path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from resources.landing.spool import new_spool_file
path = new_spool_file(Path({str(tmp_path)!r}), ".mat")
path.write_bytes(b"half a file")
os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2])
    assert ended.returncode == -signal.SIGKILL
    (left,) = tmp_path.rglob("*.mat")
    mine = new_spool_file(tmp_path, ".mat")
    assert not left.exists()
    mine.write_bytes(b"whole")
    new_spool_file(tmp_path, ".mat")
    assert mine.exists(), "nobody clears away what a living process reads"


def test_an_object_in_an_archive_says_so(moto_bucket: Bucket, tmp_path: Path) -> None:
    moto_bucket.put("toy/a", b"1", StorageClass="GLACIER")
    store = moto_bucket.store(tmp_path)
    look = store.look("toy/a")
    assert look is not None
    with pytest.raises(FileArchived, match=r"storage class GLACIER.*[Rr]estore it"):
        store.fetcher().fetch("toy/a", store.version_of(look), 1)


def test_a_bucket_that_is_not_there_is_no_empty_one(bucket: Bucket, tmp_path: Path) -> None:
    store = S3Store(S3Address("no-such-bucket"), endpoint=bucket.endpoint, spool=tmp_path)
    with pytest.raises(StoreError, match="There is no bucket at s3://no-such-bucket"):
        list(store.list("toy/"))
    with pytest.raises(StoreError, match="There is no bucket"):
        store.look("toy/a")
    with pytest.raises(StoreError, match="There is no bucket"):
        store.fetcher().fetch("toy/a", "etag", 1)
    assert bucket.store(tmp_path).look("toy/none") is None


def test_a_store_that_is_down_is_an_error(tmp_path: Path) -> None:
    (port,) = servers.free_ports(1)
    store = S3Store(S3Address("bucket"), endpoint=f"http://127.0.0.1:{port}", spool=tmp_path)
    for ask in (
        lambda: list(store.list("toy/")),
        lambda: store.look("toy/a"),
        lambda: store.fetcher().fetch("toy/a", "etag", 1),
    ):
        with pytest.raises(StoreError, match="does not answer") as raised:
            ask()
        assert not isinstance(raised.value, TimeoutError | FileGone | FileChanged)
        assert isinstance(raised.value, UserError)
        assert raised.value.exit_code == 1


def test_wrong_credentials_are_an_error_without_them_in_it(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("toy/a", b"1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2-hunter2")
    monkeypatch.setattr(s3_client, "_clients", {})
    with pytest.raises(StoreError, match=r"refuses access.*s3:ListBucket") as raised:
        list(bucket.store(tmp_path).list("toy/"))
    assert "hunter2" not in str(raised.value)
    assert servers.ACCESS_KEY + "-" not in str(raised.value)


def test_without_credentials_a_bucket_is_asked_anonymously_until_there_are_some(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("toy/a", b"1")
    monkeypatch.setattr(s3_client, "_clients", {})
    store = bucket.store(tmp_path)
    with monkeypatch.context() as without:
        without.delenv("AWS_ACCESS_KEY_ID")
        without.delenv("AWS_SECRET_ACCESS_KEY")
        without.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        without.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        with pytest.raises(StoreError, match="refuses access"):
            list(store.list("toy/"))
    assert known_keys(store) == {"toy/a"}
    allow = {"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject", "s3:ListBucket"]}
    arn = f"arn:aws:s3:::{bucket.name}"
    policy = {"Version": "2012-10-17", "Statement": [{**allow, "Resource": [arn, f"{arn}/*"]}]}
    bucket.client.put_bucket_policy(Bucket=bucket.name, Policy=json.dumps(policy))
    monkeypatch.setattr(s3_client, "_clients", {})
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    deadline = time.monotonic() + 10
    while True:  # the server takes a moment to learn of the policy
        try:
            assert known_keys(store) == {"toy/a"}
            break
        except StoreError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


CONTENT = bytes(range(256)) * 40


def _answer_object(request: BaseHTTPRequestHandler, send: int, *, etag: str = "e", ranges: bool = True) -> None:
    begin = 0
    if ranges and request.headers.get("Range"):
        begin = int(request.headers["Range"].removeprefix("bytes=").rstrip("-"))
    request.send_response(206 if begin else 200)
    request.send_header("ETag", f'"{etag}"')
    request.send_header("Content-Length", str(len(CONTENT) - begin))
    if begin:
        request.send_header("Content-Range", f"bytes {begin}-{len(CONTENT) - 1}/{len(CONTENT)}")
    request.end_headers()
    request.wfile.write(CONTENT[begin : begin + send])
    request.close_connection = True


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "_CHUNK_BYTES", 1000)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_connection_is_taken_up_again(tmp_path: Path, ranges: bool) -> None:
    def answer(request: BaseHTTPRequestHandler, number: int) -> None:
        _answer_object(request, 4000 if number == 1 else len(CONTENT), ranges=ranges)

    with servers.faulty(answer) as (endpoint, heard):
        store = S3Store(S3Address("bucket"), endpoint=endpoint, spool=tmp_path)
        assert store.fetcher().fetch("toy/a", "e", len(CONTENT)) == CONTENT
    assert heard == ["GET /bucket/toy/a", "GET /bucket/toy/a bytes=4000-"]


def test_a_connection_that_keeps_breaking_is_the_store_s_fault(tmp_path: Path) -> None:
    with servers.faulty(lambda request, number: _answer_object(request, 1000)) as (endpoint, heard):
        store = S3Store(S3Address("bucket"), endpoint=endpoint, spool=tmp_path)
        with pytest.raises(StoreError, match=r"3,000 of 10,240 bytes of 'toy/a': the connection broke"):
            store.fetcher().fetch("toy/a", "e", len(CONTENT))
    assert len(heard) == 3


def test_the_pin_is_asked_for(tmp_path: Path) -> None:
    pins = []

    def answer(request: BaseHTTPRequestHandler, number: int) -> None:
        pins.append(request.headers["If-Match"])
        _answer_object(request, len(CONTENT) // 2 if number == 1 else len(CONTENT))

    with servers.faulty(answer) as (endpoint, _):
        store = S3Store(S3Address("bucket"), endpoint=endpoint, spool=tmp_path)
        assert store.fetcher().fetch("toy/a", "e", len(CONTENT)) == CONTENT
    assert pins == ['"e"', '"e"']


def test_a_server_that_ignores_the_pin_is_noticed(tmp_path: Path) -> None:
    answer = lambda request, number: _answer_object(request, len(CONTENT), etag="other")  # noqa: E731
    with servers.faulty(answer) as (endpoint, _):
        store = S3Store(S3Address("bucket"), endpoint=endpoint, spool=tmp_path)
        with pytest.raises(FileChanged):
            store.fetcher().fetch("toy/a", "e", len(CONTENT))


def test_a_half_copied_large_file_does_not_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "BIG_FILE_BYTES", 1000)
    with servers.faulty(lambda request, number: _answer_object(request, 1000)) as (endpoint, _):
        store = S3Store(S3Address("bucket"), endpoint=endpoint, spool=tmp_path)
        with pytest.raises(StoreError):
            store.fetcher().fetch("toy/a", "e", len(CONTENT))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_silent_server_is_no_timeout_of_a_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_client, "READ_SECONDS", 0.3)

    def stall(request: BaseHTTPRequestHandler, number: int) -> None:
        if "body" in request.path:
            _answer_object(request, 100)
            request.wfile.flush()
        time.sleep(1.5)

    with servers.faulty(stall) as (endpoint, _):
        store = S3Store(S3Address("bucket"), endpoint=endpoint, spool=tmp_path)
        for key in ("toy/head", "toy/body"):
            with pytest.raises(StoreError) as raised:
                store.fetcher().fetch(key, "e", len(CONTENT))
            assert not isinstance(raised.value, TimeoutError)


def test_throttling_is_waited_out(tmp_path: Path) -> None:
    def answer(request: BaseHTTPRequestHandler, number: int) -> None:
        if number == 1:
            body = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
            request.send_response(503)
            request.send_header("Content-Length", str(len(body)))
            request.end_headers()
            request.wfile.write(body)
        else:
            _answer_object(request, len(CONTENT))

    with servers.faulty(answer) as (endpoint, heard):
        store = S3Store(S3Address("bucket"), endpoint=endpoint, spool=tmp_path)
        assert store.fetcher().fetch("toy/a", "e", len(CONTENT)) == CONTENT
    assert len(heard) == 2


def test_a_fetch_gives_up_before_its_reader_would_be_blamed(tmp_path: Path) -> None:
    fetcher = S3Store(S3Address("bucket"), spool=tmp_path).fetcher()
    one_request = s3_client.ATTEMPTS * (s3_client.CONNECT_SECONDS + s3_client.READ_SECONDS)
    assert fetcher.longest_seconds(0) > one_request
    assert fetcher.longest_seconds(1 << 30) - fetcher.longest_seconds(0) == 1024
