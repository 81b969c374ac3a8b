"""Plain CSV files: columns found by their names or by the settings."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest

from pipeline_assets.ocean.config import CsvColumns, OceanConfig
from pipeline_assets.ocean.examples import water_level_csv
from pipeline_assets.ocean.read.plain_csv import recognise_csv
from resources.settings import load_source_config
from tests.ocean.reading import codes, column, read, refusal, rows_of

PROFILE = "station,lat,lon,depth [m],temp (degC),remark\nA,10,20,5,12.5,ok\nA,10,20,10,12.0,\nB,11,21,5,-999,fine\n"


def test_a_profile() -> None:
    file = read(PROFILE)
    assert (file.kind, file.rows, file.axis) == ("csv", 3, "pressure")
    assert [(cast.station, cast.latitude) for cast in file.casts] == [("A", 10), ("B", 11)]
    temperature = column(file, "temp")
    assert (temperature.unit, temperature.standard_name) == ("degC", "sea_water_temperature")
    np.testing.assert_array_equal(temperature.values, [12.5, 12, np.nan])
    assert file.pressure[0] == pytest.approx(5.03, abs=0.01)
    rows_of(file)


def test_what_erddap_gives() -> None:
    content, rows = water_level_csv(np.random.default_rng(1))
    file = read(content)
    assert (file.rows, file.axis) == (rows, "time")
    level = column(file, "sea_surface_height_above_sea_level")
    assert level.unit == "m"
    found = [row for row in rows_of(file)["observations"] if row["parameter"] == level.name]
    assert found[100]["qartod_spike"] == 4


def test_columns_as_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "STRANDLINE_OCEAN_CSV_COLUMNS",
        '{"time": ["wann"], "depth": ["tiefe"], "parameters": {"salz": "PSS-78"}, "flags": {"salz": "guete"}}',
    )
    config = load_source_config(OceanConfig, "ocean")
    assert config.csv_columns == CsvColumns(
        time=("wann",), depth=("tiefe",), parameters={"salz": "PSS-78"}, flags={"salz": "guete"}
    )
    text = "Wann,Tiefe,Salz,Guete,Sonst\n2024-01-01T00:00:00Z,5,34.5,2,1\n1704067260,5,34.6,3,2\n"
    file = read(text.replace("1704067260", "2024-01-01 00:01:00"), config)
    assert [one.name for one in file.parameters] == ["Salz"]
    salinity = column(file, "Salz")
    assert salinity.flags is not None
    assert (salinity.unit, salinity.flags.tolist()) == ("PSS-78", [2, 3])
    assert refusal(text).error_class == "unknown_columns"


def test_times_in_seconds_and_bad_ones() -> None:
    file = read("time,depth,temp\n1704067200,1,5\n1704067260,1,6\n")
    assert file.time is not None
    assert file.time[1] == np.datetime64("2024-01-01T00:01:00")
    assert codes(read("time,depth,temp\nnoon,1,5\n2024-01-01T00:00:00Z,1,6\n"))["bad_time"] == 1


@pytest.mark.parametrize(
    ("text", "error_class"),
    [
        ("a,b\n1,2\n", "unknown_columns"),
        ("time,name\n2024-01-01,x\n", "unknown_columns"),
        ("time,temp\n", "no_data"),
        ("time,temp\n2024-01-01,1,2\n", "column_alignment"),
        ("Dear colleagues\nhere are the data\n", "unknown_type"),
        ("1,2,3\n4,5,6\n", "unknown_type"),
        ('{"a": 1, "b": 2}', "unknown_type"),
    ],
)
def test_refusals(text: str, error_class: str) -> None:
    assert refusal(text).error_class == error_class


def test_dates_times_of_day_and_flags_as_exchange_names_them() -> None:
    file = read(
        "STNNBR,CASTNO,DATE,TIME,CTDPRS [DBAR],OXYGEN [UMOL/KG],OXYGEN [UMOL/KG]_FLAG_W\n"
        "1,1,20120904,905,11.4,250.5,2\n1,1,2012-09-04,23:41,27.1,248.1,3\n"
    )
    assert file.time is not None
    assert file.time.tolist() == [datetime(2012, 9, 4, 9, 5), datetime(2012, 9, 4, 23, 41)]
    oxygen = next(one for one in file.parameters if one.name == "OXYGEN")
    assert oxygen.unit == "UMOL/KG"
    assert oxygen.flags is not None
    assert oxygen.flags.tolist() == [2, 3]
    assert "OXYGEN [UMOL/KG]_FLAG_W" not in {one.name for one in file.parameters}


def test_place_and_time_in_a_long_comment() -> None:
    notes = "".join(f"% Note {number},{'x' * 40}\n" for number in range(20))
    text = (
        f"% Device,CC1\n% Cast time (UTC),2017-08-22 02:39:11\n% Start latitude,-36.25\n% Start longitude,150.5\n{notes}"
        "% End latitude,-36.5\nPressure (Decibar),Temperature (Celsius)\n0.15,16.4\n0.45,16.3\n"
    )
    assert recognise_csv(text.encode()[:512])
    (cast,) = read(text).casts
    assert (cast.latitude, cast.longitude) == (-36.25, 150.5)
    assert cast.time == np.datetime64("2017-08-22T02:39:11")
