"""`strandline dev` with the API beside it: a batch that lands changes its answer; Ctrl-C ends all of it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.error
from pathlib import Path

import pytest

from cli.demo_api import show_api
from pipeline_assets.places.examples import write_examples
from pipeline_assets.rates.examples import write_csv
from tests.browser.dev_server import DevServer
from tests.crash.sessions import assert_session_ends, own_environment, wait_until
from tests.landing.servers import free_ports
from tests.rates_api.deployment import HOST, ROOT, ask
from tests.rates_api.test_rates import FIRST_DAY

SETTLED_SECONDS = 120.0
ENDED_SECONDS = 60.0
"""Dagster lets runs that go on come to their end: aggregates are just being made."""


def test_a_batch_changes_the_answer_and_ctrl_c_ends_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Over 15 s: it is the whole platform, started once, with a server of its own."""
    port = free_ports(1)[0]
    address = f"http://{HOST}:{port}"
    question = f"{address}/rates?date_from={FIRST_DAY}&date_to={FIRST_DAY}&orig_code=CNSGH&dest_code=north_europe_main"
    places = write_examples(tmp_path / "files")[:2]
    prices = write_csv(
        tmp_path / "files" / "prices.csv", [("CNSGH", "NLRTM", FIRST_DAY, price) for price in (1.0, 4.0)]
    )
    with DevServer(tmp_path / "home", with_api=True, STRANDLINE_API_PORT=str(port)) as server:
        wait_until(lambda: status(f"{address}/readyz") == 200, 60, "the API is ready")
        assert status(question) == 400, "no place is known yet"
        server.strandline("land", "places", *map(str, places))
        wait_until(lambda: status(question) == 200, SETTLED_SECONDS, "the places are known")
        assert ask(question)[1] == {"rates": []}
        server.strandline("land", "rates", str(prices))
        expected = {"rates": [{"day": str(FIRST_DAY), "count": 2, "price": 2.5}]}
        wait_until(lambda: ask(question)[1] == expected, SETTLED_SECONDS, "the answer changes")
        show_api(address)
        assert server.platform.serving.embedded is not None
        assert server.platform.serving.embedded.is_running
        os.kill(server.process.pid, signal.SIGINT)
        wait_until(lambda: status(f"{address}/healthz") == 0, ENDED_SECONDS, "the API ends")
        assert_session_ends(server.process.pid, ENDED_SECONDS)
        wait_until(lambda: not server.platform.serving.embedded.is_running, 60, "the embedded server ends as well")
    shown = capsys.readouterr().out
    assert f"$ curl '{address}/rates?" in shown
    assert "strandline land rates more.csv" in shown


def test_a_taken_address_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        environment = {**own_environment(), "STRANDLINE_HOME": str(tmp_path / "home"), "STRANDLINE_API_PORT": str(port)}
        # A database that is not there: the API must not need it to say so.
        environment["STRANDLINE_SERVING_URL"] = f"postgresql://nobody:secret-of-it@{HOST}:1/nowhere"
        done = subprocess.run(
            [sys.executable, "-m", "cli.main", "api"],
            cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1 port {port}" in done.stderr
    assert "STRANDLINE_API_PORT" in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret-of-it" not in done.stderr


def status(url: str) -> int:
    try:
        return ask(url)[0]
    except (urllib.error.URLError, OSError):
        return 0
