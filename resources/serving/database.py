"""The serving database: opening, migrating, the one writer's transactions, and reading."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from psycopg.conninfo import make_conninfo
from sqlalchemy import Connection, Engine, create_engine, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError

from resources.errors import TransientFailure
from resources.serving.embedded import EmbeddedServer

MIGRATIONS = Path(__file__).parent / "migrations"
HEAD = "0001"
"""The newest migration. Opening a database that is already there runs no Alembic code."""

_LOCK_SECONDS = 300
_CONNECT_SECONDS = 10
_READ_ONLY = "-c default_transaction_read_only=on"
_ONE_WRITER = text("SELECT pg_advisory_xact_lock(hashtext('strandline serving ' || current_schema()))")
_log = logging.getLogger("strandline.serving")


class Overtaken(TransientFailure, RuntimeError):
    """A newer turn to commit has written already: what was begun before it must not be finished."""


class Serving:
    """One deployment's serving database. Opens, and starts an embedded server, at first use.

    url: of PostgreSQL 14 or newer; None for the embedded server in `folder`. reader_url: where queries go, such as the
    reader endpoint of a cluster; None for the same server. schema: where the tables are.

    Writers follow one another (an advisory lock), so what one computes of the prices it sees is right when it commits.
    """

    def __init__(self, url: str | None, reader_url: str | None, folder: Path, schema: str) -> None:
        self.schema = schema
        self.embedded = None if url else EmbeddedServer(folder)
        self._url = url
        self._reader_url = reader_url

    def __repr__(self) -> str:
        where = make_url(self._url).render_as_string(hide_password=True) if self._url else repr(self.embedded)
        return f"Serving({where}, {self.schema})"

    @property
    def url(self) -> str:
        """Where prices are written. Holds a password; never show it."""
        return self._url or self._embedded.url

    @property
    def reader_url(self) -> str:
        """Where queries go. Holds a password; never show it."""
        return self._reader_url or self.url

    @property
    def _embedded(self) -> EmbeddedServer:
        assert self.embedded is not None
        return self.embedded

    @property
    def loader_role(self) -> str:
        return f"{self.schema}_loader"

    @property
    def reader_role(self) -> str:
        return f"{self.schema}_reader"

    @cached_property
    def engine(self) -> Engine:
        """Connections that may write."""
        engine = _engine(self.url, self.schema)
        _migrate(engine, self)
        return engine

    @cached_property
    def reader(self) -> Engine:
        """Connections that only read."""
        if self._reader_url is None:
            _ = self.engine  # whoever asks first makes the tables
        return _engine(self.reader_url, self.schema, _READ_ONLY)

    def reader_conninfo(self, *options: str) -> str:
        """How psycopg itself connects to only read, for pools that are not SQLAlchemy's. Holds a password; never show it.

        options: settings of the session, such as ``-c statement_timeout=5000``.
        """
        _ = self.reader
        address = make_url(self.reader_url).set(drivername="postgresql").render_as_string(hide_password=False)
        return make_conninfo(
            address, options=_session(self.schema, _READ_ONLY, *options), connect_timeout=_CONNECT_SECONDS
        )

    @contextmanager
    def write(self, source: str, fence: int | None = None) -> Iterator[Connection]:
        """The one writer's transaction. fence: of the turn to commit under which it writes.

        Raises Overtaken when a newer turn has written.
        """
        with self.engine.connect() as connection, connection.begin():
            connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'"))
            connection.execute(_ONE_WRITER)
            if fence is not None:
                pass_fence(connection, source, fence)
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One moment of the database, from where queries go."""
        with (
            self.reader.connect().execution_options(isolation_level="REPEATABLE READ") as connection,
            connection.begin(),
        ):
            yield connection

    def close(self) -> None:
        """Let go of connections and of the embedded server. Using it again opens them anew."""
        for name in ("engine", "reader"):
            if name in self.__dict__:
                self.__dict__.pop(name).dispose()
        if self.embedded is not None:
            self.embedded.close()


def pass_fence(connection: Connection, source: str, fence: int) -> None:
    """Note a turn to commit, in the caller's transaction. Raises Overtaken when a newer one has written."""
    row = connection.execute(
        text(
            "INSERT INTO writers (source, fence) VALUES (:source, :fence) ON CONFLICT (source) "
            "DO UPDATE SET fence = excluded.fence WHERE writers.fence <= excluded.fence RETURNING fence"
        ),
        {"source": source, "fence": fence},
    ).one_or_none()
    if row is None:
        raise Overtaken(
            f"another run has written the prices of {source} since this one got its turn; it must not go on"
        )


def copy_cursor(connection: Connection) -> Any:
    """psycopg's own cursor on the connection's transaction, for COPY."""
    driver = connection.connection.driver_connection
    assert driver is not None
    return driver.cursor()


def _engine(url: str, schema: str, *options: str) -> Engine:
    chosen: URL = make_url(url).set(drivername="postgresql+psycopg")
    return create_engine(
        chosen,
        # A few connections a process, and each looked at before use: the server may have been away.
        pool_size=2,
        max_overflow=4,
        pool_pre_ping=True,
        connect_args={"options": _session(schema, *options), "connect_timeout": _CONNECT_SECONDS},
    )


def _session(schema: str, *options: str) -> str:
    return " ".join((f"-c search_path={schema} -c timezone=UTC", *options))


def current_revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def is_current(connection: Connection) -> bool:
    """Whether this code can work on the tables as they are; on those of a newer version too, for migrations only add."""
    revision = current_revision(connection)
    return revision is not None and revision >= HEAD


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Run the migrations in the caller's transaction: all of them or none."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _migrate(engine: Engine, serving: Serving) -> None:
    with engine.connect() as connection, connection.begin():
        if is_current(connection):
            return
    with engine.connect() as connection, connection.begin():
        connection.execute(text("SELECT pg_advisory_xact_lock(7305813)"))
        connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{serving.schema}"'))
        if not is_current(connection):
            upgrade(connection)
            _grant(connection, serving)


def _grant(connection: Connection, serving: Serving) -> None:
    """Two roles, which logins of the loader and of the API are members of. Without the right to make them, a person does."""
    may = {
        serving.reader_role: "SELECT",
        serving.loader_role: "SELECT, INSERT, UPDATE, DELETE",
    }
    for role, rights in may.items():
        try:
            with connection.begin_nested():
                if not connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}):
                    connection.execute(text(f'CREATE ROLE "{role}" NOLOGIN'))
                connection.execute(text(f'GRANT USAGE ON SCHEMA "{serving.schema}" TO "{role}"'))
                connection.execute(text(f'GRANT {rights} ON ALL TABLES IN SCHEMA "{serving.schema}" TO "{role}"'))
        except DBAPIError as error:
            _log.warning("the role %s was not made (%s); docs/sources/rates.md says how to", role, error.orig)
