"""Soundings held against a surface: which are too far from it to be of the sea floor. A pure function of arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.bathymetry.s44 import tvu_max
from pipeline_assets.bathymetry.soundings import Soundings
from pipeline_assets.bathymetry.surface import Surface


def off_surface(soundings: Soundings, surface: Surface) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How much deeper each sounding is than the surface in its cell, and the cell's standard deviation, m; NaN where the
    surface has none."""
    grid = surface.grid
    off, sigma = (np.full(len(soundings.depth), np.nan) for _ in range(2))
    with np.errstate(invalid="ignore"):
        column = np.floor((soundings.x - grid.west) / grid.cell)
        row = np.floor((grid.north - soundings.y) / grid.cell)
        inside = (column >= 0) & (column < grid.columns) & (row >= 0) & (row < grid.rows)
    at = row[inside].astype(np.int64), column[inside].astype(np.int64)
    off[inside] = soundings.depth[inside] - surface.depth[at]
    sigma[inside] = surface.std_dev[at]
    return off, sigma


def too_far(
    soundings: Soundings, off: NDArray[np.float64], sigma: NDArray[np.float64], order: str, sigmas: float
) -> NDArray[np.bool_]:
    """Which accepted soundings lie further from the surface than `sigmas` standard deviations of their cell and than the
    order's vertical uncertainty at their depth (IHO S-44 6.1.0, table 1).

    The second is ours: where a cell's soundings agree well, a multiple of their deviation would throw away good ones. A
    sounding without a surface under it is held against nothing.
    """
    most = np.fmax(sigmas * np.nan_to_num(sigma), tvu_max(order, soundings.depth))
    with np.errstate(invalid="ignore"):
        far: NDArray[np.bool_] = soundings.accepted & (np.abs(off) > most)
    return far
