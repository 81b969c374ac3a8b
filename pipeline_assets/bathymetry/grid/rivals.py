"""Which of a node's hypotheses is taken where there are several. Compiled.

After all tiles: a node's surroundings are then known wherever it lies, so that tiles change nothing.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pipeline_assets.bathymetry.grid.jit import compiled


@compiled
def closest_to_surroundings(
    nodes: Any, rivals: Any, starts: Any, depth: Any, strength: Any, rings: Any, reliable: float
) -> Any:
    """Of each node with several hypotheses the one that is closest in depth to its surroundings.

    nodes: their (row, column). rivals: depths of their hypotheses; node i's are starts[i] to starts[i + 1]. depth, strength:
    of the hypothesis with most soundings, for all nodes of the grid. rings: the first and last ring of cells to look at; the
    surroundings are the mean of the first ring that has nodes of a strength up to `reliable`. Calder's code takes one such
    node, the first that it comes to; a mean does not lean to one side.

    Gives indices into `rivals`; -1 where that with most soundings stays.
    """
    chosen = np.full(len(nodes), -1, np.int64)
    for i in range(len(nodes)):
        row, column = nodes[i, 0], nodes[i, 1]
        guide = math.nan
        for ring in range(rings[0], rings[1] + 1):
            guide = _mean_of_ring(row, column, ring, depth, strength, reliable)
            if not math.isnan(guide):
                break
        least = math.inf
        for k in range(starts[i], starts[i + 1]):
            off = abs(rivals[k] - guide)
            if off < least:
                chosen[i], least = k, off
    return chosen


@compiled
def _mean_of_ring(row: int, column: int, ring: int, depth: Any, strength: Any, reliable: float) -> float:
    """Mean depth of the reliable nodes of a square ring around a node; NaN if it has none."""
    total, count = 0.0, 0
    for r in range(row - ring, row + ring + 1):
        if r < 0 or r >= depth.shape[0]:
            continue
        # Rows between the ring's first and last have two of its cells.
        step = 1 if abs(r - row) == ring else 2 * ring
        for c in range(column - ring, column + ring + 1, step):
            if 0 <= c < depth.shape[1] and strength[r, c] <= reliable:
                total += depth[r, c]
                count += 1
    return total / count if count else math.nan
