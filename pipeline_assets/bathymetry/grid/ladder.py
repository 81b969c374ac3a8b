"""Cells that grow with depth: one surface for each step of a ladder of resolutions.

A survey's depths, as medians of coarse cells, say which step a place belongs to, as in CARIS HIPS (CreateVRSurface by ranges, at the
50th percentile of a coarse cell). A coarse cell is four of the ladder's largest cells wide, so a few fliers move no place to another
step, and each place has exactly one step, as NOAA asks of surfaces of variable resolution (`LADDERS`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
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


@dataclass(frozen=True)
class Places:
    """Which step of a ladder each place of a survey has.

    grid: coarse cells. step: of each, its number in `ladder`, -1 where no sounding is. ladder: as in `GridConfig`.
    vertical_datum: what the survey's depths are below.
    """

    grid: Grid
    step: NDArray[np.int8]
    ladder: tuple[tuple[float, float], ...]
    vertical_datum: str

    @property
    def steps(self) -> list[int]:
        """The steps that the survey has depths of, the shallowest first."""
        return [int(step) for step in np.unique(self.step) if step >= 0]

    def cell(self, step: int) -> float:
        """The edge of a step's cells, m."""
        return self.ladder[step][1]

    def of(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.int8]:
        """The step of each position, -1 where there is none."""
        with np.errstate(invalid="ignore"):
            row, column = (
                np.floor((self.grid.north - y) / self.grid.cell),
                np.floor((x - self.grid.west) / self.grid.cell),
            )
            on = (row >= 0) & (row < self.grid.rows) & (column >= 0) & (column < self.grid.columns)
        found = np.full(len(x), -1, np.int8)
        found[on] = self.step[row[on].astype(np.int64), column[on].astype(np.int64)]
        return found

    def only(self, soundings: Soundings, step: int) -> Soundings:
        """The soundings with only those of a step accepted."""
        return replace(soundings, accepted=soundings.accepted & (self.of(soundings.x, soundings.y) == step))

    def own(self, step: int) -> tuple[Grid, NDArray[np.bool_]]:
        """The grid of a step's cells, around all of its coarse cells, and which of these coarse cells are its own."""
        mine = self.step == step
        rows, columns = np.flatnonzero(mine.any(axis=1)), np.flatnonzero(mine.any(axis=0))
        inside = mine[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        finer = round(self.grid.cell / self.cell(step))
        west = self.grid.west + float(columns[0]) * self.grid.cell
        north = self.grid.north - float(rows[0]) * self.grid.cell
        shape = inside.shape[0] * finer, inside.shape[1] * finer
        return Grid(west, north, self.cell(step), *shape, self.grid.crs), inside

    def own_cells(self, step: int) -> NDArray[np.bool_]:
        """Of the grid that `own` gives, the step's own cells."""
        _, inside = self.own(step)
        finer = round(self.grid.cell / self.cell(step))
        return np.repeat(np.repeat(inside, finer, axis=0), finer, axis=1)


def grid_ladder(pieces: Pieces, config: GridConfig, folder: Path | None = None) -> list[Surface]:
    """A surface for each step of `config.ladder` that the survey has depths of, the shallowest first; each has cells only
    where its depths are. What is deeper than the last step belongs to it. Without a ladder, the one surface of `grid_pieces`.

    Raises Refused as `grid_pieces` does.
    """
    if not config.ladder:
        return [grid_pieces(pieces, config, folder)]
    return [surface for _, surface in grid_places(pieces, places_of(pieces, config, folder), config, folder)]


def places_of(pieces: Pieces, config: GridConfig, folder: Path | None = None) -> Places:
    """Which step of `config.ladder` each place of a survey has."""
    coarse_cell = _COARSE * config.ladder[-1][1]
    guide = grid_pieces(pieces, config.model_copy(update={"method": "median", "cell_m": coarse_cell}), folder)
    limits = np.array([depth for depth, _ in config.ladder])
    steps = np.minimum(np.searchsorted(limits, guide.depth), len(limits) - 1).astype(np.int8)
    steps[np.isnan(guide.depth)] = -1
    return Places(guide.grid, steps, config.ladder, guide.vertical_datum)


def grid_places(
    pieces: Pieces, places: Places, config: GridConfig, folder: Path | None = None
) -> Iterator[tuple[int, Surface]]:
    """The surface of each step that there is, and its number; one at a time, for those who keep none.

    Raises Refused where a step has too many cells.
    """
    for step in places.steps:
        yield step, _step(pieces, places, step, config, folder)


def _step(pieces: Pieces, places: Places, step: int, config: GridConfig, folder: Path | None) -> Surface:
    grid, cell = places.own(step)[0], places.cell(step)
    if grid.rows * grid.columns > config.max_cells:
        raise Refused(
            "grid_too_large",
            f"the step of {cell:g} m cells makes {grid.columns:,} x {grid.rows:,} of them, and at most {config.max_cells:,} are allowed. "
            "Give this depth larger cells (ladder), or allow more (max_cells)",
        )
    near = _widened(places.step == step)

    def nearby() -> Iterator[Soundings]:
        yield from _within(pieces(), places.grid, near)

    whole = on_grid(nearby, grid, places.vertical_datum, config.model_copy(update={"cell_m": cell}), folder)
    outside = ~places.own_cells(step)
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
