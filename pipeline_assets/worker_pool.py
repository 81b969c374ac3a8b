"""The reader processes of one run: started with it, gone before it ends, each replaceable when a file kills it."""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext, ForkServerProcess
from types import ModuleType, TracebackType
from typing import Any

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from resources.errors import TransientFailure
from resources.logs import LogSetup, adopt, handed_down

_SHORTEST_TIMEOUT = 1.0
_PROOF_SECONDS = 60.0


class PoolError(TransientFailure, RuntimeError):
    """Reader processes cannot be started: an infrastructure error, not the fault of any file."""


class ReaderPool:
    """Up to `workers` processes that run module-level functions, each call with a time limit.

    A call that exceeds its limit ends with TimeoutError, one whose process dies with pebble.ProcessExpired; the other
    calls go on in new processes. preload: modules that the processes import once, before the first call.
    """

    def __init__(self, workers: int, memory_mb: int, preload: Sequence[str]) -> None:
        context = _Context()
        context.set_forkserver_preload(list(preload))
        self._pool = ProcessPool(
            max_workers=workers, initializer=_prepare_worker, initargs=(memory_mb, handed_down()), context=context
        )

    def submit(self, function: Callable[..., Any], *args: Any, timeout: float) -> ProcessFuture:
        try:
            return self._pool.schedule(function, args=args, timeout=max(timeout, _SHORTEST_TIMEOUT))
        except RuntimeError as error:
            raise PoolError(f"reader processes cannot be started: {error}") from error

    @staticmethod
    def result_of(future: ProcessFuture) -> Any:
        """What a call gave, or raises what it raised. Raises PoolError when processes end before they take a call."""
        try:
            return future.result()
        except BrokenProcessPool as error:
            raise PoolError(_cannot_start(error)) from error

    def prove(self) -> None:
        """Run nothing in a reader process. Raises PoolError if not even that works: then no file is to blame."""
        try:
            self.result_of(self.submit(_nothing, timeout=_PROOF_SECONDS))
        except (ProcessExpired, TimeoutError, MemoryError, OSError) as error:
            raise PoolError(_cannot_start(error)) from error

    def __enter__(self) -> ReaderPool:
        # Processes begin now, not with the first call: there may be something left to do before it.
        if not self._pool.active:
            raise PoolError("reader processes cannot be started")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._pool.close()
        else:
            self._pool.stop()
        self._pool.join()


def _cannot_start(error: BaseException) -> str:
    return (
        f"reader processes end before they read anything ({type(error).__name__}: {error}). The machine may lack "
        "memory or processes; use fewer STRANDLINE_WORKERS, or give each more STRANDLINE_FILE_MEMORY_MB."
    )


def _nothing() -> None:
    pass


def _prepare_worker(memory_mb: int, logs: LogSetup | None) -> None:
    gc.freeze()  # the modules that it was forked with stay: no collection need look through them
    adopt(logs)
    threading.Thread(target=_end_with_run, daemon=True).start()
    try:
        import resource
    except ImportError:  # not on Windows
        return
    limit = memory_mb * 1024 * 1024
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def _end_with_run() -> None:
    # A run that is killed cannot stop its readers. This waits for the run's own process, not for the fork server in
    # between, which ends only after all readers have.
    run = multiprocessing.parent_process()
    if run is not None:
        run.join()
        os._exit(1)


class _Process(ForkServerProcess):
    def start(self) -> None:
        with _main_module_hidden():
            super().start()


class _Context(ForkServerContext):
    Process = _Process


_hiding = threading.Lock()


@contextmanager
def _main_module_hidden() -> Iterator[None]:
    """Start a process without telling it of `__main__`, which it would import: seconds lost, and never needed."""
    with _hiding:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


def start_fork_server(preload: Sequence[str]) -> None:
    """Begin importing what readers need, while the run is still busy with other things."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    with _main_module_hidden():
        from multiprocessing import forkserver

        forkserver.ensure_running()
