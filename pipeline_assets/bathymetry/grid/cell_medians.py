"""Medians of the cells of one tile. Compiled."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pipeline_assets.bathymetry.grid.jit import compiled

_CONFIDENCE_95 = 1.96


@compiled
def medians_of_tile(
    points: Any, west: float, north: float, cell: float, row: int, column: int, rows: int, columns: int
) -> Any:
    """Depth, uncertainty, standard deviation, shoal (m) and number of soundings of a tile's cells, rows x columns.

    The median of an even number is the mean of the middle two. Its uncertainty is that of the mean times √(π/2), what holds
    for many soundings of normal errors (Kenney and Keeping, Mathematics of Statistics, 1962, 7.7); that of one or two is a
    mean's.
    """
    starts = np.zeros(rows * columns + 1, np.int64)
    cells = np.empty(len(points), np.int64)
    for i in range(len(points)):
        r = math.floor((north - points[i].y) / cell) - row
        c = math.floor((points[i].x - west) / cell) - column
        inside = r >= 0 and r < rows and c >= 0 and c < columns
        cells[i] = r * columns + c if inside else -1
        if inside:
            starts[cells[i] + 1] += 1
    for k in range(rows * columns):
        starts[k + 1] += starts[k]
    at = starts[:-1].copy()
    z, v = np.empty(starts[-1]), np.empty(starts[-1])
    for i in range(len(points)):
        if cells[i] >= 0:
            z[at[cells[i]]], v[at[cells[i]]] = points[i].z, points[i].v
            at[cells[i]] += 1
    depth, uncertainty = np.full((rows, columns), np.nan, np.float32), np.full((rows, columns), np.nan, np.float32)
    deviation, shoal = np.full((rows, columns), np.nan, np.float32), np.full((rows, columns), np.nan, np.float32)
    density = np.zeros((rows, columns), np.int32)
    for k in range(rows * columns):
        own = z[starts[k] : starts[k + 1]]
        n = len(own)
        if n == 0:
            continue
        r, c = k // columns, k % columns
        own.sort()
        mean, squares = own.mean(), 0.0
        for value in own:
            squares += (value - mean) ** 2
        depth[r, c] = own[n // 2] if n % 2 else (own[n // 2 - 1] + own[n // 2]) / 2.0
        shoal[r, c], density[r, c] = own[0], n
        if n > 1:
            deviation[r, c] = math.sqrt(squares / (n - 1))
        efficiency = math.sqrt(math.pi / 2.0) if n > 2 else 1.0
        uncertainty[r, c] = efficiency * _CONFIDENCE_95 * math.sqrt(v[starts[k] : starts[k + 1]].sum()) / n
    return depth, uncertainty, deviation, shoal, density
