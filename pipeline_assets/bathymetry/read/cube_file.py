"""Files of CARIS beside a survey's lines that say how CUBE is to make its surface."""

from __future__ import annotations

import re

from pipeline_assets.bathymetry.config import CUBE_FILES, DECLARATION, BathymetryConfig, parse_declaration
from pipeline_assets.bathymetry.grid.caris import gridding_of_file
from pipeline_assets.bathymetry.read.line import DeclaredCube
from pipeline_assets.landed_file import LandedFile, Refused
from pipeline_assets.reader_versions import Serves

NAMED_SO = Serves(keys=tuple(f"bathymetry/*/{name}" for name in CUBE_FILES))
_HDF5 = b"\x89HDF\r\n\x1a\n"


def recognise_cube(head: bytes) -> bool:
    """XML, and HDF5, which BAG is."""
    return head.startswith(_HDF5) or head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<")


def read_cube(file: LandedFile, config: BathymetryConfig) -> DeclaredCube:
    """Raises Refused."""
    if not re.fullmatch(r"bathymetry/[^/]+/[^/]+", file.key):
        raise Refused(
            "no_line", f"{file.name} is read beside survey.json alone. Put it into the survey's folder, not below it."
        )
    beside = file.companions.get(DECLARATION)
    configuration = None if beside is None else parse_declaration(beside.read_bytes()).cube_configuration
    return DeclaredCube(file.key, gridding_of_file(file, configuration))
