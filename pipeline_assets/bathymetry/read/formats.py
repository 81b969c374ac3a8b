"""The formats of survey files. The first one that recognises a file reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline_assets.bathymetry.config import BathymetryConfig
from pipeline_assets.bathymetry.read import declaration, gsf, las, other, parquet, surface_file, text
from pipeline_assets.landed_file import LandedFile


@dataclass(frozen=True)
class Format:
    """One kind of file. recognises: by its first 512 bytes. read: to a `SurveyLine`, a `LandedSurface` or a `DeclaredSurvey`."""

    name: str
    description: str
    recognises: Callable[[bytes], bool]
    read: Callable[[LandedFile, BathymetryConfig], Any]


FORMATS = (
    Format("gsf", "GSF file", gsf.recognise_gsf, gsf.read_gsf),
    Format("las", "LAS or LAZ file", las.recognise_las, las.read_las),
    Format("parquet", "Parquet file of soundings", parquet.recognise_parquet, parquet.read_parquet),
    Format("bag", "BAG (a surface that is made already)", surface_file.recognise_bag, surface_file.read_bag_file),
    Format("geotiff", "GeoTIFF of a surface", surface_file.recognise_geotiff, surface_file.read_geotiff_file),
    Format("declaration", "survey.json", declaration.recognise_declaration, declaration.read_declaration),
    Format("text", "XYZ or CSV text of soundings", text.recognise_text, text.read_text),
    Format("raw", "raw sonar file (not read)", other.recognise_raw, other.refuse_raw),
)
