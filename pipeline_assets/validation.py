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
    from pandera.errors import SchemaErrors

    own = [name for name in table.column_names if name not in frame_columns]
    data = _to_pandas(model, table.select(own))
    try:
        model.validate(data, lazy=True)
    except SchemaErrors as errors:
        return _by_file(model, errors.failure_cases, lengths)
    return {}


def _to_pandas(model: type[DataFrameModel], table: pa.Table) -> pd.DataFrame:
    data = table.to_pandas()
    # Arrow's null makes pandas widen integers, and tables hold small integers widened: give back the model's types.
    for name, column in model.to_schema().columns.items():
        wanted = getattr(column.dtype, "type", None)
        if isinstance(wanted, np.dtype) and name in data and data[name].dtype != wanted and not data[name].hasnans:
            data[name] = data[name].astype(wanted)
    return data


def _by_file(model: type[DataFrameModel], cases: pd.DataFrame, lengths: Sequence[int]) -> dict[int, Violation]:
    ends = np.cumsum(lengths)
    found: dict[int, list[Any]] = {}
    for case in cases.to_dict("records"):
        index = case["index"]
        if index is None or index != index:
            for position in range(len(lengths)):
                found.setdefault(position, []).append((case, None))
            continue
        position = int(np.searchsorted(ends, int(index), side="right"))
        row = int(index) - int(ends[position] - lengths[position])
        found.setdefault(position, []).append((case, row))
    return {position: _describe(model, broken) for position, broken in found.items()}


def _describe(model: type[DataFrameModel], broken: Sequence[tuple[dict[Any, Any], int | None]]) -> Violation:
    rules: dict[tuple[str, str], list[tuple[Any, int | None]]] = {}
    for case, row in broken:
        rules.setdefault((str(case["column"]), str(case["check"])), []).append((case["failure_case"], row))
    parts = []
    for (column, check), failing in list(rules.items())[:_MOST_RULES]:
        value, row = failing[0]
        where = "" if row is None else f" (first: {value!r} in row {row})"
        parts.append(f"column {column}: {check} does not hold for {len(failing)} rows{where}")
    more = f"; and {len(rules) - _MOST_RULES} more rules" if len(rules) > _MOST_RULES else ""
    rows = sorted({row for _, row in broken if row is not None})
    location = f"{model.__name__} rows {', '.join(map(str, rows[:5]))}" if rows else model.__name__
    return Violation("; ".join(parts) + more, location + (", ..." if len(rows) > 5 else ""))
