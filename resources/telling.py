"""Telling people what the ledger has for them, and trying again what did not reach them."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from resources.ledger import leases
from resources.ledger.alerts import Alert, due_alerts, mark_not_told, mark_told, most_tries, record
from resources.ledger.database import Ledger, utc_now
from resources.logs import OUTSIDE_EVENT_LOG, redact
from resources.notifier import NotDelivered
from resources.platform import Platform

_LEASE = "alerts"
_LEASE_SECONDS = 120.0
_AT_ONCE = 200
_FIRST_WAIT_SECONDS = 30.0
_LONGEST_WAIT_SECONDS = 1800.0

_log = logging.getLogger(f"{OUTSIDE_EVENT_LOG}.alerts")


@dataclass(frozen=True)
class Told:
    """What one round did. error: why the last message that failed did not get through."""

    alerts: int = 0
    messages: int = 0
    failed: int = 0
    error: str | None = None


def note(ledger: Ledger, alerts: Iterable[Alert]) -> None:
    """Enter alerts, to be told by the next round. Raises what the ledger raises."""
    with ledger.write() as connection:
        for alert in alerts:
            record(connection, alert)


def tell_people(platform: Platform, *, budget_seconds: float = 20.0) -> Told:
    """Tell what is due: a message for each kind and source. What does not get through stays due, for later and later.

    Whatever goes wrong with telling raises nothing: no run and no sensor fails for an alert. A process that dies
    between a message and the ledger's note of it tells that message twice.
    """
    try:
        return _tell(platform, budget_seconds)
    except Exception as error:
        why = redact(f"{type(error).__name__}: {error}")
        _log.warning("alerts are not told now; they stay in the ledger: %s", why)
        return Told(failed=1, error=why)


def _tell(platform: Platform, budget_seconds: float) -> Told:
    ledger = platform.ledger
    due = due_alerts(ledger, _AT_ONCE)
    if not due:
        return Told()
    # A name of its own for each round: two rounds in one process must not both have it.
    with ledger.write() as connection:
        lease = leases.acquire(connection, _LEASE, f"round {uuid.uuid4()}", _LEASE_SECONDS)
    if lease is None:
        return Told()
    try:
        # Again, for somebody may have told them just before.
        return _tell_due(platform, due_alerts(ledger, _AT_ONCE), time.monotonic() + budget_seconds)
    finally:
        with ledger.write() as connection:
            leases.drop(connection, lease)


def _tell_due(platform: Platform, due: list[Alert], deadline: float) -> Told:
    groups: dict[tuple[str, str], list[Alert]] = {}
    for alert in due:
        groups.setdefault((alert.kind.value, alert.source), []).append(alert)
    told = messages = failed = 0
    last_error = None
    waiting = list(groups.values())
    while waiting and time.monotonic() < deadline:
        group = waiting.pop(0)
        keys = [alert.key for alert in group]
        try:
            platform.notifier.tell(group)
        except Exception as error:
            failed, last_error = failed + 1, redact(str(error) or type(error).__name__)
            wait = min(_FIRST_WAIT_SECONDS * 2.0 ** most_tries(platform.ledger, keys), _LONGEST_WAIT_SECONDS)
            if isinstance(error, NotDelivered) and error.retry_after is not None:
                # The whole channel is to be left alone for so long.
                wait = error.retry_after
                keys += [alert.key for other in waiting for alert in other]
                waiting = []
            mark_not_told(platform.ledger, keys, last_error, utc_now() + timedelta(seconds=wait))
            _log.warning("%d alerts are not delivered, next try in %.0f s: %s", len(keys), wait, last_error)
        else:
            mark_told(platform.ledger, keys)
            told, messages = told + len(keys), messages + 1
    return Told(told, messages, failed, last_error)
