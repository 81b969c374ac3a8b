"""Where the beams of pings are, from offsets across and along the track."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.bathymetry.config import Declared
from pipeline_assets.bathymetry.positions import axes_at, on_geodesics

Array = NDArray[np.float64]

_FAR_M = 500.0
"""Beams further from their ping are laid off along geodesics one by one."""


def laid_off(
    longitude: Array, latitude: Array, heading: Array, beams: NDArray[np.int64], across: Array, along: Array,
    declared: Declared, crs: str,
) -> tuple[Array, Array]:  # fmt: skip
    """Easting and northing of each beam, m.

    longitude, latitude, heading: of each ping, degrees. beams: how many each has. across, along: of each beam from its
    ping's position, m; starboard and ahead are positive.
    """
    place, east, north = axes_at(longitude, latitude, declared, crs)
    turn = np.deg2rad(heading)
    ahead = east * np.sin(turn) + north * np.cos(turn)
    starboard = east * np.cos(turn) - north * np.sin(turn)
    x, y = (
        np.repeat(place[axis], beams)
        + across * np.repeat(starboard[axis], beams)
        + along * np.repeat(ahead[axis], beams)
        for axis in (0, 1)
    )
    far = np.flatnonzero((np.abs(across) > _FAR_M) | (np.abs(along) > _FAR_M))
    if len(far):
        ping = np.repeat(np.arange(len(beams)), beams)[far]
        course = heading[ping] + np.rad2deg(np.arctan2(across[far], along[far]))
        distance = np.hypot(across[far], along[far])
        x[far], y[far] = on_geodesics(longitude[ping], latitude[ping], course, distance, declared, crs)
    return x, y
