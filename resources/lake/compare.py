"""Comparing what two namespaces show of the same tables: columns, and rows whatever their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from resources.errors import UserError
from resources.lake.lake import Lake, TableName
from resources.lake.sql import select_rows
from resources.ledger import Ledger
from resources.ledger.publishing import published_snapshots

OF_A_RUN = ("file_id", "batch_id")
"""Columns that tell of the deployment that read a file, not of the file."""
_MOST_EXAMPLES = 3


class NothingToCompare(UserError):
    """A table is shown in neither namespace. The message lists those there are."""


@dataclass(frozen=True)
class Side:
    """One of the two: what its tables are, and which of them it shows."""

    name: str
    lake: Lake
    ledger: Ledger


@dataclass
class TableDifference:
    """How a table differs. Rows are compared by the columns that both have, with the same types."""

    table: str
    rows: tuple[int, int] = (0, 0)
    only: tuple[int, int] = (0, 0)
    """rows that only the one, and only the other, has"""
    columns: list[str] = field(default_factory=list)
    """columns that differ, in words"""
    examples: tuple[list[dict[str, object]], list[dict[str, object]]] = field(default_factory=lambda: ([], []))

    @property
    def is_equal(self) -> bool:
        return not (self.columns or any(self.only) or self.rows[0] != self.rows[1])


def compare(left: Side, right: Side, source: str, tables: Sequence[str] = ()) -> list[TableDifference]:
    """Compare tables of a source, all that either side shows or some. Raises NothingToCompare."""
    shown = [published_snapshots(side.ledger, source) for side in (left, right)]
    names = sorted(shown[0].keys() | shown[1].keys())
    unknown = sorted(set(tables) - set(names))
    if unknown or not names:
        raise NothingToCompare(
            f"Neither {left.name} nor {right.name} shows {', '.join(f'{source}.{name}' for name in unknown) or source}. "
            f"Tables: {', '.join(f'{source}.{name}' for name in names) or 'none'}"
        )
    return [_compare_table(left, right, TableName(source, name), shown) for name in (tables or names)]


def _compare_table(
    left: Side, right: Side, table: TableName, shown: Sequence[dict[str, int | None]]
) -> TableDifference:
    import duckdb

    found = TableDifference(str(table))
    schemas = [side.lake.schema(table) if table.name in shown[at] else None for at, side in enumerate((left, right))]
    found.columns = _columns_that_differ(left, right, schemas)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone='UTC'")
        for at, side in enumerate((left, right)):
            schema = schemas[at] or pa.schema([])
            if not len(schema):
                continue
            paths = side.lake.data_files(table, shown[at].get(table.name))
            connection.execute(f"CREATE VIEW side_{at} AS {select_rows(connection, schema, paths, f'empty_{at}')}")
        counts = [_one(connection, f"SELECT count(*) FROM side_{at}") if schemas[at] else 0 for at in (0, 1)]
        found.rows = (counts[0], counts[1])
        common = _common(schemas)
        if not common:
            found.only = found.rows
            return found
        listed = ", ".join(f'"{name}"' for name in common)
        differences = [f"SELECT {listed} FROM side_{at} EXCEPT ALL SELECT {listed} FROM side_{1 - at}" for at in (0, 1)]
        only = [_one(connection, f"SELECT count(*) FROM ({query})") for query in differences]
        found.only = (only[0], only[1])
        some = [
            connection.sql(f"SELECT * FROM ({query}) ORDER BY ALL LIMIT {_MOST_EXAMPLES}").to_arrow_table().to_pylist()
            for query in differences
        ]
        found.examples = (some[0], some[1])
    return found


def _one(connection: object, query: str) -> int:
    rows = connection.execute(query).fetchall()  # type: ignore[attr-defined]
    return int(rows[0][0])


def _common(schemas: Sequence[pa.Schema | None]) -> list[str]:
    left, right = schemas
    if left is None or right is None:
        return []
    types = {field.name: _plain(field.type) for field in right}
    return [field.name for field in left if field.name not in OF_A_RUN and types.get(field.name) == _plain(field.type)]


def _plain(kind: pa.DataType) -> pa.DataType:
    """Iceberg gives back text as large strings."""
    return pa.string() if kind == pa.large_string() else kind


def _columns_that_differ(left: Side, right: Side, schemas: Sequence[pa.Schema | None]) -> list[str]:
    types = [{field.name: _plain(field.type) for field in schema} if schema else {} for schema in schemas]
    if not all(types):
        return [f"the table is not in {(left if not types[0] else right).name}"]
    one, other = types
    said = [f"{name} only in {left.name}" for name in one if name not in other]
    said += [f"{name} only in {right.name}" for name in other if name not in one]
    said += [
        f"{name} is {kind} in {left.name} and {other[name]} in {right.name}"
        for name, kind in one.items()
        if name in other and other[name] != kind
    ]
    return said
