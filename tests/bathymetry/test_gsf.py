"""GSF: positions, flags and uncertainties of soundings, against gsfu, geodesics and a real file."""

from __future__ import annotations

import struct
from pathlib import Path

import GSFU
import numpy as np
import pandas as pd
import pytest
from GSFU.gsfu import new_swath_bathymetry_ping
from pyproj import Geod, Transformer

from pipeline_assets.bathymetry.examples import declaration
from pipeline_assets.bathymetry.made_survey import CRS, MadeLine, gsf
from pipeline_assets.bathymetry.read import gsf_records
from pipeline_assets.landed_file import Refused
from tests.bathymetry.conftest import CONFIG, read

HERE = {"Longitude_deg": 147.5, "Latitude_deg": -42.5, "Heading_deg": 30.0}


def write(path: Path, pings: list[dict], **kwargs: object) -> bytes:
    """A GSF file with these pings, by gsfu."""
    writer = GSFU.gsf(str(path))
    writer.write_header(kwargs.get("header"))  # type: ignore[arg-type]
    for number, said in enumerate(pings):
        record = new_swath_bathymetry_ping()
        beams = said.pop("Beams")
        count = max(len(values) for values in beams.values() if values is not None)
        record.update({"PingTime": 1_700_000_000.25 + number, "NumberBeams": count, **HERE, **said})
        record["Beams"] = beams
        writer.write_swath_bathymetry_ping(record, scale_factors=kwargs.get("scale_factors"))  # type: ignore[arg-type]
    writer.closeFile()
    return path.read_bytes()


def beams(depth: list[float], **more: object) -> dict:
    count = len(depth)
    across = np.linspace(-10.0, 10.0, count)
    return {"Depth_m": depth, "AcrossTrack_m": across, "AlongTrack_m": np.zeros(count), **more}


def test_soundings_are_those_that_were_made(made: MadeLine) -> None:
    line = read(gsf(made))
    assert (line.kind, line.crs, line.uncertainty_from) == ("gsf", CRS, "file")
    # Positions are kept to 1e-7 degrees, courses to 0.01 degrees.
    np.testing.assert_allclose(line.x, made.x, atol=0.02)
    np.testing.assert_allclose(line.y, made.y, atol=0.02)
    np.testing.assert_allclose(line.depth, made.depth, atol=0.0006)
    np.testing.assert_allclose(line.tvu, 1.959964 * made.sigma, atol=0.0006)
    assert np.array_equal(line.accepted, ~made.rejected)
    assert line.ping[-1] == len(made.ping_x) - 1
    assert line.beam[: made.beams].tolist() == list(range(made.beams))


def test_every_array_is_as_gsfu_reads_it(made: MadeLine, tmp_path: Path) -> None:
    data = gsf(made)
    (tmp_path / "line.gsf").write_bytes(data)
    theirs = [
        record
        for kind, _, record in GSFU.gsf(str(tmp_path / "line.gsf")).iter_records("SWATH_BATHYMETRY_PING")
        if kind == 2
    ]
    ours = gsf_records.read_pings(data, 10**6)
    names = {
        gsf_records.DEPTH: "Depth_m", gsf_records.ACROSS: "AcrossTrack_m", gsf_records.ALONG: "AlongTrack_m",
        gsf_records.TVU: "VerticalError_m", gsf_records.THU: "HorizontalError_m",
    }  # fmt: skip
    for kind, name in names.items():
        expected = np.concatenate([one["Beams"][name] for one in theirs])
        assert np.array_equal(gsf_records.values_of(data, ours, kind), expected), name
    flags = np.concatenate([one["Beams"]["BeamFlags"] for one in theirs])
    assert np.array_equal(gsf_records.flags_of(data, ours), flags)


@pytest.mark.parametrize("heading", [0.0, 47.0, 133.0, 250.5])
@pytest.mark.parametrize("place", [(147.5, -42.5), (144.1, -42.5), (147.5, 71.0), (147.0, 0.02)])
def test_beams_lie_on_geodesics(place: tuple[float, float], heading: float, tmp_path: Path) -> None:
    longitude, latitude = place
    across = np.array([-4000.0, -450.0, 0.0, 50.0, 2000.0])
    along = np.array([0.0, 10.0, 0.0, -10.0, 0.0])
    said = {"Longitude_deg": longitude, "Latitude_deg": latitude, "Heading_deg": heading}
    table = {"Depth_m": np.full(5, 900.0), "AcrossTrack_m": across, "AlongTrack_m": along}
    data = write(tmp_path / "one.gsf", [{**said, "Beams": table}])
    zone = "EPSG:32755" if latitude < 0 else "EPSG:32655"
    line = read(data, declared=declaration(crs=zone))
    course, distance = heading + np.rad2deg(np.arctan2(across, along)), np.hypot(across, along)
    there = Geod(ellps="WGS84").fwd(np.full(5, longitude), np.full(5, latitude), course, distance)
    x, y = Transformer.from_crs("EPSG:4326", zone, always_xy=True).transform(there[0], there[1])
    np.testing.assert_allclose(np.hypot(line.x - x, line.y - y), 0, atol=0.002)


def test_flags_of_beams_and_pings_reject(tmp_path: Path) -> None:
    data = write(
        tmp_path / "flags.gsf",
        [
            {"Beams": beams([20.0, 21.0, 0.0, 22.0], BeamFlags=np.array([0, 1, 0, 0x42], np.uint8))},
            {"PingFlags": 0x0001, "Beams": beams([20.0, 21.0, 22.0])},
            {"PingFlags": 0x0010, "Beams": beams([20.0])},
        ],
    )
    line = read(data)
    assert line.accepted.tolist() == [True, False, False, True, False, False, False, True]
    assert line.flag.tolist() == [0, 1, 0, 0x42, 0, 0, 0, 0]
    assert (line.pings, line.pings_ignored, line.pings_left_out) == (3, 1, 0)
    assert line.ping.tolist() == [0] * 4 + [1] * 3 + [2]
    assert line.time is not None
    assert line.time[0] == np.datetime64("2023-11-14T22:13:20.250000")


def test_pings_without_a_position_are_left_out_and_counted(tmp_path: Path) -> None:
    nowhere = {"Longitude_deg": 181.0, "Latitude_deg": 91.0}
    data = write(
        tmp_path / "nowhere.gsf",
        [
            {"Beams": beams([20.0, 21.0])},
            {**nowhere, "Beams": beams([20.0, 21.0])},
            {"Heading_deg": 361.0, "Beams": beams([20.0, 21.0])},
            {"Beams": {"Depth_m": [20.0], "AcrossTrack_m": None}},
            {"Beams": beams([20.0])},
        ],
    )
    line = read(data)
    assert line.ping.tolist() == [0, 0, 4]
    assert (line.pings, line.pings_left_out) == (5, 3)
    only_nowhere = write(tmp_path / "only.gsf", [{**nowhere, "Beams": beams([20.0])}])
    with pytest.raises(Refused, match="none of 1 pings has a position") as caught:
        read(only_nowhere)
    assert caught.value.error_class == "no_soundings"


def test_without_uncertainties_the_model_gives_them(made: MadeLine) -> None:
    with_model = read(gsf(made, with_uncertainty=False))
    assert with_model.uncertainty_from == "model"
    assert 0.2 < float(np.median(with_model.tvu)) < 1.0
    better = declaration(crs=CRS, sensors={"tide_m": 0.0, "draft_m": 0.0})
    assert np.all(read(gsf(made, with_uncertainty=False), declared=better).tvu < with_model.tvu)


def test_uncertainties_that_are_null_are_unknown(tmp_path: Path) -> None:
    table = beams([20.0, 21.0], VerticalError_m=np.array([0.0, 0.3]), HorizontalError_m=np.array([0.7, 0.0]))
    line = read(write(tmp_path / "null.gsf", [{"Beams": table}]))
    np.testing.assert_allclose(line.tvu, [np.nan, 0.3])
    np.testing.assert_allclose(line.thu, [0.7, np.nan])


def test_nominal_depth_stands_in_and_widths_may_change(tmp_path: Path) -> None:
    narrow = {1: (100.0, 5.0, 2, False), 2: (10.0, 0.0, 1, True), 3: (10.0, 0.0, 1, True), 14: (10.0, 0.0, 2, False)}
    data = write(tmp_path / "narrow.gsf", [{"Beams": beams([20.01, 21.5])}], scale_factors=narrow)
    header = struct.unpack_from(">I", data)[0] + 8
    nominal = {**beams([0.0, 0.0]), "Depth_m": None, "NominalDepth_m": [30.0, 31.5]}
    more = write(tmp_path / "more.gsf", [{"Beams": beams([3000.0, 3001.0, 3002.0])}, {"Beams": nominal}])
    line = read(data + more[header:])
    np.testing.assert_allclose(line.depth, [20.01, 21.5, 3000.0, 3001.0, 3002.0, 30.0, 31.5], atol=1e-9)


def test_the_zone_follows_from_the_first_position_where_none_is_declared(made: MadeLine) -> None:
    line = read(gsf(made), declared=None)
    assert line.crs == "EPSG:32755"
    assert line.declared.vertical_datum == "unknown"


def test_too_many_soundings_are_refused_before_they_are_held(made: MadeLine) -> None:
    with pytest.raises(
        Refused, match=r"more than 500 soundings. Split it, or raise STRANDLINE_BATHYMETRY_MAX_SOUNDINGS"
    ):
        read(gsf(made), config=CONFIG.model_copy(update={"max_soundings": 500}))


@pytest.mark.parametrize(
    ("change", "error_class", "message"),
    [
        (lambda data, ping: data[:-3], "truncated_gsf", "cut short"),
        (lambda data, ping: data[: ping + 8] , "truncated_gsf", "cut short"),
        (lambda data, ping: data + b"\0\0\0\x10", "truncated_gsf", "cut short"),
        (lambda data, ping: data[:ping] + struct.pack(">II", 40, 2) + bytes(40), "damaged_gsf", "shorter than its header"),
        (lambda data, ping: data[:ping] + struct.pack(">II", 600_000, 2) + bytes(600_000), "damaged_gsf", "more than GSF"),
        (lambda data, ping: data[:ping] + struct.pack(">III", 4, 0x80000006, 9) + b"abcd", "damaged_gsf", "checksum"),
        (lambda data, ping: data[:ping], "no_soundings", "no swath pings"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_told(made: MadeLine, change, error_class: str, message: str) -> None:
    data = gsf(made)
    first = next(begin - 8 for kind, begin, _ in gsf_records.records(data) if kind == 2)
    with pytest.raises(Refused, match=message) as caught:
        read(change(data, first))
    assert caught.value.error_class == error_class


def test_a_real_file_gives_the_known_soundings(real_surveys: Path) -> None:
    data = (real_surveys / "gsf" / "GSF3_08_test_file.gsf").read_bytes()
    line = read(data, declared=declaration(crs="EPSG:32658"))
    known = pd.read_csv(real_surveys / "golden" / "gsf_soundings_utm.csv")
    assert len(line.x) == len(known) == 3456
    np.testing.assert_allclose(line.depth, known["depth_m"], atol=1e-9)
    assert np.array_equal(line.flag, known["beam_flag"])
    np.testing.assert_allclose(line.x, known["easting"], atol=0.002)
    np.testing.assert_allclose(line.y, known["northing"], atol=0.002)
