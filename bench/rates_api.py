"""The rates API beside plain Flask on the same prices, and its answers while a batch is loaded."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from bench import plain_flask
from bench.http_load import Asked, as_fast_as_possible, at_a_rate
from bench.latency import free_port, wait_for_answer
from bench.measure import ROOT, Row, Server, cpu_seconds, cpu_seconds_of_children, own_environment, run, say
from bench.rates import end_embedded
from pipeline_assets.example_places import ports, regions
from pipeline_assets.places.examples import write_examples
from pipeline_assets.rates.examples import DAYS, FIRST_DAY, generate, write_csv
from pipeline_assets.rates.examples import Row as Price
from resources.platform import Platform
from resources.serving import keeper
from resources.settings import Settings

_LOCALHOST = "127.0.0.1"
_DAYS = f"date_from={FIRST_DAY}&date_to=2016-01-{DAYS}"
_QUESTIONS = {
    "port to port": f"/rates?{_DAYS}&origin=CNSGH&destination=NLRTM",
    "region to region": f"/rates?{_DAYS}&origin=china_main&destination=northern_europe",
}
_LEAST, _MOST, _MOST_IDLE_MS = 5.0, 3.0, 10.0
_CONNECTIONS = 8
_RATE = 25.0
_START_SECONDS = 120.0


def compare(folder: Path, prices: int, seconds: float, turns: int, loaded: int) -> list[Row]:
    """loaded: prices of the batch that is loaded meanwhile."""
    platform = Platform(Settings(home=folder / "home"))
    environment = {"STRANDLINE_HOME": str(platform.settings.home), "STRANDLINE_API_RATE_LIMIT": "0"}
    rows = generate([code for code, _, _ in ports()], prices=prices)
    say(f"  {len(rows):,} prices are loaded")
    _fill(platform, folder, environment, rows)
    url = platform.serving.url  # the server goes on while this is held
    plain_url = _fill_plain(url, rows)
    port, plain_port = free_port(), free_port()
    ours, peer = f"http://{_LOCALHOST}:{port}", f"http://{_LOCALHOST}:{plain_port}"
    gunicorn = [
        "-m", "gunicorn", "bench.plain_flask:app", "--bind", f"{_LOCALHOST}:{plain_port}", "--worker-class", "gthread",
        "--threads", str(_CONNECTIONS), "--keep-alive", "75",
    ]  # fmt: skip
    with (
        Server(["-m", "cli.main", "api"], {**environment, "STRANDLINE_API_PORT": str(port)}, folder / "api.log") as api,
        Server(gunicorn, {"PLAIN_URL": plain_url}, folder / "flask.log") as flask,
    ):
        wait_for_answer(api, f"{ours}/readyz")
        wait_for_answer(flask, peer + _QUESTIONS["port to port"])
        sides = (_Side(ours, api.session), _Side(peer, flask.session))
        made = [
            _row(name, sides, _postmaster(platform), question, seconds, turns) for name, question in _QUESTIONS.items()
        ]
        made += _under_load(platform, folder, environment, ours + _QUESTIONS["region to region"], seconds, loaded)
    platform.close()
    end_embedded(platform.serving)
    return made


def _postmaster(platform: Platform) -> int:
    assert platform.serving.embedded is not None
    postmaster = keeper.postmaster(platform.serving.embedded.data)
    assert postmaster is not None
    return postmaster


@dataclass(frozen=True)
class _Side:
    """One of the two that are asked: where, and the session of its processes."""

    address: str
    session: int


@dataclass(frozen=True)
class _Turn:
    """server, database: processor seconds of a request."""

    asked: Asked
    server: float
    database: float

    @property
    def told(self) -> str:
        return f"{1000 * self.server:.2f} + {1000 * self.database:.2f} ms"


def _turn(side: _Side, postmaster: int, question: str, seconds: float) -> _Turn:
    before = cpu_seconds(side.session), cpu_seconds_of_children(postmaster)
    asked = as_fast_as_possible(side.address + question, seconds, _CONNECTIONS)
    count = len(asked.seconds)
    return _Turn(
        asked,
        (cpu_seconds(side.session) - before[0]) / count,
        (cpu_seconds_of_children(postmaster) - before[1]) / count,
    )


def _row(name: str, sides: tuple[_Side, _Side], postmaster: int, question: str, seconds: float, turns: int) -> Row:
    """Both by turns; the pair of the median ratio."""
    pairs: list[tuple[_Turn, _Turn]] = []
    for turn in range(turns + 1):
        plain, mine = (_turn(side, postmaster, question, seconds) for side in reversed(sides))
        if json.loads(plain.asked.body) != json.loads(mine.asked.body):
            raise RuntimeError(f"{name}: both do not answer the same")
        pairs += [(mine, plain)] if turn else []  # the first opens connections and prepares statements
    mine, plain = sorted(pairs, key=lambda pair: pair[0].asked.rate / pair[1].asked.rate)[len(pairs) // 2]
    ratio = mine.asked.rate / plain.asked.rate
    cpu = (plain.server + plain.database) / max(mine.server + mine.database, 1e-9)
    say(
        f"  {name}: {mine.asked.rate:.0f} and {plain.asked.rate:.0f} requests a second; {mine.told} and {plain.told} of processor"
    )
    return Row(
        f"{name}, {DAYS} days, {_CONNECTIONS} connections, one API process; in brackets: processor, server + PostgreSQL, a request",
        f"{mine.asked.rate:,.0f} requests/s, p95 {1000 * mine.asked.percentile(0.95):.1f} ms ({mine.told})",
        f"Flask and psycopg in one gunicorn process of {_CONNECTIONS} threads: {plain.asked.rate:,.0f} requests/s, "
        f"p95 {1000 * plain.asked.percentile(0.95):.1f} ms ({plain.told})",
        f"{ratio:.1f} × as many ({cpu:.1f} × in processor)",
        f"≥ {_LEAST:g} ×",
        ratio >= _LEAST,
    )


def _under_load(
    platform: Platform, folder: Path, environment: Mapping[str, str], url: str, seconds: float, loaded: int
) -> list[Row]:
    path = write_csv(folder / "more.csv", generate([code for code, _, _ in ports()], prices=loaded, seed=1))
    at_a_rate(url, _RATE, lambda so_far: so_far < 1.0)
    before = at_a_rate(url, _RATE, lambda so_far: so_far < 2 * seconds)
    platform.landing.put(path, "rates/more.csv")
    with (folder / "drain.log").open("wb") as log:
        drain = subprocess.Popen(
            [sys.executable, "-m", "cli.main", "drain", "--source", "rates"], cwd=ROOT, stdout=log, stderr=log,
            env={**own_environment(), **environment},
        )  # fmt: skip
    try:
        during = at_a_rate(url, _RATE, lambda so_far: drain.poll() is None)
    finally:
        drain.wait()
    if drain.returncode:
        raise RuntimeError(f"the drain ended with {drain.returncode}:\n{(folder / 'drain.log').read_text()[-2000:]}")
    after = at_a_rate(url, _RATE, lambda so_far: so_far < 2 * seconds)
    idle = statistics.fmean((before.percentile(0.95), after.percentile(0.95)))
    ratio = during.percentile(0.95) / idle
    return [
        Row(
            f"region to region, {_RATE:g} requests/s, idle",
            f"p95 {1000 * idle:.1f} ms, median {1000 * before.percentile(0.5):.1f} ms",
            "the bar itself",
            f"{1000 * idle / _MOST_IDLE_MS:.2f} ×",
            f"p95 < {_MOST_IDLE_MS:g} ms",
            1000 * idle < _MOST_IDLE_MS,
        ),
        Row(
            f"region to region, {_RATE:g} requests/s, while `strandline drain` loads {loaded:,} prices, its start included",
            f"p95 {1000 * during.percentile(0.95):.1f} ms, longest {1000 * during.seconds[-1]:.0f} ms, "
            f"n = {len(during.seconds)}",
            "the same idle, before and after",
            f"{ratio:.2f} ×",
            f"≤ {_MOST:g} ×",
            ratio <= _MOST,
        ),
    ]


def _fill(platform: Platform, folder: Path, environment: Mapping[str, str], rows: list[Price]) -> None:
    for path in write_examples(folder / "places")[:2]:
        platform.landing.put(path, f"places/{path.name}")
    run(["-m", "cli.main", "drain", "--source", "places"], environment)
    platform.landing.put(write_csv(folder / "prices.csv", rows), "rates/prices.csv")
    run(["-m", "cli.main", "drain", "--source", "rates"], environment)


def _fill_plain(url: str, rows: list[Price]) -> str:
    """The same in tables as the task gives them; the address of their database."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain) as connection:
        connection.execute("CREATE SCHEMA plain")
        connection.execute("SET search_path TO plain")
        connection.execute(plain_flask.SCHEMA)
        cursor = connection.cursor()
        cursor.executemany(
            "INSERT INTO regions VALUES (%s, %s, %s)",
            [(slug, name, parent or None) for slug, name, parent in regions()],
        )
        cursor.executemany("INSERT INTO ports VALUES (%s, %s, %s)", ports())
        with cursor.copy("COPY prices FROM STDIN") as copy:
            for origin, destination, day, price in rows:
                copy.write_row((origin, destination, day, round(price)))
    with psycopg.connect(plain, autocommit=True) as connection:
        for table in ("regions", "ports", "prices"):
            connection.execute(f"VACUUM ANALYZE plain.{table}".encode())
    return psycopg.conninfo.make_conninfo(plain, options="-c search_path=plain")
