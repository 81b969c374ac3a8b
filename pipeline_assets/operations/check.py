"""Whether landing store, ledger and tables agree, at any moment and changing nothing. No Dagster here.

For who just killed something, or wants to know before and after an upgrade. Each of the three is asked by its own word:
the landing store is listed and its files are hashed, the rows of every file are counted in the data files, and the
ledger's own journal of moves is held against the states it says files are in.

What is only not done yet (a file that landed unseen, a batch that waits for its run) is no difference; it is told apart,
so that a killed deployment is expected to agree, and one that was drained since also to be settled.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from sqlalchemy import exists, select

from pipeline_assets.operations.balance import Balance, compare_tables
from pipeline_assets.shown_tables import shown_tables
from pipeline_assets.source import FileSource
from resources.lake.lake import SnapshotGone, TableName
from resources.lake.sql import rows_by_file
from resources.landing.store import FileChanged, FileGone, Skipped
from resources.ledger.arrivals import tombstone_of
from resources.ledger.batches import BatchState, is_known
from resources.ledger.erasure import marks_of
from resources.ledger.health import UNSETTLED
from resources.ledger.publishing import published_snapshots
from resources.ledger.queries import count_by_state
from resources.ledger.states import FileState, chunked
from resources.ledger.tables import batches, file_history, files, quarantine
from resources.platform import Platform


@dataclass
class Checked:
    """What landing store, ledger and tables of one source say of each other."""

    source: str
    keys: int = 0
    """in the landing store"""
    states: dict[str, int] = field(default_factory=dict)
    """files in the ledger by state, every version of every key"""
    rows: dict[str, int] = field(default_factory=dict)
    unseen: list[str] = field(default_factory=list)
    """keys of which the ledger does not know the bytes that are there now: no look has come by, or it is being written"""
    differences: dict[str, list[str]] = field(default_factory=dict)
    """by what is wrong, the files, keys or paths"""

    @property
    def agrees(self) -> bool:
        return not self.differences

    @property
    def outstanding(self) -> int:
        """Files that something is still to become of."""
        return len(self.unseen) + sum(self.states.get(state, 0) for state in UNSETTLED)


def check(platform: Platform, source: FileSource) -> Checked:
    """Compare one source. Reads the bytes of every file of a landing folder, and of every data file a column."""
    found = Checked(source.name)
    balance = Balance(source.name)
    compare_tables(platform, source, balance)
    found.rows = balance.rows
    for words, by_table in (
        ("files with other rows than were counted", balance.differing),
        ("files with rows that must have none", balance.unaccounted),
        ("data files that are gone", balance.missing),
    ):
        for table, what in by_table.items():
            found.differences[f"{source.name}.{table}: {words}"] = what
    _look_for_unknown_rows(platform, source, found)
    _compare_states(platform, source, found)
    _compare_landing(platform, source, found)
    found.states = count_by_state(platform.ledger, source.name)
    return found


def _look_for_unknown_rows(platform: Platform, source: FileSource, found: Checked) -> None:
    """Rows past what is published: a run that died leaves some, of a batch that the ledger knows. Others tell that the
    ledger was lost, or is older than the lake."""
    published = published_snapshots(platform.ledger, source.name)
    for table in shown_tables(platform, source, published):
        name = TableName(source.name, table)
        current = platform.lake.current_snapshot(name)
        if current is None or current == published.get(table):
            continue
        with suppress(SnapshotGone):
            made_by = {batch_id for batch_id, _ in rows_by_file(platform.lake, name, current).values()}
            unknown = sorted(batch_id for batch_id in made_by if not is_known(platform.ledger, batch_id))
            if unknown:
                found.differences[f"{name}: batches with rows there that the ledger does not know"] = unknown


def _compare_landing(platform: Platform, source: FileSource, found: Checked) -> None:
    store = platform.landing
    forgotten = marks_of(platform.ledger, source.name)
    for looks in chunked(
        look for look in store.list(platform.settings.prefix_of(source.name)) if not isinstance(look, Skipped)
    ):
        known = _newest_versions(platform, [look.key for look in looks])
        for look in looks:
            found.keys += 1
            try:
                version = store.version_of(look)
            except FileGone:
                continue
            except (FileChanged, PermissionError):
                found.unseen.append(look.key)
                continue
            is_known = known.get(look.key) == (version, look.size_bytes)
            if not is_known and tombstone_of(store.name, look.key, version, look.size_bytes) not in forgotten:
                found.unseen.append(look.key)


def _newest_versions(platform: Platform, keys: Sequence[str]) -> dict[str, tuple[str, int]]:
    query = (
        select(files.c.key, files.c.version, files.c.size_bytes)
        .where(files.c.store == platform.landing.name, files.c.key.in_(keys))
        .order_by(files.c.seq)
    )
    with platform.ledger.read() as connection:
        return {key: (version, size) for key, version, size in connection.execute(query)}


def _compare_states(platform: Platform, source: FileSource, found: Checked) -> None:
    """The ledger with itself, in one query and so of one moment."""
    last_move = (
        select(file_history.c.to_state)
        .where(file_history.c.file_id == files.c.file_id)
        .order_by(file_history.c.seq.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = (
        select(
            files.c.file_id, files.c.key, files.c.state, batches.c.state.label("batch_state"),
            last_move.label("last_move"),
            exists().where(quarantine.c.file_id == files.c.file_id).label("has_reason"),
        )
        .outerjoin(batches, batches.c.batch_id == files.c.batch_id)
        .where(files.c.source == source.name)
        .order_by(files.c.seq)
    )  # fmt: skip
    with platform.ledger.read() as connection:
        known = connection.execute(query).all()
    committed: set[str] = set()
    for row in known:
        if row.state not in (FileState.FORGOTTEN, row.last_move):
            _note(found, "files in another state than their last move led to", row.file_id)
        if row.state == FileState.RUNNING and row.batch_state != BatchState.RUNNING:
            _note(found, "files that no batch works on, though they are running", row.file_id)
        if row.state == FileState.HELD and row.batch_state != BatchState.HELD:
            _note(found, "files that are held, though their batch is not", row.file_id)
        if row.state == FileState.QUARANTINED and not row.has_reason:
            _note(found, "refused files without a reason", row.file_id)
        if row.state == FileState.COMMITTED and source.overwrite == "replace":
            if row.key in committed:
                _note(found, "keys with two committed versions", row.key)
            committed.add(row.key)


def _note(found: Checked, what: str, which: str) -> None:
    found.differences.setdefault(what, []).append(which)
