"""Whether an uncertainty can be one, and whether a surface lies where and how it says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline_assets.bathymetry.judge.judged import Judged, Mask, by_cells, by_rules, not_judged, own_depths
from pipeline_assets.bathymetry.judge.profiles import Profile
from pipeline_assets.bathymetry.surface import Surface
from pipeline_assets.bathymetry.vertical_datums import is_declared

NBS_UNCERTAINTY_M, NBS_UNCERTAINTY_OF_DEPTH = 4.0, 0.1
"""More uncertainty than 4 m and a tenth of the greatest depth is an error. NOAA's QC Tools, BAG Checks, NBS profile."""
DEGREES_BEYOND = 1.0
"""How far a survey may reach beyond the area of its CRS, degrees. Our own: a survey on the seam of two zones uses one."""
DEGREES_APART = 0.05
"""How far a surface may lie from the positions that it was made of, degrees. Our own."""


def uncertainty_sanity(surface: Surface, profile: Profile, own: Mask | None = None) -> Judged:
    """Every depth has an uncertainty, above zero, that is no larger than 4 m and a tenth of the greatest depth.

    NOAA's QC Tools, BAG Checks, of the NBS profile. Shown, and no failure: that all are one and the same.
    """
    known = own_depths(surface, own)
    values = surface.uncertainty
    if not known.any() or not np.isfinite(values[known]).any():
        return not_judged(
            "uncertainty_sanity", 1.0, "the surface has no uncertainty. Deliver it with an uncertainty layer"
        )
    most = NBS_UNCERTAINTY_M + NBS_UNCERTAINTY_OF_DEPTH * float(np.abs(surface.depth[known]).max())
    with np.errstate(invalid="ignore"):
        kept = (values > 0.0) & (values <= most)
        negative = int(np.count_nonzero(values[known] <= 0.0))
        too_large = int(np.count_nonzero(values[known] > most))
    constant = int(np.count_nonzero(known)) > 1 and float(np.ptp(values[known])) == 0.0
    return by_cells(
        "uncertainty_sanity", 1.0, known, ~kept, "have no uncertainty, one of zero or less, or one that is too large",
        {
            "missing": int(np.count_nonzero(np.isnan(values[known]))), "zero or less": negative, "too large": too_large,
            "most (m)": round(most, 3), "the same everywhere": str(constant).lower(),
        },
    )  # fmt: skip


def crs_and_datum(
    surface: Surface, profile: Profile, positions: tuple[float, float, float, float] | None = None
) -> Judged:
    """The CRS is projected, in metres, and of the place; a vertical datum is declared; depths are positive down.

    positions: west, south, east, north of the data's own longitudes and latitudes, degrees, as far as they are known. A
    wrong UTM zone or hemisphere shows as a place beyond the area of the CRS, or away from these positions.
    """
    problems, place = _place_problems(surface, positions)
    if not is_declared(surface.vertical_datum):
        problems.append(
            "No vertical datum is declared; expected one such as MSL, LAT or Ellipsoid. Declare it with the survey."
        )
    known = surface.depth[np.isfinite(surface.depth)]
    negative = float(np.count_nonzero(known < 0.0)) / known.size if known.size else 0.0
    # Heights of the ellipsoid run either way.
    if negative > 0.5 and "ellips" not in surface.vertical_datum.lower():
        problems.append(
            f"{negative:.0%} of the depths are negative; expected depths positive down. Turn the sign of the surface."
        )
    return by_rules("crs_and_datum", problems, {
        "crs": surface.grid.crs[:80], "vertical datum": surface.vertical_datum, "negative depths": round(negative, 6), **place,
    })  # fmt: skip


def _place_problems(
    surface: Surface, positions: tuple[float, float, float, float] | None
) -> tuple[list[str], dict[str, float]]:
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        crs = CRS.from_user_input(surface.grid.crs)
    except CRSError:
        return [f"The CRS {surface.grid.crs[:80]!r} is unknown; expected one such as EPSG:32755."], {}
    if not crs.is_projected or any(axis.unit_name != "metre" for axis in crs.axis_info[:2]):
        return [
            f"The CRS is {crs.name}; expected a projected one in metres, such as a UTM zone. Project the surface."
        ], {}
    west, south, east, north = lonlat_bounds(surface)
    if not np.isfinite([west, south, east, north]).all():
        return [f"The surface lies outside of what {crs.name} can project. Look at its origin and its CRS."], {}
    place = {
        name: round(value, 4)
        for name, value in zip(("west", "south", "east", "north"), (west, south, east, north), strict=True)
    }
    problems = []
    area = crs.area_of_use
    if area is not None and not _is_within((west, south, east, north), area.bounds):
        problems.append(
            f"The surface lies at longitude {west:.3f} to {east:.3f}, latitude {south:.3f} to {north:.3f}, which is not in the "
            f"area of {crs.name} ({area.name[:80]}). {_better(west, east, south, north)}"
        )
    if positions is not None and not _is_within((west, south, east, north), positions, DEGREES_APART):
        problems.append(
            f"The surface lies at longitude {west:.3f} to {east:.3f}, latitude {south:.3f} to {north:.3f}, away from the data's "
            f"own positions ({positions[0]:.3f} to {positions[2]:.3f}, {positions[1]:.3f} to {positions[3]:.3f}). "
            f"{_better(positions[0], positions[2], positions[1], positions[3])}"
        )
    return problems, place


def lonlat_bounds(surface: Surface) -> tuple[float, float, float, float]:
    """West, south, east, north of the grid's outline, degrees; infinite where it cannot be projected.

    Where it crosses the date line, east is more than 180.
    """
    from pyproj import Transformer

    grid = surface.grid
    along, down = np.linspace(0.0, 1.0, 9), np.linspace(0.0, 1.0, 9)
    x, y = np.meshgrid(grid.west + along * grid.columns * grid.cell, grid.north - down * grid.rows * grid.cell)
    lon, lat = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform(x.ravel(), y.ravel())
    if np.isfinite(lon).all() and float(np.ptp(lon)) > 180.0:
        lon = np.where(np.asarray(lon) < 0.0, np.asarray(lon) + 360.0, lon)
    return float(np.min(lon)), float(np.min(lat)), float(np.max(lon)), float(np.max(lat))


def _is_within(place: tuple[float, float, float, float], area: Sequence[float], beyond: float = DEGREES_BEYOND) -> bool:
    west, south, east, north = area
    if south - beyond > place[1] or place[3] > north + beyond:
        return False
    if east < west:
        east += 360.0
    return any(west - beyond <= place[0] + turn and place[2] + turn <= east + beyond for turn in (-360.0, 0.0, 360.0))


def _better(west: float, east: float, south: float, north: float) -> str:
    """Which UTM zone would do for that place."""
    middle, latitude = (west + east) / 2.0, (south + north) / 2.0
    if not -80.0 <= latitude <= 84.0:
        return "Look at the CRS and its hemisphere."
    zone = int(((middle + 180.0) % 360.0) // 6.0) + 1
    return (
        f"By its positions it is UTM zone {zone}{'N' if latitude >= 0 else 'S'} "
        f"(EPSG:{(32600 if latitude >= 0 else 32700) + zone}). Look at zone and hemisphere."
    )
