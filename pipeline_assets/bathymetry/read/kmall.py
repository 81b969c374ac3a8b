"""Lines as Kongsberg's sonars write them since 2018: .kmall, whose pings have the soundings that the sonar made of them."""

from __future__ import annotations

import re

import numpy as np

from pipeline_assets.bathymetry.config import BathymetryConfig, declared_for
from pipeline_assets.bathymetry.positions import crs_of_positions, forward
from pipeline_assets.bathymetry.read.kmall_records import read_pings
from pipeline_assets.bathymetry.read.line import SurveyLine, checked, identity, only
from pipeline_assets.bathymetry.uncertainty import modelled
from pipeline_assets.landed_file import LandedFile, Refused

NORMAL = 0
"""The type of a detection that is neither an extra one nor rejected."""
NO_DETECTION = 16
"""What a flag has besides the type where the sonar found no bottom."""
_NO_HEIGHT_M = -999.0
_FARTHEST_M, _FARTHEST_DEG = 1e5, 10.0
"""No beam reaches so far; numbers beyond are none."""


def recognise_kmall(head: bytes) -> bool:
    return re.match(rb".{4}#[A-Z]{3}", head, re.DOTALL) is not None


def read_kmall(file: LandedFile, config: BathymetryConfig) -> SurveyLine:
    """The line of a file, as the sonar georeferenced it when it was sailed. Raises Refused.

    Depths are below the water's surface, without a tide; below the ellipsoid, by the heights of the positioning system, if
    the survey is declared `ellipsoidal`.
    """
    declared = declared_for(file, config)
    data = file.read_bytes()
    sha256, size = identity(data)
    pings = read_pings(data, config.max_soundings)
    if not pings.number:
        raise Refused(
            "no_soundings",
            f"the file has no soundings: {pings.seen:,} pings (#MRZ), none with a beam. Send the .kmall file of a line; a "
            ".kmwcd file has its water column alone.",
        )
    beams = np.array(pings.beams)
    longitude, latitude, water_line, height = (
        np.array(pings.info[name]) for name in ("longitude", "latitude", "water_line", "ellipsoid")
    )
    # The sonar writes 200 where it has no position, and -999 where it has no height.
    has_place = (np.abs(longitude) <= 180) & (np.abs(latitude) <= 90)
    below = np.where(height > _NO_HEIGHT_M, height, np.nan) if declared.ellipsoidal else water_line
    has_place &= np.abs(below) < _FARTHEST_M
    if not has_place.any():
        wanted = (
            "a position and a height above the ellipsoid" if declared.ellipsoidal else "a position and a water line"
        )
        raise Refused(
            "no_soundings", f"none of {pings.seen:,} pings has {wanted}. Send a line that was sailed with a positioning system."
        )  # fmt: skip
    crs = crs_of_positions(longitude[has_place], latitude[has_place], declared, config)
    down, across, along = (pings.all(name).astype(np.float64) for name in ("down", "across", "along"))
    usable = np.repeat(has_place, beams)
    east, north = pings.all("longitude").astype(np.float64), pings.all("latitude").astype(np.float64)
    for one, farthest in (
        (down, _FARTHEST_M),
        (across, _FARTHEST_M),
        (along, _FARTHEST_M),
        (east, _FARTHEST_DEG),
        (north, _FARTHEST_DEG),
    ):
        usable &= np.abs(one) < farthest
    depth = down - np.repeat(below, beams)
    # What has no place is left out below; until then it is put where a projection has no trouble.
    x, y = forward(
        np.where(usable, np.repeat(longitude, beams) + east, longitude[has_place][0]),
        np.where(usable, np.repeat(latitude, beams) + north, latitude[has_place][0]),
        declared, crs,
    )  # fmt: skip
    usable &= np.isfinite(x) & np.isfinite(y)
    kind, method = pings.all("type"), pings.all("method")
    tvu, thu = modelled(depth, across, along, declared.sensors)
    ordinal = np.repeat(np.array(pings.number, np.int64), beams)
    line = SurveyLine(
        key=file.key, kind="kmall", sha256=sha256, size_bytes=size, declared=declared, crs=crs,
        x=x, y=y, depth=depth, tvu=tvu, thu=thu, accepted=(kind == NORMAL) & (method != 0),
        flag=kind.astype(np.int32) + np.where(method == 0, NO_DETECTION, 0).astype(np.int32),
        ping=ordinal, beam=(np.arange(len(depth)) - np.repeat(np.cumsum(beams) - beams, beams)).astype(np.int32),
        time=np.repeat(np.array(pings.time_us, "datetime64[us]"), beams),
        uncertainty_from="model", pings=pings.seen, pings_left_out=pings.seen - len(np.unique(ordinal[usable])),
        system=f"EM {pings.sonar}",
        notes={"DEPTHS_BELOW": "the ellipsoid" if declared.ellipsoidal else "the water's surface, no tide applied"},
    )  # fmt: skip
    return checked(line if usable.all() else only(line, usable), "down", config)
