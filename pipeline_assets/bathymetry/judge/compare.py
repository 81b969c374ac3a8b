"""Two surfaces of one place held against each other: a new one against a golden one, or two engines' of one survey."""

from __future__ import annotations

import numpy as np

from pipeline_assets.bathymetry.config import SAME_CELLS, TOLERANCE_M
from pipeline_assets.bathymetry.judge.judged import Judged, not_judged
from pipeline_assets.bathymetry.surface import Grid, Surface
from pipeline_assets.bathymetry.vertical_datums import short_name


def compare(
    surface: Surface,
    other: Surface,
    name: str = "regression",
    *,
    share: float = 0.95,
    same_cells: float = SAME_CELLS,
    tolerance_m: float = TOLERANCE_M,
) -> Judged:
    """Depths agree within sqrt(U1² + U2²), U being the uncertainties at 95 %, in at least that share of the common cells.

    Two independent values of one depth differ by more in 5 % of the cases, whence the share (JCGM 100:2008, 5.1.2). Where
    neither surface has an uncertainty, `tolerance_m` takes its place. The grids must have the same cells; their extents may
    differ. Failing are the cells of `surface` that disagree, and those that only one of the two fills.
    """
    why = _differs(surface, other)
    if why:
        return not_judged(name, share, why)
    there = _placed(other, surface.grid)
    here, beside = np.isfinite(surface.depth), np.isfinite(there["depth"])
    both, either = here & beside, here | beside
    # Cells of the other surface beyond this one's grid count, too.
    total = int(np.count_nonzero(here) + np.count_nonzero(np.isfinite(other.depth)) - np.count_nonzero(both))
    if not both.any():
        return not_judged(name, share, "the surfaces have no cell in common. Compare surfaces of one survey")
    difference = surface.depth.astype(np.float64) - there["depth"]
    allowed = _allowed(surface.uncertainty.astype(np.float64), there["uncertainty"], tolerance_m)
    with np.errstate(invalid="ignore"):
        disagree = both & (np.abs(difference) > allowed)
    count, bad = int(np.count_nonzero(both)), int(np.count_nonzero(disagree))
    agreeing, filled = 1.0 - bad / count, count / total
    differences = difference[both]
    return Judged(
        name, agreeing >= share - 1e-12 and filled >= same_cells - 1e-12, agreeing, share, disagree | (either & ~both),
        f"{bad:,} of {count:,} common cells differ by more than both uncertainties together; {agreeing:.2%} agree, {share:.2%} "
        f"must; {filled:.2%} of the cells are in both, {same_cells:.2%} must",
        {
            "common cells": count, "cells in one only": total - count, "disagreeing cells": bad,
            "share in both": round(filled, 6), "mean difference (m)": round(float(differences.mean()), 6),
            "rms difference (m)": round(float(np.sqrt(np.mean(differences**2))), 6),
            "largest difference (m)": round(float(np.abs(differences).max()), 6),
            "methods": f"{surface.method}, {other.method}",
        },
    )  # fmt: skip


def _differs(surface: Surface, other: Surface) -> str:
    """Why two surfaces cannot be compared, or nothing."""
    one, two = surface.grid, other.grid
    if one.cell != two.cell:
        return f"their cells are of {one.cell:g} m and {two.cell:g} m. Grid both with one cell size"
    if not same_crs(one.crs, two.crs):
        return f"one is in {one.crs[:60]}, the other in {two.crs[:60]}. Grid both in one CRS"
    if short_name(surface.vertical_datum).lower() != short_name(other.vertical_datum).lower():
        return (
            f"one is below {surface.vertical_datum or 'an undeclared datum'}, the other below "
            f"{other.vertical_datum or 'an undeclared datum'}. Bring both to one vertical datum"
        )
    for offset in ((two.west - one.west) / one.cell, (one.north - two.north) / one.cell):
        if abs(offset - round(offset)) > 1e-3:
            return f"their cells lie {abs(offset - round(offset)):.3f} of a cell apart. Grid both from one origin"
    return ""


def same_crs(one: str, two: str) -> bool:
    """Whether two texts mean one CRS; codes and WKT are alike."""
    if one == two:
        return True
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        first, second = CRS.from_user_input(one), CRS.from_user_input(two)
    except CRSError:
        return False
    codes = first.to_epsg(min_confidence=70), second.to_epsg(min_confidence=70)
    return first.equals(second, ignore_axis_order=True) or (None not in codes and codes[0] == codes[1])


def _placed(other: Surface, grid: Grid) -> dict[str, np.ndarray]:
    """Depth and uncertainty of the other surface, on the cells of this grid; NaN where it does not reach."""
    down = round((grid.north - other.grid.north) / grid.cell)
    along = round((other.grid.west - grid.west) / grid.cell)
    top, left = max(0, down), max(0, along)
    bottom, right = min(grid.rows, down + other.grid.rows), min(grid.columns, along + other.grid.columns)
    placed = {}
    for name, values in (("depth", other.depth), ("uncertainty", other.uncertainty)):
        out = np.full((grid.rows, grid.columns), np.nan, dtype=np.float64)
        if bottom > top and right > left:
            out[top:bottom, left:right] = values[top - down : bottom - down, left - along : right - along]
        placed[name] = out
    return placed


def _allowed(one: np.ndarray, two: np.ndarray, tolerance_m: float) -> np.ndarray:
    """sqrt(U1² + U2²), an unknown one as zero, and the tolerance where both are."""
    unknown = np.isnan(one) & np.isnan(two)
    return np.where(unknown, tolerance_m, np.hypot(np.nan_to_num(one), np.nan_to_num(two)))
