"""What a source's own check of a batch is: a pure function of the rows that the batch committed to one table.

Nothing here imports Dagster; `checks` makes the asset check.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa


@dataclass(frozen=True)
class Judgement:
    """What a check found.

    said: one line for people. counts: numbers by name. shown: a few records, all with the same names.
    """

    passed: bool
    said: str
    counts: Mapping[str, int | float] = field(default_factory=dict)
    shown: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class BatchCheck:
    """A check of a source's own, shown at one of its tables for each batch. It tells, and holds nothing back.

    judge: the batch's rows of the table, of these columns only, and the source's configuration.
    is_error: whether failing is an error; else it is a warning.
    """

    name: str
    table: str
    description: str
    columns: tuple[str, ...]
    judge: Callable[[pa.Table, Any], Judgement]
    is_error: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,60}", self.name):
            raise ValueError(f"check name {self.name!r}: use lower-case letters, digits and underscores")
