"""A surface of one cell size with what surfaces of other sizes have beside it, so that no check takes a change of cells for the end
of the data, or a place of other cells for a hole.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline_assets.bathymetry.judge.judged import Judged
from pipeline_assets.bathymetry.surface import LAYERS, Grid, Surface

_ENOUGH = np.int32(1_000_000)
"""Soundings of a cell that another surface fills: whether they are enough is judged there."""


def with_beside(surface: Surface, others: Iterable[Surface], margin: int = 0) -> Surface:
    """The surface, with the depths and uncertainties that the others have at the centres of the cells that it does not fill.

    margin: how many cells it is made larger by on each side, so that the end of its own grid is not the end of the data.
    """
    surface = _larger(surface, margin)
    depth, uncertainty, density = surface.depth.copy(), surface.uncertainty.copy(), surface.density.copy()
    for other in others:
        rows, columns = _at_centres(surface.grid, other.grid)
        here = np.flatnonzero((rows >= 0) & (rows < other.grid.rows))
        across = np.flatnonzero((columns >= 0) & (columns < other.grid.columns))
        if not len(here) or not len(across):
            continue
        part = slice(here[0], here[-1] + 1), slice(across[0], across[-1] + 1)
        found = np.ix_(rows[here], columns[across])
        fills = np.isnan(depth[part]) & np.isfinite(other.depth[found])
        for mine, values in ((depth, other.depth), (uncertainty, other.uncertainty)):
            mine[part] = np.where(fills, values[found], mine[part])
        density[part] = np.where(fills, _ENOUGH, density[part])
    return replace(surface, depth=depth, uncertainty=uncertainty, density=density)


def without_margin(judged: Judged, margin: int) -> Judged:
    """The finding for the cells of the surface as it was before `with_beside` made it larger."""
    if judged.failing is None or not margin:
        return judged
    return replace(judged, failing=judged.failing[margin:-margin, margin:-margin])


def _larger(surface: Surface, margin: int) -> Surface:
    of = surface.grid
    around = margin * of.cell
    grid = replace(
        of, west=of.west - around, north=of.north + around, rows=of.rows + 2 * margin, columns=of.columns + 2 * margin
    )
    layers: dict[str, Any] = {
        name: np.pad(values, margin, constant_values=np.nan if values.dtype.kind == "f" else 0)
        for name in LAYERS
        for values in [getattr(surface, name)]
    }
    return replace(surface, grid=grid, **layers)


def _at_centres(of: Grid, other: Grid) -> tuple[np.ndarray, np.ndarray]:
    """The rows and columns of the other grid in which the centres of this one's rows and columns lie."""
    y = of.north - (np.arange(of.rows) + 0.5) * of.cell
    x = of.west + (np.arange(of.columns) + 0.5) * of.cell
    return (
        np.floor((other.north - y) / other.cell).astype(np.int64),
        np.floor((x - other.west) / other.cell).astype(np.int64),
    )
