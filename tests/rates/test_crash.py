"""`kill -9` of a drain at each point of a load: whoever asks sees all of a batch or nothing, and the next drain mends it."""

from __future__ import annotations

import signal
import subprocess
import sys

from pipeline_assets.rates.source import RATES
from pipeline_assets.served import compare_served
from resources.platform import Platform
from tests.conftest import Put
from tests.crash.sessions import own_environment
from tests.freight import csv_of, lake_prices, rates, served_prices, take
from tests.log_lines import ROOT
from tests.rates.die import POINTS
from tests.rates.test_path import DAY, A, B
from tests.running import states


def drain(platform: Platform, point: str | None) -> int:
    url = platform.settings.serving_url
    assert url is not None
    settings = {
        "STRANDLINE_HOME": str(platform.settings.home), "STRANDLINE_NAMESPACE": platform.settings.namespace,
        "STRANDLINE_SERVING_URL": url.get_secret_value(), "STRANDLINE_WORKERS": "2", "STRANDLINE_LEASE_SECONDS": "900",
        "STRANDLINE_SETTLE_SECONDS": "0.05", "STRANDLINE_MAX_ATTEMPTS": "1000", "DAGSTER_DISABLE_TELEMETRY": "1",
    }  # fmt: skip
    command = ["cli.main"] if point is None else ["tests.rates.die", point, "--"]
    done = subprocess.run(
        [sys.executable, "-m", *command, "drain", "--source", "rates"], cwd=ROOT, env={**own_environment(), **settings},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == (0 if point is None else -signal.SIGKILL), (point, done.stdout, done.stderr)
    return done.returncode


def seen(platform: Platform) -> tuple[int, float | None, int]:
    """What a reader sees of the day: prices and average; and the rows that SQL shows."""
    (found,) = rates(platform, "CNSGH", "NLRTM", str(DAY), str(DAY))
    return found.prices, found.average, len(lake_prices(platform))


def test_killed_at_each_point_of_a_load(platform: Platform, put: Put) -> None:
    """One batch is committed, another lands, twice; each drain takes over from the dead one before it."""
    put("rates/a.csv", csv_of(A))
    take(platform, RATES)
    assert seen(platform) == (3, 1100.0, 4)
    put("rates/b.csv", csv_of(B))
    put("rates/also_b.csv", csv_of(B))
    for point, served in zip(POINTS, ((3, 1100.0), (4, 1325.0), (4, 1325.0)), strict=True):
        drain(platform, point)
        assert seen(platform) == (*served, 4), point
        assert (compare_served(platform, RATES, print) == []) == (point == "averaged")
    drain(platform, None)
    assert seen(platform) == (4, 1325.0, 6)
    assert served_prices(platform) == lake_prices(platform)
    assert compare_served(platform, RATES, print) == []
    assert sorted(state for key, state in states(platform).items() if "b.csv" in key) == ["committed", "duplicate"]


def test_served_of_a_batch_that_is_never_done_again_is_taken_out(platform: Platform, put: Put) -> None:
    """Its file goes from the landing store before the next run, which finds it gone."""
    put("rates/a.csv", csv_of(A))
    take(platform, RATES)
    put("rates/b.csv", csv_of(B))
    drain(platform, "served")
    folder = platform.settings.landing_folder
    assert folder is not None
    (folder / "rates" / "b.csv").unlink()
    drain(platform, None)
    assert states(platform)["rates/b.csv"] == "deleted"
    assert seen(platform) == (3, 1100.0, 4)
    assert compare_served(platform, RATES, print) == []
