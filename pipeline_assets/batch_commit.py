"""How a batch becomes visible: its rows in every table, and its outcomes in the ledger, in one commit turn."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from pipeline_assets.batch_context import BatchContext, Work
from pipeline_assets.batch_hold import hold_if_too_many_refused
from pipeline_assets.generations import STAYS, keep_what_stood, older_replaced
from pipeline_assets.heartbeat import Heartbeat
from pipeline_assets.source import FileSource
from resources.lake.lake import CommitConflict, Committed, TableName
from resources.ledger import FileState
from resources.ledger.aggregates import snapshots_in_use
from resources.ledger.batches import Claim, is_known
from resources.ledger.erasure import check_turn, forgotten_among
from resources.ledger.leases import Lease
from resources.ledger.publishing import (
    NO_RIVALS,
    Outcome,
    duplicates,
    end_commit_turn,
    files_with_rows,
    publish,
    published_snapshots,
    rivals,
    tables_with_rows,
    take_commit_turn,
)
from resources.ledger.replacing import to_replace
from resources.platform import Platform


def commit(context: BatchContext, claimed: Claim, work: Work, heartbeat: Heartbeat) -> dict[str, Committed]:
    """Write every table and publish them together. The caller's claim ends with it."""
    platform, source, ledger = context.platform, context.source, context.platform.ledger
    with _commit_turn(context, claimed, heartbeat) as turn:
        change = _serve_first(context, claimed, work, turn)
        base = published_snapshots(ledger, source.name)
        try:
            with platform.lake.together():
                tables = _commit_tables(context, claimed, work, change, base)
        except CommitConflict:
            check_turn(ledger, turn)  # a run whose turn has ended is the one that is late, and says that
            raise
        heartbeat.stop()
        publish(
            ledger,
            claimed,
            turn,
            {
                **{table: None for table in source.table_names if table not in base},
                **{table: committed.snapshot_id for table, committed in tables.items()},
            },
            list(work.outcomes.values()),
            superseded=sorted(change.superseded),
            rows_removed=sorted(change.remove),
            products=[product.name for product in source.products_of(context.config)],
            replaced=change.replaced,
        )
    return tables


def _to_commit(source: FileSource, touched: Collection[str]) -> list[str]:
    """The tables that a batch commits to: a dataset's only if the batch changes their rows. One that is no longer declared
    still loses the rows of files that are read again."""
    declared = [table.name for table in source.tables if not table.dataset or table.name in touched]
    return [*declared, *sorted(set(touched) - set(source.table_names))]


@dataclass(frozen=True)
class _Change:
    """What a commit does to the tables beside adding the batch's rows."""

    remove: frozenset[str]
    """files whose earlier rows go"""
    unwanted: frozenset[str]
    """files that have rows in the batch's data files, and must not get in"""
    superseded: frozenset[str]
    stays: frozenset[str]
    """files whose earlier rows stay"""
    replaced: Mapping[str, str]
    """files that a person wants replaced, each with the one that does; their rows are among those to remove"""


def _commit_tables(
    context: BatchContext, claimed: Claim, work: Work, change: _Change, base: Mapping[str, int | None]
) -> dict[str, Committed]:
    """base: by table, the snapshot that readers see."""
    source, ledger, lake = context.source, context.platform.ledger, context.platform.lake
    in_use = snapshots_in_use(ledger, source.name, [aggregate.name for aggregate in source.aggregates])
    write = partial(
        lake.commit, batch_id=claimed.batch.batch_id, run_id=claimed.run_id, knows_batch=partial(is_known, ledger)
    )
    tables: dict[str, Committed] = {}
    for table in _to_commit(source, work.data_files.keys() | tables_with_rows(ledger, change.remove)):
        name = TableName(source.name, table)
        before, used = base.get(table), in_use.get(table, set())
        done = write(name, base=before, add=work.data_files.get(table, []), remove_file_ids=change.remove, in_use=used)
        if change.unwanted:
            built = done.snapshot_id
            done = write(name, base=built, add=[], remove_file_ids=change.unwanted, keep=before, in_use=used)
        tables[table] = done
    return tables


def _serve_first(context: BatchContext, claimed: Claim, work: Work, turn: Lease) -> _Change:
    """Decide the commit; where a source has a second store, ask that first, and commit there."""
    serving, ledger = context.source.serving, context.platform.ledger
    if serving is None or not claimed.files:
        return _decide(context, claimed, work, frozenset())
    with serving.load(context.platform, claimed, turn, context.config) as load:
        refused = load.stage(work.data_files)
        for file_id, refusal in refused.items():
            work.outcomes[file_id] = replace(
                work.outcomes[file_id], state=FileState.QUARANTINED, rows={}, refusal=refusal
            )
        if refused:
            hold_if_too_many_refused(context.source, claimed, work)
        change = _decide(context, claimed, work, frozenset(refused))
        keep = {i for i, o in work.outcomes.items() if o.state == FileState.COMMITTED} - change.stays - change.unwanted
        check_turn(ledger, turn)
        load.commit(keep, ({file.file_id for file in claimed.files} | change.remove) - keep - change.stays)
    # An attempt before this one may have replaced them there, and what was to take their place is not good after all.
    left = to_replace(ledger, {file.file_id for file in claimed.files}).keys() - change.replaced.keys()
    if left:
        serving.compare(context.platform, turn, left, True)
    return change


def _decide(context: BatchContext, claimed: Claim, work: Work, refused: frozenset[str]) -> _Change:
    """refused: files that were refused after their rows were written."""
    platform, source, ledger = context.platform, context.source, context.platform.ledger
    forgotten = forgotten_among(ledger, work.outcomes)
    work.outcomes |= {file_id: Outcome(file_id, FileState.FORGOTTEN) for file_id in forgotten}
    good = [o.file_id for o in work.outcomes.values() if o.state == FileState.COMMITTED]
    others = rivals(ledger, good) if source.overwrite == "replace" else NO_RIVALS
    for file_id in others.outdated:
        work.outcomes[file_id] = Outcome(file_id, FileState.SUPERSEDED)
    doubles = _mark_duplicates(platform, source, work)
    mine = files_with_rows(ledger, [*(file.file_id for file in claimed.files), *claimed.older])
    keep_what_stood(platform, source, claimed, work.outcomes, mine, context.reporter)
    outdone = older_replaced(claimed, work.outcomes)
    stays = {i for i in mine if i in work.outcomes and work.outcomes[i].note == STAYS} | claimed.older.keys() - outdone
    replaced = to_replace(ledger, [o.file_id for o in work.outcomes.values() if o.state == FileState.COMMITTED])
    stays -= replaced.keys()
    return _Change(
        remove=frozenset(others.to_remove | (mine - stays) | replaced.keys()),
        unwanted=frozenset(others.outdated | doubles | forgotten | refused | (replaced.keys() & work.outcomes.keys())),
        superseded=frozenset((others.older | outdone) - others.outdated - replaced.keys()),
        stays=frozenset(stays),
        replaced=replaced,
    )


def _mark_duplicates(platform: Platform, source: FileSource, work: Work) -> frozenset[str]:
    """Files whose bytes are committed under another key already; their rows are not wanted."""
    contents = {
        o.file_id: o.content for o in work.outcomes.values() if o.state == FileState.COMMITTED and o.content is not None
    }
    found = duplicates(platform.ledger, source.name, contents) if contents else {}
    for file_id, key in found.items():
        note = f"the same bytes are committed as {key}"
        work.outcomes[file_id] = Outcome(file_id, FileState.DUPLICATE, note=note)
    return frozenset(found)


@contextmanager
def _commit_turn(context: BatchContext, claimed: Claim, heartbeat: Heartbeat) -> Iterator[Lease]:
    platform, source = context.platform, context.source
    waited = False
    while True:
        turn = take_commit_turn(platform.ledger, source.name, claimed.run_id, platform.settings.lease_seconds)
        if turn is not None:
            break
        if not waited:
            context.reporter.say(f"waiting: another run commits to the tables of {source.name}")
            waited = True
        time.sleep(0.1)
    heartbeat.keep(turn)
    try:
        yield turn
    except BaseException:
        heartbeat.release(turn)
        end_commit_turn(platform.ledger, turn)
        raise
