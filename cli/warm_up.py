"""Loading what a run needs while a drain still finds out what there is to run."""

from __future__ import annotations

import importlib
import threading

from pipeline_assets.batch_run import preload_for
from pipeline_assets.source import FileSource
from pipeline_assets.worker_pool import start_fork_server

_NEEDED_TO_RUN = ("dagster", "pipeline_assets.definitions", "sensors.dead_runs", "pyiceberg.catalog.sql")


class WarmUp:
    """Two seconds of imports that neither the files' settling nor the readers' own imports leave to do afterwards."""

    def __init__(self, source: FileSource) -> None:
        self._source = source
        self._thread: threading.Thread | None = None

    def begin(self, files: int) -> None:
        if self._thread is None:
            start_fork_server(preload_for(self._source, files))
            # While this is half loaded, every other use of SQLAlchemy, such as the ledger's, fails: not beside it, then.
            importlib.import_module("sqlalchemy.orm")
            self._thread = threading.Thread(target=_import_what_runs_need, name="strandline-warm-up", daemon=True)
            self._thread.start()

    def end(self) -> None:
        if self._thread is not None:
            self._thread.join()


def _import_what_runs_need() -> None:
    for name in _NEEDED_TO_RUN:
        try:
            importlib.import_module(name)
        except Exception:  # the run imports it again, and there the error is seen
            return
