"""What queries answer, on prices of the shape of a real set, against an answer worked out row by row in plain Python."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_assets.example_places import ports, regions
from pipeline_assets.places.source import PLACES
from pipeline_assets.rates import examples
from pipeline_assets.rates.source import RATES
from resources.errors import UserError
from resources.platform import Platform
from resources.serving import queries
from resources.serving.comparing import served_sums
from tests.conftest import putter
from tests.freight import csv_of, land_places, rates, settings_for, take

ROWS = examples.generate([code for code, _, _ in ports()])
FIRST, LAST = examples.FIRST_DAY, examples.FIRST_DAY + timedelta(days=examples.DAYS - 1)


@pytest.fixture(scope="module")
def served(postgresql: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("served")
    platform = Platform(settings_for(postgresql, folder / "home", settle_seconds=0.01))
    put = putter(platform.landing, folder)
    land_places(put)
    take(platform, PLACES)
    for number, part in enumerate(np.array_split(np.arange(len(ROWS)), 3)):
        put(f"rates/{number}.csv", csv_of([ROWS[at] for at in part]))
    assert take(platform, RATES).committed == 3
    yield platform
    platform.close()


def members(place: str) -> set[str]:
    """Ports of a place, found by walking down the tree."""
    found = {code for code, _, _ in ports() if code == place}
    below = {place}
    while True:
        found |= {code for code, _, region in ports() if region in below}
        more = below | {slug for slug, _, parent in regions() if parent in below}
        if more == below:
            return found
        below = more


def prices_of(origin: str, destination: str) -> dict[date, list[float]]:
    origins, destinations = members(origin), members(destination)
    found: dict[date, list[float]] = {FIRST + timedelta(days=n): [] for n in range(examples.DAYS)}
    for o, d, day, price in ROWS:
        if o in origins and d in destinations:
            found[day].append(price)
    return found


BETWEEN = [
    ("CNSGH", "NLRTM"), ("NLRTM", "CNSGH"), ("CNSGH", "north_europe_main"), ("china_main", "NLRTM"),
    ("china_main", "northern_europe"), ("northern_europe", "china_main"), ("baltic", "thames"), ("CNSGH", "CNSGH"),
]  # fmt: skip


def test_the_shape_is_that_of_a_real_set(served: Platform) -> None:
    with served.serving.read() as connection:
        assert sum(one.prices for one in served_sums(connection).values()) == len(ROWS) == 53_000
    assert len({row[:2] for row in ROWS}) == 725
    assert len(set(ROWS)) < len(ROWS), "equal rows are there"
    lane_days: dict[tuple[object, ...], int] = {}
    for row in ROWS:
        lane_days[row[:3]] = lane_days.get(row[:3], 0) + 1
    assert sum(count < 3 for count in lane_days.values()) > 1000


@pytest.mark.parametrize(("origin", "destination"), BETWEEN)
def test_every_day_has_the_average_of_all_its_prices(served: Platform, origin: str, destination: str) -> None:
    expected = prices_of(origin, destination)
    found = rates(served, origin, destination, str(FIRST), str(LAST))
    assert [one.day for one in found] == list(expected)
    for one in found:
        prices = expected[one.day]
        assert one.prices == len(prices)
        if len(prices) < 3:
            assert one.average is None
            assert one.average_price is None
        else:
            assert one.average == pytest.approx(statistics.fmean(prices), rel=1e-12)
            assert one.average_price == int(statistics.fmean(prices) + 0.5)


@pytest.mark.parametrize(("origin", "destination"), BETWEEN[2:6])
def test_percentiles_are_of_all_prices_together(served: Platform, origin: str, destination: str) -> None:
    expected = prices_of(origin, destination)
    with served.serving.read() as connection:
        found = queries.daily_spread(connection, origin, destination, FIRST, LAST)
    assert [one.day for one in found] == list(expected)
    for one in found:
        prices = expected[one.day]
        given = (one.p2_5, one.p25, one.median, one.p75, one.p97_5)
        if len(prices) < 3:
            assert given == (None,) * 5
        else:
            assert given == pytest.approx(tuple(np.percentile(prices, [2.5, 25, 50, 75, 97.5])), rel=1e-12)


def test_a_day_without_prices_is_there_and_empty(served: Platform) -> None:
    found = rates(served, "china_main", "northern_europe", "2016-01-01", "2016-01-05")
    assert [one.prices > 0 for one in found] == [True, True, False, True, True]
    assert found[2].average is None


def test_a_lone_outlier_in_a_region_below_a_region(served: Platform) -> None:
    origin, destination, day, price = examples.OUTLIER
    assert [row for row in ROWS if row[:2] == (origin, destination)] == [examples.OUTLIER]
    (alone,) = rates(served, origin, destination, str(day), str(day))
    assert (alone.prices, alone.average_price) == (1, None)
    expected = prices_of(origin, "northern_europe")[day]
    assert price in expected
    (among,) = rates(served, origin, "northern_europe", str(day), str(day))
    assert among.prices == len(expected)
    assert among.average == pytest.approx(statistics.fmean(expected))
    assert among.average > 2 * statistics.median(expected)


def test_the_other_dialect_has_only_days_with_prices_newest_first(served: Platform) -> None:
    expected = {day: prices for day, prices in prices_of("CNSGH", "NLRTM").items() if prices}
    with served.serving.read() as connection:
        found = queries.days_with_prices(connection, "CNSGH", "NLRTM", FIRST, LAST)
    assert [one.day for one in found] == sorted(expected, reverse=True)
    assert examples.EMPTY_DAY not in expected
    for one in found:
        assert (one.prices, one.average) == (len(expected[one.day]), pytest.approx(statistics.fmean(expected[one.day])))


def test_days_beyond_all_prices_are_there_and_empty(served: Platform) -> None:
    found = rates(served, "CNSGH", "NLRTM", "2015-12-30", "2016-01-01")
    assert [(str(one.day), one.prices > 0) for one in found] == [
        ("2015-12-30", False), ("2015-12-31", False), ("2016-01-01", bool(prices_of("CNSGH", "NLRTM")[FIRST])),
    ]  # fmt: skip


def test_a_place_that_is_none_is_named(served: Platform) -> None:
    for origin, destination, field in (("nowhere", "NLRTM", "origin"), ("CNSGH", "cnsgh", "destination")):
        with pytest.raises(
            queries.UnknownPlace, match=f"{field}: .* is neither a port's code nor a region's slug"
        ) as e:
            rates(served, origin, destination, str(FIRST), str(LAST))
        assert e.value.field == field
    with pytest.raises(UserError, match="date_from: 2016-01-02 is after date_to, 2016-01-01"):
        rates(served, "CNSGH", "NLRTM", "2016-01-02", "2016-01-01")


@pytest.mark.parametrize(("average", "rounded"), [(1111.5, 1112), (1112.5, 1113), (1111.4999, 1111), (1111.92, 1112)])
def test_halves_go_up(average: float, rounded: int) -> None:
    assert queries.DayRate(FIRST, 3, average).average_price == rounded


@given(
    st.floats(0, 1e15) | st.integers(0, 10**9).map(lambda half: half + 0.5) | st.decimals(0, 10**6, places=6).map(float)
)
def test_every_average_is_rounded_as_decimals_are(average: float) -> None:
    to_a_millionth = Decimal(repr(round(average, 6)))
    assert queries.rounded(average) == int(to_a_millionth.quantize(Decimal(1), ROUND_HALF_UP))


def test_the_statements_own_sample(postgresql: str, tmp_path: Path) -> None:
    """Means of 1111.92 and 1112 and a day without prices, between a port and a region."""
    platform = Platform(settings_for(postgresql, tmp_path / "home"))
    put = putter(platform.landing, tmp_path)
    land_places(put)
    take(platform, PLACES)
    day = date(2016, 1, 1)
    prices = [1110.92, 1111.92, 1112.92]
    rows: list[examples.Row] = [("CNSGH", "NLRTM", day, price) for price in prices]
    rows += [("CNSGH", "GBFXT", day + timedelta(days=1), 1112.0)] * 3
    put("rates/sample.csv", csv_of(rows))
    take(platform, RATES)
    found = rates(platform, "CNSGH", "northern_europe", "2016-01-01", "2016-01-03")
    assert [one.average_price for one in found] == [1112, 1112, None]
    platform.close()
