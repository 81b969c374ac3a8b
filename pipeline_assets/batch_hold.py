"""When a batch is held back because of files that were refused: too many of them, or any of a group that wants to be whole.
No Dagster here.
"""

from __future__ import annotations

from collections import Counter

from pipeline_assets.batch_context import BatchContext, Work
from pipeline_assets.batch_report import RefusedFile, log_refused
from pipeline_assets.reading_units import shared_by, shared_files
from pipeline_assets.source import FileSource
from resources.errors import PermanentFailure
from resources.landing.store import BIG_FILE_BYTES
from resources.ledger.batches import Claim, Refusals

_MOST_TOLD = 5


class BatchHeld(PermanentFailure):
    """The batch was stopped before anything of it was visible. The message says why and what to do.

    refused: by file id the class and reason of the files for which a group stops, so that it goes on once they are mended.
    """

    def __init__(self, message: str, refused: Refusals | None = None) -> None:
        super().__init__(message)
        self.refused = dict(refused or {})


def hold_if_too_many_refused(source: FileSource, claimed: Claim, work: Work) -> None:
    """Raises BatchHeld."""
    total, refused = len(work.outcomes), work.refused
    if claimed.batch.released or total < source.hold_from_files or refused <= source.hold_above * total:
        return
    log_refused(claimed.batch.batch_id, refused_files(claimed, work))
    classes = Counter(o.refusal.error_class for o in work.outcomes.values() if o.refusal).most_common(5)
    raise BatchHeld(
        f"{refused} of {total} files were refused ({', '.join(f'{name} {count}' for name, count in classes)}), more than "
        f"{source.hold_above:.0%}. Nothing of the batch is visible. Mend the cause and materialize the batch again, or "
        f"let it pass: strandline release {claimed.batch.batch_id}"
    )


def hold_if_group_stops(context: BatchContext, claimed: Claim, work: Work) -> None:
    """Raises BatchHeld where a group lets nothing of it be visible once a file of it is refused."""
    source = context.source
    if source.groups is None or source.groups.stops is None or claimed.batch.released or not work.refused:
        return
    refused = refused_files(claimed, work)
    # What is too large to be said of a group was refused by its reader, in a process with limits.
    shared = tuple(file for file in shared_by(source, claimed.files) if file.size_bytes <= BIG_FILE_BYTES)
    given = shared_files(context.platform.landing.fetcher(), shared)
    why = source.groups.stops(context.config, given, [file.key for file in refused])
    if why is None:
        return
    log_refused(claimed.batch.batch_id, refused)
    told = "; ".join(
        f"{file.key} ({file.refusal.error_class}): {file.refusal.message}" for file in refused[:_MOST_TOLD]
    )
    more = f"; and {len(refused) - _MOST_TOLD} more" if len(refused) > _MOST_TOLD else ""
    raise BatchHeld(
        f"{why} {len(refused)} of {len(work.outcomes)} files were refused: {told}{more}. What was published of "
        f"{claimed.batch.partition} before stays. Land what is mended: all of it is then read again. Or let it go on without "
        f"these files: strandline release {claimed.batch.batch_id}",
        {file.file_id: (file.refusal.error_class, file.refusal.message) for file in refused},
    )


def refused_files(claimed: Claim, work: Work) -> tuple[RefusedFile, ...]:
    """The refused files of a batch with their reasons, in the order of their keys."""
    keys = {file.file_id: file.key for file in claimed.files}
    refused = [RefusedFile(o.file_id, keys[o.file_id], o.refusal) for o in work.outcomes.values() if o.refusal]
    return tuple(sorted(refused, key=lambda item: item.key))
