"""A survey whose sea floor is known: lines of a multibeam sonar over it, in real GSF, of any size, from a seed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.bathymetry.uncertainty import SIGMAS_95

Array = NDArray[np.float64]

CRS = "EPSG:32755"
WEST, SOUTH = 540_000.0, 5_292_000.0
"""Lower left corner of every made survey, m: off Tasmania."""
THU_M = 0.5
"""Horizontal uncertainty that the files tell, 95 %; the positions themselves are exact."""
_START_S = 1_717_200_000
_PING_S = 0.25
_SCALES = {1: (1000.0, 0.0, 4, False), 2: (1000.0, 0.0, 4, True), 3: (1000.0, 0.0, 4, True),
           19: (1000.0, 0.0, 2, False), 20: (1000.0, 0.0, 2, False)}  # fmt: skip
"""Of depth, across, along, TVU and THU: multiplier, offset, bytes, signed."""


@dataclass(frozen=True)
class Plan:
    """What a made survey is like.

    width_m, height_m: of the area. ping_m: between pings. swath_m: to either side of the track, m; lines lie 1.6 of it
    apart. sigma_m: noise of depth in the middle of the swath, which doubles towards its edges. fliers: share of soundings
    that are 3 to 10 m off and that nothing marks. rejected: share that is flagged, with depths that are nonsense. gaps: pings
    left out of each line, in one piece.
    """

    seed: int = 0
    width_m: float = 120.0
    height_m: float = 100.0
    ping_m: float = 1.0
    beams: int = 64
    swath_m: float = 30.0
    sigma_m: float = 0.04
    fliers: float = 0.0005
    rejected: float = 0.01
    gaps: int = 4


@dataclass(frozen=True)
class MadeLine:
    """One line. Arrays of its soundings, ping by ping: easting, northing, depth as measured, m; one standard deviation of
    its noise, m; whether it is flagged as rejected, and whether it is a flier."""

    name: str
    x: Array
    y: Array
    depth: Array
    sigma: Array
    rejected: NDArray[np.bool_]
    flier: NDArray[np.bool_]
    ping_x: Array
    ping_y: Array
    across: Array
    eastward: bool
    start_s: float

    @property
    def beams(self) -> int:
        return len(self.x) // len(self.ping_x)


def sea_floor(x: Array, y: Array) -> Array:
    """The true depth, m: a slope, sand waves, a mound and a wreck."""
    east, north = np.asarray(x) - WEST, np.asarray(y) - SOUTH
    depth = 18.0 + 0.004 * east + 0.006 * north
    depth = depth + 0.6 * np.sin(2 * np.pi * (east + 0.3 * north) / 47.0) + 1.5 * np.cos(2 * np.pi * north / 180.0)
    for at_east, at_north, height, width in ((35.0, 60.0, 2.0, 12.0), (85.0, 30.0, 1.5, 5.0)):
        depth = depth - height * np.exp(-((east - at_east) ** 2 + (north - at_north) ** 2) / (2 * width**2))
    return np.asarray(depth, np.float64)


def lines(plan: Plan) -> Iterator[MadeLine]:
    """The lines of the survey, one after the other, east and west by turns. The same plan gives the same lines."""
    spacing = 1.6 * plan.swath_m
    count = max(1, int(np.ceil((plan.height_m - 0.4 * plan.swath_m) / spacing)))
    first = (plan.height_m - (count - 1) * spacing) / 2.0
    for number in range(count):
        yield _line(plan, number, SOUTH + first + number * spacing)


def _line(plan: Plan, number: int, northing: float) -> MadeLine:
    rng = np.random.default_rng([plan.seed, number])
    eastward = number % 2 == 0
    along = np.arange(plan.ping_m / 2, plan.width_m, plan.ping_m)
    gap = int(rng.integers(len(along) // 4, max(len(along) // 4 + 1, len(along) * 3 // 4)))
    along = np.delete(along, slice(gap, gap + plan.gaps))
    ping_x = WEST + (along if eastward else plan.width_m - along)
    ping_y = northing + 0.5 * np.sin(along / 40.0)
    spread = np.linspace(-plan.swath_m, plan.swath_m, plan.beams)
    across = np.round(spread + rng.normal(0, 0.1, (len(along), plan.beams)), 3)
    x = np.repeat(ping_x[:, None], plan.beams, axis=1)
    y = ping_y[:, None] + (-across if eastward else across)
    sigma = np.broadcast_to(plan.sigma_m * (1.0 + np.abs(spread) / plan.swath_m), x.shape)
    depth = sea_floor(x, y) + rng.normal(0, 1, x.shape) * sigma
    rejected = rng.random(x.shape) < plan.rejected
    flier = (rng.random(x.shape) < plan.fliers) & ~rejected
    off = rng.uniform(3, 10, x.shape) * rng.choice([-1.0, 1.0], x.shape)
    depth = np.where(flier, np.maximum(depth + off, 0.5), depth)
    depth = np.where(rejected, rng.uniform(0.5, 60, x.shape), depth)
    return MadeLine(
        name=f"{number + 1:04d}_{'E' if eastward else 'W'}.gsf",
        x=x.ravel(), y=y.ravel(), depth=depth.ravel(), sigma=sigma.ravel(), rejected=rejected.ravel(), flier=flier.ravel(),
        ping_x=ping_x, ping_y=ping_y, across=across, eastward=eastward, start_s=_START_S + 3600.0 * number,
    )  # fmt: skip


def gsf(line: MadeLine, *, with_uncertainty: bool = True, crs: str = CRS) -> bytes:
    """The line in GSF. with_uncertainty: also TVU and THU of each sounding."""
    import GSFU
    from GSFU.gsfu import new_swath_bathymetry_ping
    from pyproj import Transformer

    transformer = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    longitude, latitude = transformer.transform(line.ping_x, line.ping_y)
    # Where a step along the grid's east leads, as a course from true north.
    ahead, _ = np.asarray(transformer.transform(line.ping_x, line.ping_y + 10.0)) - (longitude, latitude)
    turned = np.rad2deg(np.arctan2(ahead * np.cos(np.deg2rad(latitude)) * 111_320.0, 10.0))
    heading = ((90.0 if line.eastward else 270.0) + turned) % 360.0
    beams = line.beams
    depth, sigma = line.depth.reshape(-1, beams), line.sigma.reshape(-1, beams)
    flags = line.rejected.reshape(-1, beams).astype(np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, line.name)
        writer = GSFU.gsf(str(path))
        writer.write_header()
        writer.write_processing_parameters(
            {"ParamTime": line.start_s, "Parameters": {"DEPTH_CALCULATION": "CORRECTED", "TIDAL_DATUM": "MSL"}}
        )
        for ping in range(len(line.ping_x)):
            record = new_swath_bathymetry_ping()
            record.update(
                PingTime=line.start_s + ping * _PING_S, Longitude_deg=longitude[ping], Latitude_deg=latitude[ping],
                NumberBeams=beams, CenterBeam=beams // 2, Heading_deg=heading[ping], TideCorrector_m=0.0,
                DepthCorrector_m=0.0,
            )  # fmt: skip
            record["Beams"] = {
                "Depth_m": depth[ping], "AcrossTrack_m": line.across[ping], "AlongTrack_m": np.zeros(beams),
                "BeamFlags": flags[ping],
            }  # fmt: skip
            if with_uncertainty:
                record["Beams"] |= {
                    "VerticalError_m": SIGMAS_95 * sigma[ping],
                    "HorizontalError_m": np.full(beams, THU_M),
                }
            writer.write_swath_bathymetry_ping(record, scale_factors=_SCALES)
        writer.closeFile()
        return path.read_bytes()
