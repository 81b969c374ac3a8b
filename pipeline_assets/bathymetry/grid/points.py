"""From soundings to points: what is known of one, how far it counts, and which tiles of a grid it belongs to. Compiled."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from pipeline_assets.bathymetry.grid.config import GridConfig
from pipeline_assets.bathymetry.grid.jit import compiled, inlined
from pipeline_assets.bathymetry.s44 import ORDERS

POINT = np.dtype([("x", "f8"), ("y", "f8"), ("z", "f4"), ("v", "f4"), ("g", "f4"), ("r", "f4")])
"""x, y: easting and northing, m. z: depth, m. v: variance of the depth, m². g: what is added to its distance from a node, m.
r: the distance to which it counts, m."""

CONFIDENCE_95 = 1.96
CONFIDENCE_95_OF_TWO = 2.45
"""Standard deviations within which 95 % lie of a normal distribution in one dimension, and in two (S-44 6.1.0, glossary)."""
CONFIDENCE_99 = 2.576
"""The same for 99 % in one; Calder's code has it as 2.56."""


class Reach(NamedTuple):
    """How far soundings count, and what is taken for an unknown uncertainty.

    tvu_m, tvu_of_depth: of the order, m and 1; from the depth `beyond` on deep_tvu_m, deep_tvu_of_depth. cell: m.
    exponent, capture_scale, capture_min, horizontal: of CUBE. own_cell: points count in their own cell alone.
    """

    tvu_m: float
    tvu_of_depth: float
    beyond: float
    deep_tvu_m: float
    deep_tvu_of_depth: float
    cell: float
    exponent: float
    capture_scale: float
    capture_min: float
    horizontal: float
    own_cell: bool


def reach_of(config: GridConfig, cell: float) -> Reach:
    """What `config` says of soundings on cells of this edge."""
    order, cube = ORDERS[config.order], config.cube
    beyond, deep = math.inf, order
    if order.deeper is not None:
        beyond, deep = order.deeper[0], ORDERS[order.deeper[1]]
    return Reach(
        tvu_m=order.tvu_m,
        tvu_of_depth=order.tvu_of_depth,
        beyond=beyond,
        deep_tvu_m=deep.tvu_m,
        deep_tvu_of_depth=deep.tvu_of_depth,
        cell=cell,
        exponent=cube.distance_exponent,
        capture_scale=cube.capture_scale,
        capture_min=cube.capture_min(cell),
        horizontal=cube.horizontal_error_scale,
        own_cell=config.method != "cube",
    )


@inlined
def variance_allowed(z: float, reach: Any) -> float:
    """The variance that the order allows a depth, m²: (a² + (b·z)²) / 1.96²."""
    if abs(z) >= reach.beyond:
        a, b = reach.deep_tvu_m, reach.deep_tvu_of_depth * z
    else:
        a, b = reach.tvu_m, reach.tvu_of_depth * z
    return (a * a + b * b) / (CONFIDENCE_95 * CONFIDENCE_95)


@inlined
def variance_of(z: float, tvu: float, reach: Any) -> float:
    """The variance of a depth, m², from its uncertainty at 95 %; that which the order allows where it is unknown."""
    if tvu > 0.0 and tvu < 1e6:
        return (tvu / CONFIDENCE_95) ** 2
    return variance_allowed(z, reach)


@compiled
def radius_of(z: float, v: float, sigma: float, reach: Any) -> float:
    """How far a sounding counts, m: to where its variance, which grows by distance, uses up the order's budget, less the
    uncertainty of its position (99 %), and no further than that or one cell, whichever is more (Calder and Mayer 2003, 3.2);
    and no further than the capture distance. sigma: standard deviation of the position, m."""
    radius = reach.cell
    uncertain = CONFIDENCE_99 * sigma
    if uncertain > radius:
        ratio = max(variance_allowed(z, reach) / v, 2.0)
        lasts = reach.cell * (ratio - 1.0) ** (1.0 / reach.exponent) - uncertain
        radius = max(min(lasts, uncertain), radius)
    return min(radius, max(reach.capture_scale * abs(z), reach.capture_min))


@inlined
def usable(x: float, y: float, depth: float) -> bool:
    """Whether they are numbers, and such as can be on Earth."""
    return abs(x) < 1e8 and abs(y) < 1e8 and abs(depth) < 1e5


@compiled
def bounds_of(x: Any, y: Any, depth: Any, accepted: Any) -> Any:
    """West, south, east and north of the soundings that can be used, and how many they are."""
    west, south, east, north, count = math.inf, math.inf, -math.inf, -math.inf, 0
    for i in range(len(x)):
        if accepted[i] and usable(x[i], y[i], depth[i]):
            west, east = min(west, x[i]), max(east, x[i])
            south, north = min(south, y[i]), max(north, y[i])
            count += 1
    return west, south, east, north, count


@compiled
def points_of(x: Any, y: Any, depth: Any, tvu: Any, thu: Any, accepted: Any, reach: Any, out: Any) -> int:
    """Writes the soundings that can be used to `out`, of `POINT`, in their order; gives their number."""
    count = 0
    for i in range(len(x)):
        if not accepted[i] or not usable(x[i], y[i], depth[i]):
            continue
        v = variance_of(depth[i], tvu[i], reach)
        sigma = thu[i] / CONFIDENCE_95_OF_TWO if thu[i] > 0.0 and thu[i] < 1e6 else 0.0
        point = out[count]
        point.x, point.y, point.z, point.v = x[i], y[i], depth[i], v
        point.g = reach.horizontal * sigma
        point.r = 0.0 if reach.own_cell else radius_of(depth[i], v, sigma, reach)
        count += 1
    return count


def tiles_of(points: Any, west: float, north: float, cell: float, size: int, tile_rows: int, tile_columns: int) -> Any:
    """The points of each tile, one tile's after the other's, each in the order of `points`; a point is in every tile that it
    can reach. size: edge of a tile, cells. Gives them, and where each tile's begin."""
    boxes = np.empty((len(points), 4), np.int32)
    starts = _boxed(points, west, north, cell, size, tile_rows, tile_columns, boxes)
    by_tile = np.empty(starts[-1], POINT)
    _sorted(points, boxes, tile_columns, starts, by_tile)
    return by_tile, starts


@compiled
def _boxed(
    points: Any, west: float, north: float, cell: float, size: int, tile_rows: int, tile_columns: int, boxes: Any
) -> Any:
    """Writes the first and last row and column of tiles of each point; gives where each tile's points begin."""
    starts = np.zeros(tile_rows * tile_columns + 1, np.int64)
    share = 1.0 / size
    for i in range(len(points)):
        x, y, r = points[i].x - west, north - points[i].y, points[i].r
        # Of whole numbers of cells, so that a point on a line is in the tile of its cell.
        boxes[i, 0] = max(0, _floor((math.floor((y - r) / cell) + 0.5) * share))
        boxes[i, 1] = min(tile_rows - 1, _floor((math.floor((y + r) / cell) + 0.5) * share))
        boxes[i, 2] = max(0, _floor((math.floor((x - r) / cell) + 0.5) * share))
        boxes[i, 3] = min(tile_columns - 1, _floor((math.floor((x + r) / cell) + 0.5) * share))
        for row in range(boxes[i, 0], boxes[i, 1] + 1):
            for column in range(boxes[i, 2], boxes[i, 3] + 1):
                starts[row * tile_columns + column + 1] += 1
    for tile in range(tile_rows * tile_columns):
        starts[tile + 1] += starts[tile]
    return starts


@compiled
def _sorted(points: Any, boxes: Any, tile_columns: int, starts: Any, by_tile: Any) -> None:
    at = starts[:-1].copy()
    for i in range(len(points)):
        for row in range(boxes[i, 0], boxes[i, 1] + 1):
            for column in range(boxes[i, 2], boxes[i, 3] + 1):
                tile = row * tile_columns + column
                by_tile[at[tile]] = points[i]
                at[tile] += 1


@inlined
def _floor(value: float) -> int:
    return math.floor(value)
