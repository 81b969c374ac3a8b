"""The pandera bridge on the reading side: which files of a slice have rows that break the schema, and how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pipeline_assets.columns import Columns, Schema, decoded
from pipeline_assets.plain_rules import open_columns

if TYPE_CHECKING:
    import pandas as pd
    from pandera.pandas import DataFrameModel, DataFrameSchema

_MOST_RULES = 5


@dataclass(frozen=True)
class Violation:
    """Rows of one file break its table's schema."""

    message: str
    location: str


def violations(
    schema: Schema, table: pa.Table, lengths: Sequence[int], frame_columns: Sequence[str]
) -> dict[int, Violation]:
    """Check the rows of several files at once; by the file's position, how its rows break the schema.

    lengths: rows of each file, in the order in which they stand in `table`.
    frame_columns: columns that the frame added and the schema does not have.
    """
    if isinstance(schema, Columns):
        return _without_values(schema, table, lengths)
    model = schema
    rules = model.to_schema()
    own = [name for name in table.column_names if name not in frame_columns]
    unsure = open_columns(rules, table)
    if not unsure:
        return {}
    cases = _failures(_only(rules, unsure), to_pandas(model, table.select(unsure)))
    if cases is None:
        return {}
    # A rule may fail for a whole column, or for rows that repeat those of another file. Only on its own does each
    # file show what is wrong with it; which files are read together is chance.
    starts = np.cumsum([0, *lengths])
    found: dict[int, Violation] = {}
    for position in _suspects(cases, lengths):
        alone = table.slice(int(starts[position]), lengths[position]).select(own)
        cases = _failures(rules, to_pandas(model, alone))
        if cases is not None:
            found[position] = _describe(model, cases)
    return found


def _without_values(schema: Columns, table: pa.Table, lengths: Sequence[int]) -> dict[int, Violation]:
    """The rule of a schema that is declared from data: types are right by now, and values are there where they must be."""
    found: dict[int, Violation] = {}
    ends = np.cumsum(lengths)
    for column in schema.columns:
        if column.nullable or not table[column.name].null_count:
            continue
        missing = np.flatnonzero(table[column.name].is_null().to_numpy(zero_copy_only=False))
        for position, count in Counter(np.searchsorted(ends, missing, side="right").tolist()).items():
            text = f"column {column.name}: {count} rows have no value"
            before = f"{found[position].message}; " if position in found else ""
            found[position] = Violation(before + text, schema.name)
    return found


def _only(rules: DataFrameSchema, names: Sequence[str]) -> DataFrameSchema:
    """The rules of some columns. Rules of whole rows are among them if all columns are."""
    if len(names) == len(rules.columns):
        return rules
    some = rules.select_columns(list(names))
    some.unique = None
    return some


def _failures(rules: DataFrameSchema, data: pd.DataFrame) -> pd.DataFrame | None:
    """Pandera's table of what broke which rule; None when nothing did."""
    from pandera.errors import SchemaErrors

    try:
        rules.validate(data, lazy=True)
    except SchemaErrors as errors:
        return errors.failure_cases
    return None


def _suspects(cases: pd.DataFrame, lengths: Sequence[int]) -> list[int]:
    """Positions of the files that a failure may be about."""
    if cases["index"].isna().any():
        return [position for position, length in enumerate(lengths) if length]
    rows = cases["index"].astype(int).to_numpy()
    return sorted({int(position) for position in np.searchsorted(np.cumsum(lengths), rows, side="right")})


def to_pandas(schema: Schema, table: pa.Table) -> pd.DataFrame:
    """The table as a frame with the schema's types."""
    if isinstance(schema, Columns):
        return decoded(table).to_pandas()
    columns = schema.to_schema().columns
    few = [name for name, column in columns.items() if str(column.dtype) == "category" and name in table.column_names]
    data = decoded(table, but=few).unify_dictionaries().to_pandas(categories=few)
    # Arrow's null makes pandas widen integers, and tables hold small integers widened: give back the model's types.
    for name, column in columns.items():
        if name in few:
            continue
        wanted = getattr(column.dtype, "type", None)
        if name in data and data[name].dtype != wanted and _can_cast(data[name], wanted):
            try:
                cast = data[name].astype(wanted)
            except (TypeError, ValueError):  # too large for a type of pandas' own: the rule of types finds it
                continue
            if not isinstance(wanted, np.dtype) or (cast == data[name]).all():  # else it is too large for its type
                data[name] = cast
    return data


def _can_cast(values: pd.Series, wanted: Any) -> bool:
    from pandas.api.extensions import ExtensionDtype

    # NumPy's types have no null; a null where none may be is the rule's to find.
    return isinstance(wanted, ExtensionDtype) or (isinstance(wanted, np.dtype) and not values.hasnans)


def _describe(model: type[DataFrameModel], cases: pd.DataFrame) -> Violation:
    rules: dict[tuple[str, str], list[tuple[Any, int | None]]] = {}
    for case in cases.to_dict("records"):
        row = None if case["index"] is None or case["index"] != case["index"] else int(case["index"])
        rules.setdefault((str(case["column"]), str(case["check"])), []).append((case["failure_case"], row))
    parts = []
    for (column, check), failing in list(rules.items())[:_MOST_RULES]:
        value, row = failing[0]
        where = "" if row is None else f" (first: {value!r} in row {row})"
        parts.append(f"column {column}: {check} does not hold for {len(failing)} rows{where}")
    more = f"; and {len(rules) - _MOST_RULES} more rules" if len(rules) > _MOST_RULES else ""
    rows = sorted({row for failing in rules.values() for _, row in failing if row is not None})
    location = f"{model.__name__} rows {', '.join(map(str, rows[:5]))}" if rows else model.__name__
    return Violation("; ".join(parts) + more, location + (", ..." if len(rows) > 5 else ""))
