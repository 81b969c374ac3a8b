"""What a CRS is called that a file describes without its code: by EPSG's code where that means the same, else by its WKT."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pyproj import CRS

Array = NDArray[np.float64]
_LEAST_CONFIDENCE = 20
"""Percent. Names of units and parameters differ from program to program, so that a code is often no sure match: it is looked
at where it puts the positions."""
_APART_DEG = 1e-8
"""About a millimetre."""


def horizontal(crs: CRS) -> CRS:
    """The CRS of eastings and northings alone, without heights and without a tie to WGS 84."""
    if crs.is_compound:
        crs = crs.sub_crs_list[0]
    return crs.source_crs if crs.is_bound and crs.source_crs is not None else crs


def named(crs: CRS, x: Array, y: Array) -> str:
    """The EPSG code that means the same where these positions are, or the WKT. Raises pyproj's CRSError."""
    code = crs.to_epsg(min_confidence=_LEAST_CONFIDENCE)
    return f"EPSG:{code}" if code and means_the_same(crs, f"EPSG:{code}", x, y) else str(crs.to_wkt())


def means_the_same(crs: CRS, code: str, x: Array, y: Array) -> bool:
    """Whether these positions are the same places in both, on ellipsoids of one size. Raises pyproj's CRSError."""
    from pyproj import CRS, Transformer

    other = CRS.from_user_input(code)
    one, two = crs.ellipsoid, other.ellipsoid
    if one is None or two is None or abs(one.semi_major_metre - two.semi_major_metre) > 1e-3:
        return False
    here, there = (
        np.asarray(Transformer.from_crs(some, "EPSG:4326", always_xy=True).transform(x, y)) for some in (crs, other)
    )
    return bool(np.isfinite(here).all() and np.allclose(here, there, rtol=0.0, atol=_APART_DEG))
