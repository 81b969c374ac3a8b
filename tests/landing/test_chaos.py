"""Deliveries as they come on bad days, from a seed: notifications that are late, repeated, reordered or missing, objects
that are overwritten and deleted at every moment; and a bucket that answers badly. In the end nothing is lost or doubled."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import random
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import quote_plus, urlsplit

import pytest

from pipeline_assets.batch_run import run_batch
from pipeline_assets.source import NoConfig
from resources.landing.store import StoreError
from resources.ledger.arrivals import file_identity
from resources.ledger.batches import due
from resources.ledger.planning import BatchLimits, plan
from resources.ledger.queries import list_files
from resources.platform import Platform
from sensors.looking import look_for_arrivals
from tests.landing import servers
from tests.landing.conftest import Bucket, Queue, settings_for
from tests.landing.test_notifications import TEST_EVENT, eventbridge, record, records, sns
from tests.model.stepping import SteppedRun, stepped
from tests.running import LIMITS, Silent, run, toy, visible
from tests.toy_source import TOY

SCHEDULES = int(os.environ.get("STRANDLINE_TEST_SCHEDULES", "4"))
EVENTS = 60
MOST_RUNS = 30
KEYS = ("toy/a.csv", "toy/b c+d.csv", "toy/ü%2F%20+.csv", "toy/100%", "toy/é/" + "k" * (1024 - len("toy/é/".encode())))


@pytest.fixture
def bucket(moto_bucket: Bucket) -> Bucket:
    return moto_bucket


@pytest.fixture
def platform(told_platform: Platform) -> Platform:
    return told_platform


def message(chance: random.Random, key: str, bucket: Bucket) -> str:
    quoted = record(quote_plus(key, safe="/"), bucket.name)
    return chance.choice(
        [records(quoted), records(quoted, quoted), sns(records(quoted)), eventbridge(key, bucket.name)]
    )


def assert_balanced(platform: Platform, bucket: Bucket, ever: dict[str, list[list[float]]]) -> None:
    """The bucket, asked without the platform, the ledger, and the tables."""
    content = {key: [float(line) for line in body.split()[1:]] for key, body in bucket.content().items()}
    shown = visible(platform)
    assert {key: shown.get(key) for key in content} == content
    assert all(shown[key] in ever[key] for key in shown), "rows that never landed"
    newest = {row.key: row for row in list_files(platform.ledger)}
    store = platform.landing.name
    for key in content:
        head = bucket.client.head_object(Bucket=bucket.name, Key=key)
        etag, size = head["ETag"].strip('"'), head["ContentLength"]
        ids = {file_identity(store, key, etag, size, generation) for generation in range(EVENTS)}
        assert (newest[key].file_id in ids, newest[key].state) == (True, "committed")
    assert {row.state for row in list_files(platform.ledger)} <= {"committed", "superseded", "deleted"}


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_a_bad_day(platform: Platform, bucket: Bucket, queue: Queue, seed: int) -> None:
    chance, run_ids = random.Random(seed), (f"run-{number}" for number in itertools.count())
    ever: dict[str, list[list[float]]] = {key: [] for key in KEYS}
    late: list[str] = []

    def land() -> None:
        key, values = chance.choice(KEYS), [float(chance.randrange(3))]
        bucket.put(key, toy(*values))
        ever[key].append(values)
        late.extend([message(chance, key, bucket)] * chance.choice([0, 1, 1, 2]))

    def delete() -> None:
        bucket.delete(chance.choice(KEYS))

    def notify() -> None:
        chance.shuffle(late)
        for _ in range(min(len(late), 3)):
            queue.send(late.pop())
        if chance.random() < 0.1:
            queue.send(json.dumps(TEST_EVENT))

    def do(*, disturb: bool = True) -> bool:
        look_for_arrivals(platform, TOY, from_start=not disturb)
        plan(platform.ledger, "toy", BatchLimits(3, 1 << 30), flush=True)
        waiting = due(platform.ledger, "toy", ignore_backoff=True)
        if waiting:
            begun = SteppedRun(
                lambda: run_batch(
                    platform,
                    TOY,
                    NoConfig(),
                    waiting[0].batch_id,
                    next(run_ids),
                    Silent(),
                    hold_when_stopped=lambda: True,
                )
            )
            while begun.at != "ended":
                if disturb and chance.random() < 0.4:
                    chance.choice([land, delete, notify])()
                begun.step()
            assert begun.error is None, begun.error
        return bool(waiting)

    with stepped():
        for _ in range(EVENTS):
            chance.choices([land, delete, notify, do], [6, 1, 3, 3])[0]()
        while late:
            notify()
        runs = sum(1 for _ in itertools.takewhile(lambda _: do(disturb=False), range(MOST_RUNS)))
    assert runs < MOST_RUNS, "a batch is tried again and again"
    assert_balanced(platform, bucket, ever)
    look_for_arrivals(platform, TOY)
    assert queue.left == 0


def test_a_bucket_that_answers_badly(bucket: Bucket, tmp_path: Path) -> None:
    """Every third answer is an error, late, or cut off, while whole batches are found and read by reader processes."""
    chance, wrong, to = random.Random(1), [], urlsplit(bucket.endpoint)

    def answer(request: BaseHTTPRequestHandler, number: int) -> None:
        fault = chance.choice(["500", "503", "late", "cut"]) if chance.random() < 0.35 else ""
        wrong.append(fault)
        if fault in {"500", "503"}:
            request.send_error(int(fault))
            return
        if fault == "late":
            time.sleep(0.3)
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
            request.wfile.write(body[: len(body) // 2] if fault == "cut" else body)
        request.close_connection = True

    for number in range(60):
        bucket.put(f"toy/{number}", toy(number, number + 0.5))
    with servers.faulty(answer) as (address, _):
        platform = Platform(settings_for(bucket, tmp_path / "home", s3_endpoint=address, max_attempts=100))
        failed = 0
        for attempt in range(100):
            try:
                look_for_arrivals(platform, TOY, from_start=True)
                plan(platform.ledger, "toy", LIMITS, flush=True)
                waiting = due(platform.ledger, "toy", ignore_backoff=True)
                if not waiting:
                    break
                run(platform, waiting[0], f"run-{attempt}")
            except StoreError:
                failed += 1
                assert "quarantined" not in {row.state for row in list_files(platform.ledger)}
        print(f"{len(wrong)} requests, {sum(map(bool, wrong))} answered badly, {failed} attempts failed")
        assert sum(map(bool, wrong)) > 20
        content = {key: [[float(line) for line in body.split()[1:]]] for key, body in bucket.content().items()}
        assert_balanced(platform, bucket, content)
        platform.close()
