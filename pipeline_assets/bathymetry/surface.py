"""A gridded surface: what gridding gives, and what checks and products take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LAYERS = ("depth", "uncertainty", "std_dev", "shoal", "density", "hypotheses")
"""The arrays of a surface."""


@dataclass(frozen=True)
class Grid:
    """Square cells of a surface. Row 0 is the northernmost.

    west, north: outer corner of the first cell, m. cell: edge of a cell, m. The centre of a cell lies at
    west + (column + 0.5)·cell, north - (row + 0.5)·cell. crs: a projected CRS such as "EPSG:32755".
    """

    west: float
    north: float
    cell: float
    rows: int
    columns: int
    crs: str


@dataclass(frozen=True)
class Surface:
    """A surface on a grid: arrays of (rows, columns), float32 with NaN where there is nothing, int32 with 0.

    depth: m, positive down, below `vertical_datum`. uncertainty: of the depth, m, 95 %. std_dev: standard deviation of the
    soundings behind a depth, m; NaN also where there is but one. shoal: the shallowest of them, m. density: their number.
    hypotheses: depths that CUBE considered; 1 with other methods. parameters: what the method was told.
    """

    grid: Grid
    depth: NDArray[np.float32]
    uncertainty: NDArray[np.float32]
    std_dev: NDArray[np.float32]
    shoal: NDArray[np.float32]
    density: NDArray[np.int32]
    hypotheses: NDArray[np.int32]
    method: str
    parameters: Mapping[str, float | str]
    vertical_datum: str
