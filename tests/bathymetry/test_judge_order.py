"""What an order asks of each cell: against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline_assets.bathymetry.judge import checks, order_checks
from pipeline_assets.bathymetry.judge.judged import by_cells
from pipeline_assets.bathymetry.judge.profiles import PROFILES, SURFACE_CHECKS, profile_of
from pipeline_assets.bathymetry.s44 import ORDERS
from tests.bathymetry.surfaces import NAN, hills, lines, surface


def test_a_cell_may_be_as_uncertain_as_its_order_allows_and_no_more() -> None:
    # Special Order at 40 m: sqrt(0.25² + (0.0075·40)²) = 0.390512 m.
    judged = order_checks.tvu(surface([[40.0, 40.0, NAN]], uncertainty=[[0.3905, 0.3906, 0.1]]), profile_of("special"))
    assert judged.failing is not None
    assert judged.failing.tolist() == [[False, True, False]]
    assert (judged.share, judged.threshold, judged.passed) == (0.5, 1.0, False)
    assert judged.metadata["worst of limit"] == pytest.approx(0.3906 / 0.390512, abs=1e-4)


def test_the_tvu_limit_takes_b_times_depth_not_b_alone() -> None:
    deep = surface([[1000.0]], uncertainty=13.0)
    assert order_checks.tvu(deep, profile_of("1a")).passed  # sqrt(0.5² + 13²) = 13.0096
    assert not order_checks.tvu(surface([[1000.0]], uncertainty=13.02), profile_of("1a")).passed


def test_noaa_holds_95_percent_and_changes_order_at_100_m() -> None:
    depth = np.full((1, 20), 30.0)
    uncertainty = np.full((1, 20), 0.1)
    uncertainty[0, 0] = 9.0
    assert order_checks.tvu(surface(depth, uncertainty=uncertainty), profile_of("noaa")).passed
    uncertainty[0, 1] = 9.0
    assert not order_checks.tvu(surface(depth, uncertainty=uncertainty), profile_of("noaa")).passed
    assert order_checks.tvu(surface([[100.0]], uncertainty=2.4), profile_of("noaa")).passed  # order 2: 2.508
    assert not order_checks.tvu(surface([[99.0]], uncertainty=2.4), profile_of("noaa")).passed  # order 1: 1.381


def test_a_negative_uncertainty_counts_by_its_amount_and_a_missing_one_fails() -> None:
    judged = order_checks.tvu(surface([[10.0, 10.0, 10.0]], uncertainty=[[-5.0, NAN, 0.1]]), profile_of("1a"))
    assert judged.failing is not None
    assert judged.failing.tolist() == [[True, True, False]]


def test_without_uncertainty_or_density_a_check_is_not_made_and_says_why() -> None:
    bare = surface([[10.0, 11.0]], uncertainty=NAN, density=0)
    for judged, what in (
        (order_checks.tvu(bare, profile_of("1a")), "has no uncertainty"),
        (order_checks.density(bare, profile_of("1a")), "has no density"),
    ):
        assert not judged.passed
        assert what in judged.not_judged
        assert "Deliver it with" in judged.message
        assert checks.state_of(judged, profile_of("1a")) == "fail"


def test_95_percent_of_the_cells_need_their_soundings() -> None:
    density = np.full((1, 20), 5)
    density[0, 0] = 4
    assert order_checks.density(surface(np.full((1, 20), 9.0), density=density), profile_of("1a")).passed
    density[0, 1] = 4
    judged = order_checks.density(surface(np.full((1, 20), 9.0), density=density), profile_of("1a"))
    assert (judged.passed, judged.share) == (False, pytest.approx(0.9))
    assert judged.failing is not None
    assert np.flatnonzero(judged.failing).tolist() == [0, 1]
    assert not order_checks.density(surface(np.full((1, 20), 9.0), density=8), profile_of("special")).passed
    assert order_checks.density(surface([[9.0]]), profile_of("1b")).not_judged


def test_cells_are_at_most_half_a_feature() -> None:
    depth = [[10.0, 39.9, 40.0, 100.0]]
    one = order_checks.resolution(surface(depth, cell=1.0), profile_of("1a"))  # features of 2, 2, 4, 10 m
    assert one.passed
    judged = order_checks.resolution(surface(depth, cell=2.0), profile_of("1a"))
    assert judged.failing is not None
    assert judged.failing.tolist() == [[True, True, False, False]]
    assert not order_checks.resolution(surface([[50.0]], cell=0.6), profile_of("hipp1")).passed  # 2 % of 50 m is 1 m
    assert order_checks.resolution(surface([[50.0]], cell=0.5), profile_of("hipp1")).passed
    assert order_checks.resolution(surface([[50.0]]), profile_of("2")).not_judged


def test_thu_is_judged_of_accepted_soundings_and_shown_on_the_cells_that_hold_them() -> None:
    soundings = lines(thu=0.5)
    place = hills()
    assert order_checks.thu(soundings, place.grid, profile_of("special")).passed
    soundings.thu[:] = 2.01
    judged = order_checks.thu(soundings, place.grid, profile_of("special"))
    assert (judged.passed, judged.share) == (False, 0.0)
    assert judged.metadata["failing soundings"] == int(soundings.accepted.sum())
    assert judged.failing is not None
    x, y = soundings.x[soundings.accepted][0], soundings.y[soundings.accepted][0]
    assert judged.failing[int(place.grid.north - y), int(x - place.grid.west)]
    assert not judged.failing[50:].any()
    # Order 1a: 5 m and 5 % of the depth.
    soundings.thu[:] = 5.7
    assert order_checks.thu(soundings, place.grid, profile_of("1a")).passed
    soundings.thu[:] = NAN
    assert "horizontal uncertainty" in order_checks.thu(soundings, place.grid, profile_of("1a")).not_judged
    assert "states no limit" in order_checks.thu(soundings, place.grid, profile_of("hipp1")).not_judged


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_judges_a_sound_surface_and_passes_it(name: str) -> None:
    judged = checks.judge_surface(hills(cell=0.25), profile_of(name), lines(thu=0.4))
    assert [one.name for one in judged if one.name != "thu"] == list(profile_of(name).asked)
    assert {one.name for one in judged} <= set(checks.CHECKS)
    assert not checks.blocks(judged, profile_of(name)), [one.message for one in judged]


def test_profiles_are_whole() -> None:
    for profile in PROFILES.values():
        assert profile.order in ORDERS
        assert profile.blocking <= {*SURFACE_CHECKS, "thu"}
        assert not profile.blocking & profile.without
    with pytest.raises(ValueError, match="no profile is called 'S44'; expected one of: exclusive, special"):
        profile_of("S44")


def test_blocking_and_warning_are_the_profiles_word() -> None:
    coarse = checks.judge_surface(hills(cell=3.0), profile_of("1a"))
    states = {one.name: checks.state_of(one, profile_of("1a")) for one in coarse}
    assert states["resolution"] == "warning"
    strict = checks.judge_surface(hills(cell=3.0), profile_of("special"))
    assert [one.name for one in checks.blocks(strict, profile_of("special"))] == ["resolution"]


def test_19_of_20_cells_are_95_percent() -> None:
    failing = np.zeros((4, 5), dtype=bool)
    failing[0, 0] = True
    assert by_cells("density", 0.95, np.ones((4, 5), dtype=bool), failing, "").passed
