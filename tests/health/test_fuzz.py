"""Damaged archives: each is refused with a reason, or gives rows of the tables' own types."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest

from pipeline_assets.health.config import HealthConfig
from pipeline_assets.health.derive import derive_record
from pipeline_assets.health.mapping import Mapping
from pipeline_assets.health.read import read_archive
from pipeline_assets.health.tables import dataset_tables
from pipeline_assets.landed_file import Refused
from tests.health.archives_of import ANNOTATIONS, METADATA, landed, zipped

CONFIG = HealthConfig(max_unpacked_mb=5, max_document_mb=1)
SCHEMAS = {table.name: table.schema for table in dataset_tables(Mapping.load())}
FILES = {
    "metadata.json": {**METADATA, "files": [{"filename": "motion.json", "timestamp": "2024-01-01T00:00:00-08:00"}]},
    "motion.json": [{"timestamp": n / 100, "x": n * 0.5, "sensorType": "gyro", "stepPath": "a/b"} for n in range(20)],
    "taskData.json": {
        "taskName": "Spelling", "startDate": "2024-01-01T12:00:00.000-08:00", "taskStatus": ["completed"], "scores": {"finalSE": 0.5},
        "steps": [{"identifier": f"s{n}", "score": 1, "startDate": "2024-01-01T12:00:00-08:00", "practice": True} for n in range(4)],
        "userInteractions": [{"controlEvent": ["touchDown"], "timestamp": "2024-01-01T12:00:00Z"} for _ in range(3)],
    },
    "weather.json": {"identifier": "w", "type": "weather", "startDate": "2024-01-01T00:00:00Z", "weather": {
        "identifier": "w", "provider": "p", "startDate": "2024-01-01T00:00:00Z", "wind": {"speed": 1}}},
}  # fmt: skip
WORDS = [b"null", b"true", b"-1", b"1e400", b"1E5", b"9223372036854775808", b"[]", b"{}", b'""', b'"x"', b"[", b"}", b",", b":", b'"', b"\\",
         b"\\u0000", b"\xff", b"NaN", b"2024-13-01T00:00:00Z", b"0001-01-01T00:00:00+23:59", b"$ref", b"id", b'"index"', b"[[[[", b"1" * 400]  # fmt: skip
OF_ARCHIVES = {"damaged_archive", "unsupported_archive", "encrypted_archive", "archive_too_large", "archive_bomb", "unsafe_member_name",
               "duplicate_member", "nested_archive"}  # fmt: skip
OF_CONTENT = {"bad_json", "schema_errors", "document_too_large", "too_deep"}


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    body = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(0, max(1, len(body))))
        match rng.integers(4):
            case 0:
                body[at : at + 1] = bytes([int(rng.integers(256))])
            case 1:
                del body[at : at + int(rng.integers(1, 40))]
            case 2:
                body[at:at] = WORDS[int(rng.integers(len(WORDS)))]
            case _:
                word = WORDS[int(rng.integers(len(WORDS)))]
                body[at : at + len(word)] = word
    return bytes(body)


def outcome(archive: bytes, annotations: bytes) -> str:
    try:
        made = derive_record(read_archive(landed(archive, annotations), CONFIG), CONFIG)
    except Refused as refused:
        assert refused.message, refused.error_class  # noqa: PT017
        return refused.error_class
    for name, table in made.tables.items():
        assert table.schema == SCHEMAS[name]
        assert table["recordid"].null_count == 0
        for text in table["_extra"].drop_null().to_pylist():
            json.loads(text)
    return "rows"


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_damaged_is_refused_or_gives_rows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    members = {name: json.dumps(content).encode() for name, content in FILES.items()}
    archive, annotations = zipped(members), json.dumps(ANNOTATIONS).encode()
    assert outcome(archive, annotations) == "rows"
    seen: Counter[str] = Counter()
    for _ in range(150):
        name = str(rng.choice(list(members)))
        seen[outcome(zipped({**members, name: damaged(members[name], rng)}), annotations)] += 1
    assert set(seen) <= {*OF_CONTENT, "bad_annotations", "rows"}
    assert {"bad_json", "rows"} <= set(seen)
    of_archives: Counter[str] = Counter(outcome(damaged(archive, rng), annotations) for _ in range(100))
    assert set(of_archives) <= {*OF_ARCHIVES, *OF_CONTENT, "rows"}
    assert "damaged_archive" in of_archives
    of_sidecars: Counter[str] = Counter(outcome(archive, damaged(annotations, rng)) for _ in range(100))
    assert set(of_sidecars) <= {"bad_annotations", "rows"}
    assert len(of_sidecars) == 2
