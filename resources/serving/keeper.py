"""`python keeper.py LOCK DATA`: stops an embedded PostgreSQL server once no process uses it any more, and ends.

Every user of the server holds a shared lock on the file LOCK; the kernel lets go of it when its process ends, however it
ends. This waits for the lock that excludes all of them. Standard library only: it is a process that does nothing.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

STOP_SECONDS = 60.0


def postmaster(data: Path) -> int | None:
    """The process id of the server that runs on a data folder; None without one."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        pid = int(lines[0])
        os.kill(pid, 0)
    except PermissionError:
        return pid
    except (OSError, ValueError, IndexError):
        return None
    return pid


def stop(data: Path) -> bool:
    """Let the server end: connections are cut, what was committed is on disk. Whether it has ended."""
    pid = postmaster(data)
    if pid is None:
        return True
    # What pg_ctl's "fast" is.
    os.kill(pid, signal.SIGINT)
    deadline = time.monotonic() + STOP_SECONDS
    while postmaster(data) is not None and time.monotonic() < deadline:
        time.sleep(0.05)
    return postmaster(data) is None


def main(lock: Path, data: Path) -> None:
    import fcntl  # not on Windows, where there is no embedded server

    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        stop(data)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
