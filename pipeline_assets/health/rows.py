"""A record to the rows of all its tables: its datasets' as `derive_record` gives them, a row for itself and one for each file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_assets.health.config import HealthConfig
from pipeline_assets.health.derive import Derived, derive_record
from pipeline_assets.health.read import Record
from pipeline_assets.health.tables import EXTRA, FILE_NAME

RECORDS, DOCUMENTS = "records", "documents"

_MOST_FIELDS = 20
_ROWS_LOOKED_AT = 1000
"""Of a table with something in `_extra`: enough to name the fields."""
_CLIENT = re.compile(r"(\w+)=([^,\]]*)")


def rows_of_record(record: Record, config: HealthConfig) -> dict[str, Any]:
    """The rows of every table that the record has some for. Raises Refused."""
    derived = derive_record(record, config)
    return {
        RECORDS: _record(record, derived, config),
        DOCUMENTS: _documents(record, derived),
        **derived.tables,
    }


def client_info(text: str | None) -> dict[str, str]:
    """``ClientInfo [appName=X, appVersion=13, osName=Android]`` as names and values."""
    return {name: value.strip() for name, value in _CLIENT.findall(text or "") if value.strip()}


def study_of(key: str, pattern: str) -> str | None:
    """The study that a key names; None if it names none."""
    match = re.fullmatch(pattern, key, re.DOTALL)
    return (match["study"] or None) if match else None


def instant(text: str | None) -> datetime | None:
    """A time of the annotations in UTC, which is also what one without an offset means; None for what is none."""
    try:
        at = datetime.fromisoformat(text or "")
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _record(record: Record, derived: Derived, config: HealthConfig) -> dict[str, Any]:
    said = record.annotations
    client = client_info(said.get("clientinfo"))
    unmapped = sum(file.is_unmapped for file in record.files)
    used = ", ".join(f"{name}: {count}" for name, count in sorted(derived.waived.items()))
    instants = pa.timestamp("us", tz="UTC")
    return {
        "recordid": [record.recordid],
        "study": pa.array([study_of(record.file.key, config.study_pattern)], pa.string()),
        "appid": [said.get("appid") or config.app],
        "healthcode": pa.array([said.get("healthcode")], pa.string()),
        "assessmentid": [record.assessmentid],
        "assessmentrevision": [int(said["assessmentrevision"] or 0)],
        "clientinfo": pa.array([said.get("clientinfo")], pa.string()),
        "appversion": pa.array([client.get("appVersion")], pa.string()),
        "osname": pa.array([client.get("osName")], pa.string()),
        "uploadedon": pa.array([instant(said.get("uploadedon"))], instants),
        "exportedon": pa.array([instant(said.get("exportedon"))], instants),
        "files": [len(record.files)],
        "kept": [sum(file.dataset is not None for file in record.files)],
        "unmapped": [unmapped],
        "rows": [sum(table.num_rows for table in derived.tables.values())],
        "is_checked": [not record.is_legacy],
        "waived": [sum(derived.waived.values())],
        "waivers": pa.array([used or None], pa.string()),
        "status": ["unmapped_files" if unmapped else "complete"],
    }


def _documents(record: Record, derived: Derived) -> dict[str, Any]:
    rows, extra, fields = _counts(derived.tables)
    unchecked = {name for names in derived.unchecked.values() for name in names}
    files = record.files
    listed = {name: ", ".join(sorted(fields[name])[:_MOST_FIELDS]) or None for name in fields}
    return {
        "recordid": pa.array([record.recordid] * len(files), pa.string()),
        "file_name": pa.array([file.name for file in files], pa.string()),
        "size_bytes": pa.array([file.size_bytes for file in files], pa.int64()),
        "schema_id": pa.array([file.schema.schema_id for file in files], pa.string()),
        "found_in": pa.array([file.schema.where or None for file in files], pa.string()),
        "dataset": pa.array([file.dataset for file in files], pa.string()),
        "status": pa.array([_status(file.dataset, file.is_unmapped) for file in files], pa.string()),
        "checked": pa.array(
            [
                file.schema.schema_id is not None and not record.is_legacy and file.name not in unchecked
                for file in files
            ],
            pa.bool_(),
        ),
        "rows": pa.array([rows[file.name] for file in files], pa.int64()),
        "extra_rows": pa.array([extra[file.name] for file in files], pa.int64()),
        "extra_fields": pa.array([listed.get(file.name) for file in files], pa.string()),
    }


def _status(dataset: str | None, is_unmapped: bool) -> str:
    if dataset is not None:
        return "kept"
    return "unmapped" if is_unmapped else "no_dataset"


def _counts(tables: Mapping[str, pa.Table]) -> tuple[Counter[str], Counter[str], dict[str, set[str]]]:
    """Of each file: its rows, those with something that no column holds, and what that is."""
    rows: Counter[str] = Counter()
    extra: Counter[str] = Counter()
    fields: dict[str, set[str]] = {}
    for name, table in tables.items():
        rows += _by_file(table)
        more = table.filter(pc.is_valid(table[EXTRA]))
        if not more.num_rows:
            continue
        extra += _by_file(more)
        some = more.slice(0, _ROWS_LOOKED_AT)
        for file, text in zip(some[FILE_NAME].to_pylist(), some[EXTRA].to_pylist(), strict=True):
            fields.setdefault(file, set()).update(f"{name}.{field}" for field in _names(text))
    return rows, extra, fields


def _by_file(table: pa.Table) -> Counter[str]:
    counted = pc.value_counts(table[FILE_NAME]).to_pylist()
    return Counter({one["values"]: one["counts"] for one in counted})


def _names(text: str) -> list[str]:
    found = orjson.loads(text)
    return list(found) if isinstance(found, dict) else ["(the element)"]
