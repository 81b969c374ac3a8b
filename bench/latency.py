"""From the upload of one file to its row in SQL, on a running platform that has nothing else to do."""

from __future__ import annotations

import math
import random
import socket
import statistics
import time
import urllib.error
import urllib.request
from pathlib import Path

from bench.measure import Row, Server, say
from pipeline_assets.ecg.examples import write_examples
from resources.lake.sql import QueryError, run_query
from resources.platform import Platform
from resources.settings import Settings

_BAR_SECONDS = 15.0
_START_SECONDS = 120.0
_VISIBLE_SECONDS = 120.0
_LOCALHOST = "127.0.0.1"
_IDLE_SECONDS = (1.0, 6.0)
"""Between two uploads; at random, so that they fall anywhere between two looks of the sensor."""


def measure(folder: Path, uploads: int, idle_seconds: tuple[float, float] = _IDLE_SECONDS) -> Row:
    """The first upload, which makes the tables, does not count. idle_seconds: least and most between two uploads."""
    platform = Platform(Settings(home=folder / "home"))
    files = folder / "files"
    write_examples(files, good=uploads + 1, broken=False, seed=2)
    chance = random.Random(1)
    seconds = []
    port = free_port()
    command = ["-m", "cli.main", "dev", "-h", _LOCALHOST, "-p", str(port)]
    environment = {"STRANDLINE_HOME": str(platform.settings.home), "STRANDLINE_API_PORT": str(free_port())}
    with Server(command, environment, folder / "dev.log") as server:
        wait_for_answer(server, f"http://{_LOCALHOST}:{port}/server_info")
        for number, path in enumerate(sorted(files.rglob("*.mat"))[: uploads + 1]):
            time.sleep(chance.uniform(*idle_seconds))
            took = _upload(platform, server, path, f"ecg/{path.name}")
            say(f"  {number}/{uploads}: visible after {took:.1f} s" + ("" if number else " (the first; not counted)"))
            seconds += [took] if number else []
    platform.close()
    p95 = sorted(seconds)[math.ceil(0.95 * len(seconds)) - 1]
    return Row(
        "upload → row visible in SQL, idle `strandline dev`",
        f"p95 {p95:.1f} s, median {statistics.median(seconds):.1f} s, n = {len(seconds)}",
        "the bar itself",
        f"{p95 / _BAR_SECONDS:.2f} ×",
        f"p95 ≤ {_BAR_SECONDS:.0f} s",
        p95 <= _BAR_SECONDS,
    )


def _upload(platform: Platform, server: Server, path: Path, key: str) -> float:
    """Seconds from the end of the upload until a query gives the row."""
    platform.landing.put(path, key)
    landed = time.monotonic()
    while time.monotonic() < landed + _VISIBLE_SECONDS:
        server.check_alive()
        if _is_visible(platform, key):
            return time.monotonic() - landed
        time.sleep(0.2)
    raise RuntimeError(f"{key} was not visible after {_VISIBLE_SECONDS:.0f} s; see {server.log}")


def _is_visible(platform: Platform, key: str) -> bool:
    try:
        found = run_query(platform.lake, platform.ledger, f"SELECT 1 FROM ecg.recordings WHERE source_key = '{key}'")
    except QueryError:  # before the first commit there is no such table
        return False
    return found.num_rows > 0


def wait_for_answer(server: Server, address: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        server.check_alive()
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise RuntimeError(f"nothing answered at {address} within {_START_SECONDS:.0f} s; see {server.log}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_LOCALHOST, 0))
        return int(probe.getsockname()[1])
