"""Telling people: by Slack where it is configured, else by a log line for each alert."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

from resources.ledger.alerts import Alert, AlertKind
from resources.logs import OUTSIDE_EVENT_LOG

_log = logging.getLogger(f"{OUTSIDE_EVENT_LOG}.alerts")
_MILD = frozenset({AlertKind.QUARANTINE, AlertKind.STALE})


class NotDelivered(Exception):
    """An alert did not reach anybody. retry_after: seconds that the other side wants to be left alone, if it said so.

    The message holds no secret."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Notifier(Protocol):
    """Tells people of alerts."""

    def tell(self, alerts: Sequence[Alert]) -> None:
        """Tell of alerts of one kind and source, together. Raises NotDelivered."""
        ...


class LogNotifier:
    """One log line for each alert."""

    def __init__(self, ui_url: str | None) -> None:
        self._ui_url = ui_url

    def tell(self, alerts: Sequence[Alert]) -> None:
        for alert in alerts:
            extra = {
                "alert": alert.kind.value,
                "source": alert.source,
                "count": alert.count,
                "commands": list(alert.commands),
                **({"file": alert.file} if alert.file else {}),
                **({"run": alert.run_id} if alert.run_id else {}),
                **({"url": url} if (url := run_url(self._ui_url, alert.run_id)) else {}),
            }
            level = logging.WARNING if alert.kind in _MILD else logging.ERROR
            then = f" ({'; '.join(alert.commands)})" if alert.commands else ""
            _log.log(level, "alert: %s: %s%s", alert.title, alert.text, then, extra=extra)


def run_url(ui_url: str | None, run_id: str | None) -> str | None:
    """Where a run is shown; None when the UI's address is not known (STRANDLINE_UI_URL)."""
    return f"{ui_url}/runs/{run_id}" if ui_url and run_id else None
