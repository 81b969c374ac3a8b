"""What a check of a source's own is: a judgement of a batch's rows, shown on the page of their table.

Nothing here imports Dagster; `own_checks` makes the Dagster objects.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Judgement:
    """Whether a batch's rows pass, why not, and what to show: numbers by name, and records for a small table."""

    passed: bool
    description: str
    shown: Mapping[str, int | float | str] = field(default_factory=dict)
    records: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class SourceCheck:
    """A check of a source's own. It warns: what must not get into a table is refused when it is read.

    name: of the check. table: the table that it is about. columns: those of the table that `judge` needs.
    judge: the batch's rows of that table, and the source's configuration, to a judgement. A pure function.
    """

    name: str
    table: str
    description: str
    columns: tuple[str, ...]
    judge: Callable[[pd.DataFrame, Any], Judgement]

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", self.name):
            raise ValueError(f"check name {self.name!r}: use lower-case letters, digits and underscores")
