"""Rules of a schema that a look at a whole column shows to hold: at its type, its nulls, its least, greatest and different values.

Pandera wants each column as pandas has it and each rule as a column of answers, which for millions of good rows costs more
than reading them did. What is shown to hold here needs no second look; all else is pandera's to judge, and only it says
what is wrong. So a rule may be left open here, but none may be shown that pandera would find broken.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from pandera.pandas import Check, Column, DataFrameSchema

_EXACT = 2**53
"""Integers up to this are the same number as a float, so comparing either way gives the same answer."""
_INTEGERS = {str(np.dtype(kind)): np.iinfo(kind) for kind in ("i1", "i2", "i4", "i8", "u1", "u2", "u4")}


def open_columns(schema: DataFrameSchema, table: pa.Table) -> list[str]:
    """The columns with a rule that is not shown to hold: all of them where a rule of whole rows is not.

    table: the schema's columns, with the types that `columns.to_table` gives.
    """
    columns = dict(schema.columns)
    if (
        schema.checks
        or schema.parsers
        or schema.index is not None
        or schema.dtype is not None
        or any(column.regex for column in columns.values())
        or (schema.unique and not _all_differ(table, list(schema.unique)))
    ):
        return list(columns)
    return [name for name, column in columns.items() if not _is_shown(column, _Values(table[name]))]


class _Values:
    """A column, and what is known of all its values at once."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        self.column = column
        self.is_dictionary = pa.types.is_dictionary(column.type)
        self.type = column.type.value_type if self.is_dictionary else column.type

    @cached_property
    def has_nulls(self) -> bool:
        column = self.column
        if column.null_count:
            return True
        if self.is_dictionary:
            return any(chunk.dictionary.null_count for chunk in column.chunks)
        return pa.types.is_floating(column.type) and bool(pc.any(pc.is_nan(column)).as_py())

    @cached_property
    def span(self) -> tuple[Any, Any]:
        """The least and the greatest value; None for both where there is no value."""
        found = pc.min_max(self.column)
        return found["min"].as_py(), found["max"].as_py()

    @cached_property
    def different(self) -> list[Any]:
        """Every value once. Of a dictionary all that it has, used or not."""
        if self.is_dictionary:
            return list({value for chunk in self.column.chunks for value in chunk.dictionary.to_pylist()} - {None})
        return [value for value in pc.unique(self.column).to_pylist() if value is not None]


def _all_differ(table: pa.Table, names: Sequence[str]) -> bool:
    """Whether no two rows are equal in these columns. Only texts and integers are equal to pandas where they are to Arrow."""
    plain = (pa.types.is_string, pa.types.is_integer)
    if not all(any(is_one(_Values(table[name]).type) for is_one in plain) for name in names):
        return False
    if len(names) == 1 and not table[names[0]].null_count:
        return bool(pc.count_distinct(_decoded(table[names[0]])).as_py() == table.num_rows)
    keys = pa.table({name: _decoded(table[name]) for name in names})
    return bool(keys.group_by(list(names), use_threads=False).aggregate([]).num_rows == table.num_rows)


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _is_shown(column: Column, values: _Values) -> bool:
    if column.parsers or (values.has_nulls and not column.nullable) or not _has_type(str(column.dtype), values):
        return False
    if getattr(column.dtype, "categories", None) is not None:
        return False
    if column.unique and not _all_differ(pa.table({"it": values.column}), ["it"]):
        return False
    return all(_holds(check, values) for check in column.checks)


def _has_type(wanted: str, values: _Values) -> bool:
    """Whether pandas gets the column in the schema's type: integers are widened in tables, so their values must fit."""
    limits = _INTEGERS.get(wanted.lower())
    if limits is not None:
        is_numpy = wanted == wanted.lower()  # pandas' own, such as Int16, have a null
        if not pa.types.is_integer(values.type) or (is_numpy and values.has_nulls):
            return False
        low, high = values.span
        return low is None or (limits.min <= low and high <= limits.max)
    if wanted in {"float32", "float64"}:
        return bool(values.type == (pa.float32() if wanted == "float32" else pa.float64()))
    if wanted in {"bool", "boolean"}:
        return pa.types.is_boolean(values.type) and (wanted == "boolean" or not values.has_nulls)
    if wanted == "date":
        return pa.types.is_date32(values.type) and not values.has_nulls
    if pa.types.is_timestamp(values.type):
        zone = f", {values.type.tz}" if values.type.tz else ""
        return wanted == f"datetime64[{values.type.unit}{zone}]"
    return wanted.lower().startswith(("str", "category")) and pa.types.is_string(values.type)


def _holds(check: Check, values: _Values) -> bool:
    from pandera.api.function_dispatch import Dispatcher

    # Only pandera's own rules are dispatched by the kind of data, whatever a person's are called.
    own = getattr(check, "_check_fn", None)
    rule = _RULES.get(own.__name__) if isinstance(own, Dispatcher) else None
    if rule is None:
        return False
    if check.groupby or check.groups or check.element_wise or not check.ignore_na:
        return False
    return rule(values, dict(check.statistics or {}))


def _is_number(bound: Any, values: _Values) -> bool:
    """Whether Python compares the bound with the column's values as pandas does."""
    if pa.types.is_integer(values.type):
        return type(bound) is int
    return pa.types.is_float64(values.type) and type(bound) in {int, float} and abs(bound) <= _EXACT


def _bounded(compare: Callable[[Any, Any, Any], bool], name: str) -> Callable[[_Values, dict[str, Any]], bool]:
    def holds(values: _Values, given: dict[str, Any]) -> bool:
        if set(given) != {name} or not _is_number(given[name], values):
            return False
        low, high = values.span
        return low is None or compare(low, high, given[name])

    return holds


def _in_range(values: _Values, given: dict[str, Any]) -> bool:
    if set(given) != {"min_value", "max_value", "include_min", "include_max"}:
        return False
    least, most = given["min_value"], given["max_value"]
    if not _is_number(least, values) or not _is_number(most, values):
        return False
    low, high = values.span
    return low is None or bool(
        (low > least or (given["include_min"] and low == least))
        and (high < most or (given["include_max"] and high == most))
    )


def _isin(values: _Values, given: dict[str, Any]) -> bool:
    allowed = given.get("allowed_values")
    if set(given) != {"allowed_values"} or not isinstance(allowed, (list, tuple, set, frozenset)):
        return False
    same = str if pa.types.is_string(values.type) else int if pa.types.is_integer(values.type) else None
    return all(type(one) is same for one in allowed) and set(values.different) <= set(allowed)


def _str_matches(values: _Values, given: dict[str, Any]) -> bool:
    if set(given) != {"pattern"} or not pa.types.is_string(values.type):
        return False
    return all(re.match(given["pattern"], value) for value in values.different)


def _str_length(values: _Values, given: dict[str, Any]) -> bool:
    if not set(given) <= {"min_value", "max_value", "exact_value"} or not pa.types.is_string(values.type):
        return False
    least, most, exact = (given.get(name) for name in ("min_value", "max_value", "exact_value"))
    return all(
        (least is None or len(value) >= least)
        and (most is None or len(value) <= most)
        and (exact is None or len(value) == exact)
        for value in values.different
    )


_RULES: dict[str, Callable[[_Values, dict[str, Any]], bool]] = {
    "greater_than_or_equal_to": _bounded(lambda low, high, bound: low >= bound, "min_value"),
    "greater_than": _bounded(lambda low, high, bound: low > bound, "min_value"),
    "less_than_or_equal_to": _bounded(lambda low, high, bound: high <= bound, "max_value"),
    "less_than": _bounded(lambda low, high, bound: high < bound, "max_value"),
    "equal_to": _bounded(lambda low, high, bound: low == high == bound, "value"),
    "in_range": _in_range,
    "isin": _isin,
    "str_matches": _str_matches,
    "str_length": _str_length,
}
