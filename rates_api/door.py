"""What every request passes on its way in and out: the limits, the counting, the last resort."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rates_api.errors import Fault, answer
from rates_api.metrics import Metrics

LONGEST_BODY = 10_000
"""Bytes; a price has some 150."""

_UNLIMITED = frozenset({"/healthz", "/readyz", "/metrics"})
"""What machines ask to see whether this one is well."""
_BURST_SECONDS = 10
_MOST_CLIENTS = 10_000
_log = logging.getLogger(__name__)


@dataclass
class State:
    """What the server tells the application."""

    is_leaving: bool = False
    """Asked to end: it answers still, and wants no more connections."""


class RateLimit:
    """A bucket of tokens for each client: so many requests a second, ten times as many at once. rate: 0 for no limit."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._most = max(1.0, rate * _BURST_SECONDS)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, client: str, now: float) -> float:
        """Take a token; seconds until there is one, 0 when there was."""
        if self._rate == 0:
            return 0.0
        tokens, at = self._buckets.pop(client, (self._most, now))
        tokens = min(self._most, tokens + (now - at) * self._rate)
        enough = tokens >= 1
        self._buckets[client] = (tokens - 1 if enough else tokens, now)
        if len(self._buckets) > _MOST_CLIENTS:
            self._buckets.popitem(last=False)
        return 0.0 if enough else (1 - tokens) / self._rate


class Door:
    """ASGI middleware, outside of everything else."""

    def __init__(self, app: ASGIApp, state: State, metrics: Metrics, rate: float) -> None:
        self._app = app
        self._state = state
        self._metrics = metrics
        self._limit = RateLimit(rate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 0

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self._state.is_leaving:
                    message["headers"] = [*message.get("headers", []), (b"connection", b"close")]
            await send(message)

        with self._metrics.in_flight.track_inprogress():
            try:
                await self._pass(scope, receive, note)
            except Exception:
                _log.exception("%s %s failed", scope["method"], scope["path"])
                if status:  # too late for an answer
                    raise
                await answer(500, [Fault(field=None, message="a fault of the API's own; it is in its log")])(
                    scope, receive, note
                )
            finally:
                self._metrics.note(scope["method"], _route(scope), status, time.perf_counter() - began)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope["client"][0] if scope["client"] else ""
        wait = 0.0 if scope["path"] in _UNLIMITED else self._limit.wait(client, time.monotonic())
        if wait:
            refusal = answer(
                429,
                [Fault(field=None, message=f"too many requests; the next one in {wait:.1f} s")],
                {"Retry-After": str(int(wait) + 1)},
            )
            await refusal(scope, receive, send)
            return
        if scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            length = dict(scope["headers"]).get(b"content-length")
            if length is None or not length.isdigit() or int(length) > LONGEST_BODY:
                message = f"expected a body of at most {LONGEST_BODY:,} bytes, its length in Content-Length"
                fault = [Fault(field="body", message=message)]
                await answer(411 if length is None else 413, fault, {"Connection": "close"})(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _route(scope: MutableMapping[str, Any]) -> str:
    """The path as it was declared: a handful, whatever is asked for."""
    return getattr(scope.get("route"), "path", "other")
