"""What `GET /rates` means, on generated prices of the real shape, against plain Python over the same rows."""

from __future__ import annotations

import statistics
from collections.abc import Collection
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pytest
from starlette.testclient import TestClient

from pipeline_assets.example_places import ports, regions
from pipeline_assets.rates.examples import DAYS, EMPTY_DAY, FIRST_DAY, LANES, OUTLIER, PRICES, Row, generate
from tests.crash.sessions import wait_until
from tests.rates_api.conftest import client_of, is_open
from tests.rates_api.deployment import Deployment

LAST_DAY = FIRST_DAY + timedelta(days=DAYS - 1)
ROWS = generate([code for code, _, _ in ports()])
PARENTS = {slug: parent for slug, _, parent in regions()}


def ports_of(place: str) -> set[str]:
    """A port, or all ports of a region, by climbing up from each."""
    if place not in PARENTS:
        return {place}
    found = set()
    for code, _, region in ports():
        at = region
        while at and at != place:
            at = PARENTS[at]
        if at == place:
            found.add(code)
    return found


def prices_of(origin: str, destination: str, rows: Collection[Row] = tuple(ROWS)) -> dict[date, list[float]]:
    origins, destinations = ports_of(origin), ports_of(destination)
    by_day: dict[date, list[float]] = {}
    for orig, dest, day, price in rows:
        if orig in origins and dest in destinations:
            by_day.setdefault(day, []).append(price)
    return by_day


def rounded(prices: list[float]) -> int | None:
    if len(prices) < 3:
        return None
    return int((sum(map(Decimal, prices)) / len(prices)).quantize(Decimal(1), ROUND_HALF_UP))


def asked(origin: str, destination: str, first: date = FIRST_DAY, last: date = LAST_DAY, **more: str) -> dict[str, str]:
    return {"date_from": str(first), "date_to": str(last), "origin": origin, "destination": destination, **more}


def test_the_data_has_the_real_shape() -> None:
    assert (len(ports()), len(regions()), len(ROWS), DAYS) == (143, 20, PRICES, 30)
    assert len({row[:2] for row in ROWS}) == LANES
    depth = 0
    for slug in PARENTS:
        at, steps = slug, 0
        while PARENTS[at]:
            at, steps = PARENTS[at], steps + 1
        depth = max(depth, steps + 1)
    assert depth >= 3
    assert len(ROWS) - len(set(ROWS)) > 100, "there are equal rows"
    assert EMPTY_DAY not in {row[2] for row in ROWS}


@pytest.mark.parametrize(
    ("origin", "destination"),
    [
        ("CNSGH", "NLRTM"),
        ("NLRTM", "CNSGH"),
        ("CNSGH", "north_europe_main"),
        ("north_europe_main", "CNSGH"),
        ("china_main", "northern_europe"),
        ("northern_europe", "china_main"),
        ("china_main", "china_main"),
        ("baltic", "mediterranean"),
        ("china_main", "GBFXT"),
        ("north_america", "north_america"),
    ],
)
def test_every_day_has_the_mean_of_all_prices_between_both_places(
    client: TestClient, origin: str, destination: str
) -> None:
    expected = prices_of(origin, destination)
    answer = client.get("/rates", params=asked(origin, destination, include="count,median,percentiles"))
    assert answer.status_code == 200
    found = answer.json()
    assert [day["day"] for day in found] == [str(FIRST_DAY + timedelta(days=n)) for n in range(DAYS)]
    for day in found:
        prices = expected.get(date.fromisoformat(day["day"]), [])
        assert day["count"] == len(prices)
        assert day["average_price"] == rounded(prices)
        spread = [day[name] for name in ("p2_5", "p25", "median", "p75", "p97_5")]
        if len(prices) < 3:
            assert spread == [None] * 5
        else:
            assert spread == pytest.approx(list(np.percentile(prices, [2.5, 25, 50, 75, 97.5])))
            assert day["median"] == pytest.approx(statistics.median(prices))


def test_plain_answers_have_the_statement_s_two_fields(client: TestClient) -> None:
    found = client.get("/rates", params=asked("CNSGH", "NLRTM")).json()
    assert {tuple(day) for day in found} == {("day", "average_price")}
    assert any(isinstance(day["average_price"], int) for day in found)


def test_a_day_without_prices_and_days_around_the_data_are_null(client: TestClient) -> None:
    first, last = FIRST_DAY - timedelta(days=2), FIRST_DAY + timedelta(days=2)
    found = client.get("/rates", params=asked("china_main", "northern_europe", first, last)).json()
    assert [day["average_price"] is None for day in found] == [True, True, False, False, True]
    assert found[-1]["day"] == str(EMPTY_DAY)


def test_a_lone_outlier_in_a_region_within_a_region_is_found_and_has_no_average(client: TestClient) -> None:
    origin, destination, day, price = OUTLIER
    one = asked(origin, destination, day, day, include="count,median")
    assert client.get("/rates", params=one).json() == [
        {"day": str(day), "average_price": None, "count": 1, "median": None}
    ]
    # It is in the average of the region two levels up, with all others of that day.
    above = client.get("/rates", params=asked(origin, "northern_europe", day, day)).json()
    prices = prices_of(origin, "northern_europe")[day]
    assert price in prices
    assert above == [{"day": str(day), "average_price": rounded(prices)}]
    operations = {"date_from": str(day), "date_to": str(day), "orig_code": origin, "dest_code": destination}
    assert client.get("/rates", params=operations).json() == {"rates": [{"day": str(day), "count": 1, "price": price}]}


def test_the_operations_dialect_has_days_with_prices_newest_first(client: TestClient) -> None:
    expected = prices_of("CNSGH", "NLRTM")
    params = {"date_from": str(FIRST_DAY), "date_to": str(LAST_DAY), "orig_code": "CNSGH", "dest_code": "NLRTM"}
    found = client.get("/rates", params=params).json()["rates"]
    assert [day["day"] for day in found] == sorted(map(str, expected), reverse=True)
    for day in found:
        prices = expected[date.fromisoformat(day["day"])]
        assert (day["count"], day["price"]) == (len(prices), pytest.approx(statistics.fmean(prices)))


def test_equal_prices_all_count_and_halves_go_up(deployment: Deployment) -> None:
    day = date(2016, 2, 1)
    deployment.land("equal.csv", [("CNSGH", "NLRTM", day, 10.0)] * 3 + [("CNSGH", "NLRTM", day, 12.0)])
    assert deployment.take().committed == 1
    with client_of(deployment.platform) as client:
        wait_until(lambda: is_open(client), 30, "the API opens")
        found = client.get("/rates", params=asked("CNSGH", "NLRTM", day, day, include="count")).json()
        assert found == [{"day": str(day), "average_price": 11, "count": 4}], "10.5"
        deployment.land("more.csv", [("CNSGH", "NLRTM", day, 10.0)] * 3 + [("CNSGH", "NLRTM", day, 12.0)] * 5)
        assert deployment.take().committed == 1
        found = client.get("/rates", params=asked("CNSGH", "NLRTM", day, day, include="count")).json()
        assert found == [{"day": str(day), "average_price": 11, "count": 12}], "11.0"
