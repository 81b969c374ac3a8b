"""Rows into a table by PostgreSQL's binary COPY."""

from __future__ import annotations

from sqlalchemy import Connection

from resources.serving import wire
from resources.serving.database import copy_cursor


def copy_into(connection: Connection, table: str, rows: bytes) -> None:
    """Copy rows as `wire` encodes them into a table, in the connection's transaction."""
    with copy_cursor(connection) as cursor, cursor.copy(f"COPY {table} FROM STDIN (FORMAT binary)") as copy:
        for part in (wire.HEADER, rows, wire.TRAILER):
            copy.write(part)
