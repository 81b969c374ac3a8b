"""Real cruise files give the answers that are known of them, read by themselves and through the front door."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from cli.main import main
from pipeline_assets.ocean.read.cruise_file import NO_FLAG, CruiseFile
from resources.lake.sql import run_query
from resources.platform import Platform
from resources.settings import Settings
from tests.ocean.conftest import CONFIG
from tests.ocean.reading import codes, column, read, rows_of

EXCHANGE = ("33RR20160321_ct1.zip", "a05_74EQ20151206_ct1.zip", "33RR20160208_hy1.csv")


def known(real: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((real / "expected.json").read_text())["exchange"][name]
    return found


def read_real(real: Path, name: str) -> CruiseFile:
    return read((real / name).read_bytes(), key=f"ocean/{Path(name).name}")


@pytest.fixture(scope="module", params=EXCHANGE)
def cruise(request: pytest.FixtureRequest, real: Path) -> tuple[CruiseFile, dict[str, Any]]:
    return read_real(real, request.param), known(real, request.param)


def test_exchange_files_give_what_is_known_of_them(cruise: tuple[CruiseFile, dict[str, Any]]) -> None:
    file, expected = cruise
    assert (file.rows, len(file.casts)) == (expected["observations"], expected["casts"])
    assert len({cast.station for cast in file.casts}) == expected["stations"]
    assert file.sha256 == expected["sha256"]
    assert {cast.expocode for cast in file.casts} == {np.atleast_1d(expected["expocode"])[0]}
    for name, axis in (("lat", "latitude"), ("lon", "longitude")):
        values = [getattr(cast, axis) for cast in file.casts]
        assert [min(values), max(values)] == expected[name]
    assert file.pressure.max() == expected.get("max_pressure", expected.get("pressure", [0, 0])[1])
    if "params" in expected:
        assert {one.name for one in file.parameters} == set(expected["params"])


def test_flags_are_counted_as_known(cruise: tuple[CruiseFile, dict[str, Any]]) -> None:
    file, expected = cruise
    for name, counts in expected["flags"].items():
        flags = column(file, name).flags
        assert flags is not None
        values, found = np.unique(flags[flags != NO_FLAG], return_counts=True)
        assert dict(zip(map(str, values), found.tolist(), strict=True)) == counts, name
    rows = rows_of(file, CONFIG, "observations", "levels")
    illegal = {f"{row['parameter']}_FLAG_W": row["count"] for row in rows["findings"] if row["code"] == "illegal_flag"}
    assert illegal == expected["flag_values_outside_1_9"]
    assert codes(file).keys().isdisjoint({"duplicate_key", "pressure_not_increasing"})
    for name, filled in expected.get("fill_-999", {}).items():
        assert int(np.isnan(column(file, name).values).sum()) == filled
    (totals,) = rows["files"]
    assert (totals["observations"], totals["casts"], totals["stations"]) == (
        expected["observations"], expected["casts"], expected["stations"],
    )  # fmt: skip
    stats = rows["parameter_stats"]
    for name, counts in expected["flags"].items():
        of_name = [row for row in stats if row["parameter"] == name]
        assert {flag: sum(row[f"n_flag_{flag}"] for row in of_name) for flag in counts} == counts


def test_seabird_files_have_the_rows_and_columns_that_python_ctd_finds(real: Path) -> None:
    """Its columns leave out the pressure; of a .btl they count bottle, date and statistic."""
    expected = json.loads((real / "expected.json").read_text())["seabird (ctd 1.5.0)"]
    profile = read_real(real, "other/CTD_with_sigma_e00.cnv")
    of = expected["CTD_with_sigma_e00.cnv"]
    assert (profile.rows, len(profile.parameters) - 1) == (of["rows"], of["cols"])
    assert profile.pressure[-1] == of["index_max"]
    assert (profile.casts[0].latitude, profile.casts[0].longitude) == pytest.approx((39.2705, -150.1056667))
    bottles = read_real(real, "other/bottletest.btl")
    of = expected["bottletest.btl"]
    means = [one for one in bottles.parameters if not one.name.endswith(("_sdev", "_min", "_max"))]
    assert (bottles.rows, len(means) + 3) == (of["rows"], of["cols"])
    assert rows_of(bottles)["files"][0]["observations"] == 48


def test_netcdf_and_the_small_bottle_file(real: Path) -> None:
    file = read_real(real, "other/test.nc")
    assert (file.rows, len(file.casts), file.casts[0].expocode) == (135, 17, "33RBGP604_1")
    assert column(file, "SALNTY").flag_scheme == "woce_sample"
    (totals,) = rows_of(file)["files"]
    assert 0.9 < totals["cf_score"] < 1
    mini = read_real(real, "other/33RR20080204_mini_hy1.csv")
    assert (mini.rows, len(mini.casts)) == (123, 6)
    rows_of(mini)


def test_the_water_level_series_is_flagged_as_ioos_qc_flags_it(real: Path) -> None:
    expected = json.loads((real / "expected.json").read_text())["ioos_qc 3.0.0"]["water_level"]
    file = read_real(real, "other/water_level_example.csv")
    assert (file.rows, file.axis) == (expected["rows"], "time")
    values = [row for row in rows_of(file)["observations"] if row["parameter"] == "sea_surface_height_above_sea_level"]
    for test, known_counts in (
        ("gross_range", expected["gross_range fail[-10,10] suspect[-2,3]"]),
        ("spike", expected["spike suspect0.8 fail3"]),
        ("flat_line", expected["flat_line tol0.001 suspect10800 fail21600"]),
        ("rate_of_change", expected["rate_of_change 0.001"]),
    ):
        found, counts = np.unique([row[f"qartod_{test}"] for row in values], return_counts=True)
        assert dict(zip(map(str, found), counts.tolist(), strict=True)) == known_counts, test


@pytest.fixture
def strandline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("STRANDLINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("STRANDLINE_WORKERS", "2")
    monkeypatch.setenv("STRANDLINE_SETTLE_SECONDS", "0.05")
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Result:
        result = CliRunner().invoke(main, list(arguments))
        assert result.exit_code == 0, result.output
        return result

    return call


def test_real_files_through_the_front_door(real: Path, strandline: Callable[..., Result]) -> None:
    names = ("33RR20160321_ct1.zip", "33RR20160208_hy1.csv")
    strandline("land", "ocean", *(str(real / name) for name in names))
    strandline("drain", "--source", "ocean")
    platform = Platform(Settings.load())
    try:
        found = run_query(
            platform.lake, platform.ledger, "SELECT source_key, observations, casts, stations FROM ocean.files"
        )
        assert {tuple(row.values()) for row in found.to_pylist()} == {
            (f"ocean/{name}", expected["observations"], expected["casts"], expected["stations"])
            for name in names
            for expected in [known(real, name)]
        }
        question = """SELECT count(*) AS n, min(pressure_dbar) AS top, max(pressure_dbar) AS bottom
            FROM ocean.observations WHERE cruise = '33RR20160321' AND parameter = 'CTDSAL'
            AND pressure_dbar BETWEEN 1000 AND 2000 AND flag = 2"""
        (row,) = run_query(platform.lake, platform.ledger, question).to_pylist()
        file = read_real(real, names[0])
        inside = (file.pressure >= 1000) & (file.pressure <= 2000)
        assert row == {"n": int(inside.sum()), "top": 1000.0, "bottom": 2000.0}
    finally:
        platform.close()
