"""A person's cancel reaches a run for certain.

Dagster cancels a run by one signal, whose handler raises. Python drops what is raised while it runs a weak reference's
callback or a finalizer, and the run then goes on to its end as if nothing had been asked.
"""

from __future__ import annotations

import os
import signal
import threading
from types import TracebackType

import dagster as dg

_LOOK_EVERY_SECONDS = 2.0
_LOOKS_BEFORE_AGAIN = 3
"""A run that heard the signal the first time needs some moments to let go of what it does."""


class CancelWatch:
    """Within it, a run that Dagster has as canceling and that does not stop gets the signal again.

    `is_canceled` also tells the watch that the run heard: a signal must not disturb it while it gives its files back.
    """

    def __init__(self, instance: dg.DagsterInstance, run_id: str, look_every: float = _LOOK_EVERY_SECONDS) -> None:
        self._instance = instance
        self._run_id = run_id
        self._every = look_every
        self._heard = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="cancel-watch", daemon=True)

    def __enter__(self) -> CancelWatch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._heard.set()
        self._thread.join()

    def is_canceled(self) -> bool:
        """Whether a person canceled the run in the UI, which says so in the run's status before it stops the process.
        A run that ends with its machine or with Ctrl-C on the platform was not meant."""
        self._heard.set()
        return self._status() in {dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED}

    def _status(self) -> dg.DagsterRunStatus | None:
        run = self._instance.get_run_by_id(self._run_id)
        return None if run is None else run.status

    def _watch(self) -> None:
        looks = 0
        while not self._heard.wait(self._every):
            try:
                looks = looks + 1 if self._status() is dg.DagsterRunStatus.CANCELING else 0
            except Exception:
                continue  # the next look may reach Dagster's storage again
            if looks > _LOOKS_BEFORE_AGAIN and not self._heard.is_set():
                looks = 0
                os.kill(os.getpid(), signal.SIGINT)
