"""Ocean files through the front door: cruises as groups, limits for each kind of file, checks, a late file."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from pipeline_assets.definitions import Overrides, build_defs
from pipeline_assets.ocean.config import OceanConfig
from pipeline_assets.ocean.examples import Example
from pipeline_assets.ocean.source import OCEAN
from pipeline_assets.source import FileSource
from resources.ledger.batches import due
from resources.platform import Platform
from resources.settings import Settings, SettingsError
from sensors.looking import look_for_arrivals, plan_batches
from tests.conftest import Put
from tests.ocean.conftest import CONFIG
from tests.ocean.watched import Watched
from tests.running import Silent, rows_of, states


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", workers=2, settle_seconds=0.05, lease_seconds=10)


def do(platform: Platform, source: FileSource = OCEAN, config: OceanConfig = CONFIG) -> list[str]:
    from pipeline_assets.batch_run import run_batch

    look_for_arrivals(platform, source)
    plan_batches(platform, source, flush=True)
    done = []
    for batch in due(platform.ledger, "ocean"):
        run_batch(
            platform,
            source,
            config,
            batch.batch_id,
            f"run-{batch.batch_id}-{batch.attempt}",
            Silent(),
            hold_when_stopped=lambda: True,
        )
        done.append(batch.partition)
    return done


def test_a_made_up_cruise(platform: Platform, put: Put, examples: list[Example]) -> None:
    for example in examples:
        put(f"ocean/{example.key}", example.path.read_bytes())
    assert do(platform) == ["99ST20240105", "broken", "mooring_water_level", "mooring_water_level_again"]
    found = states(platform)
    for example in examples:
        assert found[f"ocean/{example.key}"] == ("committed" if example.error_class is None else "quarantined"), (
            example.key
        )
    refused = dict(rows_of(platform, "SELECT key, error_class FROM operations.quarantine"))
    assert refused == {f"ocean/{e.key}": e.error_class for e in examples if e.error_class}
    counted = dict(rows_of(platform, "SELECT source_key, observations FROM ocean.files"))
    assert counted == {f"ocean/{e.key}": e.observations for e in examples if e.error_class is None}
    levels = rows_of(
        platform, "SELECT f.source_key, count(*) FROM ocean.levels l JOIN ocean.files f USING (file_id) GROUP BY 1"
    )
    assert dict(levels) == counted
    query = """SELECT count(*), count(DISTINCT station) FROM ocean.observations WHERE cruise = '99ST20240105'
        AND standard_name = 'sea_water_practical_salinity' AND pressure_dbar BETWEEN 500 AND 1000"""
    ((values, stations),) = rows_of(platform, query)
    assert values > 500
    assert stations == 6
    box = rows_of(
        platform,
        "SELECT crosses_dateline, longitude_west, longitude_east FROM ocean.files WHERE kind = 'exchange_ctd_zip'",
    )
    assert box == [(True, 178.0, -178.0)]

    late = next(example for example in examples if example.key.endswith("_hy1.csv"))
    put("ocean/99ST20240105/again_hy1.csv", late.path.read_bytes())
    assert do(platform) == ["99ST20240105"]
    ((files, batches),) = rows_of(
        platform, "SELECT count(*), count(DISTINCT batch_id) FROM ocean.files WHERE group_name = '99ST20240105'"
    )
    assert (files, batches) == (7, 1)


@pytest.mark.parametrize(("limit", "together"), [(1, 1), (None, 2)])
def test_no_more_files_of_a_kind_are_read_at_once_than_may_be(
    platform: Platform, put: Put, tmp_path: Path, examples: list[Example], limit: int | None, together: int
) -> None:
    folder = tmp_path / "watch"
    folder.mkdir()
    readers = tuple(
        dataclasses.replace(reader, read=Watched(str(folder))) if reader.name == "exchange_ctd" else reader
        for reader in OCEAN.readers
    )
    source = dataclasses.replace(OCEAN, readers=readers, picture=None)
    content = next(example for example in examples if example.key.endswith("named_wrongly.nc")).path.read_bytes()
    for number in range(6):
        put(f"ocean/cruise/{number}_ct1.csv", content.replace(b"CASTNO = 2", f"CASTNO = {number}".encode()))
    put("ocean/cruise/other.csv", b"time,depth,temp\n2024-01-01T00:00:00Z,5,10\n")
    do(platform, source, OceanConfig(exchange_at_once=limit))
    assert set(states(platform).values()) == {"committed"}
    spans = sorted(tuple(map(int, path.name.split("_")[1:])) for path in folder.iterdir())
    assert len(spans) == 6
    most = max(sum(begin <= at < end for begin, end in spans) for at, _ in spans)
    assert most == together if limit == 1 else most <= together


def test_a_limit_names_a_field_of_the_configuration() -> None:
    with pytest.raises(ValueError, match="`at_most` names no field of OceanConfig"):
        dataclasses.replace(OCEAN, readers=(dataclasses.replace(OCEAN.readers[0], at_most="nothing"),))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def test_checks_show_what_was_found(
    platform: Platform, put: Put, examples: list[Example], instance: dg.DagsterInstance
) -> None:
    from pipeline_assets.source_defs import job_name, partitions_name

    for example in examples:
        if example.key.endswith(("_hy1.csv", "_ctd.nc")):
            put(f"ocean/{example.key}", example.path.read_bytes())
    look_for_arrivals(platform, OCEAN)
    plan_batches(platform, OCEAN, flush=True)
    (batch,) = due(platform.ledger, "ocean")
    instance.add_dynamic_partitions(partitions_name(OCEAN), [batch.partition])
    defs = build_defs(Overrides(sources=(OCEAN,), platform=platform))
    job = defs.resolve_job_def(job_name(OCEAN))
    result = job.execute_in_process(instance=instance, partition_key=batch.partition)
    assert result.success
    found = {one.check_name: one for one in result.get_asset_check_evaluations()}
    assert {name for name, one in found.items() if not one.passed} == {"flag_rules"}
    assert found["flag_rules"].description == "2 kinds of breaches of the flag rules, 2 times"
    assert {"qartod", "pressure_order", "places_and_times", "cf_conventions", "no_errors"} <= found.keys()
    assert found["cf_conventions"].metadata["scored"].value == 1


def test_the_quiet_time_of_a_group_is_a_setting(
    tmp_path: Path, put: Put, platform: Platform, examples: list[Example]
) -> None:
    put("ocean/one_ct1.csv", examples[-1].path.read_bytes() or b"CTD")
    look_for_arrivals(platform, OCEAN)
    plan_batches(platform, OCEAN)
    assert due(platform.ledger, "ocean") == [], "the source asks for five seconds"
    platform.settings = platform.settings.model_copy(update={"group_quiet_seconds": {"ocean": 0.0}})
    plan_batches(platform, OCEAN)
    assert [batch.partition for batch in due(platform.ledger, "ocean")] == ["one"]


def test_what_is_wrong_with_a_quiet_time_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STRANDLINE_GROUP_QUIET_SECONDS", "ocean=60, nosuch=1")
    platform = Platform(Settings.load())
    try:
        with pytest.raises(SettingsError, match="STRANDLINE_GROUP_QUIET_SECONDS names no source: nosuch"):
            build_defs(Overrides(platform=platform))
    finally:
        platform.close()
    monkeypatch.setenv("STRANDLINE_GROUP_QUIET_SECONDS", "60")
    with pytest.raises(SettingsError, match="expected SOURCE=SECONDS"):
        Settings.load()
