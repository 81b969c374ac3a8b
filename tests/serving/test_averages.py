"""Daily averages: the same numbers from the loading process as from PostgreSQL, to the last bit."""

from __future__ import annotations

import functools
import operator
import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from resources.serving import averages, loading, places, wire
from resources.serving.database import Serving

PORTS = ("CNSGH", "NLRTM", "NOOSL")


@pytest.fixture(scope="module")
def serving(postgresql: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    made = Serving(postgresql, None, tmp_path_factory.mktemp("serving"), f"test_{uuid.uuid4().hex[:12]}")
    with made.write("places", 1) as connection:
        ports: list[dict[str, Any]] = [{"code": code, "name": code, "region_slug": None} for code in PORTS]
        places.replace(connection, ports, [], [])
    yield made
    made.close()


_PRICES = st.lists(
    st.tuples(
        st.sampled_from(PORTS),
        st.sampled_from(PORTS),
        st.integers(-11_000, -10_997) | st.integers(16_000, 16_002),
        st.floats(0.01, 1e9) | st.sampled_from([0.1, 0.2, 0.3, 100.0]),
    ),
    max_size=300,
)


def batch(file_id: str, prices: list[tuple[str, str, int, float]]) -> pa.RecordBatch:
    columns = [list(column) for column in zip(*prices, strict=True)] or [[], [], [], []]
    return pa.record_batch(
        {
            "file_id": pa.array([file_id] * len(prices), pa.string()),
            "row": pa.array(range(1, len(prices) + 1), pa.int32()),
            "orig_code": pa.array(columns[0], pa.string()),
            "dest_code": pa.array(columns[1], pa.string()),
            "day": pa.array(columns[2], pa.int32()).cast(pa.date32()),
            "price": pa.array(columns[3], pa.float64()),
        }
    )


def kept(serving: Serving) -> list[tuple[Any, ...]]:
    with serving.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text("SELECT * FROM daily_rates ORDER BY lane_id, day"))]


def load(serving: Serving, prices: pa.RecordBatch, remove: set[str]) -> None:
    file_ids = set(prices.column("file_id").to_pylist())
    with serving.write("rates", 1) as connection:
        loading.PriceLoad(connection, 1e9).commit_rows([prices.slice(0, 100), prices.slice(100)], file_ids, remove, "b")


@given(first=_PRICES, second=_PRICES, replaces=st.booleans(), kept_prices=st.sampled_from([0, 150, 1 << 20]))
def test_both_ways_give_the_same_bits(
    serving: Serving,
    first: list[tuple[str, str, int, float]],
    second: list[tuple[str, str, int, float]],
    replaces: bool,
    kept_prices: int,
) -> None:
    with serving.write("rates", 1) as connection:
        connection.execute(text("TRUNCATE prices, batches, daily_rates"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(averages, "KEPT_PRICES", kept_prices)
        load(serving, batch("a" * 24, first), set())
        load(serving, batch("b" * 24, second), {"a" * 24} if replaces else set())
    found = kept(serving)
    with serving.write("rates", 1) as connection:
        averages.average_all(connection)
    assert found == kept(serving)


def test_thousands_of_prices_of_one_day_add_up_as_postgresql_adds(serving: Serving) -> None:
    chance = np.random.default_rng(5)
    prices = [("CNSGH", "NLRTM", 16_000, price) for price in chance.uniform(0.01, 1e6, 5000).tolist()]
    with serving.write("rates", 1) as connection:
        connection.execute(text("TRUNCATE prices, batches, daily_rates"))
    load(serving, batch("a" * 24, prices), set())
    found = kept(serving)
    with serving.write("rates", 1) as connection:
        averages.average_all(connection)
    assert found == kept(serving)
    assert found[0][3] == functools.reduce(operator.add, sorted(price for *_, price in prices))


def test_moments_before_2000_come_back_as_they_went_in() -> None:
    moments = (np.array([1, 7, 2**31 - 1], np.int64) << wire.LANE_SHIFT) + np.array([-1, 0, -10_957])
    daily = averages.daily_of(moments, np.ones(3))
    assert daily.moments.tolist() == sorted(moments.tolist())
    assert wire.encode_daily(daily)[:10] == b"\0\x09\0\0\0\x04\0\0\0\x01"
