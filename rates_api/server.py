"""Running the application, and ending it without losing an answer."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from types import FrameType

import uvicorn
from fastapi import FastAPI

from rates_api.service import Service
from resources.errors import UserError
from resources.settings import Settings

_FINISH_SECONDS = 30
"""How long requests that were begun may still take; queries end long before."""
_IDLE_SECONDS = 75
"""Longer than load balancers keep their connections idle (60 s and less), so that none sends into a closing one."""
_BACKLOG = 2048
_log = logging.getLogger(__name__)


class AddressTaken(UserError):
    """The API cannot listen where it was told to."""


class Server(uvicorn.Server):
    """Ctrl-C: no more connections, what was begun is answered, then it ends. SIGTERM, as from an orchestrator: before
    that it answers on for a while and says at /readyz that it leaves, so that load balancers turn elsewhere first."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self._leaves_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig == signal.SIGTERM and not self._service.state.is_leaving:
            self._captured_signals.append(sig)
            self._service.state.is_leaving = True
            self._leaves_at = time.monotonic() + self._service.platform.settings.api_leave_seconds
            return
        self._service.state.is_leaving = True
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        if self._leaves_at is not None and time.monotonic() >= self._leaves_at:
            self.should_exit = True
        return await super().on_tick(counter)


def serve(app: FastAPI, settings: Settings, *, ends_with_input: bool = False) -> None:
    """Serve until asked to end. Raises AddressTaken, KeyboardInterrupt.

    ends_with_input: also end when standard input does, which is when whoever started this process is gone.
    """
    config = uvicorn.Config(
        app,
        host=settings.api_host,
        port=settings.api_port,
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=_BACKLOG,
        proxy_headers=True,
        forwarded_allow_ips=settings.api_trusted_proxies,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=_FINISH_SECONDS,
    )
    server = Server(config, app.state.service)
    if ends_with_input:
        threading.Thread(target=_end_with_input, args=(server,), daemon=True).start()
    try:
        server.run()
    except SystemExit:
        raise AddressTaken(
            f"The rates API cannot listen on {settings.api_host} port {settings.api_port}; its log says why. Set "
            "STRANDLINE_API_HOST and STRANDLINE_API_PORT to an address that is this machine's and free."
        ) from None


def _end_with_input(server: Server) -> None:
    sys.stdin.buffer.read()
    # Ctrl-C in a terminal reaches both; twice would mean not to wait for anything.
    if not server.should_exit:
        server.handle_exit(signal.SIGINT, None)
