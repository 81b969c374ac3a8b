"""Archives as other apps, revisions and hands make them: each does something that a data manager understands."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

from pipeline_assets.health.examples import archive_of, documents
from resources.platform import Platform
from tests.conftest import Put
from tests.health.front_door import KEPT, counts, land, look_and_run
from tests.running import rows_of

WHOLE: dict[str, Any] = documents(0, 1, 20)
BOM = b"\xef\xbb\xbf"


def zipped(members: dict[str, bytes | Any]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content if isinstance(content, bytes) else json.dumps(content))
    return buffer.getvalue()


def files_of(platform: Platform, recordid: str) -> dict[str, tuple[str, str | None, str | None]]:
    """Status, dataset and schema of each file of a record."""
    query = f"SELECT file_name, status, dataset, schema_id FROM health.documents WHERE recordid = '{recordid}'"
    return {name: (status, dataset, schema) for name, status, dataset, schema in rows_of(platform, query)}


def test_what_is_no_json_and_what_nothing_names_is_listed_and_passed_over(platform: Platform, put: Put) -> None:
    inner = archive_of({"motion.json": []})
    beside = {
        "audio.m4a": b"\x00\x00\x00 ftypM4A ", "consent.pdf": b"%PDF-1.7\n\xff\xfe", "inner.zip": inner, "notes.txt": b"\xff\xfe",
        "other.json": {"a": 1}, "empty.json": b"", "__MACOSX/._motion.json": b"\x00\x05", ".DS_Store": b"x", "folder/": b"",
    }  # fmt: skip
    land(put, "r1", content=zipped({**WHOLE, **beside}))
    report = look_and_run(platform)
    assert report.refused == ()
    assert counts(platform, "r1") == KEPT
    found = files_of(platform, "r1")
    passed_over = {name for name, (status, *_) in found.items() if status == "no_dataset"}
    assert passed_over == {"audio.m4a", "consent.pdf", "inner.zip", "notes.txt", "other.json", "empty.json"}
    assert set(found) - passed_over == set(WHOLE), "litter and folders are no files of the record"
    assert rows_of(platform, "SELECT files, kept, status FROM health.records") == [(10, 4, "complete")]


def test_a_byte_order_mark_is_no_part_of_a_document(platform: Platform, put: Put) -> None:
    land(put, "r1", content=zipped({name: BOM + json.dumps(content).encode() for name, content in WHOLE.items()}))
    report = look_and_run(platform)
    assert report.refused == ()
    assert counts(platform, "r1") == KEPT


def test_files_in_folders_are_known_by_their_names_and_stay_apart(platform: Platform, put: Put) -> None:
    row = WHOLE["motion.json"][0]
    land(put, "r1", content=zipped({"metadata.json": WHOLE["metadata.json"], "left/motion.json": [row, row],
                                    "right/motion.json": [row]}))  # fmt: skip
    assert look_and_run(platform).refused == ()
    query = "SELECT file_name, count(*) FROM health.dataset_motionrecord_v1 GROUP BY ALL ORDER BY 1"
    assert rows_of(platform, query) == [("left/motion.json", 2), ("right/motion.json", 1)]


def test_documents_of_another_form_than_their_schema_s_are_refused_by_their_place(platform: Platform, put: Put) -> None:
    cases: dict[str, tuple[dict[str, Any], str]] = {
        "empty_object": ({"motion.json": {}}, "schema_errors"),
        "object_for_a_list": ({"motion.json": {"items": WHOLE["motion.json"]}}, "schema_errors"),
        "list_for_an_object": ({"weather.json": [WHOLE["weather.json"]]}, "schema_errors"),
        "number": ({"weather.json": 7}, "schema_errors"),
        "null": ({"motion.json": None}, "schema_errors"),
        "text": ({"weather.json": "sunny"}, "schema_errors"),
        "no_bytes": ({"motion.json": b""}, "bad_json"),
        "blanks": ({"motion.json": b" \n"}, "bad_json"),
        "two_documents": ({"weather.json": b"{}{}"}, "bad_json"),
        "lines": ({"motion.json": b'{"uptime": 1}\n{"uptime": 2}\n'}, "bad_json"),
        "utf16": ({"weather.json": json.dumps(WHOLE["weather.json"]).encode("utf-16")}, "bad_json"),
        "archive_for_a_document": ({"motion.json": archive_of({})}, "bad_json"),
        "metadata_a_list": ({"metadata.json": []}, "schema_errors"),
        "metadata_no_json": ({"metadata.json": b"{"}, "bad_json"),
    }
    for name, (files, _) in cases.items():
        land(put, name, content=zipped({**WHOLE, **files}))
    land(put, "good")
    land(put, "empty_list", content=zipped({**WHOLE, "motion.json": []}))
    report = look_and_run(platform)
    refused = {
        one.key.split("/")[-1].removesuffix(".zip"): one.refusal for one in report.refused if one.key.endswith(".zip")
    }
    assert {name: refused[name].error_class for name in refused} == {name: why for name, (_, why) in cases.items()}
    for name, (files, _) in cases.items():
        (file,) = files
        assert file in refused[name].message + refused[name].location, name
    assert counts(platform, "good") == KEPT
    assert counts(platform, "empty_list") == {name: rows for name, rows in KEPT.items() if "motion" not in name}


def test_other_apps_and_revisions_and_annotations(platform: Platform, put: Put) -> None:
    land(put, "other_app", appid="another-app", clientinfo=None)
    land(put, "far_revision", assessmentid="gradual-onset", assessmentrevision="99")
    land(put, "negative", assessmentrevision="-1")
    land(put, "number", assessmentrevision=3)
    land(put, "spelled", **{"recordId": "spelled", "appId": "mobile-toolbox", "clientInfo": "none"})
    land(put, "late", uploadedon="2026-03-01T23:30:00-08:00")
    report = look_and_run(platform)
    assert report.refused == ()
    for record in ("far_revision", "negative", "number", "spelled", "late"):
        assert counts(platform, record) == KEPT, record
    # What is for all apps is for every app; what is another app's own is for nobody here.
    assert {status for status, *_ in files_of(platform, "other_app").values()} <= {"kept", "no_dataset"}
    assert rows_of(platform, "SELECT appid FROM health.records WHERE recordid = 'other_app'") == [("another-app",)]
    days = rows_of(
        platform, "SELECT DISTINCT year, month, day FROM health.dataset_motionrecord_v1 WHERE recordid = 'late'"
    )
    assert days == [(2026, 3, 2)], "the day of the upload is that of UTC"


def test_a_schema_that_no_mapping_knows_is_counted(platform: Platform, put: Put) -> None:
    metadata = json.loads(json.dumps(WHOLE["metadata.json"]))
    unknown = "https://example.org/schemas/v9/Tremor.json"
    metadata["files"] = [{"filename": "tremor.json", "timestamp": "2026-03-02T08:00:00Z", "jsonSchema": unknown}]
    land(put, "r1", content=zipped({**WHOLE, "metadata.json": metadata, "tremor.json": {"a": 1}}))
    assert look_and_run(platform).refused == ()
    assert files_of(platform, "r1")["tremor.json"] == ("unmapped", None, unknown)
    assert rows_of(platform, "SELECT unmapped, status FROM health.records") == [(1, "unmapped_files")]


def test_an_archive_that_is_none(platform: Platform, put: Put) -> None:
    land(put, "html", content=b"<html>Access denied</html>")
    land(put, "gzip", content=b"\x1f\x8b\x08\x00rest")
    land(put, "tar", content=b"motion.json" + b"\0" * 600)
    land(put, "no_bytes", content=b"")
    report = look_and_run(platform)
    classes = {one.key.split("/")[-1]: one.refusal for one in report.refused if one.key.endswith(".zip")}
    assert set(classes) == {"html.zip", "gzip.zip", "tar.zip", "no_bytes.zip"}
    for refusal in classes.values():
        assert refusal.error_class not in {"reader_error", "reader_crashed"}
        assert "ZIP archive of a health app" in refusal.message or "has no bytes" in refusal.message
