"""Sample archives that can be given away: records of a made-up study, with their annotations beside them, and broken ones."""

from __future__ import annotations

import io
import json
import math
import random
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

STUDY = "tides"
_BEGIN = datetime(2026, 3, 2, 8, 15, tzinfo=UTC)
_ASSESSMENTS = ("tapping-game", "spelling", "number-match")
_MOMENT = (2026, 3, 2, 8, 15, 0)
"""The time of every member, so that a seed decides every byte."""


@dataclass(frozen=True)
class Example:
    """One archive. key: its path below the folder. error_class: what it is refused with; None when it is good."""

    path: Path
    key: str
    recordid: str
    error_class: str | None = None


def write_examples(
    folder: Path, *, seed: int = 0, good: int = 6, samples: int = 200, broken: bool = True
) -> list[Example]:
    """Write `good` good archives of `samples` motion samples each with their sidecars, and unless `broken` is False some
    that are refused. The same seed gives the same bytes."""
    written = []
    for number in range(good):
        recordid = f"example{seed:02}record{number:05}"
        written.append(
            _write(folder, recordid, archive_of(documents(seed, number, samples)), annotations_for(recordid, number))
        )
    if not broken:
        return written
    whole = documents(seed, good, samples)
    wrong = {**whole, "weather.json": {"type": "weather", "identifier": 7}}
    cases: list[tuple[str, bytes, dict[str, Any] | None, str]] = [
        ("wrong_weather", archive_of(wrong), annotations_for("wrongweather", good), "schema_errors"),
        ("no_annotations", archive_of(whole), None, "no_annotations"),
        ("no_record", archive_of(whole), {"assessmentid": "spelling"}, "bad_annotations"),
        ("cut_off", archive_of(whole)[:-200], annotations_for("cutoff", good), "damaged_archive"),
        ("climbs_out", archive_of({"../../etc/passwd": {}}), annotations_for("climbsout", good), "unsafe_member_name"),
        ("not_an_archive", b"recordid,assessmentid\n", annotations_for("notanarchive", good), "unknown_type"),
    ]
    return written + [
        _write(folder, f"broken_{name}", content, said, error_class) for name, content, said, error_class in cases
    ]


def annotations_for(recordid: str, number: int) -> dict[str, Any]:
    """What the export says of a record."""
    uploaded = _BEGIN + timedelta(hours=7 * number)
    return {
        "recordid": recordid,
        "assessmentid": _ASSESSMENTS[number % len(_ASSESSMENTS)],
        "assessmentrevision": "1",
        "healthcode": f"participant-{number % 4}",
        "clientinfo": f"ClientInfo [appName=TidesApp, appVersion={70 + number % 3}, deviceName=Example Phone, osName=Android]",
        "uploadedon": uploaded.isoformat().replace("+00:00", "Z"),
        "exportedon": (uploaded + timedelta(seconds=3)).isoformat().replace("+00:00", "Z"),
        "eventtimestamp": (uploaded - timedelta(minutes=5)).isoformat().replace("+00:00", "Z"),
    }


def documents(seed: int, number: int, samples: int) -> dict[str, Any]:
    """The JSON files of one record, by name."""
    chance = random.Random(f"{seed}/{number}")
    at = (_BEGIN + timedelta(hours=7 * number)).isoformat()
    files = ["motion.json", "microphone_levels.json", "weather.json"]
    return {
        "metadata.json": {
            "appName": "TidesApp",
            "appVersion": f"version 1.2.{number}",
            "deviceInfo": "Example Phone; Android/14",
            "deviceTypeIdentifier": "example,1",
            "startDate": at,
            "endDate": at,
            "files": [{"filename": name, "timestamp": at, "contentType": "application/json"} for name in files],
        },
        "motion.json": motion(samples, chance),
        "microphone_levels.json": [
            {
                "uptime": 5000 + second,
                "timestamp": float(second),
                "stepPath": "Game/microphone",
                "timeInterval": 1,
                "average": round(-40 + chance.gauss(0, 3), 3),
                "peak": round(-25 + chance.gauss(0, 3), 3),
                "unit": "dbFS",
            }
            for second in range(5)
        ],
        "weather.json": {
            "type": "weather",
            "identifier": "weather",
            "startDate": at,
            "endDate": at,
            "weather": {
                "type": "weather",
                "identifier": "weather",
                "provider": "openWeather",
                "startDate": at,
                "temperature": round(chance.uniform(-5, 25), 1),
                "humidity": chance.randrange(30, 100),
                "wind": {"degrees": float(chance.randrange(360)), "speed": round(chance.uniform(0, 12), 1)},
            },
        },
    }


def motion(samples: int, chance: random.Random) -> list[dict[str, Any]]:
    """Samples of an accelerometer at 100 Hz: a hand that trembles at 5 Hz, in units of standard gravity."""
    rows: list[dict[str, Any]] = []
    for sample in range(samples):
        t = sample / 100
        rows.append(
            {
                "uptime": 5000 + t,
                "timestamp": t,
                "stepPath": "Game/motion",
                "sensorType": "accelerometer",
                "x": round(0.02 * math.sin(2 * math.pi * 5 * t) + chance.gauss(0, 0.004), 6),
                "y": round(chance.gauss(0, 0.004), 6),
                "z": round(-1 + chance.gauss(0, 0.004), 6),
            }
        )
    return rows


def archive_of(files: dict[str, Any]) -> bytes:
    """A ZIP of JSON files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, _MOMENT), json.dumps(content), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _write(
    folder: Path, name: str, content: bytes, said: dict[str, Any] | None, error_class: str | None = None
) -> Example:
    key = f"{STUDY}/{'broken/' if error_class else ''}{name}.zip"
    path = folder / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    if said is not None:
        path.with_name(f"{path.name}.metadata.json").write_text(json.dumps(said, indent=1))
    return Example(path, key, str((said or {}).get("recordid", "")), error_class)
