"""When a batch is held back because too many of its files were refused. No Dagster here."""

from __future__ import annotations

from collections import Counter

from pipeline_assets.batch_context import Work
from pipeline_assets.batch_report import RefusedFile, log_refused
from pipeline_assets.source import FileSource
from resources.errors import PermanentFailure
from resources.ledger.batches import Claim


class BatchHeld(PermanentFailure):
    """The batch was stopped before anything of it was visible. The message says why and what to do."""


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


def refused_files(claimed: Claim, work: Work) -> tuple[RefusedFile, ...]:
    """The refused files of a batch with their reasons, in the order of their keys."""
    keys = {file.file_id: file.key for file in claimed.files}
    refused = [RefusedFile(o.file_id, keys[o.file_id], o.refusal) for o in work.outcomes.values() if o.refusal]
    return tuple(sorted(refused, key=lambda item: item.key))
