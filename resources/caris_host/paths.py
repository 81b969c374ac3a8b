"""Names of files and folders on the host, and what local copies of files need."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

OWN_FOLDER = ".strandline"
"""In a work folder: what the platform keeps there of its own. Never one of the survey's files."""

_PLAIN_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_.-]{0,58}[a-z0-9])?")
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\%^&!`$;\'\n]')
_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")
_PIECE = 1024 * 1024


def folder_name(survey: str) -> str:
    """The folder of a survey: its own name where Windows takes that and tells it from others, else one with a hash.

    Windows does not tell upper from lower case, ends no name with a dot, and keeps the names of devices to itself.
    """
    if _PLAIN_NAME.fullmatch(survey) and not _DEVICES.fullmatch(survey):
        return survey
    readable = re.sub(r"[^a-z0-9_-]+", "-", survey.lower()).strip("-")[:40]
    return f"{readable}-{hashlib.sha256(survey.encode()).hexdigest()[:12]}".lstrip("-")


def checked(path: str) -> str:
    """A relative path of a file on the host, as it is. Raises ValueError where it could lead out of the work folder, or
    would mean something to a shell or to Windows."""
    parts = path.split("/")
    if (
        not path
        or len(path) > 200
        or _FORBIDDEN.search(path)
        or any(part in {"", ".", ".."} or part.endswith((".", " ")) or part.startswith(("-", " ")) for part in parts)
        or any(_DEVICES.fullmatch(part) for part in parts)
        or parts[0].lower() == OWN_FOLDER
    ):
        raise ValueError(
            f"{path!r} is no name for a file on the CARIS host; expected a relative path such as lines/0001.gsf, of at "
            "most 200 characters, without '..', a drive, or characters that Windows or a shell reads otherwise"
        )
    return path


def sha256_of(path: Path) -> str:
    """Of a file's bytes, in small hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to; what is there takes the name when the block ends well, and goes if not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{uuid.uuid4().hex[:12]}.part")
    try:
        yield aside
        os.replace(aside, path)
    finally:
        with suppress(FileNotFoundError):
            aside.unlink()


def copy(source: Path, target: Path) -> str:
    """Copy a file whole, or not at all; the SHA-256 of what was written."""
    found = hashlib.sha256()
    with beside(target) as aside:
        with source.open("rb") as reading, aside.open("wb") as writing:
            while piece := reading.read(_PIECE):
                found.update(piece)
                writing.write(piece)
        shutil.copystat(source, aside)
    return found.hexdigest()
