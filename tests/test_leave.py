"""A command's process ends as Python's own would: code, output, exit handlers, threads."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SETUP = """
import atexit, sys, threading, time
from cli.leave import run_and_leave
atexit.register(lambda: print("handler ran"))
def late():
    time.sleep(0.2)
    print("thread ended")
threading.Thread(target=late).start()
"""


def ends(command: str) -> subprocess.CompletedProcess[str]:
    code = f"{SETUP}\ndef command():\n    print('worked')\n    {command}\nrun_and_leave(command)"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("command", "code"),
    [("return", 0), ("sys.exit()", 0), ("sys.exit(3)", 3), ("sys.exit('no')", 1), ("raise KeyError('x')", 1)],
)
def test_it_leaves_with_the_code_and_leaves_nothing_undone(command: str, code: int) -> None:
    ended = ends(command)
    assert ended.returncode == code
    assert sorted(ended.stdout.splitlines()) == ["handler ran", "thread ended", "worked"]
    expected = {"sys.exit('no')": "no\n", "raise KeyError('x')": "KeyError: 'x'\n"}
    assert ended.stderr.endswith(expected.get(command, ""))


def test_a_reader_that_is_gone_is_no_error() -> None:
    code = "from cli.leave import run_and_leave\nrun_and_leave(lambda: print('x' * 100))"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
