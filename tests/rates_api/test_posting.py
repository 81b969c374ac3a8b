"""A posted price: a file like any other, counted once, in lake and serving database alike."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest
from starlette.testclient import TestClient

from resources.ledger.queries import list_files
from tests.crash.sessions import wait_until
from tests.rates_api.conftest import client_of, is_open
from tests.rates_api.deployment import TOKEN, Deployment
from tests.running import rows_of

BEARER = {"Authorization": f"Bearer {TOKEN}"}
PRICE = {
    "date_from": "2016-02-01", "date_to": "2016-02-03", "origin_code": "CNSGH", "destination_code": "NLRTM", "price": 900.5,
}  # fmt: skip
QUESTION = {
    "date_from": "2016-02-01", "date_to": "2016-02-04", "orig_code": "CNSGH", "dest_code": "north_europe_main",
}  # fmt: skip


@pytest.fixture
def client(deployment: Deployment) -> Iterator[TestClient]:
    with client_of(deployment.platform) as made:
        wait_until(lambda: is_open(made), 30, "the API opens")
        yield made


def state(client: TestClient, posted: dict[str, str]) -> str:
    answer = client.get(f"/rates/posted/{posted['request_id']}", headers=BEARER)
    assert answer.status_code == 200
    return str(answer.json()["state"])


def test_a_price_is_landed_and_then_in_both_stores(client: TestClient, deployment: Deployment) -> None:
    answer = client.post("/rates", json=PRICE, headers=BEARER)
    posted = answer.json()
    assert (answer.status_code, posted["state"]) == (202, "landed")
    assert answer.headers["Location"] == f"/rates/posted/{posted['request_id']}"
    assert client.get("/rates", params=QUESTION).json() == {"rates": []}

    assert deployment.take().committed == 1

    assert state(client, posted) == "committed"
    assert client.get("/rates", params=QUESTION).json() == {
        "rates": [{"day": f"2016-02-0{day}", "count": 1, "price": 900.5} for day in (3, 2, 1)]
    }
    lake = rows_of(deployment.platform, "SELECT orig_code, dest_code, day, price FROM rates.prices ORDER BY day")
    assert lake == [("CNSGH", "NLRTM", date(2016, 2, day), 900.5) for day in (1, 2, 3)]
    (file,) = list_files(deployment.platform.ledger, source="rates")
    assert (file.key, file.state) == (posted["key"], "committed")


def test_equal_prices_of_two_requests_are_two(client: TestClient, deployment: Deployment) -> None:
    first, second = (client.post("/rates", json=PRICE, headers=BEARER).json() for _ in range(2))
    assert first["key"] != second["key"]
    assert deployment.take().committed == 2
    assert [day["count"] for day in client.get("/rates", params=QUESTION).json()["rates"]] == [2, 2, 2]


def test_a_request_that_is_sent_again_with_its_key_counts_once(client: TestClient, deployment: Deployment) -> None:
    headers = {**BEARER, "Idempotency-Key": "order-66"}
    first = client.post("/rates", json=PRICE, headers=headers)
    assert client.post("/rates", json=PRICE, headers=headers).json() == first.json()
    assert deployment.take().committed == 1
    again = client.post("/rates", json=PRICE, headers=headers)
    assert (again.status_code, again.json()["state"]) == (202, "committed")
    other = client.post("/rates", json={**PRICE, "price": 1.0}, headers=headers)
    assert (other.status_code, other.json()["errors"][0]["field"]) == (409, "Idempotency-Key")
    assert [day["count"] for day in client.get("/rates", params=QUESTION).json()["rates"]] == [1, 1, 1]
    for wrong in ("", "x" * 201, "tab\there"):
        refused = client.post("/rates", json=PRICE, headers={**BEARER, "Idempotency-Key": wrong})
        assert refused.status_code == 422


def test_a_price_that_is_refused_later_says_why(client: TestClient, deployment: Deployment) -> None:
    posted = client.post("/rates", json=PRICE, headers=BEARER).json()
    # The landed file is spoilt before anybody looks.
    path = deployment.platform.settings.home / "landing" / posted["key"]
    path.write_text(path.read_text().replace("NLRTM", "ZZZZZ"))
    assert deployment.take().refused
    answer = client.get(f"/rates/posted/{posted['request_id']}", headers=BEARER).json()
    assert answer["state"] == "quarantined"
    assert "ZZZZZ" in answer["error"]
    assert answer["error_class"]
