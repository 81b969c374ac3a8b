"""What a change of schema means for tables as they are: whether they can take it in place, or a new version is needed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from pipeline_assets.health.tables import TableSpec

Class = Literal["additive", "widening", "breaking"]
_ORDER: tuple[Class, ...] = ("additive", "widening", "breaking")

_PROMOTIONS = {
    (pa.int32(), pa.int64()), (pa.float32(), pa.float64()),
}  # fmt: skip
"""What Iceberg widens in place (specification, Schema Evolution); values that are there stay as they are."""

_OF_THE_FRAME = frozenset({"file_id", "batch_id", "source_key"})


@dataclass(frozen=True)
class Change:
    """One difference between a table as it is and as it is declared. column: empty for the table itself."""

    table: str
    column: str
    kind: Class
    before: str
    after: str

    def __str__(self) -> str:
        what = f"{self.table}.{self.column}" if self.column else self.table
        return f"{what}: {self.before or 'not there'} → {self.after or 'not declared any more'} ({self.kind})"


def changes_of(before: Mapping[str, pa.Schema], declared: Iterable[TableSpec]) -> list[Change]:
    """The differences between a dataset's tables as they are, by name, and its declaration.

    Additive: a table or column more; or one less, which stays as it is and gets no values any more. Widening: a type that
    holds every value of the old one, and that Iceberg changes in place. Breaking: any other type, and a name that changes by
    its case only, which SQL cannot tell apart.
    """
    changes: list[Change] = []
    specs = {spec.name: spec for spec in declared}
    tables = {name.lower(): name for name in before}
    for name, spec in specs.items():
        if name in before:
            changes += _of_table(name, before[name], spec.schema)
        elif name.lower() in tables:
            changes.append(Change(name, "", "breaking", tables[name.lower()], name))
        else:
            changes.append(Change(name, "", "additive", "", "a new table"))
    names = {name.lower() for name in specs}
    changes += [Change(name, "", "additive", "a table", "") for name in before if name.lower() not in names]
    return changes


def _of_table(table: str, before: pa.Schema, after: pa.Schema) -> list[Change]:
    changes: list[Change] = []
    old = {field.name: field.type for field in before if field.name not in _OF_THE_FRAME}
    spelling = {name.lower(): name for name in old}
    for field in after:
        if field.name in old:
            if old[field.name] != field.type:
                kind: Class = "widening" if (old[field.name], field.type) in _PROMOTIONS else "breaking"
                changes.append(Change(table, field.name, kind, str(old[field.name]), str(field.type)))
        elif field.name.lower() in spelling:
            changes.append(Change(table, field.name, "breaking", spelling[field.name.lower()], field.name))
        else:
            changes.append(Change(table, field.name, "additive", "", str(field.type)))
    names = {field.name.lower() for field in after}
    changes += [
        Change(table, name, "additive", str(kind), "") for name, kind in old.items() if name.lower() not in names
    ]
    return changes


def worst(changes: Iterable[Change]) -> Class | None:
    """The class of a change as a whole; None for none."""
    kinds = [change.kind for change in changes]
    return max(kinds, key=_ORDER.index) if kinds else None


def next_version(dataset: str, taken: Iterable[str] = ()) -> str:
    """The dataset that a breaking change opens: ``X_v1`` → ``X_v2``, or the first after it that is not taken."""
    match = re.fullmatch(r"(.*)_v([0-9]+)", dataset)
    stem, number = (match[1], int(match[2])) if match else (dataset, 1)
    used = {name.lower() for name in taken}
    while True:
        number += 1
        name = f"{stem}_v{number}"
        if name.lower() not in used:
            return name
