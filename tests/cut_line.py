"""A line to a server that tests can cut: a TCP port that passes everything on, until it does not."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Line:
    """Passes connections on to what `connect` opens. While it is cut, new ones are closed at once."""

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self._connect = connect
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.is_cut = False
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End all connections, and let none through from now on."""
        self.is_cut = True
        self.drop()

    def drop(self) -> None:
        """End all connections there are."""
        while self._open:
            _end(self._open.pop())

    def mend(self) -> None:
        self.is_cut = False

    def close(self) -> None:
        _end(self._server)
        self.drop()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            if self.is_cut:
                _end(client)
                continue
            try:
                server = self._connect()
            except OSError:
                _end(client)
                continue
            self._open += [client, server]
            for one, other in ((client, server), (server, client)):
                threading.Thread(target=_pass_on, args=(one, other), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for one in (source, target):
        _end(one)


def _end(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        one.close()


@contextmanager
def line_to(connect: Callable[[], socket.socket]) -> Iterator[Line]:
    line = Line(connect)
    try:
        yield line
    finally:
        line.close()
