"""One archive of each version of an app against candidate schemas, before they are put to use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline_assets.health.config import HealthConfig
from pipeline_assets.health.operations.completeness import SOURCE
from pipeline_assets.health.read import loaded_mapping, read_archive
from pipeline_assets.health.rows import RECORDS, rows_of_record
from pipeline_assets.landed_file import Refused
from pipeline_assets.reading_units import fetch, landed
from pipeline_assets.source import FileSource
from resources.errors import UserError
from resources.lake.sql import run_query
from resources.ledger.batches import ClaimedFile
from resources.ledger.publishing import published_snapshots
from resources.ledger.queries import list_files
from resources.platform import Platform

_VERSIONS = ("appid", "osname", "appversion", "assessmentid", "assessmentrevision")


class NothingToSample(UserError):
    """No record is there to be tried."""


@dataclass(frozen=True)
class Tried:
    """One archive against the candidate schemas.

    error_class, error: why it would be refused; empty if it would not. rows: by table, what it would become. unmapped: its
    files with a schema of no dataset.
    """

    version: Mapping[str, Any]
    recordid: str
    key: str
    error_class: str = ""
    error: str = ""
    rows: Mapping[str, int] = field(default_factory=dict)
    unmapped: int = 0

    @property
    def is_good(self) -> bool:
        return not self.error_class


def try_sample(platform: Platform, source: FileSource, config: HealthConfig, candidate: Path) -> list[Tried]:
    """Read the newest record of each app version, system, assessment and revision with the schemas of a folder. Changes nothing.

    Raises NothingToSample, MappingError.
    """
    if RECORDS not in published_snapshots(platform.ledger, SOURCE):
        raise NothingToSample("No record is committed yet; land and drain some first.")
    listed = ", ".join(_VERSIONS)
    rows = run_query(
        platform.lake,
        platform.ledger,
        f"SELECT {listed}, recordid, file_id, source_key FROM {SOURCE}.{RECORDS} "
        f"QUALIFY row_number() OVER (PARTITION BY {listed} ORDER BY uploadedon DESC, source_key) = 1 ORDER BY {listed}",
    ).to_pylist()
    if not rows:
        raise NothingToSample("No record is committed; land and drain some first.")
    loaded_mapping(candidate)
    trial = config.model_copy(update={"schemas": candidate})
    return [_try(platform, source, trial, row) for row in rows]


def _try(platform: Platform, source: FileSource, config: HealthConfig, row: Mapping[str, Any]) -> Tried:
    version = {name: row[name] for name in _VERSIONS}
    said = {"version": version, "recordid": row["recordid"], "key": row["source_key"]}
    fetcher = platform.landing.fetcher()
    contents: dict[Any, Any] = {}
    try:
        unit = _unit(platform, row["source_key"])
        if not unit or fetch(fetcher, unit, contents):
            return Tried(
                **said, error_class="gone", error="it is not in the landing store any more; choose another by hand"
            )
        _, file = landed(source, contents)
        record = read_archive(file, config)
        made = rows_of_record(record, config)
    except Refused as refused:
        return Tried(**said, error_class=refused.error_class, error=refused.message)
    finally:
        for got in contents.values():
            fetcher.done(got.content)
    rows = {name: table.num_rows for name, table in made.items() if hasattr(table, "num_rows")}
    return Tried(**said, rows=rows, unmapped=sum(file.is_unmapped for file in record.files))


def _unit(platform: Platform, key: str) -> tuple[ClaimedFile, ...]:
    """The archive with its sidecar, as they were committed."""
    found = [
        ClaimedFile(row.file_id, row.key, row.version, row.size_bytes, group_key=key, landed_at=row.landed_at)
        for row in list_files(platform.ledger, source=SOURCE, state="committed", key_contains=key)
        if row.key in {key, f"{key}.metadata.json"}
    ]
    return tuple(found) if any(file.key == key for file in found) else ()
