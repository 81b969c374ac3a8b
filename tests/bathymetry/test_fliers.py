"""The flier finder against the worked examples of QC Tools' manual, and against the faults of QAX's port of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_assets.bathymetry.judge import fliers as finder
from pipeline_assets.bathymetry.judge.fliers import (
    ADJACENT,
    CURVATURE,
    ISOLATED,
    LAPLACIAN,
    NOISY_EDGE,
    SLIVER,
    find_fliers,
    fliers,
)
from pipeline_assets.bathymetry.judge.profiles import profile_of
from tests.bathymetry.surfaces import NAN, hills, surface

MANUAL = np.array([[9, 9, 9, 9], [9, 8, 9, 6], [9, 9, 3, 9], [9, 9, 9, 9]], dtype=np.float32)


def flat(rows: int = 30, columns: int = 30, depth: float = 12.0) -> np.ndarray:
    """Ground with a little noise."""
    return (depth + np.random.default_rng(7).normal(0.0, 0.02, (rows, columns))).astype(np.float32)


def test_the_laplacian_of_the_manual() -> None:
    assert np.abs(finder.laplacian(MANUAL)).tolist() == [[0, 1, 0, 3], [1, 4, 10, 9], [0, 7, 24, 9], [0, 0, 6, 0]]
    for height, flagged in ((3.0, 1), (2.0, 4)):
        assert np.count_nonzero(find_fliers(MANUAL, height, frozenset({LAPLACIAN})).flags) == flagged


def test_the_neighbours_of_the_manual() -> None:
    """The pit is flagged at 3 m and 2 m. The manual flags the cell at 6 m as well, by differences either way; its program,
    as this, wants all of them one way, and on the border of the array all of them at all.
    """
    for height in (3.0, 2.0):
        assert np.argwhere(find_fliers(MANUAL, height, frozenset({ADJACENT})).flags).tolist() == [[2, 2]]


def test_heights_of_the_manual() -> None:
    """Median 12 m, NMAD 0.15, roughness 0.005: 2 m. Median 75 m, NMAD 0.04, roughness 0.08: 10 m."""
    assert _estimated(12.0, 0.15, 0.005) == (2.0, 6.0)
    assert _estimated(75.0, 0.04, 0.08) == (10.0, 24.0)
    assert _estimated(12.0, 0.5, 0.001) == (1.0, 6.0)
    assert _estimated(500.0, 0.01, 0.5) == (16.0, 48.0)


def _estimated(median: float, nmad: float, roughness: float) -> tuple[float, float]:
    """For depths with that median and NMAD, and curvatures with that deviation."""
    # Of 1000 depths, some lie `far` deeper: mean - median = far * p, deviation = far * sqrt(p (1 - p)), NMAD = sqrt(p / (1 - p)).
    p = nmad**2 / (1.0 + nmad**2)
    count = round(100_000 * p)
    depth = np.full((1, 100_000), median, dtype=np.float32)
    depth[0, :count] += 1.0
    curvature = np.resize(np.array([-roughness, roughness], dtype=np.float32), (1, 100_000))
    return finder.estimate(depth, curvature)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_cell_that_stands_out_is_found_wherever_it_lies(sign: float) -> None:
    """QAX's port compares shares of 0 to 1 with 20 and never flags one; it leaves out the first and last column."""
    for place in ((10, 10), (0, 10), (10, 0), (29, 10), (10, 29), (0, 0), (29, 29)):
        depth = flat()
        depth[place] += sign * 5.0
        flags = find_fliers(depth, 2.0, frozenset({ADJACENT})).flags
        assert flags[place] == ADJACENT, place
        assert np.count_nonzero(flags) == 1, place


def test_three_of_four_neighbours_are_enough_and_three_of_five_are_not() -> None:
    depth = np.full((9, 9), NAN, dtype=np.float32)
    depth[4, 4], depth[4, 3], depth[4, 5], depth[3, 4], depth[5, 4] = 10.0, 15.0, 15.0, 15.0, 10.0
    assert find_fliers(depth, 2.0, frozenset({ADJACENT})).flags[4, 4] == ADJACENT
    depth[3, 3] = 10.0
    assert find_fliers(depth, 2.0, frozenset({ADJACENT})).flags[4, 4] == 0


def test_neighbours_are_found_across_two_empty_cells_and_diagonally_across_one() -> None:
    depth = np.full((11, 11), NAN, dtype=np.float32)
    depth[5, 5] = 10.0
    depth[5, 8] = depth[5, 2] = depth[2, 5] = depth[8, 5] = 15.0
    assert find_fliers(depth, 2.0, frozenset({ADJACENT})).flags[5, 5] == ADJACENT
    depth[5, 8] = depth[5, 2] = depth[2, 5] = depth[8, 5] = NAN
    depth[7, 7] = depth[3, 3] = 15.0
    assert find_fliers(depth, 2.0, frozenset({ADJACENT})).flags[5, 5] == ADJACENT
    depth[7, 7] = depth[3, 3] = NAN
    depth[8, 8] = depth[5, 9] = 15.0
    assert find_fliers(depth, 2.0, frozenset({ADJACENT})).flags[5, 5] == 0


def test_a_pit_has_the_curvature_of_a_flier() -> None:
    depth = flat(depth=9.0)
    depth[12, 12] = 30.0
    flags = find_fliers(depth, 100.0, frozenset({CURVATURE})).flags
    assert flags[12, 12] == CURVATURE or CURVATURE in flags[11:14, 11:14]
    assert np.count_nonzero(flags) <= 9
    assert not find_fliers(flat(), 100.0, frozenset({CURVATURE})).flags.any()


def test_the_noisy_edge_of_the_manual() -> None:
    """The shallowest is 17.4 m, so the limit 0.549 m; the edge node at 18.7 m differs by 1.3 m."""
    assert finder.noaa_tvu(np.float32([17.4]))[0] == pytest.approx(0.549, abs=5e-4)
    depth = np.full((12, 12), NAN, dtype=np.float32)
    depth[3:9, 3:7] = 17.4
    depth[5, 6] = 18.7
    flags = find_fliers(depth, 5.0, frozenset({NOISY_EDGE})).flags
    assert flags[5, 6] == NOISY_EDGE
    depth[5, 6] = 17.9
    assert not find_fliers(depth, 5.0, frozenset({NOISY_EDGE})).flags.any()


def test_noisy_edges_take_order_2_beyond_100_m() -> None:
    assert finder.noaa_tvu(np.float32([100.0, 101.0])) == pytest.approx(
        [np.hypot(0.5, 1.3), np.hypot(1.0, 2.323)], rel=1e-5
    )


def test_slivers_within_five_cells_and_isolated_ones_beyond() -> None:
    depth = np.full((30, 30), NAN, dtype=np.float32)
    depth[:, :10] = 12.0
    depth[15, 14:16] = 14.0  # 5 cells from the rest, 2 m deeper
    depth[5, 16] = 12.0  # 7 cells away
    depth[25, 12] = 12.3  # near, and alike
    found = find_fliers(depth, 2.0, frozenset({SLIVER, ISOLATED}))
    assert np.argwhere(found.flags == SLIVER).tolist() == [[15, 14]]
    assert np.argwhere(found.flags == ISOLATED).tolist() == [[5, 16]]
    assert not (find_fliers(depth, 2.0, frozenset({SLIVER})).flags == ISOLATED).any()
    # Groups at the border of the array are looked at, too.
    depth[0, 12] = 15.0
    assert find_fliers(depth, 2.0, frozenset({SLIVER})).flags[0, 12] == SLIVER


def test_counts_are_those_of_the_flags() -> None:
    """QAX's port counts a cell once more each time it merges a tile."""
    depth = flat()
    for place in ((5, 5), (15, 15), (20, 8)):
        depth[place] += 12.0
    depth[25:, :] = NAN
    found = find_fliers(depth, 2.0)
    assert sum(found.counts.values()) == np.count_nonzero(found.flags)
    judged = fliers(surface(depth), profile_of("1a"))
    assert judged.failing is not None
    assert judged.metadata["failing cells"] == int(judged.failing.sum()) >= 3
    assert not judged.passed


def test_ground_without_fliers_has_none() -> None:
    assert fliers(hills(), profile_of("1a")).passed
    assert find_fliers(np.full((5, 5), 3.0, np.float32)).height_m == 1.0
    assert fliers(surface(np.full((4, 4), NAN)), profile_of("1a")).not_judged


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1), st.floats(0.0, 0.9),
    st.sampled_from([1.0, 40.0, 3000.0]),
)  # fmt: skip
def test_any_surface_is_judged_and_turning_it_turns_the_answer(
    rows: int, columns: int, seed: int, missing: float, spread: float
) -> None:
    rng = np.random.default_rng(seed)
    depth = rng.uniform(1.0, 1.0 + spread, (rows, columns)).astype(np.float32)
    depth[rng.random(depth.shape) < missing] = NAN
    checks = frozenset({ADJACENT, NOISY_EDGE, LAPLACIAN, ISOLATED})
    found = find_fliers(depth, 2.0, checks)
    assert not found.flags[np.isnan(depth)].any()
    for turn in (np.flipud, np.fliplr, np.transpose):
        assert np.array_equal(find_fliers(turn(depth), 2.0, checks).flags, turn(found.flags))
    find_fliers(depth)
