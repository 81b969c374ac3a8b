"""Uncertainties that cannot be, wrong zones and hemispheres, swapped signs, undeclared datums."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline_assets.bathymetry.judge.profiles import profile_of
from pipeline_assets.bathymetry.judge.sanity import crs_and_datum, lonlat_bounds, uncertainty_sanity
from tests.bathymetry.surfaces import NAN, hills, surface

ANY = profile_of("1a")
HERE = (146.9, -38.1, 147.1, -37.9)


def test_a_sound_surface_is_sound() -> None:
    place = hills()
    assert uncertainty_sanity(place, ANY).passed
    judged = crs_and_datum(place, ANY, HERE)
    assert judged.passed, judged.message
    assert judged.metadata["west"] == pytest.approx(147.0, abs=1e-3)


def test_uncertainties_of_zero_less_none_or_too_much_are_told_apart() -> None:
    # The most is 4 m and a tenth of 20 m.
    judged = uncertainty_sanity(surface([[20.0] * 5], uncertainty=[[0.1, 0.0, -1.0, NAN, 6.1]]), ANY)
    found = judged.metadata
    assert (found["missing"], found["zero or less"], found["too large"], found["most (m)"]) == (1, 2, 1, 6.0)
    assert judged.failing is not None
    assert judged.failing.tolist() == [[False, True, True, True, True]]
    assert uncertainty_sanity(surface([[20.0, 21.0]], uncertainty=0.2), ANY).metadata["the same everywhere"] == "true"
    assert uncertainty_sanity(surface([[20.0]], uncertainty=NAN), ANY).not_judged


def test_the_northern_zone_for_a_southern_survey_is_found_by_its_northings() -> None:
    """A real run used EPSG:32655 for a survey of zone 55S, and had northings of -4,354,453."""
    judged = crs_and_datum(hills(crs="EPSG:32655", north=-4_354_453.0), ANY)
    assert not judged.passed
    assert "not in the area of WGS 84 / UTM zone 55N" in judged.message
    assert "UTM zone 55S (EPSG:32755)" in judged.message


def test_a_hemisphere_or_zone_that_is_possible_is_found_by_the_datas_own_positions() -> None:
    for wrong in ("EPSG:32655", "EPSG:32756"):
        place = hills(crs=wrong)
        assert crs_and_datum(place, ANY).passed
        judged = crs_and_datum(place, ANY, HERE)
        assert not judged.passed
        assert "away from the data's own positions" in judged.message
        assert "UTM zone 55S (EPSG:32755)" in judged.message


@pytest.mark.parametrize(
    ("crs", "said"),
    [("EPSG:4326", "expected a projected one in metres"), ("EPSG:2263", "expected a projected one in metres"), ("EPSG:1", "is unknown")],
)  # fmt: skip
def test_a_crs_in_degrees_feet_or_of_no_meaning_is_a_problem(crs: str, said: str) -> None:
    assert said in crs_and_datum(hills(crs=crs), ANY).message


def test_a_place_beyond_any_projection_is_a_problem() -> None:
    judged = crs_and_datum(hills(west=1e12), ANY)
    assert not judged.passed
    assert "Look at its origin" in judged.message or "not in the area" in judged.message


@pytest.mark.parametrize("datum", ["", "unknown", "//", " Undefined "])
def test_the_vertical_datum_is_declared(datum: str) -> None:
    assert "No vertical datum is declared" in crs_and_datum(hills(vertical_datum=datum), ANY).message


def test_depths_are_positive_down_unless_they_are_heights_of_the_ellipsoid() -> None:
    turned = surface(-hills().depth)
    assert "Turn the sign" in crs_and_datum(turned, ANY).message
    assert crs_and_datum(surface(-hills().depth, vertical_datum="Ellipsoid"), ANY).passed
    drying = np.full((10, 10), 3.0)
    drying[:4] = -1.0
    assert crs_and_datum(surface(drying), ANY).passed


def test_a_survey_on_the_date_line_is_at_home_in_both_zones() -> None:
    # 180° in zone 60S is at about x = 833,000 m, latitude 18° S.
    place = hills(crs="EPSG:32760", west=817_400.0, north=8_007_800.0, cell=100.0)
    west, _, east, _ = lonlat_bounds(place)
    assert west < 180.0 < east < 181.0
    assert crs_and_datum(place, ANY).passed
    assert crs_and_datum(place, ANY, (179.9, -18.2, -179.9, -17.9)).passed
    assert not crs_and_datum(place, ANY, (169.9, -18.2, 170.1, -17.9)).passed
