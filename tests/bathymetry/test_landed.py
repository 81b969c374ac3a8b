"""Surveys through the front door: groups that start by their mark, declarations, refusals, late lines, checks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from pipeline_assets.batch_run import BatchHeld, run_batch
from pipeline_assets.bathymetry.checks import all_lines_there, one_reference, rejected_share
from pipeline_assets.bathymetry.config import BathymetryConfig, Declared, parse_declaration, why_it_stops
from pipeline_assets.bathymetry.derive import soundings_of
from pipeline_assets.bathymetry.examples import SURVEY, Example, declaration
from pipeline_assets.bathymetry.made_survey import CRS, MadeLine, gsf, sea_floor
from pipeline_assets.bathymetry.source import BATHYMETRY
from pipeline_assets.definitions import Overrides, build_defs
from pipeline_assets.landed_file import LandedFile, Refused
from resources.lake.sql import run_query
from resources.ledger.batches import claim, due, get_batch, give_back, release
from resources.platform import Platform
from resources.settings import Settings
from sensors.looking import look_for_arrivals, plan_batches
from tests.conftest import Put
from tests.running import Silent, rows_of, states


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", workers=2, settle_seconds=0.05, lease_seconds=10)


def do(platform: Platform, *, flush: bool = False) -> list[str]:
    """Look and run what is due; the surveys that were read."""
    look_for_arrivals(platform, BATHYMETRY)
    plan_batches(platform, BATHYMETRY, flush=flush)
    done = []
    for batch in due(platform.ledger, "bathymetry"):
        run_batch(
            platform, BATHYMETRY, BathymetryConfig(), batch.batch_id, f"run-{batch.batch_id}-{batch.attempt}", Silent(),
            hold_when_stopped=lambda: True,
        )  # fmt: skip
        done.append(batch.partition)
    return done


def land(put: Put, examples: list[Example], survey: str, *, without: str = "") -> list[Example]:
    landed = [
        one for one in examples if one.key.startswith(f"{survey}/") and not (without and one.key.endswith(without))
    ]
    for example in landed:
        put(f"bathymetry/{example.key}", example.path.read_bytes())
    return landed


def test_a_survey_starts_with_its_mark_and_every_sounding_is_there(
    platform: Platform, put: Put, examples: list[Example]
) -> None:
    landed = land(put, examples, SURVEY, without="survey.done")
    assert do(platform) == [], "60 s have not passed, and no mark is there"
    put(f"bathymetry/{SURVEY}/survey.done", b"done\n")
    assert do(platform) == [SURVEY]
    assert Counter(states(platform).values()) == {"committed": len(landed) + 1}
    counted = dict(rows_of(platform, "SELECT line, count(*) FROM bathymetry.soundings GROUP BY line"))
    assert counted == {one.key.partition("/")[2]: one.soundings for one in landed if one.soundings}
    assert dict(rows_of(platform, "SELECT line, soundings FROM bathymetry.lines")) == counted
    rows = {
        name: run_query(platform.lake, platform.ledger, f"SELECT * FROM bathymetry.{name}")
        for name in ("soundings", "lines")
    }
    found = soundings_of(rows)
    assert (found.crs, found.vertical_datum) == (CRS, "MSL")
    assert len(found.x) == sum(counted.values())
    assert Counter(found.lines[at] for at in found.line) == counted
    error = found.depth - sea_floor(found.x, found.y)
    assert np.median(np.abs(error[found.accepted])) < 0.08
    ((surveys, expected),) = rows_of(platform, "SELECT count(*), max(lines) FROM bathymetry.surveys")
    assert (surveys, expected) == (1, len(counted))


def test_broken_files_are_refused_by_name_and_the_others_go_on(
    platform: Platform, put: Put, examples: list[Example]
) -> None:
    for survey in ("broken", "northern", "misdeclared", "undeclared"):
        land(put, examples, survey)
    whole = next(one for one in examples if one.key == "northern/0001.gsf").path.read_bytes()
    put("bathymetry/broken/whole.gsf", whole)
    do(platform)
    wanted = {
        f"bathymetry/{one.key}": one.error_class
        for one in examples
        if one.error_class and one.key.split("/")[0] in ("broken", "northern", "misdeclared", "undeclared")
    }
    assert dict(rows_of(platform, "SELECT key, error_class FROM operations.quarantine")) == wanted
    assert rows_of(platform, "SELECT survey, line FROM bathymetry.lines") == [("broken", "whole.gsf")]


def test_a_declaration_that_is_mended_has_the_whole_survey_read_again(
    platform: Platform, put: Put, examples: list[Example]
) -> None:
    land(put, examples, "misdeclared")
    do(platform)
    assert set(states(platform).values()) == {"quarantined", "committed"}, "the mark is committed"
    put("bathymetry/misdeclared/survey.json", declaration(crs=CRS, vertical_datum="LAT"))
    do(platform, flush=True)
    assert set(states(platform).values()) == {"committed"}
    assert rows_of(platform, "SELECT line, crs, vertical_datum FROM bathymetry.lines") == [("0001.gsf", CRS, "LAT")]
    # Another declaration changes every line's rows, though no line changed.
    put("bathymetry/misdeclared/survey.json", declaration(crs=CRS, vertical_datum="MSL"))
    do(platform, flush=True)
    assert rows_of(platform, "SELECT line, vertical_datum FROM bathymetry.lines") == [("0001.gsf", "MSL")]


def test_a_survey_that_wants_to_be_whole_waits_for_its_mended_line(
    platform: Platform, put: Put, made: MadeLine
) -> None:
    first, second = gsf(made), gsf(replace(made, x=made.x + 20.0, ping_x=made.ping_x + 20.0))
    put("bathymetry/whole/survey.json", declaration(crs=CRS, vertical_datum="MSL", on_refused="stop"))
    put("bathymetry/whole/0001.gsf", first)
    put("bathymetry/whole/survey.done", b"done\n")
    assert do(platform) == ["whole"]
    put("bathymetry/whole/0002.gsf", second[:-100])
    stopped = r"on_refused is `stop`.*whole/0002\.gsf \(truncated_gsf\): the file ends.*strandline release"
    with pytest.raises(BatchHeld, match=stopped):
        do(platform, flush=True)
    assert rows_of(platform, "SELECT line FROM bathymetry.lines") == [("0001.gsf",)], "what was published stays"
    held = "SELECT key, error_class FROM operations.files WHERE state = 'held' AND error_class IS NOT NULL"
    assert rows_of(platform, held) == [("bathymetry/whole/0002.gsf", "truncated_gsf")]
    assert do(platform, flush=True) == [], "nothing landed that could mend it"
    put("bathymetry/whole/0002.gsf", second[: len(second) // 2])
    with pytest.raises(BatchHeld, match=stopped):
        do(platform, flush=True)
    put("bathymetry/whole/0002.gsf", second)
    assert do(platform, flush=True) == ["whole"], "the mended line lets it go on"
    assert rows_of(platform, "SELECT line FROM bathymetry.lines ORDER BY line") == [("0001.gsf",), ("0002.gsf",)]
    assert set(states(platform).values()) == {"committed"}
    refused = "SELECT DISTINCT state FROM operations.files WHERE error_class IS NOT NULL"
    assert rows_of(platform, refused) == [("superseded",)]
    assert not get_batch(platform.ledger, BATHYMETRY.batch_of("whole")).released, "the next refusal stops it again"


def test_a_person_lets_a_stopped_survey_go_on_without_its_line(platform: Platform, put: Put, made: MadeLine) -> None:
    put("bathymetry/whole/survey.json", declaration(crs=CRS, vertical_datum="MSL", on_refused="stop"))
    put("bathymetry/whole/0001.gsf", gsf(made))
    put("bathymetry/whole/0002.gsf", gsf(made)[:-100])
    with pytest.raises(BatchHeld, match="go on without these files"):
        do(platform, flush=True)
    assert rows_of(platform, "SELECT count(*) FROM operations.files WHERE state = 'held'") == [(3,)]
    release(platform.ledger, BATHYMETRY.batch_of("whole"))
    assert do(platform, flush=True) == ["whole"]
    assert rows_of(platform, "SELECT line FROM bathymetry.lines") == [("0001.gsf",)]
    assert states(platform)["bathymetry/whole/0002.gsf"] == "quarantined"


def test_a_stopped_survey_that_a_person_canceled_meanwhile_waits_for_a_person(
    platform: Platform, put: Put, made: MadeLine
) -> None:
    put("bathymetry/whole/survey.json", declaration(crs=CRS, vertical_datum="MSL", on_refused="stop"))
    put("bathymetry/whole/0001.gsf", gsf(made)[:-100])
    with pytest.raises(BatchHeld):
        do(platform, flush=True)
    release(platform.ledger, BATHYMETRY.batch_of("whole"))
    claimed = claim(platform.ledger, BATHYMETRY.batch_of("whole"), "run-canceled", 30)
    give_back(platform.ledger, claimed, "canceled by a person", max_attempts=3, hold=True)
    put("bathymetry/whole/0001.gsf", gsf(made))
    assert do(platform, flush=True) == []


def test_whether_a_survey_stops_is_declared_or_a_setting() -> None:
    key = ["bathymetry/s/a.gsf"]

    def said(**declared: object) -> dict[str, LandedFile]:
        return {"survey.json": LandedFile("bathymetry/s/survey.json", data=declaration(**declared))}

    stops, one = BathymetryConfig(on_refused="stop"), BathymetryConfig(surveys={"s": Declared(on_refused="stop")})
    assert why_it_stops(BathymetryConfig(), {}, key) is None
    assert why_it_stops(BathymetryConfig(), said(on_refused="stop"), key)
    assert why_it_stops(stops, {}, key)
    assert why_it_stops(stops, said(crs="UTM"), key), "a declaration that is wrong says nothing"
    assert why_it_stops(stops, said(on_refused="continue"), key) is None
    assert why_it_stops(one, {}, key)
    assert why_it_stops(one, {}, ["bathymetry/other/a.gsf"]) is None
    with pytest.raises(Refused, match=r"on_refused: Input should be 'continue' or 'stop'"):
        parse_declaration(declaration(on_refused="hope"))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def test_a_missing_line_is_named_by_a_check(
    platform: Platform, put: Put, examples: list[Example], instance: dg.DagsterInstance
) -> None:
    from pipeline_assets.source_defs import job_name, partitions_name

    land(put, examples, SURVEY, without="0002_W.gsf")
    look_for_arrivals(platform, BATHYMETRY)
    plan_batches(platform, BATHYMETRY)
    (batch,) = due(platform.ledger, "bathymetry")
    instance.add_dynamic_partitions(partitions_name(BATHYMETRY), [batch.partition])
    defs = build_defs(Overrides(sources=(BATHYMETRY,), platform=platform))
    result = defs.resolve_job_def(job_name(BATHYMETRY)).execute_in_process(
        instance=instance, partition_key=batch.partition
    )
    assert result.success
    found = {one.check_name: one for one in result.get_asset_check_evaluations()}
    assert {name for name, one in found.items() if not one.passed} == {"all_lines"}
    assert found["all_lines"].metadata["missing"].value == 1
    assert {"one_reference", "rejected_soundings"} <= found.keys()


def test_what_checks_judge() -> None:
    config = BathymetryConfig()
    lines = pd.DataFrame(
        {"line": ["a", "b"], "manifest": ['["a", "b"]'] * 2, "crs": [CRS] * 2, "vertical_datum": ["MSL"] * 2,
         "soundings": [100, 100], "accepted": [99, 71]}
    )  # fmt: skip
    assert all(check(lines, config).passed for check in (all_lines_there, one_reference, rejected_share))
    lines.loc[1, ["line", "vertical_datum", "accepted"]] = ["c", "LAT", 69]
    judged = [check(lines, config) for check in (all_lines_there, one_reference, rejected_share)]
    assert [one.passed for one in judged] == [False, False, False]
    assert list(judged[0].records) == [{"line": "b", "is": "missing"}, {"line": "c", "is": "not named"}]
    assert "LAT, MSL" in judged[1].description
    assert list(judged[2].records) == [{"line": "c", "soundings": 100, "accepted": 69}]
    unknown = lines.assign(vertical_datum="unknown")
    assert not one_reference(unknown, config).passed
    assert all_lines_there(lines.assign(manifest=None), config).passed
    assert not all_lines_there(lines.iloc[:0], config).passed
