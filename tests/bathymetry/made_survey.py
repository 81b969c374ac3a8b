"""Soundings of a sea floor that is known, without a file around them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.bathymetry.soundings import Soundings
from pipeline_assets.bathymetry.surface import Grid

CRS = "EPSG:32755"
WEST, SOUTH = 500_000.0, 5_600_000.0
LINE_M, BEAMS = 40, 400


def floor(x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float64]:
    """True depth, m: waves of up to 2 m on a slope about 25 m deep."""
    return 25 + 2 * np.sin((x - WEST) / 60) + 1.5 * np.cos((y - SOUTH) / 45) + 0.01 * (x - WEST)


def made_survey(size_m: int, seed: int, fliers: float = 0.0005) -> Soundings:
    """Lines 40 m apart to the north and back, a ping a metre, 400 beams a ping: some ten soundings a square metre.

    Noise: of depth 0.105 m, of position 0.2 m (standard deviations), both known to the soundings. fliers: their share, each
    3 to 10 m off to either side. One beam in a hundred is rejected, and all of 10 x 10 m
    105 m east and 55 m north; those are 50 m off.
    """
    rng = np.random.default_rng(seed)
    lines = size_m // LINE_M
    line, ping, beam = (one.ravel() for one in np.indices((lines, size_m, BEAMS)))
    count = len(line)
    x = WEST + line * LINE_M + (beam + rng.random(count)) * LINE_M / BEAMS
    along = np.where(line % 2 == 0, ping, size_m - 1 - ping)
    y = SOUTH + along + rng.random(count)
    depth = floor(x, y) + rng.normal(0, 0.105, count)
    flier = rng.random(count) < fliers
    depth[flier] += rng.uniform(3, 10, count)[flier] * rng.choice([-1, 1], count)[flier]
    accepted = rng.random(count) >= 0.01
    accepted &= (np.abs(x - WEST - 105) > 5) | (np.abs(y - SOUTH - 55) > 5)
    depth[~accepted] += 50
    return soundings(
        np.clip(x + rng.normal(0, 0.2, count), WEST, WEST + size_m - 1e-6),
        np.clip(y + rng.normal(0, 0.2, count), SOUTH + 1e-6, SOUTH + size_m),
        depth,
        tvu=np.full(count, 1.96 * 0.105),
        thu=np.full(count, 2.45 * 0.2),
        accepted=accepted,
        line=line,
        ping=ping,
        beam=beam,
    )


def soundings(x: Any, y: Any, depth: Any, **given: Any) -> Soundings:
    """Soundings of these places and depths, by default accepted and of unknown uncertainty."""
    count = len(x)
    arrays: dict[str, tuple[Any, Any]] = {
        "tvu": (np.nan, np.float64),
        "thu": (np.nan, np.float64),
        "accepted": (True, np.bool_),
        "line": (0, np.int32),
        "ping": (np.arange(count), np.int64),
        "beam": (0, np.int32),
    }
    filled = {
        name: np.broadcast_to(np.asarray(given.get(name, default), kind), count).copy()
        for name, (default, kind) in arrays.items()
    }
    return Soundings(
        x=np.asarray(x, np.float64),
        y=np.asarray(y, np.float64),
        depth=np.asarray(depth, np.float64),
        crs=given.get("crs", CRS),
        vertical_datum=given.get("vertical_datum", "LAT"),
        lines=tuple(f"line{number}" for number in range(int(filled["line"].max(initial=0)) + 1)),
        **filled,
    )


def centers(grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eastings and northings of the cells' centres, (rows, columns)."""
    column, row = np.meshgrid(np.arange(grid.columns), np.arange(grid.rows))
    return grid.west + (column + 0.5) * grid.cell, grid.north - (row + 0.5) * grid.cell


def at_node(depths: Any, **given: Any) -> Soundings:
    """Soundings that all lie on the centre of one cell of 1 m."""
    count = len(depths)
    return soundings(np.full(count, WEST + 0.5), np.full(count, SOUTH + 0.5), depths, **given)
