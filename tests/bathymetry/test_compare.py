"""One surface against another: as a regression test, and as two engines of one survey."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline_assets.bathymetry.judge.compare import compare, same_crs
from pipeline_assets.bathymetry.surface import Surface
from tests.bathymetry.surfaces import NAN, hills, surface


def cut(whole: Surface, top: int, left: int, rows: int, columns: int) -> Surface:
    """A part of a surface, on the same cells."""
    grid = whole.grid
    part = (slice(top, top + rows), slice(left, left + columns))
    return replace(
        whole,
        grid=replace(
            grid, west=grid.west + left * grid.cell, north=grid.north - top * grid.cell, rows=rows, columns=columns
        ),
        **{
            name: getattr(whole, name)[part]
            for name in ("depth", "uncertainty", "std_dev", "shoal", "density", "hypotheses")
        },
    )


def test_a_surface_agrees_with_itself() -> None:
    judged = compare(hills(), hills())
    assert judged.passed
    assert judged.metadata["largest difference (m)"] == 0.0
    assert judged.failing is not None
    assert not judged.failing.any()


def test_depths_may_differ_by_both_uncertainties_together() -> None:
    one = surface([[10.0, 10.0]], uncertainty=0.3)
    judged = compare(one, surface([[10.499, 10.501]], uncertainty=0.4), share=1.0)
    assert judged.failing is not None
    assert judged.failing.tolist() == [[False, True]]
    assert (judged.passed, judged.share) == (False, 0.5)


def test_five_percent_may_differ_by_more() -> None:
    other = hills()
    known = np.argwhere(np.isfinite(other.depth))
    few = known[: len(known) // 25]
    other.depth[tuple(few.T)] += 5.0
    assert compare(hills(), other).passed
    other.depth[tuple(known[: len(known) // 15].T)] += 5.0
    judged = compare(hills(), other, "engines")
    assert (judged.name, judged.passed) == ("engines", False)


def test_without_uncertainties_a_tolerance_takes_their_place() -> None:
    one, two = surface([[10.0, 10.0]], uncertainty=NAN), surface([[10.009, 10.011]], uncertainty=NAN)
    assert compare(one, two).share == 0.5
    assert compare(one, two, tolerance_m=0.1).passed
    # One uncertainty is enough to go by.
    assert compare(one, surface([[10.3, 10.3]], uncertainty=0.4)).passed


def test_cells_of_one_surface_only_count_wherever_they_lie() -> None:
    whole = hills()
    part = cut(whole, 10, 5, 40, 60)
    known, within = int(np.isfinite(whole.depth).sum()), int(np.isfinite(part.depth).sum())
    for one, two in ((whole, part), (part, whole)):
        judged = compare(one, two)
        assert judged.metadata["common cells"] == within
        assert judged.metadata["cells in one only"] == known - within
        assert (judged.share, judged.passed) == (1.0, False)
        assert compare(one, two, same_cells=0.5).passed
        assert judged.metadata["largest difference (m)"] == 0.0
    judged = compare(whole, part)
    assert judged.failing is not None
    assert int(judged.failing.sum()) == known - within


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (hills(cell=2.0), "cells are of 1 m and 2 m"),
        (hills(crs="EPSG:32756"), "one is in EPSG:32755, the other in EPSG:32756"),
        (hills(vertical_datum="Ellipsoid"), "one is below MSL, the other below Ellipsoid"),
        (hills(west=500_000.5), "0.500 of a cell apart"),
        (hills(west=600_000.0), "no cell in common"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_not_judged_and_says_why(other: Surface, said: str) -> None:
    judged = compare(hills(), other)
    assert not judged.passed
    assert said in judged.not_judged


def test_codes_and_wkt_of_one_crs_are_the_same() -> None:
    from pyproj import CRS

    assert same_crs("EPSG:32755", CRS.from_epsg(32755).to_wkt())
    assert not same_crs("EPSG:32755", "EPSG:32655")
    assert not same_crs("EPSG:32755", "nonsense")
