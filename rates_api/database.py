"""The API's connections to the serving database: an asynchronous pool that only reads."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.errors import InsufficientPrivilege, InvalidSchemaName, QueryCanceled, UndefinedTable
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout
from sqlalchemy.exc import DBAPIError

from rates_api.errors import Unavailable
from rates_api.statements import Connection, Given, Statement
from resources.errors import TransientFailure
from resources.serving.database import Serving

Asked = tuple[Statement[Any], Given]

_OPEN_AGAIN_SECONDS = 1.0
_SESSION = (
    "-c jit=off",
    "-c client_encoding=UTF8",
    # What a statement sees is of one moment, also where there are two.
    "-c default_transaction_isolation=repeatable\\ read",
    # Statements are prepared, and their plan is as good for any place and day; planning took more than half of the time.
    "-c plan_cache_mode=force_generic_plan",
)
_LEAST_OPEN = 2
_log = logging.getLogger(__name__)


class Database:
    """Opens by itself, as soon as the server is there; until then, and while it is away, asking raises Unavailable."""

    def __init__(self, serving: Serving, connections: int, query_seconds: float) -> None:
        self._serving = serving
        self._connections = connections
        self._seconds = query_seconds
        self._pool: AsyncConnectionPool[Connection] | None = None
        self._opening: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._opening = asyncio.create_task(self._open())

    async def close(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
        if self._pool is not None:
            await self._pool.close()
        await asyncio.to_thread(self._serving.close)

    async def _open(self) -> None:
        options = (f"-c statement_timeout={round(self._seconds * 1000)}", *_SESSION)
        while True:
            try:
                # Starts an embedded server, and makes its tables, where there is none yet.
                conninfo = await asyncio.to_thread(self._serving.reader_conninfo, *options)
                break
            except (DBAPIError, TransientFailure, OSError) as error:
                reason = str(getattr(error, "orig", error)).strip()
                _log.warning("the serving database does not open yet: %s", reason)
                await asyncio.sleep(_OPEN_AGAIN_SECONDS)
        pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            conninfo,
            connection_class=Connection,
            min_size=min(_LEAST_OPEN, self._connections),
            max_size=self._connections,
            timeout=self._seconds,
            kwargs={"autocommit": True},
            open=False,
            name="rates",
        )
        await pool.open()
        self._pool = pool

    async def ask(self, *asked: Asked) -> list[list[Any]]:
        """The rows of some queries, all of one moment. Raises Unavailable."""
        pool = self._pool
        if pool is None:
            raise Unavailable("the serving database is not there yet; ask again")
        for is_last in (False, True):
            try:
                connection = await pool.getconn()
                try:
                    return await _rows(connection, asked)
                finally:
                    # A connection whose query was not answered to the end is closed by this, and replaced.
                    await pool.putconn(connection)
            except (PoolTimeout, PoolClosed) as error:
                raise Unavailable("the serving database does not answer, or is too busy; ask again") from error
            except QueryCanceled as error:
                raise Unavailable(f"the query took longer than {self._seconds:g} s; ask for fewer days") from error
            except (UndefinedTable, InvalidSchemaName, InsufficientPrivilege) as error:
                raise Unavailable("the serving database has no prices for this API yet; ask again") from error
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                if is_last:
                    raise Unavailable("the serving database has just gone away; ask again") from error
                # The server was away for a moment: all connections are of before.
                await pool.check()
        raise AssertionError

    @property
    def stats(self) -> Mapping[str, int]:
        """Of the pool: size, connections that are free, requests that wait, and others."""
        return {} if self._pool is None else self._pool.get_stats()


async def _rows(connection: Connection, asked: tuple[Asked, ...]) -> list[list[Any]]:
    if len(asked) == 1:
        # One statement sees one moment by itself, and costs one way to the server.
        return [await connection.answer(*asked[0])]
    async with connection.transaction():
        return [await connection.answer(*one) for one in asked]
