"""Files of surveys that are recognised and not read, so that whoever lands one learns what to send."""

from __future__ import annotations

import re
from typing import NoReturn

from pipeline_assets.bathymetry.config import BathymetryConfig
from pipeline_assets.landed_file import LandedFile, Refused


def recognise_raw(head: bytes) -> bool:
    """Kongsberg's .kmall and .all, by their first datagram."""
    return re.match(rb".{4}#[A-Z]{3}", head, re.DOTALL) is not None or re.match(
        rb".{4}\x02[\x30-\x39\x41-\x5a\x66-\x79]", head, re.DOTALL
    ) is not None  # fmt: skip


def refuse_raw(file: LandedFile, config: BathymetryConfig) -> NoReturn:
    with file.open() as stream:
        head = stream.read(8)
    if head[4:5] == b"#":
        raise Refused(
            "raw_sonar_file",
            "this is a Kongsberg .kmall file, which is not read. Convert it to GSF, such as by the command kmall2gsf of the "
            "Python package gsfu (`pip install 'gsfu[kmall]'`), and land that.",
        )
    raise Refused(
        "raw_sonar_file",
        "this is a Kongsberg .all file: ranges and angles, not soundings. Georeference it in your processing software, "
        "export GSF, and land that.",
    )
