"""Rows that break a schema are laid at the door of the file they came from, and of no other."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pyarrow as arrow
from hypothesis import given, settings
from hypothesis import strategies as st
from pandera.engines.pandas_engine import Date
from pandera.typing import Series

from pipeline_assets.columns import to_table
from pipeline_assets.validation import Violation, violations


class Readings(pa.DataFrameModel):
    n: Series[np.int32] = pa.Field(ge=0, lt=100)
    value: Series[np.float64] = pa.Field(le=1000)
    flag: Series[bool]
    note: Series[str] = pa.Field(nullable=True, str_length={"max_value": 5})

    @pa.dataframe_check
    def flagged_values_are_positive(cls, rows: pd.DataFrame) -> Any:
        return ~rows["flag"] | (rows["value"] > 0)

    class Config:
        strict = True


def rows(n: Sequence[Any], **columns: Any) -> dict[str, Any]:
    count = len(n)
    return {"n": n, "value": np.ones(count), "flag": np.ones(count, bool), "note": ["x"] * count} | columns


def check(model: type[pa.DataFrameModel], *files: dict[str, Any]) -> dict[int, Violation]:
    tables = [to_table(model, file, {"file_id": f"f{i}", "batch_id": "b"}) for i, file in enumerate(files)]
    lengths = [table.num_rows for table in tables]
    return violations(model, arrow.concat_tables(tables), lengths, ["file_id", "batch_id"])


def test_good_rows() -> None:
    assert check(Readings, rows([1, 2]), rows([]), rows([0, 99], note=[None, "12345"])) == {}


def test_a_broken_row_is_found_in_its_file() -> None:
    found = check(Readings, rows([1, 2]), rows([3, 4, -5, 6, -7]), rows([8]))
    assert set(found) == {1}
    assert found[1].message == "column n: greater_than_or_equal_to(0) does not hold for 2 rows (first: -5 in row 2)"
    assert found[1].location == "Readings rows 2, 4"


def test_empty_files_before_between_and_after() -> None:
    found = check(Readings, rows([]), rows([]), rows([-1]), rows([]), rows([1]), rows([]), rows([5, -2]), rows([]))
    assert {position: violation.location for position, violation in found.items()} == {
        2: "Readings rows 0",
        6: "Readings rows 1",
    }


def test_only_empty_files() -> None:
    assert check(Readings, rows([]), rows([])) == {}


def test_several_rules_and_many_rows() -> None:
    found = check(Readings, rows([-1] * 8 + [100], value=[2000.0] * 9, note=["too long"] * 9))
    assert found[0].message.count("does not hold") == 4
    assert (
        "column value: less_than_or_equal_to(1000) does not hold for 9 rows (first: 2000.0 in row 0)"
        in found[0].message
    )
    assert found[0].location == "Readings rows 0, 1, 2, 3, 4, ..."


def test_a_null_is_the_fault_of_its_file_only() -> None:
    """In numbers, flags and texts: pandas changes the type of the whole column for one null."""
    nulls = [rows([1, None]), rows([1], value=[np.nan]), rows([1], flag=[None])]
    found = check(Readings, rows([1, 2]), *nulls, rows([3]))
    assert set(found) == {1, 2, 3}
    assert "column n: not_nullable does not hold for 1 rows" in found[1].message
    assert "row 1" in found[1].message
    assert "column value: not_nullable" in found[2].message
    assert "column flag: not_nullable" in found[3].message


def test_a_rule_about_whole_rows() -> None:
    found = check(Readings, rows([1]), rows([1, 2], value=[1.0, -1.0]))
    assert set(found) == {1}
    assert "flagged_values_are_positive" in found[1].message


def test_a_null_does_not_hide_what_is_wrong_with_others() -> None:
    found = check(Readings, rows([None]), rows([-1]), rows([1]))
    assert set(found) == {0, 1}
    assert "greater_than_or_equal_to(0)" in found[1].message


def test_rows_must_differ_within_their_file_only() -> None:
    class Named(pa.DataFrameModel):
        name: Series[str] = pa.Field(unique=True)

    found = check(Named, {"name": ["a", "b"]}, {"name": ["a"]}, {"name": ["c", "c"]})
    assert set(found) == {2}, "which files are read together is chance"


def test_types_that_tables_hold_widened() -> None:
    class Small(pa.DataFrameModel):
        a: Series[np.int8] = pa.Field(ge=0)
        b: Series[np.uint32]
        c: Series[np.float32]
        at: Series[pd.DatetimeTZDtype(unit="ns", tz="UTC")]  # type: ignore[valid-type]
        plain: Series[np.dtype("datetime64[ns]")]  # type: ignore[valid-type]
        many: Series[pd.Int64Dtype] = pa.Field(nullable=True)
        maybe: Series[pd.BooleanDtype] = pa.Field(nullable=True)
        day: Series[Date]

    moment = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    good = {
        "a": [1, 2], "b": [1, 2], "c": [0.5, 1], "at": [moment] * 2, "plain": [moment.replace(tzinfo=None)] * 2,
        "many": [1, None], "maybe": [None, True], "day": [moment.date()] * 2,
    }  # fmt: skip
    assert check(Small, good) == {}
    assert set(check(Small, good, good | {"a": [1, -1]})) == {1}
    found = check(Small, good, good | {"a": [1, 256 + 1]}, good | {"b": [1, -1]})
    assert set(found) == {1, 2}, "numbers do not wrap around"
    assert "column a: dtype('int8') does not hold" in found[1].message


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.one_of(st.none(), st.integers(-3, 20)), max_size=4), max_size=6))
def test_every_file_is_judged_as_if_it_were_alone(files: list[list[int | None]]) -> None:
    together = check(Readings, *(rows(n) for n in files)) if files else {}
    bad = {position for position, n in enumerate(files) if any(value is None or value < 0 for value in n)}
    assert set(together) == bad
    for position in bad:
        assert together[position] == check(Readings, rows(files[position]))[0]


class Places(pa.DataFrameModel):
    station: Series[pd.CategoricalDtype] = pa.Field(isin=["a", "b"])
    remark: Series[pd.CategoricalDtype] = pa.Field(nullable=True)

    class Config:
        strict = True


def test_categories_are_texts_with_rules() -> None:
    good = {"station": pd.Categorical.from_codes([0, 1, 0], ["a", "b"]), "remark": ["x", None, "x"]}
    nothing: dict[str, Any] = {"station": [], "remark": []}
    unknown = {"station": ["a", "c"], "remark": None}
    missing = {"station": pd.Categorical(["a", None]), "remark": "y"}
    found = check(Places, good, nothing, unknown, missing)
    assert sorted(found) == [2, 3]
    assert "station: isin" in found[2].message
    assert "station: not_nullable" in found[3].message
    assert check(Places, good, nothing) == {}
