"""What only this machine as the host can show."""

from __future__ import annotations

from pathlib import Path

import pytest

from resources.caris_host import local as module
from resources.caris_host.buckets import Buckets
from resources.caris_host.host import HostNotReady
from resources.caris_host.local import LocalTransport
from resources.caris_host.watch import TOO_MUCH
from tests.caris_host.conftest import free, install


def test_a_command_that_never_stops_talking_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_OUTPUT", 100_000)
    program = install(tmp_path / "carisbatch")
    with LocalTransport(tmp_path / "work", Buckets()).folder("a", free()) as folder:
        done = folder.run([str(program), "many", "100000000"], seconds=60, quiet_seconds=60, say=lambda line: None)
    assert (done.exit_code, done.stopped) == (None, TOO_MUCH)


def test_a_process_that_leaves_the_group_does_not_hold_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_END_SECONDS", 0.3)
    with LocalTransport(tmp_path, Buckets()).folder("a", free()) as folder:
        argv = ["sh", "-c", "setsid sleep 20 & echo begun"]
        done = folder.run(argv, seconds=10, quiet_seconds=10, say=lambda line: None)
    assert (done.exit_code, done.lines, done.stopped) == (0, ("begun",), None)


def test_a_command_that_closes_its_output_is_still_watched(tmp_path: Path) -> None:
    with LocalTransport(tmp_path, Buckets()).folder("a", free()) as folder:
        argv = ["sh", "-c", "echo begun; exec sleep 60 >&- 2>&-"]
        done = folder.run(argv, seconds=0.5, quiet_seconds=30, say=lambda line: None)
    assert (done.exit_code, done.lines, done.stopped) == (None, ("begun",), "over 0.5 s")


def test_a_command_that_dies_of_a_signal_says_so(tmp_path: Path) -> None:
    with LocalTransport(tmp_path, Buckets()).folder("a", free()) as folder:
        done = folder.run(["sh", "-c", "kill -SEGV $$"], seconds=30, quiet_seconds=30, say=lambda line: None)
    assert (done.exit_code, done.stopped) == (None, "killed by signal 11")


def test_a_work_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with (
        pytest.raises(HostNotReady, match="STRANDLINE_CARIS_WORK_FOLDER"),
        LocalTransport(tmp_path / "file", Buckets()).folder("a", free()),
    ):
        pass
