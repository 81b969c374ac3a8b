"""Lines in the Generic Sensor Format: swath pings with depths and offsets of their beams from the ping's position."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.bathymetry.config import BathymetryConfig, declared_for
from pipeline_assets.bathymetry.positions import crs_of_positions
from pipeline_assets.bathymetry.read.beams import laid_off
from pipeline_assets.bathymetry.read.gsf_records import (
    ACROSS,
    ALONG,
    DEPTH,
    NOMINAL_DEPTH,
    THU,
    TVU,
    Pings,
    flags_of,
    read_pings,
    values_of,
)  # fmt: skip
from pipeline_assets.bathymetry.read.line import SurveyLine, checked, identity, only
from pipeline_assets.bathymetry.uncertainty import Sensors, modelled
from pipeline_assets.landed_file import LandedFile, Refused

Array = NDArray[np.float64]

IGNORE_BEAM = 0x01
IGNORE_PING = 0x0001
"""What of a beam's and of a ping's flags says that it is rejected (gsf.h); the other bits say why."""


def recognise_gsf(head: bytes) -> bool:
    return head[4:8] == b"\0\0\0\x01" and head[8:13] == b"GSF-v"


def read_gsf(file: LandedFile, config: BathymetryConfig) -> SurveyLine:
    """The line of a file. Depths as they are in the file, with the corrections that it was exported with. Raises Refused."""
    declared = declared_for(file, config)
    data = file.read_bytes()
    sha256, size = identity(data)
    pings = read_pings(data, config.max_soundings)
    if not pings.number:
        kind = (
            f" with depths; it has {pings.single_beam:,} single-beam pings, which are not read"
            if pings.single_beam
            else ""
        )
        raise Refused("no_soundings", f"the file has no swath pings{kind}. Send a line of a multibeam sonar.")
    beams = np.array(pings.beams)
    head = np.array([one[:16] for one in pings.headers], np.int64)
    longitude, latitude, heading = head[:, 2] / 1e7, head[:, 3] / 1e7, head[:, 10] / 100.0
    has_place = (np.abs(longitude) <= 180) & (np.abs(latitude) <= 90) & (heading <= 360)
    depth = values_of(data, pings, DEPTH)
    if np.isnan(depth).any():
        depth = np.where(np.isnan(depth), values_of(data, pings, NOMINAL_DEPTH), depth)
    across, along = values_of(data, pings, ACROSS), values_of(data, pings, ALONG)
    along[np.isnan(along)] = 0.0
    usable = np.repeat(has_place, beams) & np.isfinite(depth) & np.isfinite(across)
    left_out = len(beams) - len(np.unique(np.repeat(np.arange(len(beams)), beams)[usable])) + pings.seen - len(beams)
    if not usable.any():
        raise Refused(
            "no_soundings",
            f"none of {pings.seen:,} pings has a position, a heading, depths and offsets across track. Export the line "
            "with positions and depths.",
        )
    crs = crs_of_positions(longitude[has_place], latitude[has_place], declared, config)
    somewhere = int(np.argmax(has_place))  # what has no place is left out below
    longitude, latitude = (np.where(has_place, one, one[somewhere]) for one in (longitude, latitude))
    x, y = laid_off(longitude, latitude, heading, beams, across, along, declared, crs)
    flag = flags_of(data, pings)
    ignored = (head[:, 6] & IGNORE_PING) != 0
    tvu, thu, origin = _uncertainty(data, pings, depth, across, along, declared.sensors)
    line = SurveyLine(
        key=file.key, kind="gsf", sha256=sha256, size_bytes=size, declared=declared, crs=crs,
        x=x, y=y, depth=depth, tvu=tvu, thu=thu,
        accepted=~np.repeat(ignored, beams) & ((flag & IGNORE_BEAM) == 0) & (depth != 0.0),
        flag=flag.astype(np.int32),
        ping=np.repeat(np.array(pings.number, np.int64), beams),
        beam=(np.arange(len(depth)) - np.repeat(np.cumsum(beams) - beams, beams)).astype(np.int32),
        time=np.repeat(_times(head), beams),
        uncertainty_from=origin, pings=pings.seen, pings_ignored=int(ignored.sum()), pings_left_out=left_out,
        system=pings.version,
        notes={name: pings.parameters[name] for name in ("VERTICAL_DATUM", "TIDAL_DATUM", "GEOID") if name in pings.parameters},
    )  # fmt: skip
    usable &= np.isfinite(line.x) & np.isfinite(line.y)
    return checked(line if usable.all() else only(line, usable), "down", config)


def _times(head: NDArray[np.int64]) -> NDArray[np.datetime64]:
    return (head[:, 0] * 1_000_000 + head[:, 1] // 1_000).astype("datetime64[us]")


def _uncertainty(
    data: bytes, pings: Pings, depth: Array, across: Array, along: Array, sensors: Sensors
) -> tuple[Array, Array, str]:  # fmt: skip
    """At 95 %, m: what the file gives (gsf.h says that it is at that confidence); else what the sensors are good for."""
    tvu, thu = values_of(data, pings, TVU), values_of(data, pings, THU)
    for one in (tvu, thu):
        one[~(one > 0)] = np.nan  # 0 and -1 are GSF's words for none
    if np.isnan(tvu).all():
        model_tvu, model_thu = modelled(depth, across, along, sensors)
        return model_tvu, np.where(np.isnan(thu), model_thu, thu), "model"
    return tvu, thu, "file"
