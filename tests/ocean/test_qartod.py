"""The quality tests against ioos_qc, cast by cast, and against the answers in its documentation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ioos_qc import qartod as official

from pipeline_assets.ocean import qartod
from pipeline_assets.ocean.config import OceanConfig
from pipeline_assets.ocean.limits import Climatology, Limits
from tests.ocean.reading import read, rows_of
from tests.ocean.test_exchange import CTD


def starts(lengths: list[int]) -> np.ndarray[Any, Any]:
    made = np.zeros(sum(lengths), dtype=bool)
    made[np.cumsum([0, *lengths[:-1]])] = True
    return made


def test_the_cases_of_ioos_qc_s_own_tests() -> None:
    values = np.array([5, 10, 15, 20, 25, 30, 35, 40, 45, 51.0])
    assert qartod.gross_range(values, (10, 50), (20, 40)).tolist() == [4, 3, 3, 1, 1, 1, 1, 1, 3, 4]
    values = np.array([10, 12, 999.99, 13, 15, 40, 9, 9])
    assert qartod.spike(values, starts([8]), (25, 50)).tolist() == [2, 4, 4, 4, 1, 3, 1, 2]
    assert qartod.spike(np.array([-100, -99, -99, -98.0]), starts([4]), (25, 50)).tolist() == [2, 1, 1, 2]


number = st.one_of(st.integers(-5, 5).map(float), st.floats(-50, 50), st.just(float("nan")))
casts = st.lists(st.lists(number, min_size=3, max_size=25), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(casts)
def test_all_casts_at_once_are_flagged_as_ioos_qc_flags_each(given_casts: list[list[float]]) -> None:
    lengths = [len(one) for one in given_casts]
    values = np.concatenate([np.array(one) for one in given_casts])
    begin = starts(lengths)
    seconds = np.concatenate([60.0 * np.arange(length) for length in lengths])
    ours = {
        "gross": qartod.gross_range(values, (-20, 20), (-4, 4)),
        "spike": qartod.spike(values, begin, (2, 6)),
        "rate": qartod.rate_of_change(values, seconds, begin, 0.05),
        "density": qartod.density_inversion(values, seconds, begin, 0.5, 3),
    }
    at = 0
    for one in given_casts:
        here = slice(at, at + len(one))
        at += len(one)
        times = np.datetime64("2024-01-01") + np.arange(len(one)).astype("timedelta64[m]")
        theirs = {
            "gross": official.gross_range_test(one, (-20, 20), (-4, 4)),
            "spike": official.spike_test(one, 2, 6),
            "rate": official.rate_of_change_test(one, times, 0.05),
            "density": official.density_inversion_test(one, 60.0 * np.arange(len(one)), -0.5, -3),
        }
        missing = np.isnan(one)
        for test, flags in theirs.items():
            found, wanted = ours[test][here], np.ma.filled(flags, 9)
            # Beside a missing value ioos_qc calls a rate good that it could not compare, and a density missing.
            after = np.concatenate([[False], missing[:-1]])
            if test == "rate":
                assert (found[after & ~missing] == 2).all()
            if test in {"rate", "density"}:
                beside = after | np.concatenate([missing[1:], [False]])
                found, wanted = found[~beside], wanted[~beside]
            np.testing.assert_array_equal(found, wanted, err_msg=test)


whole = st.one_of(st.sampled_from([1.0, 1.0001, 1.0002, 1.2]), st.integers(0, 3).map(float))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(whole, min_size=3, max_size=40), min_size=1, max_size=3), st.integers(2, 6), st.integers(6, 12)
)
def test_flat_lines_are_those_of_ioos_qc(given_casts: list[list[float]], suspect: int, fail: int) -> None:
    lengths = [len(one) for one in given_casts]
    values = np.concatenate([np.array(one) for one in given_casts])
    seconds = np.concatenate([60.0 * np.arange(length) for length in lengths])
    ours = qartod.flat_line(values, seconds, starts(lengths), (60.0 * suspect, 60.0 * fail), 0.001)
    wanted = [
        official.flat_line_test(
            one, np.datetime64("2024-01-01") + np.arange(len(one)).astype("timedelta64[m]"), 60 * suspect, 60 * fail, 0.001
        )
        for one in given_casts
    ]  # fmt: skip
    np.testing.assert_array_equal(ours, np.concatenate([np.ma.filled(one, 9) for one in wanted]))


def test_positions() -> None:
    nan = np.nan
    flags = qartod.location(np.array([0, 91, nan, nan, -90.0]), np.array([359.9, 0, nan, 10, -181]))
    assert flags.tolist() == [1, 4, 9, 4, 4]


def test_the_worst_of_all_tests_counts() -> None:
    tests = [np.array(flags, dtype=np.int8) for flags in ([1, 2, 2, 1, 9], [2, 2, 9, 3, 9], [1, 2, 2, 4, 9])]
    assert qartod.worst(tests, 5).tolist() == [1, 2, 2, 4, 9]
    assert qartod.worst([], 2).tolist() == [2, 2]


def profile(values: list[float], pressures: list[float] | None = None) -> str:
    body = "".join(
        f"{pressure},2,{value},2\n"
        for pressure, value in zip(pressures or [2.0 * n for n in range(len(values))], values, strict=True)
    )
    return CTD[: CTD.index("2.0,2,")] + body + "END_DATA\n"


def flags_of(text: str, test: str, config: OceanConfig | None = None) -> list[int]:
    config = config or OceanConfig()
    rows = rows_of(read(text, config), config)["observations"]
    return [row[f"qartod_{test}" if test else "qartod"] for row in rows if row["parameter"] == "CTDTMP"]


def test_a_spike_is_told_and_the_originator_s_flag_stays() -> None:
    text = profile([10, 10, 18, 10, 10])
    assert flags_of(text, "spike") == [2, 3, 4, 3, 2]
    assert flags_of(text, "") == [1, 3, 4, 3, 1]
    assert [row["flag"] for row in rows_of(read(text))["observations"] if row["parameter"] == "CTDTMP"] == [2] * 5


def test_neighbours_far_apart_are_not_compared() -> None:
    text = profile([10, 10, 18, 10, 10], [0, 10, 20, 500, 510])
    assert flags_of(text, "spike") == [2, 3, 2, 2, 2]
    assert flags_of(text, "rate_of_change") == [1, 1, 1, 2, 1]
    assert flags_of(text, "spike", OceanConfig(neighbour_max_dbar=1000)) == [2, 3, 4, 3, 2]


def test_limits_of_one_s_own() -> None:
    config = OceanConfig(qartod={"CTDTMP": Limits(gross_fail=(0, 12))})
    assert flags_of(profile([10, 13, 11]), "gross_range", config) == [1, 4, 1]
    assert flags_of(profile([10, 13, 11]), "spike", config) == [2, 2, 2]
    for wrong in ({"gross_fail": (2, 1)}, {"gross_fail": (0, 1), "gross_suspect": (0, 2)}, {"flat_tolerance": 0}):
        with pytest.raises(ValueError, match=r"gross|flat"):
            Limits(**wrong)


def test_climatology_is_by_month_and_pressure() -> None:
    config = OceanConfig(
        climatology=(
            Climatology(parameter="sea_water_temperature", low=9, high=11, months=(1, 2), pressure_dbar=(0, 3)),
            Climatology(parameter="CTDTMP", low=0, high=1, months=(7,)),
        )
    )
    assert flags_of(profile([10, 13, 11]), "climatology", config) == [1, 3, 2]
    assert flags_of(profile([10, 13, 11]), "climatology") == [2, 2, 2]
    with pytest.raises(ValueError, match="months"):
        Climatology(parameter="x", low=0, high=1, months=(13,))


def test_dense_water_above_light_water() -> None:
    text = CTD[: CTD.index("CTDPRS,")] + "CTDPRS,CTDTMP,CTDSAL\nDBAR,ITS-90,PSS-78\n"
    text += "0,10,35\n2,10,35.01\n4,10,34.90\n6,10,35.1\n8,10,30\nEND_DATA\n"
    rows = rows_of(read(text))
    assert [row["qartod_density_inversion"] for row in rows["levels"]] == [1, 3, 3, 4, 4]
    worst = {
        name: [row["qartod"] for row in rows["observations"] if row["parameter"] == name]
        for name in ("CTDSAL", "CTDPRS")
    }
    assert worst["CTDSAL"][3:] == [4, 4]
    assert worst["CTDPRS"] == [1] * 5
