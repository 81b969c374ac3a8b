"""Local copies of large files for the time that they are read. Those of a process that was killed go at the next use."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path
from urllib.parse import quote, unquote

from resources.ledger.leases import is_dead, this_process

_swept: set[tuple[int, Path]] = set()


def new_spool_file(spool: Path, suffix: str) -> Path:
    """A path for this process to write to, and to delete after use."""
    mine = spool / quote(this_process(), safe="")
    if (os.getpid(), spool) not in _swept:
        _swept.add((os.getpid(), spool))
        _sweep(spool)
    mine.mkdir(parents=True, exist_ok=True)
    short = suffix if suffix.isascii() and len(suffix) < 16 else ""
    return mine / f"{uuid.uuid4().hex}{short}"


def _sweep(spool: Path) -> None:
    for folder in spool.glob("*"):
        if is_dead(unquote(folder.name)):
            shutil.rmtree(folder, ignore_errors=True)
