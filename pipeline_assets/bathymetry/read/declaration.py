"""`survey.json`, which says of a survey what its files do not say of themselves."""

from __future__ import annotations

from pipeline_assets.bathymetry.config import DECLARATION, BathymetryConfig, parse_declaration
from pipeline_assets.bathymetry.read.line import DeclaredSurvey
from pipeline_assets.landed_file import LandedFile, Refused


def recognise_declaration(head: bytes) -> bool:
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")


def read_declaration(file: LandedFile, config: BathymetryConfig) -> DeclaredSurvey:
    """Raises Refused."""
    if file.name != DECLARATION:
        raise Refused("no_line", f"JSON is read of {DECLARATION} alone. Call it so, or send soundings.")
    return DeclaredSurvey(file.key, parse_declaration(file.read_bytes()))
