"""Reconciling: compare landing store, ledger and tables, each by its own word, and mend what differs. No Dagster here.

What is mended here is only ever the ledger; the next run reads again what has to be read again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pipeline_assets.columns import SOURCE_KEY, own_names
from pipeline_assets.operations.erasure import tombstones_in_step
from pipeline_assets.served import compare_served
from pipeline_assets.shown_tables import shown_tables
from pipeline_assets.source import FileSource
from resources.lake.lake import Lake, TableName
from resources.lake.sql import keys_by_file, rows_by_file
from resources.landing.store import LandingStore, Skipped
from resources.ledger.aggregates import aggregates_known, forget_aggregates
from resources.ledger.arrivals import Look, file_identity
from resources.ledger.batches import free_dead
from resources.ledger.erasure import unfinished
from resources.ledger.publishing import published_snapshots
from resources.ledger.queries import row_counts
from resources.ledger.repair import (
    UNKNOWN_VERSION,
    FoundFile,
    adopt_lake,
    committed_files,
    forget_lake,
    read_again,
)
from resources.platform import Platform
from sensors.looking import look_for_arrivals

_MOST_GENERATIONS = 8


@dataclass
class Findings:
    """What reconciling a source found and did."""

    source: str
    keys: int = 0
    new_files: int = 0
    committed: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    adopted: int = 0
    """files that the ledger did not know and the tables have rows of"""
    lake_lost: bool = False
    read_again: list[str] = field(default_factory=list)
    """committed files whose rows were missing or wrong, to be read again"""
    lost: list[str] = field(default_factory=list)
    """the same, but the landing store does not have them any more"""
    strange: dict[str, list[str]] = field(default_factory=dict)
    """by table, files with rows there that the ledger does not account for"""

    served: list[str] = field(default_factory=list)
    """how the second store differed; put right from the tables"""
    unfinished_erasures: list[str] = field(default_factory=list)
    """that were interrupted: `strandline forget` goes on with them"""
    aggregates: list[str] = field(default_factory=list)
    """whose tables were lost, or that are declared no more"""

    @property
    def balanced(self) -> bool:
        found = (self.new_files, self.adopted, self.read_again, self.lost, self.strange, self.aggregates, self.served)
        return not (any(found) or self.lake_lost or self.unfinished_erasures)


def reconcile(platform: Platform, source: FileSource, *, accept_loss: bool = False) -> Findings:
    """Compare and mend one source. Doing it again changes nothing more until its files have been read again.

    accept_loss: build lost or damaged tables anew even if files they had rows of are in the landing store no more.
    """
    findings = Findings(source.name)
    ledger, lake = platform.ledger, platform.lake
    tombstones_in_step(platform, source)
    findings.unfinished_erasures = [one.erasure_id for one in unfinished(ledger) if one.source == source.name]
    findings.aggregates = _forget_lost_aggregates(platform, source)
    published = published_snapshots(ledger, source.name)
    if not any(published.values()):
        findings.adopted = _adopt(platform, source)
        published = published_snapshots(ledger, source.name)
    elif not all(lake.is_readable(TableName(source.name, name), snapshot) for name, snapshot in published.items()):
        findings.lake_lost = True
        committed = committed_files(ledger, source.name)
        findings.lost = sorted(i for i, (key, version) in committed.items() if not _has(platform.landing, key, version))
        if findings.lost and not accept_loss:
            findings.committed = len(committed)
            return findings
        forget_lake(ledger, source.name, source.table_names)
        published = {}
    _look_at_all(platform, source, findings)
    if published:
        _compare_rows(platform, source, published, findings)
        if not (findings.read_again or findings.lost):
            # Else the tables are not what the second store is to be put right from.
            findings.served = compare_served(platform, source, lambda said: None, mend=True)
    findings.committed = len(committed_files(ledger, source.name))
    return findings


def _forget_lost_aggregates(platform: Platform, source: FileSource) -> list[str]:
    """An aggregate is made of its source's rows, so nothing is lost with it, and its next update makes it anew."""
    ledger, lake = platform.ledger, platform.lake
    published = published_snapshots(ledger, source.name)
    declared = {aggregate.name for aggregate in source.aggregates}
    gone = [
        name
        for name in sorted((declared & published.keys()) | aggregates_known(ledger, source.name))
        if name not in declared or not lake.is_readable(TableName(source.name, name), published.get(name))
    ]
    if gone:
        forget_aggregates(ledger, source.name, gone)
    return gone


def _look_at_all(platform: Platform, source: FileSource, findings: Findings) -> None:
    from_start = True
    while True:
        look = look_for_arrivals(platform, source, from_start=from_start)
        findings.keys += look.listed
        findings.new_files += len(look.new_files)
        if look.complete:
            return
        from_start = False


def _compare_rows(
    platform: Platform, source: FileSource, published: Mapping[str, int | None], findings: Findings
) -> None:
    counted = row_counts(platform.ledger, source=source.name)
    committed = committed_files(platform.ledger, source.name)
    differing: set[str] = set()
    for table, may_lack in shown_tables(platform, source, published).items():
        name = TableName(source.name, table)
        found = {
            file_id: rows for file_id, (_, rows) in rows_by_file(platform.lake, name, published.get(table)).items()
        }
        findings.rows[table] = sum(found.values())
        wanted = counted.get(table, {})
        # Of a table that not every file has rows for, the ledger counts only those that have.
        uncounted = 0 if may_lack else -1
        differing |= {file_id for file_id in committed if found.get(file_id, 0) != wanted.get(file_id, uncounted)}
        strange = sorted(file_id for file_id in found if file_id not in wanted)
        if strange:
            findings.strange[table] = strange
    for file_id in sorted(differing):
        key, version = committed[file_id]
        there = _has(platform.landing, key, version)
        (findings.read_again if there else findings.lost).append(file_id)
    read_again(platform.ledger, findings.read_again, "its rows were missing or wrong when reconciled")


def _has(store: LandingStore, key: str, version: str) -> bool:
    look = store.look(key)
    return look is not None and store.version_of(look) == version


def _adopt(platform: Platform, source: FileSource) -> int:
    """Enter rows that the lake has and the ledger knows nothing of; the number of files they are from."""
    lake = platform.lake
    names = shown_tables(platform, source, lake.names(source.name))
    snapshots = {name: lake.current_snapshot(TableName(source.name, name)) for name in names}
    if not any(snapshots.values()):
        return 0
    batches: dict[str, str] = {}
    rows: dict[str, dict[str, int]] = {}
    for name, snapshot in snapshots.items():
        for file_id, (batch_id, count) in rows_by_file(lake, TableName(source.name, name), snapshot).items():
            batches[file_id] = batch_id
            rows.setdefault(file_id, {})[name] = count
    keys = _keys(lake, source, snapshots)
    prefix = platform.settings.prefix_of(source.name)
    landed = {look.key: look for look in platform.landing.list(prefix) if not isinstance(look, Skipped)}
    found = []
    for file_id, of_file in sorted(rows.items(), key=lambda item: batches[item[0]]):
        key = keys.get(file_id, f"{prefix}(unknown)/{file_id}")
        version, size, generation = _identify(platform.landing, file_id, landed.get(key))
        landed_at = landed[key].landed_at if key in landed else datetime.now(UTC)
        complete = {**{table.name: 0 for table in source.tables if not table.dataset}, **of_file}
        found.append(FoundFile(file_id, batches[file_id], key, version, size, generation, landed_at, complete))
    free_dead(platform.ledger, source.name, platform.settings.max_attempts)
    adopt_lake(platform.ledger, source.name, platform.landing.name, snapshots, found, source.delivery)
    return len(found)


def _keys(lake: Lake, source: FileSource, snapshots: Mapping[str, int | None]) -> dict[str, str]:
    keys: dict[str, str] = {}
    for table in source.tables:
        if SOURCE_KEY in own_names(table.schema):
            keys |= keys_by_file(lake, TableName(source.name, table.name), snapshots[table.name])
    return keys


def _identify(store: LandingStore, file_id: str, look: Look | None) -> tuple[str, int, int]:
    """Version, size and generation that give the id, if the landing store still has that file."""
    if look is not None:
        version = store.version_of(look)
        for generation in range(_MOST_GENERATIONS):
            if file_identity(store.name, look.key, version, look.size_bytes, generation) == file_id:
                return version, look.size_bytes, generation
    return UNKNOWN_VERSION, 0, 0
