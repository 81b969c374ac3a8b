"""The ledger's database: opening, migrating, and the two kinds of transaction."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import URL, ColumnElement, Connection, Engine, create_engine, event, func, inspect, select, text
from sqlalchemy.engine import make_url

_BUSY_TIMEOUT_MS = 60_000
MIGRATIONS = Path(__file__).parent / "migrations"
HEAD = "0010"
"""The newest migration. Opening a ledger that is already there runs no Alembic code."""


def utc_now() -> datetime:
    return datetime.now(UTC)


class Ledger:
    """Every file ever seen and what became of it. Opens its database at first use, not before.

    url: of SQLite or PostgreSQL. schema: the ledger's schema in PostgreSQL.

    `write()` transactions of one ledger follow one another (SQLite: BEGIN IMMEDIATE, PostgreSQL: an advisory lock), so
    a function that reads and then writes in one is atomic on both. They are short: nothing outside the database
    happens inside a transaction.
    """

    def __init__(self, url: str, schema: str = "strandline") -> None:
        self.url = url
        self.schema = schema

    def __repr__(self) -> str:
        return f"Ledger({make_url(self.url).render_as_string(hide_password=True)})"

    @cached_property
    def engine(self) -> Engine:
        url = make_url(self.url)
        if url.get_backend_name() == "sqlite" and url.database:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
            engine = create_engine(url)
            event.listen(engine, "connect", _prepare_sqlite_connection)
            event.listen(engine, "begin", _begin_sqlite)
        else:
            engine = _postgresql_engine(url, self.schema)
        _migrate(engine)
        return engine

    @contextmanager
    def write(self) -> Iterator[Connection]:
        with self.engine.connect().execution_options(strandline_write=True) as connection, connection.begin():
            if self.engine.dialect.name == "postgresql":
                connection.execute(_ONE_WRITER)
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self.engine.connect() as connection, connection.begin():
            yield connection

    def close(self) -> None:
        if "engine" in self.__dict__:
            self.engine.dispose()
            del self.__dict__["engine"]


def each_value(connection: Connection, column: ColumnElement[str]) -> list[str]:
    """The distinct values of a column that an index begins with, in order: one step into the index for each, however
    many rows there are."""
    found: list[str] = []
    value = connection.scalar(select(func.min(column)))
    while value is not None:
        found.append(value)
        value = connection.scalar(select(func.min(column)).where(column > value))
    return found


def _prepare_sqlite_connection(dbapi_connection: Any, _record: Any) -> None:
    # The driver's own transaction handling would begin lazily and deferred; _begin_sqlite begins instead.
    dbapi_connection.isolation_level = None
    cursor = dbapi_connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
    _use_wal(cursor)
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _use_wal(cursor: Any) -> None:
    # The busy timeout does not hold for this: two processes that open a new database at once would collide.
    deadline = time.monotonic() + _BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _begin_sqlite(connection: Connection) -> None:
    writing = connection.get_execution_options().get("strandline_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


_ONE_WRITER = text("SELECT pg_advisory_xact_lock(hashtext('strandline ledger ' || current_schema()))")


def _postgresql_engine(url: URL, schema: str) -> Engine:
    engine = create_engine(
        url.set(drivername="postgresql+psycopg2"),
        # A few connections a process, and each looked at before use: the server may have been away.
        pool_size=2,
        max_overflow=4,
        pool_pre_ping=True,
        connect_args={"options": f"-c search_path={schema} -c timezone=UTC", "connect_timeout": 10},
    )
    with engine.connect() as connection, connection.begin():
        if not inspect(connection).has_schema(schema):
            connection.execute(text("SELECT pg_advisory_xact_lock(7305812)"))
            connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
    return engine


def _migrate(engine: Engine) -> None:
    with engine.connect() as connection, connection.begin():
        if is_current(connection):
            return
    with engine.connect().execution_options(strandline_write=True) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.execute(_ONE_WRITER)
        if not is_current(connection):
            upgrade(connection)


def is_current(connection: Connection) -> bool:
    """Whether this code can work on the tables as they are. It can on those of a newer version: migrations only add, so
    that runs go on with the version that they began with while a newer one is deployed, and a roll-back finds its tables."""
    revision = current_revision(connection)
    return revision is not None and revision >= HEAD


def current_revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Run the migrations in the caller's transaction: all of them or none."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
