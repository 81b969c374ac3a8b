"""What became of every record that the source says it has: the listing minus what landed, and how far what landed got."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pipeline_assets.health.operations.listing import SourceRecord
from pipeline_assets.health.rows import RECORDS, instant
from pipeline_assets.sidecars import is_sidecar
from resources.lake.sql import run_query
from resources.ledger import Ledger
from resources.ledger.publishing import published_snapshots
from resources.ledger.queries import list_files
from resources.platform import Platform

SOURCE = "health"

Status = Literal["processed", "outdated", "refused", "in_progress", "missing", "not_listed"]
WANTED: tuple[Status, ...] = ("outdated", "missing")
"""What an export has to send again, or for the first time."""


@dataclass(frozen=True)
class RecordStatus:
    """One record.

    status: processed; outdated: a later export is listed than the one whose rows are there; refused; in_progress: it landed
    and is not settled; missing: it is listed and never landed; not_listed: its rows are there, and the listing lacks it.
    exportedon: of the listing; processed_export: of the rows.
    """

    recordid: str
    status: Status
    exportedon: datetime | None = None
    processed_export: datetime | None = None
    source_key: str = ""
    error_class: str = ""
    error: str = ""


@dataclass(frozen=True)
class Completeness:
    records: tuple[RecordStatus, ...]

    @property
    def counts(self) -> dict[str, int]:
        return dict(Counter(record.status for record in self.records))

    @property
    def is_complete(self) -> bool:
        return not any(record.status in {"outdated", "missing", "refused", "in_progress"} for record in self.records)

    def to_send(self) -> list[RecordStatus]:
        return [record for record in self.records if record.status in WANTED]


@dataclass(frozen=True)
class _Processed:
    key: str
    exportedon: datetime | None


def completeness(platform: Platform, listed: Mapping[str, SourceRecord]) -> Completeness:
    """Compare a listing with what the platform has.

    A record that is refused or under way is known by its id in the refusal, or as a part of its archive's key, because its
    annotations may never have been read.
    """
    processed = _processed(platform)
    unsettled = list(_unsettled(platform.ledger))
    found = [
        _status(record, processed.get(record.recordid), unsettled)
        for record in sorted(listed.values(), key=lambda one: one.recordid)
    ]
    strange = [
        RecordStatus(recordid, "not_listed", None, one.exportedon, one.key)
        for recordid, one in sorted(processed.items())
        if recordid not in listed
    ]
    return Completeness((*found, *strange))


def _status(
    record: SourceRecord, processed: _Processed | None, unsettled: list[tuple[str, str, Mapping[str, Any]]]
) -> RecordStatus:
    is_outdated = processed is not None and (
        record.exportedon is not None and (processed.exportedon is None or processed.exportedon < record.exportedon)
    )
    if processed is not None and not is_outdated:
        return RecordStatus(record.recordid, "processed", record.exportedon, processed.exportedon, processed.key)
    export = processed.exportedon if processed else None
    mine = [
        (state, file)
        for recordid, state, file in unsettled
        if recordid == record.recordid or (not recordid and _names(str(file["key"]), record.recordid))
    ]
    for state, file in mine:
        if state != "quarantined":
            return RecordStatus(record.recordid, "in_progress", record.exportedon, export, str(file["key"]))
    for _, file in sorted(mine, key=lambda one: is_sidecar(str(one[1]["key"]))):
        return RecordStatus(
            record.recordid, "refused", record.exportedon, export, str(file["key"]), str(file["error_class"] or ""),
            str(file["error"] or ""),
        )  # fmt: skip
    if processed is not None:
        return RecordStatus(record.recordid, "outdated", record.exportedon, export, processed.key)
    return RecordStatus(record.recordid, "missing", record.exportedon)


def _names(key: str, recordid: str) -> bool:
    """Whether a key names a record: its id stands in it, with nothing of an id before or behind it."""
    begin = key.find(recordid)
    while begin >= 0:
        before, behind = key[:begin][-1:], key[begin + len(recordid) :][:1]
        if not (before.isalnum() or before == "_") and not (behind.isalnum() or behind == "_"):
            return True
        begin = key.find(recordid, begin + 1)
    return False


def _processed(platform: Platform) -> dict[str, _Processed]:
    """By record, the key and export of the rows that are there; of a record in several archives, the latest."""
    if RECORDS not in published_snapshots(platform.ledger, SOURCE):
        return {}
    query = (
        f"SELECT recordid, source_key, exportedon FROM {SOURCE}.{RECORDS} ORDER BY exportedon NULLS FIRST, source_key"
    )
    rows = run_query(platform.lake, platform.ledger, query).to_pylist()
    return {row["recordid"]: _Processed(row["source_key"], _instant(row["exportedon"])) for row in rows}


def _instant(value: datetime | None) -> datetime | None:
    return None if value is None else instant(value.isoformat())


def _unsettled(ledger: Ledger) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Record id as far as it is known, state and file of every file that is refused or on its way."""
    refused = _records_of_refusals(ledger)
    for state in ("pending", "running", "held", "waiting", "quarantined"):
        for row in list_files(ledger, source=SOURCE, state=state):
            file = {"key": row.key, "error_class": row.error_class, "error": row.error}
            yield (refused.get(row.file_id, "") if state == "quarantined" else ""), state, file


def _records_of_refusals(ledger: Ledger) -> dict[str, str]:
    from sqlalchemy import select

    from resources.ledger.tables import quarantine

    query = select(quarantine.c.file_id, quarantine.c.record).where(
        quarantine.c.source == SOURCE, quarantine.c.record != ""
    )
    with ledger.read() as connection:
        return {row.file_id: row.record for row in connection.execute(query)}
