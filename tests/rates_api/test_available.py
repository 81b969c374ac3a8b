"""Processes are killed and restarted, loaders and servers; whoever asks gets a whole answer, of before or of after."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.crash.sessions import end_session, own_environment, wait_until
from tests.landing.servers import free_ports
from tests.rates_api.asking import Answers, asked_by
from tests.rates_api.deployment import ROOT, Api, Deployment
from tests.rates_api.proxy import Proxy

DAY = date(2016, 2, 1)
QUESTION = (
    "/rates?date_from=2016-01-31&date_to=2016-02-02&origin=china_main&destination=northern_europe&include=count,median"
)
PRICES_OF_A_BATCH = 20_000
LEAVE_SECONDS = 1.5


@pytest.fixture
def two(deployment: Deployment, tmp_path: Path) -> Deployment:
    deployment.land("first.csv", [("CNSGH", "NLRTM", DAY, 1000.0 + n) for n in range(5)])
    assert deployment.take().committed == 1
    return deployment


def asked_more(answers: Answers, count: int) -> None:
    before = answers.total
    wait_until(lambda: answers.total >= before + count, 60, f"{count} more answers")


def test_one_of_two_processes_is_killed_and_restarted_and_no_answer_fails(two: Deployment, tmp_path: Path) -> None:
    ports = free_ports(2)
    environment = {**two.environment, "STRANDLINE_API_LEAVE_SECONDS": str(LEAVE_SECONDS)}
    apis = [Api(environment, port, tmp_path / f"api_{port}.log").start() for port in ports]
    try:
        for api in apis:
            api.wait()
        with Proxy(ports) as proxy:
            wait_until(lambda: len(proxy.ready) == 2, 30, "the proxy sees both")
            with asked_by(4, proxy.address + QUESTION) as answers:
                asked_more(answers, 40)

                # Asked to end, it is left by whoever sees that it leaves, and nothing has to be sent again.
                apis[0].signal(signal.SIGTERM)
                assert apis[0].process.wait(LEAVE_SECONDS + 30) == 0
                asked_more(answers, 40)
                assert proxy.ready == {ports[1]}
                assert proxy.sent_again == 0
                apis[0].start()
                wait_until(lambda: len(proxy.ready) == 2, 60, "the proxy sees the restarted one")
                asked_more(answers, 40)

                # Killed, what it had is sent to the other.
                for _ in range(2):
                    apis[1].signal(signal.SIGKILL)
                    apis[1].process.wait(10)
                    asked_more(answers, 40)
                    apis[1].start()
                    wait_until(lambda: len(proxy.ready) == 2, 60, "the proxy sees the restarted one")
                    asked_more(answers, 40)
        assert answers.statuses == {200}
        assert len(answers.contents) == 1
    finally:
        for api in apis:
            api.end()


def test_ctrl_c_answers_what_was_begun_and_ends(two: Deployment, tmp_path: Path) -> None:
    with (
        Api(two.environment, free_ports(1)[0], tmp_path / "api.log") as api,
        two.platform.serving.engine.connect() as locked,
        locked.begin(),
    ):
        locked.execute(text("LOCK TABLE lanes IN ACCESS EXCLUSIVE MODE"))
        with asked_by(1, api.address + QUESTION) as answers:
            wait_until(lambda: "in_flight 2" in str(api.get("/metrics")[1]), 10, "a request waits for the lock")
            api.signal(signal.SIGINT)
            time.sleep(0.5)
            assert api.process.poll() is None
            locked.rollback()
            wait_until(lambda: answers.counted, 10, "it is answered")
            assert api.process.wait(20) == 0
    assert answers.counted[next(key for key in answers.counted if key[0] == 200)] == 1
    assert answers.statuses <= {200, 0}, "after it ended nobody answers"


def test_a_loader_that_is_killed_while_it_writes_leaves_what_was(two: Deployment, tmp_path: Path) -> None:
    rows = [("CNSGH", "NLRTM", DAY, 2000.0 + n % 7) for n in range(PRICES_OF_A_BATCH)]
    with Api(two.environment, free_ports(1)[0], tmp_path / "api.log") as api:
        before = repr(api.get(QUESTION)[1])
        two.land("second.csv", rows)
        with asked_by(2, api.address + QUESTION) as answers:
            kill_while_it_writes(two)
            asked_more(answers, 20)
            assert answers.contents == {before}
            assert drain(two).wait(120) == 0
            asked_more(answers, 20)
        after = repr(api.get(QUESTION)[1])
        assert f"'count': {PRICES_OF_A_BATCH + 5}" in after
        assert answers.statuses == {200}
        assert answers.contents == {before, after}


def drain(deployment: Deployment) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "cli.main", "drain", "--source", "rates"], cwd=ROOT, stdin=subprocess.DEVNULL,
        env={**own_environment(), **deployment.environment}, start_new_session=True,
    )  # fmt: skip


def kill_while_it_writes(deployment: Deployment) -> None:
    """Its transaction has begun: the one writer has its lock."""
    writes = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted")
    loader = drain(deployment)
    try:
        with deployment.platform.serving.engine.connect() as connection:
            deadline = time.monotonic() + 60
            while not connection.scalar(writes):
                connection.rollback()
                assert loader.poll() is None
                assert time.monotonic() < deadline
    finally:
        end_session(loader.pid)
    assert loader.wait(10) == -signal.SIGKILL
