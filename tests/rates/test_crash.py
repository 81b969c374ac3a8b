"""`kill -9` of a drain at each point of a load: whoever asks sees all of a batch or nothing, and the next drain mends it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline_assets.operations.replace import replace_by
from pipeline_assets.rates.examples import Row
from pipeline_assets.rates.source import RATES
from pipeline_assets.served import compare_served
from resources.ledger.queries import find_files
from resources.platform import Platform
from tests.conftest import Put
from tests.crash.die_at import NOWHERE, OF_SERVING
from tests.crash.sessions import end_session, wait_until
from tests.crash.warm_client import Warm
from tests.freight import csv_of, lake_prices, rates, served_prices, take
from tests.rates.test_path import DAY, A, B
from tests.running import states

Drain = Callable[..., None]
_SECONDS = 120.0
C: list[Row] = [("CNSGH", "NLRTM", DAY, 500.0)] * 3


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    with Warm() as started:
        yield started


@pytest.fixture
def drain(platform: Platform, warm: Warm, tmp_path: Path) -> Drain:
    """Drain the prices, or die at a point of it."""
    url = platform.settings.serving_url
    assert url is not None
    settings = {
        "STRANDLINE_HOME": str(platform.settings.home), "STRANDLINE_NAMESPACE": platform.settings.namespace,
        "STRANDLINE_SERVING_URL": url.get_secret_value(), "STRANDLINE_WORKERS": "2", "STRANDLINE_LEASE_SECONDS": "900",
        "STRANDLINE_SETTLE_SECONDS": "0.05", "STRANDLINE_MAX_ATTEMPTS": "1000", "DAGSTER_DISABLE_TELEMETRY": "1",
    }  # fmt: skip
    log = tmp_path / "drain.log"

    def run(point: str = NOWHERE) -> None:
        started = warm.start(point, ["drain", "--source", "rates"], settings, log)
        wait_until(lambda: started.poll() is not None, _SECONDS, "the drain ends")
        end_session(started.pid)
        assert started.poll() == (0 if point == NOWHERE else -signal.SIGKILL), (point, log.read_text())

    return run


def seen(platform: Platform) -> tuple[int, float | None, int]:
    """What a reader sees of the day: prices and average; and the rows that SQL shows."""
    (found,) = rates(platform, "CNSGH", "NLRTM", str(DAY), str(DAY))
    return found.prices, found.average, len(lake_prices(platform))


def test_killed_at_each_point_of_a_load(platform: Platform, put: Put, drain: Drain) -> None:
    """One batch is committed, another lands, twice; each drain takes over from the dead one before it."""
    put("rates/a.csv", csv_of(A))
    take(platform, RATES)
    assert seen(platform) == (3, 1100.0, 4)
    put("rates/b.csv", csv_of(B))
    put("rates/also_b.csv", csv_of(B))
    for point, served in zip(OF_SERVING, ((3, 1100.0), (4, 1325.0), (4, 1325.0)), strict=True):
        drain(point)
        assert seen(platform) == (*served, 4), point
        assert (compare_served(platform, RATES, print) == []) == (point == "averaged")
    drain()
    assert seen(platform) == (4, 1325.0, 6)
    assert served_prices(platform) == lake_prices(platform)
    assert compare_served(platform, RATES, print) == []
    assert sorted(state for key, state in states(platform).items() if "b.csv" in key) == ["committed", "duplicate"]


def test_killed_at_each_point_of_a_replacement(platform: Platform, put: Put, drain: Drain) -> None:
    """Whoever asks sees the old batch or the new one, never both and never neither."""
    put("rates/a.csv", csv_of(A))
    take(platform, RATES)
    (old,) = find_files(platform.ledger, "rates/a.csv")
    replace_by(platform, RATES, old, "rates/c.csv", "wrong", print)
    put("rates/c.csv", csv_of(C))
    for point, served in zip(OF_SERVING, ((3, 1100.0), (3, 500.0), (3, 500.0)), strict=True):
        drain(point)
        assert seen(platform) == (*served, 4), point
    drain()
    assert seen(platform) == (3, 500.0, 3)
    assert served_prices(platform) == lake_prices(platform)
    assert compare_served(platform, RATES, print) == []
    assert (states(platform)["rates/a.csv"], states(platform)["rates/c.csv"]) == ("quarantined", "committed")


def test_served_of_a_batch_that_is_never_done_again_is_taken_out(platform: Platform, put: Put, drain: Drain) -> None:
    """Its file goes from the landing store before the next run, which finds it gone."""
    put("rates/a.csv", csv_of(A))
    take(platform, RATES)
    put("rates/b.csv", csv_of(B))
    drain("served")
    folder = platform.settings.landing_folder
    assert folder is not None
    (folder / "rates" / "b.csv").unlink()
    drain()
    assert states(platform)["rates/b.csv"] == "deleted"
    assert seen(platform) == (3, 1100.0, 4)
    assert compare_served(platform, RATES, print) == []
