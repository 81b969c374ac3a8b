"""What every way to the host keeps: files go there and back whole, a command's end is told as it was, and nothing outlives it."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

from resources.caris_host.buckets import Buckets
from resources.caris_host.host import Finished, HostFile, HostNotReady, HostUnavailable, WorkFolder
from resources.caris_host.watch import Guard
from resources.ledger.leases import LeaseLost
from tests.caris_host.conftest import BUCKET, Way, free, lost_once, stands_still, wait_for


def run(folder: WorkFolder, way: Way, *arguments: str, seconds: float = 30, quiet_seconds: float = 30) -> Finished:
    said: list[str] = []
    done = folder.run([way.program, *arguments], seconds=seconds, quiet_seconds=quiet_seconds, say=said.append)
    assert tuple(said) == done.lines
    assert done.seconds >= 0
    return done


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_files_go_there_and_back(way: Way, tmp_path: Path, buckets: Buckets) -> None:
    local = tmp_path / "one.gsf"
    local.write_bytes(b"pings\r\n\x00\xff" * 1000)
    uri = f"s3://{BUCKET.bucket}/landing/two.gsf"
    buckets.upload(local, uri)
    with way.folder() as folder:
        assert folder.path.endswith(("survey-7/", "survey-7\\"))
        folder.put({"lines/one.gsf": str(local), "lines/deep/two.gsf": uri})
        assert (way.surveys / "survey-7/lines/one.gsf").read_bytes() == local.read_bytes()
        assert run(folder, way, "write", "out.txt", "a b").exit_code == 0
        found = folder.outputs(["out.txt", "lines", "not-there.csar"])
        content = local.read_bytes()
        assert sorted(found, key=lambda file: file.path) == [
            HostFile("lines/deep/two.gsf", len(content), sha256(content)),
            HostFile("lines/one.gsf", len(content), sha256(content)),
            HostFile("out.txt", 4, sha256(b"a b\n")),
        ]
        folder.fetch(found, tmp_path / "back")
        assert (tmp_path / "back/lines/deep/two.gsf").read_bytes() == content
        assert (tmp_path / "back/out.txt").read_text() == "a b\n"
        wrong = HostFile("out.txt", 4, sha256(b"another"))
        with pytest.raises(HostUnavailable, match=r"out\.txt"):
            folder.fetch([wrong], tmp_path / "wrong")
        assert not (tmp_path / "wrong/out.txt").exists()
        with pytest.raises(HostUnavailable, match=r"s3://surveys/nothing"):
            folder.put({"three.gsf": "s3://surveys/nothing"})
    with way.folder() as folder:
        assert len(folder.outputs(["lines", "out.txt"])) == 3, "closing keeps the folder"
        folder.remove()
    assert not (way.surveys / "survey-7").exists()
    assert buckets.below(f"s3://{BUCKET.bucket}/{BUCKET.prefix}files/") == [], "nothing is left on the way"


def test_a_file_that_is_there_is_not_sent_again(way: Way, tmp_path: Path) -> None:
    local = tmp_path / "one.gsf"
    local.write_bytes(b"pings")
    there = way.surveys / "survey-7/one.gsf"
    with way.folder() as folder:
        folder.put({"one.gsf": str(local)})
        before = there.stat()
        folder.put({"one.gsf": str(local)})
        assert there.stat().st_ino == before.st_ino
        local.write_bytes(b"PINGS")
        folder.put({"one.gsf": str(local)})
        assert there.read_bytes() == b"PINGS"


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a\\b", "C:x", "a//b", "", ".strandline/fence", "con.txt", "-rf"]
)
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    from resources.caris_host.local import LocalTransport

    with LocalTransport(tmp_path, Buckets()).folder("survey-7", free()) as folder:
        with pytest.raises(ValueError, match="no name for a file"):
            folder.put({name: str(tmp_path)})
        with pytest.raises(ValueError, match="no name for a file"):
            folder.outputs([name])
        with pytest.raises(ValueError, match="no name for a file"):
            folder.fetch([HostFile(name, 1, "")], tmp_path)


def test_a_command_ends_as_it_was(way: Way) -> None:
    awkward = [
        "a b",
        "",
        'say "x"',
        "back\\slash\\",
        "tab\there",
        "$(touch x)",
        "%PATH%",
        "'",
        "&|;<>^",
        "\\\\host\\share\\",
    ]
    with way.folder() as folder:
        assert run(folder, way, "both").lines == ("one", "two", "three")
        failed = run(folder, way, "exit", "3")
        assert (failed.exit_code, failed.lines, failed.stopped) == (3, ("it ends",), None)
        assert run(folder, way, "split").lines == ("Converted Line: a", "last")
        assert run(folder, way, "args", *awkward).lines == tuple(f"[{one}]" for one in awkward)
        assert len(run(folder, way, "many", "2000").lines) == 2000, "Systems Manager itself tells of 24,000 characters"
        with pytest.raises(HostNotReady, match="STRANDLINE_CARIS_PROGRAM"):
            folder.run(["no-such-program"], seconds=5, quiet_seconds=5, say=print)


def test_a_command_that_takes_too_long_is_ended(way: Way) -> None:
    ticks = way.surveys / "survey-7/ticks"
    with way.folder() as folder:
        late = run(folder, way, "tick", seconds=0.6)
        assert (late.exit_code, late.stopped) == (None, "over 0.6 s")
        assert "tick" in late.lines
        assert stands_still(ticks)
        silent = run(folder, way, "silent", quiet_seconds=0.5)
        assert (silent.exit_code, silent.lines, silent.stopped) == (None, ("begun",), "no output for 0.5 s")
        assert stands_still(ticks)


def test_a_cancelled_run_ends_what_it_started(way: Way) -> None:
    ticks = way.surveys / "survey-7/ticks"
    guard = Guard(1, lost_once(ticks, KeyboardInterrupt()), lambda: None)
    with pytest.raises(KeyboardInterrupt), way.folder(guard) as folder:
        run(folder, way, "silent")
    assert stands_still(ticks)
    assert list((way.surveys / "survey-7/.strandline/running").iterdir()) == []


def test_what_a_command_left_behind_ends_with_it(way: Way) -> None:
    if way.name in {"ssh-windows", "ssm"}:
        pytest.skip("the pretended Windows has no tree of processes")
    with way.folder() as folder:
        assert run(folder, way, "child").exit_code == 0
    assert stands_still(way.surveys / "survey-7/ticks")


def test_an_earlier_client_cannot_go_on(way: Way, tmp_path: Path) -> None:
    local = tmp_path / "one"
    local.write_text("x")
    with way.folder(free(5)) as earlier:
        with way.folder(free(6)) as later:
            with pytest.raises(LeaseLost, match="later run"):
                run(earlier, way, "write", "out.txt", "earlier")
            with pytest.raises(LeaseLost, match="later run"):
                earlier.remove()
            assert run(later, way, "write", "out.txt", "later").exit_code == 0
        with pytest.raises(LeaseLost), way.folder(free(5)):
            pass
    assert (way.surveys / "survey-7/out.txt").read_text() == "later\n"


def test_a_later_client_ends_what_an_earlier_one_left_running(way: Way) -> None:
    """The earlier one is not dead here but stuck: nobody ends its command for it."""
    ticks = way.surveys / "survey-7/ticks"
    over: list[object] = []

    def work() -> None:
        with way.folder(free(5)) as folder:
            over.append(run(folder, way, "tick"))

    thread = threading.Thread(target=work)
    thread.start()
    wait_for(ticks)
    with way.folder(free(6)) as folder:
        assert stands_still(ticks)
        assert run(folder, way, "both").exit_code == 0
    thread.join(30)
    assert not thread.is_alive()
    (finished,) = over
    assert isinstance(finished, Finished)
    assert finished.exit_code != 0, "it was ended, and is not told as done"
