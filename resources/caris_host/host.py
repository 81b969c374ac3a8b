"""What the CARIS engine needs of a host, whichever way it is reached."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from resources.errors import PermanentFailure, TransientFailure


class HostUnavailable(TransientFailure):
    """The machinery failed: the host is away, busy, or did not answer. The same may well work later."""


class HostNotReady(PermanentFailure):
    """The host is not set up for the work: a person has to correct a setting, a right or an installation first."""


@dataclass(frozen=True)
class Finished:
    """What a command left: its exit code (None where it was stopped), each line it said (stdout and stderr, in order), seconds.

    stopped: why it was stopped ("no output for 600 s", "over 3600 s", "cancelled"), else None.
    """

    exit_code: int | None
    lines: tuple[str, ...]
    seconds: float
    stopped: str | None


@dataclass(frozen=True)
class HostFile:
    """A file on the host. path: relative to the work folder, with "/" between its parts."""

    path: str
    size_bytes: int
    sha256: str


class CarisHost(Protocol):
    """A licensed host, one work folder per survey and generation. Raises HostUnavailable (transient) where the machinery
    fails, never for what a command said."""

    def open(self, survey: str) -> AbstractContextManager[WorkFolder]:
        """Hold the host (started if it must be), a seat of the licence and the survey's own folder.

        Closing keeps the folder for a resume. Raises HostNotReady where a person has to do something first.
        """


class WorkFolder(Protocol):
    @property
    def path(self) -> str:
        """As the host writes it, with the separator at its end, such as ``D:\\strandline\\survey-7\\``."""

    def put(self, files: Mapping[str, str]) -> None:
        """Bring files to the host: by relative path there, the local path or s3:// URI that it comes from."""

    def run(self, argv: Sequence[str], *, seconds: float, quiet_seconds: float, say: Callable[[str], None]) -> Finished:
        """Run a command in the folder. seconds: for all of it; quiet_seconds: without a line. say: gets each line."""

    def outputs(self, names: Sequence[str]) -> list[HostFile]:
        """Those of the named files that exist, with their checksums; of a folder, all files in it."""

    def fetch(self, files: Sequence[HostFile], to: Path) -> None:
        """Bring files from the host, each to its path below a local folder, verified by checksum."""

    def remove(self) -> None:
        """Delete the folder on the host."""
