"""Processes that tests start in sessions of their own, so that whatever they start in turn can be found and ended."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path


@functools.cache
def _compiled() -> str:
    folder = tempfile.mkdtemp(prefix="strandline-test-compiled-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def own_environment() -> dict[str, str]:
    """This process's environment without settings of the platform. Where Python is told to keep no compiled modules,
    processes share some for the time of the tests, else each would compile Dagster anew."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STRANDLINE_")}
    environment.pop("DAGSTER_HOME", None)
    if environment.pop("PYTHONDONTWRITEBYTECODE", ""):
        environment["PYTHONPYCACHEPREFIX"] = _compiled()
    return environment


def processes_of(session: int) -> dict[int, str]:
    """The living processes of a session, each with its command line."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            fields = Path(f"/proc/{entry}/stat").read_text(errors="replace").rpartition(")")[2].split()
            command = Path(f"/proc/{entry}/cmdline").read_bytes()
        except OSError:
            continue
        state, in_session = fields[0], int(fields[3])
        if in_session == session and state not in "ZX":
            found[int(entry)] = command.replace(b"\0", b" ").decode(errors="replace").strip()
    return found


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Look every now and then until a condition is true. Fails the test when it is not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)


def assert_session_ends(session: int, seconds: float) -> None:
    """Fail unless every process of a session is gone in time; end those that are not."""
    try:
        wait_until(lambda: not processes_of(session), seconds, "the session's processes end")
    except AssertionError:
        left = processes_of(session)
        end_session(session)
        raise AssertionError(f"still there after {seconds:g} s: {left}") from None


def end_session(session: int) -> None:
    """Kill what is left of a session."""
    for _ in range(3):
        for pid in processes_of(session):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.05)
