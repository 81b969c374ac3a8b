"""CUBE at one node as it is published, in plain Python and as plainly as it can be said: what the compiled loops are held
against. Calder and Mayer 2003; West and Harrison 1997, 2 and 11.5."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from pipeline_assets.bathymetry.grid.config import CubeParameters


@dataclass
class Hypothesis:
    depth: float
    variance: float
    predicted_variance: float
    cumulative: float = 1.0
    run: int = 0
    depths: list[float] = field(default_factory=list)


@dataclass
class Node:
    cube: CubeParameters
    queue: list[tuple[float, float]] = field(default_factory=list)
    hypotheses: list[Hypothesis] = field(default_factory=list)

    def offer(self, depth: float, variance: float) -> None:
        if len(self.queue) < self.cube.queue_length:
            self._sorted_in(depth, variance)
            return
        median = self.queue.pop(self.cube.queue_length // 2)
        self._sorted_in(depth, variance)
        self._truncate()
        self._take(*median)

    def flush(self) -> None:
        self._truncate()
        while self.queue:
            self._take(*self.queue.pop((len(self.queue) - 1) // 2))

    def _sorted_in(self, depth: float, variance: float) -> None:
        self.queue.append((depth, variance))
        self.queue.sort(key=lambda one: one[0])

    def _truncate(self) -> None:
        count = len(self.queue)
        if count < 3:
            return
        (shallow, shallow_variance), (deep, deep_variance) = self.queue[0], self.queue[-1]
        if deep - 2.576 * math.sqrt(deep_variance) < shallow + 2.576 * math.sqrt(shallow_variance):
            return
        mean = sum(depth for depth, _ in self.queue) / count
        n = count - 1
        spread = n * sum((depth - mean) ** 2 for depth, _ in self.queue) / (n * n - 1)
        self.queue = [
            one
            for one in self.queue
            if (one[0] - mean) ** 2 < self.cube.quotient_limit * (spread - (one[0] - mean) ** 2 / (n - 1))
        ]

    def _take(self, depth: float, variance: float) -> None:
        if not self.hypotheses:
            self.hypotheses.append(Hypothesis(depth, variance, variance, depths=[depth]))
            return
        best = min(
            self.hypotheses, key=lambda one: abs(depth - one.depth) / math.sqrt(one.predicted_variance + variance)
        )
        if not self._belongs(best, depth, variance):
            best.cumulative, best.run = 1.0, 0
            self.hypotheses.append(Hypothesis(depth, variance, variance, depths=[depth]))
            return
        evolution = best.variance * (1 - self.cube.discount) / self.cube.discount
        gain = best.predicted_variance / (variance + best.predicted_variance)
        best.depth += gain * (depth - best.depth)
        best.variance = variance * best.predicted_variance / (variance + best.predicted_variance)
        best.predicted_variance = best.variance + evolution
        best.depths.append(depth)

    def _belongs(self, one: Hypothesis, depth: float, variance: float) -> bool:
        error = abs(depth - one.depth) / math.sqrt(one.predicted_variance + variance)
        offset = self.cube.estimate_offset
        factor = math.exp(0.5 * (offset**2 - 2 * offset * error))
        if factor < self.cube.bayes_factor_threshold:
            return False
        one.run = one.run + 1 if one.cumulative < 1 else 1
        one.cumulative = factor * min(1.0, one.cumulative)
        return one.cumulative >= self.cube.bayes_factor_threshold and one.run <= self.cube.run_length
