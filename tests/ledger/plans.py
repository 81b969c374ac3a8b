"""How a database goes about what is asked of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import event

from resources.ledger import Ledger


def plans(ledger: Ledger, ask: Callable[[], Any]) -> list[str]:
    """The steps of every query, as if the tables were large."""
    found: list[str] = []
    is_sqlite = ledger.engine.dialect.name == "sqlite"

    def explain(_c: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if not statement.startswith("SELECT"):
            return
        other = cursor.connection.cursor()
        if not is_sqlite:
            # PostgreSQL goes through a small table whatever indexes it has.
            other.execute("SET LOCAL enable_seqscan = off")
        other.execute(f"EXPLAIN {'QUERY PLAN ' if is_sqlite else ''}{statement}", parameters)
        found.extend(str(row[-1] if is_sqlite else row[0]) for row in other.fetchall())

    event.listen(ledger.engine, "before_cursor_execute", explain)
    ask()
    event.remove(ledger.engine, "before_cursor_execute", explain)
    assert found
    return found
