"""Hostile archives through the front door: each is refused by name, and the good record beside them is committed."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from typing import Any

from pipeline_assets.health.examples import archive_of, documents
from resources.platform import Platform
from tests.conftest import Put
from tests.health.front_door import KEPT, counts, land, look_and_run


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def encrypted() -> bytes:
    content = bytearray(archive_of({"motion.json": []}))
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.index(magic) + offset
        struct.pack_into("<H", content, at, struct.unpack_from("<H", content, at)[0] | 1)
    return bytes(content)


def lying() -> bytes:
    """Says that its member has ten bytes."""
    content = bytearray(zipped(("motion.json", b"[" + b" " * 5_000_000 + b"]")))
    at = content.index(b"PK\x01\x02") + 24
    struct.pack_into("<I", content, at, 10)
    return bytes(content)


WHOLE: dict[str, Any] = documents(0, 1, 20)
HOSTILE: dict[str, tuple[bytes, set[str]]] = {
    "bomb": (zipped(("motion.json", b"[" + b" " * 300_000_000 + b"]")), {"archive_bomb"}),
    "lying": (lying(), {"damaged_archive", "archive_bomb"}),
    "encrypted": (encrypted(), {"encrypted_archive"}),
    "twice": (zipped(("weather.json", b"{}"), ("weather.json", b"{}")), {"duplicate_member"}),
    "climbs": (zipped(("../weather.json", b"{}")), {"unsafe_member_name"}),
    "absolute": (zipped(("/etc/weather.json", b"{}")), {"unsafe_member_name"}),
    "many": (zipped(*((f"{number}.json", b"{}") for number in range(3000))), {"archive_too_large"}),
    "deep": (zipped(("weather.json", b'{"a":' * 100_000 + b"1" + b"}" * 100_000)), {"too_deep", "bad_json"}),
    "nan": (zipped(("weather.json", b'{"type": NaN}')), {"bad_json"}),
    "no_utf8": (zipped(("weather.json", b'{"type": "\xff\xfe"}')), {"bad_json"}),
    "huge_number": (
        zipped(("weather.json", b'{"type": "weather", "identifier": "w", "startDate": 1e999}')),
        {"bad_json", "schema_errors"},
    ),
    "empty": (zipped(), set()),
    "cut": (archive_of(WHOLE)[:-300], {"damaged_archive"}),
    "flipped": (archive_of(WHOLE)[:200] + b"\x00\xff" * 40 + archive_of(WHOLE)[280:], {"damaged_archive", "bad_json"}),
}


def test_hostile_archives_are_refused_by_name_beside_a_good_one(platform: Platform, put: Put) -> None:
    for name, (content, _) in HOSTILE.items():
        land(put, name, content=content)
    land(put, "good")
    report = look_and_run(platform)
    refused = {
        one.key.split("/")[-1].removesuffix(".zip"): one.refusal for one in report.refused if one.key.endswith(".zip")
    }
    for name, (_, classes) in HOSTILE.items():
        if classes:
            assert refused[name].error_class in classes, (name, refused[name])
            assert len(refused[name].message) < 5000
    assert "good" not in refused
    assert counts(platform, "good") == KEPT
    assert not {one.error_class for one in refused.values()} & {
        "reader_error",
        "reader_crashed",
        "out_of_memory",
        "reader_timeout",
    }


def test_hostile_annotations_are_refused_by_name(platform: Platform, put: Put) -> None:
    cases = {
        "list": "[1]",
        "text": '"recordid"',
        "broken": "{",
        "nested": json.dumps(
            {"recordid": {"a": 1}, "assessmentid": "a", "assessmentrevision": 1, "uploadedon": "2026-01-01"}
        ),
        "no_time": json.dumps({"recordid": "r", "assessmentid": "a", "assessmentrevision": 1, "uploadedon": "soon"}),
        "far": json.dumps(
            {"recordid": "r", "assessmentid": "a", "assessmentrevision": 1, "uploadedon": "99999-01-01T00:00:00Z"}
        ),
        "control": json.dumps(
            {"recordid": "r\n1", "assessmentid": "a", "assessmentrevision": 1, "uploadedon": "2026-01-01"}
        ),
        "deep": '{"a":' * 50_000 + "1" + "}" * 50_000,
    }
    for name, sidecar in cases.items():
        put(f"health/tides/{name}.zip.metadata.json", sidecar)
        put(f"health/tides/{name}.zip", archive_of(WHOLE))
    report = look_and_run(platform)
    refused = {one.key.split("/")[-1].split(".")[0]: one.refusal.error_class for one in report.refused}
    assert refused == dict.fromkeys(cases, "bad_annotations")
    assert report.committed == 0
