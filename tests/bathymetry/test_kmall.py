"""Kongsberg .kmall: positions, depths and detections of soundings, against a known floor and pykmall."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyproj import Transformer

from pipeline_assets.bathymetry.config import BathymetryConfig
from pipeline_assets.bathymetry.examples import declaration, short
from pipeline_assets.bathymetry.made_survey import CRS, MadeLine
from pipeline_assets.bathymetry.read.kmall import NO_DETECTION
from pipeline_assets.bathymetry.read.kmall_records import read_pings
from pipeline_assets.landed_file import Refused
from tests.bathymetry.conftest import read
from tests.bathymetry.kongsberg import HEIGHT_M, WATER_LINE_M, datagram, kmall, mrz

THREE: list[dict[str, Any]] = [{"z": 20.0, "y": -5.0}, {"z": 21.0}, {"z": 22.0, "y": 5.0}]


def refused(data: bytes, declared: bytes | None = None, **kwargs: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        read(data, **({"declared": declared} if declared else {}), **kwargs)
    return caught.value


def test_soundings_are_those_that_were_made(made: MadeLine) -> None:
    line = read(kmall(made))
    assert (line.kind, line.crs, line.system, line.uncertainty_from) == ("kmall", CRS, "EM 2040", "model")
    # Offsets in degrees have single precision.
    np.testing.assert_allclose(line.x, made.x, atol=0.001)
    np.testing.assert_allclose(line.y, made.y, atol=0.001)
    np.testing.assert_allclose(line.depth, made.depth, atol=1e-5)
    assert np.array_equal(line.accepted, ~made.rejected)
    assert set(line.flag[made.rejected]) == {2}
    assert (line.pings, line.pings_left_out) == (len(made.ping_x), 0)
    assert line.ping[-1] == len(made.ping_x) - 1
    assert line.beam[: made.beams].tolist() == list(range(made.beams))
    assert line.time is not None
    assert line.time[made.beams] - line.time[0] == np.timedelta64(250, "ms")
    assert np.isfinite(line.tvu).all()


def test_every_array_is_as_pykmall_reads_it(made: MadeLine, tmp_path: Path) -> None:
    from KMALL.kmall import kmall as Theirs

    data = kmall(short(made, 4))
    (tmp_path / "line.kmall").write_bytes(data)
    theirs = Theirs(str(tmp_path / "line.kmall"))
    theirs.OpenFiletoRead()
    theirs.file_size = len(data)
    pings, at = [], 0
    while at < len(data):
        size, kind = struct.unpack_from("<I4s", data, at)
        if kind == b"#MRZ":
            theirs.FID.seek(at)
            pings.append(theirs.read_EMdgmMRZ())
        at += size
    theirs.closeFile()
    ours = read_pings(data, 10**6)
    assert len(pings) == 4
    names = {
        "type": "detectionType", "method": "detectionMethod", "latitude": "deltaLatitude_deg",
        "longitude": "deltaLongitude_deg", "down": "z_reRefPoint_m", "across": "y_reRefPoint_m", "along": "x_reRefPoint_m",
    }  # fmt: skip
    for name, called in names.items():
        expected = np.concatenate([one["sounding"][called] for one in pings])
        assert np.array_equal(ours.all(name).astype(float), expected), name
    for name, called in (
        ("latitude", "latitude_deg"), ("longitude", "longitude_deg"), ("water_line", "z_waterLevelReRefPoint_m"),
        ("ellipsoid", "ellipsoidHeightReRefPoint_m"),
    ):  # fmt: skip
        assert ours.info[name] == [one["pingInfo"][called] for one in pings], name


@pytest.mark.parametrize(
    "how",
    [
        {"more_info": 0, "version": 0},
        {"more_info": 8, "version": 2},
        {"more_info": 40, "version": 3, "width": 160},
        {"extra": 1, "classes": 2},
    ],
)
def test_parts_may_be_of_other_sizes(how: dict[str, Any]) -> None:
    line = read(mrz(THREE, **how))
    np.testing.assert_allclose(line.depth, np.array([20.0, 21.0, 22.0]) - WATER_LINE_M)


def test_which_detections_are_accepted() -> None:
    line = read(mrz([{}, {"type": 1}, {"type": 2}, {"method": 0}, {"method": 1}]))
    assert line.accepted.tolist() == [True, False, False, False, True]
    assert line.flag.tolist() == [0, 1, 2, NO_DETECTION, 0]


def test_depths_below_the_ellipsoid() -> None:
    line = read(mrz(THREE) + mrz(THREE, height=-999.0), declared=declaration(crs=CRS, ellipsoidal=True))
    np.testing.assert_allclose(line.depth, np.array([20.0, 21.0, 22.0]) - HEIGHT_M)
    assert (line.pings, line.pings_left_out) == (2, 1)
    assert line.notes == {"DEPTHS_BELOW": "the ellipsoid"}
    error = refused(mrz(THREE, height=-999.0), declared=declaration(crs=CRS, ellipsoidal=True))
    assert error.error_class == "no_soundings"
    assert "height above the ellipsoid" in error.message


def test_what_has_no_place_is_left_out() -> None:
    nowhere = mrz(THREE, longitude=200.0, latitude=200.0)
    odd = mrz([{"latitude": float("nan")}, {"z": 3e38}, {"z": 25.0, "longitude": 1e-4}])
    line = read(nowhere + odd + mrz([]))
    np.testing.assert_allclose(line.depth, [25.0 - WATER_LINE_M])
    x, y = Transformer.from_crs("EPSG:4326", CRS, always_xy=True).transform(147.5001, -42.5)
    np.testing.assert_allclose([line.x[0], line.y[0]], [x, y], atol=0.001)
    assert (line.ping.tolist(), line.beam.tolist()) == ([1], [2])
    assert (line.pings, line.pings_left_out) == (3, 2)
    assert refused(nowhere).error_class == "no_soundings"


def test_the_zone_is_checked() -> None:
    assert refused(mrz(THREE), declared=declaration(crs="EPSG:32655")).error_class == "wrong_hemisphere"
    assert refused(mrz(THREE), declared=declaration(crs="EPSG:32757")).error_class == "wrong_zone"
    assert read(mrz(THREE), declared=None).crs == CRS


@pytest.mark.parametrize(
    ("data", "error_class", "told"),
    [
        (mrz(THREE)[:-30], "truncated_kmall", "cut short. Send it again"),
        (mrz(THREE)[:-4] + struct.pack("<I", 7), "damaged_kmall", "does not end where it says"),
        (mrz(THREE) + b"\x40\0\0\0no, no" + bytes(54), "damaged_kmall", "there is none such"),
        (mrz(THREE, parts=(2, 1)), "damaged_kmall", "sent in several"),
        (mrz(THREE, width=120)[:-124] + mrz(THREE)[-4:], "truncated_kmall", "cut short"),
        (datagram(b"MRZ", bytes(4), 0.0), "damaged_kmall", "longer than the ping"),
        (datagram(b"MRZ", struct.pack("<3H", 1, 1, 12) + bytes(200), 0.0), "damaged_kmall", "0 bytes; expected 144 or more"),
        (datagram(b"MWC", bytes(64), 0.0), "no_soundings", "0 pings .* .kmwcd file"),
        (mrz([]), "no_soundings", "1 pings"),
        (mrz([{"z": 15_000.0}]), "impossible_depth", "deeper than 12,000 m"),
        (mrz([{"z": -20.0}]), "wrong_sign", "above the vertical datum"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_says_why(data: bytes, error_class: str, told: str) -> None:
    with pytest.raises(Refused, match=told) as caught:
        read(data)
    assert caught.value.error_class == error_class


def test_too_many_soundings() -> None:
    assert read(mrz(THREE), config=BathymetryConfig(max_soundings=3)).pings == 1
    assert refused(mrz(THREE) * 2, config=BathymetryConfig(max_soundings=5)).error_class == "too_many_soundings"
