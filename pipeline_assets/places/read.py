"""From `ports.csv` with `regions.csv` to ports and regions as they are written. Pure functions: no Dagster, no outside."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from pipeline_assets.landed_file import LandedFile, Refused

PORTS, REGIONS = "ports.csv", "regions.csv"
_HEADERS = {PORTS: ("code", "name", "parent_slug"), REGIONS: ("slug", "name", "parent_slug")}
_LONGEST = 200


@dataclass(frozen=True)
class Place:
    """A port or a region as a line of its file says it. code: of the port, or the region's slug. parent: empty for none."""

    code: str
    name: str
    parent: str
    line: int


@dataclass(frozen=True)
class Places:
    """All ports and regions of a delivery, not checked yet."""

    ports: tuple[Place, ...]
    regions: tuple[Place, ...]


def record_name(key: str) -> str | None:
    """Both files of a folder are one delivery; any other file is none."""
    path = PurePosixPath(key)
    return path.parent.as_posix() if path.name in _HEADERS else None


def primary_part(names: Collection[str]) -> str | None:
    return PORTS if PORTS in names else None


def needed_parts(name: str, head: Callable[[], bytes]) -> Collection[str]:
    return (REGIONS,) if name == PORTS else ()


def stands_alone(key: str) -> bool:
    return record_name(key) is None


def recognise(head: bytes) -> bool:
    """CSV whose header names a parent."""
    return b"parent_slug" in head.split(b"\n", 1)[0]


def read(file: LandedFile, config: Any) -> Places:
    """Both files of a delivery. Raises Refused."""
    if file.key not in (PORTS, f"places/{PORTS}"):
        raise Refused(
            "wrong_key",
            f"there is one set of ports and regions, places/{PORTS} with places/{REGIONS}; this is {file.key}. Land both "
            "files under these keys.",
        )
    return Places(_lines(file, PORTS), _lines(file.companions[REGIONS], REGIONS))


def _lines(file: LandedFile, kind: str) -> tuple[Place, ...]:
    wanted = _HEADERS[kind]
    try:
        text = file.read_bytes().decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise Refused("unreadable", f"{kind} is no CSV in UTF-8 ({error}). Send it again.") from error
    header = [name.strip() for name in rows[0]] if rows else []
    if sorted(set(header) & set(wanted)) != sorted(wanted) or len(set(header)) != len(header):
        raise Refused(
            "missing_columns",
            f"{kind} must have the columns {', '.join(wanted)}, each once; it has {', '.join(header) or 'none'}.",
            location=f"{kind} line 1",
        )
    places = []
    at = [header.index(name) for name in wanted]
    for number, row in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(header):
            raise Refused(
                "unreadable",
                f"{kind} has {len(row)} fields where its header has {len(header)}. Mend the line.",
                location=f"{kind} line {number}",
            )
        cells = [row[column].strip() for column in at]
        if any(len(cell) > _LONGEST or not cell.isprintable() for cell in cells) or not cells[0]:
            raise Refused(
                "wrong_place",
                f"{kind} has a line without {wanted[0]}, or with text of more than {_LONGEST} or unprintable letters.",
                location=f"{kind} line {number}",
            )
        places.append(Place(cells[0], cells[1] or cells[0], cells[2], number))
    if not places:
        raise Refused("no_places", f"{kind} has no line but its header. Send the whole of it.", location=kind)
    return tuple(places)
