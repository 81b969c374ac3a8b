"""Lines as Kongsberg's sonars wrote them before .kmall: .all, with depths of beams beside the positions of the vessel."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.bathymetry.config import BathymetryConfig, declared_for
from pipeline_assets.bathymetry.positions import crs_of_positions
from pipeline_assets.bathymetry.read.all_records import Pings, read_pings
from pipeline_assets.bathymetry.read.beams import laid_off
from pipeline_assets.bathymetry.read.line import SurveyLine, checked, identity, only
from pipeline_assets.bathymetry.uncertainty import modelled
from pipeline_assets.landed_file import LandedFile, Refused

INVALID = 0x80
"""Of how a beam was detected: no valid detection."""
CLEANED = 0x100
"""What a flag has besides where real-time cleaning has rejected the beam."""
_FARTHEST_M = 1e5
_MOST_GAP_US, _MOST_BEYOND_US = 5_000_000, 2_000_000
"""Between two positions, and before the first and after the last: further no ping's position is told. Strandline's own."""


def recognise_all(head: bytes) -> bool:
    return re.match(rb".{4}\x02[\x30-\x39\x41-\x5a\x66-\x79]", head, re.DOTALL) is not None


def read_all(file: LandedFile, config: BathymetryConfig) -> SurveyLine:
    """The line of a file, as the sonar made its soundings when it was sailed: below the water's surface, without a tide.
    Raises Refused."""
    declared = declared_for(file, config)
    data = file.read_bytes()
    sha256, size = identity(data)
    pings = read_pings(data, config.max_soundings)
    if not pings.number:
        older = f"; it has {pings.older:,} pings in the older depth datagram, which is not read" if pings.older else ""
        raise Refused("no_soundings", f"the file has no pings with depths (XYZ 88){older}. Send such a line as GSF.")
    if declared.ellipsoidal:
        raise Refused(
            "unsupported_all",
            "the survey is declared `ellipsoidal`, and depths in an .all file are below the water's surface. Process the "
            "line to the ellipsoid, and send GSF.",
        )
    beams, time_us = np.array(pings.beams), np.array(pings.time_us, np.int64)
    latitude, longitude = _placed(pings, time_us)
    heading, transmitter = np.array(pings.heading), np.array(pings.transmitter)
    has_place = (
        (np.abs(longitude) <= 180) & (np.abs(latitude) <= 90) & (heading <= 360) & (np.abs(transmitter) < _FARTHEST_M)
    )
    if not has_place.any():
        raise Refused(
            "no_soundings",
            f"none of {pings.seen:,} pings has a position within {_MOST_GAP_US // 1_000_000} s and a heading; the file has "
            f"{len(pings.positions):,} positions. Send the line with its positions.",
        )
    down, across, along = (pings.all(name).astype(np.float64) for name in ("down", "across", "along"))
    usable = np.repeat(has_place, beams)
    for one in (down, across, along):
        usable &= np.abs(one) < _FARTHEST_M
    crs = crs_of_positions(longitude[has_place], latitude[has_place], declared, config)
    somewhere = int(np.argmax(has_place))  # what has no place is left out below
    longitude, latitude = (np.where(has_place, one, one[somewhere]) for one in (longitude, latitude))
    x, y = laid_off(
        longitude, latitude, heading, beams, np.where(usable, across, 0.0), np.where(usable, along, 0.0), declared, crs
    )
    usable &= np.isfinite(x) & np.isfinite(y)
    detection, cleaned = pings.all("detection"), pings.all("cleaning") < 0
    tvu, thu = modelled(down, across, along, declared.sensors)
    ordinal = np.repeat(np.array(pings.number, np.int64), beams)
    line = SurveyLine(
        key=file.key, kind="all", sha256=sha256, size_bytes=size, declared=declared, crs=crs,
        x=x, y=y, depth=down + np.repeat(transmitter, beams), tvu=tvu, thu=thu,
        accepted=((detection & INVALID) == 0) & ~cleaned,
        flag=detection.astype(np.int32) + np.where(cleaned, CLEANED, 0).astype(np.int32),
        ping=ordinal, beam=(np.arange(len(down)) - np.repeat(np.cumsum(beams) - beams, beams)).astype(np.int32),
        time=np.repeat(time_us.astype("datetime64[us]"), beams),
        uncertainty_from="model", pings=pings.seen, pings_left_out=pings.seen - len(np.unique(ordinal[usable])),
        system=f"EM {pings.model}", notes={"DEPTHS_BELOW": "the water's surface, no tide applied"},
    )  # fmt: skip
    return checked(line if usable.all() else only(line, usable), "down", config)


def _placed(pings: Pings, time_us: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Latitude and longitude of the vessel at these times, between positions of the system in use; NaN where there are none."""
    active = [one for one in pings.positions if one[3]] or pings.positions
    table = np.array([one[:3] for one in active], np.float64).reshape(-1, 3)
    when, first = np.unique(np.array([one[0] for one in active], np.int64), return_index=True)
    if len(when) < 2:
        nowhere = np.full(len(time_us), np.nan)
        return nowhere, nowhere
    latitude, longitude = table[first, 1], np.unwrap(table[first, 2], period=360.0)
    at = np.clip(np.searchsorted(when, time_us) - 1, 0, len(when) - 2)
    gap = (when[at + 1] - when[at]).astype(np.float64)
    share = (time_us - when[at]) / gap
    near = (gap <= _MOST_GAP_US) & (time_us >= when[0] - _MOST_BEYOND_US) & (time_us <= when[-1] + _MOST_BEYOND_US)
    placed = [one[at] + share * (one[at + 1] - one[at]) for one in (latitude, longitude)]
    north, east = (np.where(near, one, np.nan) for one in placed)
    return north, (east + 180.0) % 360.0 - 180.0
