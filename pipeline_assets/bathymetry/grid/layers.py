"""The arrays of a surface while it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.bathymetry.surface import Grid


@dataclass(frozen=True)
class Layers:
    """What `Surface` has, by the same names."""

    depth: NDArray[np.float32]
    uncertainty: NDArray[np.float32]
    std_dev: NDArray[np.float32]
    shoal: NDArray[np.float32]
    density: NDArray[np.int32]
    hypotheses: NDArray[np.int32]

    @classmethod
    def empty(cls, grid: Grid) -> Self:
        shape = grid.rows, grid.columns
        depth, uncertainty, std_dev, shoal = (np.full(shape, np.nan, np.float32) for _ in range(4))
        density, hypotheses = (np.zeros(shape, np.int32) for _ in range(2))
        return cls(depth, uncertainty, std_dev, shoal, density, hypotheses)
