"""Prepared statements on libpq itself: the same connections, types and errors as psycopg's cursors, at a third of their time.

A cursor finds out anew for each query what it is, whether to prepare it and how to convert what goes in and comes out.
Here a statement is compiled once, prepared once for each connection, and answered in binary.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Generic, TypeVar

import psycopg
from psycopg.abc import Transformer as TransformerOf
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus, Format
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.sql.elements import TextClause

Row = TypeVar("Row")
Given = Mapping[str, str | date]

_ANSWERED = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)


@dataclass(frozen=True, eq=False)
class Statement(Generic[Row]):
    """A query, and what makes an entry of its answer from a row's values."""

    name: bytes
    text: bytes
    parameters: tuple[str, ...]
    make: Callable[[Sequence[Any]], Row]


def statement(name: str, query: TextClause, make: Callable[[Sequence[Any]], Row]) -> Statement[Row]:
    """From a query of SQLAlchemy's, with typed parameters."""
    # The dialect of asyncpg writes parameters as the server itself has them, $1, one for each name; nothing else of it is used.
    compiled = query.compile(dialect=dialect())
    return Statement(name.encode(), str(compiled).encode(), tuple(compiled.positiontup or ()), make)


@dataclass
class _Prepared:
    names: set[bytes] = field(default_factory=set)
    loading: dict[bytes, TransformerOf] = field(default_factory=dict)


class Connection(psycopg.AsyncConnection[Any]):
    """psycopg's connection, which also answers statements."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._known = _Prepared()

    async def answer(self, wanted: Statement[Row], given: Given) -> list[Row]:
        """The rows of a statement. Raises psycopg.Error, as a cursor does. One at a time."""
        known = self._known
        if wanted.name not in known.names:
            self.pgconn.send_prepare(wanted.name, wanted.text)
            await self._result()
            known.names.add(wanted.name)
        values = [str(given[name]).encode() for name in wanted.parameters]
        self.pgconn.send_query_prepared(wanted.name, values, result_format=Format.BINARY)
        result = await self._result()
        loading = known.loading.get(wanted.name)
        if loading is None:
            loading = known.loading[wanted.name] = Transformer(self)
            loading.set_pgresult(result)
        else:
            # What a column becomes does not change; only the rows are others.
            loading.set_pgresult(result, set_loaders=False)
        return loading.load_rows(0, result.ntuples, wanted.make)

    async def _result(self) -> Any:
        """What was sent is answered. Raises psycopg.Error."""
        pgconn = self.pgconn
        loop = asyncio.get_running_loop()
        while pgconn.flush():
            await _until(loop.add_writer, loop.remove_writer, pgconn.socket)
        found: Any = None
        while True:
            while pgconn.is_busy():
                await _until(loop.add_reader, loop.remove_reader, pgconn.socket)
                pgconn.consume_input()
            result = pgconn.get_result()
            if result is None:
                break
            found = result
        if found is None:
            raise psycopg.OperationalError("the connection ended without an answer")
        if found.status not in _ANSWERED:
            error = error_from_result(found, "utf-8")
            # Without a word of the server's the class of the error does not say that it is gone.
            raise psycopg.OperationalError(str(error)) if pgconn.status == ConnStatus.BAD else error
        return found


async def _until(add: Callable[..., Any], remove: Callable[[int], Any], socket: int) -> None:
    """Until the socket can be read, or written."""
    ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    add(socket, _tell, ready)
    try:
        await ready
    finally:
        remove(socket)


def _tell(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
