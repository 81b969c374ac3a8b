"""CSV files read by a table's schema: what is taken, and what is refused at which place."""

from __future__ import annotations

import csv
import io
import pickle
import re
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Annotated, Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandera.typing.pandas import Series

from pipeline_assets.columns import arrow_schema, to_table
from pipeline_assets.csv_files import CsvFiles
from pipeline_assets.landed_file import LandedFile, Refused


class Every(pa.DataFrameModel):
    """A column of each type."""

    name: Series[str] = pa.Field(nullable=True)
    count: Series[np.int32] = pa.Field(nullable=True)
    value: Series[float] = pa.Field(nullable=True)
    ok: Series[pd.BooleanDtype] = pa.Field(nullable=True)
    day: Series[pa.Date] = pa.Field(nullable=True)
    at: Series[Annotated[pd.DatetimeTZDtype, "us", "UTC"]] = pa.Field(nullable=True)
    local: Series[pd.Timestamp] = pa.Field(nullable=True)
    source_key: Series[str] = pa.Field()


class Pair(pa.DataFrameModel):
    """Two columns."""

    name: Series[str] = pa.Field()
    value: Series[float] = pa.Field()


HEADINGS = "name,count,value,ok,day,at,local"
PAIRS = CsvFiles(Pair)


def landed(content: str | bytes) -> LandedFile:
    return LandedFile("pairs/a.csv", data=content.encode() if isinstance(content, str) else content)


def read(content: str | bytes, files: CsvFiles = PAIRS) -> dict[str, list[Any]]:
    return {name: column.to_pylist() for name, column in files.read(landed(content), None).items()}


def refusal(content: str | bytes, files: CsvFiles = PAIRS) -> Refused:
    with pytest.raises(Refused) as refused:
        files.read(landed(content), None)
    return refused.value


def test_every_type_is_read() -> None:
    row = "a b,7,-1.5e3,true,2026-03-01,2026-03-01T12:00:00+02:00,2026-03-01 12:00:00.25"
    assert read(f"{HEADINGS}\n{row}\n,,,,,,\n", CsvFiles(Every)) == {
        "name": ["a b", None],
        "count": [7, None],
        "value": [-1500.0, None],
        "ok": [True, None],
        "day": [date(2026, 3, 1), None],
        "at": [datetime(2026, 3, 1, 10, tzinfo=UTC), None],
        "local": [datetime(2026, 3, 1, 12, 0, 0, 250_000), None],
    }


def test_the_rows_make_the_table() -> None:
    rows = CsvFiles(Every).read(landed(f"{HEADINGS}\nx,1,2,false,2026-03-01,2026-03-01T12:00:00,2026-03-01\n"), None)
    table = to_table(Every, rows, {"file_id": "f", "batch_id": "b", "source_key": "pairs/a.csv"})
    assert table.schema == pyarrow.schema([field.with_nullable(True) for field in arrow_schema(Every)])
    assert table["at"].to_pylist() == [datetime(2026, 3, 1, 12, tzinfo=UTC)]


def test_a_file_may_be_written_in_many_ways() -> None:
    wanted = {"name": ["a", 'b,"c"\nd'], "value": [1.0, 2.5]}
    plain = 'name,value\na,1\n"b,""c""\nd",2.5\n'
    assert read(plain) == wanted
    assert read("\ufeff" + plain) == wanted
    assert read(plain.rstrip("\n")) == wanted
    assert read('\n\n value , name \n 1 , a \n2.5,"b,""c""\nd"\n') == wanted
    assert read("name,value\r\na,1\r\n") == read("name,value\ra,1\r") == {"name": ["a"], "value": [1.0]}
    german = CsvFiles(
        Pair,
        delimiter=";",
        decimal=",",
        encoding="latin-1",
        headings={"value": "Höhe (m)"},
        others="ignore",
        missing=("-",),
    )
    assert read("name;Rest;Höhe (m)\nMö;x;1,25\n-;;-\n".encode("latin-1"), german) == {
        "name": ["Mö", None], "value": [1.25, None],
    }  # fmt: skip
    days = CsvFiles(Every, time_format="%d.%m.%Y %H:%M")
    assert read(f"{HEADINGS}\n,,,,,01.03.2026 10:30,02.03.2026 11:45\n", days)["at"] == [
        datetime(2026, 3, 1, 10, 30, tzinfo=UTC)
    ]


def test_headings_without_rows_are_no_rows() -> None:
    assert read("name,value\n") == read("name,value") == {"name": [], "value": []}


@pytest.mark.parametrize(
    ("content", "error_class", "location", "message"),
    [
        (b"", "no_headings", "", "it is empty; expected a line of headings: name,value"),
        (b"name\n", "wrong_columns", "line 1", "lacks 'value'. Expected: name,value"),
        (b"name,value,x\n", "wrong_columns", "line 1", "has 'x', which no column is for"),
        (b"name,value,name\n", "wrong_columns", "line 1", "has 'name' more than once"),
        (b"name,value\na,1\nb,1,2\nc\n", "ragged_rows", "row 2", "2 rows have not the 2 cells .* row 2 has 3"),
        (b"name,value\na,b\nc,\nd,x\n", "wrong_values", "row 1, column value", "'b' in row 1, 'x' in row 3; expected a number"),
        (b"name,value\na,inf\n", "wrong_values", "row 1, column value", "'inf' in row 1"),
        (b"name,value\na,1;5\n", "wrong_values", "row 1, column value", "'1;5' in row 1"),
        (b"name,value\n\xff,1\n", "encoding", "byte 11", "the text is not utf-8-sig: invalid start byte"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(content: bytes, error_class: str, location: str, message: str) -> None:
    refused = refusal(content)
    assert (refused.error_class, refused.location) == (error_class, location)
    assert re.search(message, refused.message), refused.message


def test_many_wrong_cells_are_counted_and_every_column_is_named() -> None:
    rows = "".join(f",x{number},,maybe,1.3.2026,noon,2026-03-01T00:00:00Z\n" for number in range(9))
    refused = refusal(f"{HEADINGS}\n{rows}", CsvFiles(Every))
    assert (
        "column count: 'x0' in row 1, 'x1' in row 2, 'x2' in row 3 and 6 more; expected a whole number of 32 bits"
        in (refused.message)
    )
    for text in (
        "column ok: 'maybe'", "expected true or false", "column day: '1.3.2026'", "expected a date such as 2026-03-01",
        "column at: 'noon'", "expected a time such as 2026-03-01T12:00:00Z", "column local: '2026-03-01T00:00:00Z'",
        "(without an offset)",
    ):  # fmt: skip
        assert text in refused.message


def test_a_number_too_large_for_its_column_is_refused() -> None:
    assert "'3000000000' in row 1" in refusal(f"{HEADINGS}\n,3000000000,,,,,\n", CsvFiles(Every)).message


def test_only_text_with_one_of_the_headings_is_recognised() -> None:
    assert PAIRS.recognises(b"\xef\xbb\xbfvalue,other\n1,2\n")
    assert PAIRS.recognises(b'\r\n"name" , value')
    for head in (b"", b"\n\n", b"station;level\n", b"PK\x03\x04\0\0name,value", b"name,value\0", b"names,values\n"):
        assert not PAIRS.recognises(head), head


def test_a_heading_for_no_column_is_a_wrong_declaration() -> None:
    with pytest.raises(ValueError, match=r"CsvFiles\(Pair\): headings names no column of it: \['level'\]"):
        CsvFiles(Pair, headings={"level": "Level"})


def test_reader_processes_can_be_given_it() -> None:
    function = pickle.loads(pickle.dumps(PAIRS.read))
    assert function(landed("name,value\na,1\n"), None)["value"].to_pylist() == [1.0]


_texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
_numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.tuples(_texts, _numbers), max_size=20), st.sampled_from([",", ";", "\t"]))
def test_what_a_csv_writer_wrote_is_read_again(rows: list[tuple[str, float]], delimiter: str) -> None:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=delimiter, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(["name", "value"])
    writer.writerows(rows)
    found = read(stream.getvalue(), CsvFiles(Pair, delimiter=delimiter))
    assert found["value"] == [value for _, value in rows]
    assert [name or "" for name in found["name"]] == [trimmed(name) for name, _ in rows]


def trimmed(text: str) -> str:
    import pyarrow.compute as pc

    return pc.utf8_trim_whitespace(pyarrow.scalar(text)).as_py()


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    head = b"name,value\n"
    for data in (content, head + content):
        PAIRS.recognises(data)
        with suppress(Refused):
            PAIRS.read(landed(data), None)
