"""CUBE on a whole grid: tiles by threads, then the choice among hypotheses."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.bathymetry.grid.config import CubeParameters, GridConfig
from pipeline_assets.bathymetry.grid.cube_nodes import Rules, nodes_of_tile
from pipeline_assets.bathymetry.grid.layers import Layers
from pipeline_assets.bathymetry.grid.points import CONFIDENCE_95
from pipeline_assets.bathymetry.grid.rivals import closest_to_surroundings
from pipeline_assets.bathymetry.grid.tiles import Tile, TiledPoints
from pipeline_assets.bathymetry.surface import Grid


def rules_of(cube: CubeParameters) -> Rules:
    return Rules(
        queue_length=cube.queue_length,
        quotient_limit=cube.quotient_limit,
        discount=cube.discount,
        offset=cube.estimate_offset,
        threshold=math.log(cube.bayes_factor_threshold),
        run_length=cube.run_length,
        exponent=cube.distance_exponent,
        weak={"locale": -1.0, "density_locale": cube.density_strength_cutoff}.get(cube.disambiguation, math.inf),
    )


def cube_layers(points: TiledPoints, grid: Grid, config: GridConfig) -> Layers:
    """The layers of a CUBE surface."""
    rules = rules_of(config.cube)
    layers = Layers.empty(grid)
    variance, strength = np.full_like(layers.depth, np.nan), np.full_like(layers.depth, np.nan)

    def one(tile: Tile) -> NDArray[np.float64]:
        found = nodes_of_tile(
            points.points(tile), grid.west, grid.north, grid.cell, tile.row, tile.column, tile.rows, tile.columns, rules
        )
        *made, rivals = found
        targets = (
            layers.depth, variance, layers.std_dev, layers.shoal, layers.density, layers.hypotheses, strength
        )  # fmt: skip
        for target, values in zip(targets, made, strict=True):
            target[tile.part] = values
        within = rivals[:, 0].astype(np.int64)
        rivals[:, 0] = (tile.row + within // tile.columns) * grid.columns + tile.column + within % tile.columns
        return rivals

    with ThreadPoolExecutor(config.threads) as pool:
        rivals = [some for some in pool.map(one, points.tiles()) if len(some)]
    if rivals:
        _choose(np.concatenate(rivals), grid, config.cube, layers, variance, strength)
    np.multiply(np.sqrt(variance, out=variance), np.float32(CONFIDENCE_95), out=layers.uncertainty)
    if config.cube.uncertainty != "posterior":
        spread = np.float32(CONFIDENCE_95) * layers.std_dev
        told = ~np.isnan(spread)
        if config.cube.uncertainty == "greater":
            told &= spread > layers.uncertainty
        layers.uncertainty[told] = spread[told]
    return layers


def _choose(
    rivals: NDArray[np.float64],
    grid: Grid,
    cube: CubeParameters,
    layers: Layers,
    variance: NDArray[np.float32],
    strength: NDArray[np.float32],
) -> None:
    flat = rivals[:, 0].astype(np.int64)
    starts = np.flatnonzero(np.diff(flat, prepend=-1, append=-1)).astype(np.int64)
    nodes = np.stack(np.divmod(flat[starts[:-1]], grid.columns), axis=1)
    chosen: NDArray[np.int64] = closest_to_surroundings(
        nodes,
        np.ascontiguousarray(rivals[:, 1]),
        starts,
        layers.depth,
        strength,
        cube.locale_rings(grid.cell),
        cube.locale_strength_max,
    )
    changed = chosen >= 0
    at: tuple[Any, ...] = tuple(nodes[changed].T)
    one = rivals[chosen[changed]]
    layers.depth[at], variance[at] = one[:, 1], one[:, 2]
    layers.density[at], layers.std_dev[at], layers.shoal[at] = one[:, 3], one[:, 4], one[:, 5]
