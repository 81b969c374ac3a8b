"""What every landing store can do, be it a folder or a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from resources.ledger.arrivals import Look


class FileGone(Exception):
    """The key is no longer there."""


class FileChanged(Exception):
    """The key has other bytes now than the version that was asked for."""


@dataclass(frozen=True)
class Skipped:
    """Something under the prefix that can be no file of a source, and why."""

    name: str
    reason: str


class Fetcher(Protocol):
    """Reads pinned versions of keys. Can be sent to a worker process."""

    def fetch(self, key: str, version: str, size_bytes: int) -> bytes | Path:
        """The file's bytes, or for a large one a local path, proven to be the version. Raises FileGone, FileChanged."""
        ...


class LandingStore(Protocol):
    """A place where files arrive. Keys are relative, with forward slashes; each source has a folder (prefix)."""

    name: str
    """The store's part of a file's identity."""

    def list(self, prefix: str) -> Iterator[Look | Skipped]:
        """Every key under a prefix, in no order. Raises OSError (or the client's error) when it cannot tell."""
        ...

    def look(self, key: str) -> Look | None:
        """One key as it is now; None when it is gone."""
        ...

    def version_of(self, look: Look) -> str:
        """The version of the bytes that a look saw. Raises FileGone or FileChanged."""
        ...

    def fetcher(self) -> Fetcher: ...
