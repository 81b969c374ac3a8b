"""The pandera bridge on the reading side: which files of a slice have rows that break the schema, and how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    import pandas as pd
    from pandera.pandas import DataFrameModel

_MOST_RULES = 5


@dataclass(frozen=True)
class Violation:
    """Rows of one file break its table's schema."""

    message: str
    location: str


def violations(
    model: type[DataFrameModel], table: pa.Table, lengths: Sequence[int], frame_columns: Sequence[str]
) -> dict[int, Violation]:
    """Check the rows of several files at once; by the file's position, how its rows break the schema.

    lengths: rows of each file, in the order in which they stand in `table`.
    frame_columns: columns that the frame added and the model does not have.
    """
    own = [name for name in table.column_names if name not in frame_columns]
    data = to_pandas(model, table.select(own))
    cases = _failures(model, data)
    if cases is None:
        return {}
    # A rule may fail for a whole column, or for rows that repeat those of another file. Only on its own does each
    # file show what is wrong with it; which files are read together is chance.
    starts = np.cumsum([0, *lengths])
    found: dict[int, Violation] = {}
    for position in _suspects(cases, lengths):
        alone = table.slice(int(starts[position]), lengths[position]).select(own)
        cases = _failures(model, to_pandas(model, alone))
        if cases is not None:
            found[position] = _describe(model, cases)
    return found


def _failures(model: type[DataFrameModel], data: pd.DataFrame) -> pd.DataFrame | None:
    """Pandera's table of what broke which rule; None when nothing did."""
    from pandera.errors import SchemaErrors

    try:
        model.validate(data, lazy=True)
    except SchemaErrors as errors:
        return errors.failure_cases
    return None


def _suspects(cases: pd.DataFrame, lengths: Sequence[int]) -> list[int]:
    """Positions of the files that a failure may be about."""
    if cases["index"].isna().any():
        return [position for position, length in enumerate(lengths) if length]
    rows = cases["index"].astype(int).to_numpy()
    return sorted({int(position) for position in np.searchsorted(np.cumsum(lengths), rows, side="right")})


def to_pandas(model: type[DataFrameModel], table: pa.Table) -> pd.DataFrame:
    """The table as a frame with the model's types."""
    columns = model.to_schema().columns
    few = [name for name, column in columns.items() if str(column.dtype) == "category" and name in table.column_names]
    data = table.to_pandas(categories=few)
    # Arrow's null makes pandas widen integers, and tables hold small integers widened: give back the model's types.
    for name, column in columns.items():
        if name in few:
            continue
        wanted = getattr(column.dtype, "type", None)
        if name in data and data[name].dtype != wanted and _can_cast(data[name], wanted):
            cast = data[name].astype(wanted)
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
