"""The formats of survey files. The first one that recognises a file reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline_assets.bathymetry.config import BathymetryConfig
from pipeline_assets.bathymetry.read import (
    cube_file,
    declaration,
    gsf,
    kmall,
    kongsberg_all,
    las,
    parquet,
    surface_file,
    text,
)
from pipeline_assets.landed_file import LandedFile
from pipeline_assets.reader_versions import EVERY_FILE, Serves


@dataclass(frozen=True)
class Format:
    """One kind of file. recognises: by its first 512 bytes. read: to a `SurveyLine`, `LandedSurface`, `DeclaredSurvey` or
    `DeclaredCube`. serves: of those it recognises, the files that it is for."""

    name: str
    description: str
    recognises: Callable[[bytes], bool]
    read: Callable[[LandedFile, BathymetryConfig], Any]
    serves: Serves = EVERY_FILE


FORMATS = (
    Format("cube", "cube.xml or cube.bag of CARIS", cube_file.recognise_cube, cube_file.read_cube, cube_file.NAMED_SO),
    Format("gsf", "GSF file", gsf.recognise_gsf, gsf.read_gsf),
    Format("las", "LAS or LAZ file", las.recognise_las, las.read_las),
    Format("parquet", "Parquet file of soundings", parquet.recognise_parquet, parquet.read_parquet),
    Format("bag", "BAG (a surface that is made already)", surface_file.recognise_bag, surface_file.read_bag_file),
    Format("geotiff", "GeoTIFF of a surface", surface_file.recognise_geotiff, surface_file.read_geotiff_file),
    Format("declaration", "survey.json", declaration.recognise_declaration, declaration.read_declaration),
    Format("text", "XYZ or CSV text of soundings", text.recognise_text, text.read_text),
    Format("kmall", "Kongsberg .kmall file", kmall.recognise_kmall, kmall.read_kmall),
    Format("all", "Kongsberg .all file", kongsberg_all.recognise_all, kongsberg_all.read_all),
)
