"""Files of surveys that are recognised and not read, so that whoever lands one learns what to send."""

from __future__ import annotations

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
