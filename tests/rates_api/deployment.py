"""A deployment with generated ports and prices, filled by real runs, and its API as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from pipeline_assets.batch_report import BatchReport
from pipeline_assets.places.source import PLACES
from pipeline_assets.rates import examples
from pipeline_assets.rates.source import RATES
from pipeline_assets.source import FileSource
from resources.platform import Platform
from tests.conftest import putter
from tests.crash.sessions import end_session, own_environment, wait_until
from tests.freight import Row, csv_of, land_places, settings_for, take

ROOT = Path(__file__).parents[2]
HOST = "127.0.0.1"
TOKEN = "a-token-of-these-tests"
START_SECONDS = 60.0


class Deployment:
    """One on a server that others use, too. Its ports are taken; its prices are not yet."""

    def __init__(self, postgresql: str, home: Path, **options: Any) -> None:
        self.home = home
        self.url = postgresql
        self.platform = Platform(settings_for(postgresql, home, **{"api_token": TOKEN, **options}))
        self.put = putter(self.platform.landing, home.parent)
        land_places(self.put)
        assert self.take(PLACES).committed == 2

    def take(self, source: FileSource = RATES) -> BatchReport:
        """Do a batch of what landed."""
        return take(self.platform, source)

    def land(self, name: str, rows: Sequence[Row]) -> None:
        self.put(f"rates/{name}", csv_of(rows))

    def take_examples(self) -> None:
        """The generated prices, in files of each form."""
        folder = self.home.parent / "examples"
        for path in examples.write_examples(folder):
            self.platform.landing.put(path, f"rates/{path.relative_to(folder).as_posix()}")
        assert self.take().committed == 5

    @property
    def environment(self) -> dict[str, str]:
        return {
            "STRANDLINE_HOME": str(self.home),
            "STRANDLINE_NAMESPACE": self.platform.settings.namespace,
            "STRANDLINE_SERVING_URL": self.url,
            "STRANDLINE_SETTLE_SECONDS": "0.05",
            "STRANDLINE_LEASE_SECONDS": "5",
            "STRANDLINE_API_TOKEN": TOKEN,
            "STRANDLINE_API_RATE_LIMIT": "0",
        }


class Api:
    """`strandline api` as a process. Leaving it kills what is left of it."""

    def __init__(self, environment: Mapping[str, str], port: int, log: Path) -> None:
        self.address = f"http://{HOST}:{port}"
        self.log = log
        self._environment = {**own_environment(), **environment, "STRANDLINE_API_PORT": str(port)}

    def start(self) -> Api:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cli.main", "api"],
                cwd=ROOT, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        return self

    def wait(self) -> Api:
        wait_until(self._is_ready, START_SECONDS, f"the API is ready; see {self.log}")
        return self

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, f"`strandline api` ended: {self.log.read_text()[-2000:]}"
        try:
            return self.get("/readyz")[0] == 200
        except OSError:
            return False

    def __enter__(self) -> Api:
        return self.start().wait()

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        end_session(self.process.pid)
        self.process.wait(10)

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    def get(self, path: str) -> tuple[int, Any]:
        return ask(f"{self.address}{path}")


def ask(url: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    """Status and content of an answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, _content(answer)
    except urllib.error.HTTPError as error:
        return error.code, _content(error)


def _content(answer: Any) -> Any:
    text = answer.read().decode()
    return json.loads(text) if "json" in (answer.headers["Content-Type"] or "") else text


def days(first: date, last: date) -> str:
    return f"date_from={first}&date_to={last}"
