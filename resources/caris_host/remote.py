"""What a work folder on another machine does alike, whichever way it is reached: jobs in parts, and what they answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from resources.caris_host.buckets import is_uri
from resources.caris_host.host import Finished, HostFile, HostUnavailable
from resources.caris_host.jobs import Hearing, Job
from resources.caris_host.paths import checked, sha256_of
from resources.caris_host.watch import Guard

_JOB_BYTES = 4000
"""Of one job's names: a command line of a POSIX shell takes 128 KiB, a command of Systems Manager some 64."""

Item = TypeVar("Item")


class Way(Protocol):
    """One connection to the host."""

    def __str__(self) -> str: ...

    def ask(self, job: Job, guard: Guard) -> Hearing:
        """Have a job done that says nothing of its own."""

    def run(self, job: Job, guard: Guard, say: Callable[[str], None]) -> Finished:
        """Have a command run."""

    def bring(self, folder: str, files: Mapping[str, str], guard: Guard) -> Iterator[HostFile]:
        """Bring files to a folder of the host, from local paths and URIs; each as it is there then."""

    def take(self, folder: str, files: Sequence[HostFile], to: Path, guard: Guard) -> None:
        """Bring files of a folder of the host below a local one. Checksums are the caller's to look at."""


class RemoteFolder:
    """A work folder on a host. Making it ends whatever an earlier, dead client left running in it."""

    def __init__(self, way: Way, folder: str, separator: str, guard: Guard) -> None:
        self._way = way
        self._folder = folder
        self._separator = separator
        self._guard = guard
        self._ask(Job("begin", folder, guard.fence))

    @property
    def path(self) -> str:
        return f"{self._folder}{self._separator}"

    def put(self, files: Mapping[str, str]) -> None:
        self._guard.confirm()
        for name in files:
            checked(name)
        wanted = {name: sha256_of(Path(source)) for name, source in files.items() if not is_uri(source)}
        there = {file.path: file.sha256 for file in self.outputs(list(wanted))} if wanted else {}
        missing = {
            name: source for name, source in files.items() if name not in there or there[name] != wanted.get(name)
        }
        came = {file.path: file for file in self._way.bring(self._folder, missing, self._guard)}
        for name in missing:
            if name not in came or came[name].sha256 != wanted.get(name, came[name].sha256):
                raise HostUnavailable(f"{name} did not come to {self._way} as it was sent; nothing was run on it")

    def run(self, argv: Sequence[str], *, seconds: float, quiet_seconds: float, say: Callable[[str], None]) -> Finished:
        self._guard.confirm()
        job = Job("run", self._folder, self._guard.fence, tuple(argv), seconds=seconds, quiet_seconds=quiet_seconds)
        return self._way.run(job, self._guard, say)

    def outputs(self, names: Sequence[str]) -> list[HostFile]:
        found: dict[str, HostFile] = {}
        for part in in_parts([checked(name) for name in names]):
            found |= self._ask(Job("list", self._folder, names=tuple(part))).files
        return list(found.values())

    def fetch(self, files: Sequence[HostFile], to: Path) -> None:
        for file in files:
            checked(file.path)
        self._way.take(self._folder, files, to, self._guard)
        for file in files:
            if sha256_of(to / file.path) != file.sha256:
                (to / file.path).unlink()
                raise HostUnavailable(f"{file.path} did not come from {self._way} as it was listed there")

    def remove(self) -> None:
        self._guard.confirm()
        self._ask(Job("remove", self._folder, self._guard.fence))

    def _ask(self, job: Job) -> Hearing:
        hearing = self._way.ask(job, self._guard)
        hearing.expect_done()
        return hearing


def in_parts(items: Iterable[Item]) -> Iterator[list[Item]]:
    """The items, as many at a time as one job may name."""
    part: list[Item] = []
    size = 0
    for item in items:
        length = len(json.dumps(item)) + 4
        if part and size + length > _JOB_BYTES:
            yield part
            part, size = [], 0
        part.append(item)
        size += length
    if part:
        yield part
