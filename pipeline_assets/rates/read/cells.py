"""What the text of a cell means, for whole columns at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

COLUMNS = ("orig_code", "dest_code", "day", "price")

_DAY = r"^\d{4}-\d{2}-\d{2}$"
_PRICE = r"^-?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,2})?$"


@dataclass(frozen=True)
class Cells:
    """The columns of a file: null where a cell is empty or does not say what it should.

    day: date32. price: float64. text: what stands in a cell, by column and position.
    wrong_rows: rows that have not even the columns, by their number, with the reason; they are not among the others.
    numbers: the number of each row in its file, from 1.
    """

    orig_code: pa.Array
    dest_code: pa.Array
    day: pa.Array
    price: pa.Array
    text: Callable[[str, int], str]
    numbers: pa.Array
    wrong_rows: tuple[tuple[int, str], ...] = ()

    def __len__(self) -> int:
        return len(self.orig_code)


def numbered(rows: int) -> pa.Array:
    """The numbers of so many rows, from 1."""
    return pa.array(np.arange(1, rows + 1, dtype=np.int32))


def from_text(
    columns: dict[str, pa.Array], numbers: pa.Array | None = None, wrong_rows: tuple[tuple[int, str], ...] = ()
) -> Cells:
    """Cells from columns of text. What surrounds a cell's text as white space does not count."""
    trimmed = {name: pc.utf8_trim_whitespace(columns[name]) for name in COLUMNS}
    if numbers is None:
        numbers = numbered(len(trimmed["day"]))
    return Cells(
        trimmed["orig_code"],
        trimmed["dest_code"],
        days(trimmed["day"]),
        prices(trimmed["price"]),
        lambda name, at: str(trimmed[name][at].as_py() or ""),
        numbers,
        wrong_rows,
    )


def days(texts: pa.Array) -> pa.Array:
    """Days as ISO 8601 writes them (2016-01-31); null where there is no such day."""
    shaped = pc.if_else(pc.match_substring_regex(texts, _DAY), texts, None)
    found = pc.strptime(shaped, format="%Y-%m-%d", unit="s", error_is_null=True).cast(pa.date32())
    # A day beyond its month's end is taken for one of the next month.
    return pc.if_else(pc.equal(pc.strftime(found, format="%Y-%m-%d"), shaped), found, None)


def prices(texts: pa.Array) -> pa.Array:
    """Decimal numbers, with or without exponent; null where there is none."""
    return pc.if_else(pc.match_substring_regex(texts, _PRICE), texts, None).cast(pa.float64())
