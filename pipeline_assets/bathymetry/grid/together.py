"""The surfaces of a ladder's steps as one of larger cells: for what wants a single grid, such as a picture or an outline."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.bathymetry.grid.ladder import Places
from pipeline_assets.bathymetry.surface import Grid, Surface


def shared_cell(places: Places) -> float:
    """The edge of cells into which those of all steps go as a whole, m: the largest that there is, else the ladder's largest."""
    cells = [places.cell(step) for step in places.steps]
    largest = max(cells)
    fits = all(abs(largest / cell - round(largest / cell)) < 1e-9 for cell in cells)
    return largest if fits else places.ladder[-1][1]


class Together:
    """Gathers the surfaces of all steps, one at a time, on cells of one edge that those of each step divide.

    A cell has the mean of the depths in it, the largest of their uncertainties, the shallowest of what is shoal, the sum of their
    soundings, the most of their hypotheses and the standard deviation of all of their soundings. Nothing is put between depths.
    """

    def __init__(self, places: Places, cell: float) -> None:
        finer = round(places.grid.cell / cell)
        self._places = places
        self._grid = Grid(
            places.grid.west,
            places.grid.north,
            cell,
            places.grid.rows * finer,
            places.grid.columns * finer,
            places.grid.crs,
        )
        shape = self._grid.rows, self._grid.columns
        self._total, self._squares = np.zeros(shape), np.zeros(shape)
        self._count, self._density, self._hypotheses = (np.zeros(shape, np.int32) for _ in range(3))
        self._uncertainty, self._shoal = (np.full(shape, np.nan, np.float32) for _ in range(2))
        self._soundings_total = np.zeros(shape)
        self._parameters: dict[str, float | str] | None = None
        self._method = ""

    def add(self, surface: Surface) -> None:
        """The surface of one step."""
        of, here = surface.grid, self._grid
        times = round(here.cell / of.cell)
        top, left = round((here.north - of.north) / here.cell), round((of.west - here.west) / here.cell)
        rows, columns = of.rows // times, of.columns // times
        part = slice(top, top + rows), slice(left, left + columns)

        def blocks(values: NDArray) -> NDArray:
            return values.reshape(rows, times, columns, times)

        known = np.isfinite(surface.depth)
        depth = np.where(known, surface.depth, 0.0).astype(np.float64)
        weight = surface.density.astype(np.float64)
        spread = np.nan_to_num(surface.std_dev.astype(np.float64))
        self._total[part] += blocks(depth).sum(axis=(1, 3))
        self._count[part] += blocks(known).sum(axis=(1, 3), dtype=np.int32)
        self._soundings_total[part] += blocks(weight * depth).sum(axis=(1, 3))
        self._squares[part] += blocks(np.maximum(weight - 1.0, 0.0) * spread**2 + weight * depth**2).sum(axis=(1, 3))
        self._density[part] += blocks(surface.density).sum(axis=(1, 3), dtype=np.int32)
        largest, shallowest = np.fmax.reduce, np.fmin.reduce
        self._uncertainty[part] = np.fmax(
            self._uncertainty[part], largest(largest(blocks(surface.uncertainty), axis=3), axis=1)
        )
        self._shoal[part] = np.fmin(self._shoal[part], shallowest(shallowest(blocks(surface.shoal), axis=3), axis=1))
        self._hypotheses[part] = np.maximum(self._hypotheses[part], blocks(surface.hypotheses).max(axis=(1, 3)))
        self._method = surface.method
        self._parameters = _alike(self._parameters, surface.parameters)

    def surface(self) -> Surface:
        """What was gathered."""
        filled, many = self._count > 0, self._density > 1
        depth, spread = (np.full(filled.shape, np.nan, np.float32) for _ in range(2))
        depth[filled] = self._total[filled] / self._count[filled]
        mean = self._soundings_total[many] / self._density[many]
        about = np.maximum(self._squares[many] - self._density[many] * mean**2, 0.0)
        spread[many] = np.sqrt(about / (self._density[many] - 1))
        parameters = {
            **(self._parameters or {}),
            "cell_m": self._grid.cell,
            "cells_by_depth": json.dumps(self._places.ladder),
        }
        return Surface(
            self._grid, depth, self._uncertainty, spread, self._shoal, self._density, self._hypotheses, self._method,
            parameters, self._places.vertical_datum,
        )  # fmt: skip


def _alike(one: dict[str, float | str] | None, other: Mapping[str, float | str]) -> dict[str, float | str]:
    """What both say, for parameters of a step's cells are not those of all."""
    if one is None:
        return dict(other)
    return {name: value for name, value in one.items() if other.get(name) == value}
