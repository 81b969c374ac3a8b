"""Boxes across the dateline and around the poles."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline_assets.ocean.extent import extent_of, wrapped


def box(latitude: list[float], longitude: list[float]) -> tuple[object, ...]:
    found = extent_of(np.array(latitude, dtype=float), np.array(longitude, dtype=float))
    return (found.south, found.north, found.west, found.east, found.crosses_dateline, found.pole)


def test_boxes() -> None:
    assert box([1, 2], [10, 20]) == (1, 2, 10, 20, False, "")
    assert box([1, 2, 3], [170, -170, 180]) == (1, 3, 170, -170, True, "")
    assert box([1, 2], [179, 181]) == (1, 2, 179, -179, True, "")
    assert box([5], [-180]) == (5, 5, -180, -180, False, "")
    assert box([5, 6], [-180, 180]) == (5, 6, 180, 180, False, "")
    assert box([80, 85, 88, 82], [0, 90, 180, -90]) == (80, 88, -180, 180, False, "N")
    assert box([-70, -75, -78], [0, 120, -120]) == (-78, -70, -180, 180, False, "S")
    assert box([85, 86], [10, -10]) == (85, 86, -10, 10, False, "")
    assert box([95, 3], [0, 0]) == (3, 3, 0, 0, False, "")
    assert np.isnan(extent_of(np.array([np.nan]), np.array([1.0])).south)


@given(st.lists(st.tuples(st.floats(-90, 90), st.floats(-180, 360)), min_size=1, max_size=12))
def test_every_position_is_in_its_box(positions: list[tuple[float, float]]) -> None:
    latitude, longitude = (np.array(one) for one in zip(*positions, strict=True))
    found = extent_of(latitude, longitude)
    turned = wrapped(longitude)
    if found.crosses_dateline:
        inside = (turned >= found.west) | (turned <= found.east)
        assert found.west > found.east
    else:
        inside = ((turned >= found.west) & (turned <= found.east)) | (np.abs(turned) == 180)
    assert inside.all()
    assert found.south == latitude.min()
    assert found.north == latitude.max()
    width = (found.east - found.west) % 360 if not found.pole else 360
    assert width <= 360 * (1 - 1 / max(2, len(positions))) + 1e-9 or found.pole
