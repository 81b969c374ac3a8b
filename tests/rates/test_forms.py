"""Files as other programs write them, landed together: each is taken whole, or refused with what to mend."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline_assets.rates.source import RATES
from pipeline_assets.served import compare_served
from resources.platform import Platform
from tests.conftest import Put
from tests.freight import csv_of, lake_prices, served_prices, take
from tests.running import rows_of

Rows = list[tuple[str, str, date, float]]


def rows(seed: int) -> Rows:
    """Prices that no other file has, for equal bytes would be a duplicate."""
    return [("CNSGH", "NLRTM", date(2016, 1, day), 1000.0 * seed + day) for day in range(1, 31)]


def semicolons_and_a_byte_order_mark(some: Rows) -> bytes:
    return ("\ufeff" + csv_of(some).replace(",", ";").replace("\n", "\r\n")).encode()


def all_quoted(some: Rows) -> bytes:
    lines = [line.split(",") for line in csv_of(some).splitlines()]
    return "".join(",".join(f'"{cell}"' for cell in line) + "\r\n" for line in lines).encode()


def more_columns(some: Rows) -> bytes:
    lines = ["id,price,currency,day,dest_code,orig_code,note"]
    lines += [f'{n},{p},USD,{day},{d},{o},"by mail, twice"' for n, (o, d, day, p) in enumerate(some)]
    return "\n".join(lines).encode()


def lines_with_more_fields(some: Rows) -> bytes:
    given = (
        {"day": str(day), "price": p, "dest_code": d, "orig_code": o, "tags": ["x"], "by": {"name": "é"}}
        for o, d, day, p in some
    )
    return "\r\n".join(json.dumps(line, ensure_ascii=False) for line in given).encode()


def of_spark(some: Rows) -> bytes:
    """Timestamps and decimals, texts as bytes, other columns in between."""
    origins, destinations, days, prices = zip(*some, strict=True)
    return _parquet(
        {
            "batch": pa.nulls(len(some)),
            "orig_code": pa.array([code.encode() for code in origins], pa.binary()),
            "dest_code": pa.array(destinations).dictionary_encode(),
            "day": pa.array([datetime(day.year, day.month, day.day) for day in days], pa.timestamp("us", "UTC")),
            "price": pa.array([Decimal(f"{price:.4f}") for price in prices], pa.decimal128(18, 4)),
        }
    )


def of_polars(some: Rows) -> bytes:
    origins, destinations, days, prices = zip(*some, strict=True)
    return _parquet(
        {
            "orig_code": pa.array(origins, pa.large_string()),
            "dest_code": pa.array(destinations, pa.string_view()),
            "day": pa.array(days, pa.date32()),
            "price": pa.array([int(price) for price in prices], pa.int16() if max(prices) < 32_768 else pa.int64()),
        }
    )


def _parquet(columns: dict[str, pa.Array]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, compression="zstd", version="2.6")
    return sink.getvalue()


FORMS: tuple[Callable[[Rows], bytes], ...] = (
    semicolons_and_a_byte_order_mark,
    all_quoted,
    more_columns,
    lines_with_more_fields,
    of_spark,
    of_polars,
)
REFUSED: dict[str, tuple[Callable[[Rows], bytes], str, str]] = {
    "decimal commas": (
        lambda some: csv_of(some).replace(",", ";").encode() + b"CNSGH;NLRTM;2016-01-01;5,5\n",
        "wrong_rows_in_batch",
        "price '5,5' is no number",
    ),
    "utf-16": (lambda some: csv_of(some).encode("utf-16"), "unknown_type", "it begins with"),
    "a list of objects": (lambda some: b'[{"orig_code": "CNSGH"}]', "unknown_type", "JSON lines of prices"),
    "names in capitals": (lambda some: csv_of(some).upper().encode(), "missing_columns", "and written so"),
    "days first": (
        lambda some: csv_of(some).replace("2016-01-05", "05/01/2016").encode(),
        "wrong_rows_in_batch",
        "row 5: day '05/01/2016' is no day such as 2016-01-31",
    ),
    "cut short": (lambda some: of_polars(some)[:-40], "unreadable", "no whole Parquet file"),
}


@pytest.fixture
def expected() -> list[tuple[object, ...]]:
    return sorted(row for seed, _ in enumerate(FORMS, start=1) for row in rows(seed))


def test_files_as_they_come(platform: Platform, put: Put, expected: list[tuple[object, ...]]) -> None:
    for seed, form in enumerate(FORMS, start=1):
        put(f"rates/{form.__name__}", form(rows(seed)))
    for seed, (name, (write, _, _)) in enumerate(REFUSED.items(), start=len(FORMS) + 1):
        put(f"rates/refused/{name}", write(rows(seed)))
    report = take(platform, RATES)
    assert report.committed == len(FORMS), report.refused
    refused = {one.key.removeprefix("rates/refused/"): one.refusal for one in report.refused}
    assert refused.keys() == REFUSED.keys()
    for name, (_, error_class, why) in REFUSED.items():
        assert refused[name].error_class == error_class, name
        assert why in refused[name].message, name
    assert sorted(row[2:] for row in served_prices(platform)) == expected
    assert lake_prices(platform) == served_prices(platform)
    assert compare_served(platform, RATES, print) == []
    assert rows_of(platform, "SELECT DISTINCT prices FROM rates.batches") == [(30,)]
