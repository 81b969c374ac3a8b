"""Where a file's positions lie on the globe: boxes that hold across the dateline and around a pole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

POLAR_LATITUDE = 60.0
"""Positions on all sides of a pole, all of them beyond this latitude, lie around it; otherwise around the globe."""


@dataclass(frozen=True)
class Extent:
    """South, north: degrees. West, east: degrees from -180 to 180; west is greater than east across the dateline.

    pole: `N` or `S` for positions around a pole; the box then reaches around the globe, and its cap includes the pole.
    """

    south: float
    north: float
    west: float
    east: float
    crosses_dateline: bool
    pole: str


NOWHERE = Extent(np.nan, np.nan, np.nan, np.nan, False, "")


def wrapped(longitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """Longitudes as -180 to 180 degrees; what is there already stays as it is, bit by bit."""
    with np.errstate(invalid="ignore"):
        outside = (longitude < -180) | (longitude > 180)
    return np.where(outside, (longitude + 180) % 360 - 180, longitude)


def extent_of(latitude: NDArray[np.float64], longitude: NDArray[np.float64]) -> Extent:
    """The smallest box that holds all positions, whichever way around the globe it reaches.

    Positions that are none on the globe (beyond 90 or 360 degrees) are left out.
    """
    with np.errstate(invalid="ignore"):
        there = (np.abs(latitude) <= 90) & (longitude >= -180) & (longitude <= 360)
    if not there.any():
        return NOWHERE
    south, north = float(latitude[there].min()), float(latitude[there].max())
    around = np.unique(wrapped(longitude[there]))
    if around[0] == -180.0 and around[-1] == 180.0:
        around = around[1:]  # one meridian, said twice
    gaps = np.diff(np.append(around, around[0] + 360.0))
    widest = int(np.argmax(gaps))
    if len(around) > 2 and gaps[widest] < 180.0 and (south > POLAR_LATITUDE or north < -POLAR_LATITUDE):
        return Extent(south, north, -180.0, 180.0, False, "N" if south > 0 else "S")
    if widest == len(around) - 1:
        return Extent(south, north, float(around[0]), float(around[-1]), False, "")
    return Extent(south, north, float(around[widest + 1]), float(around[widest]), True, "")
