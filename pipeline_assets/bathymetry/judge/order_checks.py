"""What the order of a survey asks of every cell or sounding: uncertainty, density, resolution."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from pipeline_assets.bathymetry.judge.judged import Judged, Mask, by_cells, has_density, not_judged, own_depths
from pipeline_assets.bathymetry.judge.profiles import Profile
from pipeline_assets.bathymetry.s44 import cell_max, thu_max, tvu_max
from pipeline_assets.bathymetry.soundings import Soundings
from pipeline_assets.bathymetry.surface import Grid, Surface


def tvu(surface: Surface, profile: Profile, own: Mask | None = None) -> Judged:
    """The uncertainty of each cell, at 95 %, is within the order's sqrt(a² + (b·depth)²).

    IHO S-44 ed. 6.1.0, table 1; as AusSeabed's MBES Grid Checks, which also take a negative uncertainty by its amount. A
    cell with a depth and no uncertainty fails, for nobody knows that it keeps the limit.
    """
    order, known = profile.limits, own_depths(surface, own)
    if not np.isfinite(surface.uncertainty[known]).any():
        return not_judged(
            "tvu", order.tvu_share, "the surface has no uncertainty. Deliver it with an uncertainty layer"
        )
    most = tvu_max(order, surface.depth)
    with np.errstate(invalid="ignore"):
        kept = np.abs(surface.uncertainty.astype(np.float64)) <= most
        excess = np.abs(surface.uncertainty.astype(np.float64)) / most
    return by_cells(
        "tvu", order.tvu_share, known, ~kept, f"are less certain than {order.title} allows",
        {"order": order.name, "a (m)": order.tvu_m, "b": order.tvu_of_depth, "worst of limit": _rounded(np.nanmax(excess[known]))},
    )  # fmt: skip


def thu(soundings: Soundings | Iterable[Soundings], grid: Grid, profile: Profile) -> Judged:
    """The horizontal uncertainty of accepted soundings, at 95 %, is within the order's limit. IHO S-44 ed. 6.1.0, table 1.

    soundings: all, or piece by piece. The share is of soundings; failing are the cells that hold one that exceeds it. Soundings that do not know theirs fail.
    """
    order = profile.limits
    if order.thu_m is None:
        return not_judged("thu", profile.thu_share, f"{order.title} states no limit")
    failing, is_known = np.zeros((grid.rows, grid.columns), dtype=np.bool_), False
    of = count = 0
    for piece in (soundings,) if isinstance(soundings, Soundings) else soundings:
        used = piece.accepted
        with np.errstate(invalid="ignore"):
            bad = used & ~(piece.thu <= thu_max(order, piece.depth))
        column = np.floor((piece.x[bad] - grid.west) / grid.cell)
        row = np.floor((grid.north - piece.y[bad]) / grid.cell)
        inside = (column >= 0) & (column < grid.columns) & (row >= 0) & (row < grid.rows)
        failing[row[inside].astype(np.int64), column[inside].astype(np.int64)] = True
        of, count = of + int(np.count_nonzero(used)), count + int(np.count_nonzero(bad))
        is_known |= bool(np.isfinite(piece.thu[used]).any())
    if not is_known:
        return not_judged("thu", profile.thu_share, "the soundings do not say their horizontal uncertainty")
    share = 1.0 - count / of
    return Judged(
        "thu", count <= (1.0 - profile.thu_share) * of + 1e-9 * of, share, profile.thu_share, failing,
        f"{count:,} of {of:,} soundings lie less surely than {order.title} allows; {share:.2%} keep the limit, "
        f"{profile.thu_share:.2%} must",
        {"soundings": of, "failing soundings": count, "order": order.name, "limit (m)": order.thu_m},
    )  # fmt: skip


def density(surface: Surface, profile: Profile, own: Mask | None = None) -> Judged:
    """Enough cells hold enough soundings. AusSeabed's MBES Grid Checks, density; NOAA's QC Tools have the same 95 %."""
    order = profile.limits
    if order.density_min is None:
        return not_judged("density", order.density_share, f"{order.title} asks no density")
    if not has_density(surface):
        return not_judged("density", order.density_share, "the surface has no density. Deliver it with a density layer")
    known = own_depths(surface, own)
    return by_cells(
        "density", order.density_share, known, surface.density < order.density_min,
        f"hold fewer than {order.density_min} soundings",
        {"least soundings": order.density_min, "median": _rounded(np.median(surface.density[known]))},
    )  # fmt: skip


def resolution(surface: Surface, profile: Profile, own: Mask | None = None) -> Judged:
    """Cells are no larger than half of the smallest feature that must be found at their depth.

    AusSeabed's MBES Grid Checks, resolution.
    """
    order = profile.limits
    if order.feature_m is None:
        return not_judged("resolution", profile.resolution_share, f"{order.title} asks no size of features")
    known = own_depths(surface, own)
    allowed = cell_max(order, surface.depth)
    with np.errstate(invalid="ignore"):
        failing = allowed < surface.grid.cell
    least = _rounded(allowed[known].min()) if known.any() else float("nan")
    return by_cells(
        "resolution", profile.resolution_share, known, failing, "are too coarse for the features of their depth",
        {"cell (m)": surface.grid.cell, "smallest allowed cell (m)": least},
    )  # fmt: skip


def _rounded(value: float | np.floating) -> float:
    return round(float(value), 4)
