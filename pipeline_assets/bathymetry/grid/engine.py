"""The open gridding engine: a survey's soundings to a surface.

Soundings come georeferenced, reduced to their vertical datum, with their uncertainties; the engine traces no rays. A cell has a
depth where an accepted sounding lies in it, or, with CUBE, near enough to its centre. Equal soundings in equal order give equal
bits, however many threads and tiles there are, in memory or out of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path

from pipeline_assets.bathymetry.grid.config import GridConfig
from pipeline_assets.bathymetry.soundings import Soundings
from pipeline_assets.bathymetry.surface import Grid, Surface
from pipeline_assets.landed_file import Refused

Pieces = Callable[[], Iterable[Soundings]]
"""Gives a survey's soundings from their beginning, piece by piece, each time it is called."""


def grid(soundings: Soundings, config: GridConfig) -> Surface:
    """The surface of soundings that are in memory. Raises Refused if none can be used."""
    return grid_pieces(lambda: (soundings,), config)


def grid_pieces(pieces: Pieces, config: GridConfig, folder: Path | None = None, on: Grid | None = None) -> Surface:
    """The surface of a survey of any size: beyond the surface itself, memory is that of a piece and of some tiles.

    folder: where points wait by tile, for cube and median, 32 bytes each; None: in memory. on: the grid to use; None: the
    cells around all soundings, the grid's lines on multiples of a cell.
    Raises Refused if no sounding can be used, if pieces differ in their reference systems, or if the grid would be too large.
    """
    around, vertical_datum = extent(pieces, config.cell_m, config.max_cells)
    return on_grid(pieces, on or around, vertical_datum, config, folder)


def on_grid(pieces: Pieces, grid: Grid, vertical_datum: str, config: GridConfig, folder: Path | None) -> Surface:
    """The surface on this grid; soundings off it count where they reach it."""
    # Compiled code is loaded with the first survey, not with the definitions.
    from pipeline_assets.bathymetry.grid.cube import cube_layers
    from pipeline_assets.bathymetry.grid.means import mean_layers
    from pipeline_assets.bathymetry.grid.medians import median_layers
    from pipeline_assets.bathymetry.grid.points import reach_of
    from pipeline_assets.bathymetry.grid.tiles import TiledPoints

    if config.method in ("cube", "median"):
        with TiledPoints(grid, config.tile_cells, reach_of(config, grid.cell), config.threads, folder) as points:
            for piece in pieces():
                points.add(piece)
            layers = (cube_layers if config.method == "cube" else median_layers)(points, grid, config)
    else:
        layers = mean_layers(pieces(), grid, config)
    return Surface(
        grid=grid,
        depth=layers.depth,
        uncertainty=layers.uncertainty,
        std_dev=layers.std_dev,
        shoal=layers.shoal,
        density=layers.density,
        hypotheses=layers.hypotheses,
        method=config.method,
        parameters=config.described(grid.cell),
        vertical_datum=vertical_datum,
    )


def extent(pieces: Pieces, cell: float, max_cells: int) -> tuple[Grid, str]:
    """The grid around all soundings that can be used, its lines on multiples of `cell` (m), and their vertical datum."""
    from pipeline_assets.bathymetry.grid.points import bounds_of

    west, south, east, north, count, offered = math.inf, math.inf, -math.inf, -math.inf, 0, 0
    systems: set[tuple[str, str]] = set()
    for piece in pieces():
        systems.add((piece.crs, piece.vertical_datum))
        if len(systems) > 1:
            told = " and ".join(f"{crs}, {datum}" for crs, datum in sorted(systems))
            raise Refused(
                "mixed_reference",
                f"soundings of one survey have different reference systems: {told}; expected one. Convert them, or land them as two surveys",
            )
        w, s, e, n, usable = bounds_of(piece.x, piece.y, piece.depth, piece.accepted)
        west, south, east, north = min(west, w), min(south, s), max(east, e), max(north, n)
        count, offered = count + usable, offered + len(piece.x)
    if count == 0:
        raise Refused(
            "no_soundings",
            f"none of {offered:,} soundings can be gridded; expected some that are accepted and have a position and a depth. "
            "Look at the flags of the lines",
        )
    left, top = math.floor(west / cell), math.ceil(north / cell)
    # Quotients are rounded: the corner must not lie inside of the outermost soundings.
    left -= left * cell > west
    top += top * cell < north
    columns, rows = math.floor((east - left * cell) / cell) + 1, math.floor((top * cell - south) / cell) + 1
    if rows * columns > max_cells:
        raise Refused(
            "grid_too_large",
            f"soundings from {west:.0f} E {south:.0f} N to {east:.0f} E {north:.0f} N (m) make {columns:,} x {rows:,} cells of {cell:g} m, "
            f"and at most {max_cells:,} are allowed. Reject the soundings that are far off, use larger cells, or allow more (max_cells)",
        )
    ((crs, vertical_datum),) = systems
    return Grid(left * cell, top * cell, cell, rows, columns, crs), vertical_datum
