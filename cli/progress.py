"""Progress of foreground work: a bar on a terminal, a log line now and then elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


@contextmanager
def bar_for_files(what: str) -> Iterator[Callable[[int, int, int], None]]:
    """Shows how many files of how many are done, and their bytes, to whom it is told: on standard error."""
    bar: Progress | None = None
    if sys.stderr.isatty() and not is_json():
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        bar = Progress(*columns, console=Console(stderr=True))
        task = bar.add_task(what, total=None)
    next_line = time.monotonic() + _LINE_EVERY_SECONDS

    def tell(done: int, total: int, size: int) -> None:
        nonlocal next_line
        if bar is not None:
            bar.update(task, completed=done, total=total, description=f"{what}, {size / 1e6:,.0f} MB")
        elif done == total or time.monotonic() >= next_line:
            next_line = time.monotonic() + _LINE_EVERY_SECONDS
            _log.info(
                "%d of %d files %s, %.1f MB", done, total, what, size / 1e6,
                extra={"files": total, "copied": done, "bytes": size},
            )  # fmt: skip

    if bar is None:
        yield tell
        return
    with bar:
        yield tell
