"""The kinds of file that can be read. Adding one is one module beside this one and one line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipeline_assets.landed_file import LandedFile, Refused
from pipeline_assets.ocean.config import OceanConfig
from pipeline_assets.ocean.read.cruise_file import CruiseFile
from pipeline_assets.ocean.read.exchange_bottle import read_bottle, recognise_bottle
from pipeline_assets.ocean.read.exchange_ctd import read_ctd, recognise_ctd
from pipeline_assets.ocean.read.netcdf import read_netcdf, recognise_netcdf
from pipeline_assets.ocean.read.plain_csv import read_csv, recognise_csv
from pipeline_assets.ocean.read.seabird import read_seabird, recognise_seabird

HEAD_BYTES = 512


@dataclass(frozen=True)
class Format:
    """One kind of file. recognises: from its first bytes; read: the whole of it; at_most: the setting of how many such
    files a run reads at once."""

    name: str
    description: str
    recognises: Callable[[bytes], bool]
    read: Callable[[LandedFile, OceanConfig], CruiseFile]
    at_most: str


FORMATS = (
    Format(
        "exchange_bottle", "WHP-Exchange bottle file (BOTTLE,...)", recognise_bottle, read_bottle, "exchange_at_once"
    ),
    Format("exchange_ctd", "WHP-Exchange CTD file (CTD,...)", recognise_ctd, read_ctd, "exchange_at_once"),
    Format("seabird", "Sea-Bird text file (.cnv, .btl)", recognise_seabird, read_seabird, "seabird_at_once"),
    Format("netcdf", "NetCDF file by the CF conventions (.nc)", recognise_netcdf, read_netcdf, "netcdf_at_once"),
    # Any text with commas is recognised by it, so it is asked last.
    Format("csv", "CSV file with a line of column names", recognise_csv, read_csv, "csv_at_once"),
)


def format_of(content: bytes) -> Format | None:
    """The first format that recognises a content; None if none does."""
    head = content[:HEAD_BYTES]
    return next((one for one in FORMATS if one.recognises(head)), None)


def read_any(file: LandedFile, config: OceanConfig) -> CruiseFile:
    """Read a content of any of the formats. Refused `unknown_type`."""
    content = file.read_bytes()
    found = format_of(content)
    if found is None:
        kinds = " or ".join(one.description for one in FORMATS)
        raise Refused("unknown_type", f"what is packed in it is no {kinds}: it begins with {content[:16]!r}.")
    return found.read(file, config)
