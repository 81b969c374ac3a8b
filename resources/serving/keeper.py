"""`python keeper.py LOCK DATA`: stops an embedded PostgreSQL server once no process uses it any more, and ends.

Every user of the server holds a shared lock on the file LOCK; the kernel lets go of it when its process ends, however it
ends. This waits for the lock that excludes all of them. Standard library only: it is a process that does nothing.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from pathlib import Path

STOP_SECONDS = 60.0


def postmaster(data: Path) -> int | None:
    """The process id of the server that runs on a data folder; None without one.

    A server that was killed leaves its id, which may be another process's by now; so its socket has to answer as well.
    """
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        pid, port, folder = int(lines[0]), int(lines[3]), lines[4].strip()
    except (OSError, ValueError, IndexError):
        return None
    return pid if _is_alive(pid) and _answers(f"{folder}/.s.PGSQL.{port}") else None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(5)
        try:
            probe.connect(path)
        except OSError:
            return False
        return True


def stop(data: Path) -> bool:
    """Let the server end: connections are cut, what was committed is on disk. Whether it has ended."""
    pid = postmaster(data)
    if pid is None:
        return True
    # What pg_ctl's "fast" is.
    os.kill(pid, signal.SIGINT)
    return has_ended(data, STOP_SECONDS)


def has_ended(data: Path, seconds: float) -> bool:
    """Wait for a server that is ending, or was killed, to be gone. A server that ends takes its file away last."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            pid = int((data / "postmaster.pid").read_text().splitlines()[0])
        except (OSError, ValueError, IndexError):
            return True
        if not _is_alive(pid):
            return True
        time.sleep(0.05)
    return False


def main(lock: Path, data: Path) -> None:
    import fcntl  # not on Windows, where there is no embedded server

    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        stop(data)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
