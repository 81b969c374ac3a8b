"""A host that is this machine: commands are processes of their own group, files are copied."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from resources.caris_host import watch
from resources.caris_host.buckets import Buckets, is_uri
from resources.caris_host.host import Finished, HostFile, HostUnavailable
from resources.caris_host.jobs import Hearing, Job
from resources.caris_host.lines import MOST_OUTPUT, Lines
from resources.caris_host.paths import OWN_FOLDER, beside, checked, copy, sha256_of
from resources.caris_host.watch import Guard, Watch

RUNNER = Path(__file__).parent / "runner.sh"
_PIECE = 64 * 1024
_END_SECONDS = 5.0
"""How long to read on after a command ended, if a process that it left behind holds its output open."""

_HERE = "this machine"


class LocalTransport:
    """Commands on this machine, work folders below `root`."""

    def __init__(self, root: Path, buckets: Buckets) -> None:
        self._root = root
        self._buckets = buckets

    def __str__(self) -> str:
        return _HERE

    @contextmanager
    def folder(self, name: str, guard: Guard) -> Iterator[LocalFolder]:
        yield LocalFolder(self._root / name, guard, self._buckets)


class LocalFolder:
    """A work folder on this machine. Making it ends whatever an earlier, dead client left running in it."""

    def __init__(self, folder: Path, guard: Guard, buckets: Buckets) -> None:
        self._folder = folder
        self._guard = guard
        self._buckets = buckets
        self._ask(Job("begin", str(folder), guard.fence))

    @property
    def path(self) -> str:
        return f"{self._folder}{os.sep}"

    def put(self, files: Mapping[str, str]) -> None:
        self._guard.confirm()
        for name, source in files.items():
            target = self._folder / checked(name)
            if is_uri(source):
                with beside(target) as aside:
                    self._buckets.download(source, aside)
                continue
            origin = Path(source)
            wanted = sha256_of(origin)
            if target.is_file() and target.stat().st_size == origin.stat().st_size and sha256_of(target) == wanted:
                continue
            if copy(origin, target) != wanted:
                raise HostUnavailable(f"{origin} changed while it was copied to {target}")

    def run(self, argv: Sequence[str], *, seconds: float, quiet_seconds: float, say: Callable[[str], None]) -> Finished:
        self._guard.confirm()
        job = Job("run", str(self._folder), self._guard.fence, tuple(argv))
        hearing = Hearing(job, _HERE, say)
        clock = Watch(seconds, quiet_seconds)
        try:
            # Its own session, so that one signal reaches all that it starts.
            process = subprocess.Popen(
                _command(job), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                start_new_session=True, bufsize=0,
            )  # fmt: skip
        except OSError as error:
            raise HostUnavailable(f"this machine cannot start {argv[0]}: {error}") from error
        try:
            stopped = _hear_out(process, clock, self._guard, hearing)
        finally:
            # Also what it left behind: nothing of a command outlives it. Before it is waited for, its number is its own.
            _kill(process.pid)
            process.wait()
            with suppress(OSError):
                (self._folder / OWN_FOLDER / "running" / f"{self._guard.fence}-{process.pid}").unlink()
            if process.stdout is not None:
                process.stdout.close()
        return hearing.finished(process.returncode, clock.passed, stopped)

    def outputs(self, names: Sequence[str]) -> list[HostFile]:
        found: dict[str, HostFile] = {}
        for name in names:
            start = self._folder / checked(name)
            for path in sorted(start.rglob("*")) if start.is_dir() else [start]:
                if path.is_file():
                    relative = path.relative_to(self._folder).as_posix()
                    found[relative] = HostFile(relative, path.stat().st_size, sha256_of(path))
        return list(found.values())

    def fetch(self, files: Sequence[HostFile], to: Path) -> None:
        for file in files:
            if copy(self._folder / checked(file.path), to / file.path) != file.sha256:
                (to / file.path).unlink()
                raise HostUnavailable(f"{file.path} on this machine is not the file any more that was listed")

    def remove(self) -> None:
        self._guard.confirm()
        self._ask(Job("remove", str(self._folder), self._guard.fence))

    def _ask(self, job: Job) -> None:
        done = subprocess.run(
            _command(job), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        hearing = Hearing(job, _HERE)
        hearing.hear(done.stdout.decode(errors="replace").splitlines())
        hearing.expect_done()


def _command(job: Job) -> list[str]:
    return ["sh", str(RUNNER), job.verb, job.nonce, job.folder, str(job.fence), *job.argv]


def _hear_out(process: subprocess.Popen[bytes], clock: Watch, guard: Guard, hearing: Hearing) -> str | None:
    """Hear a command until it ends; why it is to be stopped, if it did not end by itself."""
    assert process.stdout is not None
    lines = Lines()
    ended_at: float | None = None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            guard.check()
            if selector.select(clock.wait_seconds()):
                piece = process.stdout.read(_PIECE)
                if not piece:
                    break
                clock.hear()
                hearing.hear(lines.feed(piece))
                if lines.bytes > MOST_OUTPUT:
                    return watch.TOO_MUCH
            elif _has_ended(process.pid):
                ended_at = clock.passed if ended_at is None else ended_at
                _kill(process.pid)
                if clock.passed - ended_at > _END_SECONDS:
                    break
            if ended_at is None and (why := clock.why_stop()):
                hearing.hear(lines.end())
                return why
    hearing.hear(lines.end())
    # Its output is closed, but it may work on: the clock still holds.
    while not _has_ended(process.pid):
        guard.check()
        if why := clock.why_stop():
            return why
        time.sleep(min(0.05, clock.wait_seconds()))
    return None


def _has_ended(pid: int) -> bool:
    """Whether a child of this process has ended. It is not waited for, so that its number stays its own."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _kill(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
