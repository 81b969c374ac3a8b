"""A local folder as landing store. The version of a file is the SHA-256 of its bytes."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from resources.errors import UserError
from resources.landing.shards import NONE_CLOSED, Closed, Passed
from resources.landing.store import BIG_FILE_BYTES as _BIG_FILE_BYTES
from resources.landing.store import (
    LONGEST_KEY_BYTES,
    PAGE_KEYS,
    BadKey,
    Fetched,
    FileChanged,
    FileGone,
    Page,
    Skipped,
    check_any_key,
    check_writable,
    has_control,
    is_utf8,
    sha256_of,
)
from resources.ledger.arrivals import Look

_LONGEST_NAME_BYTES = 255


class LandingGone(UserError, OSError):
    """The landing folder is not there: not the same as an empty one."""

    exit_code = 1


@dataclass(frozen=True)
class FolderFetcher:
    root: Path
    at_once: int = 1

    def fetch(self, key: str, version: str, size_bytes: int) -> bytes | Path:
        path = self.root / key
        content: bytes | Path
        try:
            if size_bytes >= _BIG_FILE_BYTES:
                content, found = path, sha256_of(path)
            else:
                content = path.read_bytes()
                found = hashlib.sha256(content).hexdigest()
        except (FileNotFoundError, NotADirectoryError) as error:
            if not self.root.is_dir():
                raise LandingGone(f"The landing folder {self.root} is not there any more. Mount it again.") from error
            raise FileGone(key) from error
        if found != version:
            raise FileChanged(key)
        return content

    def fetch_with_metadata(self, key: str, version: str, size_bytes: int) -> Fetched:
        return Fetched(self.fetch(key, version, size_bytes))

    def done(self, content: bytes | Path) -> None:
        """Nothing to do: a path is the landed file itself."""

    def longest_seconds(self, size_bytes: int) -> float:
        return 0.0


class FolderStore:
    """Every regular file below `root` whose path has no part that begins with a dot."""

    name = "folder"
    kind = "folder"
    is_atomic = False
    keeps_metadata = False

    def __init__(self, root: Path, *, must_exist: bool = False, read_only: bool = False) -> None:
        self.root = root
        self.must_exist = must_exist
        self.read_only = read_only

    def __repr__(self) -> str:
        return f"FolderStore({self.root})"

    def list(self, prefix: str) -> Iterator[Look | Skipped]:
        for page in self.pages(prefix):
            yield from (one for one in page.seen if not isinstance(one, Passed))

    def pages(self, prefix: str, after: str | None = None, closed: Closed = NONE_CLOSED) -> Iterator[Page]:
        self._check_there()
        top = self.root / prefix
        behind = after.removeprefix(prefix).split("/") if after else []
        page: list[Look | Skipped | Passed] = []
        if top.is_dir():
            for seen in self._walk(str(top), prefix.rstrip("/"), behind, closed):
                page.append(seen)
                if len(page) >= PAGE_KEYS and isinstance(seen, Look):
                    yield Page(tuple(page), seen.key)
                    page = []
        yield Page(tuple(page), None)

    def _walk(self, folder: str, key: str, behind: Sequence[str], closed: Closed) -> Iterator[Look | Skipped | Passed]:
        """Files below a folder in the order of their names; `behind` are the parts of the key to begin after."""
        with os.scandir(folder) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
        for entry in entries:
            if entry.name.startswith(".") or (behind and entry.name < behind[0]):
                continue
            is_begin = bool(behind) and entry.name == behind[0]
            entry_key = f"{key}/{entry.name}"
            if not is_utf8(entry.name):
                yield Skipped(ascii(entry_key), "its name is not UTF-8; rename it")
            elif has_control(entry.name):
                yield Skipped(ascii(entry_key), "its name has a control character; rename it")
            elif len(entry_key.encode()) > LONGEST_KEY_BYTES:
                # It bounds how deep folders are followed, too.
                yield Skipped(f"{entry_key[:80]}...", f"its key is longer than {LONGEST_KEY_BYTES:,} bytes; move it up")
            elif entry.is_symlink():
                yield Skipped(entry_key, "it is a symbolic link; land the file itself")
            elif entry.is_dir(follow_symlinks=False):
                if f"{entry_key}/" in closed:
                    yield Passed(f"{entry_key}/")
                else:
                    yield from self._walk(entry.path, entry_key, behind[1:] if is_begin else [], closed)
            elif entry.is_file(follow_symlinks=False) and not (is_begin and len(behind) == 1):
                try:
                    info = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                yield Look(entry_key, info.st_size, info.st_mtime_ns)

    def _check_there(self) -> None:
        if self.must_exist and not self.root.is_dir():
            raise LandingGone(
                f"The landing folder {self.root} is not there. Mount or make it, or correct STRANDLINE_LANDING."
            )

    def look(self, key: str) -> Look | None:
        try:
            info = (self.root / key).stat(follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Look(key, info.st_size, info.st_mtime_ns) if stat.S_ISREG(info.st_mode) else None

    def version_of(self, look: Look) -> str:
        try:
            version = sha256_of(self.root / look.key)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileGone(look.key) from error
        if self.look(look.key) != look:
            raise FileChanged(look.key)
        return version

    def fetcher(self) -> FolderFetcher:
        return FolderFetcher(self.root)

    def uri(self, key: str) -> str:
        return f"file://{self.root / key}"

    def check_key(self, key: str) -> None:
        check_key(key)

    def put(self, source_path: Path, key: str, metadata: Mapping[str, str] | None = None) -> bool:
        """Copy a file in. Writes aside and renames, so that no reader sees half a file. Raises BadKey."""
        if metadata:
            raise BadKey(
                f"A folder keeps no metadata beside {key!r}. Land it in a bucket, or a file with it beside it."
            )
        check_writable(self)
        check_key(key)
        self._check_there()
        target = self.root / key
        if target.is_dir():
            raise BadKey(f"{key!r} is a folder in the landing store. Choose another key with --key.")
        if _same_bytes(target, source_path):
            return False
        aside = self.root / ".landing" / uuid.uuid4().hex
        aside.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(source_path, aside)
            with aside.open("rb+") as copied:
                os.fsync(copied.fileno())
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(aside, target)
        except (NotADirectoryError, FileExistsError) as error:
            raise BadKey(f"{key!r} has a part that is a file in the landing store. Choose another key.") from error
        finally:
            aside.unlink(missing_ok=True)
        return True


def check_key(key: str) -> None:
    """Raise BadKey for a key that would leave the landing folder or that discovery would not see."""
    check_any_key(key)
    parts = key.split("/")
    if any(part.startswith(".") for part in parts):
        raise BadKey(f"{key!r} has a part that begins with a dot; such files are never picked up. Rename it.")
    if len(key.encode()) > LONGEST_KEY_BYTES or any(len(part.encode()) > _LONGEST_NAME_BYTES for part in parts):
        raise BadKey(f"{key[:80]!r}... is too long: at most 1,024 bytes, and 255 for each part.")


def _same_bytes(left: Path, right: Path) -> bool:
    return left.is_file() and left.stat().st_size == right.stat().st_size and sha256_of(left) == sha256_of(right)
