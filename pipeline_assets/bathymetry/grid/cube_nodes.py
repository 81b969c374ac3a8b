"""CUBE on the nodes of one tile. Compiled.

Each node gathers the soundings that count for it, in the order of their acquisition, and is done from the first to the last
of them at once: a median queue before it, hypotheses kept by Kalman filters, a new one when monitoring says that a sounding
belongs to none. So a node's result depends on nothing but its soundings, and tiles give what a whole grid gives.

Published by Calder and Mayer 2003 (see `CubeParameters`); the arithmetic is that of West and Harrison's dynamic linear model
(2nd edition, chapters 2 and 11.5), their Bayes factors kept as logarithms.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from pipeline_assets.bathymetry.grid.jit import compiled

DEPTH, VARIANCE, PREDICTED_VARIANCE, LOG_FACTOR, RUN, COUNT, MEAN, SQUARES, SHOAL = range(9)
"""Of a hypothesis: m, m², m², -, soundings, soundings, m, m², m. MEAN and SQUARES are Welford's, of its soundings."""
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


@compiled
def nodes_of_tile(
    points: Any, west: float, north: float, cell: float, row: int, column: int, rows: int, columns: int, rules: Any
) -> Any:
    """The nodes of a tile, which are the centres of its cells.

    points: of `POINT`, those that reach the tile. west, north, cell: of the grid, m. row, column: the tile's first cell.

    Gives (columns of) the hypothesis with most soundings, arrays of rows x columns: depth, variance (m²), standard deviation
    of its soundings, shoal, number of soundings, number of hypotheses, strength; and of the nodes with more than one
    hypothesis all of them, an array of (node, depth, variance, count, standard deviation, shoal).
    """
    starts, members = _gathered(points, west, north, cell, row, column, rows, columns)
    depth, variance = np.full((rows, columns), np.nan, np.float32), np.full((rows, columns), np.nan, np.float32)
    deviation, shoal = np.full((rows, columns), np.nan, np.float32), np.full((rows, columns), np.nan, np.float32)
    strength = np.full((rows, columns), np.nan, np.float32)
    density, hypotheses = np.zeros((rows, columns), np.int32), np.zeros((rows, columns), np.int32)
    rivals, rival_count = np.empty((64, 6)), 0
    queue = np.empty((rules.queue_length, 3))
    some = np.empty((MOST_HYPOTHESES, 9))
    scale = cell**-rules.exponent
    for node in range(rows * columns):
        first, last = starts[node], starts[node + 1]
        if first == last:
            continue
        center_x = west + (column + node % columns + 0.5) * cell
        center_y = north - (row + node // columns + 0.5) * cell
        queued, count = 0, 0
        for k in range(first, last):
            point = points[members[k]]
            squared = (point.x - center_x) ** 2 + (point.y - center_y) ** 2
            away = math.sqrt(squared) + point.g
            grown = away * away if rules.exponent == 2.0 else away**rules.exponent
            v = point.v * (1.0 + scale * grown)
            queued, count = _queued(point.z, v, queue, queued, some, count, rules)
        count = _flushed(queue, queued, some, count, rules)
        best, second = 0, 0.0
        for k in range(1, count):
            if some[k, COUNT] > some[best, COUNT]:
                second = some[best, COUNT]
                best = k
            else:
                second = max(second, some[k, COUNT])
        r, c = node // columns, node % columns
        depth[r, c], variance[r, c] = some[best, DEPTH], some[best, VARIANCE]
        deviation[r, c], shoal[r, c] = _deviation(some[best]), some[best, SHOAL]
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
                one[4], one[5] = _deviation(some[k]), some[k, SHOAL]
                rival_count += 1
    return depth, variance, deviation, shoal, density, hypotheses, strength, rivals[:rival_count].copy()


@compiled
def _gathered(
    points: Any, west: float, north: float, cell: float, row: int, column: int, rows: int, columns: int
) -> Any:
    """Which points count for each node, in their order: where each node's begin, and the points' numbers."""
    starts = np.zeros(rows * columns + 1, np.int64)
    for fill in range(2):
        if fill == 1:
            for node in range(rows * columns):
                starts[node + 1] += starts[node]
            at, members = starts[:-1].copy(), np.empty(starts[-1], np.int32)
        for i in range(len(points)):
            x, y, radius = points[i].x, points[i].y, points[i].r
            squared = radius * radius
            top = max(row, math.floor((north - y - radius) / cell))
            bottom = min(row + rows - 1, math.floor((north - y + radius) / cell))
            left = max(column, math.floor((x - west - radius) / cell))
            right = min(column + columns - 1, math.floor((x - west + radius) / cell))
            for r in range(top, bottom + 1):
                dy = y - (north - (r + 0.5) * cell)
                for c in range(left, right + 1):
                    dx = x - (west + (c + 0.5) * cell)
                    if dx * dx + dy * dy <= squared:
                        node = (r - row) * columns + c - column
                        if fill == 0:
                            starts[node + 1] += 1
                        else:
                            members[at[node]] = i
                            at[node] += 1
    return starts, members


@compiled
def _queued(z: float, v: float, queue: Any, queued: int, some: Any, count: int, rules: Any) -> Any:
    """Puts a sounding into the queue, which is in the order of depth; when that is full, its median goes on to the node.

    queue: rows of depth, variance, standard deviation. Gives how many are in the queue and how many hypotheses there are.
    """
    deviation = math.sqrt(v)
    if queued < rules.queue_length:
        at = queued
        while at > 0 and queue[at - 1, 0] > z:
            queue[at, 0], queue[at, 1], queue[at, 2] = queue[at - 1, 0], queue[at - 1, 1], queue[at - 1, 2]
            at -= 1
        queue[at, 0], queue[at, 1], queue[at, 2] = z, v, deviation
        return queued + 1, count
    at = rules.queue_length // 2
    median_z, median_v = queue[at, 0], queue[at, 1]
    while at + 1 < queued and queue[at + 1, 0] <= z:
        queue[at, 0], queue[at, 1], queue[at, 2] = queue[at + 1, 0], queue[at + 1, 1], queue[at + 1, 2]
        at += 1
    while at > 0 and queue[at - 1, 0] > z:
        queue[at, 0], queue[at, 1], queue[at, 2] = queue[at - 1, 0], queue[at - 1, 1], queue[at - 1, 2]
        at -= 1
    queue[at, 0], queue[at, 1], queue[at, 2] = z, v, deviation
    queued = truncated(queue, queued, rules.quotient_limit)
    return queued, _taken(median_z, median_v, some, count, rules)


@compiled
def truncated(queue: Any, queued: int, limit: float) -> int:
    """Throws outliers out of the queue, if the confidence limits (99 %) of its shallowest and deepest do not overlap.

    The quotient of a sounding is its squared distance from the mean over what the variance would be without it. Gives how
    many are left. Without the condition a queue of equal depths would throw out any other, be it a centimetre off.
    """
    if queued < 3:
        return queued
    last = queued - 1
    if queue[last, 0] - CONFIDENCE_99 * queue[last, 2] < queue[0, 0] + CONFIDENCE_99 * queue[0, 2]:
        return queued
    mean = 0.0
    for k in range(queued):
        mean += queue[k, 0]
    mean /= queued
    squares = 0.0
    for k in range(queued):
        squares += (queue[k, 0] - mean) ** 2
    spread = last * squares / (last * last - 1.0)
    left = 0
    for k in range(queued):
        off = (queue[k, 0] - mean) ** 2
        if off >= limit * (spread - off / (last - 1.0)):
            continue
        queue[left, 0], queue[left, 1], queue[left, 2] = queue[k, 0], queue[k, 1], queue[k, 2]
        left += 1
    return left


@compiled
def _flushed(queue: Any, queued: int, some: Any, count: int, rules: Any) -> int:
    """Gives what is left in the queue to the node, from the median outwards, so that none of a node's soundings stays behind."""
    queued = truncated(queue, queued, rules.quotient_limit)
    at = (queued - 1) // 2
    step = 1 if queued % 2 == 0 else -1
    for k in range(queued):
        count = _taken(queue[at, 0], queue[at, 1], some, count, rules)
        at += step * (k + 1)
        step = -step
    return count


@compiled
def _taken(z: float, v: float, some: Any, count: int, rules: Any) -> int:
    """Updates the hypothesis that a sounding fits best, or begins one if monitoring finds that it does not fit."""
    best, least = -1, math.inf
    for k in range(count):
        error = z - some[k, DEPTH]
        error = error * error / (some[k, PREDICTED_VARIANCE] + v)
        if error < least:
            best, least = k, error
    if best < 0:
        _begun(some[0], z, v)
        return 1
    one = some[best]
    factor = 0.5 * rules.offset * rules.offset - rules.offset * math.sqrt(least)
    fits = factor >= rules.threshold
    if fits:
        one[RUN] = one[RUN] + 1 if one[LOG_FACTOR] < 0.0 else 1
        one[LOG_FACTOR] = factor + min(0.0, one[LOG_FACTOR])
        fits = one[LOG_FACTOR] >= rules.threshold and one[RUN] <= rules.run_length
    if not fits:
        one[LOG_FACTOR], one[RUN] = 0.0, 0
        if count < MOST_HYPOTHESES:
            _begun(some[count], z, v)
            return count + 1
        return count
    evolution = one[VARIANCE] * (1.0 - rules.discount) / rules.discount
    gain = one[PREDICTED_VARIANCE] / (v + one[PREDICTED_VARIANCE])
    one[DEPTH] += gain * (z - one[DEPTH])
    one[VARIANCE] = gain * v
    one[PREDICTED_VARIANCE] = one[VARIANCE] + evolution
    one[COUNT] += 1
    off = z - one[MEAN]
    one[MEAN] += off / one[COUNT]
    one[SQUARES] += off * (z - one[MEAN])
    one[SHOAL] = min(one[SHOAL], z)
    return count


@compiled
def _begun(one: Any, z: float, v: float) -> None:
    one[DEPTH], one[VARIANCE], one[PREDICTED_VARIANCE] = z, v, v
    one[LOG_FACTOR], one[RUN], one[COUNT] = 0.0, 0, 1
    one[MEAN], one[SQUARES], one[SHOAL] = z, 0.0, z


@compiled
def _deviation(one: Any) -> float:
    if one[COUNT] < 2:
        return math.nan
    return math.sqrt(one[SQUARES] / (one[COUNT] - 1))
