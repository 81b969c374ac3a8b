"""What every landing store can do, be it a folder or a bucket."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from resources.errors import UserError
from resources.landing.shards import NONE_CLOSED, Closed, Passed
from resources.ledger.arrivals import Look

BIG_FILE_BYTES = 64 * 1024 * 1024
"""From this size on a reader gets a file's path instead of its bytes in memory."""

PAGE_KEYS = 1000
LONGEST_KEY_BYTES = 1024


class FileGone(Exception):
    """The key is no longer there."""


class FileChanged(Exception):
    """The key has other bytes now than the version that was asked for."""


class FileArchived(Exception):
    """The key is there, but its bytes cannot be read until a person restores them. The message says how."""


class StoreError(UserError, OSError):
    """The landing store does not answer, or refuses: an infrastructure error, never the fault of a file."""

    exit_code = 1


class BadKey(UserError):
    """A key that the landing store cannot take. The message says what to do."""


class ReadOnlyStore(UserError):
    """Somebody wants to land a file in a landing store that is not ours to write."""


@dataclass(frozen=True)
class Skipped:
    """Something under the prefix that can be no file of a source, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Page:
    """A part of a listing. `position` is what the next part begins after; None at the end of the listing."""

    seen: tuple[Look | Skipped | Passed, ...]
    position: str | None


@dataclass(frozen=True)
class Fetched:
    """A file's bytes, or for a large one a local path, and what the landing store keeps beside them, by lower-case name."""

    content: bytes | Path
    metadata: Mapping[str, str] = field(default_factory=dict)


class Fetcher(Protocol):
    """Reads pinned versions of keys. Can be sent to a worker process, and used by several threads there."""

    @property
    def at_once(self) -> int:
        """How many keys to ask for at the same time."""
        ...

    def fetch(self, key: str, version: str, size_bytes: int) -> bytes | Path:
        """The file's bytes, or for a large one a local path, proven to be the version; given to `done` after use.

        Raises FileGone, FileChanged, FileArchived, and StoreError (never TimeoutError) when the store is at fault.
        """
        ...

    def fetch_with_metadata(self, key: str, version: str, size_bytes: int) -> Fetched:
        """The same, and what is kept beside the bytes: of the same moment, from the same answer."""
        ...

    def done(self, content: bytes | Path) -> None:
        """Let go of what `fetch` gave."""
        ...

    def longest_seconds(self, size_bytes: int) -> float:
        """How long fetching a file may take before `fetch` itself gives up: time that is not its reader's."""
        ...


class LandingStore(Protocol):
    """A place where files arrive. Keys are relative, with forward slashes; each source has a folder (prefix)."""

    name: str
    """The store's part of a file's identity."""
    kind: str
    """What a person calls it: folder, bucket."""
    is_atomic: bool
    """Whether a file appears whole or not at all; if not, it counts once it is equal at two looks."""
    read_only: bool
    keeps_metadata: bool
    """Whether it can keep names and values beside a file's bytes."""

    def pages(self, prefix: str, after: str | None = None, closed: Closed = NONE_CLOSED) -> Iterator[Page]:
        """The keys under a prefix in the store's own lasting order, from behind a position on.

        Closed shards are passed by at no cost of their own, and told as `Passed` in the order of the keys. Raises OSError when it cannot tell: a failed listing is not an empty one.
        """
        ...

    def list(self, prefix: str) -> Iterator[Look | Skipped]:
        """Every key under a prefix. Raises OSError when it cannot tell."""
        ...

    def look(self, key: str) -> Look | None:
        """One key as it is now; None when it is gone."""
        ...

    def version_of(self, look: Look) -> str:
        """The version of the bytes that a look saw. Raises FileGone or FileChanged."""
        ...

    def fetcher(self) -> Fetcher: ...

    def uri(self, key: str) -> str:
        """Where a key is, for people."""
        ...

    def check_key(self, key: str) -> None:
        """Raise BadKey for a key under which no file can be landed."""
        ...

    def put(self, source_path: Path, key: str, metadata: Mapping[str, str] | None = None) -> bool:
        """Copy a file in under a key, whole or not at all; False when those bytes are there already.

        metadata: what to keep beside the bytes, for stores that can (`keeps_metadata`).
        Raises BadKey, ReadOnlyStore.
        """
        ...


def check_writable(store: LandingStore) -> None:
    if store.read_only:
        raise ReadOnlyStore(
            f"The landing store {store.uri('')} is not written to (STRANDLINE_LANDING_READ_ONLY is set). Whoever owns it "
            "puts files there."
        )


def check_any_key(key: str) -> None:
    """Raise BadKey for what is a key in no landing store."""
    if any(part in {"", ".", ".."} for part in key.split("/")):
        raise BadKey(f"{key!r} is not a key: use a relative path without empty parts, '.' or '..'.")
    if has_control(key):
        raise BadKey(f"{key!r} has a control character. Rename the file or choose another --key.")
    if not is_utf8(key):
        raise BadKey(f"{key!r} is not UTF-8. Rename the file or choose another --key.")


def has_control(name: str) -> bool:
    """Whether it would do something to a terminal or to a line of a log."""
    return any(ord(character) < 32 or ord(character) == 127 for character in name)


def is_utf8(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
