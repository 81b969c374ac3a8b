"""The embedded server: one for all processes, started when needed, gone after its last user, however that ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from resources.serving import keeper
from resources.serving.database import Serving
from tests.crash.sessions import own_environment
from tests.log_lines import ROOT

_USE = """
import sys, time
from pathlib import Path
from sqlalchemy import text
from resources.serving.database import Serving
serving = Serving(None, None, Path(sys.argv[1]), "rates")
with serving.read() as connection:
    connection.execute(text("SELECT 1 FROM prices"))
print("using", flush=True)
time.sleep(600)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not below pytest's own folders; see tests/conftest.py.
    with tempfile.TemporaryDirectory(prefix="strandline-embedded-") as made:
        Path(made).chmod(0o755)
        yield Path(made) / "serving"
        keeper.stop(Path(made) / "serving" / "data")


def wait_until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def using(folder: Path) -> subprocess.Popen[str]:
    """Another process that uses the server."""
    process = subprocess.Popen(
        [sys.executable, "-c", _USE, str(folder)], cwd=ROOT, env=own_environment(), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "using\n"
    return process


def test_it_is_shared_and_ends_with_its_last_user(folder: Path) -> None:
    serving = Serving(None, None, folder, "rates")
    assert serving.embedded is not None
    assert not folder.exists(), "making the object starts something"
    with serving.write("rates", 1) as connection:
        connection.execute(text("INSERT INTO regions (slug, name) VALUES ('a', 'A')"))
    first = keeper.postmaster(folder / "data")
    assert first is not None
    other = using(folder)
    assert keeper.postmaster(folder / "data") == first
    serving.close()
    time.sleep(0.5)
    assert keeper.postmaster(folder / "data") == first, "it stopped under its other user"
    other.send_signal(signal.SIGKILL)
    other.wait()
    wait_until(lambda: not serving.embedded.is_running, "the server outlives its last user, who was killed")
    with serving.read() as connection:
        assert connection.scalar(text("SELECT name FROM regions")) == "A"
    assert keeper.postmaster(folder / "data") != first
    serving.close()
    wait_until(lambda: not serving.embedded.is_running, "the server outlives its last user")


def test_it_comes_back_after_it_was_killed(folder: Path) -> None:
    serving = Serving(None, None, folder, "rates")
    with serving.write("rates", 1) as connection:
        connection.execute(text("INSERT INTO regions (slug, name) VALUES ('a', 'A')"))
    killed = keeper.postmaster(folder / "data")
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: keeper.postmaster(folder / "data") is None, "it is not dead")
    serving.close()
    with serving.read() as connection:
        assert connection.scalar(text("SELECT name FROM regions")) == "A"
    serving.close()
    wait_until(lambda: not serving.embedded.is_running, "the server outlives its last user")  # type: ignore[union-attr]
