"""Sums over the soundings of each cell, and what follows from them. Compiled."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pipeline_assets.bathymetry.grid.jit import compiled

CELL = np.dtype([("total", "f8"), ("squares", "f8"), ("uncertain", "f8"), ("count", "u4"), ("shoal", "f4")])
"""Sums of a cell: depths, m; their squares, m²; squared uncertainties, or weights, or that of the shoalest alone; number; shoalest,
m. Depths of sums are less `base`. Half a line of the processor's cache: what counts is how much memory there is to go through."""
_MEAN, _WEIGHTED_MEAN, _SHOALEST = 0, 1, 2


@compiled
def first_depth(depth: Any, accepted: Any) -> float:
    """The first depth that can be used; NaN if there is none."""
    for i in range(len(depth)):
        if accepted[i] and abs(depth[i]) < 1e5:
            return depth[i]
    return math.nan


@compiled
def added(
    x: Any, y: Any, depth: Any, tvu: Any, accepted: Any, base: float, west: float, north: float, cell: float, columns: int,
    method: int, reach: Any, sums: Any, weights: Any, first: int, last: int,
) -> None:  # fmt: skip
    """Adds accepted soundings to the sums of their cells, those of the rows from `first` to before `last`.

    x, y, depth, tvu: m. base: what depths are less of, m. reach: what is taken for an unknown uncertainty.
    sums: of `CELL`, shoals infinite at first. weights: weighted depths of each cell, with the weighted mean alone.
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
        z, k = depth[i] - base, np.uint64(down) * np.uint64(columns) + np.uint64(across)
        own = sums[k]
        shoal = np.float32(depth[i])
        if shoalest and shoal < own.shoal:
            own.uncertain = t * t
        # No branch: which sounding is the shoalest so far is nothing that a processor can foresee.
        own.shoal = min(own.shoal, shoal)
        own.count += 1
        own.total += z
        own.squares += z * z
        if weighted:
            weight = 1.0 / (t * t)
            own.uncertain += weight
            weights[k] += weight * z
        elif not shoalest:
            own.uncertain += t * t


@compiled
def finished(
    sums: Any,
    weights: Any,
    base: float,
    method: int,
    depth: Any,
    uncertainty: Any,
    std_dev: Any,
    shoal: Any,
    density: Any,
) -> None:
    """Fills the layers, one entry a cell, where there are soundings.

    Uncertainties (95 %) follow from those of the soundings, taken for independent: of a mean √Σtvu² / n, of a weighted mean
    1/√Σ(1/tvu²), of the shoalest its own.
    """
    for k in range(len(sums)):
        own = sums[k]
        n = np.float64(own.count)
        if n == 0.0:
            continue
        mean = own.total / n
        density[k], shoal[k] = n, own.shoal
        if n > 1.0:
            std_dev[k] = math.sqrt(max(0.0, (own.squares - n * mean * mean) / (n - 1.0)))
        if method == _SHOALEST:
            depth[k], uncertainty[k] = own.shoal, math.sqrt(own.uncertain)
        elif method == _WEIGHTED_MEAN:
            depth[k], uncertainty[k] = base + weights[k] / own.uncertain, 1.0 / math.sqrt(own.uncertain)
        else:
            depth[k], uncertainty[k] = base + mean, math.sqrt(own.uncertain) / n
