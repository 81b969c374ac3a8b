"""Requests that cannot be done: what is answered, and that it names the field."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from starlette.testclient import TestClient

from rates_api.door import RateLimit
from resources.platform import Platform
from tests.crash.sessions import wait_until
from tests.rates_api.conftest import client_of, is_open
from tests.rates_api.deployment import TOKEN, Deployment

GOOD = {"date_from": "2016-01-01", "date_to": "2016-01-02", "origin": "CNSGH", "destination": "NLRTM"}
OPERATIONS = {"date_from": "2016-01-01", "date_to": "2016-01-02", "orig_code": "CNSGH", "dest_code": "NLRTM"}
PRICE = {
    "date_from": "2016-01-01", "date_to": "2016-01-02", "origin_code": "CNSGH", "destination_code": "NLRTM", "price": 1.5,
}  # fmt: skip
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.mark.parametrize(
    ("params", "status", "field", "message"),
    [
        ({**GOOD, "date_from": None}, 422, "date_from", "Field required"),
        ({**GOOD, "date_from": "2016-02-30"}, 422, "date_from", "day"),
        ({**GOOD, "date_to": "1451606400"}, 422, "date_to", "expected a day such as 2016-01-31"),
        ({**GOOD, "date_to": "2016-01-01T00:00:00"}, 422, "date_to", "expected a day"),
        ({**GOOD, "date_to": "0000-01-01"}, 422, "date_to", "valid date"),
        ({**GOOD, "date_from": "2016-01-03"}, 400, "date_from", "2016-01-03 is after date_to, 2016-01-02"),
        ({**GOOD, "date_to": "2017-01-01"}, 400, "date_to", "at most 366 days at once; these are 367"),
        ({**GOOD, "origin": "NOWHERE"}, 400, "origin", "'NOWHERE' is neither a port's code nor a region's slug"),
        ({**GOOD, "destination": "cnsgh"}, 400, "destination", "'cnsgh' is neither"),
        ({**GOOD, "origin": ""}, 422, "origin", "at least 1"),
        ({**GOOD, "origin": "CN\x00GH"}, 422, "origin", "pattern"),
        ({**GOOD, "origin": "x" * 201}, 422, "origin", "at most 200"),
        ({**GOOD, "destination": None}, 422, "destination", "Field required"),
        ({**GOOD, "dest_code": "NLRTM"}, 422, "orig_code", "Field required"),
        ({**GOOD, **OPERATIONS}, 422, "origin", "not together with orig_code"),
        ({**OPERATIONS, "include": "count"}, 422, "include", "not together with orig_code"),
        ({**OPERATIONS, "dest_code": "NOWHERE"}, 400, "dest_code", "'NOWHERE' is neither"),
        ({**GOOD, "include": "mean"}, 422, "include", "pattern"),
        ({**GOOD, "include": "count,"}, 422, "include", "pattern"),
        ({**GOOD, "orgin": "CNSGH"}, 422, "orgin", "Extra inputs are not permitted"),
        ({**GOOD, "origin": ["CNSGH", "NLRTM"]}, 422, "origin", "expected once"),
    ],
)
def test_a_wrong_parameter_is_named(
    client: TestClient, params: dict[str, Any], status: int, field: str, message: str
) -> None:
    answer = client.get("/rates", params={name: value for name, value in params.items() if value is not None})
    faults = answer.json()["errors"]
    assert (answer.status_code, faults[0]["field"]) == (status, field)
    assert message in faults[0]["message"]


def test_all_wrong_parameters_are_named_at_once(client: TestClient) -> None:
    answer = client.get("/rates", params={"date_from": "yesterday"})
    assert {fault["field"] for fault in answer.json()["errors"]} == {"date_from", "date_to"}


def test_the_longest_span_and_the_ends_of_the_calendar_are_answered(client: TestClient) -> None:
    for first, last, count in (
        ("2016-01-01", "2016-12-31", 366),
        ("0001-01-01", "0001-01-02", 2),
        ("9999-12-31",) * 2 + (1,),
    ):
        answer = client.get("/rates", params={**GOOD, "date_from": first, "date_to": last})
        assert (answer.status_code, len(answer.json())) == (200, count)


@pytest.mark.parametrize(
    ("change", "status", "field", "message"),
    [
        ({"price": 0}, 422, "price", "greater than 0"),
        ({"price": "12"}, 422, "price", "valid number"),
        ({"price": True}, 422, "price", "valid number"),
        ({"price": None}, 422, "price", "valid number"),
        ({"price": 1e8}, 400, "price", "expected a price from 0.01 to 1e+07"),
        ({"date_to": 20160101}, 422, "date_to", "expected a day"),
        ({"date_from": "2016-01-05"}, 400, "date_from", "is after date_to"),
        ({"date_from": "1970-01-01", "date_to": "1970-01-01"}, 400, "date_from", "expected a day from 1990-01-01"),
        ({"origin_code": "china_main"}, 422, "origin_code", "pattern"),
        ({"origin_code": "ZZZZZ"}, 400, "origin_code", "ZZZZZ is no known port's code"),
        ({"destination_code": "ZZZZZ"}, 400, "destination_code", "no known port"),
        ({"origin_code": "CNSGH\n"}, 422, "origin_code", "pattern"),
        ({"origin_code": "\ud800"}, 422, "origin_code", "unicode"),
        ({"currency": "USD"}, 422, "currency", "Extra inputs"),
    ],
)
def test_a_wrong_price_is_named(
    client: TestClient, change: dict[str, Any], status: int, field: str, message: str
) -> None:
    body = json.dumps({**PRICE, **change})
    answer = client.post("/rates", content=body, headers={**BEARER, "Content-Type": "application/json"})
    faults = answer.json()["errors"]
    assert (answer.status_code, faults[0]["field"]) == (status, field)
    assert message in faults[0]["message"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 422),
        (b"", 422),
        (b"[]", 422),
        (b"\xff\xfe", 422),
        (b"[" * 9000, 400),
        (b'{"price": NaN}', 422),
        (b" " * 10_001, 413),
    ],
)
def test_a_body_that_is_no_price_is_refused(client: TestClient, body: bytes, status: int) -> None:
    answer = client.post("/rates", content=body, headers={**BEARER, "Content-Type": "application/json"})
    assert answer.status_code == status
    assert all(fault["message"] for fault in answer.json()["errors"])


def test_a_body_without_a_length_is_refused(client: TestClient) -> None:
    answer = client.post("/rates", content=iter([b"{}"]), headers=BEARER)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (411, "body")


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}])
@pytest.mark.parametrize("path", ["/rates", f"/rates/posted/{'0' * 32}"])
def test_posting_and_asking_for_it_need_the_token(client: TestClient, headers: dict[str, str], path: str) -> None:
    answer = client.post(path, json=PRICE, headers=headers) if path == "/rates" else client.get(path, headers=headers)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert TOKEN not in answer.text


def test_what_is_not_there_is_told_in_the_same_form(client: TestClient) -> None:
    for answer, status in (
        (client.get("/nowhere"), 404),
        (client.delete("/rates", headers={"Content-Length": "0"}), 405),
        (client.get(f"/rates/posted/{'0' * 32}", headers=BEARER), 404),
    ):
        assert answer.status_code == status
        assert answer.json()["errors"][0]["message"]
    assert client.options("/rates").headers["Allow"] == "GET, POST"


def changed(filled: Deployment, **options: Any) -> Platform:
    return Platform(filled.platform.settings.model_copy(update=options))


def test_without_a_token_setting_nobody_can_post(filled: Deployment) -> None:
    with client_of(changed(filled, api_token=None)) as client:
        answer = client.post("/rates", json=PRICE, headers={"Authorization": "Bearer "})
    assert answer.status_code == 403
    assert "STRANDLINE_API_TOKEN is not set" in answer.text


def test_a_landing_store_that_is_read_only_takes_no_price(filled: Deployment) -> None:
    with client_of(changed(filled, landing_read_only=True)) as client:
        wait_until(lambda: is_open(client), 30, "the API opens")
        answer = client.post("/rates", json=PRICE, headers=BEARER)
    assert answer.status_code == 403
    assert "read only" in answer.text


def test_a_landing_store_that_is_away_is_told_as_such(filled: Deployment, tmp_path: Path) -> None:
    with client_of(changed(filled, landing=tmp_path / "not_mounted")) as client:
        wait_until(lambda: is_open(client), 30, "the API opens")
        answer = client.post("/rates", json=PRICE, headers=BEARER)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


def test_a_database_that_is_away_is_told_as_such(filled: Deployment) -> None:
    with socket.socket() as taken:  # it is bound and nobody listens
        taken.bind(("127.0.0.1", 0))
        url = SecretStr(f"postgresql://reader:secret-of-it@127.0.0.1:{taken.getsockname()[1]}/rates")
        with client_of(changed(filled, serving_url=url)) as client:
            answers = [client.get(path, params=params) for path, params in (("/rates", GOOD), ("/readyz", {}))]
            assert client.get("/healthz").status_code == 200
    for answer in answers:
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert "secret-of-it" not in answer.text


def test_a_query_that_takes_too_long_is_ended(filled: Deployment) -> None:
    locked = filled.platform.serving.engine.connect()
    with client_of(changed(filled, api_query_seconds=0.3)) as client:
        wait_until(lambda: is_open(client), 30, "the API opens")
        with locked, locked.begin():
            locked.execute(text("LOCK TABLE lanes IN ACCESS EXCLUSIVE MODE"))
            answer = client.get("/rates", params=GOOD)
        assert answer.status_code == 503
        assert "took longer than 0.3 s" in answer.text
        assert client.get("/rates", params=GOOD).status_code == 200


def test_connections_that_were_cut_are_replaced_without_a_failed_answer(filled: Deployment) -> None:
    cut = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
        "AND backend_type = 'client backend'"
    )
    with client_of(changed(filled)) as client:
        wait_until(lambda: is_open(client), 30, "the API opens")
        for _ in range(3):
            with filled.platform.serving.engine.connect() as connection:
                assert len(connection.execute(cut).all()) >= 1
            assert client.get("/rates", params=GOOD).status_code == 200


def test_a_client_that_asks_too_often_waits(filled: Deployment) -> None:
    with client_of(changed(filled, api_rate_limit=0.2)) as client:
        wait_until(lambda: is_open(client), 30, "the API opens")
        statuses = [client.get("/rates", params=GOOD).status_code for _ in range(3)]
        refused = client.get("/rates", params=GOOD)
        assert client.get("/healthz").status_code == 200
    assert statuses == [200, 200, 429]
    assert 1 <= int(refused.headers["Retry-After"]) <= 5


def test_a_bucket_fills_again_and_each_client_has_its_own() -> None:
    limit = RateLimit(2.0)
    assert [limit.wait("a", 0.0) for _ in range(20)] == [0.0] * 20
    assert limit.wait("a", 0.0) == 0.5
    assert limit.wait("b", 0.0) == 0.0
    assert limit.wait("a", 0.5) == 0.0
    assert limit.wait("a", 0.5) > 0.0
    assert [RateLimit(0.0).wait("a", 0.0) for _ in range(100)] == [0.0] * 100


def test_prometheus_reads_what_was_answered(filled: Deployment) -> None:
    with client_of(changed(filled)) as client:
        wait_until(lambda: is_open(client), 30, "the API opens")
        client.get("/rates", params=GOOD)
        client.get("/rates")
        client.get(f"/rates/posted/{'0' * 32}")
        client.get("/nowhere/else")
        told = client.get("/metrics").text
    lines = dict(line.rsplit(" ", 1) for line in told.splitlines() if not line.startswith("#"))
    requests = "strandline_api_requests_total"
    assert lines[f'{requests}{{method="GET",route="/rates",status="200"}}'] == "1.0"
    assert lines[f'{requests}{{method="GET",route="/rates",status="422"}}'] == "1.0"
    assert lines[f'{requests}{{method="GET",route="/rates/posted/{{request_id}}",status="401"}}'] == "1.0"
    assert lines[f'{requests}{{method="GET",route="other",status="404"}}'] == "1.0"
    assert lines['strandline_api_seconds_count{route="/rates"}'] == "2.0"
    assert float(lines["strandline_api_pool_size"]) >= 1
