"""Sea-Bird text files. A .cnv (and the .ros of the scans around bottles, which is one) and a .btl begin alike; what follows the header tells them apart."""

from __future__ import annotations

from pipeline_assets.landed_file import LandedFile
from pipeline_assets.ocean.config import OceanConfig
from pipeline_assets.ocean.read.cruise_file import CruiseFile
from pipeline_assets.ocean.read.seabird_btl import read_btl
from pipeline_assets.ocean.read.seabird_cnv import read_cnv
from pipeline_assets.ocean.read.text import begin_of

_BEGINS = ("* SEA-BIRD", "*SEA-BIRD", "* SBE", "* SEASOFT", "* <SBEDATAUPLOADFILE")


def recognise_seabird(head: bytes) -> bool:
    """Whether a file that begins with these bytes is a Sea-Bird text file, whatever its name."""
    return begin_of(head).startswith(_BEGINS)


def read_seabird(file: LandedFile, config: OceanConfig) -> CruiseFile:
    """A .cnv, whose header ends with *END*, or a .btl, whose lines end with the statistic that they hold."""
    content = file.read_bytes()
    is_summary = b"*END*" not in content and b"(avg)" in content.lower()
    return (read_btl if is_summary else read_cnv)(file, config)
