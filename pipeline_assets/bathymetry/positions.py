"""Positions: from latitudes and longitudes to a projected CRS, and whether they can be where the CRS says."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.bathymetry.config import BathymetryConfig, Declared
from pipeline_assets.bathymetry.crs_names import horizontal, means_the_same, named
from pipeline_assets.landed_file import Refused

if TYPE_CHECKING:
    from pyproj import CRS, Transformer

Array = NDArray[np.float64]
_MOST_LOOKED_AT = 2_000
_STEP_DEG = 1e-4
# WGS 84; other ellipsoids differ by some 0.1 m in 10 km.
_A, _E2 = 6_378_137.0, 0.006_694_379_990_141


@lru_cache(maxsize=64)
def projected(code: str) -> CRS:
    """The projected CRS in metres of an EPSG code, or of WKT. Raises Refused `bad_crs`."""
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        crs = CRS.from_user_input(code)
    except CRSError as error:
        raise Refused("bad_crs", f"EPSG has no {code}. Declare the CRS of the survey, such as EPSG:32755.") from error
    units = {axis.unit_name for axis in crs.axis_info[:2]}
    if not crs.is_projected or units != {"metre"}:
        raise Refused(
            "bad_crs",
            f"{_called(code)} ({crs.name}) is no projected CRS in metres. Declare one that soundings can be gridded in, such as "
            "the UTM zone EPSG:32755, and project the file to it where it is the file's own.",
        )
    return crs


@lru_cache(maxsize=64)
def _geographic(code: str) -> CRS:
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        crs = CRS.from_user_input(code)
    except CRSError as error:
        raise Refused("bad_crs", f"EPSG has no {code}. Declare position_crs, such as EPSG:4326.") from error
    if not crs.is_geographic:
        raise Refused("bad_crs", f"position_crs {code} ({crs.name}) has no latitudes and longitudes; see EPSG:4326.")
    return crs


@lru_cache(maxsize=64)
def _between(source: str, target: str) -> Transformer:
    """From longitude, latitude to easting, northing."""
    from pyproj import Transformer

    return Transformer.from_crs(_geographic(source), projected(target), always_xy=True)


def utm_zone(longitude: float, latitude: float) -> str:
    """EPSG code of the UTM zone on WGS 84 of a position, by the rule of six degrees (without Norway's exceptions)."""
    zone = int((longitude + 180.0) // 6.0) % 60 + 1
    return f"EPSG:{(32600 if latitude >= 0 else 32700) + zone}"


def forward(longitude: Array, latitude: Array, declared: Declared, crs: str) -> tuple[Array, Array]:
    """Easting and northing, m; infinite where the projection has none."""
    x, y = _between(declared.position_crs, crs).transform(longitude, latitude)
    return np.asarray(x, np.float64), np.asarray(y, np.float64)


def axes_at(longitude: Array, latitude: Array, declared: Declared, crs: str) -> tuple[Array, Array, Array]:
    """Position in the projection, and what a metre to the east and one to the north on the ground are there.

    Gives the position (2, n), the step to the east (2, n) and the step to the north (2, n), in m. Offsets of soundings from
    their ping that are laid off along these steps lie on geodesics, within 1 mm at 500 m.
    """
    phi = np.deg2rad(latitude)
    w2 = 1.0 - _E2 * np.sin(phi) ** 2
    north_m = np.deg2rad(_STEP_DEG) * _A * (1.0 - _E2) / w2**1.5
    east_m = np.deg2rad(_STEP_DEG) * _A / np.sqrt(w2) * np.cos(phi)
    here = np.stack(forward(longitude, latitude, declared, crs))
    ahead = np.where(latitude > 0, -_STEP_DEG, _STEP_DEG)
    to_east = np.stack(forward(longitude + _STEP_DEG, latitude, declared, crs)) - here
    to_west = here - np.stack(forward(longitude - _STEP_DEG, latitude, declared, crs))
    to_north = (np.stack(forward(longitude, latitude + ahead, declared, crs)) - here) * np.sign(ahead)
    return here, (to_east + to_west) / (2.0 * east_m), to_north / north_m


def on_geodesics(
    longitude: Array, latitude: Array, course: Array, distance: Array, declared: Declared, crs: str
) -> tuple[Array, Array]:
    """Easting and northing, m, of where one comes by these courses (degrees from north) and distances (m)."""
    geod = _geographic(declared.position_crs).get_geod()
    assert geod is not None
    there = geod.fwd(longitude, latitude, course, distance)
    return forward(np.asarray(there[0]), np.asarray(there[1]), declared, crs)


def crs_of_positions(longitude: Array, latitude: Array, declared: Declared, config: BathymetryConfig) -> str:
    """The CRS that positions in latitude and longitude are brought to. Raises Refused if it is for another place."""
    if declared.crs is None:
        check_place(longitude, latitude, declared, config, None)
        return utm_zone(float(longitude[0]), float(latitude[0]))
    check_place(longitude, latitude, declared, config, declared.crs)
    return declared.crs


def crs_of_grid(x: Array, y: Array, declared: Declared, config: BathymetryConfig, own: str | None, whose: str) -> str:
    """The CRS of eastings and northings: what is declared, or what the file itself says.

    own: what the file says, if it does: a code, or WKT, for which a code is looked for that means the same. Raises Refused
    if nobody says it, both say different things, or the positions cannot be in it.
    """
    if own is not None and not own.startswith("EPSG:"):
        own = _known_as(own, x, y, declared.crs)
    if declared.crs is None and own is None:
        raise Refused(
            "no_crs",
            f"{whose} has eastings and northings, and nobody says in which CRS. Land a survey.json beside it, such as "
            '{"crs": "EPSG:32755", "vertical_datum": "MSL"}.',
        )
    if declared.crs is not None and own is not None and declared.crs != own:
        raise Refused(
            "crs_mismatch",
            f"{whose} says that its positions are in {own[:80]}, and {declared.crs} is declared of the survey. Correct the one "
            "or the other.",
        )
    code = declared.crs or own or ""
    longitude, latitude = _backward(*_some(x, y), declared, code)
    if (
        not np.isfinite(longitude).all()
        or not np.isfinite(latitude).all()
        or not _inside(longitude, latitude, code, config)
    ):
        _refuse_swapped(x, y, declared, code, config)
    check_place(longitude, latitude, declared, config, code)
    return code


def _known_as(wkt: str, x: Array, y: Array, declared: str | None) -> str:
    """What a file's WKT is called: as declared where that is the same, else by the code of EPSG that is, else it remains WKT."""
    from pyproj import CRS
    from pyproj.exceptions import ProjError

    try:
        crs, (some_x, some_y) = horizontal(CRS.from_user_input(wkt)), _some(x, y)
        if declared is not None and means_the_same(crs, declared, some_x, some_y):
            return declared
        return named(crs, some_x, some_y)
    except ProjError as error:
        raise Refused(
            "bad_crs",
            f"PROJ cannot bring positions from the CRS of the file to longitudes and latitudes: {str(error)[:200]}. Project the "
            "file to the CRS of the survey, such as EPSG:32755.",
        ) from error


def _called(code: str) -> str:
    return code if code.startswith("EPSG:") else "the CRS of the file"


def check_place(
    longitude: Array, latitude: Array, declared: Declared, config: BathymetryConfig, code: str | None
) -> None:
    """Refused unless the positions are where the CRS is made for, and in the declared extent."""
    longitude, latitude = _some(longitude, latitude)
    if code is not None and not _inside(longitude, latitude, code, config):
        raise _elsewhere(longitude, latitude, code)
    if declared.extent is not None:
        west, south, east, north = declared.extent
        width = (east - west) % 360.0 or 360.0
        outside = ((longitude - west) % 360.0 > width) | (latitude < south) | (latitude > north)
        if outside.any():
            at = int(np.argmax(outside))
            raise Refused(
                "outside_extent",
                f"{int(outside.sum())} of {len(longitude)} positions looked at are outside of the declared extent "
                f"{declared.extent}; the first is {_place(longitude[at], latitude[at])}. Correct the extent, or the CRS or "
                "zone of the file.",
            )


def _some(one: Array, other: Array) -> tuple[Array, Array]:
    """Positions evenly spread over all, and the outermost ones."""
    step = max(1, len(one) // _MOST_LOOKED_AT)
    outermost = [int(f(array)) for array in (one, other) for f in (np.argmin, np.argmax)]
    at = np.unique(np.concatenate([np.arange(0, len(one), step), outermost]))
    return one[at], other[at]


def _backward(x: Array, y: Array, declared: Declared, code: str) -> tuple[Array, Array]:
    longitude, latitude = _between(declared.position_crs, code).transform(x, y, direction="INVERSE")
    return np.asarray(longitude), np.asarray(latitude)


def box_of(x: Array, y: Array, declared: Declared, code: str) -> tuple[float, float, float, float]:
    """West, south, east, north of positions in the projection, degrees, from a sample of them and the outermost."""
    longitude, latitude = _backward(*_some(x, y), declared, code)
    return float(longitude.min()), float(latitude.min()), float(longitude.max()), float(latitude.max())


def _inside(longitude: Array, latitude: Array, code: str, config: BathymetryConfig) -> bool:
    area: Any = projected(code).area_of_use
    if area is None:
        return True
    margin = config.zone_margin_deg
    width = (area.east - area.west) % 360.0 or 360.0
    away = (longitude - area.west + margin) % 360.0
    near = width + 2 * margin >= 360.0 or bool((away <= width + 2 * margin).all())
    # A zone that ends at the equator is the other hemisphere's beyond it, so there is little margin.
    south = area.south - (margin if area.south != 0 else 0.05)
    north = area.north + (margin if area.north != 0 else 0.05)
    return near and bool(((latitude >= south) & (latitude <= north)).all())


def _elsewhere(longitude: Array, latitude: Array, code: str) -> Refused:
    crs, (middle_x, middle_y) = projected(code), (float(np.median(longitude)), float(np.median(latitude)))
    area: Any = crs.area_of_use
    should = utm_zone(middle_x, middle_y)
    says = (
        f"positions are around {_place(middle_x, middle_y)}, and {_called(code)} ({crs.name}) is for "
        f"{area.west:g} to {area.east:g} degrees east and {area.south:g} to {area.north:g} degrees north"
    )
    fitting = f"The UTM zone of such positions is {should} (on WGS 84)."
    if middle_y < area.south or middle_y > area.north:
        return Refused("wrong_hemisphere", f"{says}: the other hemisphere. {fitting} Declare the right one.")
    return Refused("wrong_zone", f"{says}. {fitting} Declare the right one.")


def _refuse_swapped(x: Array, y: Array, declared: Declared, code: str, config: BathymetryConfig) -> None:
    swapped_x, swapped_y = _some(x, y)
    turned = _backward(swapped_y, swapped_x, declared, code)
    if all(np.isfinite(one).all() for one in turned) and _inside(*turned, code, config):
        raise Refused(
            "swapped_axes",
            f"with {float(np.median(x)):,.0f} east and {float(np.median(y)):,.0f} north the positions cannot be in {_called(code)}, but "
            "could if northings came first. Say which column is which: `columns` in survey.json.",
        )
    there = _backward(swapped_x, swapped_y, declared, code)
    if not all(np.isfinite(one).all() for one in there):
        raise Refused(
            "wrong_zone",
            f"{float(np.median(x)):,.0f} east and {float(np.median(y)):,.0f} north is nowhere in {_called(code)} "
            f"({projected(code).name}). Declare the CRS that the positions are in.",
        )


def _place(longitude: float, latitude: float) -> str:
    if not (math.isfinite(longitude) and math.isfinite(latitude)):
        return "nowhere"
    return f"{abs(latitude):.2f}{'N' if latitude >= 0 else 'S'} {abs(longitude):.2f}{'E' if longitude >= 0 else 'W'}"


def check_sign(
    depth: Array, accepted: NDArray[np.bool_], positive: str, declared: Declared, config: BathymetryConfig
) -> None:
    """Refused `wrong_sign` for depths that are mostly above the datum. Below an ellipsoid they may be.

    positive: which way the file's values were taken to point, up or down.
    """
    counted = depth[accepted] if accepted.any() else depth
    share = float((counted < 0).mean()) if len(counted) else 0.0
    if declared.ellipsoidal or share < config.wrong_sign_share:
        return
    other = "up" if positive == "down" else "down"
    raise Refused(
        "wrong_sign",
        f"{share:.0%} of the soundings are above the vertical datum (the median depth is {float(np.median(counted)):.1f} m). "
        f'If the file has heights instead of depths or the other way round, declare "positive": "{other}" in survey.json; '
        'if its datum is an ellipsoid, "ellipsoidal": true.',
    )
