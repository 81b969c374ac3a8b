"""A toy source whose files belong together: a header (.hdr) that names the files it needs, with what else has its name.

A header's lines are ``@name`` for a file that it needs; other lines of any of the files are readings. A ``.toy`` file
is a record by itself.
"""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Callable, Collection
from pathlib import PurePosixPath

from pipeline_assets.landed_file import LandedFile, Refused
from pipeline_assets.source import NoConfig, Reader, Records
from tests.toy_source import TOY, recognise

PARTS = {".hdr", ".part", ".more", ".toy"}


def name_of(key: str) -> str | None:
    path = PurePosixPath(key)
    return str(path.with_suffix("")) if path.suffix in PARTS else None


def primary(names: Collection[str]) -> str | None:
    return next((name for suffix in (".hdr", ".toy") for name in sorted(names) if name.endswith(suffix)), None)


def needs(name: str, head: Callable[[], bytes]) -> list[str]:
    if not name.endswith(".hdr"):
        return []
    return [line[1:] for line in head().decode().splitlines() if line.startswith("@")]


def stands_alone(key: str) -> bool:
    return key.endswith(".toy")


def values_of(*contents: bytes) -> list[float]:
    """The readings of a record: of its first file, then of the others."""
    lines = [line for content in contents for line in content.decode().splitlines()[1:]]
    return [float(line) for line in lines if not line.startswith("@")]


def read(file: LandedFile, config: NoConfig) -> list[float]:
    others = [file.companions[name].read_bytes() for name in sorted(file.companions)]
    if any(b"crash" in content for content in others):
        os.kill(os.getpid(), signal.SIGSEGV)
    try:
        return values_of(file.read_bytes(), *others)
    except ValueError as error:
        raise Refused("not_a_number", str(error)) from error


RECORDS = dataclasses.replace(
    TOY,
    readers=(Reader("toy_record", "toy record", recognise, read),),
    records=Records(name_of, primary, needs, stands_alone, wanted="a header (.hdr) of the same name"),
    hold_above=1.0,
)
