"""Progress of foreground work: a bar on a terminal, a log line now and then elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from resources.ledger.batches import Batch
from resources.logs import is_json

_LINE_EVERY_SECONDS = 5.0

_log = logging.getLogger(__name__)


class BarReporter:
    """Shows the batches of a drain on standard error."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._next_line = 0.0
        self._last_said = ""

    def __enter__(self) -> BarReporter:
        if sys.stderr.isatty() and not is_json():
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, console=Console(stderr=True))
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def for_run(self, log: logging.Logger) -> BarReporter:
        """Makes this the reporter of a Dagster run; its log stays Dagster's."""
        return self

    def progress(self, batch: Batch, done: int, total: int, refused: int) -> None:
        if self._bar:
            task = self._tasks.get(batch.batch_id)
            if task is None:
                task = self._tasks[batch.batch_id] = self._bar.add_task(f"{batch.source} {batch.batch_id}", total=total)
            note = f" ({refused} refused)" if refused else ""
            self._bar.update(task, completed=done, description=f"{batch.source} {batch.batch_id}{note}")
        elif done == total or time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + _LINE_EVERY_SECONDS
            _log.info(
                "batch %s: %d of %d files read, %d refused", batch.batch_id, done, total, refused,
                extra={"files": total, "read": done, "refused": refused},
            )  # fmt: skip

    def say(self, message: str) -> None:
        if message != self._last_said:
            self._last_said = message
            _log.info(message)
