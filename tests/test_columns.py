"""From a pandera model and what a reader gave to an Arrow table."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pyarrow as arrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandera.engines.pandas_engine import Date
from pandera.typing import Series

from pipeline_assets.columns import RowsError, arrow_schema, columns_of, to_table

FILL = {"file_id": "f1", "batch_id": "b1", "source_key": "toy/a"}


class Measured(pa.DataFrameModel):
    """A bit of everything."""

    source_key: Series[str] = pa.Field(description="key")
    small: Series[np.int16] = pa.Field(ge=0, lt=9, description="small", metadata={"unit": "m"})
    long: Series[np.int64] = pa.Field(unique=True)
    value: Series[np.float64] = pa.Field(nullable=True, isin=[1.0, 2.0])
    name: Series[str] = pa.Field(str_matches="^a")


def model_of(annotation: Any) -> type[pa.DataFrameModel]:
    return type("Model", (pa.DataFrameModel,), {"__annotations__": {"column": annotation}, "__module__": __name__})


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (Series[str], arrow.string()),
        (Series[object], arrow.string()),
        (Series[bool], arrow.bool_()),
        (Series[pd.BooleanDtype], arrow.bool_()),
        (Series[np.int8], arrow.int32()),
        (Series[np.uint16], arrow.int32()),
        (Series[np.int32], arrow.int32()),
        (Series[np.uint32], arrow.int64()),
        (Series[int], arrow.int64()),
        (Series[pd.Int64Dtype], arrow.int64()),
        (Series[np.float32], arrow.float32()),
        (Series[float], arrow.float64()),
        (Series[Date], arrow.date32()),
        (Series[np.dtype("datetime64[ns]")], arrow.timestamp("us")),
        (Series[pd.DatetimeTZDtype(unit="us", tz="UTC")], arrow.timestamp("us", tz="UTC")),
        (Series[pd.CategoricalDtype], arrow.string()),
    ],
    ids=str,
)
def test_types(annotation: Any, expected: arrow.DataType) -> None:
    assert arrow_schema(model_of(annotation)).field("column").type == expected


@pytest.mark.parametrize("annotation", [Series[complex], Series[np.uint64]], ids=str)
def test_a_type_that_no_table_can_hold(annotation: Any) -> None:
    with pytest.raises(TypeError, match=r"Model\.column: no table type for .*\. Use str, datetime64 or one of bool, "):
        arrow_schema(model_of(annotation))


def test_columns_are_the_model_s_and_then_the_frame_s() -> None:
    columns = {column.name: column for column in columns_of(Measured)}
    assert list(columns) == ["source_key", "small", "long", "value", "name", "file_id", "batch_id"]
    assert columns["small"].rules == ("≥ 0", "< 9")
    assert (columns["small"].unit, columns["small"].description) == ("m", "small")
    assert columns["value"].rules == ("one of 1.0, 2.0",)
    assert columns["name"].rules == ("matches ^a",)
    assert columns["long"].rules == ("unique",)
    assert [name for name, column in columns.items() if column.nullable] == ["value"]
    assert arrow_schema(Measured).field("value").nullable
    assert not arrow_schema(Measured).field("file_id").nullable


GIVEN: dict[str, Any] = {"small": [1, 2], "long": [3, 4], "value": [1.0, 2.0], "name": ["a", "ab"]}


def table(**changes: Any) -> arrow.Table:
    return to_table(Measured, {**GIVEN, **changes}, FILL)


def test_lists_arrays_frames_and_arrow_give_the_same() -> None:
    expected = table()
    assert expected.schema.names == arrow_schema(Measured).names
    assert expected.schema.types == arrow_schema(Measured).types
    frame = pd.DataFrame(GIVEN)
    assert to_table(Measured, frame, FILL) == expected
    assert to_table(Measured, {name: np.array(values) for name, values in GIVEN.items()}, FILL) == expected
    chunked = {name: arrow.chunked_array([values[:1], values[1:]]) for name, values in GIVEN.items()}
    assert to_table(Measured, chunked, FILL) == expected
    assert to_table(Measured, frame[list(reversed(frame.columns))], FILL) == expected, "in the model's order"


def test_the_frame_fills_what_it_knows() -> None:
    made = table()
    assert made["file_id"].to_pylist() == ["f1", "f1"]
    assert made["source_key"].to_pylist() == ["toy/a", "toy/a"]
    assert table(source_key="mine")["source_key"].to_pylist() == ["mine", "mine"], "unless the reader gives it"


@pytest.mark.parametrize("value", [7, np.int64(7), np.array(7)], ids=lambda value: type(value).__name__)
def test_one_value_holds_for_every_row(value: Any) -> None:
    assert table(small=value)["small"].to_pylist() == [7, 7]


def test_only_single_values_are_one_row() -> None:
    one = to_table(Measured, {"small": 1, "long": 2, "value": None, "name": "a"}, FILL)
    assert one.num_rows == 1
    assert one["value"].to_pylist() == [None]


def test_no_rows() -> None:
    none = to_table(Measured, {"small": [], "long": np.array([], int), "value": [], "name": []}, FILL)
    assert none.num_rows == 0
    assert none.schema.types == arrow_schema(Measured).types
    assert table(small=3, long=[], value=[], name=[]).num_rows == 0


def test_nan_and_none_are_null() -> None:
    assert table(value=[np.nan, 1.0])["value"].to_pylist() == [None, 1.0]
    assert table(value=np.array([np.nan, 1.0]))["value"].to_pylist() == [None, 1.0]
    assert table(value=pd.Series([None, 1.0]))["value"].null_count == 1
    assert table(value=np.nan)["value"].null_count == 2
    assert table(value=[np.inf, -np.inf])["value"].null_count == 0


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"small": [1]}, r"Measured lack the columns \['long', 'value', 'name'\]"),
        (GIVEN | {"other": [1, 2]}, r"columns that its schema does not know: \['other'\]"),
        (GIVEN | {"small": [1, 2, 3]}, r"unequal lengths: \{'small': 3, 'long': 2"),
        (GIVEN | {"small": ["one", "two"]}, "column small: "),
        (GIVEN | {"small": [1.5, 2.0]}, "column small: "),
        (GIVEN | {"small": [2**40, 1]}, "column small: "),
        (GIVEN | {"long": [2**70, 1]}, "column long: "),
        (GIVEN | {"small": "x"}, "column small: "),
        (GIVEN | {"value": [{}, []]}, "column value: "),
        (GIVEN | {"value": np.zeros((2, 2))}, "column value: "),
    ],
)
def test_rows_that_make_no_table(rows: dict[str, Any], message: str) -> None:
    with pytest.raises(RowsError, match=message):
        to_table(Measured, rows, FILL)


def test_times_and_dates() -> None:
    class Times(pa.DataFrameModel):
        at: Series[pd.DatetimeTZDtype(unit="us", tz="UTC")]  # type: ignore[valid-type]
        day: Series[Date]

    moment = dt.datetime(2024, 5, 6, 7, 8, 9, 123456, dt.UTC)
    given = {"at": pd.to_datetime([moment]), "day": [dt.date(2024, 5, 6)]}
    made = to_table(Times, given, FILL)
    assert made["at"].to_pylist() == [moment]
    assert made["day"].to_pylist() == [dt.date(2024, 5, 6)]


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=64)))
def test_numbers_are_kept_to_the_last_bit(values: list[float]) -> None:
    class Numbers(pa.DataFrameModel):
        value: Series[float] = pa.Field(nullable=True)

    made = to_table(Numbers, {"value": np.array(values, dtype=np.float64)}, FILL)["value"].to_pylist()
    assert made == [None if value != value else value for value in values]


@given(st.lists(st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"])))))
def test_texts_are_kept(values: list[str | None]) -> None:
    class Texts(pa.DataFrameModel):
        value: Series[str] = pa.Field(nullable=True)

    assert to_table(Texts, {"value": values}, FILL)["value"].to_pylist() == values
