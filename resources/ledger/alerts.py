"""Alerts in the ledger: what people are to be told, each once, and whether they have been told.

What happens again while it is known counts up and is not told again, unless a day has passed or it had been over.
An alert stays due until it was told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from resources.ledger.database import Ledger, utc_now
from resources.ledger.states import chunked
from resources.ledger.tables import alert_positions, alerts
from resources.logs import redact

REPEAT_AFTER = timedelta(days=1)
"""What goes on for longer is told again when it happens again."""
_LONGEST_TEXT = 2000
_LONGEST_TITLE = 200
_LONGEST_KEY = 255


class AlertKind(StrEnum):
    RUN_FAILED = "run_failed"
    BATCH_HELD = "batch_held"
    CHECK_FAILED = "check_failed"
    QUARANTINE = "quarantine"
    STALE = "stale"
    RECONCILER = "reconciler"
    TICK_FAILED = "tick_failed"
    NEW_VERSION = "new_version"


@dataclass(frozen=True)
class Alert:
    """Something that a person should know.

    key: equal for what is to be told once. title: one line that names the thing. text: what happened, the first error.
    file: key in the landing store of the file that it shows at. commands: what to type to see more or to go on.
    """

    key: str
    kind: AlertKind
    source: str
    title: str
    text: str
    file: str | None = None
    run_id: str | None = None
    commands: tuple[str, ...] = ()
    count: int = 1


def record(connection: Connection, alert: Alert) -> None:
    """Note that it happened (again). It will be told unless it was told already."""
    now = utc_now()
    key = alert.key[:_LONGEST_KEY]
    row = connection.execute(select(alerts).where(alerts.c.key == key)).one_or_none()
    if row is None:
        connection.execute(
            insert(alerts).values(
                key=key,
                kind=alert.kind.value,
                source=alert.source,
                content=_content(alert),
                count=alert.count,
                first_at=now,
                last_at=now,
                due_at=now,
                tries=0,
            )
        )
        return
    values: dict[str, Any] = {"count": row._mapping["count"] + alert.count, "last_at": now, "settled_at": None}
    is_told = row.due_at is None
    if is_told and (row.settled_at is not None or now - row.last_told_at >= REPEAT_AFTER):
        values |= {"due_at": now, "content": _content(alert)}
    connection.execute(update(alerts).where(alerts.c.key == key).values(**values))


def settle(connection: Connection, *, kind: AlertKind, source: str, key: str | None = None) -> None:
    """Note that alerts of a kind are over: if it happens again, it is news. What was not told yet is told all the same."""
    query = update(alerts).where(alerts.c.kind == kind.value, alerts.c.source == source, alerts.c.settled_at.is_(None))
    if key is not None:
        query = query.where(alerts.c.key == key[:_LONGEST_KEY])
    connection.execute(query.values(settled_at=utc_now()))


def due_alerts(ledger: Ledger, limit: int) -> list[Alert]:
    """Alerts that are to be told now, the oldest first."""
    query = select(alerts).where(alerts.c.due_at <= utc_now()).order_by(alerts.c.first_at, alerts.c.key).limit(limit)
    with ledger.read() as connection:
        return [_alert(row) for row in connection.execute(query)]


def untold(ledger: Ledger) -> dict[str, str | None]:
    """Keys of alerts that are not told yet, with why the last attempt failed."""
    query = select(alerts.c.key, alerts.c.error).where(alerts.c.due_at.is_not(None))
    with ledger.read() as connection:
        return {row.key: row.error for row in connection.execute(query)}


def mark_told(ledger: Ledger, keys: Iterable[str]) -> None:
    now = utc_now()
    with ledger.write() as connection:
        for chunk in chunked(sorted(keys)):
            of_chunk = update(alerts).where(alerts.c.key.in_(chunk))
            connection.execute(of_chunk.where(alerts.c.first_told_at.is_(None)).values(first_told_at=now))
            connection.execute(of_chunk.values(last_told_at=now, due_at=None, tries=0, error=None))


def mark_not_told(ledger: Ledger, keys: Iterable[str], why: str, again_at: datetime) -> None:
    with ledger.write() as connection:
        for chunk in chunked(sorted(keys)):
            connection.execute(
                update(alerts)
                .where(alerts.c.key.in_(chunk), alerts.c.due_at.is_not(None))
                .values(tries=alerts.c.tries + 1, error=redact(why)[:_LONGEST_TEXT], due_at=again_at)
            )


def most_tries(ledger: Ledger, keys: Sequence[str]) -> int:
    """How often telling one of these has failed by now."""
    with ledger.read() as connection:
        return max(connection.scalars(select(alerts.c.tries).where(alerts.c.key.in_(keys))), default=0)


@dataclass(frozen=True)
class Position:
    text: str
    at: datetime


def position(connection: Connection, name: str) -> Position | None:
    """How far a look has come, and when it was noted; None before the first."""
    row = connection.execute(select(alert_positions).where(alert_positions.c.name == name)).one_or_none()
    return None if row is None else Position(row.position, row.at)


def set_position(connection: Connection, name: str, text: str) -> None:
    values = {"position": text, "at": utc_now()}
    if connection.execute(update(alert_positions).where(alert_positions.c.name == name).values(**values)).rowcount == 0:
        connection.execute(insert(alert_positions).values(name=name, **values))


def forget_position(connection: Connection, name: str) -> None:
    connection.execute(delete(alert_positions).where(alert_positions.c.name == name))


def _content(alert: Alert) -> dict[str, Any]:
    content = asdict(alert)
    for name in ("key", "kind", "source", "count"):
        del content[name]
    content["title"] = redact(alert.title)[:_LONGEST_TITLE]
    content["text"] = redact(alert.text)[:_LONGEST_TEXT]
    return content


def _alert(row: Row[Any]) -> Alert:
    content = dict(row.content)
    commands = tuple(content.pop("commands", ()))
    return Alert(row.key, AlertKind(row.kind), row.source, commands=commands, count=row._mapping["count"], **content)
