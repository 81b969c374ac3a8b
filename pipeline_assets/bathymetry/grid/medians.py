"""Median depth of each cell."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from pipeline_assets.bathymetry.grid.cell_medians import medians_of_tile
from pipeline_assets.bathymetry.grid.config import GridConfig
from pipeline_assets.bathymetry.grid.layers import Layers
from pipeline_assets.bathymetry.grid.tiles import Tile, TiledPoints
from pipeline_assets.bathymetry.surface import Grid


def median_layers(points: TiledPoints, grid: Grid, config: GridConfig) -> Layers:
    """The layers of a surface of the method median."""
    layers = Layers.empty(grid)

    def one(tile: Tile) -> None:
        made = medians_of_tile(
            np.concatenate(points.points(tile)),
            grid.west,
            grid.north,
            grid.cell,
            tile.row,
            tile.column,
            tile.rows,
            tile.columns,
        )
        targets = layers.depth, layers.uncertainty, layers.std_dev, layers.shoal, layers.density
        for target, values in zip(targets, made, strict=True):
            target[tile.part] = values

    with ThreadPoolExecutor(config.threads) as pool:
        list(pool.map(one, points.tiles()))
    layers.hypotheses[:] = layers.density > 0
    return layers
