"""Archives to rows: routing, all or nothing, annotations, hostile ones."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import struct
import zipfile
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from pipeline_assets.health import json_pieces
from pipeline_assets.health.config import HealthConfig
from pipeline_assets.health.derive import Derived, derive_record
from pipeline_assets.health.read import read_archive, recognise_archive
from pipeline_assets.landed_file import LandedFile, Refused
from tests.health.archives_of import ANNOTATIONS, METADATA, SCHEMAS, landed, zipped

CONFIG = HealthConfig()
MOTION = [{"timestamp": 0.0, "x": 1.0, "sensorType": "gyro"}, {"timestamp": 0.01, "x": 2.0}]


def derived(
    files: Any, annotations: Any = ANNOTATIONS, config: HealthConfig = CONFIG, today: date | None = None
) -> Derived:
    return derive_record(read_archive(landed(files, annotations), config), config, today)


def refused(
    files: Any, annotations: Any = ANNOTATIONS, config: HealthConfig = CONFIG, today: date | None = None
) -> Refused:
    with pytest.raises(Refused) as caught:
        derived(files, annotations, config, today)
    assert len(caught.value.message) > 20
    return caught.value


def counts(made: Derived) -> dict[str, int]:
    return {name.removeprefix("dataset_"): table.num_rows for name, table in made.tables.items()}


def test_two_files_of_one_record_in_one_dataset_are_both_there() -> None:
    tremor = {**ANNOTATIONS, "assessmentid": "tremor", "assessmentrevision": 1}
    made = derived({"metadata.json": METADATA, "left_motion.json": MOTION, "right_motion.json": MOTION[:1]}, tremor)
    table = made.tables["dataset_motionrecord_v1"]
    assert table["file_name"].to_pylist() == ["left_motion.json", "left_motion.json", "right_motion.json"]
    assert table["index"].to_pylist() == [0, 1, 0]
    assert set(table["assessmentid"].to_pylist()) == {"tremor"}
    day = table.select(["year", "month", "day"]).to_pylist()[0]
    assert day == {"year": 2024, "month": 2, "day": 29}


def test_files_in_folders_are_looked_up_by_their_last_name_and_kept_apart() -> None:
    made = derived(
        {"metadata.json": METADATA, "a/motion.json": MOTION, "b/motion.json": MOTION, "__MACOSX/._motion.json": b"x"}
    )
    assert sorted(set(made.tables["dataset_motionrecord_v1"]["file_name"].to_pylist())) == [
        "a/motion.json",
        "b/motion.json",
    ]


def test_the_day_is_that_of_the_upload_in_utc() -> None:
    made = derived({"metadata.json": METADATA}, {**ANNOTATIONS, "uploadedon": "2023-12-31T20:00:00.000-08:00"})
    row = made.tables["dataset_archivemetadata_v1"].to_pylist()[0]
    assert (row["year"], row["month"], row["day"]) == (2024, 1, 1)


def test_annotations_may_be_spelled_as_synapse_does_and_come_with_the_object() -> None:
    camel = {"recordId": "rec-1", "assessmentId": "spelling", "assessmentRevision": 5, "uploadedOn": "2024-02-29T00:00:00Z",
             "timeWindowPersistent": None, "schedulePublished": True}  # fmt: skip
    made = derived({"metadata.json": METADATA}, camel)
    row = made.tables["dataset_archivemetadata_v1"].to_pylist()[0]
    assert (row["recordid"], row["assessmentrevision"], row["schedulepublished"]) == ("rec-1", 5, "true")


def test_annotations_of_the_object_come_before_a_sidecar_unless_they_are_none_of_a_record() -> None:
    beside = landed({"metadata.json": METADATA})
    for said, wanted in (({}, "rec-1"), ({"uploader": "x"}, "rec-1"), ({**ANNOTATIONS, "recordid": "rec-2"}, "rec-2")):
        assert read_archive(dataclasses.replace(beside, metadata=said), CONFIG).recordid == wanted


def test_every_error_of_a_record_refuses_all_of_it_and_is_told() -> None:
    files = {
        "metadata.json": {key: value for key, value in METADATA.items() if key != "appName"},
        "motion.json": [*MOTION, *({"x": "left"} for _ in range(20))],
        "weather.json": {"identifier": "w", "type": "weather", "startDate": "2024-01-01T00:00:00Z"},
    }
    found = refused(files)
    assert (found.error_class, found.record, found.location) == ("schema_errors", "rec-1", "metadata.json#")
    assert "2 of the record's files break their schemas" in found.message
    assert "/: 'appName' is a required property" in found.message
    assert found.message.count("'left' is not of type 'number'") == 10
    assert "/11/x" in found.message
    assert "/12/x" not in found.message


def test_a_list_of_any_length_is_checked_and_kept_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"timestamp": n / 100, "x": float(n)} for n in range(3000)]
    monkeypatch.setattr(json_pieces.pieces_of, "__kwdefaults__", {"cut_lists": True, "piece_bytes": 5000})
    table = derived({"motion.json": rows}).tables["dataset_motionrecord_v1"]
    assert table["x"].to_pylist() == [row["x"] for row in rows]
    assert table["index"].to_pylist() == list(range(3000))
    rows[2500]["x"] = "wrong"
    assert "/2500/x: 'wrong' is not of type 'number'" in refused({"motion.json": rows}).message


def test_files_without_a_dataset_are_told_apart() -> None:
    survey = json.loads(json.dumps(METADATA))
    survey["files"] = [
        {"filename": "new.json", "timestamp": "2024-01-01T00:00:00Z", "jsonSchema": "https://x.org/New.json"}
    ]
    answers = {
        "type": "assessment",
        "identifier": "a",
        "startDate": "2024-01-01T00:00:00Z",
        "stepHistory": [],
        "taskRunUUID": "u",
    }
    made = derived(
        {
            "metadata.json": survey,
            "new.json": {"a": 1},
            "assessmentResult.json": answers,
            "info.json": b"no JSON at all",
        }
    )
    assert made.unmapped == {
        "https://x.org/New.json": ["new.json"],
        f"{SCHEMAS}/v2/AssessmentResultObject.json": ["assessmentResult.json"],
    }
    assert made.unchecked == {"https://x.org/New.json": ["new.json"]}
    assert counts(made) == {"archivemetadata_v1": 1, "archivemetadata_v1_files": 1}
    del answers["taskRunUUID"]
    found = refused({"metadata.json": METADATA, "assessmentResult.json": answers})
    assert "'taskRunUUID' is a required property" in found.message, "what has a schema is checked, mapped or not"


def test_records_mapped_by_hand_are_not_checked() -> None:
    legacy = {**ANNOTATIONS, "assessmentid": "dccs", "assessmentrevision": "5"}
    made = derived({"motion.json": [{"x": "left", "sensorType": "nose"}]}, legacy)
    row = made.tables["dataset_motionrecord_v1"].to_pylist()[0]
    assert (row["x"], row["sensorType"], json.loads(row["_extra"])) == (None, "nose", {"x": "left"})
    assert (made.unchecked, made.unmapped) == ({}, {})


def test_waivers_are_used_counted_and_expire() -> None:
    android = {**ANNOTATIONS, "clientinfo": "ClientInfo [osName=Android]"}
    files = {"metadata.json": {key: value for key, value in METADATA.items() if key not in ("appName", "files")},
             "motion.json": [{"sensorType": "acceleration", "eventAccuracy": None}]}  # fmt: skip
    made = derived(files, android, today=date(2030, 12, 31))
    assert made.waived == {"android-metadata": 2, "android-motion-sensor-type": 1, "android-motion-step-path": 1}
    assert made.tables["dataset_motionrecord_v1"]["sensorType"].to_pylist() == ["acceleration"]
    late = refused(files, android, today=date(2031, 1, 1))
    assert "Waivers that have expired: android-metadata" in late.message
    assert refused(files, today=date(2024, 1, 1)).error_class == "schema_errors", "another client"


@pytest.mark.parametrize(
    ("annotations", "error_class", "says"),
    [
        (None, "no_annotations", "a.zip.metadata.json"),
        (b"{", "bad_annotations", "is no JSON"),
        (b"[]", "bad_annotations", "is no JSON object"),
        (b" " * 300_000, "bad_annotations", "300,000 bytes"),
        ({**ANNOTATIONS, "recordid": ""}, "bad_annotations", "recordid is missing or empty"),
        ({**ANNOTATIONS, "recordid": "a\nb"}, "bad_annotations", "printable"),
        ({**ANNOTATIONS, "recordid": "r" * 201}, "bad_annotations", "printable"),
        ({**ANNOTATIONS, "assessmentrevision": "five"}, "bad_annotations", "whole number"),
        ({**ANNOTATIONS, "assessmentrevision": "9" * 5000}, "bad_annotations", "whole number"),
        ({**ANNOTATIONS, "uploadedon": "yesterday"}, "bad_annotations", "uploadedon is 'yesterday'"),
        ({**ANNOTATIONS, "uploadedon": "0001-01-01T00:00:00+23:00"}, "bad_annotations", "uploadedon"),
        ({**ANNOTATIONS, "more": ["x"]}, "bad_annotations", "more is no single value"),
        ({**ANNOTATIONS, "more": "x" * 10_001}, "bad_annotations", "10,001 characters"),
    ],
)
def test_annotations_that_say_too_little_refuse_the_archive(annotations: Any, error_class: str, says: str) -> None:
    found = refused({"metadata.json": METADATA}, annotations)
    assert found.error_class == error_class
    assert says in found.message


def _encrypted() -> bytes:
    data = bytearray(zipped({"motion.json": MOTION}))
    data[6] |= 1
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    return bytes(data)


def _twice() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("motion.json", "[]")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("motion.json", "[]")
    return stream.getvalue()


def _lying() -> bytes:
    data = bytearray(zipped({"motion.json": MOTION * 50}))
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 20)
    return bytes(data)


def _flipped() -> bytes:
    data = bytearray(zipped({"motion.json": MOTION * 50}))
    data[60] ^= 0xFF
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "error_class"),
    [
        (lambda: zipped({"../motion.json": MOTION}), "unsafe_member_name"),
        (lambda: zipped({"C:\\motion.json": MOTION}), "unsafe_member_name"),
        (_encrypted, "encrypted_archive"),
        (_twice, "duplicate_member"),
        (lambda: zipped({"Motion.json": MOTION, "motion.json": MOTION}), "duplicate_member"),
        (_lying, "damaged_archive"),
        (_flipped, "damaged_archive"),
        (lambda: zipped({"motion.json": MOTION})[:-30], "damaged_archive"),
        (lambda: zipped({f"{n}.json": b"" for n in range(1001)}), "archive_too_large"),
        (lambda: zipped({"motion.json": b"[" + b" " * 11_000_000 + b"]"}), "archive_too_large"),
        (lambda: zipped({"motion.json": b"[" + b" " * 9_000_000 + b"]"}), "archive_bomb"),
        (lambda: zipped({"metadata.json": b"{"}), "bad_json"),
        (lambda: zipped({"motion.json": b"[NaN]"}), "bad_json"),
        (
            lambda: zipped({"metadata.json": METADATA, "taskData.json": b'{"a":' + b"[" * 600 + b"]" * 600 + b"}"}),
            "too_deep",
        ),
        (lambda: zipped({"motion.json": b"[" * 5000}), "bad_json"),
        (
            lambda: zipped({"taskData.json": b'{"a": "' + os.urandom(1_600_000).hex().encode() + b'"}'}),
            "document_too_large",
        ),
    ],
)
def test_hostile_archives_are_refused(data: Any, error_class: str) -> None:
    config = HealthConfig(max_unpacked_mb=10, max_document_mb=3)
    assert refused(data(), config=config).error_class == error_class


def test_a_document_that_is_nested_too_deep_to_check_is_refused() -> None:
    deep = b'{"identifier":"w","type":"weather","startDate":"x","weather":' + b'{"wind":' * 300 + b"1" + b"}" * 301
    assert refused({"weather.json": deep}).error_class in {"schema_errors", "too_deep"}


def test_the_settings_are_told_in_refusals_and_checked() -> None:
    found = refused(
        {"motion.json": [{"stepPath": str(n)} for n in range(2000)]}, config=HealthConfig(max_unpacked_mb=0.01)
    )
    assert "STRANDLINE_HEALTH_MAX_UNPACKED_MB" in found.message
    assert HealthConfig(schemas="").schemas is None  # type: ignore[arg-type]


def test_an_archive_is_known_by_its_first_bytes() -> None:
    assert recognise_archive(zipped({}))
    assert not recognise_archive(b"[]")


def test_rows_are_the_same_each_time_and_whatever_the_files_order() -> None:
    files = {"metadata.json": METADATA, "motion.json": MOTION, "microphone.json": [{"peak": 1}]}
    one = derived(files).tables
    other = derived(dict(reversed(files.items()))).tables
    assert one == {name: other[name] for name in one}


def test_a_file_in_memory_and_one_on_disk_are_read_alike(tmp_path: Any) -> None:
    file = landed({"metadata.json": METADATA, "motion.json": MOTION})
    path = tmp_path / "a.zip"
    path.write_bytes(file.read_bytes())
    on_disk = replace(file, data=None, path=path)
    assert isinstance(on_disk, LandedFile)
    assert (
        derive_record(read_archive(on_disk, CONFIG), CONFIG).tables
        == derive_record(read_archive(file, CONFIG), CONFIG).tables
    )
