"""Running commands and telling what they cost: wall seconds, processor seconds and memory of all their processes."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
_PR_SET_CHILD_SUBREAPER = 36
_SAMPLE_SECONDS = 0.1
_END_SECONDS = 20.0


@dataclass(frozen=True)
class Row:
    """One line of the table: what was done, by whom, against which peer. `met`: whether the bar is, where there is one."""

    work: str
    ours: str
    peer: str
    ratio: str
    bar: str
    met: bool | None


@dataclass(frozen=True)
class Cost:
    """What a command took. Processor seconds are user and system, of the command and all it started."""

    wall: float
    cpu: float
    peak_mib: float = 0.0


@dataclass(frozen=True)
class Seconds:
    """By the clock, and of this process's processor time, which tells more on a machine that does other things."""

    clock: float
    processor: float


class Stopwatch:
    """Begins when it is made."""

    def __init__(self) -> None:
        self._clock, self._processor = time.perf_counter(), time.process_time()

    def seconds(self) -> Seconds:
        return Seconds(time.perf_counter() - self._clock, time.process_time() - self._processor)


def run(command: Sequence[str], environment: Mapping[str, str], *, with_memory: bool = False) -> Cost:
    """Run Python with these arguments in the repository's root, to its end and that of all it started.

    with_memory: also find the greatest sum of the processes' proportional set sizes, looking ten times a second.
    Raises RuntimeError with the command's output if it fails.
    """
    _adopt_orphans()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryFile("w+") as output:
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, *command],
            env={**own_environment(), **environment},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        memory = _Memory(process.pid) if with_memory else None
        try:
            process.wait()
            wall = time.monotonic() - started
        finally:
            peak = memory.end() if memory else 0.0
            _end_session(process.pid, patience=_END_SECONDS if process.returncode == 0 else 0.0)
        if process.returncode:
            output.seek(0)
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{output.read()[-4000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, peak)


class Server:
    """A command that runs until it is ended, with all it started."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        _adopt_orphans()
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, *command],
                env={**own_environment(), **environment},
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def session(self) -> int:
        """The session that all its processes are in."""
        return self._process.pid

    def check_alive(self) -> None:
        if self._process.poll() is not None:
            last = self.log.read_text(errors="replace")[-4000:]
            raise RuntimeError(f"{self._process.args} ended with {self._process.returncode}:\n{last}")

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        _end_session(self._process.pid, patience=_END_SECONDS)
        self._process.poll()


def own_environment() -> dict[str, str]:
    """The environment without settings of a deployment that this shell may be about."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("STRANDLINE_", "DAGSTER_"))}


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _adopt_orphans() -> None:
    # A fork server outlives its starter by a moment; only as this process's child do its seconds count.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _end_session(session: int, patience: float) -> None:
    deadline = time.monotonic() + patience
    while members := list(_members(session)):
        for pid in members:
            if time.monotonic() > deadline:
                _kill(pid)
            if pid != session:
                with suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
        if members == [session]:
            try:
                os.waitid(os.P_PID, session, os.WEXITED | os.WNOWAIT | os.WNOHANG)
            except ChildProcessError:
                return
            if _state(session) == "Z":
                return
        time.sleep(0.02)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _members(session: int) -> Iterator[int]:
    """Processes of a session, be they ended and not yet waited for."""
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := _stat(int(entry))) and fields[3] == str(session):
            yield int(entry)


def processes_of(session: int) -> dict[int, str]:
    """The command lines of a session's processes, by process id."""
    found = {}
    for pid in _members(session):
        with suppress(OSError):
            found[pid] = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return found


def _state(pid: int) -> str:
    fields = _stat(pid)
    return fields[0] if fields else ""


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def cpu_seconds(session: int) -> float:
    """What a session's processes that live have taken of the processor, user and system."""
    return sum(map(_cpu_seconds, _members(session)))


def cpu_seconds_of_children(parent: int) -> float:
    """The same of a process's children, each of which may have a session of its own."""
    pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
    return sum(_cpu_seconds(pid) for pid in pids if (fields := _stat(pid)) and fields[1] == str(parent))


def parent_of(pid: int) -> int:
    return int(_stat(pid)[1])


def _cpu_seconds(pid: int) -> float:
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


class _Memory:
    """Looks at the memory of a session's processes until it is ended."""

    def __init__(self, session: int) -> None:
        self._session = session
        self._peak_kib = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def end(self) -> float:
        self._ended.set()
        self._thread.join()
        return self._peak_kib / 1024

    def _look(self) -> None:
        while not self._ended.wait(_SAMPLE_SECONDS):
            self._peak_kib = max(self._peak_kib, sum(map(pss_kib, _members(self._session))))


def pss_kib(pid: int) -> int:
    """Proportional set size of a process; 0 once it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
