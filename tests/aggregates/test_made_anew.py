"""When an aggregate is computed anew as a whole: other code, lost tables, lost ledger."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pytest
from pandera.typing.pandas import Series

from pipeline_assets.operations.reconcile import reconcile
from pipeline_assets.source import NoConfig
from resources.lake import lake as lake_module
from resources.lake.lake import TableName
from resources.ledger.aggregates import made_from
from resources.ledger.publishing import published_snapshots
from resources.platform import Platform
from tests.aggregates.updating import (
    assert_up_to_date,
    behind,
    land_and_run,
    update,
)
from tests.conftest import Put
from tests.running import independent, look_and_run, rows_of, toy, visible
from tests.toy_source import BY_VALUE, TOY

BY_VALUE_NAME = TableName("toy", "by_value")


def test_a_change_of_code_or_schema_makes_it_anew(platform: Platform, put: Put) -> None:
    land_and_run(platform, put, a=toy(1, 1, 2))
    update(platform)
    changed = dataclasses.replace(BY_VALUE, schema=Averages, compute=averages)
    assert behind(platform, changed)
    report = update(platform, changed)
    assert report.rebuilt == "its code, schema or configuration changed"
    rows = rows_of(platform, "SELECT value, readings, mean_n FROM toy.by_value ORDER BY value")
    assert rows == [(1.0, "2", 0.5), (2.0, "1", 2.0)]
    assert not behind(platform, changed)
    back = update(platform)
    assert back.rebuilt == "its code, schema or configuration changed"
    assert_up_to_date(platform)


class Averages(pa.DataFrameModel):
    """Another schema: a column of another type, one less, one more."""

    value: Series[np.float64] = pa.Field(description="reading")
    readings: Series[str] = pa.Field(description="how often, in words")
    mean_n: Series[np.float64] = pa.Field(description="mean number")

    class Config:
        strict = True


def averages(rows: pd.DataFrame, config: NoConfig) -> pd.DataFrame:
    by = rows.groupby("value")["n"]
    return pd.DataFrame({"readings": by.size().astype(str), "mean_n": by.mean()}).reset_index()


def test_it_is_made_anew_when_asked_for(platform: Platform, put: Put) -> None:
    land_and_run(platform, put, a=toy(1, 2))
    update(platform)
    report = update(platform, whole=True)
    assert (report.rebuilt, report.keys) == ("that was asked for", 2)
    assert_up_to_date(platform)


def test_the_snapshot_it_was_made_from_outlives_the_others(platform: Platform, put: Put) -> None:
    land_and_run(platform, put, a=toy(1, 2))
    update(platform)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(lake_module, "_SNAPSHOTS_BEFORE_EXPIRY", 0)
        patched.setattr(lake_module, "_SNAPSHOT_AGE", lake_module._SNAPSHOT_AGE * 0)
        for number in range(4):
            land_and_run(platform, put, **{f"b{number}": toy(number + 10)})
        kept = platform.lake.catalog.load_table(("toy", "readings")).metadata.snapshots
        assert len(kept) == 3, "the newest, the one published before it, and the aggregate's"
        report = update(platform)
        assert (report.rebuilt, report.keys) == ("", 4)
        land_and_run(platform, put, last=toy(1))
        land_and_run(platform, put, very_last=toy(2))
    update(platform)
    assert_up_to_date(platform)


def test_without_that_snapshot_it_is_made_anew(platform: Platform, put: Put) -> None:
    land_and_run(platform, put, a=toy(1, 2))
    update(platform)
    land_and_run(platform, put, b=toy(3))
    made = made_from(platform.ledger, "toy", "by_value")
    assert made is not None
    table = platform.lake.catalog.load_table(("toy", "readings"))
    table.maintenance.expire_snapshots().by_ids([made.inputs["readings"]]).commit()
    report = update(platform)
    assert report.rebuilt == "the rows of toy.readings that it was made from are not known any more"
    assert_up_to_date(platform)


@pytest.mark.parametrize("part", ["data", "metadata", ""], ids=["data files", "metadata", "whole"])
def test_a_lost_table_is_made_anew(platform: Platform, put: Put, part: str) -> None:
    land_and_run(platform, put, a=toy(1, 2))
    update(platform)
    place = Path(platform.lake.location(BY_VALUE_NAME).removeprefix("file://")) / part
    assert place.is_dir()
    shutil.rmtree(place)
    findings = reconcile(platform, TOY)
    assert (findings.aggregates, findings.lake_lost, findings.balanced) == (["by_value"], False, False)
    assert visible(platform) == {"toy/a": [1.0, 2.0]}, "the rest of the source can be read meanwhile"
    assert update(platform).rebuilt == "it was never made before"
    assert_up_to_date(platform)
    assert reconcile(platform, TOY).balanced


def test_a_lost_lake_or_ledger_makes_it_anew(platform: Platform, put: Put) -> None:
    land_and_run(platform, put, a=toy(1, 2))
    update(platform)
    shutil.rmtree(platform.settings.lake_folder)
    platform.close()
    assert reconcile(platform, TOY).lake_lost
    look_and_run(platform, "run-after")
    update(platform)
    assert_up_to_date(platform)
    platform.close()
    for path in platform.settings.home.glob("ledger.db*"):
        path.unlink()
    assert reconcile(platform, TOY).adopted == 1
    assert behind(platform)
    update(platform)
    assert_up_to_date(platform)
    assert visible(platform) == independent(platform.landing.root)


def test_an_aggregate_that_is_declared_no_more_is_not_shown(platform: Platform, put: Put) -> None:
    land_and_run(platform, put, a=toy(1))
    update(platform)
    without = dataclasses.replace(TOY, aggregates=())
    assert reconcile(platform, without).aggregates == ["by_value"]
    assert set(published_snapshots(platform.ledger, "toy")) == {"readings", "files"}
    assert reconcile(platform, without).balanced
