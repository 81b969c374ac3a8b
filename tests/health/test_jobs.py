"""Completeness and the trial of schemas as Dagster jobs, on ephemeral instances."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipeline_assets.definitions import Overrides, build_defs
from pipeline_assets.health.assets import ALL_TAKEN, COMPLETE, COMPLETENESS, SAMPLE
from pipeline_assets.health.examples import documents
from pipeline_assets.health.mapping import OWN_FOLDER
from pipeline_assets.health.source import HEALTH
from resources.platform import Platform
from tests.conftest import Put
from tests.health.front_door import KEPT, land, look_and_run


@dataclass
class Jobs:
    platform: Platform
    instance: dg.DagsterInstance

    @property
    def defs(self) -> dg.Definitions:
        return build_defs(Overrides(sources=(HEALTH,), platform=self.platform))

    def run(self, job: str, op: str, **config: str) -> dg.ExecuteInProcessResult:
        run_config = {"ops": {op: {"config": config}}} if config else {}
        return self.defs.resolve_job_def(job).execute_in_process(
            instance=self.instance, run_config=run_config, raise_on_error=False
        )


@pytest.fixture
def jobs(platform: Platform) -> Iterator[Jobs]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Jobs(platform, instance)


def shown(result: dg.ExecuteInProcessResult) -> tuple[dict[str, Any], dg.AssetCheckEvaluation]:
    assert result.success
    (event,) = result.get_asset_materialization_events()
    (check,) = result.get_asset_check_evaluations()
    return {name: value.value for name, value in event.materialization.metadata.items()}, check


def why(result: dg.ExecuteInProcessResult) -> str:
    assert not result.success
    (event,) = [event for event in result.all_events if event.is_step_failure]
    return str(event.step_failure_data.user_failure_data.description)  # type: ignore[union-attr]


def test_a_listing_is_compared_with_what_landed(jobs: Jobs, put: Put, tmp_path: Path) -> None:
    land(put, "done")
    land(put, "refused", documents(0, 1, 5) | {"weather.json": {}})
    land(put, "again", exportedon="2026-03-01T00:00:00Z")
    look_and_run(jobs.platform)
    listing = tmp_path / "l.json"
    listing.write_text(
        json.dumps([*({"recordid": name} for name in ("done", "refused", "missing")),
                    {"recordid": "again", "exportedon": "2026-03-02T00:00:00Z"}])
    )  # fmt: skip
    said, check = shown(jobs.run(COMPLETENESS, "health__completeness", listing=str(listing)))
    counts = {name.removesuffix(" records"): value for name, value in said.items() if name.endswith(" records")}
    assert counts == {"processed": 1, "outdated": 1, "refused": 1, "in_progress": 0, "missing": 1, "not_listed": 0}
    assert said["records"] == 4
    assert said["to be exported (again)"] == "again, missing"
    table = said["first that are not processed"].splitlines()
    assert table[:2] == ["| record | status | why |", "| --- | --- | --- |"]
    assert any(line.startswith("| refused | refused | schema_errors: ") for line in table)
    assert (check.check_name, check.passed, check.severity) == (COMPLETE, False, dg.AssetCheckSeverity.ERROR)
    assert check.description == "of 4 listed records: 1 missing, 1 outdated, 1 refused"

    listing.write_text('[{"recordid": "done"}]')
    said, check = shown(jobs.run(COMPLETENESS, "health__completeness", listing=str(listing)))
    assert (check.passed, check.description) == (True, "all 1 listed records are processed")
    assert (said["processed records"], said["not_listed records"]) == (1, 1)


def test_records_under_way_only_warn(jobs: Jobs, put: Put, tmp_path: Path) -> None:
    from sensors.looking import look_for_arrivals

    land(put, "underway")
    look_for_arrivals(jobs.platform, HEALTH)
    (tmp_path / "l.csv").write_text("recordid\nunderway\n")
    _, check = shown(jobs.run(COMPLETENESS, "health__completeness", listing=str(tmp_path / "l.csv")))
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description == "of 1 listed records: 1 in_progress"


def test_it_is_scheduled_once_a_listing_is_set(jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert COMPLETENESS not in {one.name for one in jobs.defs.schedules or ()}
    (tmp_path / "l.csv").write_text("recordid\nr1\n")
    monkeypatch.setenv("STRANDLINE_HEALTH_LISTING", str(tmp_path / "l.csv"))
    schedule = jobs.defs.resolve_schedule_def(COMPLETENESS)
    with dg.instance_for_test() as instance:
        with dg.build_schedule_context(instance=instance) as context:
            assert len(schedule.evaluate_tick(context).run_requests or ()) == 1
        run = dg.DagsterRun(job_name=COMPLETENESS, status=dg.DagsterRunStatus.STARTED)
        instance.add_run(run)
        with dg.build_schedule_context(instance=instance) as context:
            assert f"run {run.run_id} of {COMPLETENESS}" in (schedule.evaluate_tick(context).skip_message or "")
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    said, check = shown(jobs.run(COMPLETENESS, "health__completeness"))
    assert (said["listing"], said["missing records"], check.passed) == (str(tmp_path / "l.csv"), 1, False)


@pytest.mark.parametrize(
    ("listing", "message"),
    [
        ("", "No listing is named. Set STRANDLINE_HEALTH_LISTING, or name one in the run's configuration"),
        ("nowhere.csv", "nowhere.csv cannot be read"),
        ("python:os:abort", "A run's configuration names no function to call"),
        ("synapse:26", "expected the id of a view"),
    ],
)
def test_what_is_wrong_with_a_listing_fails_the_run_with_the_reason(jobs: Jobs, listing: str, message: str) -> None:
    config = {"listing": listing} if listing else {}
    assert message in why(jobs.run(COMPLETENESS, "health__completeness", **config))


def test_a_function_of_the_settings_is_called(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_HEALTH_LISTING", "python:tests.health.test_operations:from_a_function")
    said, _ = shown(jobs.run(COMPLETENESS, "health__completeness"))
    assert said["missing records"] == 2


def test_candidate_schemas_are_tried_on_one_record_of_each_version(jobs: Jobs, put: Put, tmp_path: Path) -> None:
    info = "ClientInfo [appName=TidesApp, appVersion={}, osName=Android]"
    land(put, "old", clientinfo=info.format(70), uploadedon="2026-03-01T00:00:00Z")
    land(put, "newer", clientinfo=info.format(70), uploadedon="2026-03-02T00:00:00Z")
    land(put, "next", clientinfo=info.format(71))
    look_and_run(jobs.platform)
    same = shutil.copytree(OWN_FOLDER, tmp_path / "same")
    said, check = shown(jobs.run(SAMPLE, "health__sample", schemas=str(same)))
    assert (said["app versions"], said["would be refused"], said["files of no dataset"]) == (2, 0, 0)
    rows = f"{sum(KEPT.values())} rows of {len(KEPT)} tables"
    lines = said["outcome"].splitlines()[2:]
    assert [line.split(" | ")[1:] for line in lines] == [["newer", f"{rows} |"], ["next", f"{rows} |"]]
    assert (check.check_name, check.passed) == (ALL_TAKEN, True)

    (path,) = same.rglob("v2/ArchiveMetadata.json")
    schema = json.loads(path.read_text())
    stricter = shutil.copytree(same, tmp_path / "stricter")
    (path,) = stricter.rglob("v2/ArchiveMetadata.json")
    path.write_text(json.dumps(schema | {"required": [*schema.get("required", []), "cookies"]}))
    said, check = shown(jobs.run(SAMPLE, "health__sample", schemas=str(stricter)))
    assert said["would be refused"] == 2
    assert "'cookies' is a required property" in said["outcome"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert (check.description or "").startswith("2 of 2 app versions would be refused. First: newer: schema_errors: ")


def test_what_cannot_be_tried_fails_the_run_with_the_reason(
    jobs: Jobs, put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "No candidate schemas are named" in why(jobs.run(SAMPLE, "health__sample"))
    assert "No record is committed yet" in why(jobs.run(SAMPLE, "health__sample", schemas=str(OWN_FOLDER)))
    land(put, "r1")
    look_and_run(jobs.platform)
    nowhere = str(tmp_path / "nowhere")
    assert f"{nowhere} is no folder" in why(jobs.run(SAMPLE, "health__sample", schemas=nowhere))
    monkeypatch.setenv("STRANDLINE_HEALTH_CANDIDATE_SCHEMAS", str(OWN_FOLDER))
    said, check = shown(jobs.run(SAMPLE, "health__sample"))
    assert (said["schemas"], check.passed) == (str(OWN_FOLDER), True)
