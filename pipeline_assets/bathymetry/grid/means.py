"""Mean, inverse-variance weighted mean and shoalest depth of each cell: one pass over soundings in any order of place."""

from __future__ import annotations

import math
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from pipeline_assets.bathymetry.grid.cell_sums import CELL, added, finished, first_depth
from pipeline_assets.bathymetry.grid.config import GridConfig
from pipeline_assets.bathymetry.grid.layers import Layers
from pipeline_assets.bathymetry.grid.points import reach_of
from pipeline_assets.bathymetry.soundings import Soundings
from pipeline_assets.bathymetry.surface import Grid

_METHODS = {"mean": 0, "weighted_mean": 1, "shoalest": 2}


def mean_layers(pieces: Iterable[Soundings], grid: Grid, config: GridConfig) -> Layers:
    """The layers of a surface of the method mean, weighted_mean or shoalest.

    Each thread has rows of its own and looks at every sounding, so that a cell's sums come in the order of the soundings
    however many threads there are.
    """
    method, reach = _METHODS[config.method], reach_of(config, grid.cell)
    cells = grid.rows * grid.columns
    sums = np.zeros(cells, CELL)
    sums["shoal"] = np.inf
    weights = np.zeros(cells if config.method == "weighted_mean" else 0)
    threads = min(config.threads, grid.rows)
    bands = [(grid.rows * k // threads, grid.rows * (k + 1) // threads) for k in range(threads)]
    base = math.nan
    with ThreadPoolExecutor(threads) as pool:
        for piece in pieces:
            if math.isnan(base):
                # Depths are summed from here on, so that squares of large depths do not swallow their differences.
                base = first_depth(piece.depth, piece.accepted)
                if math.isnan(base):
                    continue
            fixed = (
                piece.x, piece.y, piece.depth, piece.tvu, piece.accepted,
                base, grid.west, grid.north, grid.cell, grid.columns, method, reach, sums, weights,
            )  # fmt: skip
            list(pool.map(lambda band, fixed=fixed: added(*fixed, *band), bands))
        layers = Layers.empty(grid)
        flat = [
            one.reshape(-1) for one in (layers.depth, layers.uncertainty, layers.std_dev, layers.shoal, layers.density)
        ]
        finished(sums, weights, base, method, *flat)
    np.minimum(layers.density, 1, out=layers.hypotheses)
    return layers
