"""Sea-Bird files as programs of many years have written them."""

from __future__ import annotations

import bz2
import gzip

import numpy as np
import pytest

from pipeline_assets.ocean.examples import btl, cnv, made_station
from pipeline_assets.ocean.findings import Findings
from pipeline_assets.ocean.parameters import seabird_standard_name
from pipeline_assets.ocean.read.seabird import recognise_seabird
from pipeline_assets.ocean.read.seabird_header import degrees, time_of
from tests.ocean.reading import codes, column, read, refusal, rows_of

STATION = made_station(1, 3, np.random.default_rng(1))
CNV = cnv(STATION).replace(b"\r\n", b"\n").decode()
BTL = btl(STATION).replace(b"\r\n", b"\n").decode()


def test_a_cnv() -> None:
    file = read(CNV)
    assert (file.kind, file.rows, file.casts[0].station) == ("seabird_cnv", len(STATION.pressure), "1")
    assert (file.casts[0].latitude, file.casts[0].longitude) == (-30.5, 178.0)
    assert file.casts[0].time == np.datetime64("2024-01-06T03:15:00")
    salinity = column(file, "sal00")
    assert (salinity.unit, salinity.standard_name) == ("PSU", "sea_water_practical_salinity")
    assert np.flatnonzero(np.isnan(salinity.values)).tolist() == [3]
    np.testing.assert_allclose(file.pressure, STATION.pressure)
    rows_of(file)


def test_packed_files_are_read_by_what_is_in_them() -> None:
    for packed in (gzip.compress(CNV.encode()), bz2.compress(CNV.encode())):
        file = read(packed)
        assert file.kind == "seabird_cnv"
        assert file.size_bytes == len(packed)


def test_values_that_touch() -> None:
    at = CNV.index("*END*\n") + 6
    first, rest = CNV[at:].split("\n", 1)
    touching = f"{2.0:11.3f}{-12345.6789:11.4f}{-12345.6789:11.4f} 0.0000e+00"
    assert "-12345.6789-12345.6789" in touching
    file = read(CNV[:at] + touching + "\n" + rest)
    assert column(file, "sal00").values[0] == -12345.6789
    assert len(first) == len(touching)


@pytest.mark.parametrize(
    ("old", "new", "error_class"),
    [
        ("# file_type = ascii", "# file_type = binary", "binary_cnv"),
        ("prDM: Pressure, Digiquartz [db]", "v0: Voltage", "no_pressure"),
        ("*END*", "", "no_columns"),
        ("# name ", "# nome ", "no_columns"),
    ],
)
def test_refusals(old: str, new: str, error_class: str) -> None:
    assert refusal(CNV.replace(old, new)).error_class == error_class


def test_a_cnv_that_is_cut_short() -> None:
    assert refusal(CNV[:-30]).error_class == "column_alignment"
    assert refusal(CNV[: CNV.index("*END*") + 6]).error_class == "no_data"
    shorter = "\n".join(CNV.split("\n")[:-5]) + "\n"
    assert codes(read(shorter))["header_count"] == 1


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("prDM: Pressure, Digiquartz [db]", 2.0),
        ("prSM: Pressure, Strain Gauge [db]", 2.0),
        ("prDE: Pressure, Digiquartz [psi]", 2.0 * 0.6894757293),
        ("depSM: Depth [salt water, m]", 2.0135),
    ],
)
def test_pressure_by_any_name(name: str, first: float) -> None:
    file = read(CNV.replace("prDM: Pressure, Digiquartz [db]", name))
    assert file.pressure[0] == pytest.approx(first, rel=1e-3)


def test_a_btl() -> None:
    file = read(BTL)
    assert (file.kind, file.rows) == ("seabird_btl", 8)
    assert file.bottle is not None
    assert file.bottle.tolist() == ["1", "1", "2", "2", "3", "3", "4", "4"]
    assert file.time is not None
    assert file.time[0] == np.datetime64("2024-01-06T03:21:00")
    assert file.pressure[0] == file.pressure[1] == 600.0
    rows = rows_of(file)
    names = [row["parameter"] for row in rows["observations"]]
    assert names.count("T090C") == names.count("T090C_sdev") == 4
    (cast,) = rows["casts"]
    assert cast["pressure_not_increasing"] == 0


def test_what_follows_from_the_means_has_no_deviation() -> None:
    lines = BTL.split("\n")
    at = next(number for number, line in enumerate(lines) if line.rstrip().endswith("(sdev)"))
    mean = lines[at - 1].split()
    deviation = lines[at].split()
    first = deviation[1] if ":" in deviation[0] else deviation[0]
    blank = lines[at].replace(first, " " * len(first), 1)
    file = read("\n".join([*lines[:at], blank, *lines[at + 1 :]]))
    values = [one.values for one in file.parameters if one.name.endswith("_sdev")]
    assert file.rows == 8
    assert np.isnan(values[0][1])
    assert not any(np.isnan(one[1]) for one in values[1:])
    assert len(mean) > len(deviation)
    without = lines[at - 1].replace(mean[-2], " " * len(mean[-2]), 1)
    assert refusal("\n".join([*lines[: at - 1], without, *lines[at:]])).error_class == "column_alignment"


def test_what_people_typed_within_an_uploaded_header() -> None:
    typed = "* <SBEDataUploadFile>\n* ** Station: 17\n* ** Latitude: N 44 16.158\n* ** Longitude: W 063 19.1455\n"
    kept = [line for line in CNV.split("\n") if not line.startswith("*") or "END" in line]
    assert recognise_seabird(typed.encode())
    (cast,) = read(typed + "\n".join(kept)).casts
    assert (cast.station, cast.latitude) == ("17", pytest.approx(44.2693))


def test_a_btl_that_is_broken() -> None:
    assert refusal(BTL.replace("PrDM", "Volt")).error_class == "no_pressure"
    assert refusal(BTL.replace("  Position", "  Position\n  extra")[:400]).error_class in {
        "no_data",
        "column_alignment",
        "no_columns",
    }
    assert refusal(BTL.replace("0.050", "zero")).error_class == "column_alignment"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("39 16.23 N", 39.2705), ("150 06.34 W", -150.10566667), ("N 39 16.23", 39.2705), ("39° 16.23' S", -39.2705),
        ("-39.5", -39.5), ("39 16 30 N", 39.275), ("39-16.23N", 39.2705), ("39.5 N", 39.5), ("none", float("nan")), ("", float("nan")),
    ],
)  # fmt: skip
def test_positions_as_people_write_them(text: str, value: float) -> None:
    assert degrees(text, "latitude", Findings()) == pytest.approx(value, nan_ok=True)


@pytest.mark.parametrize(
    "text",
    [
        "Jul 12 2013 12:59:29",
        "Jul 12 2013  12:59:29 [NMEA time, first scan]",
        "12 Jul 2013 12:59:29",
        "2013-07-12T12:59:29",
    ],
)
def test_times_as_programs_write_them(text: str) -> None:
    assert time_of(text) == np.datetime64("2013-07-12T12:59:29")
    assert np.isnat(time_of("yesterday"))


def test_short_names() -> None:
    known = {
        "prDM": "sea_water_pressure", "prdM": "sea_water_pressure", "t090C": "sea_water_temperature", "tv290C": "sea_water_temperature",
        "T168C": "sea_water_temperature", "sal11": "sea_water_practical_salinity", "potemp090C": "sea_water_potential_temperature",
        "sbeox0Mm/Kg": "moles_of_oxygen_per_unit_mass_in_sea_water", "depSM": "depth", "scan": None, "flag": None, "nbin": None,
    }  # fmt: skip
    assert {name: seabird_standard_name(name) for name in known} == known
