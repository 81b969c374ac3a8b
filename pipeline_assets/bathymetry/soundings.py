"""Soundings of a survey: the arrays that reading gives and gridding takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Soundings:
    """Soundings in the order of their acquisition, files in the order of their keys; arrays of equal length.

    x, y: easting and northing in `crs`, a projected CRS such as "EPSG:32755", m. depth: m, positive down, below
    `vertical_datum`. tvu, thu: vertical and horizontal uncertainty at 95 %, m; NaN if unknown. accepted: False for what the
    file rejects. line: index into `lines`. ping, beam: numbers within the line.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    depth: NDArray[np.float64]
    tvu: NDArray[np.float64]
    thu: NDArray[np.float64]
    accepted: NDArray[np.bool_]
    line: NDArray[np.int32]
    ping: NDArray[np.int64]
    beam: NDArray[np.int32]
    crs: str
    vertical_datum: str
    lines: tuple[str, ...]
