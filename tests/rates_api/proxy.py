"""A small HTTP proxy before several API processes: what a load balancer does, and no more.

It asks each at /readyz, five times a second, and sends requests to those that say yes, in turn. A GET whose process goes away
before it has answered whole is sent to another, as nginx does by default (`proxy_next_upstream error`); it counts those.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

HOST = "127.0.0.1"
_LOOK_SECONDS = 0.2
_ANSWER_SECONDS = 20.0


class Proxy:
    """In a thread of its own, for the time of its context."""

    def __init__(self, ports: Sequence[int]) -> None:
        self.ports = ports
        self.sent_again = 0
        self.ready: set[int] = set()
        self._turn = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Proxy:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, HOST, 0), self._loop).result()
        self.address = f"http://{HOST}:{self._server.sockets[0].getsockname()[1]}"
        self._looking = [asyncio.run_coroutine_threadsafe(self._look(port), self._loop) for port in self.ports]
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._looking:
            one.cancel()
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _look(self, port: int) -> None:
        while True:
            answer = await self._ask(port, b"GET /readyz HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n")
            if answer is not None and answer.startswith(b"HTTP/1.1 200"):
                self.ready.add(port)
            else:
                self.ready.discard(port)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n") if line and not line.lower().startswith(b"connection:")]
        answer = await self._answer(b"\r\n".join([*lines, b"Connection: close", b"", b""]))
        writer.write(answer or b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async def _answer(self, request: bytes) -> bytes | None:
        for attempt in range(len(self.ports)):
            there = sorted(self.ready) or self.ports
            self._turn += 1
            port = there[self._turn % len(there)]
            answer = await self._ask(port, request)
            if answer is not None:
                self.sent_again += attempt
                return answer
            # It is not asked again before it says that it is ready.
            self.ready.discard(port)
        return None

    async def _ask(self, port: int, request: bytes) -> bytes | None:
        """The whole answer; None when there is none, or only a part of one."""
        try:
            reader, writer = await asyncio.open_connection(HOST, port)
        except OSError:
            return None
        try:
            writer.write(request)
            answer = await asyncio.wait_for(reader.read(), _ANSWER_SECONDS)
        except (OSError, TimeoutError):
            return None
        finally:
            writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        return answer if lengths and len(body) == int(lengths[0].split(b":")[1]) else None
