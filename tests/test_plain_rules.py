"""What a look at a whole column shows to hold, pandera finds unbroken; and good rows are shown to be good."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pyarrow as arrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandera.engines.pandas_engine import Date
from pandera.errors import SchemaErrors
from pandera.typing import Series

from pipeline_assets.columns import FEW, to_table
from pipeline_assets.plain_rules import open_columns
from pipeline_assets.validation import to_pandas

MOMENT = dt.datetime(2024, 5, 6, tzinfo=dt.UTC)
FILL = {"file_id": "f", "batch_id": "b"}


def model_of(annotation: Any, **rules: Any) -> type[pa.DataFrameModel]:
    body = {"__annotations__": {"it": annotation}, "it": pa.Field(**rules), "__module__": __name__}
    return type("Model", (pa.DataFrameModel,), body)


def is_shown(model: type[pa.DataFrameModel], values: Any) -> bool:
    table = to_table(model, {"it": values}, FILL, keep_few=True)
    return open_columns(model.to_schema(), table) == []


def holds(model: type[pa.DataFrameModel], values: Any) -> bool:
    """Pandera's word."""
    table = to_table(model, {"it": values}, FILL, keep_few=True).select(["it"])
    try:
        model.validate(to_pandas(model, table), lazy=True)
    except SchemaErrors:
        return False
    return True


GOOD: list[tuple[Any, Any, dict[str, Any]]] = [
    (np.int8, [0, 127], {"ge": 0}),
    (np.int32, [1, 5], {"gt": 0, "le": 5}),
    (np.int64, [1, 5], {"lt": 6}),
    (np.uint16, [0, 65_535], {}),
    (pd.Int16Dtype, [1, None], {"ge": 1, "nullable": True}),
    (np.float64, [0.5, np.nan], {"ge": 0, "le": 1, "nullable": True}),
    (np.float64, [0.5, np.inf], {"gt": 0.25}),
    (np.float64, [2.0, 3.0], {"in_range": {"min_value": 2, "max_value": 3}}),
    (np.float32, [0.5], {}),
    (bool, [True, False], {}),
    (pd.BooleanDtype, [True, None], {"nullable": True}),
    (str, ["a", "b", "a"], {"isin": ["a", "b", "c"]}),
    (str, ["ab12", None], {"str_matches": r"^[a-z]+", "nullable": True}),
    (str, "one for all", {"str_length": {"max_value": 11}}),
    (str, ["a", "b"], {"unique": True}),
    (np.int64, [3, 2], {"unique": True}),
    (pd.CategoricalDtype, pd.Categorical(["a", "b", "a"]), {"isin": ["a", "b"]}),
    (pd.CategoricalDtype, pd.Categorical(["a", None]), {"nullable": True}),
    (Date, [dt.date(2024, 1, 2)], {}),
    (pd.DatetimeTZDtype(unit="us", tz="UTC"), [MOMENT, None], {"nullable": True}),
    (np.int32, [], {"ge": 0}),
    (str, None, {"nullable": True}),
]


@pytest.mark.parametrize(("kind", "values", "rules"), GOOD, ids=lambda one: str(one)[:40])
def test_good_rows_need_no_second_look(kind: Any, values: Any, rules: dict[str, Any]) -> None:
    model = model_of(Series[kind], **rules)
    assert is_shown(model, values)
    assert holds(model, values)


BAD: list[tuple[Any, Any, dict[str, Any]]] = [
    (np.int8, [0, 128], {}),
    (np.int8, [0, -1], {"ge": 0}),
    (np.int8, [1, None], {"nullable": True}),
    (np.uint32, [-1], {}),
    (pd.Int16Dtype, [1, None], {}),
    (pd.Int16Dtype, [40_000], {}),
    (np.float64, [0.5, np.nan], {}),
    (np.float64, arrow.array([0.5, np.nan]), {}),
    (np.float64, [0.0], {"gt": 0}),
    (np.float64, [1.0], {"lt": 1}),
    (np.float64, [2.0], {"eq": 1}),
    (np.float64, [2.0, 3.0], {"in_range": {"min_value": 2, "max_value": 3, "include_max": False}}),
    (np.float32, [0.3], {"gt": 0.3}),
    (bool, [True, None], {}),
    (str, ["a", None], {}),
    (str, ["a", "d"], {"isin": ["a", "b", "c"]}),
    (str, ["12"], {"str_matches": r"^[a-z]+"}),
    (str, "twelve long", {"str_length": {"max_value": 10}}),
    (str, ["a", "a"], {"unique": True}),
    (np.int64, [2, 2], {"unique": True}),
    (pd.CategoricalDtype, pd.Categorical(["a", "c"]), {"isin": ["a", "b"]}),
    (pd.CategoricalDtype, pd.Categorical(["a", None]), {}),
]


@pytest.mark.parametrize(("kind", "values", "rules"), BAD, ids=lambda one: str(one)[:40])
def test_broken_rows_are_left_to_pandera(kind: Any, values: Any, rules: dict[str, Any]) -> None:
    model = model_of(Series[kind], **rules)
    assert not is_shown(model, values)
    assert not holds(model, values)


def test_a_null_among_the_texts_of_a_dictionary_is_a_null() -> None:
    texts = arrow.DictionaryArray.from_arrays(arrow.array([0, 1], arrow.int32()), arrow.array(["a", None]))
    assert not is_shown(model_of(Series[pd.CategoricalDtype]), texts)
    assert is_shown(model_of(Series[pd.CategoricalDtype], nullable=True), texts)


def test_rows_that_must_differ_in_several_columns() -> None:
    class Named(pa.DataFrameModel):
        name: Series[str] = pa.Field(nullable=True)
        number: Series[np.int32]

        class Config:
            unique = ["name", "number"]  # noqa: RUF012

    def unsure(names: Any, numbers: list[int]) -> list[str]:
        table = to_table(Named, {"name": names, "number": numbers}, FILL, keep_few=True)
        return open_columns(Named.to_schema(), table)

    assert unsure(["a", "a", None], [1, 2, 1]) == []
    assert unsure("a", [1, 2]) == []
    assert unsure(["a", "b", "a"], [1, 1, 1]) == ["name", "number"]
    assert unsure([None, None], [1, 1]) == ["name", "number"], "pandas takes nulls for equal"


def test_rules_of_a_person_s_own_are_left_to_pandera() -> None:
    class Own(pa.DataFrameModel):
        n: Series[np.int32] = pa.Field(ge=0)
        odd: Series[np.int32]

        @pa.check("odd", name="greater_than_or_equal_to")
        def is_odd(cls, values: Any) -> Any:
            return values % 2 == 1

    class Rows(Own):
        @pa.dataframe_check
        def ordered(cls, rows: Any) -> Any:
            return rows["n"] < rows["odd"]

    table = to_table(Own, {"n": [0, 1], "odd": [1, 3]}, FILL)
    assert open_columns(Own.to_schema(), table) == ["odd"]
    assert open_columns(Rows.to_schema(), table) == ["n", "odd"]


_NUMBERS = st.one_of(st.integers(-3, 300), st.sampled_from([-0.5, 0.1, 0.3, 1.0, 2.5, float("inf"), float("-inf")]))
_RULE = st.sampled_from(["ge", "gt", "le", "lt", "eq"])


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([np.int8, np.int32, np.int64, pd.Int16Dtype, np.float32, np.float64]),
    st.lists(st.one_of(st.none(), _NUMBERS), max_size=5),
    st.dictionaries(_RULE, st.one_of(st.integers(-2, 5), st.sampled_from([0.1, 0.3, 1.0])), max_size=2),
    st.booleans(),
    st.booleans(),
)
def test_nothing_is_shown_of_numbers_that_pandera_finds_broken(
    kind: Any, values: list[Any], rules: dict[str, Any], nullable: bool, unique: bool
) -> None:
    if kind in (np.float32, np.float64):
        values = [None if value is None else float(value) for value in values]
    else:
        values = [value if value is None else int(value) for value in values if value not in (np.inf, -np.inf)]
    model = model_of(Series[kind], nullable=nullable, unique=unique, **rules)
    assert not is_shown(model, values) or holds(model, values)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([str, pd.CategoricalDtype]),
    st.lists(st.one_of(st.none(), st.sampled_from(["", "a", "ab", "b\n", "é"])), max_size=5),
    st.sampled_from(
        [{}, {"isin": ["a", "ab"]}, {"str_matches": "^a"}, {"str_length": {"min_value": 1, "max_value": 2}}]
    ),
    st.booleans(),
    st.booleans(),
)
def test_nothing_is_shown_of_texts_that_pandera_finds_broken(
    kind: Any, values: list[Any], rules: dict[str, Any], nullable: bool, as_category: bool
) -> None:
    given_ = pd.Categorical(values) if as_category and values else values
    model = model_of(Series[kind], nullable=nullable, **rules)
    assert not is_shown(model, given_) or holds(model, given_)


def test_text_of_few_values_is_kept_as_a_dictionary_only_on_request() -> None:
    model = model_of(Series[str])
    kept = to_table(model, {"it": pd.Categorical(["a", "b", "a"])}, FILL, keep_few=True)
    assert [field.type for field in kept.schema] == [FEW, FEW, FEW]
    assert kept["it"].to_pylist() == ["a", "b", "a"]
    plain = to_table(model, {"it": pd.Categorical(["a", "b", "a"])}, FILL)
    assert set(plain.schema.types) == {arrow.string()}
