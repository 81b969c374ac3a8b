"""NetCDF by the CF conventions in every geometry, and NetCDF that wants to do harm."""

from __future__ import annotations

import io
from typing import Any

import h5py
import netCDF4
import numpy as np
import pytest

from pipeline_assets.ocean.config import OceanConfig
from pipeline_assets.ocean.examples import made_station, netcdf
from pipeline_assets.ocean.read.cruise_file import NO_FLAG
from tests.ocean.reading import codes, column, read, refusal, rows_of

CRUISE = [made_station(number, 3, np.random.default_rng(number)) for number in (1, 2, 3)]
PLAIN = OceanConfig(compliance=False)


def made(form: str = "NETCDF4", feature: str = "", **sizes: int) -> Any:
    data: Any = netCDF4.Dataset("test.nc", "w", memory=100_000, format=form)
    data.Conventions = "CF-1.8"
    if feature:
        data.featureType = feature
    for name, size in sizes.items():
        data.createDimension(name, size)
    return data


def put(
    data: Any,
    name: str,
    dimensions: tuple[str, ...],
    values: Any,
    kind: str = "f8",
    fill: Any = None,
    **attributes: Any,
) -> None:
    variable = data.createVariable(name, kind, dimensions, fill_value=fill)
    variable.setncatts(attributes)
    variable[...] = values


@pytest.mark.parametrize(
    "form", ["NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA", "NETCDF4", "NETCDF4_CLASSIC"]
)
def test_ragged_profiles_in_every_form(form: str) -> None:
    file = read(netcdf(CRUISE, form=form), PLAIN)
    assert (file.kind, file.rows, len(file.casts)) == ("netcdf", sum(len(one.pressure) for one in CRUISE), 3)
    assert [cast.station for cast in file.casts] == ["1", "2", "3"]
    assert file.casts[1].time == np.datetime64("2024-01-07")
    assert [cast.longitude for cast in file.casts] == [one.longitude for one in CRUISE]
    salinity = column(file, "salinity")
    np.testing.assert_allclose(salinity.values, np.concatenate([one.salinity for one in CRUISE]), atol=0.00051)
    assert codes(file) == {}
    rows_of(file, PLAIN)


def test_incomplete_profiles_lose_their_padding() -> None:
    data = made(feature="profile", profile=2, z=3)
    put(data, "time", ("profile",), [0, 1], standard_name="time", units="hours since 2024-01-01")
    put(data, "lat", ("profile",), [1, 2], units="degrees_north", standard_name="latitude")
    put(data, "lon", ("profile",), [3, 4], units="degrees_east", standard_name="longitude")
    put(
        data,
        "pres",
        ("profile", "z"),
        [[1, 2, 3], [1, -9, -9]],
        units="dbar",
        standard_name="sea_water_pressure",
        fill=-9.0,
    )
    put(
        data,
        "temp",
        ("profile", "z"),
        [[5, 6, -9], [7, -9, -9]],
        units="degC",
        standard_name="sea_water_temperature",
        fill=-9.0,
    )
    put(
        data,
        "temp_qc",
        ("profile", "z"),
        [[1, 4, 9], [1, 9, 9]],
        kind="i1",
        flag_values=np.arange(10, dtype="i1"),
        flag_meanings="a b",
    )
    file = read(bytes(data.close()), PLAIN)
    assert file.cast_index.tolist() == [0, 0, 0, 1]
    temperature = column(file, "temp")
    np.testing.assert_array_equal(temperature.values, [5, 6, np.nan, 7])
    assert temperature.flags is not None
    assert temperature.flags.tolist() == [1, 4, 9, 1]
    assert [row["n_good"] for row in rows_of(file, PLAIN)["parameter_stats"] if row["parameter"] == "temp"] == [1, 1]


def test_a_single_series_keeps_its_gaps() -> None:
    data = made(feature="timeSeries", time=4)
    put(
        data,
        "time",
        ("time",),
        [0, 60, 120, 180],
        standard_name="time",
        units="seconds since 2024-01-01 00:00:00",
        kind="i4",
    )
    put(data, "lat", (), 10.0, standard_name="latitude")
    put(data, "lon", (), 20.0, standard_name="longitude")
    put(data, "depth", (), 5.0, standard_name="depth", units="m", positive="down")
    put(data, "temp", ("time",), [1, 2, np.nan, 4], standard_name="sea_water_temperature")
    file = read(bytes(data.close()), PLAIN)
    assert (file.rows, file.axis, len(file.casts)) == (4, "time", 1)
    assert (file.casts[0].latitude, file.casts[0].longitude) == (10, 20)
    assert file.time is not None
    assert file.time[3] == np.datetime64("2024-01-01T00:03:00")
    assert file.pressure[0] == pytest.approx(5.03, abs=0.01)
    rows_of(file, PLAIN)


def test_series_of_profiles() -> None:
    data = made(feature="timeSeriesProfile", station=2, time=3, z=2)
    put(data, "time", ("time",), [0, 1, 2], standard_name="time", units="days since 2024-01-01")
    put(data, "lat", ("station",), [1, 2], standard_name="latitude")
    put(data, "lon", ("station",), [3, 4], standard_name="longitude")
    put(data, "z", ("z",), [10, 20], standard_name="depth", positive="down", units="m")
    put(
        data,
        "sal",
        ("station", "time", "z"),
        np.arange(12).reshape(2, 3, 2),
        standard_name="sea_water_practical_salinity",
    )
    file = read(bytes(data.close()), PLAIN)
    assert (file.rows, len(file.casts), file.axis) == (12, 6, "pressure")
    assert [cast.latitude for cast in file.casts] == [1, 1, 1, 2, 2, 2]
    assert file.casts[4].time == np.datetime64("2024-01-02")
    np.testing.assert_array_equal(column(file, "sal").values, np.arange(12))
    rows_of(file, PLAIN)


def test_indexed_ragged_and_trajectories() -> None:
    data = made(feature="trajectory", trajectory=2, obs=5)
    put(data, "id", ("trajectory",), [7, 8], kind="i4", cf_role="trajectory_id")
    put(data, "index", ("obs",), [0, 1, 0, 1, 1], kind="i4", instance_dimension="trajectory")
    put(data, "time", ("obs",), range(5), standard_name="time", units="minutes since 2024-01-01")
    for name, standard in (("lat", "latitude"), ("lon", "longitude")):
        put(data, name, ("obs",), [1, 2, 3, 4, 5], standard_name=standard)
    put(data, "temp", ("obs",), [10, 20, 11, 21, 22], standard_name="sea_water_temperature")
    file = read(bytes(data.close()), PLAIN)
    assert file.cast_index.tolist() == [0, 1, 0, 1, 1]
    assert [cast.station for cast in file.casts] == ["7", "8"]
    assert file.latitude is not None
    assert file.latitude.tolist() == [1, 2, 3, 4, 5]
    rows_of(file, PLAIN)


def test_argo_s_flags_are_characters_and_a_third_dimension_is_columns() -> None:
    data = made(N_PROF=2, N_LEVELS=3, N_WAVE=2, STRING8=8)
    data.createVariable("PLATFORM_NUMBER", "S1", ("N_PROF", "STRING8"))[:] = netCDF4.stringtochar(
        np.array(["6901234", "6901235"], "S8")
    )
    put(data, "JULD", ("N_PROF",), [27000, 27010], units="days since 1950-01-01 00:00:00 UTC", standard_name="time")
    put(data, "LATITUDE", ("N_PROF",), [1, 2], standard_name="latitude")
    put(data, "LONGITUDE", ("N_PROF",), [3, 4], standard_name="longitude")
    put(
        data,
        "PRES",
        ("N_PROF", "N_LEVELS"),
        [[1, 2, 3], [1, 2, 99999]],
        units="decibar",
        standard_name="sea_water_pressure",
        fill=99999.0,
    )
    put(
        data,
        "TEMP",
        ("N_PROF", "N_LEVELS"),
        [[5, 6, 7], [8, 9, 99999]],
        standard_name="sea_water_temperature",
        fill=99999.0,
    )
    data.createVariable("TEMP_QC", "S1", ("N_PROF", "N_LEVELS"))[:] = np.array([list("114"), list("12 ")], "S1")
    put(data, "N_WAVE", ("N_WAVE",), [325, 380])
    put(data, "cdom", ("N_PROF", "N_LEVELS", "N_WAVE"), np.arange(12).reshape(2, 3, 2))
    put(data, "calibration", ("N_WAVE", "N_PROF"), np.zeros((2, 2)))
    file = read(bytes(data.close()), PLAIN)
    assert file.rows == 6
    assert [cast.station for cast in file.casts] == ["6901234", "6901235"]
    flags = column(file, "TEMP").flags
    assert flags is not None
    assert flags.tolist() == [1, 1, 4, 1, 2, NO_FLAG]
    assert column(file, "cdom_380").values.tolist() == [1, 3, 5, 7, 9, 11]
    assert codes(file) == {"variable_left_out": 1}
    rows_of(file, PLAIN)


def test_ragged_series_of_profiles() -> None:
    data = made(feature="timeSeriesProfile", station=2, profile=3, obs=5)
    put(data, "lat", ("station",), [1, 2], standard_name="latitude")
    put(data, "lon", ("station",), [3, 4], standard_name="longitude")
    put(data, "station_index", ("profile",), [1, 0, 1], kind="i4", instance_dimension="station")
    put(data, "row_size", ("profile",), [2, 1, 2], kind="i4", sample_dimension="obs")
    put(data, "time", ("profile",), [0, 1, 2], standard_name="time", units="days since 2024-01-01")
    put(data, "z", ("obs",), [1, 2, 1, 1, 2], standard_name="depth", positive="down", units="m")
    put(data, "temp", ("obs",), [1, 2, 3, 4, 5], standard_name="sea_water_temperature")
    file = read(bytes(data.close()), PLAIN)
    assert file.cast_index.tolist() == [0, 0, 1, 2, 2]
    assert [cast.latitude for cast in file.casts] == [2, 1, 2]
    assert file.casts[2].time == np.datetime64("2024-01-03")
    rows_of(file, PLAIN)


def test_a_mooring_at_one_depth_is_a_series() -> None:
    data = made(time=4, depth=1)
    put(data, "time", ("time",), range(4), standard_name="time", units="hours since 2024-01-01")
    put(data, "depth", ("depth",), [50], standard_name="depth", positive="down", units="m")
    put(data, "temp", ("time", "depth"), np.arange(4).reshape(4, 1), standard_name="sea_water_temperature")
    file = read(bytes(data.close()), PLAIN)
    assert (file.axis, len(file.casts), file.rows) == ("time", 1, 4)


def test_without_anything_that_cf_asks_for() -> None:
    data = made(n=3)
    put(data, "TEMP", ("n",), [1, 2, 3])
    file = read(bytes(data.close()), PLAIN)
    assert file.rows == 3
    assert codes(file) == {"no_coordinate": 3, "no_pressure": 1}
    rows_of(file, PLAIN)


def test_odd_calendars_units_and_attributes() -> None:
    data = made(time=3)
    put(data, "time", ("time",), [0, 31, 59], standard_name="time", units="days since 2024-01-01", calendar="360_day")
    put(data, "temp", ("time",), [1, 2, 3], kind="i2")
    data["temp"].setncatts({"scale_factor": "much", "valid_min": "low"})
    file = read(bytes(data.close()), PLAIN)
    assert file.time is not None
    assert file.time[1] == np.datetime64("2024-02-02")
    assert "bad_attribute" in codes(file)
    data = made(time=2)
    put(data, "time", ("time",), [0, 1], standard_name="time", units="fortnights since easter")
    put(data, "temp", ("time",), [1, 2])
    assert codes(read(bytes(data.close()), PLAIN))["bad_time_unit"] == 1


def test_it_is_scored_against_the_conventions() -> None:
    file = read(netcdf(CRUISE))
    (row,) = rows_of(file)["files"]
    assert row["cf_score"] is not None
    assert row["cf_score"] > 0.9
    data = made(time=2)
    put(data, "time", ("time",), [0, 1], standard_name="time", units="days since 2024-01-01")
    put(data, "temp", ("time",), [1, 2], standard_name="warmth", units="degrees_warm")
    poor = read(bytes(data.close()))
    (poorer,) = rows_of(poor)["files"]
    assert poorer["cf_score"] < row["cf_score"]
    assert codes(poor)["cf_conventions"] > 0


def hdf5(change: Any) -> bytes:
    content = io.BytesIO(netcdf(CRUISE, form="NETCDF4"))
    with h5py.File(content, "r+") as file:
        change(file)
    return content.getvalue()


def test_values_that_are_elsewhere_are_not_fetched() -> None:
    def link(file: Any) -> None:
        file["more"] = h5py.ExternalLink("/etc/passwd", "/x")

    def external(file: Any) -> None:
        file.create_dataset("raw", (10,), "u1", external=[("/etc/passwd", 0, 10)])

    for change in (link, external):
        assert refusal(hdf5(change), PLAIN).error_class == "unsafe_netcdf"


def test_sizes_that_nobody_can_hold() -> None:
    def huge(file: Any) -> None:
        file.create_dataset("huge", (1_000_000, 1_000_000), "f8", chunks=(1000, 1000))

    refused = refusal(hdf5(huge), PLAIN)
    assert (refused.error_class, "STRANDLINE_OCEAN_MAX_VALUES" in refused.message) == ("netcdf_too_large", True)
    data = made("NETCDF3_64BIT_OFFSET", n=60)
    put(data, "temp", ("n",), np.arange(60))
    assert refusal(bytes(data.close()), OceanConfig(max_values=50)).error_class == "netcdf_too_large"


def test_damage() -> None:
    for form in ("NETCDF3_CLASSIC", "NETCDF4"):
        whole = netcdf(CRUISE, form=form)
        assert refusal(whole[:200], PLAIN).error_class == "damaged_netcdf"
    empty = made(n=0)
    assert refusal(bytes(empty.close()), PLAIN).error_class == "no_data"
