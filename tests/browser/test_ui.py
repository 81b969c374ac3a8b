"""A person lands recordings and looks at every page of the UI that tells of them. Screenshots go to `screenshots/`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline_assets.ecg.examples import Example, write_examples
from resources.ledger.queries import count_by_state, list_files
from tests.browser.dev_server import DevServer
from tests.crash.sessions import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

pytestmark = pytest.mark.browser

SCREENSHOTS = Path(__file__).parent / "screenshots"
PAGE_SECONDS = 30.0
SETTLE_SECONDS = 90.0
SAMPLES_OF_ONE = 3600


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    return write_examples(tmp_path_factory.mktemp("recordings") / "ward", seed=3, good=6, records=False)


@pytest.fixture(scope="module")
def good(landed: list[Example]) -> list[Example]:
    return [example for example in landed if example.error_class is None]


@pytest.fixture(scope="module")
def refused(landed: list[Example]) -> list[Example]:
    return [example for example in landed if example.error_class is not None]


@pytest.fixture(scope="module")
def server(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory, landed: list[Example], good: list[Example]
) -> Iterator[DevServer]:
    """`strandline dev` after all files that were landed beside it are settled."""
    folder = landed[0].path.parents[len(Path(landed[0].key).parts) - 1]
    one_batch = {"STRANDLINE_BATCH_WAIT_SECONDS": "1"}
    with DevServer(tmp_path_factory.mktemp("ui") / "home", **one_batch) as started:
        started.strandline("land", "ecg", str(folder))
        expected = {"committed": len(good), "quarantined": len(landed) - len(good)}
        wait_until(
            lambda: count_by_state(started.platform.ledger) == expected,
            SETTLE_SECONDS,
            f"all files are settled; see {started.log}",
        )
        wait_until(lambda: run_status(started) == "SUCCESS", SETTLE_SECONDS, "the run ends")
        yield started


def run_status(server: DevServer) -> str:
    query = "{ runsOrError { ... on Runs { results { status } } } }"
    return server.graphql(query)["runsOrError"]["results"][0]["status"]


@pytest.fixture(scope="module")
def batch(server: DevServer) -> str:
    batches = {row.batch_id for row in list_files(server.platform.ledger)}
    assert len(batches) == 1
    return batches.pop()


@pytest.fixture(scope="module")
def run_id(server: DevServer) -> str:
    return list_files(server.platform.ledger)[0].run_id


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 1440, "height": 1000})
    opened.set_default_timeout(PAGE_SECONDS * 1000)
    yield opened
    opened.close()


Visit = Callable[[str], None]


@pytest.fixture
def visit(page: Page, server: DevServer, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """Go to a page of the UI; what is seen in the end is kept as a picture named after the test."""
    yield lambda path: page.goto(server.address + path) and None
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{request.node.name.removeprefix('test_')}.png")


def see(page: Page, *texts: str) -> None:
    """Wait until each text is to be seen somewhere on the page."""
    for text in texts:
        page.get_by_text(text).locator("visible=true").first.wait_for()


def row_of(page: Page, key: str) -> Locator:
    """A row of the metadata table on the asset's page."""
    return page.locator("tr", has=page.get_by_text(key, exact=True)).last


def test_runs_page(page: Page, visit: Visit, batch: str, run_id: str) -> None:
    visit("/runs")
    see(page, run_id[:8], "ecg_ingest", "ecg_arrivals", "Success", batch)
    assert not page.get_by_text("Failure", exact=True).count()


def test_run_page(page: Page, visit: Visit, batch: str, run_id: str) -> None:
    visit(f"/runs/{run_id}")
    see(page, "Success", f"partition: {batch}", "Succeeded (3)", "Errored (0)", "RUN_SUCCESS")
    page.get_by_text("Succeeded (3)").click()
    see(page, "ecg__raw_files", "ecg_tables", "ecg_balance")


def test_asset_page(page: Page, visit: Visit, good: list[Example], refused: list[Example]) -> None:
    visit("/assets/ecg/samples")
    see(page, "Row count", f"{SAMPLES_OF_ONE * len(good):,}", "one row for each sample of each lead")
    see(
        page,
        "recording_id",
        "voltage, (adu - baseline) / gain; missing where the recording marks a sample as invalid [mV]",
        "double",
        "non-nullable",
        "≥ 0",
        "batch_id",
    )
    see(page, "cardiology", "Iceberg", "ecg_ingest", "ecg_arrivals", "read_matlab5")
    assert row_of(page, "files committed").locator("td").last.inner_text().strip() == str(len(good))
    for example in refused:
        see(page, example.key)
    fits(page, "refused")
    fits(page, "query it")
    fits(page, "columns come from")


def test_lineage_of_columns_opens_whole(page: Page, visit: Visit) -> None:
    visit("/assets/ecg/recordings")
    row_of(page, "columns come from").get_by_text("[Show Markdown]").click()
    dialog = page.get_by_role("dialog")
    for name, origins in {
        "mean_mv": "samples.mv",
        "class_label": "file.key",
        "recording_id": "samples.recording_id",
    }.items():
        row = dialog.locator("tr", has=page.get_by_text(name, exact=True))
        assert row.locator("td").last.inner_text() == origins
    page.wait_for_timeout(500)  # the dialog fades in


def fits(page: Page, key: str) -> None:
    """Fails when the value of a row of the metadata table reaches beyond the part of the page that shows it."""
    beyond = row_of(page, key).evaluate(
        """row => {
            let shown = row.closest("table");
            while (shown.parentElement && getComputedStyle(shown).overflowX === "visible") shown = shown.parentElement;
            return row.getBoundingClientRect().right - shown.getBoundingClientRect().right;
        }"""
    )
    assert beyond <= 0, f"{key} is cut off by {beyond} pixels"


def test_picture_of_a_recording(page: Page, visit: Visit, good: list[Example]) -> None:
    visit("/assets/ecg/samples")
    row_of(page, "picture").get_by_text("[Show Markdown]").click()
    picture = page.get_by_role("dialog").locator("img")
    picture.wait_for()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
    page.wait_for_timeout(500)  # the dialog fades in
    shown = picture.get_attribute("alt") or ""
    assert any(shown.endswith(example.key) for example in good), shown


def test_partitions_tab(page: Page, visit: Visit, batch: str, good: list[Example]) -> None:
    visit("/assets/ecg/samples?view=partitions")
    see(page, "Materialized (1)", "Failed (0)", "Missing (0)")
    page.get_by_text(batch).locator("visible=true").last.click()
    see(page, "Latest materialization", "dagster/partition_row_count", str(SAMPLES_OF_ONE * len(good)))


def test_balance_check(page: Page, visit: Visit, good: list[Example]) -> None:
    visit("/assets/ecg/samples?view=checks&checkDetail=balance")
    see(page, f"{SAMPLES_OF_ONE * len(good)} rows of {len(good)} files", "Passed", "rows in ledger")


def test_quarantine_rate_check(page: Page, visit: Visit, landed: list[Example], refused: list[Example]) -> None:
    visit("/assets/ecg/samples?view=checks&checkDetail=quarantine_rate")
    see(page, f"{len(refused)} of {len(landed)} files refused")
    for example in refused:
        row = page.locator("tr", has_text=example.key).last
        row.wait_for()
        reasons = row.locator("td").all_inner_texts()
        assert all(text.strip() for text in reasons[:3]), reasons
    flat = page.locator("tr", has_text="flat_line.mat").last.inner_text()
    assert "does not change for" in flat
    assert "lead MLII, samples 1200-2399" in flat


def test_lineage_tab(page: Page, visit: Visit) -> None:
    visit("/assets/ecg/samples?view=lineage&lineageScope=neighbors")
    see(page, "raw_files", "samples", "recordings", "beats", "2 / 3 Passed", "2 / 2 Passed")
    x = {name: x_of(page, name) for name in ("raw_files", "recordings", "beats")}
    assert x["raw_files"] < x["recordings"] == x["beats"], "samples stands between its parent and its children"


def x_of(page: Page, asset: str) -> float:
    box = page.get_by_text(asset, exact=True).locator("visible=true").first.bounding_box()
    assert box
    return round(box["x"])


def test_sensor_page(page: Page, visit: Visit) -> None:
    visit("/locations/strandline/sensors/ecg_arrivals")
    see(page, "Looks for ecg files that landed", "ecg_ingest", "Running", "runs requested", "View logs")
    assert page.get_by_role("switch").or_(page.locator("input[type=checkbox]")).first.is_checked()


def test_ctrl_c_ends_everything(server: DevServer) -> None:
    """Last in this file: it ends the server."""
    server.interrupt()
