"""The cells that a survey gets: of one size, as declared or by its depth, or of sizes that grow with depth."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from pipeline_assets.bathymetry.config import BathymetryConfig
from pipeline_assets.bathymetry.grid.config import Ladder
from pipeline_assets.bathymetry.s44 import cell_max, order_of
from pipeline_assets.bathymetry.soundings import Soundings

LEAST_CELL_M = 0.5
_OF_DEPTH = 0.05
_SHALLOW = 0.01


def ladder_of(lines: pa.Table, config: BathymetryConfig) -> Ladder:
    """How a survey's cells grow with depth; empty where they are of one size. What is declared of it counts before the settings.

    lines: rows of the table `lines`; one survey.json, or one setting, holds for all lines.
    """
    declared = lines["cells_by_depth"][0].as_py()
    if declared is not None:
        return tuple((float(depth), float(cell)) for depth, cell in json.loads(declared))
    return () if lines["cell_m"][0].as_py() is not None else config.cells_by_depth or ()


def cell_for(shallow: float, order: str) -> float:
    """The edge of cells for a survey that is so deep where it is shallow, m: the largest of 0.5, 1, 2, 5, 10, ... that shows the
    order's smallest feature there, as QAX asks; one twentieth of that depth for orders that ask no features, which is Strandline's
    own.
    """
    no_features = order_of(order).feature_m is None
    most = _OF_DEPTH * shallow if no_features else float(cell_max(order, shallow))
    if most < 1.0:
        return LEAST_CELL_M
    tens = 10.0 ** math.floor(math.log10(most))
    return max(step * tens for step in (1.0, 2.0, 5.0) if step * tens <= most * (1 + 1e-9))


def shallow_depth(pieces: Iterable[Soundings], accepted: int) -> float:
    """The depth than which a hundredth of the accepted soundings is shallower, m, not above the datum; interpolated.

    accepted: how many there are. No more than that hundredth is held.
    """
    place = _SHALLOW * max(0, accepted - 1)
    count, least = int(place) + 2, np.empty(0)
    for piece in pieces:
        least = np.concatenate((least, piece.depth[piece.accepted]))
        if len(least) > count:
            least = np.partition(least, count - 1)[:count]
    least.sort()
    return max(float(np.interp(place, np.arange(len(least)), least)), 0.0) if len(least) else 0.0
