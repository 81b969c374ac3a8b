"""Kongsberg .all: soundings laid off from interpolated positions, in both orders of bytes; and what refuses a file."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from pyproj import Geod, Transformer

from pipeline_assets.bathymetry.config import BathymetryConfig
from pipeline_assets.bathymetry.examples import declaration
from pipeline_assets.bathymetry.made_survey import CRS, MadeLine
from pipeline_assets.bathymetry.read.kongsberg_all import CLEANED, INVALID
from pipeline_assets.landed_file import Refused
from tests.bathymetry.conftest import read
from tests.bathymetry.kongsberg import TRANSMITTER_M, all_file, em, position, xyz88

WHEN = datetime(2024, 6, 1, 23, 59, 59, tzinfo=UTC)
"""Just before midnight: a line goes on on the next day."""
THREE: list[dict[str, Any]] = [{"y": -5.0}, {}, {"y": 5.0, "x": 1.0}]


def after(seconds: float) -> datetime:
    return WHEN + timedelta(seconds=seconds)


def there(seconds: float) -> tuple[float, float]:
    """Where the vessel is so long after, to the north-east."""
    return 147.5 + 1e-4 * seconds, -42.5 + 2e-4 * seconds


def track(*seconds: float, **how: Any) -> bytes:
    return b"".join(position(*there(one), after(one), **how) for one in seconds)


@pytest.mark.parametrize("order", ["<", ">"])
def test_soundings_are_those_that_were_made(made: MadeLine, order: str) -> None:
    line = read(all_file(made, order=order))
    assert (line.kind, line.crs, line.system, line.uncertainty_from) == ("all", CRS, "EM 710", "model")
    # Positions are kept to 1e-7 degrees, courses to 0.01 degrees.
    np.testing.assert_allclose(line.x, made.x, atol=0.02)
    np.testing.assert_allclose(line.y, made.y, atol=0.02)
    np.testing.assert_allclose(line.depth, made.depth, atol=1e-5)
    assert np.array_equal(line.accepted, ~made.rejected)
    assert (line.pings, line.pings_left_out) == (len(made.ping_x), 0)
    assert line.time is not None
    assert line.time[made.beams] - line.time[0] == np.timedelta64(250, "ms")


def test_beams_lie_across_the_interpolated_track() -> None:
    line = read(track(0, 1, 2) + xyz88(THREE, after(1.25), heading=30.0) + track(3))
    longitude, latitude = there(1.25)
    course = 30.0 + np.rad2deg(np.arctan2([-5.0, 0.0, 5.0], [0.0, 0.0, 1.0]))
    east, north, _ = Geod(ellps="WGS84").fwd(
        np.full(3, longitude), np.full(3, latitude), course, np.hypot([5.0, 0.0, 5.0], [0.0, 0.0, 1.0])
    )
    x, y = Transformer.from_crs("EPSG:4326", CRS, always_xy=True).transform(east, north)
    np.testing.assert_allclose(np.hypot(line.x - x, line.y - y), 0, atol=0.02)
    np.testing.assert_allclose(line.depth, 20.0 + TRANSMITTER_M)
    assert line.time is not None
    assert line.time[0] == np.datetime64("2024-06-02T00:00:00.250000")


def test_a_track_across_the_date_line() -> None:
    file = position(179.9999, -42.5, WHEN) + position(-179.9999, -42.5, after(1)) + xyz88([{}], after(0.75))
    line = read(file, declared=declaration(crs="EPSG:32701"))
    x, y = Transformer.from_crs("EPSG:4326", "EPSG:32701", always_xy=True).transform(-179.99995, -42.5)
    np.testing.assert_allclose([line.x[0], line.y[0]], [x, y], atol=0.02)


def test_pings_without_a_position_are_left_out() -> None:
    pings = [xyz88(THREE, after(one)) for one in (-3.0, -1.0, 0.5, 5.0, 11.0, 13.0)]
    line = read(track(0, 1, 10, 11) + b"".join(pings))
    assert np.unique(line.ping).tolist() == [1, 2, 4, 5]
    assert (line.pings, line.pings_left_out) == (6, 2)


def test_which_beams_are_accepted() -> None:
    beams = [{"detection": 0}, {"detection": INVALID | 4}, {"cleaning": -1}, {"cleaning": 3}, {"z": float("nan")}]
    line = read(track(0, 1) + xyz88(beams, after(0.5)))
    assert line.accepted.tolist() == [True, False, False, True]
    assert line.flag.tolist() == [0, INVALID | 4, 1 | CLEANED, 1]
    assert line.beam.tolist() == [0, 1, 2, 3]


def test_no_system_need_say_that_it_is_in_use() -> None:
    assert read(track(0, 1, system=1) + xyz88(THREE, after(0.5))).pings == 1


GOOD = track(0, 1) + xyz88(THREE, after(0.5))
DAY_NONE = em(0x58, bytes(60), WHEN).replace((20240601).to_bytes(4, "little"), (20241341).to_bytes(4, "little"))


@pytest.mark.parametrize(
    ("data", "error_class", "told"),
    [
        (GOOD[:-20], "truncated_all", "cut short. Send it again"),
        (GOOD[:12], "truncated_all", "cut short"),
        (GOOD + b"\x20\0\0\0\x07" + bytes(31), "damaged_all", "does not begin as datagrams do"),
        (GOOD[:-3] + b"\x04" + GOOD[-2:], "damaged_all", "type 58h does not end where it says"),
        (GOOD[:-2] + b"\0\0", "damaged_all", "checksum of a datagram"),
        (track(0, 1) + DAY_NONE, "damaged_all", "the day 20241341, which is none"),
        (
            track(0, 1) + em(0x58, b"\0" * 8 + b"\xff\x01" + b"\0" * 20, WHEN),
            "damaged_all",
            "511 beams, and has no room",
        ),
        (track(0, 1), "no_soundings", r"no pings with depths \(XYZ 88\)\. Send such a line as GSF"),
        (track(0, 1) + em(0x44, bytes(40), WHEN), "no_soundings", "1 pings in the older depth datagram"),
        (xyz88(THREE, WHEN), "no_soundings", "0 positions. Send the line with its positions"),
        (track(0) + xyz88(THREE, WHEN), "no_soundings", "1 positions"),
        (track(0, 1) + xyz88([{"z": 15_000.0}], WHEN), "impossible_depth", "deeper than 12,000 m"),
    ],
)
def test_what_cannot_be_read_says_why(data: bytes, error_class: str, told: str) -> None:
    with pytest.raises(Refused, match=told) as caught:
        read(data)
    assert caught.value.error_class == error_class


def test_depths_are_not_below_an_ellipsoid() -> None:
    with pytest.raises(Refused, match="are below the water's surface") as caught:
        read(GOOD, declared=declaration(crs=CRS, ellipsoidal=True))
    assert caught.value.error_class == "unsupported_all"


def test_too_many_soundings() -> None:
    with pytest.raises(Refused, match="more than 5 soundings") as caught:
        read(GOOD + xyz88(THREE, after(0.75)), config=BathymetryConfig(max_soundings=5))
    assert caught.value.error_class == "too_many_soundings"
