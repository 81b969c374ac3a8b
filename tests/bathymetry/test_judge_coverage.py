"""Holes, gaps and holidays, on places drawn as text: a dot is a good cell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline_assets.bathymetry.judge.coverage import holes_and_gaps, holidays
from pipeline_assets.bathymetry.judge.profiles import profile_of
from pipeline_assets.bathymetry.surface import Surface
from tests.bathymetry.surfaces import NAN, surface

HIPP = profile_of("hipp2")


def drawn(picture: str, *, empty: bool, depth: float = 10.0, cell: float = 1.0) -> Surface:
    """o: a cell with 4 soundings, or without a depth when `empty`."""
    marked = np.array([list(row.strip()) for row in picture.split()]) == "o"
    depths = np.where(marked & empty, NAN, depth)
    return surface(depths, density=np.where(marked, 4, 5), cell=cell)


@pytest.mark.parametrize(
    ("picture", "holes", "gaps", "hole_cells", "gap_cells"),
    [
        ("...... .ooo.. .ooo.. .ooo.. ...... ......", 1, 0, 9, 0),
        ("...... .o.... ..o... ...o.. ....o. ......", 0, 1, 0, 4),
        ("...... .oo... .ooo.. .ooo.. ...... ......", 0, 1, 0, 8),
        ("...... .o.... .oo... .oo... .oo... ......", 0, 1, 0, 7),
        ("....... .ooo... .ooo... .ooo... .....o. ....o.. .......", 1, 1, 9, 2),
        ("....... .oo.oo. .oo.oo. ....... ...o... ....... .......", 0, 3, 0, 9),
        # What touches the border of the array lies outside of the survey.
        ("o..... o..... .ooo.. .ooo.. .ooo.. ......", 0, 0, 0, 0),
        ("o..... ...... ...o.. ...... ...... ......", 0, 1, 0, 1),
    ],
)  # fmt: skip
@pytest.mark.parametrize("empty", [False, True])
def test_holes_hold_a_block_of_three_by_three_and_gaps_do_not(
    picture: str, holes: int, gaps: int, hole_cells: int, gap_cells: int, empty: bool
) -> None:
    judged = holes_and_gaps(drawn(picture, empty=empty), HIPP)
    found = judged.metadata
    assert (found["holes"], found["gaps"], found["hole cells"], found["gap cells"]) == (
        holes,
        gaps,
        hole_cells,
        gap_cells,
    )
    assert judged.failing is not None
    assert int(judged.failing.sum()) == hole_cells + gap_cells


def test_a_profile_may_take_blocks_of_two() -> None:
    four = drawn("...... .oo... .oo... ...... ...... ......", empty=False)
    assert holes_and_gaps(four, HIPP).metadata["holes"] == 0
    assert holes_and_gaps(four, replace(HIPP, hole_cells=2)).metadata["holes"] == 1


def test_no_hole_is_allowed_and_gaps_on_two_percent_of_the_area() -> None:
    depth = np.full((20, 20), 12.0)
    density = np.full((20, 20), 9)
    density[3:11, 5] = 1
    assert holes_and_gaps(surface(depth, density=density), HIPP).passed  # 8 of 400 cells
    density[15, 15] = 1
    judged = holes_and_gaps(surface(depth, density=density), HIPP)
    assert not judged.passed
    assert judged.metadata["largest gap (cells)"] == 8
    assert "2 gaps (2.25%, at most 2.00%)" in judged.message
    density[:] = 9
    density[5:8, 5:8] = 0
    assert not holes_and_gaps(surface(depth, density=density), HIPP).passed


def test_sizes_of_holes_and_of_gaps_are_kept_apart() -> None:
    """QAX's port adds the sizes of holes to those of gaps when it merges tiles."""
    both = drawn("......... .ooo..... .ooo..o.. .ooo..... .........", empty=False)
    found = holes_and_gaps(both, HIPP).metadata
    assert (found["largest hole (cells)"], found["largest gap (cells)"]) == (9, 1)
    assert (found["hole share"], found["gap share"]) == (
        pytest.approx(9 / 45, abs=1e-6),
        pytest.approx(1 / 45, abs=1e-6),
    )


HOLIDAYS = "......... .ooo.oo.. .ooo.oo.. .ooo.oo.. ......... .ooooooo. ........."


def test_a_square_is_a_holiday_of_full_coverage_and_a_row_is_one_of_object_detection() -> None:
    # Order 1a in 10 m: features of 2 m, cells of 1 m, so three cells in a row or a square of them.
    place = drawn(HOLIDAYS, empty=True)
    full = holidays(place, profile_of("1a"))
    assert (full.metadata["holidays"], full.metadata["failing cells"]) == (1, 9)
    rows = holidays(place, replace(profile_of("1a"), holidays="object_detection"))
    assert (rows.metadata["holidays"], rows.metadata["failing cells"]) == (3, 9 + 6 + 7)
    every = holidays(place, replace(profile_of("1a"), holidays="all_holes"))
    assert every.metadata["holidays"] == 3
    assert holidays(drawn("..... .oo.. .oo.. .....", empty=True), profile_of("1a")).passed


def test_the_size_of_a_holiday_follows_the_depth_around_it_and_the_cell() -> None:
    # In 100 m features are of 10 m, cells of 5 m allowed: 15 cells of 1 m.
    assert holidays(drawn(HOLIDAYS, empty=True, depth=100.0), profile_of("1a")).passed
    assert not holidays(drawn(HOLIDAYS, empty=True, depth=100.0, cell=5.0), profile_of("1a")).passed
    # A shoal elsewhere does not make the deep hole one of shallow water.
    place = drawn(HOLIDAYS, empty=True, depth=100.0)
    place.depth[0, 0] = 5.0
    assert holidays(place, profile_of("1a")).passed


@pytest.mark.parametrize(("depth", "cell"), [(3e38, 1.0), (10.0, 1e-300), (10.0, 1e30)])
def test_depths_and_cells_that_cannot_be_are_judged_soon(depth: float, cell: float) -> None:
    place = drawn(HOLIDAYS, empty=True, depth=depth, cell=cell)
    place.depth[0, 0] = 1.0
    assert holidays(place, profile_of("1a")).message


def test_what_is_open_to_the_border_or_too_large_is_no_holiday() -> None:
    assert holidays(drawn("ooo.. ooo.. ooo.. .....", empty=True), profile_of("1a")).passed
    depth = np.full((120, 120), 10.0)
    depth[5:115, 5:115] = NAN
    assert holidays(surface(depth), profile_of("1a")).passed  # 12,100 cells, above 1000 times 9
    assert not holidays(surface(depth), replace(profile_of("1a"), holiday_area_max=2000)).passed


def test_an_empty_surface_is_not_judged() -> None:
    nothing = surface(np.full((5, 5), NAN))
    assert holidays(nothing, profile_of("1a")).not_judged
    assert holes_and_gaps(nothing, HIPP).not_judged
    assert holidays(nothing, profile_of("2")).not_judged
