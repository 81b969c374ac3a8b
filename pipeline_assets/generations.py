"""Which rows of earlier runs a commit leaves, because what was to replace them did not come to be. No Dagster here."""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping
from typing import TYPE_CHECKING

from pipeline_assets.reading_units import Unit, units
from pipeline_assets.source import FileSource
from resources.ledger import FileState
from resources.ledger.batches import Claim
from resources.ledger.publishing import Outcome, Refusal
from resources.ledger.queries import row_counts
from resources.platform import Platform

if TYPE_CHECKING:
    from pipeline_assets.batch_context import Reporter

STAYS = "its rows stay as they were committed"
"""The note of an outcome that leaves a file's earlier rows."""

_NOT_READ = frozenset({FileState.DELETED, FileState.SUPERSEDED, FileState.WAITING})


def keep_what_stood(
    platform: Platform,
    source: FileSource,
    claimed: Claim,
    outcomes: MutableMapping[str, Outcome],
    with_rows: Collection[str],
    reporter: Reporter,
) -> None:
    """Leave what was committed of files that cannot be read again, and of records whose new part is to blame.

    A file that was committed and is gone or overwritten since keeps its rows. So does a record that is refused with a
    part that is new: the part is refused, and the record stays as it was before that came. Changes `outcomes`.
    """
    gone = {i for i in with_rows if i in outcomes and outcomes[i].state in _NOT_READ}
    spoiled: set[str] = set()
    if source.records is not None:
        for unit in units(source, claimed.files):
            _refuse_what_nothing_comes_for(unit, outcomes, gone)
            refused = {file.file_id for file in unit if outcomes[file.file_id].state == FileState.QUARANTINED}
            if refused - set(with_rows):
                spoiled |= refused & set(with_rows)
    if not gone | spoiled:
        return
    counts = row_counts(platform.ledger, batch_id=claimed.batch.batch_id)
    for file_id in gone | spoiled:
        rows = {table: by_file[file_id] for table, by_file in counts.items() if file_id in by_file}
        outcomes[file_id] = Outcome(file_id, FileState.COMMITTED, rows, note=STAYS)
    if gone:
        reporter.say(f"{len(gone)} files are gone or overwritten since they were committed; their rows stay")
    if spoiled:
        reporter.say(f"{len(spoiled)} files stay as they were committed: what was added to their record is refused")


def _refuse_what_nothing_comes_for(unit: Unit, outcomes: MutableMapping[str, Outcome], stay: Collection[str]) -> None:
    """A part that came to a record of which another is gone, but committed still, would be read again for ever."""
    gone = [file.key for file in unit if file.file_id in stay and outcomes[file.file_id].state == FileState.DELETED]
    for file in unit if gone else ():
        if outcomes[file.file_id].state == FileState.WAITING and file.file_id not in stay:
            refusal = Refusal(
                "incomplete_record",
                f"{', '.join(gone)} of its record is gone from the landing store, so it cannot be read with it; the "
                "rows of the record stay as they were. Land what is gone again, then replay this file.",
            )
            outcomes[file.file_id] = Outcome(file.file_id, FileState.QUARANTINED, refusal=refusal)


def older_replaced(claimed: Claim, outcomes: Mapping[str, Outcome]) -> frozenset[str]:
    """Files of a group's earlier generation that this one takes the place of, be the newer version good or refused."""
    decided = {FileState.COMMITTED, FileState.QUARANTINED}
    return frozenset(older for older, newer in claimed.older.items() if outcomes[newer].state in decided)
