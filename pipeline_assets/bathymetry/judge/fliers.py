"""Fliers in a surface, as NOAA's QC Tools find them: Flier Finder 9 (https://www.hydroffice.org/manuals/qctools, 2.2.3).

Written from its manual, with the numbers of its version 9. Where an answer would hang on the order in which cells are looked
at, or on where a tile ends, it does not here: a check looks at depths and at what earlier checks flagged, never at its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.bathymetry.judge.judged import Judged, Mask, by_cells, not_judged, own_depths
from pipeline_assets.bathymetry.judge.profiles import Profile
from pipeline_assets.bathymetry.s44 import tvu_max
from pipeline_assets.bathymetry.surface import Surface

Depths = NDArray[np.float32]

LAPLACIAN, CURVATURE, ADJACENT, SLIVER, ISOLATED, NOISY_EDGE = range(1, 7)
KINDS = {
    LAPLACIAN: "laplacian operator", CURVATURE: "gaussian curvature", ADJACENT: "adjacent cells",
    SLIVER: "edge slivers", ISOLATED: "isolated nodes", NOISY_EDGE: "noisy edges",
}  # fmt: skip
"""QC Tools' numbers of its checks; a cell has the number of the first that flags it."""

BY_DEFAULT = frozenset({CURVATURE, ADJACENT, SLIVER, NOISY_EDGE})
SMALL_GROUP, GROUP_REACH = 3, 5
"""Most cells of a detached group that is looked at, and how far from the rest it still is a sliver of its edge, cells."""
FEW_NEIGHBOURS, SHARE_OF_FEW, SHARE_OF_MANY = 4, 0.75, 0.8
"""Shares, of 0 to 1, of neighbours that must differ; three of four are enough, because that is seen so often."""
EDGE_NEIGHBOURS = 6

_DIRECTIONS = (
    (0, -1, 3), (0, 1, 3), (-1, 0, 3), (1, 0, 3), (-1, -1, 2), (1, 1, 2), (-1, 1, 2), (1, -1, 2),
)  # fmt: skip
"""Rows and columns to the next cell, and how many cells one goes to find one with a depth."""


@dataclass(frozen=True)
class Fliers:
    """flags: by cell, the number of the check in `KINDS` that flagged it, or 0. height_m: how far a flier stands out, m.

    curvature_max: largest Gaussian curvature, per cell squared, that is not flagged.
    """

    flags: NDArray[np.int8]
    height_m: float
    curvature_max: float

    @property
    def counts(self) -> dict[str, int]:
        """Cells by the check that flagged them. Their sum is the number of flagged cells."""
        counted = np.bincount(self.flags.ravel(), minlength=len(KINDS) + 1)
        return {name: int(counted[kind]) for kind, name in KINDS.items()}


def fliers(surface: Surface, profile: Profile, own: Mask | None = None) -> Judged:
    """No cell is flagged by the checks that Flier Finder 9 makes by default."""
    known = own_depths(surface, own)
    if not known.any():
        return not_judged("fliers", 1.0, "no cell has a depth")
    found = find_fliers(surface.depth)
    return by_cells(
        "fliers", 1.0, known, found.flags > 0, "may be fliers",
        {"height (m)": found.height_m, **{name: count for name, count in found.counts.items() if count}},
    )  # fmt: skip


def find_fliers(depth: Depths, height_m: float | None = None, checks: frozenset[int] = BY_DEFAULT) -> Fliers:
    """Fliers of depths, m, positive down, NaN where there are none. height_m: takes the place of the estimated one."""
    curvature = gaussian_curvature(depth)
    estimated, curvature_max = estimate(depth, curvature)
    height = estimated if height_m is None else height_m
    flags = np.zeros(depth.shape, dtype=np.int8)
    with np.errstate(invalid="ignore"):
        if LAPLACIAN in checks:
            _flag(flags, LAPLACIAN, np.abs(laplacian(depth)) > 4.0 * height)
        if CURVATURE in checks:
            _flag(flags, CURVATURE, curvature > curvature_max)
        if ADJACENT in checks:
            _flag(flags, ADJACENT, stands_out(depth, height))
        if SLIVER in checks or ISOLATED in checks:
            slivers, isolated = _small_groups(depth, height / 2.0)
            for kind, mask in ((SLIVER, slivers), (ISOLATED, isolated)):
                if kind in checks:
                    _flag(flags, kind, mask)
        if NOISY_EDGE in checks:
            _flag(flags, NOISY_EDGE, _noisy_edges(depth, flags > 0))
    return Fliers(flags, height, curvature_max)


def _flag(flags: NDArray[np.int8], kind: int, found: Mask) -> None:
    flags[found & (flags == 0)] = kind


def estimate(depth: Depths, curvature: NDArray[np.float32]) -> tuple[float, float]:
    """The height of fliers to look for, m, and the largest curvature that is none.

    By the median depth, by how far mean and median lie apart in standard deviations, and by the roughness, which is the
    standard deviation of the curvature. A grid without variation or curvature has the least of both.
    """
    known = depth[np.isfinite(depth)].astype(np.float64)
    curved = curvature[np.isfinite(curvature)].astype(np.float64)
    deviation = known.std() if known.size else 0.0
    if deviation == 0.0 or not curved.size:
        return 1.0, 6.0
    median = float(np.median(known))
    apart, roughness = abs(float(known.mean()) - median) / deviation, float(curved.std())
    height = next(
        (base for limit, base in ((20.0, 1.0), (40.0, 2.0), (80.0, 4.0), (160.0, 6.0)) if median < limit), 8.0
    )
    for more in (apart < 0.20, apart < 0.10, roughness > 0.01, roughness > 0.10):
        if more:
            height += 1.0 if height == 1.0 else 2.0
    largest = 6.0 * 2.0 ** sum(roughness > limit for limit in (0.01, 0.03, 0.10))
    return min(height, 16.0), largest


def gaussian_curvature(depth: Depths) -> NDArray[np.float32]:
    """(zxx·zyy - zxy²) / (1 + zx² + zy²)², with cells one apart; NaN beside cells without a depth.

    An array of fewer than two rows or columns has none.
    """
    if min(depth.shape) < 2:
        return np.full(depth.shape, np.nan, dtype=np.float32)
    down, along = np.gradient(depth)
    mixed, twice_along = np.gradient(along)
    twice_down = np.gradient(down, axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        curvature: NDArray[np.float32] = (twice_along * twice_down - mixed**2) / (1.0 + along**2 + down**2) ** 2
    return curvature


def laplacian(depth: Depths) -> Depths:
    """Sum of the differences to the four neighbours, m; the border of the array is its own neighbour."""
    padded = np.pad(depth, 1, mode="edge")
    around: Depths = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:] - 4.0 * depth
    return around


def stands_out(depth: Depths, height_m: float) -> Mask:
    """Cells that are shallower, or deeper, by more than the height than most of their neighbours.

    Up to eight neighbours, across at most two empty cells (one diagonally). On the border of the array, all must differ.
    """
    neighbours = np.zeros(depth.shape, dtype=np.int8)
    shallower, deeper = np.zeros_like(neighbours), np.zeros_like(neighbours)
    for other, _ in _neighbours(depth, None):
        difference = depth - other
        neighbours += np.isfinite(difference)
        deeper += difference > height_m
        shallower += difference < -height_m
    needed = np.where(neighbours <= FEW_NEIGHBOURS, SHARE_OF_FEW, SHARE_OF_MANY)
    needed[_border(depth.shape)] = 1.0
    share = np.maximum(shallower, deeper) / np.maximum(neighbours, 1)
    return (neighbours > 0) & (share >= needed)


def _noisy_edges(depth: Depths, flagged: Mask) -> Mask:
    """Edge cells that differ from a neighbour by more than the TVU of the least depth around them, NOAA's orders 1 and 2.

    An edge cell has at most six neighbours. Not looked at: the border of the array, which need not be an edge of the data,
    and cells beside one that was flagged before, which differ because of it.
    """
    neighbours = np.zeros(depth.shape, dtype=np.int8)
    beside = np.zeros(depth.shape, dtype=np.bool_)
    least = np.full(depth.shape, np.inf, dtype=np.float32)
    largest = np.zeros(depth.shape, dtype=np.float32)
    for other, is_flagged in _neighbours(depth, flagged):
        neighbours += np.isfinite(other)
        beside |= is_flagged
        least = np.fmin(least, other)
        largest = np.fmax(largest, np.abs(depth - other))
    looked_at = np.isfinite(depth) & (neighbours > 0) & (neighbours <= EDGE_NEIGHBOURS) & ~beside
    looked_at[_border(depth.shape)] = False
    noisy = np.zeros_like(looked_at)
    noisy[looked_at] = largest[looked_at] > noaa_tvu(least[looked_at])
    return noisy


def noaa_tvu(depth: NDArray[np.float32]) -> NDArray[np.float64]:
    """Most vertical uncertainty, m: of order 1 down to 100 m, and of order 2 beyond."""
    return np.where(depth <= 100.0, tvu_max("1a", depth), tvu_max("2", depth))


def _small_groups(depth: Depths, height_m: float) -> tuple[Mask, Mask]:
    """Slivers of the edge, and isolated groups: cells that share sides, at most `SMALL_GROUP`, apart from larger groups.

    A sliver is the cell of a group that is nearest to a larger one, if it differs from it by more than the height. A group
    that has none within `GROUP_REACH` cells is isolated, all of it.
    """
    from scipy import ndimage

    labels, count = ndimage.label(np.isfinite(depth), output=np.int32)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    body = sizes[labels] > SMALL_GROUP
    slivers, isolated = np.zeros_like(body), np.zeros_like(body)
    rows, columns = np.nonzero((labels > 0) & ~body)
    groups: dict[int, list[tuple[int, int]]] = {}
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        groups.setdefault(int(labels[row, column]), []).append((row, column))
    for cells in groups.values():
        nearest = min(filter(None, (_nearest(body, row, column) for row, column in cells)), default=None)
        if nearest is None:
            for cell in cells:
                isolated[cell] = True
            continue
        _, row, column, other_row, other_column = nearest
        slivers[row, column] = abs(float(depth[row, column]) - float(depth[other_row, other_column])) > height_m
    return slivers, isolated


def _nearest(body: Mask, row: int, column: int) -> tuple[int, int, int, int, int] | None:
    """Squared distance, the cell, and the nearest cell of the body within reach, or None."""
    top, left = max(0, row - GROUP_REACH), max(0, column - GROUP_REACH)
    near_rows, near_columns = np.nonzero(body[top : row + GROUP_REACH + 1, left : column + GROUP_REACH + 1])
    if not near_rows.size:
        return None
    near_rows, near_columns = near_rows + top, near_columns + left
    squared = (near_rows - row) ** 2 + (near_columns - column) ** 2
    first = int(np.argmin(squared))
    return int(squared[first]), row, column, int(near_rows[first]), int(near_columns[first])


def _neighbours(depth: Depths, flagged: Mask | None) -> Iterator[tuple[Depths, Mask]]:
    """For each direction, the depth of the first cell that has one, NaN if none is in reach, and whether it is flagged."""
    none = np.zeros(depth.shape if flagged is None else (0, 0), dtype=np.bool_)
    for down, along, reach in _DIRECTIONS:
        found = _moved(depth, down, along, np.float32(np.nan))
        is_flagged = none if flagged is None else _moved(flagged, down, along, np.False_)
        for step in range(2, reach + 1):
            missing = np.isnan(found)
            further = _moved(depth, step * down, step * along, np.float32(np.nan))
            found = np.where(missing, further, found)
            if flagged is not None:
                is_flagged = np.where(missing, _moved(flagged, step * down, step * along, np.False_), is_flagged)
        yield found, is_flagged


def _moved(values: NDArray, down: int, along: int, fill: np.generic) -> NDArray:
    """What lies so many rows down and columns along of each cell; `fill` beyond the border."""
    moved = np.full_like(values, fill)
    rows, columns = values.shape
    if abs(down) >= rows or abs(along) >= columns:
        return moved
    to = (slice(max(0, -down), rows - max(0, down)), slice(max(0, -along), columns - max(0, along)))
    of = (slice(max(0, down), rows - max(0, -down)), slice(max(0, along), columns - max(0, -along)))
    moved[to] = values[of]
    return moved


def _border(shape: tuple[int, ...]) -> Mask:
    border = np.ones(shape, dtype=np.bool_)
    border[1:-1, 1:-1] = False
    return border
