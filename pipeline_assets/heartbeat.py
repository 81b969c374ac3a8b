"""Keeps a run's leases alive while it works."""

from __future__ import annotations

import logging
import threading
from contextvars import copy_context
from types import TracebackType

from resources.ledger import Ledger
from resources.ledger.leases import Lease, LeaseLost, renew
from resources.logs import OUTSIDE_EVENT_LOG

_log = logging.getLogger(f"{OUTSIDE_EVENT_LOG}.heartbeat")


class Heartbeat:
    """Renews leases from a thread of its own, until it is stopped.

    A lease that is lost is not renewed any more; the run finds out when it wants to publish, which the ledger refuses.
    """

    def __init__(self, ledger: Ledger, seconds: float) -> None:
        self._ledger = ledger
        self._seconds = seconds
        self._leases: dict[str, Lease] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        # In the context of the run, so that its log lines know what they are about.
        self._thread = threading.Thread(
            target=copy_context().run, args=(self._beat,), name="strandline-heartbeat", daemon=True
        )

    def keep(self, lease: Lease) -> None:
        with self._lock:
            self._leases[lease.name] = lease

    def release(self, lease: Lease) -> None:
        with self._lock:
            self._leases.pop(lease.name, None)

    def stop(self) -> None:
        """Renew nothing any more, from before this returns."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _beat(self) -> None:
        while not self._stopped.wait(self._seconds / 3):
            with self._lock:
                leases = list(self._leases.values())
            for lease in leases:
                try:
                    renew(self._ledger, lease, self._seconds)
                except LeaseLost as lost:
                    _log.warning("%s", lost)
                    self.release(lease)
                except Exception as error:  # the database may be back at the next beat
                    _log.warning("lease %s was not renewed: %s", lease.name, error)
