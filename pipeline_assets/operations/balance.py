"""Comparing landing store, ledger and tables while batches run, without changing what a batch may be at. No Dagster here.

`reconcile` mends; this is what a schedule does. It does one thing that changes the ledger: it enters files that landed
unseen, exactly as every look of a sensor does. All else it only tells, because each mending that `reconcile` does rests
on a difference being real, and beside running batches a difference may just be the moment between two looks. To read a
committed file again costs work and to take a lake for lost costs all of it; a wrong alarm costs a minute.

So a difference counts only when it is there in a look during which nothing was published, or in each of several looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from pipeline_assets.shown_tables import shown_tables
from pipeline_assets.source import FileSource
from resources.lake import files as files_of_lake
from resources.lake.lake import SnapshotGone, TableName
from resources.lake.sql import rows_by_file
from resources.ledger.aggregates import newest_publication
from resources.ledger.queries import row_counts
from resources.ledger.repair import committed_files
from resources.platform import Platform
from sensors.looking import look_for_arrivals

_LOOKS = 3

Difference = tuple[str, str]
"""Table, and id of a file or path of a data file."""


@dataclass
class Balance:
    """What landing store, ledger and tables say of one source."""

    source: str
    keys: int = 0
    """in the landing store"""
    new_files: int = 0
    """that had landed unseen; in the ledger now"""
    committed: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    differing: dict[str, list[str]] = field(default_factory=dict)
    """by table, files whose rows are not as many as the ledger says"""
    unaccounted: dict[str, list[str]] = field(default_factory=dict)
    """by table, files with rows there that the ledger has no count of"""
    missing: dict[str, list[str]] = field(default_factory=dict)
    """by table, data files that are gone, or the table itself"""

    @property
    def balanced(self) -> bool:
        return not (self.differing or self.unaccounted or self.missing)

    @property
    def differences(self) -> int:
        kinds = (self.differing, self.unaccounted, self.missing)
        return sum(len(found) for kind in kinds for found in kind.values())


def balance(platform: Platform, source: FileSource) -> Balance:
    """Compare one source. Reads of every data file the column of file ids; safe beside running batches."""
    found = Balance(source.name)
    from_start = True
    while True:
        look = look_for_arrivals(platform, source, from_start=from_start)
        found.keys += look.listed
        found.new_files += len(look.new_files)
        from_start = False
        if look.complete:
            break
    compare_tables(platform, source, found)
    return found


def compare_tables(platform: Platform, source: FileSource, found: Balance) -> None:
    """Compare the published tables with the ledger's counts, into `found`. Changes nothing; safe beside running batches."""
    sure: set[tuple[str, Difference]] | None = None
    for _ in range(_LOOKS):
        seen, is_of_one_moment = _look(platform, source, found)
        sure = seen if sure is None or is_of_one_moment else sure & seen
        if not sure or is_of_one_moment:
            break
    for kind, (table, what) in sorted(sure or ()):
        getattr(found, kind).setdefault(table, []).append(what)


def _look(platform: Platform, source: FileSource, found: Balance) -> tuple[set[tuple[str, Difference]], bool]:
    """All differences, and whether nothing was published meanwhile."""
    before = newest_publication(platform.ledger, source.name)
    counted = row_counts(platform.ledger, source=source.name)
    committed = committed_files(platform.ledger, source.name)
    differences: set[tuple[str, Difference]] = set()
    for table, may_lack in shown_tables(platform, source, before.snapshots if before else ()).items():
        snapshot = before.snapshots.get(table) if before else None
        name = TableName(source.name, table)
        gone = _missing(platform, name, snapshot)
        differences |= {("missing", (table, what)) for what in gone}
        rows: Mapping[str, int] = {}
        with suppress(SnapshotGone):
            rows = {} if gone else {i: n for i, (_, n) in rows_by_file(platform.lake, name, snapshot).items()}
        wanted = counted.get(table, {})
        uncounted = 0 if may_lack else -1
        if not gone:
            found.rows[table] = sum(rows.values())
            differences |= {("differing", (table, i)) for i in committed if rows.get(i, 0) != wanted.get(i, uncounted)}
            differences |= {("unaccounted", (table, i)) for i in rows if i not in wanted}
    found.committed = len(committed)
    after = newest_publication(platform.ledger, source.name)
    return differences, (before.seq if before else 0) == (after.seq if after else 0)


def _missing(platform: Platform, table: TableName, snapshot: int | None) -> list[str]:
    """Data files of a snapshot that are not on disk; the table itself when it or the snapshot is not known."""
    from pyiceberg.exceptions import NoSuchTableError

    try:
        paths = platform.lake.data_files(table, snapshot)
    except (NoSuchTableError, FileNotFoundError):
        return ["(the table's own files)"]
    except SnapshotGone:
        return ["(its published snapshot)"]
    return files_of_lake.missing(paths)
