"""CUBE: what it makes of a known sea floor, and that it is the published algorithm."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline_assets.bathymetry.grid.config import CubeParameters, GridConfig
from pipeline_assets.bathymetry.grid.engine import grid
from pipeline_assets.bathymetry.grid.points import radius_of, reach_of, variance_allowed
from pipeline_assets.bathymetry.soundings import Soundings
from pipeline_assets.bathymetry.surface import Surface
from tests.bathymetry.made_survey import SOUTH, WEST, at_node, centers, floor, made_survey, soundings
from tests.bathymetry.plain_node import Node

SIZE = 400


@pytest.fixture(scope="module")
def survey() -> Soundings:
    return made_survey(SIZE, seed=1)


@pytest.fixture(scope="module")
def surface(survey: Soundings) -> Surface:
    return grid(survey, GridConfig())


def test_a_known_floor_comes_out(survey: Soundings, surface: Surface) -> None:
    off = surface.depth - floor(*centers(surface.grid))
    held = ~np.isnan(surface.depth)
    assert math.sqrt(np.mean(off[held] ** 2)) <= 0.03
    assert np.abs(off[held]).max() <= 0.5
    assert np.mean(np.abs(off[held]) <= surface.uncertainty[held]) >= 0.95
    assert surface.uncertainty[held].max() < 1.0


def test_every_cell_with_data_is_filled(survey: Soundings, surface: Surface) -> None:
    one = surface.grid
    row = np.floor((one.north - survey.y[survey.accepted]) / one.cell).astype(int)
    column = np.floor((survey.x[survey.accepted] - one.west) / one.cell).astype(int)
    counts = np.zeros((one.rows, one.columns), int)
    np.add.at(counts, (row, column), 1)
    assert (one.rows, one.columns) == (SIZE, SIZE)
    assert not np.isnan(surface.depth[counts > 0]).any()
    assert 50 < (counts == 0).sum() < 100
    assert 30 < np.isnan(surface.depth).sum() < 90
    filled = ~np.isnan(surface.depth)
    for layer in (surface.uncertainty, surface.shoal):
        assert np.array_equal(~np.isnan(layer), filled)
    for numbers in (surface.density, surface.hypotheses):
        assert np.array_equal(numbers > 0, filled)


def test_fliers_become_hypotheses_that_are_not_taken(survey: Soundings, surface: Surface) -> None:
    truth = floor(*centers(surface.grid))
    assert (surface.hypotheses > 1).any()
    # Rejected soundings are 50 m deeper; fliers 3 m off at least. The shoal is of the soundings of the depth that is taken.
    assert np.nanmax(np.abs(surface.depth - truth)) < 0.5
    assert np.nanmin(surface.shoal - truth) > -1.5


@pytest.mark.parametrize(("order", "a", "b"), [("special", 0.25, 0.0075), ("1a", 0.5, 0.013), ("2", 1.0, 0.023)])
def test_the_budget_is_of_squared_terms(order: str, a: float, b: float) -> None:
    reach = reach_of(GridConfig(order=order), 1.0)
    for depth in (0.5, 20.0, 400.0):
        assert variance_allowed(depth, reach) == pytest.approx((a**2 + (b * depth) ** 2) / 1.96**2, rel=1e-12)


def test_the_budget_of_noaa_changes_with_depth() -> None:
    reach = reach_of(GridConfig(order="noaa"), 1.0)
    assert variance_allowed(99.0, reach) == pytest.approx((0.5**2 + (0.013 * 99) ** 2) / 1.96**2)
    assert variance_allowed(101.0, reach) == pytest.approx((1.0**2 + (0.023 * 101) ** 2) / 1.96**2)


def test_how_far_a_sounding_counts() -> None:
    reach = reach_of(GridConfig(order="special"), 1.0)
    v = 0.01
    # Sure of its place: one cell, and where water is shallow no further than the capture distance.
    assert radius_of(30.0, v, 0.1, reach) == 1.0
    assert radius_of(16.0, v, 0.1, reach) == pytest.approx(0.8)
    assert radius_of(5.0, v, 0.1, reach) == pytest.approx(0.7072)
    # Unsure of it: as far as its budget lasts, less that uncertainty, at most that far.
    allowed = (0.25**2 + (0.0075 * 400) ** 2) / 1.96**2
    lasts = math.sqrt(allowed / v - 1) - 2.576 * 1.5
    assert radius_of(400.0, v, 1.5, reach) == pytest.approx(min(lasts, 2.576 * 1.5))
    assert lasts > 2.576 * 1.5
    narrow = allowed / 40
    assert radius_of(400.0, narrow, 1.5, reach) == pytest.approx(math.sqrt(39) - 2.576 * 1.5)


@pytest.mark.parametrize("count", [1, 2, 5, 10, 11, 12, 13, 40])
def test_the_queue_is_flushed(count: int) -> None:
    surface = grid(at_node(20 + 0.01 * np.arange(count), tvu=0.2, thu=0.0), GridConfig())
    assert surface.depth.shape == (1, 1)
    assert surface.density[0, 0] == count
    assert surface.depth[0, 0] == pytest.approx(20 + 0.005 * (count - 1), abs=1e-5)
    assert surface.shoal[0, 0] == np.float32(20)


def test_uncertainties_are_given_and_taken_at_95_percent() -> None:
    one = grid(at_node([20.0], tvu=0.5, thu=0.0), GridConfig())
    assert one.uncertainty[0, 0] == pytest.approx(0.5, rel=1e-6)
    assert np.isnan(one.std_dev[0, 0])
    nine = grid(at_node([20.0] * 9, tvu=0.5, thu=0.0), GridConfig())
    assert nine.uncertainty[0, 0] == pytest.approx(0.5 / 3, rel=1e-6)
    # A position uncertain by 0.4 m (standard deviation) is a distance more: 2.95 · 0.4 m on cells of 1 m.
    far = grid(at_node([20.0], tvu=0.5, thu=0.4 * 2.45), GridConfig())
    assert far.uncertainty[0, 0] == pytest.approx(0.5 * math.sqrt(1 + (2.95 * 0.4) ** 2), rel=1e-6)


def test_distance_dilutes_from_the_centre_of_the_cell() -> None:
    one = grid(soundings([WEST + 0.8], [SOUTH + 0.1], [10.0], tvu=0.5, thu=0.0), GridConfig())
    assert one.uncertainty[0, 0] == pytest.approx(0.5 * math.sqrt(1 + 0.3**2 + 0.4**2), rel=1e-6)


def test_an_unknown_uncertainty_is_what_the_order_allows() -> None:
    one = grid(at_node([20.0]), GridConfig(order="special"))
    assert one.uncertainty[0, 0] == pytest.approx(math.hypot(0.25, 0.0075 * 20), rel=1e-6)
    for nonsense in (0.0, -1.0, math.inf):
        assert (
            grid(at_node([20.0], tvu=nonsense, thu=nonsense), GridConfig(order="special")).uncertainty
            == one.uncertainty
        )


def test_which_uncertainty_is_told() -> None:
    depths = 20 + 0.3 * np.array([-1, 1] * 10)
    spread = 1.96 * np.std(depths, ddof=1)
    told = {
        what: float(
            grid(at_node(depths, tvu=1.0, thu=0.0), GridConfig(cube=CubeParameters(uncertainty=what))).uncertainty[0, 0]
        )
        for what in ("posterior", "sample", "greater")
    }
    assert told["posterior"] == pytest.approx(1.0 / math.sqrt(20), rel=1e-5)
    assert told["sample"] == told["greater"] == pytest.approx(spread, rel=1e-5)
    alone = grid(at_node([20.0], tvu=0.5, thu=0.0), GridConfig(cube=CubeParameters(uncertainty="sample")))
    assert alone.uncertainty[0, 0] == pytest.approx(0.5, rel=1e-6)


def test_where_surroundings_are_looked_for() -> None:
    cube = CubeParameters()
    assert [cube.locale_rings(cell) for cell in (0.5, 1.0, 2.0, 5.0, 50.0)] == [
        (10, 20),
        (5, 10),
        (2, 5),
        (1, 2),
        (1, 1),
    ]
    assert CubeParameters(locale_radius_cells=1).locale_rings(0.5) == (1, 1)


def _school_of_fish() -> Soundings:
    """A floor at 30 m, seen thrice a cell; over 5 x 5 cells, and not around them, more soundings of fish at 22 m."""
    row, column = (one.ravel() for one in np.indices((31, 31)))
    fish = (abs(row - 15) <= 2) & (abs(column - 15) <= 2)
    of_floor, of_fish = np.repeat(np.arange(row.size), 3), np.repeat(np.flatnonzero(fish), 4)
    both = np.concatenate([of_floor, of_fish])
    depth = np.concatenate([np.full(of_floor.size, 30.0), np.full(of_fish.size, 22.0)])
    return soundings(WEST + column[both] + 0.5, SOUTH + row[both] + 0.5, depth, tvu=0.2, thu=0.0)


@pytest.mark.parametrize(
    ("cube", "depth"),
    [
        (CubeParameters(disambiguation="density"), 22),
        (CubeParameters(disambiguation="prior"), 22),
        # As published: 5 to 10 m away, beyond the fish.
        (CubeParameters(disambiguation="locale"), 30),
        (CubeParameters(disambiguation="density_locale"), 30),
        # The nearest ring of cells alone is fish, too, and as unsure.
        (CubeParameters(disambiguation="locale", locale_radius_cells=1, locale_strength_max=5), 22),
        (CubeParameters(disambiguation="locale", locale_radius_cells=2, locale_strength_max=1), 22),
        (CubeParameters(disambiguation="locale", locale_radius_cells=3, locale_strength_max=1), 30),
        # Four to three is a strength of 3.67; that is certain enough for this limit.
        (CubeParameters(disambiguation="density_locale", density_strength_cutoff=3.7), 22),
    ],
)
def test_a_school_of_fish(cube: CubeParameters, depth: int) -> None:
    own_cell = cube.model_copy(update={"capture_scale": 0.01, "capture_min_m": 0.72})
    surface = grid(_school_of_fish(), GridConfig(cube=own_cell))
    assert surface.hypotheses[15, 15] == 2
    assert surface.depth[15, 15] == depth
    assert surface.density[15, 15] == {22: 4, 30: 3}[depth]
    assert surface.shoal[15, 15] == depth
    assert (surface.depth[surface.hypotheses == 1] == 30).all()


_DEPTHS = st.one_of(st.floats(19, 21), st.sampled_from([20.0, 20.01, 25.0, 12.0, 12.1]))


@given(
    st.lists(st.tuples(_DEPTHS, st.sampled_from([0.05, 0.2, 1.0])), min_size=1, max_size=60),
    st.sampled_from(
        [
            CubeParameters(disambiguation="density"),
            CubeParameters(disambiguation="density", discount=0.9, queue_length=5),
        ]
    ),
)
@example([(20.0, 0.05)] * 8 + [(25.0, 0.05)] * 2 + [(20.0, 0.05)] * 8 + [(12.0, 0.05)], CubeParameters())
@settings(max_examples=200, deadline=None)
def test_a_node_is_the_published_algorithm(offered: list[tuple[float, float]], cube: CubeParameters) -> None:
    # As the engine holds them: depths and variances of single precision.
    depths = np.array([depth for depth, _ in offered], np.float32).astype(float)
    tvu = np.array([tvu for _, tvu in offered])
    variances = ((tvu / 1.96) ** 2).astype(np.float32).astype(float)
    node = Node(cube)
    for depth, variance in zip(depths.tolist(), variances.tolist(), strict=True):
        node.offer(depth, variance)
    node.flush()
    most = max(node.hypotheses, key=lambda one: len(one.depths))
    surface = grid(at_node(depths, tvu=tvu, thu=0.0), GridConfig(cube=cube))
    assert surface.hypotheses[0, 0] == len(node.hypotheses)
    assert surface.density[0, 0] == len(most.depths)
    assert surface.depth[0, 0] == pytest.approx(most.depth, abs=1e-5)
    assert surface.uncertainty[0, 0] == pytest.approx(1.96 * math.sqrt(most.variance), rel=1e-5)
    assert surface.shoal[0, 0] == np.float32(min(most.depths))
    if len(most.depths) > 1:
        assert surface.std_dev[0, 0] == pytest.approx(np.std(most.depths, ddof=1), abs=1e-4)


def test_hostile_depths_end() -> None:
    """More different depths than hypotheses a node may have."""
    depths = np.random.default_rng(1).permutation(np.arange(3000) * 30.0)
    surface = grid(at_node(depths, tvu=0.2, thu=0.0), GridConfig())
    assert surface.hypotheses[0, 0] == 1000
