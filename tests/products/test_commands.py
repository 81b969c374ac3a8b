"""Products through the command: a drain makes them and tells what it could not, and what is forgotten leaves them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.main import main
from pipeline_assets import registry
from resources.platform import Platform
from tests.conftest import Put
from tests.erasure.traces import traces
from tests.products.toy_products import FAULT, WITH_PRODUCTS
from tests.running import look_and_run, rows_of, toy

SECRET_KEY = "toy/secret_patient.csv"
SECRET = 721.46875
Run = Callable[..., Any]


@pytest.fixture
def strandline(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Run:
    for name, value in {"HOME": platform.settings.home, "SETTLE_SECONDS": 0.05, "WORKERS": 1}.items():
        monkeypatch.setenv(f"STRANDLINE_{name}", str(value))
    monkeypatch.setattr(registry, "SOURCES", (WITH_PRODUCTS,))
    monkeypatch.setattr(registry.get_source, "__defaults__", ((WITH_PRODUCTS,),))

    def run(*arguments: str, code: int = 0) -> Any:
        platform.close()
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == code, (done.output, done.exception)
        return json.loads(done.stdout) if "--json" in arguments else done.output

    return run


def product_files(platform: Platform) -> dict[str, str]:
    root = platform.settings.products_folder
    return {path.name: path.read_text() for path in root.rglob("*") if path.is_file()}


def test_a_drain_makes_products_also_those_that_a_run_left(platform: Platform, put: Put, strandline: Run) -> None:
    put("toy/a.csv", toy(1))
    look_and_run(platform, source=WITH_PRODUCTS)
    assert product_files(platform) == {}
    assert strandline("drain", "--json")["products"] == []
    assert product_files(platform) == {
        "totals.txt": "toy/a.csv: [1.0] make 1.0\n", "copy.txt": "copy of toy/a.csv: [1.0] make 1.0\n",
    }  # fmt: skip


def test_a_drain_tells_what_it_could_not_make(platform: Platform, put: Put, strandline: Run) -> None:
    put("toy/a.csv", toy(FAULT))
    summary = strandline("drain", "--json", code=3)
    (told, *_) = [text for text in summary["products"] if text.startswith("toy/totals of ")]
    assert "write_totals failed with KeyError" in told
    assert summary["states"] == {"committed": 1}
    assert summary["failed"] == []
    assert "not made: toy/totals of " in strandline("drain", code=3), "until it is mended"


def test_nothing_of_a_forgotten_file_is_left_in_products_or_what_was_told_of_them(
    platform: Platform, put: Put, strandline: Run
) -> None:
    put(SECRET_KEY, toy(SECRET))
    put("toy/a.csv", toy(1))
    strandline("drain")
    assert str(SECRET) in product_files(platform)["totals.txt"]
    home = platform.settings.home
    places = traces(home, ["secret_patient", str(SECRET)], [SECRET])
    assert {place.split("/")[0] for place in places} >= {"products", "dagster", "lake"}
    strandline("forget", SECRET_KEY, "--yes", code=3)
    assert product_files(platform) == {
        "totals.txt": "toy/a.csv: [1.0] make 1.0\n", "copy.txt": "copy of toy/a.csv: [1.0] make 1.0\n",
    }  # fmt: skip
    platform.close()
    left = traces(home, ["secret_patient", str(SECRET)], [SECRET])
    assert [place for place in left if not place.startswith("landing/")] == []
    assert rows_of(platform, "SELECT DISTINCT state FROM operations.products") == [("made",)]


def test_events_of_runs_that_made_a_product_alone_are_forgotten_too(
    platform: Platform, put: Put, strandline: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    put("toy/a.csv", toy(SECRET))
    strandline("drain")
    from cli.drain import _Runner
    from cli.instance import use_dagster_home
    from cli.progress import BarReporter
    from resources.ledger.batches import get_batch

    (batch_id,) = rows_of(platform, "SELECT DISTINCT batch_id FROM operations.files")[0]
    use_dagster_home(platform.settings)
    with BarReporter() as bar:
        runner = _Runner(platform, WITH_PRODUCTS, bar)
        for _ in range(2):
            runner.run_products(get_batch(platform.ledger, batch_id), ["totals"])
    put("toy/other.csv", toy(3))
    strandline("drain")
    dagster = platform.settings.home / "dagster"
    assert len(traces(dagster, [str(SECRET)])) > 1
    strandline("forget", "toy/a.csv", "--yes", code=3)
    assert traces(dagster, [str(SECRET)]) == []
    assert product_files(platform) == {
        "totals.txt": "toy/other.csv: [3.0] make 3.0\n", "copy.txt": "copy of toy/other.csv: [3.0] make 3.0\n",
    }  # fmt: skip
