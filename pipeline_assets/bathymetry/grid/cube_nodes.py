"""CUBE on the nodes of one tile. Compiled.

The soundings that count for a node are laid together in the order of their acquisition, and then done from the first to the
last at once: a median queue before it, hypotheses kept by Kalman filters, a new one when monitoring says that a sounding
belongs to none. So a node's result depends on nothing but its soundings, and tiles give what a whole grid gives.

Published by Calder and Mayer 2003 (see `CubeParameters`); the arithmetic is that of West and Harrison's dynamic linear model
(2nd edition, chapters 2 and 11.5), their Bayes factors kept as logarithms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.bathymetry.grid.jit import compiled, inlined

DEPTH, VARIANCE, PREDICTED_VARIANCE, LOG_FACTOR, RUN, COUNT, FIRST, SUM, SQUARES, SHOAL = range(10)
"""Of a hypothesis: m, m², m², -, soundings, soundings, m, m, m², m. SUM and SQUARES are of its soundings less the first."""
MOST_HYPOTHESES = 1000
"""Of one node; soundings that match none of so many are left out. Guards against hostile data: real nodes have a few."""
WEAKEST = 5.0
"""Strength of a choice that says nothing; 0 is certain."""
CONFIDENCE_99 = 2.576


class Rules(NamedTuple):
    """Parameters of CUBE as its loops take them; see `CubeParameters`. threshold: logarithm of the Bayes factor."""

    queue_length: int
    quotient_limit: float
    discount: float
    offset: float
    threshold: float
    run_length: int
    exponent: float


def nodes_of_tile(
    parts: Sequence[NDArray[Any]],
    west: float,
    north: float,
    cell: float,
    row: int,
    column: int,
    rows: int,
    columns: int,
    rules: Rules,
) -> Any:
    """The nodes of a tile, which are the centres of its cells.

    parts: points that reach the tile, arrays of `POINT` one after the other. west, north, cell: of the grid, m. row, column:
    the tile's first cell.

    Gives (columns of) the hypothesis with most soundings, arrays of rows x columns: depth, variance (m²), standard deviation
    of its soundings, shoal, number of soundings, number of hypotheses, strength; and of the nodes with more than one
    hypothesis all of them, an array of (node, depth, variance, count, standard deviation, shoal).
    """
    place = (west, north, cell, row, column, rows, columns)
    counts = np.zeros(rows * columns, np.int64)
    for part in parts:
        _counted(part, *place, counts)
    starts = np.concatenate([[0], np.cumsum(counts)])
    # Memory from numpy, which asks for large pages; that of compiled code costs a page fault for every 4 kB.
    own, at = np.empty((starts[-1], 2), np.float32), starts[:-1].copy()
    for part in parts:
        _gathered(part, *place, rules.exponent, at, own)
    return _estimated(starts, own, rows, columns, rules)


@compiled
def _estimated(starts: Any, own: Any, rows: int, columns: int, rules: Any) -> Any:
    """What `nodes_of_tile` gives. own: each node's depths and variances, m and m²; those of node i from starts[i] on."""
    depth, variance = np.full((rows, columns), np.nan, np.float32), np.full((rows, columns), np.nan, np.float32)
    deviation, shoal = np.full((rows, columns), np.nan, np.float32), np.full((rows, columns), np.nan, np.float32)
    strength = np.full((rows, columns), np.nan, np.float32)
    density, hypotheses = np.zeros((rows, columns), np.int32), np.zeros((rows, columns), np.int32)
    rivals, rival_count = np.empty((64, 6)), 0
    queue_z, queue_v = np.empty(rules.queue_length), np.empty(rules.queue_length)
    some = np.empty((MOST_HYPOTHESES, 10))
    for node in range(rows * columns):
        if starts[node] == starts[node + 1]:
            continue
        queued, count = 0, 0
        for k in range(starts[node], starts[node + 1]):
            z, v = np.float64(own[k, 0]), np.float64(own[k, 1])
            if queued < rules.queue_length:
                _sorted_in(z, v, queue_z, queue_v, queued)
                queued += 1
                continue
            middle = queued // 2
            median_z, median_v = queue_z[middle], queue_v[middle]
            _replaced(middle, z, v, queue_z, queue_v, queued)
            queued = truncated(queue_z, queue_v, queued, rules.quotient_limit)
            count = _taken(median_z, median_v, some, count, rules)
        # What is left goes to the node from the median outwards, so that none of its soundings stays behind.
        queued = truncated(queue_z, queue_v, queued, rules.quotient_limit)
        at, step = (queued - 1) // 2, 1 if queued % 2 == 0 else -1
        for k in range(queued):
            count = _taken(queue_z[at], queue_v[at], some, count, rules)
            at += step * (k + 1)
            step = -step
        best, second = 0, 0.0
        for k in range(1, count):
            if some[k, COUNT] > some[best, COUNT]:
                second = some[best, COUNT]
                best = k
            else:
                second = max(second, some[k, COUNT])
        r, c = node // columns, node % columns
        depth[r, c], variance[r, c] = some[best, DEPTH], some[best, VARIANCE]
        deviation[r, c], shoal[r, c] = _deviation(some, best), some[best, SHOAL]
        density[r, c], hypotheses[r, c] = some[best, COUNT], count
        strength[r, c] = 0.0 if count == 1 else max(0.0, WEAKEST - some[best, COUNT] / second)
        if count > 1:
            while rival_count + count > len(rivals):
                wider = np.empty((2 * len(rivals), 6))
                wider[:rival_count] = rivals[:rival_count]
                rivals = wider
            for k in range(count):
                one = rivals[rival_count]
                one[0], one[1], one[2], one[3] = node, some[k, DEPTH], some[k, VARIANCE], some[k, COUNT]
                one[4], one[5] = _deviation(some, k), some[k, SHOAL]
                rival_count += 1
    return depth, variance, deviation, shoal, density, hypotheses, strength, rivals[:rival_count].copy()


@inlined
def _box(point: Any, west: float, north: float, per_m: float, row: int, column: int, rows: int, columns: int) -> Any:
    """First and last row and column of the tile's nodes that may lie within a point's radius; the distance then decides.
    per_m: cells a metre."""
    wide = point.r * per_m + 1e-6
    down, across = (north - point.y) * per_m - 0.5, (point.x - west) * per_m - 0.5
    top, bottom = max(row, math.ceil(down - wide)), min(row + rows - 1, math.floor(down + wide))
    left, right = max(column, math.ceil(across - wide)), min(column + columns - 1, math.floor(across + wide))
    return top, bottom, left, right


@inlined
def _squared(point: Any, west: float, north: float, cell: float, r: int, c: int) -> float:
    """The squared distance of a point from a node, m²."""
    dx, dy = point.x - (west + (c + 0.5) * cell), point.y - (north - (r + 0.5) * cell)
    return dx * dx + dy * dy


@compiled
def _counted(
    points: Any, west: float, north: float, cell: float, row: int, column: int, rows: int, columns: int, counts: Any
) -> None:
    """Adds how many of these points count for each node."""
    per_m = 1.0 / cell
    for i in range(len(points)):
        point = points[i]
        squared = np.float64(point.r) * np.float64(point.r)
        top, bottom, left, right = _box(point, west, north, per_m, row, column, rows, columns)
        for r in range(top, bottom + 1):
            for c in range(left, right + 1):
                counts[(r - row) * columns + c - column] += _squared(point, west, north, cell, r, c) <= squared


@compiled
def _gathered(
    points: Any, west: float, north: float, cell: float, row: int, column: int, rows: int, columns: int, exponent: float,
    at: Any, own: Any,
) -> None:  # fmt: skip
    """Fills in what counts for each node, in the order of the points: depths, and variances, which grow with distance (Calder
    and Mayer 2003, 3.2). at: where the next of each node belongs in `own`."""
    scale, per_m = cell**-exponent, 1.0 / cell
    for i in range(len(points)):
        point = points[i]
        squared = np.float64(point.r) * np.float64(point.r)
        top, bottom, left, right = _box(point, west, north, per_m, row, column, rows, columns)
        for r in range(top, bottom + 1):
            for c in range(left, right + 1):
                away = _squared(point, west, north, cell, r, c)
                if away <= squared:
                    away = math.sqrt(away) + point.g
                    grown = away * away if exponent == 2.0 else away**exponent
                    node = (r - row) * columns + c - column
                    to = at[node]
                    own[to, 0], own[to, 1] = point.z, point.v * (1.0 + scale * grown)
                    at[node] = to + 1


@inlined
def _sorted_in(z: float, v: float, queue_z: Any, queue_v: Any, at: int) -> None:
    """Puts a sounding into the queue, which is in the order of depth and has `at` in it."""
    while at > 0 and queue_z[at - 1] > z:
        queue_z[at], queue_v[at] = queue_z[at - 1], queue_v[at - 1]
        at -= 1
    queue_z[at], queue_v[at] = z, v


@inlined
def _replaced(at: int, z: float, v: float, queue_z: Any, queue_v: Any, queued: int) -> None:
    """Takes the one at this place out of the queue and puts a sounding in."""
    while at + 1 < queued and queue_z[at + 1] <= z:
        queue_z[at], queue_v[at] = queue_z[at + 1], queue_v[at + 1]
        at += 1
    _sorted_in(z, v, queue_z, queue_v, at)


@inlined
def truncated(queue_z: Any, queue_v: Any, queued: int, limit: float) -> int:
    """Throws outliers out of the queue, if the confidence limits (99 %) of its shallowest and deepest do not overlap.

    The quotient of a sounding is its squared distance from the mean over what the variance would be without it. Gives how
    many are left. Without the condition a queue of equal depths would throw out any other, be it a centimetre off.
    """
    if queued < 3:
        return queued
    last = queued - 1
    between, first_v, last_v = queue_z[last] - queue_z[0], queue_v[0], queue_v[last]
    # The squares first, which are mostly enough to tell: (a + b)² is at least a² + b².
    if between * between < CONFIDENCE_99 * CONFIDENCE_99 * (first_v + last_v):
        return queued
    if between < CONFIDENCE_99 * (math.sqrt(first_v) + math.sqrt(last_v)):
        return queued
    mean = 0.0
    for k in range(queued):
        mean += queue_z[k]
    mean /= queued
    squares = 0.0
    for k in range(queued):
        squares += (queue_z[k] - mean) ** 2
    spread = last * squares / (last * last - 1.0)
    left = 0
    for k in range(queued):
        off = (queue_z[k] - mean) ** 2
        if off >= limit * (spread - off / (last - 1.0)):
            continue
        queue_z[left], queue_v[left] = queue_z[k], queue_v[k]
        left += 1
    return left


@inlined
def _taken(z: float, v: float, some: Any, count: int, rules: Any) -> int:
    """Updates the hypothesis that a sounding fits best, or begins one if monitoring finds that it does not fit."""
    if count == 0:
        _begun(some, 0, z, v)
        return 1
    best, error = 0, z - some[0, DEPTH]
    forecast = some[0, PREDICTED_VARIANCE] + v
    least = error * error
    for k in range(1, count):
        error = z - some[k, DEPTH]
        other = some[k, PREDICTED_VARIANCE] + v
        if error * error * forecast < least * other:
            best, least, forecast = k, error * error, other
    # A sounding closer than half the offset speaks for its hypothesis, and most are; the factor itself counts only else.
    sure = 4.0 * least <= rules.offset * rules.offset * forecast
    if sure and some[best, LOG_FACTOR] >= 0.0:
        some[best, RUN] = 1.0
    else:
        factor = 0.5 * rules.offset * rules.offset - rules.offset * math.sqrt(least / forecast)
        fits = factor >= rules.threshold
        if fits:
            some[best, RUN] = some[best, RUN] + 1.0 if some[best, LOG_FACTOR] < 0.0 else 1.0
            some[best, LOG_FACTOR] = factor + min(0.0, some[best, LOG_FACTOR])
            fits = some[best, LOG_FACTOR] >= rules.threshold and some[best, RUN] <= rules.run_length
        if not fits:
            some[best, LOG_FACTOR], some[best, RUN] = 0.0, 0.0
            if count < MOST_HYPOTHESES:
                _begun(some, count, z, v)
                return count + 1
            return count
    gain = some[best, PREDICTED_VARIANCE] / forecast
    evolution = some[best, VARIANCE] * (1.0 - rules.discount) / rules.discount if rules.discount < 1.0 else 0.0
    some[best, DEPTH] += gain * (z - some[best, DEPTH])
    some[best, VARIANCE] = gain * v
    some[best, PREDICTED_VARIANCE] = gain * v + evolution
    some[best, COUNT] += 1.0
    off = z - some[best, FIRST]
    some[best, SUM] += off
    some[best, SQUARES] += off * off
    some[best, SHOAL] = min(some[best, SHOAL], z)
    return count


@inlined
def _begun(some: Any, k: int, z: float, v: float) -> None:
    some[k, DEPTH], some[k, VARIANCE], some[k, PREDICTED_VARIANCE] = z, v, v
    some[k, LOG_FACTOR], some[k, RUN], some[k, COUNT] = 0.0, 0.0, 1.0
    some[k, FIRST], some[k, SUM], some[k, SQUARES], some[k, SHOAL] = z, 0.0, 0.0, z


@inlined
def _deviation(some: Any, k: int) -> float:
    count = some[k, COUNT]
    if count < 2.0:
        return math.nan
    return math.sqrt(max(0.0, some[k, SQUARES] - some[k, SUM] ** 2 / count) / (count - 1.0))
