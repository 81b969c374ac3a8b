"""What an aggregate is: rows over all batches of a source, kept up to date with them.

Nothing here imports Dagster; `aggregate_defs` makes the Dagster objects, `aggregate_run` the table.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from pandera.pandas import DataFrameModel


@dataclass(frozen=True)
class Aggregate:
    """One table over all rows of one table of its source: ``source.name``, one row for each value of the keys.

    schema: the pandera model of its columns, the keys among them. The frame adds `file_id` (empty: no single file's)
            and `batch_id` (the newest batch among the rows that a row was made from).
    of: the table it is made from. keys: columns of that table; a row without a value belongs to the key "no value".
    columns: the other columns of that table that `compute` needs; nothing else is read, and a change in another
             column is none.
    compute: all rows of some of the keys, and the source's configuration, to at most one row for each of these keys. A
             pure function: it sees a key whole, or not at all, with rows always in the same order.
    question: a query worth asking of it, for people who begin.
    """

    name: str
    schema: type[DataFrameModel]
    of: str
    keys: tuple[str, ...]
    columns: tuple[str, ...]
    compute: Callable[[pd.DataFrame, Any], Any]
    question: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", self.name):
            raise ValueError(f"aggregate name {self.name!r}: use lower-case letters, digits and underscores")
        if not self.keys:
            raise ValueError(f"aggregate {self.name}: `keys` names the columns to group by; at least one is needed")
        twice = set(self.keys) & set(self.columns)
        if twice:
            raise ValueError(f"aggregate {self.name}: {sorted(twice)} are keys, so `columns` need not name them")

    @property
    def description(self) -> str:
        return (self.schema.__doc__ or "").strip()
