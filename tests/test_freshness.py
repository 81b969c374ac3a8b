"""A source whose files stop coming shows, and so does their return. The times are the ledger's, moved by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import update

from pipeline_assets.definitions import Overrides, build_defs
from pipeline_assets.freshness import FRESHNESS, in_words
from resources.ledger.database import utc_now
from resources.ledger.tables import files
from resources.platform import Platform
from tests.conftest import Put
from tests.running import look_and_run, toy
from tests.toy_source import TOY

HOURLY = replace(TOY, expect_every=timedelta(hours=1))
RAW = dg.AssetKey(["toy", "raw_files"])


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def defs(platform: Platform) -> dg.Definitions:
    return build_defs(Overrides(sources=(HOURLY,), platform=platform))


def age_files(platform: Platform, by: timedelta) -> None:
    with platform.ledger.write() as connection:
        connection.execute(update(files).values(seen_at=utc_now() - by))


class Sensor:
    """The freshness sensor, with its cursor from tick to tick."""

    def __init__(self, defs: dg.Definitions, platform: Platform, instance: dg.DagsterInstance) -> None:
        self._sensor = defs.resolve_sensor_def("toy_freshness")
        self._platform, self._instance = platform, instance
        self._cursor: str | None = None

    def __call__(self) -> dg.AssetCheckEvaluation | None:
        context = dg.build_sensor_context(
            instance=self._instance, cursor=self._cursor, resources={"platform": self._platform}
        )
        result: Any = self._sensor(context)
        if result.cursor:
            self._cursor = result.cursor
        assert not result.run_requests
        return result.asset_events[0] if result.asset_events else None


def test_the_sensor_tells_of_every_change_once(
    defs: dg.Definitions, platform: Platform, instance: dg.DagsterInstance, put: Put
) -> None:
    look = Sensor(defs, platform, instance)
    never = look()
    assert never is not None
    assert (never.asset_key, never.check_name, never.passed) == (RAW, FRESHNESS, False)
    assert "no file has landed yet; one is expected every 60 min" in (never.description or "")
    assert look() is None, "told already"

    put("toy/a", toy(1))
    look_and_run(platform)
    fresh = look()
    assert fresh is not None
    assert fresh.passed
    assert look() is None

    age_files(platform, timedelta(minutes=61))
    late = look()
    assert late is not None
    assert (late.passed, late.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "the newest file was seen 61 min ago" in (late.description or "")

    age_files(platform, timedelta(hours=2))
    missing = look()
    assert missing is not None
    assert (missing.passed, missing.severity) == (False, dg.AssetCheckSeverity.ERROR)

    put("toy/b", toy("bad"))
    look_and_run(platform)
    again = look()
    assert again is not None
    assert again.passed, "a refused file has come, too"


def test_a_stale_source_shows_in_the_ui_s_record(
    defs: dg.Definitions, platform: Platform, instance: dg.DagsterInstance, put: Put
) -> None:
    put("toy/a", toy(1))
    batch = look_and_run(platform).batch.batch_id
    instance.add_dynamic_partitions("toy_batches", [batch])
    age_files(platform, timedelta(hours=3))
    key = dg.AssetCheckKey(RAW, FRESHNESS)
    job = defs.resolve_job_def("toy_ingest")
    result = job.execute_in_process(
        instance=instance, partition_key=batch, resources={"platform": platform}, raise_on_error=False
    )
    assert result.success, "a check that fails is no failure of the run"
    recorded = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
    assert recorded.status.value == "FAILED"
    (shown,) = [check for check in result.get_asset_check_evaluations() if check.check_name == FRESHNESS]
    assert shown.severity == dg.AssetCheckSeverity.ERROR
    assert "seen 3 h ago" in (shown.description or ""), "doing an old batch again makes nothing fresh"


@pytest.mark.parametrize(
    ("time", "words"),
    [
        (timedelta(seconds=90), "90 s"),
        (timedelta(minutes=2), "2 min"),
        (timedelta(hours=24), "24 h"),
        (timedelta(hours=2.5), "2.5 h"),
        (timedelta(days=7), "7 days"),
    ],
)
def test_times_in_words(time: timedelta, words: str) -> None:
    assert in_words(time) == words
