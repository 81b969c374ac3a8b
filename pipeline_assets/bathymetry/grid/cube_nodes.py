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
    """Parameters of CUBE as its loops take them; see `CubeParameters`. threshold: logarithm of the Bayes factor. weak: strength
    above which a node's surroundings choose among its hypotheses."""

    queue_length: int
    quotient_limit: float
    discount: float
    offset: float
    threshold: float
    run_length: int
    exponent: float
    weak: float


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
    of its soundings, shoal, number of soundings, number of hypotheses, strength; and of the nodes whose surroundings
    choose all hypotheses, an array of (node, depth, variance, count, standard deviation, shoal).
    """
    place = (west, north, cell, row, column, rows, columns)
    room = np.zeros(rows * columns + 1, np.int64)
    for part in parts:
        _counted(part, *place, room[1:])
    starts = np.cumsum(room)
    # Memory from numpy, which asks for large pages; that of compiled code costs a page fault for every 4 kB.
    own, ends = np.empty((starts[-1], 2), np.float32), starts[:-1].copy()
    for part in parts:
        _gathered(part, *place, rules.exponent, ends, own)
    return _estimated(starts, ends, own, own.view(np.int32), rows, columns, rules)


@compiled
def _estimated(starts: Any, ends: Any, own: Any, bits: Any, rows: int, columns: int, rules: Any) -> Any:
    """What `nodes_of_tile` gives. own: each node's depths and variances, m and m²; those of node i from starts[i] to before
    ends[i]. bits: the same memory as integers."""
    depth, variance = np.full((rows, columns), np.nan, np.float32), np.full((rows, columns), np.nan, np.float32)
    deviation, shoal = np.full((rows, columns), np.nan, np.float32), np.full((rows, columns), np.nan, np.float32)
    strength = np.full((rows, columns), np.nan, np.float32)
    density, hypotheses = np.zeros((rows, columns), np.int32), np.zeros((rows, columns), np.int32)
    rivals, rival_count = np.empty((64, 6)), 0
    queue, length = np.empty(rules.queue_length, np.int64), rules.queue_length
    some = np.empty((MOST_HYPOTHESES, 10))
    for node in range(rows * columns):
        first, end = starts[node], ends[node]
        if first == end:
            continue
        queued, count = 0, 0
        for k in range(first, end):
            key = _key(bits[k, 0], k - first)
            if queued < length:
                _sorted_in(key, queue, queued)
                queued += 1
                continue
            middle = queued // 2
            median = first + (queue[middle] & _WHICH)
            _replaced(middle, key, queue, queued)
            queued = _truncated(queue, own, first, queued, rules.quotient_limit)
            count = _taken(np.float64(own[median, 0]), np.float64(own[median, 1]), some, count, rules)
        # What is left goes to the node from the median outwards, so that none of its soundings stays behind.
        queued = _truncated(queue, own, first, queued, rules.quotient_limit)
        at, step = (queued - 1) // 2, 1 if queued % 2 == 0 else -1
        for k in range(queued):
            one = first + (queue[at] & _WHICH)
            count = _taken(np.float64(own[one, 0]), np.float64(own[one, 1]), some, count, rules)
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
        if count > 1 and strength[r, c] > rules.weak:
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


@compiled
def _counted(
    points: Any, west: float, north: float, cell: float, row: int, column: int, rows: int, columns: int, room: Any
) -> None:
    """Adds how many of these points may count for each node: those in a square around it, of which a few are too far."""
    per_m = 1.0 / cell
    for i in range(len(points)):
        top, bottom, left, right = _box(points[i], west, north, per_m, row, column, rows, columns)
        for r in range(top, bottom + 1):
            for c in range(left, right + 1):
                room[(r - row) * columns + c - column] += 1


@compiled
def _gathered(
    points: Any, west: float, north: float, cell: float, row: int, column: int, rows: int, columns: int, exponent: float,
    ends: Any, own: Any,
) -> None:  # fmt: skip
    """Fills in what counts for each node, in the order of the points: depths, and variances, which grow with distance (Calder
    and Mayer 2003, 3.2). ends: where the next of each node belongs in `own`."""
    scale, per_m = cell**-exponent, 1.0 / cell
    for i in range(len(points)):
        point = points[i]
        # Read once: what is written below might be the same memory, for all that the compiler knows.
        x, y, v, more = point.x, point.y, np.float64(point.v), np.float64(point.g)
        z = np.float64(point.z) + 0.0  # which makes 0.0 of -0.0: keys tell them apart
        squared = np.float64(point.r) * np.float64(point.r)
        top, bottom, left, right = _box(point, west, north, per_m, row, column, rows, columns)
        for r in range(top, bottom + 1):
            dy = y - (north - (r + 0.5) * cell)
            for c in range(left, right + 1):
                dx = x - (west + (c + 0.5) * cell)
                away = dx * dx + dy * dy
                far = math.sqrt(away) + more
                grown = far * far if exponent == 2.0 else far**exponent
                node = (r - row) * columns + c - column
                to = ends[node]
                # Written in any case, and written over if it is too far: which it is nothing that a processor can foresee.
                own[to, 0], own[to, 1] = z, v * (1.0 + scale * grown)
                ends[node] = to + (away <= squared)


_WHICH = 0xFFFFFFFF
"""Of a key in the queue: the half that says which of the node's soundings it is."""


@inlined
def _key(bits: int, which: int) -> int:
    """What a sounding is sorted by: its depth, and where depths are equal its turn. bits: those of a depth of single
    precision, which order like integers, but for their sign."""
    return ((bits ^ ((bits >> 31) & 0x7FFFFFFF)) << 32) | which


@inlined
def _sorted_in(key: int, queue: Any, queued: int) -> None:
    """Puts a key into the queue. Each place takes the smaller of two, without a branch: where a sounding belongs is nothing
    that a processor can foresee."""
    for j in range(queued):
        other = queue[j]
        queue[j] = min(other, key)
        key = max(other, key)
    queue[queued] = key


@inlined
def _replaced(at: int, key: int, queue: Any, queued: int) -> None:
    """Takes the key at this place out of the queue and puts another in."""
    for j in range(at):
        other = queue[j]
        queue[j] = min(other, key)
        key = max(other, key)
    for j in range(at + 1, queued):
        other = queue[j]
        queue[j - 1] = min(other, key)
        key = max(other, key)
    queue[queued - 1] = key


@inlined
def _truncated(queue: Any, own: Any, first: int, queued: int, limit: float) -> int:
    """Throws outliers out of the queue, if the confidence limits (99 %) of its shallowest and deepest do not overlap; gives
    how many are left. Without the condition a queue of equal depths would throw out any other, be it a centimetre off."""
    if queued < 3:
        return queued
    one, other = first + (queue[0] & _WHICH), first + (queue[queued - 1] & _WHICH)
    between = np.float64(own[other, 0]) - np.float64(own[one, 0])
    first_v, last_v = np.float64(own[one, 1]), np.float64(own[other, 1])
    # The squares first, which are mostly enough to tell: (a + b)² is at least a² + b².
    if between * between < CONFIDENCE_99 * CONFIDENCE_99 * (first_v + last_v):
        return queued
    if between < CONFIDENCE_99 * (math.sqrt(first_v) + math.sqrt(last_v)):
        return queued
    return _without_outliers(queue, own, first, queued, limit)


@compiled
def _without_outliers(queue: Any, own: Any, first: int, queued: int, limit: float) -> int:
    """The quotient of a sounding is its squared distance from the mean over what the variance would be without it."""
    last, mean, squares = queued - 1, 0.0, 0.0
    for k in range(queued):
        mean += np.float64(own[first + (queue[k] & _WHICH), 0])
    mean /= queued
    for k in range(queued):
        squares += (np.float64(own[first + (queue[k] & _WHICH), 0]) - mean) ** 2
    spread = last * squares / (last * last - 1.0)
    left = 0
    for k in range(queued):
        off = (np.float64(own[first + (queue[k] & _WHICH), 0]) - mean) ** 2
        if off >= limit * (spread - off / (last - 1.0)):
            continue
        queue[left] = queue[k]
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
