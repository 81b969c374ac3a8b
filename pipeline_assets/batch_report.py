"""What a run did with a batch, and the log lines that tell of it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline_assets.source import FileSource
from resources.lake.lake import Committed
from resources.ledger.batches import Batch
from resources.ledger.publishing import Refusal
from resources.logs import OUTSIDE_EVENT_LOG

_MOST_REFUSED_LINES = 50
"""Of a batch. What follows is one line for each error class; all of them are in operations.quarantine."""

_log = logging.getLogger(__name__)
_refused_log = logging.getLogger(f"{OUTSIDE_EVENT_LOG}.refused")
_failing_log = logging.getLogger(f"{OUTSIDE_EVENT_LOG}.batch")


@dataclass(frozen=True)
class RefusedFile:
    file_id: str
    key: str
    refusal: Refusal


@dataclass(frozen=True)
class BatchReport:
    """What a run did."""

    batch: Batch
    files: int
    committed: int
    size_bytes: int
    gone: int
    refused: tuple[RefusedFile, ...]
    rows: dict[str, int]
    readers: dict[str, int]
    """files that each reader read, refused ones included"""
    tables: dict[str, Committed]
    """those that the batch committed to: all but tables of datasets that it left as they were"""
    seconds: float
    picture: bytes | None = None
    picture_key: str | None = None
    source: FileSource | None = None
    """as the run had it, which is not always as it is declared (`FileSource.adapt`)"""


def log_report(report: BatchReport) -> None:
    """A line for each refused file, up to a number, and one that closes the batch."""
    log_refused(report.batch.batch_id, report.refused)
    _log.info(
        "batch %s: %d of %d files committed, %d refused, %d gone or overwritten; %d rows in %.2f s",
        report.batch.batch_id, report.committed, report.files, len(report.refused), report.gone,
        sum(report.rows.values()), report.seconds,
        extra={
            "outcome": "finished", "files": report.files, "committed": report.committed,
            "refused": len(report.refused), "gone": report.gone, "bytes": report.size_bytes, "rows": dict(report.rows),
            "seconds": round(report.seconds, 3), "attempt": report.batch.attempt,
        },
    )  # fmt: skip


def log_refused(batch_id: str, refused: Sequence[RefusedFile]) -> None:
    for item in refused[:_MOST_REFUSED_LINES]:
        place = f" ({item.refusal.location})" if item.refusal.location else ""
        _refused_log.warning(
            "%s is refused: %s%s: %s", item.key, item.refusal.error_class, place, item.refusal.message,
            extra={
                "file": item.key, "file_id": item.file_id, "error_class": item.refusal.error_class,
                "location": item.refusal.location,
            },
        )  # fmt: skip
    more = Counter(item.refusal.error_class for item in refused[_MOST_REFUSED_LINES:])
    for error_class, files in more.most_common():
        _refused_log.warning(
            "%d more files of batch %s are refused: %s. All of them: strandline quarantine list --batch %s",
            files, batch_id, error_class, batch_id,
            extra={"error_class": error_class, "files": files},
        )  # fmt: skip


def log_unfinished(batch_id: str, outcome: str, why: str, seconds: float) -> None:
    """The closing line of a batch that nothing became visible of. outcome: held, failed or stopped."""
    level = logging.ERROR if outcome == "failed" else logging.WARNING
    extra = {"outcome": outcome, "seconds": round(seconds, 3)}
    _failing_log.log(level, "batch %s is %s after %.2f s: %s", batch_id, outcome, seconds, why, extra=extra)
