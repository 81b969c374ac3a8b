"""Where a surface should have data and has not: holes and gaps by soundings, holidays by empty cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.bathymetry.judge.judged import Judged, Mask, by_cells, has_density, not_judged, own_depths
from pipeline_assets.bathymetry.judge.profiles import Profile
from pipeline_assets.bathymetry.s44 import cell_max
from pipeline_assets.bathymetry.surface import Surface

_ALL_LINKS = np.ones((3, 3), dtype=np.bool_)
_LARGEST_SIDE = 2**31
"""Of a holiday, cells: more than any surface has, where a depth or a cell cannot be."""


def holes_and_gaps(surface: Surface, profile: Profile, own: Mask | None = None) -> Judged:
    """Groups of cells with too few soundings are few, and none is large.

    AusSeabed's Finder Grid Checks, "Data Hole and Data Gap": a group, linked by edges or corners, is a hole if it holds a full
    block of `hole_cells` by as many, and a gap otherwise. Groups at the border of the array are outside of the survey. The
    area is of the cells with a depth and of those found. own: as `own_depths` has it.
    """
    most = profile.gap_share
    if not has_density(surface):
        return not_judged("holes_and_gaps", 1.0 - most, "the surface has no density. Deliver it with a density layer")
    least = profile.limits.density_min if profile.limits.density_min is not None else profile.sparse
    known = np.isfinite(surface.depth)
    labels, count = _inner_groups(~known | (surface.density < least), _ALL_LINKS)
    has_block = np.zeros(count + 1, dtype=np.bool_)
    has_block[np.unique(labels[_block_corners(labels > 0, profile.hole_cells)])] = True
    if own is not None:
        labels[~own] = 0
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    present = sizes > 0
    present[0] = False
    holes, gaps = has_block[labels] & (labels > 0), ~has_block[labels] & (labels > 0)
    of = int(np.count_nonzero(own_depths(surface, own) | (labels > 0)))
    if not of:
        return not_judged("holes_and_gaps", 1.0 - most, "no cell has a depth")
    hole_share, gap_share = int(np.count_nonzero(holes)) / of, int(np.count_nonzero(gaps)) / of
    found = {
        "cells": of, "holes": int(np.count_nonzero(present & has_block)), "gaps": int(np.count_nonzero(present & ~has_block)),
        "hole cells": int(np.count_nonzero(holes)), "gap cells": int(np.count_nonzero(gaps)),
        "largest hole (cells)": int(sizes[present & has_block].max(initial=0)),
        "largest gap (cells)": int(sizes[present & ~has_block].max(initial=0)),
        "hole share": round(hole_share, 6), "gap share": round(gap_share, 6), "least soundings": least,
    }  # fmt: skip
    return Judged(
        "holes_and_gaps",
        hole_share <= profile.hole_share and gap_share <= profile.gap_share,
        1.0 - hole_share - gap_share,
        1.0 - most,
        holes | gaps,
        f"{found['holes']:,} holes ({hole_share:.2%} of the area, at most {profile.hole_share:.2%}) and {found['gaps']:,} gaps "
        f"({gap_share:.2%}, at most {profile.gap_share:.2%}) of cells with fewer than {least} soundings",
        found,
    )


def holidays(surface: Surface, profile: Profile, own: Mask | None = None) -> Judged:
    """No empty place among the data is large enough to hide a feature.

    NOAA's QC Tools, Holiday Finder 4: empty cells that share sides, with data all around. They are a holiday if they hold
    floor(3 · allowed cell / cell) cells in a square (full coverage), in a row or column (object detection), or at all (all
    holes). The allowed cell is that of the profile's order at the median depth around it, where QC Tools has NOAA's tables.
    own: as `own_depths` has it; a holiday that lies in two surfaces is judged in the cells of each.
    """
    order, cell = profile.limits, surface.grid.cell
    known = np.isfinite(surface.depth)
    if order.feature_m is None:
        return not_judged("holidays", 1.0, f"{order.title} asks no size of features")
    if not known.any():
        return not_judged("holidays", 1.0, "no cell has a depth")
    labels, _ = _inner_groups(~known, None)
    failing = np.zeros(known.shape, dtype=np.bool_)
    found, largest = 0, 0
    least = _side(order.name, float(np.abs(surface.depth[known]).min()), cell)
    for number, place in _boxes(labels):
        height, width = place[0].stop - place[0].start, place[1].stop - place[1].start
        if profile.holidays != "all_holes" and not _could_be(height, width, least, profile.holidays):
            continue
        around = (slice(place[0].start - 1, place[0].stop + 1), slice(place[1].start - 1, place[1].stop + 1))
        hole: Mask = labels[around] == number
        side = _side(order.name, float(np.median(_rim(hole, surface.depth[around]))), cell)
        size = int(np.count_nonzero(hole))
        smallest = side if profile.holidays == "object_detection" else side * side
        if size > profile.holiday_area_max * smallest or not _is_holiday(hole, side, profile.holidays):
            continue
        hole = hole if own is None else hole & own[around]
        size = int(np.count_nonzero(hole))
        if not size:
            continue
        failing[around] |= hole
        found, largest = found + 1, max(largest, size)
    return by_cells(
        "holidays", 1.0, own_depths(surface, own) | failing, failing, "are in holidays",
        {"holidays": found, "largest (cells)": largest, "rule": profile.holidays, "order": order.name},
    )  # fmt: skip


def _inner_groups(mask: Mask, structure: Mask | None) -> tuple[NDArray[np.int32], int]:
    """Groups of linked cells by number, without those that touch the border of the array, and the highest number."""
    from scipy import ndimage

    labels, count = ndimage.label(mask, structure=structure, output=np.int32)
    border = np.unique(np.concatenate((labels[0], labels[-1], labels[:, 0], labels[:, -1])))
    outside = np.zeros(count + 1, dtype=np.bool_)
    outside[border] = True
    labels[outside[labels]] = 0
    return labels, int(count)


def _block_corners(mask: Mask, side: int) -> Mask:
    """Where a full block of `side` by `side` cells begins, by its first row and column."""
    full = mask.copy()
    for axis in (0, 1):
        run = full
        for step in range(1, side):
            moved = np.zeros_like(full)
            if step < full.shape[axis]:
                moved[_from(axis, 0, -step)] = full[_from(axis, step, None)]
            run = run & moved
        full = run
    return full


def _from(axis: int, start: int, stop: int | None) -> tuple[slice, slice]:
    cut = slice(start, stop)
    return (cut, slice(None)) if axis == 0 else (slice(None), cut)


def _boxes(labels: NDArray[np.int32]) -> list[tuple[int, tuple[slice, slice]]]:
    from scipy import ndimage

    return [(number, box) for number, box in enumerate(ndimage.find_objects(labels), start=1) if box is not None]


def _side(order: str, depth: float, cell: float) -> int:
    """Edge of the smallest holiday, cells; one where the cells are too coarse for the order anyway."""
    cells = np.floor(3.0 * float(cell_max(order, depth)) / cell + 1e-9)
    return int(min(max(1.0, cells), _LARGEST_SIDE))


def _could_be(height: int, width: int, side: int, rule: str) -> bool:
    return min(height, width) >= side if rule == "full_coverage" else max(height, width) >= side


def _rim(hole: Mask, depth: NDArray[np.float32]) -> NDArray[np.float32]:
    """Depths of the cells around a hole. depth: of the same shape, with one cell to spare on each side."""
    from scipy import ndimage

    rim = ndimage.binary_dilation(hole, structure=_ALL_LINKS) & np.isfinite(depth)
    return np.abs(depth[rim])


def _is_holiday(hole: Mask, side: int, rule: str) -> bool:
    if rule == "all_holes":
        return True
    if not _could_be(hole.shape[0], hole.shape[1], side, rule):
        return False
    if rule == "full_coverage":
        return bool(_block_corners(hole, side).any())
    return _longest_run(hole) >= side or _longest_run(hole.T) >= side


def _longest_run(mask: Mask) -> int:
    """The most True values that follow each other in a row."""
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    starts, ends = np.nonzero(edges == 1)[1], np.nonzero(edges == -1)[1]
    return int((ends - starts).max(initial=0))
