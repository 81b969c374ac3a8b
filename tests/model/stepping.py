"""Runs that go on only when they are told to, so that a test decides what happens in between. Each is the platform's own
`run_batch` in a thread; reading is done in that thread rather than in reader processes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from pipeline_assets import batch_commit, batch_run
from resources.lake.lake import Lake

_mine = threading.local()


class Killed(BaseException):
    """Stands for kill -9: whatever would catch it does nothing any more."""


class SteppedRun:
    """Something that runs in a thread and rests at named points. `at` is the point, or "ended"."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.at = "begun"
        self.dead = False
        self.error: BaseException | None = None
        self.tables_committed = 0
        self._raise: BaseException | None = None
        self._go, self._rest = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, args=(function,), daemon=True)
        self._thread.start()
        self.step()

    def step(self, error: BaseException | None = None) -> str:
        """Go on to the next point; with an error: this is raised where the run rests."""
        self._raise = error
        self._go.release()
        if not self._rest.acquire(timeout=60):
            raise AssertionError(f"a run does not come to its next point after {self.at!r}")
        return self.at

    def kill(self) -> None:
        self.dead = True
        self.step(Killed())

    def rest(self, point: str) -> None:
        """Called in the run's own thread."""
        self.at = point
        self._rest.release()
        self._go.acquire()
        if self._raise is not None:
            raise self._raise

    def _run(self, function: Callable[[], Any]) -> None:
        _mine.run = self
        self._go.acquire()
        try:
            function()
        except BaseException as error:
            self.error = error
        self.at = "ended"
        self._rest.release()


def _this() -> SteppedRun | None:
    return getattr(_mine, "run", None)


def _rest(point: str) -> None:
    if run := _this():
        run.rest(point)


class _Pool:
    def __init__(self, *arguments: object) -> None: ...
    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *error: object) -> None: ...

    def submit(self, function: Callable[..., Any], *arguments: Any, timeout: float) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(function(*arguments))
        return future

    @staticmethod
    def result_of(future: Future[Any]) -> Any:
        return future.result()


class _NoHeartbeat:
    """Leases expire when a test says so."""

    def __init__(self, *arguments: object) -> None: ...
    def __enter__(self) -> _NoHeartbeat:
        return self

    def __exit__(self, *error: object) -> None: ...
    def keep(self, lease: object) -> None: ...
    def release(self, lease: object) -> None: ...
    def stop(self) -> None: ...


def _before(point: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def resting(*arguments: Any, **options: Any) -> Any:
        _rest(point)
        return function(*arguments, **options)

    return resting


def _after(point: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def resting(*arguments: Any, **options: Any) -> Any:
        result = function(*arguments, **options)
        _rest(point)
        return result

    return resting


def _unless_killed(function: Callable[..., Any]) -> Callable[..., Any]:
    def living(*arguments: Any, **options: Any) -> Any:
        run = _this()
        if run and run.dead:
            raise Killed
        return function(*arguments, **options)

    return living


def _between_tables(commit: Callable[..., Any]) -> Callable[..., Any]:
    def resting(*arguments: Any, **options: Any) -> Any:
        result = commit(*arguments, **options)
        if run := _this():
            run.tables_committed += 1
            if run.tables_committed == 1:
                run.rest("between")
        return result

    return resting


@contextmanager
def stepped() -> Iterator[None]:
    """Within it, runs in threads of `SteppedRun` rest at their points; other threads are not concerned."""
    clock = SimpleNamespace(monotonic=time.monotonic, sleep=lambda seconds: _rest("turn"))
    with (
        patch.object(batch_run, "ReaderPool", _Pool),
        patch.object(batch_run, "Heartbeat", _NoHeartbeat),
        patch.object(batch_commit, "time", clock),
        patch.object(batch_run, "_run_claimed", _before("claimed", batch_run._run_claimed)),
        patch.object(batch_run, "_read_all", _after("read", batch_run._read_all)),
        patch.object(batch_commit, "snapshots_in_use", _after("decided", batch_commit.snapshots_in_use)),
        patch.object(Lake, "commit", _between_tables(Lake.commit)),
        patch.object(batch_commit, "publish", _before("publishing", batch_commit.publish)),
        patch.object(batch_run, "give_back", _unless_killed(batch_run.give_back)),
        patch.object(batch_commit, "end_commit_turn", _unless_killed(batch_commit.end_commit_turn)),
    ):
        yield
