"""What CARIS exports of its surface, read back to the form that every other surface has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.bathymetry.grid.caris import gridding_of_bag
from pipeline_assets.bathymetry.judge.compare import same_crs
from pipeline_assets.bathymetry.landed_surface.bag import read_bag
from pipeline_assets.bathymetry.landed_surface.geotiff import read_layer
from pipeline_assets.bathymetry.surface import Grid, Surface
from pipeline_assets.landed_file import Refused

_OF_CELL = 1e-3


def read_exports(bag: Path, density: Path, asked: Grid, vertical_datum: str, max_cells: int) -> Surface:
    """The surface: depth and uncertainty of the BAG, soundings of a cell of the GeoTIFF.

    CARIS's uncertainty is taken for one of 95 %, as its CUBE gives it. asked: the grid that the commands asked for.
    Raises Refused `other_grid` where the exports lie elsewhere than asked, and what reading them refuses.
    """
    surface = read_bag(bag, max_cells)
    if not same_crs(surface.grid.crs, asked.crs):
        raise Refused("other_grid", f"the exported BAG is in {surface.grid.crs[:80]}; {asked.crs} was asked for.")
    _check_cells(surface.grid, asked, "BAG")
    grid = replace(surface.grid, crs=asked.crs)
    of_density, counted = read_layer(density, max_cells)
    _check_cells(of_density, asked, "GeoTIFF of densities")
    try:
        gridding = gridding_of_bag(bag)
        told = {name: value for name, value in gridding.cube.model_dump().items() if value is not None}
    except Refused:
        told = {}  # the BAG does not say; the commands do
    return replace(
        surface, grid=grid, density=_placed(counted, of_density, grid), method="cube", vertical_datum=vertical_datum,
        parameters={"cell_m": grid.cell, **told},
    )  # fmt: skip


def _check_cells(grid: Grid, asked: Grid, what: str) -> None:
    if abs(grid.cell - asked.cell) > 1e-6 * asked.cell:
        raise Refused(
            "other_grid", f"the exported {what} has cells of {grid.cell:g} m; {asked.cell:g} m were asked for."
        )
    for offset in ((grid.west - asked.west) / asked.cell, (grid.north - asked.north) / asked.cell):
        if abs(offset - round(offset)) > _OF_CELL:
            raise Refused(
                "other_grid",
                f"the cells of the exported {what} lie {abs(offset - round(offset)):.3f} of a cell beside those asked for.",
            )


def _placed(values: NDArray[np.float32], of: Grid, grid: Grid) -> NDArray[np.int32]:
    """Counts on the cells of another grid with the same lines; 0 where there are none."""
    down, along = round((grid.north - of.north) / grid.cell), round((of.west - grid.west) / grid.cell)
    out = np.zeros((grid.rows, grid.columns), dtype=np.int32)
    top, left = max(0, down), max(0, along)
    bottom, right = min(grid.rows, down + of.rows), min(grid.columns, along + of.columns)
    if bottom > top and right > left:
        part = values[top - down : bottom - down, left - along : right - along]
        out[top:bottom, left:right] = np.maximum(np.nan_to_num(part), 0).astype(np.int32)
    return out
