"""Sums over the soundings of each cell, and what follows from them. Compiled."""

from __future__ import annotations

import math
from typing import Any

from pipeline_assets.bathymetry.grid.jit import compiled

SLOTS = 8
_COUNT, _SUM, _SQUARES, _UNCERTAIN, _WEIGHTED, _SHOAL, _SHOAL_UNCERTAIN = range(7)
"""Of a cell's sums: number; depths; their squares; squared uncertainties, or weights; weighted depths; shoalest; its squared uncertainty. Depths less
`base`."""
_MEAN, _WEIGHTED_MEAN, _SHOALEST = 0, 1, 2


@compiled
def added(
    x: Any, y: Any, depth: Any, tvu: Any, accepted: Any, base: float, west: float, north: float, cell: float, columns: int,
    method: int, reach: Any, sums: Any, first: int, last: int,
) -> None:  # fmt: skip
    """Adds accepted soundings to the sums of their cells, those of the rows from `first` to before `last`.

    x, y, depth, tvu: m. base: what depths are less of, m. reach: what is taken for an unknown uncertainty.
    """
    weighted, shoalest = method == _WEIGHTED_MEAN, method == _SHOALEST
    for i in range(len(x)):
        down = (north - y[i]) / cell
        if not (down >= first and down < last) or not accepted[i]:
            continue
        across = (x[i] - west) / cell
        if not (across >= 0.0 and across < columns) or not abs(depth[i]) < 1e5:
            continue
        t = tvu[i]
        if not (t > 0.0 and t < 1e6):
            if abs(depth[i]) >= reach.beyond:
                t = math.hypot(reach.deep_tvu_m, reach.deep_tvu_of_depth * depth[i])
            else:
                t = math.hypot(reach.tvu_m, reach.tvu_of_depth * depth[i])
        z, own = depth[i] - base, sums[int(down) * columns + int(across)]
        if own[_COUNT] == 0.0 or z < own[_SHOAL]:
            own[_SHOAL] = z
            if shoalest:
                own[_SHOAL_UNCERTAIN] = t * t
        own[_COUNT] += 1.0
        own[_SUM] += z
        own[_SQUARES] += z * z
        if weighted:
            weight = 1.0 / (t * t)
            own[_UNCERTAIN] += weight
            own[_WEIGHTED] += weight * z
        else:
            own[_UNCERTAIN] += t * t


@compiled
def finished(
    sums: Any, base: float, method: int, depth: Any, uncertainty: Any, std_dev: Any, shoal: Any, density: Any
) -> None:
    """Fills the layers, one entry a cell, where there are soundings.

    Uncertainties (95 %) follow from those of the soundings, taken for independent: of a mean √Σtvu² / n, of a weighted mean
    1/√Σ(1/tvu²), of the shoalest its own.
    """
    for k in range(len(sums)):
        own = sums[k]
        n = own[_COUNT]
        if n == 0.0:
            continue
        mean = own[_SUM] / n
        density[k], shoal[k] = n, base + own[_SHOAL]
        if n > 1.0:
            std_dev[k] = math.sqrt(max(0.0, (own[_SQUARES] - n * mean * mean) / (n - 1.0)))
        if method == _SHOALEST:
            depth[k], uncertainty[k] = base + own[_SHOAL], math.sqrt(own[_SHOAL_UNCERTAIN])
        elif method == _WEIGHTED_MEAN:
            depth[k], uncertainty[k] = base + own[_WEIGHTED] / own[_UNCERTAIN], 1.0 / math.sqrt(own[_UNCERTAIN])
        else:
            depth[k], uncertainty[k] = base + mean, math.sqrt(own[_UNCERTAIN]) / n
