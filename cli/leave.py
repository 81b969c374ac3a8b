"""The command's process ends when its work has ended."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress


def run_and_leave(command: Callable[[], object]) -> None:
    """Run a command to its SystemExit and leave with its code, without taking the interpreter apart object by object:
    after a large batch that takes a second, and gives nothing.

    Threads are waited for and exit handlers run, as always. Does not return; other exceptions leave as they would.
    """
    code = 0
    try:
        command()
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # who reads it may be gone
            stream.flush()
    os._exit(code)
