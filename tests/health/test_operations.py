"""Completeness against a listing, exports of a study, and samples against new schemas: through the command."""

from __future__ import annotations

import csv
import io
import json
import shutil
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.main import main
from pipeline_assets.health.examples import archive_of, documents
from pipeline_assets.health.mapping import OWN_FOLDER
from pipeline_assets.health.operations.listing import BadListing, SourceRecord, source_records
from pipeline_assets.health.source import HEALTH
from resources.platform import Platform
from sensors.looking import look_for_arrivals
from tests.conftest import Put
from tests.health.front_door import KEPT, land, look_and_run

Run = Callable[..., Any]


@pytest.fixture
def strandline(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("STRANDLINE_HOME", str(platform.settings.home))

    def run(*arguments: str, code: int = 0) -> Any:
        platform.close()
        done = CliRunner().invoke(main, ["health", *arguments])
        assert done.exit_code == code, (done.output, done.exception)
        return json.loads(done.stdout) if "--json" in arguments else done.output

    return run


# --- listings

LISTING = [
    {"recordId": "a", "exportedOn": "2026-03-02T08:00:00Z"},
    {"recordId": "b", "exportedOn": None},
    {"recordId": "a", "exportedOn": "2026-03-04T08:00:00+00:00", "other": 1},
    {"recordId": "a", "exportedOn": "2026-03-03T08:00:00Z"},
]


def from_a_function() -> list[dict[str, Any]]:
    return LISTING


def expected_records() -> dict[str, SourceRecord]:
    return {"a": SourceRecord("a", datetime(2026, 3, 4, 8, tzinfo=UTC)), "b": SourceRecord("b")}


def test_a_listing_keeps_the_latest_export_of_each_record_whatever_its_form(tmp_path: Path) -> None:
    (tmp_path / "l.json").write_text(json.dumps(LISTING))
    (tmp_path / "l.ndjson").write_text("\n".join(json.dumps(one) for one in LISTING) + "\n\n")
    with (tmp_path / "l.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["recordId", "exportedOn", "other"])
        writer.writeheader()
        writer.writerows(LISTING)
    for name in ("l.json", "l.ndjson", "l.csv"):
        assert source_records(str(tmp_path / name)) == expected_records(), name
    assert source_records("python:tests.health.test_operations:from_a_function") == expected_records()
    millis = [{"RECORDID": "a", "exportedon": 1772611200000}]
    (tmp_path / "m.json").write_text(json.dumps(millis))
    assert source_records(str(tmp_path / "m.json")) == {"a": SourceRecord("a", datetime(2026, 3, 4, 8, tzinfo=UTC))}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("l.json", '{"recordid": "a"}', "expected a JSON list"),
        ("l.json", '["a"]', "entry 1: expected an object with recordid"),
        ("l.json", '[{"id": "a"}]', "entry 1: it has no recordid; it has id"),
        ("l.ndjson", '{"recordid": "a", "exportedon": "soon"}', "exportedon is 'soon'; expected a time"),
        ("l.ndjson", "{", "cannot be read"),
        ("l.txt", "a", "expected a .csv, .json or .ndjson file"),
        ("python:nosuch:f", None, "expected python:MODULE:FUNCTION that can be imported"),
        ("python:tests.health.test_operations:nosuch", None, "can be imported"),
        ("synapse:26253352", None, "expected the id of a view"),
        ("synapse:syn26253352", None, r"pip install 'strandline\[synapse\]'"),
        ("nowhere.csv", None, "cannot be read"),
    ],
)
def test_what_is_wrong_with_a_listing_is_told(tmp_path: Path, name: str, content: str | None, message: str) -> None:
    where = name
    if content is not None:
        (tmp_path / name).write_text(content)
        where = str(tmp_path / name)
    with pytest.raises(BadListing, match=message):
        source_records(where)


# --- completeness


def test_every_record_of_a_listing_gets_its_status(
    platform: Platform, put: Put, strandline: Run, tmp_path: Path
) -> None:
    land(put, "done")
    land(put, "done-too")
    land(put, "again", exportedon="2026-03-01T00:00:00Z")
    land(put, "refused", documents(0, 1, 5) | {"weather.json": {}})
    put("health/tides/unread-x.zip", b"PK\x03\x04 broken")
    look_and_run(platform)
    put("health/tides/underway.zip.metadata.json", "{}")
    (tmp_path / "l.json").write_text(
        json.dumps(
            [{"recordid": name} for name in ("done", "refused", "unread", "missing", "underway")]
            + [{"recordid": "again", "exportedon": "2026-03-02T00:00:00Z"}]
        )
    )
    look_for_arrivals(platform, HEALTH)
    to_send = tmp_path / "to_send.txt"
    found = strandline("completeness", str(tmp_path / "l.json"), "--json", "--to-send", str(to_send), code=3)
    assert {one["recordid"]: one["status"] for one in found["records"]} == {
        "done": "processed", "again": "outdated", "refused": "refused", "unread": "refused", "missing": "missing",
        "underway": "in_progress", "done-too": "not_listed",
    }  # fmt: skip
    by_id = {one["recordid"]: one for one in found["records"]}
    assert by_id["refused"]["error_class"] == "schema_errors"
    assert by_id["unread"]["source_key"] == "health/tides/unread-x.zip"
    assert to_send.read_text() == "again\nmissing\n"
    said = strandline("completeness", str(tmp_path / "l.json"), code=3)
    assert said.startswith("1 in_progress, 1 missing, 1 not_listed, 1 outdated, 1 processed, 2 refused\n")
    assert "  refused  refused  health/tides/refused.zip: schema_errors: " in said


def test_a_listing_whose_records_are_all_there_is_complete(
    platform: Platform, put: Put, strandline: Run, tmp_path: Path
) -> None:
    (tmp_path / "l.csv").write_text("recordid,exportedon\nr1,2026-03-02T15:15:03Z\n")
    assert strandline("completeness", str(tmp_path / "l.csv"), code=3).startswith("1 missing\n")
    land(put, "r1")
    look_and_run(platform)
    assert strandline("completeness", str(tmp_path / "l.csv")) == "1 processed\n"


# --- export of a study


def test_a_study_s_rows_are_csv_files_in_one_archive(
    platform: Platform, put: Put, strandline: Run, tmp_path: Path
) -> None:
    land(put, "r1")
    land(put, "r2")
    put("health/other/x.zip.metadata.json", json.dumps({"recordid": "x", "assessmentid": "a", "assessmentrevision": 1,
                                                        "uploadedon": "2026-03-02T00:00:00Z"}))  # fmt: skip
    put("health/other/x.zip", archive_of(documents(0, 2, 7)))
    look_and_run(platform)
    output = tmp_path / "tides.zip"
    done = strandline("export", "tides", str(output), "--json")
    assert (done["records"], done["rows"]) == (
        2,
        {"records": 2, "documents": 8} | {name: 2 * n for name, n in KEPT.items()},
    )
    with zipfile.ZipFile(output) as archive:
        assert archive.testzip() is None
        tables = {name: list(csv.DictReader(io.StringIO(archive.read(name).decode()))) for name in archive.namelist()}
    assert set(tables) == {"columns.csv", *(f"{name}.csv" for name in done["rows"])}
    assert {row["recordid"] for rows in tables.values() for row in rows if "recordid" in row} == {"r1", "r2"}
    motion = tables["dataset_motionrecord_v1.csv"]
    assert [int(row["index"]) for row in motion] == [*range(20), *range(20)]
    assert "file_id" not in motion[0]
    described = {(row["table"], row["column"]): row for row in tables["columns.csv"]}
    assert set(motion[0]) == {column for table, column in described if table == "dataset_motionrecord_v1"}
    assert described["dataset_motionrecord_v1", "stepPath"]["description"] == "An identifier marking the current step."
    assert strandline("export", "other", str(tmp_path / "o.zip")).startswith(
        f"{tmp_path}/o.zip: 1 records of study other, "
    )


def test_what_cannot_be_exported_is_told_and_leaves_no_file(
    platform: Platform, put: Put, strandline: Run, tmp_path: Path
) -> None:
    output = tmp_path / "x.zip"
    assert "No record is of a study 'x'. Studies: none" in strandline("export", "x", str(output), code=2)
    land(put, "r1")
    look_and_run(platform)
    assert "Studies: tides (1 records)" in strandline("export", "x", str(output), code=2)
    assert "must end in .zip" in strandline("export", "tides", str(tmp_path / "x.csv"), code=2)
    assert [path.name for path in tmp_path.iterdir() if "x" in path.name and path.suffix != ""] == []


# --- a representative sample


def test_one_record_of_each_version_is_tried_and_nothing_is_changed(
    platform: Platform, put: Put, strandline: Run, tmp_path: Path
) -> None:
    info = "ClientInfo [appName=TidesApp, appVersion={}, osName=Android]"
    land(put, "old", clientinfo=info.format(70), uploadedon="2026-03-01T00:00:00Z")
    land(put, "newer", clientinfo=info.format(70), uploadedon="2026-03-02T00:00:00Z")
    land(put, "next", clientinfo=info.format(71))
    look_and_run(platform)
    same = shutil.copytree(OWN_FOLDER, tmp_path / "same")
    tried = strandline("sample", str(same), "--json")
    assert [(one["version"]["appversion"], one["recordid"], one["good"]) for one in tried] == [
        ("70", "newer", True), ("71", "next", True),
    ]  # fmt: skip
    assert tried[0]["rows"] == KEPT

    stricter = shutil.copytree(OWN_FOLDER, tmp_path / "stricter")
    (path,) = stricter.rglob("v2/ArchiveMetadata.json")
    schema = json.loads(path.read_text())
    path.write_text(json.dumps(schema | {"required": [*schema.get("required", []), "cookies"]}))
    said = strandline("sample", str(stricter), code=3)
    assert said.count("would be refused: schema_errors") == 2
    assert "'cookies' is a required property" in said


def test_an_archive_that_is_gone_cannot_be_tried(platform: Platform, put: Put, strandline: Run, tmp_path: Path) -> None:
    assert "No record is committed yet" in strandline("sample", str(OWN_FOLDER), code=2)
    key = land(put, "r1")
    look_and_run(platform)
    (platform.settings.home / "landing" / key).unlink()
    assert "r1 would be refused: gone: it is not in the landing store" in strandline("sample", str(OWN_FOLDER), code=3)
    (tmp_path / "schema_mapping.json").write_text("[]")
    assert "schema_mapping.json: expected a JSON object" in strandline("sample", str(tmp_path), code=2)
