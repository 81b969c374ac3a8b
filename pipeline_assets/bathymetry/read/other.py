"""Files of surveys that are recognised and not read, so that whoever lands one learns what to send."""

from __future__ import annotations

import re
from typing import NoReturn

from pipeline_assets.bathymetry.config import BathymetryConfig
from pipeline_assets.landed_file import LandedFile, Refused

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_HDF5 = b"\x89HDF\r\n\x1a\n"


def recognise_surface(head: bytes) -> bool:
    """GeoTIFF, and HDF5, which BAG is."""
    return head.startswith((*_TIFF, _HDF5))


def refuse_surface(file: LandedFile, config: BathymetryConfig) -> NoReturn:
    with file.open() as stream:
        kind = "a BAG (HDF5)" if stream.read(8) == _HDF5 else "a TIFF"
    raise Refused(
        "ready_made_surface",
        f"this is {kind}, a surface that is made already; soundings are read here. Land lines in GSF, LAS, LAZ, text or "
        "Parquet.",
    )


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
