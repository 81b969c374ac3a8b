"""How quickly arrivals come in: notifications through SQS, and keys listed in a bucket and in a folder.

What answers runs on the same machine and costs more than what asks, so rates by the clock measure both. The bars are held against
what this process takes in for each second of its own processor time, one core's worth; the rate by the clock stands beside it.
"""

from __future__ import annotations

import os
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.measure import Row, Seconds, Server, Stopwatch, say
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


@dataclass(frozen=True)
class _Rate:
    """A second: by the clock, and for each second of this process's own processor time."""

    by_clock: float
    of_processor: float

    def __str__(self) -> str:
        return f"{self.of_processor:,.0f}/s ({self.by_clock:,.0f}/s by the clock)"


def _rate(count: int, took: Seconds) -> _Rate:
    return _Rate(count / took.clock, count / took.processor)


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
    what = "notifications through SQS, message → ledger"
    with _server(folder, "wire", ["-m", "bench.wire", "{port}", str(messages), str(messages)]) as address:
        ours = _take_in(folder / "wire.db", address, f"{address}/1/queue", messages)
    with _server(folder, "wire_again", ["-m", "bench.wire", "{port}", str(messages), str(messages)]) as address:
        bare = _bare(address, f"{address}/1/queue", messages)
    rows = [_row(f"{messages:,} {what}, a server that answers from arithmetic", ours, bare, _LEAST_MESSAGES)]
    fewer = max(20, messages // 10)
    with _server(folder, "moto", ["-m", "moto.server", "-H", "127.0.0.1", "-p", "{port}"]) as address:
        url = _moto_queue(address, fewer)
        bare = _bare(address, url, fewer)
        _fill_queue(address, url, fewer)
        ours = _take_in(folder / "moto.db", address, url, fewer)
    return [*rows, _row(f"{fewer:,} {what}, moto", ours, bare, _LEAST_MESSAGES)]


def _take_in(database: Path, address: str, queue_url: str, messages: int) -> _Rate:
    """What a sensor does with its queue, until all is in the ledger and deleted."""
    ledger = Ledger(f"sqlite:///{database}")
    store = S3Store(S3Address(BUCKET), endpoint=address, spool=database.parent / "spool")
    queue = NotificationQueue(queue_url)
    with ledger.read():
        pass  # makes it
    begun = Stopwatch()
    taken = new = 0
    while taken < messages:
        received = receive(ledger, store, queue, {READINGS.name: READINGS.prefix}, budget_seconds=10.0)
        if not received.messages:
            break
        taken += received.messages
        new += sum(map(len, received.new_files.values()))
    rate = _rate(messages, begun.seconds())
    ledger.close()
    if taken < messages or new != messages:  # a message may come twice
        raise RuntimeError(f"{taken} messages and {new} files came in, of {messages}")
    return rate


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


def _bare(address: str, url: str, messages: int) -> _Rate:
    """All messages received and deleted by nothing but boto3, as many requests at once."""
    client: Any = sqs_client(address)

    def take(_: int) -> None:
        while found := client.receive_message(QueueUrl=url, MaxNumberOfMessages=_A_REQUEST).get("Messages"):
            entries = [{"Id": str(n), "ReceiptHandle": one["ReceiptHandle"]} for n, one in enumerate(found)]
            client.delete_message_batch(QueueUrl=url, Entries=entries)

    begun = Stopwatch()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(take, range(_AT_ONCE)))
    return _rate(messages, begun.seconds())


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
    first, again = (_list(ledger, store, keys, new) for new in (keys, 0))
    ledger.close()
    say(f"  {work}: {again}, first entered at {first}")
    return Row(
        work,
        str(again),
        f"the first time, each entered into the ledger: {first}",
        f"{again.of_processor / first.of_processor:.1f} ×",
        f"≥ {_LEAST_KEYS:,.0f}/s",
        again.of_processor >= _LEAST_KEYS,
    )


def _list(ledger: Ledger, store: LandingStore, keys: int, new: int) -> _Rate:
    begun = Stopwatch()
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
    return _rate(keys, begun.seconds())


def _row(work: str, ours: _Rate, bare: _Rate, least: float) -> Row:
    say(f"  {work}: {ours}; boto3 alone {bare}")
    return Row(
        work,
        str(ours),
        f"boto3 alone, receiving and deleting them there, {_AT_ONCE} requests at once: {bare}",
        f"{ours.of_processor / bare.of_processor:.2f} ×",
        f"≥ {least:,.0f}/s",
        ours.of_processor >= least,
    )


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
