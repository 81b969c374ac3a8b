"""Files of each form become the same prices; a file with a wrong row is refused whole, with a report of every such row."""

from __future__ import annotations

import io
import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_assets.landed_file import LandedFile, Refused
from pipeline_assets.rates import examples, read
from pipeline_assets.rates.config import RatesConfig, ReadingConfig
from pipeline_assets.rates.read import csv_file, json_lines
from pipeline_assets.rates.read.cells import COLUMNS, days, prices
from pipeline_assets.rates.read.checked import has_faults, prices_of
from tests.freight import HEADER, csv_of

CONFIG = RatesConfig()
ROWS: list[examples.Row] = [
    ("CNSGH", "NLRTM", date(2016, 1, 31), 1204.5),
    ("CNSGH", "NLRTM", date(2016, 1, 31), 1204.5),
    ("NLRTM", "CNSGH", date(2016, 2, 29), 0.01),
]


def rows(made: dict[str, pa.Array]) -> list[tuple[Any, ...]]:
    return list(zip(*(made[name].to_pylist() for name in ("row", *COLUMNS)), strict=True))


def of_csv(text: str | bytes, config: RatesConfig = CONFIG) -> list[tuple[Any, ...]]:
    data = text.encode() if isinstance(text, str) else text
    return rows(read.read_csv(LandedFile("rates/a.csv", data), config))


def of_json(text: str, config: RatesConfig = CONFIG) -> list[tuple[Any, ...]]:
    return rows(read.read_json_lines(LandedFile("rates/a.jsonl", text.encode()), config))


def of_table(table: pa.Table, config: RatesConfig = CONFIG) -> list[tuple[Any, ...]]:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return rows(read.read_parquet(LandedFile("rates/a.parquet", sink.getvalue()), config))


def test_each_form_gives_the_same_prices(tmp_path: Path) -> None:
    expected = [(number, *row) for number, row in enumerate(ROWS, start=1)]
    for write, reads, recognises in (
        (examples.write_csv, read.read_csv, read.recognise_csv),
        (examples.write_json_lines, read.read_json_lines, read.recognise_json_lines),
        (examples.write_parquet, read.read_parquet, read.recognise_parquet),
    ):
        path = write(tmp_path / "file", ROWS)
        assert rows(reads(LandedFile.at(path), CONFIG)) == expected
        forms = (read.recognise_csv, read.recognise_json_lines, read.recognise_parquet)
        assert [form for form in forms if form(path.read_bytes()[:512])] == [recognises]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + csv_of(ROWS[:1]),
        csv_of(ROWS[:1]).replace("\n", "\r\n"),
        csv_of(ROWS[:1]).rstrip("\n"),
        csv_of(ROWS[:1]) + "\n\n",
        'price,extra,"day",dest_code, orig_code\n1204.5,"x, y",2016-01-31,NLRTM,CNSGH\n',
        HEADER + " CNSGH ,NLRTM , 2016-01-31 , 1204.50 \n",
        HEADER + "CNSGH,NLRTM,2016-01-31,1.2045e3\n",
        "x,x,orig_code,dest_code,day,price\n1,2,CNSGH,NLRTM,2016-01-31,1204.5\n",
        csv_of(ROWS[:1]).replace(",", ";"),
        csv_of(ROWS[:1]).replace(",", "\t"),
        "\ufefforig_code;dest_code;day;price;note\r\nCNSGH;NLRTM;2016-01-31;1204.5;x, y\r\n",
        '"orig_code","dest_code","day","price"\n"CNSGH","NLRTM","2016-01-31","1204.5"\n',
        '"orig_code";"note; or none";"dest_code";"day";"price"\n"CNSGH";;"NLRTM";"2016-01-31";" 1204.50 "\n',
    ],
)
def test_csv_as_people_write_it(text: str) -> None:
    assert of_csv(text) == [(1, *ROWS[0])]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("CNSGH,NLRTM,2016-02-30,5", "row 2: day '2016-02-30' is no day such as 2016-01-31"),
        ("CNSGH,NLRTM,2016-2-3,5", "row 2: day '2016-2-3' is no day"),
        ("CNSGH,NLRTM,31.01.2016,5", "row 2: day '31.01.2016' is no day"),
        ("CNSGH,NLRTM,,5", "row 2: day is empty"),
        ("CNSGH,NLRTM,1016-01-31,5", "row 2: day '1016-01-31' is outside of 1990-01-01 to 2100-12-31"),
        ("CNSGH,NLRTM,2016-01-31,-5", "row 2: price '-5' is not between 0.01 and 1e+07"),
        ("CNSGH,NLRTM,2016-01-31,0", "row 2: price '0' is not between"),
        ("CNSGH,NLRTM,2016-01-31,1e99", "row 2: price '1e99' is not between"),
        ("CNSGH,NLRTM,2016-01-31,nan", "row 2: price 'nan' is no number"),
        ("CNSGH,NLRTM,2016-01-31,inf", "row 2: price 'inf' is no number"),
        ('CNSGH,NLRTM,2016-01-31,"1,204"', "row 2: price '1,204' is no number"),
        ("CNSGH,NLRTM,2016-01-31,", "row 2: price is empty"),
        ("CNSG,NLRTM,2016-01-31,5", "row 2: orig_code 'CNSG' is no UN/LOCODE"),
        ("CNSGH,nlrtm,2016-01-31,5", "row 2: dest_code 'nlrtm' is no UN/LOCODE"),
        ("CNSGH,,2016-01-31,5", "row 2: dest_code is empty"),
        ("CNSGH,XXXXX,2016-01-31,5", "row 2: dest_code 'XXXXX' is no known port"),
        ("XXXXX,nlrtm,x,y", "row 2: orig_code 'XXXXX' is no known port, dest_code 'nlrtm' is no UN/LOCODE, day 'x' is no"),
        ("CNSGH,NLRTM,2016-01-31", "row 2: 3 fields where the header has 4"),
        ("CNSGH,NLRTM,2016-01-31,5,6", "row 2: 5 fields where the header has 4"),
    ],
)  # fmt: skip
def test_a_wrong_row_refuses_the_file_and_is_named(row: str, why: str) -> None:
    config = ReadingConfig(known_ports=frozenset({"CNSGH", "NLRTM"}))
    with pytest.raises(Refused) as refused:
        of_csv(f"{HEADER}CNSGH,NLRTM,2016-01-31,5\n{row}\nCNSGH,NLRTM,2016-01-31,5\n", config)
    assert refused.value.error_class == "wrong_rows_in_batch"
    assert refused.value.location == "row 2"
    assert "1 of 3 rows are wrong" in refused.value.message
    assert why in refused.value.message


def test_the_report_counts_all_and_shows_some() -> None:
    lines = [f"CNSGH,NLRTM,2016-01-01,{-number}" for number in range(1, 2001)]
    lines[4] = "CNSGH,NLRTM"
    lines[9] = "CNSGH,NLRTM,2016-01-40,7"
    with pytest.raises(Refused) as refused:
        of_csv(HEADER + "\n".join(lines) + "\n", RatesConfig(report_rows=12))
    message = refused.value.message
    assert message.startswith("2,000 of 2,000 rows are wrong (day 1, form 1, price 1,998)")
    assert "row 5: 2 fields" in message
    assert "row 10: day '2016-01-40'" in message
    assert "row 12: price '-12'" in message
    assert "row 13:" not in message
    assert "and 1,988 more rows" in message


@pytest.mark.parametrize(
    ("data", "error_class"),
    [
        (HEADER.encode(), "no_prices"),
        (b"orig_code,dest_code,day\nCNSGH,NLRTM,2016-01-31\n", "missing_columns"),
        (b"orig_code,dest_code,day,price,price\nCNSGH,NLRTM,2016-01-31,1,2\n", "missing_columns"),
        (b"orig_code;dest_code;day;price\n", "no_prices"),
        (b"orig_code|dest_code|day|price\nCNSGH|NLRTM|2016-01-31|5\n", "missing_columns"),
        (b"ORIG_CODE,DEST_CODE,DAY,PRICE\nCNSGH,NLRTM,2016-01-31,5\n", "missing_columns"),
        (HEADER.encode() + b"\xff\xfe,NLRTM,2016-01-31,5\n", "unreadable"),
        (b"orig_code,\xff,day\n", "unreadable"),
    ],
)
def test_csv_that_is_none(data: bytes, error_class: str) -> None:
    with pytest.raises(Refused) as refused:
        of_csv(data)
    assert refused.value.error_class == error_class


def test_a_comma_in_a_price_is_told() -> None:
    with pytest.raises(Refused, match=r"row 1: price '1204,50' is no number"):
        of_csv("orig_code;dest_code;day;price\nCNSGH;NLRTM;2016-01-31;1204,50\n")


def test_json_lines_as_they_come() -> None:
    line = {"price": 1204.5, "orig_code": "CNSGH", "dest_code": "NLRTM", "day": "2016-01-31", "note": {"a": [1]}}
    assert of_json(json.dumps(line)) == [(1, *ROWS[0])]
    assert of_json("\n" + json.dumps({**line, "price": 1204}) + "\r\n\n") == [(1, *ROWS[0][:3], 1204.0)]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"orig_code": "CNSGH", "dest_code": "NLRTM", "day": "2016-01-31"}', "price is empty"),
        ('{"orig_code": 5, "dest_code": "NLRTM", "day": "2016-01-31", "price": 5}', "orig_code '5' is no UN/LOCODE"),
        (
            '{"orig_code": "CNSGH", "dest_code": "NLRTM", "day": "2016-01-31", "price": true}',
            "price 'true' is no number",
        ),
        (
            '{"orig_code": "CNSGH", "dest_code": "NLRTM", "day": "2016-01-31", "price": "5"}',
            "price '\"5\"' is no number",
        ),
        ('{"orig_code": "CNSGH", "dest_code": "NLRTM", "day": "2016-01-31", "price": NaN}', "no JSON object"),
        ('["CNSGH", "NLRTM", "2016-01-31", 5]', "no JSON object"),
        ('{"orig_code": "CNSGH"', "no JSON object"),
    ],
)
def test_a_wrong_line_refuses_the_file_and_is_named(line: str, why: str) -> None:
    good = '{"orig_code": "CNSGH", "dest_code": "NLRTM", "day": "2016-01-31", "price": 5}'
    with pytest.raises(Refused) as refused:
        of_json(f"{good}\n{line}\n")
    assert "1 of 2 rows are wrong" in refused.value.message
    assert "row 2: " in refused.value.message
    assert why in refused.value.message


def test_parquet_of_other_types() -> None:
    moment = datetime(2016, 1, 31)
    codes = [(pa.array(["CNSGH"]).dictionary_encode(), pa.array(["NLRTM"], pa.large_string()))]
    codes += [
        tuple(pa.array([code], kind) for code in (b"CNSGH", b"NLRTM")) for kind in (pa.binary(), pa.large_binary())
    ]
    codes += [tuple(pa.array([code], pa.string_view()) for code in ("CNSGH", "NLRTM"))]
    days = [
        pa.array([moment]),
        pa.array(["2016-01-31"]),
        pa.array([date(2016, 1, 31)]),
        pa.array([moment], pa.date64()),
    ]
    days += [
        pa.array([moment], pa.timestamp(unit, zone)) for unit in ("s", "ms", "ns") for zone in (None, "UTC", "+00:00")
    ]
    prices = [pa.array([Decimal("1204.50")]), pa.array(["1204.5"]), pa.array([1204.5], pa.float32())]
    for orig, dest in codes:
        for day in days:
            for price in prices:
                table = pa.table({"orig_code": orig, "dest_code": dest, "day": day, "price": price})
                assert of_table(table) == [(1, *ROWS[0])]
    for kind in (pa.int16(), pa.uint64()):
        table = pa.table(
            {"orig_code": ["CNSGH"], "dest_code": ["NLRTM"], "day": ["2016-01-31"], "price": pa.array([5], kind)}
        )
        assert of_table(table) == [(1, *ROWS[0][:3], 5.0)]


def test_parquet_that_is_wrong() -> None:
    columns: dict[str, Any] = {"orig_code": ["CNSGH"], "dest_code": ["NLRTM"], "day": ["2016-01-31"], "price": [5.0]}
    for change, error_class, why in (
        ({"day": [datetime(2016, 1, 31, 5)]}, "wrong_rows_in_batch", "row 1: day"),
        ({"price": pa.array([None], pa.float64())}, "wrong_rows_in_batch", "row 1: price is empty"),
        ({"price": [float("nan")]}, "wrong_rows_in_batch", "row 1: price 'nan' is no number"),
        ({"price": [[5.0]]}, "wrong_type", "the column price is list"),
        ({"day": pa.array([datetime(2016, 1, 31)], pa.timestamp("s", "Asia/Tokyo"))}, "wrong_type", "tz=Asia/Tokyo"),
        ({"orig_code": pa.array([b"\xff"], pa.binary())}, "unreadable", "UTF8"),
        ({"orig_code": [5]}, "wrong_type", "the column orig_code is int64; expected text"),
    ):
        with pytest.raises(Refused) as refused:
            of_table(pa.table({**columns, **change}))
        assert refused.value.error_class == error_class
        assert why in refused.value.message
    with pytest.raises(Refused, match="must have the columns"):
        of_table(pa.table({name: columns[name] for name in COLUMNS[:3]}))


_CELL = st.one_of(
    st.sampled_from(["CNSGH", "NLRTM", "2016-01-31", "2016-02-30", "5", "1e3", "-1", "", " 5 ", "nan", "0x1A", "1_000", ".5", "5."]),
    st.text(st.characters(codec="ascii", exclude_characters='\n\r,"\0{'), max_size=12),
    st.floats(allow_nan=False, allow_infinity=False).map(str),
    st.dates().map(str),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(_CELL, _CELL, _CELL, _CELL), min_size=1, max_size=4))
def test_the_quick_way_takes_nothing_that_the_slow_way_refuses(cells: list[tuple[str, ...]]) -> None:
    """And makes the same of it: which of the two read a file cannot be told from its rows."""
    data = pa.py_buffer((HEADER + "".join(",".join(row) + "\n" for row in cells)).encode())
    form = csv_file.Form(list(COLUMNS))
    quick = csv_file.as_they_are_meant(data, form)
    if quick is None or has_faults(quick, CONFIG):
        return
    assert rows(prices_of(quick, CONFIG)) == rows(prices_of(csv_file.as_they_are_written(data, form), CONFIG))


_VALUE = st.one_of(
    st.sampled_from(["CNSGH", "NLRTM", "2016-01-31", "2016-02-30", "", None, True, 5, "5", [], {}]),
    st.integers(-10, 10**9),
    st.floats(allow_nan=False, allow_infinity=False),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from([*COLUMNS, "more"]), _VALUE), min_size=1, max_size=4))
def test_the_quick_way_of_json_lines_is_the_slow_one(lines: list[dict[str, Any]]) -> None:
    full = [
        {"orig_code": "CNSGH", "dest_code": "NLRTM", "day": "2016-01-31", "price": 5, **line} for line in lines
    ]  # fmt: skip
    data = "\n".join(map(json.dumps, full)).encode()
    quick = json_lines.as_they_are_meant(data)
    if quick is None or has_faults(quick, CONFIG):
        return
    assert rows(prices_of(quick, CONFIG)) == rows(prices_of(json_lines.as_they_are_written(data), CONFIG))


@given(st.dates(date(1, 1, 1), date(9999, 12, 31)))
def test_every_day_is_a_day(day: date) -> None:
    assert days(pa.array([str(day)])).to_pylist() == [day]


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=1e-60, max_value=1e60))
def test_every_number_is_a_number(number: float) -> None:
    assert prices(pa.array([repr(number)])).to_pylist() == [number]
