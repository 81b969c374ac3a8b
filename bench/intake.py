"""How quickly arrivals come in: notifications through SQS, and keys listed in a bucket and in a folder."""

from __future__ import annotations

import os
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.measure import Row, Server, say
from bench.readings import READINGS, write_files
from bench.wire import BUCKET, key_of, notification
from resources.landing.folder import FolderStore
from resources.landing.queue import NotificationQueue
from resources.landing.s3 import S3Store
from resources.landing.s3_client import sqs_client
from resources.landing.store import LandingStore
from resources.ledger import Ledger
from resources.settings import S3Address
from sensors.discovery import discover
from sensors.notifications import receive

_LEAST_MESSAGES, _LEAST_KEYS = 1000.0, 5000.0
_START_SECONDS = 60.0
_AT_ONCE = 8
_A_REQUEST = 10
_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}  # fmt: skip


def measure(folder: Path, messages: int, keys: int, files: int) -> list[Row]:
    """messages: of the queue. keys: of the bucket. files: of the folder."""
    with _credentials():
        return [*_notifications(folder, messages), _bucket(folder, keys), _folder(folder, files)]


@contextmanager
def _credentials() -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(_CREDENTIALS)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _notifications(folder: Path, messages: int) -> list[Row]:
    with _server(folder, "wire", ["-m", "bench.wire", "{port}", str(messages), str(messages)]) as address:
        ours = messages / _take_in(folder / "wire.db", address, f"{address}/1/queue", messages)
    fewer = max(20, messages // 10)
    with _server(folder, "moto", ["-m", "moto.server", "-H", "127.0.0.1", "-p", "{port}"]) as address:
        url = _moto_queue(address, fewer)
        bare = fewer / _bare(address, url)
        _fill_queue(address, url, fewer)
        through = fewer / _take_in(folder / "moto.db", address, url, fewer)
    say(f"  notifications a second: {ours:,.0f}; through moto {through:,.0f}, of which bare boto3 gets {bare:,.0f}")
    what = "notifications through SQS, message → ledger"
    return [
        _row(
            f"{messages:,} {what}, a server that answers from arithmetic", ours, "/s", "the bar itself", _LEAST_MESSAGES
        ),
        Row(
            f"{fewer:,} {what}, moto",
            f"{through:,.0f}/s",
            f"boto3 alone, receiving and deleting them there, {_AT_ONCE} requests at once: {bare:,.0f}/s",
            f"{through / bare:.2f} ×",
            f"≥ {_LEAST_MESSAGES:,.0f}/s",
            through >= _LEAST_MESSAGES,
        ),
    ]


def _take_in(database: Path, address: str, queue_url: str, messages: int) -> float:
    """Seconds of what a sensor does with its queue, until all is in the ledger and deleted."""
    ledger = Ledger(f"sqlite:///{database}")
    store = S3Store(S3Address(BUCKET), endpoint=address, spool=database.parent / "spool")
    queue = NotificationQueue(queue_url)
    with ledger.read():
        pass  # makes it
    begun = time.perf_counter()
    taken = new = 0
    while taken < messages:
        received = receive(ledger, store, queue, {READINGS.name: READINGS.prefix}, budget_seconds=10.0)
        if not received.messages:
            break
        taken += received.messages
        new += sum(map(len, received.new_files.values()))
    seconds = time.perf_counter() - begun
    ledger.close()
    if (taken, new) != (messages, messages):
        raise RuntimeError(f"{taken} messages and {new} files came in, of {messages}")
    return seconds


def _moto_queue(address: str, messages: int) -> str:
    import boto3

    s3 = boto3.client("s3", endpoint_url=address)
    s3.create_bucket(Bucket=BUCKET)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(lambda n: s3.put_object(Bucket=BUCKET, Key=key_of(n), Body=b"n,value\n"), range(messages)))
    url: str = sqs_client(address).create_queue(QueueName="bench")["QueueUrl"]
    _fill_queue(address, url, messages)
    return url


def _fill_queue(address: str, url: str, messages: int) -> None:
    for begin in range(0, messages, _A_REQUEST):
        entries = [
            {"Id": str(n), "MessageBody": notification(n)} for n in range(begin, min(begin + _A_REQUEST, messages))
        ]
        sqs_client(address).send_message_batch(QueueUrl=url, Entries=entries)


def _bare(address: str, url: str) -> float:
    """Seconds until all messages are received and deleted, by nothing but boto3."""
    client: Any = sqs_client(address)

    def take(_: int) -> None:
        while found := client.receive_message(QueueUrl=url, MaxNumberOfMessages=_A_REQUEST).get("Messages"):
            entries = [{"Id": str(n), "ReceiptHandle": one["ReceiptHandle"]} for n, one in enumerate(found)]
            client.delete_message_batch(QueueUrl=url, Entries=entries)

    begun = time.perf_counter()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(take, range(_AT_ONCE)))
    return time.perf_counter() - begun


def _bucket(folder: Path, keys: int) -> Row:
    with _server(folder, "listing", ["-m", "bench.wire", "{port}", str(keys), "0"]) as address:
        store = S3Store(S3Address(BUCKET), endpoint=address, spool=folder / "spool")
        return _listed(folder / "listing.db", store, keys, f"keys of a bucket of {keys:,} listed")


def _folder(folder: Path, files: int) -> Row:
    write_files(folder / "landing" / READINGS.name, files)
    return _listed(
        folder / "folder.db", FolderStore(folder / "landing"), files, f"keys of a folder of {files:,} listed"
    )


def _listed(database: Path, store: LandingStore, keys: int, work: str) -> Row:
    """The first listing enters every key, the second finds nothing new: that is what a sensor does all day."""
    ledger = Ledger(f"sqlite:///{database}")
    rates = [keys / _list(ledger, store, keys, new) for new in (keys, 0)]
    ledger.close()
    say(f"  {work}: {rates[1]:,.0f}/s, first entered at {rates[0]:,.0f}/s")
    return _row(work, rates[1], "/s", f"the first time, each entered into the ledger: {rates[0]:,.0f}/s", _LEAST_KEYS)


def _list(ledger: Ledger, store: LandingStore, keys: int, new: int) -> float:
    begun = time.perf_counter()
    listed = entered = 0
    from_start, complete = True, False
    while not complete:
        found = discover(
            ledger,
            store,
            READINGS.name,
            READINGS.prefix,
            settle_seconds=0.0,
            budget_seconds=40.0,
            from_start=from_start,
        )
        listed, entered = listed + found.listed, entered + len(found.new_files)
        from_start, complete = False, found.complete and not found.unsettled
    if entered != new or listed < keys:
        raise RuntimeError(f"{listed} keys listed and {entered} entered, expected {keys} and {new}")
    return time.perf_counter() - begun


def _row(work: str, rate: float, unit: str, peer: str, least: float) -> Row:
    return Row(work, f"{rate:,.0f}{unit}", peer, f"{rate / least:.1f} ×", f"≥ {least:,.0f}{unit}", rate >= least)


@contextmanager
def _server(folder: Path, name: str, command: list[str]) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    address = f"http://127.0.0.1:{port}"
    with Server([part.format(port=port) for part in command], {}, folder / f"{name}.log") as server:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            server.check_alive()
            try:
                with urllib.request.urlopen(f"{address}/{BUCKET}?list-type=2", timeout=5):
                    break
            except urllib.error.HTTPError:
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        yield address
