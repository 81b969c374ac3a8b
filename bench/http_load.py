"""Asking an HTTP server: as fast as some connections can, or at a fixed rate. Connections are kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Asked:
    """seconds: of each answer, sorted. body: of the last one."""

    seconds: list[float]
    took: float
    body: bytes

    @property
    def rate(self) -> float:
        return len(self.seconds) / self.took

    def percentile(self, share: float) -> float:
        return self.seconds[min(len(self.seconds) - 1, int(share * len(self.seconds)))]


def as_fast_as_possible(url: str, seconds: float, connections: int) -> Asked:
    return asyncio.run(_closed(url, seconds, connections))


def at_a_rate(url: str, rate: float, goes_on: Callable[[float], bool], connections: int = 16) -> Asked:
    """So many requests a second, while something goes on (asked with the seconds so far).

    A request's time counts from when it was due, so that waiting behind a slow one counts, too.
    """
    return asyncio.run(_open(url, rate, goes_on, connections))


class _Connection:
    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._where = parts.hostname, parts.port
        self._request = f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self) -> bytes:
        """The body. Raises RuntimeError for any answer but 200."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._where)
        reader, writer = self._streams
        writer.write(self._request)
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            raise RuntimeError(f"answered {head[:200]!r}")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        body = await reader.readexactly(int(length.split(b":")[1]))
        if b"connection: close" in head.lower():
            self.close()
        return body

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _closed(url: str, seconds: float, connections: int) -> Asked:
    took: list[float] = []
    body = b""
    until = time.perf_counter() + seconds

    async def go_on(one: _Connection) -> None:
        nonlocal body
        while (began := time.perf_counter()) < until:
            body = await one.ask()
            took.append(time.perf_counter() - began)
        one.close()

    began = time.perf_counter()
    await asyncio.gather(*(go_on(_Connection(url)) for _ in range(connections)))
    return Asked(sorted(took), time.perf_counter() - began, body)


async def _open(url: str, rate: float, goes_on: Callable[[float], bool], connections: int) -> Asked:
    took: list[float] = []
    body = b""
    free: asyncio.Queue[_Connection] = asyncio.Queue()
    for _ in range(connections):
        free.put_nowait(_Connection(url))

    async def one(due: float) -> None:
        nonlocal body
        connection = await free.get()
        body = await connection.ask()
        took.append(time.perf_counter() - due)
        free.put_nowait(connection)

    began = time.perf_counter()
    tasks: list[asyncio.Task[None]] = []
    while goes_on(time.perf_counter() - began):
        due = began + len(tasks) / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(due)))
    await asyncio.gather(*tasks)
    while not free.empty():
        free.get_nowait().close()
    return Asked(sorted(took), time.perf_counter() - began, body)
