"""Cells that grow with depth: one surface for each step of a ladder of resolutions.

A survey's depths, as medians of coarse cells, say which step a place belongs to. A coarse cell is four of the ladder's largest
cells wide, so a few fliers move no place to another step, and each place has exactly one step. Published ladders are NOAA's
(Hydrographic Survey Specifications and Deliverables 2022, 5.2.2) and those of AusSeabed's depth ranges.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.bathymetry.grid.config import GridConfig
from pipeline_assets.bathymetry.grid.engine import Pieces, grid_pieces, on_grid
from pipeline_assets.bathymetry.soundings import Soundings
from pipeline_assets.bathymetry.surface import Grid, Surface
from pipeline_assets.landed_file import Refused

_COARSE = 4


def grid_ladder(pieces: Pieces, config: GridConfig, folder: Path | None = None) -> list[Surface]:
    """A surface for each step of `config.ladder` that the survey has depths of, the shallowest first; each has cells only
    where its depths are. What is deeper than the last step belongs to it. Without a ladder, the one surface of `grid_pieces`.

    Raises Refused as `grid_pieces` does.
    """
    if not config.ladder:
        return [grid_pieces(pieces, config, folder)]
    coarse_cell = _COARSE * config.ladder[-1][1]
    guide = grid_pieces(pieces, config.model_copy(update={"method": "median", "cell_m": coarse_cell}), folder)
    limits = np.array([depth for depth, _ in config.ladder])
    steps = np.minimum(np.searchsorted(limits, guide.depth), len(limits) - 1)
    steps[np.isnan(guide.depth)] = -1
    surfaces = []
    for step, (_, cell) in enumerate(config.ladder):
        if not (own := steps == step).any():
            continue
        surfaces.append(_step(pieces, config, folder, guide, own, cell))
    return surfaces


def _step(
    pieces: Pieces, config: GridConfig, folder: Path | None, guide: Surface, own: NDArray[np.bool_], cell: float
) -> Surface:
    rows, columns = np.flatnonzero(own.any(axis=1)), np.flatnonzero(own.any(axis=0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    inside = own[box]
    finer = round(guide.grid.cell / cell)
    grid = Grid(
        guide.grid.west + float(columns[0]) * guide.grid.cell,
        guide.grid.north - float(rows[0]) * guide.grid.cell,
        cell,
        inside.shape[0] * finer,
        inside.shape[1] * finer,
        guide.grid.crs,
    )
    if grid.rows * grid.columns > config.max_cells:
        raise Refused(
            "grid_too_large",
            f"the step of {cell:g} m cells makes {grid.columns:,} x {grid.rows:,} of them, and at most {config.max_cells:,} are allowed. "
            "Give this depth larger cells (ladder), or allow more (max_cells)",
        )
    near = _widened(own)

    def nearby() -> Iterator[Soundings]:
        yield from _within(pieces(), guide.grid, near)

    whole = on_grid(nearby, grid, guide.vertical_datum, config.model_copy(update={"cell_m": cell}), folder)
    outside = ~np.repeat(np.repeat(inside, finer, axis=0), finer, axis=1)
    for layer in (whole.depth, whole.uncertainty, whole.std_dev, whole.shoal):
        layer[outside] = np.nan
    whole.density[outside] = whole.hypotheses[outside] = 0
    return whole


def _within(pieces: Iterable[Soundings], grid: Grid, near: NDArray[np.bool_]) -> Iterator[Soundings]:
    """The pieces with only those soundings accepted that lie in cells of `near`."""
    for piece in pieces:
        with np.errstate(invalid="ignore"):
            row, column = np.floor((grid.north - piece.y) / grid.cell), np.floor((piece.x - grid.west) / grid.cell)
            on = (row >= 0) & (row < grid.rows) & (column >= 0) & (column < grid.columns)
        accepted = np.zeros(len(piece.x), bool)
        accepted[on] = near[row[on].astype(np.int64), column[on].astype(np.int64)]
        yield replace(piece, accepted=accepted & piece.accepted)


def _widened(cells: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """With all cells beside those of `cells`: their soundings count for cells on this side of the border."""
    padded: NDArray[Any] = np.pad(cells, 1)
    wide = np.zeros_like(cells)
    for down in range(3):
        for across in range(3):
            wide |= padded[down : down + cells.shape[0], across : across + cells.shape[1]]
    return wide
