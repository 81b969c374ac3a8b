"""CUBE as it is usually ported: an object for each node and hypothesis, soundings offered to nodes one by one. Compiled by numba.

Written for the comparison from the published algorithm (Calder and Mayer 2003, https://doi.org/10.1029/2002GC000486), in the
structure that the open Python port, NOAA's bathycube, shares with Calder's C code. It has no tiles, no threads and no choice by
surroundings: the hypothesis with most soundings is taken. What it makes of soundings is what Strandline's engine makes of them.
"""

from __future__ import annotations

import math

import numpy as np
from numba import float64, int64, njit, types
from numba.experimental import jitclass
from numba.typed import List

_SOUNDING = types.UniTuple(float64, 2)


@jitclass(
    [
        ("depth", float64),
        ("variance", float64),
        ("predicted_variance", float64),
        ("cumulative", float64),
        ("run", int64),
        ("count", int64),
    ]
)
class Hypothesis:
    def __init__(self, depth, variance):
        self.depth = depth
        self.variance = variance
        self.predicted_variance = variance
        self.cumulative = 1.0
        self.run = 0
        self.count = 1

    def belongs(self, depth, variance):
        """West and Harrison's monitoring."""
        error = abs(depth - self.depth) / math.sqrt(self.predicted_variance + variance)
        factor = math.exp(0.5 * (16.0 - 8.0 * error))
        if factor < 0.135:
            return False
        self.run = self.run + 1 if self.cumulative < 1.0 else 1
        self.cumulative = factor * min(1.0, self.cumulative)
        return self.cumulative >= 0.135 and self.run <= 5

    def update(self, depth, variance):
        gain = self.predicted_variance / (variance + self.predicted_variance)
        self.depth += gain * (depth - self.depth)
        self.variance = variance * self.predicted_variance / (variance + self.predicted_variance)
        self.predicted_variance = self.variance
        self.count += 1


_HYPOTHESIS = Hypothesis.class_type.instance_type


@jitclass([("queue", types.ListType(_SOUNDING)), ("hypotheses", types.ListType(_HYPOTHESIS))])
class Node:
    def __init__(self):
        self.queue = List.empty_list(_SOUNDING)
        self.hypotheses = List.empty_list(_HYPOTHESIS)

    def offer(self, depth, variance):
        if len(self.queue) < 11:
            self.sort_in(depth, variance)
            return
        median = self.queue.pop(5)
        self.sort_in(depth, variance)
        self.truncate()
        self.take(median[0], median[1])

    def sort_in(self, depth, variance):
        at = 0
        while at < len(self.queue) and self.queue[at][0] <= depth:
            at += 1
        self.queue.insert(at, (depth, variance))

    def truncate(self):
        count = len(self.queue)
        if count < 3:
            return
        first, last = self.queue[0], self.queue[count - 1]
        if last[0] - 2.576 * math.sqrt(last[1]) < first[0] + 2.576 * math.sqrt(first[1]):
            return
        mean = 0.0
        for one in self.queue:
            mean += one[0]
        mean /= count
        squares = 0.0
        for one in self.queue:
            squares += (one[0] - mean) ** 2
        n = count - 1
        spread = n * squares / (n * n - 1.0)
        at = count
        while at > 0:
            at -= 1
            off = (self.queue[at][0] - mean) ** 2
            if off >= 255.0 * (spread - off / (n - 1.0)):
                self.queue.pop(at)

    def flush(self):
        self.truncate()
        while len(self.queue) > 0:
            one = self.queue.pop((len(self.queue) - 1) // 2)
            self.take(one[0], one[1])

    def take(self, depth, variance):
        best, least = -1, math.inf
        for k in range(len(self.hypotheses)):
            one = self.hypotheses[k]
            error = abs(depth - one.depth) / math.sqrt(one.predicted_variance + variance)
            if error < least:
                best, least = k, error
        if best < 0:
            self.hypotheses.append(Hypothesis(depth, variance))
        elif self.hypotheses[best].belongs(depth, variance):
            self.hypotheses[best].update(depth, variance)
        else:
            self.hypotheses[best].cumulative = 1.0
            self.hypotheses[best].run = 0
            self.hypotheses.append(Hypothesis(depth, variance))


_NODE = Node.class_type.instance_type


@njit
def cube(x, y, depth, tvu, thu, west, north, rows, columns):
    """Depth and uncertainty (95 %), m, at the centres of cells of 1 m; order 1a."""
    nodes = List.empty_list(_NODE)
    for _ in range(rows * columns):
        nodes.append(Node())
    for i in range(len(x)):
        variance, sigma = (tvu[i] / 1.96) ** 2, thu[i] / 2.45
        ratio = max((0.5**2 + (0.013 * depth[i]) ** 2) / 1.96**2 / variance, 2.0)
        radius = math.sqrt(ratio - 1.0) - 2.576 * sigma
        radius = max(min(radius, 2.576 * sigma), 1.0)
        capture = max(0.05 * abs(depth[i]), 0.7072)
        top = max(0, math.floor(north - y[i] - radius))
        bottom = min(rows - 1, math.floor(north - y[i] + radius))
        left = max(0, math.floor(x[i] - west - radius))
        right = min(columns - 1, math.floor(x[i] - west + radius))
        for row in range(top, bottom + 1):
            for column in range(left, right + 1):
                away = math.hypot(x[i] - (west + column + 0.5), y[i] - (north - row - 0.5))
                if away <= radius and away <= capture:
                    diluted = variance * (1.0 + (away + 2.95 * sigma) ** 2)
                    nodes[row * columns + column].offer(depth[i], diluted)
    depths, uncertainties = np.full((rows, columns), np.nan), np.full((rows, columns), np.nan)
    for row in range(rows):
        for column in range(columns):
            node = nodes[row * columns + column]
            node.flush()
            most = 0
            for k in range(len(node.hypotheses)):
                one = node.hypotheses[k]
                if one.count > most:
                    most = one.count
                    depths[row, column] = one.depth
                    uncertainties[row, column] = 1.96 * math.sqrt(one.variance)
    return depths, uncertainties
