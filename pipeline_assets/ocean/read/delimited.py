"""Rows of comma-separated text -> columns, fast where the text is well formed, tolerant where it is not."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from pipeline_assets.landed_file import Refused
from pipeline_assets.ocean.findings import MOST_PLACES, Findings

FILLS = (-999.0, -9999.0, -99999.0)
"""-999 is WHP-Exchange's fill value; the longer ones are seen in files made by other programs."""
_MOST_COLUMNS = 5_000
_MOST_BYTES_A_ROW = 1 << 20


class Ragged(Exception):
    """The rows do not have one number of columns, or not what their columns should hold."""


def parse_fast(body: bytes, columns: int, texts: Collection[int]) -> list[pa.Array]:
    """Each column as float64, or as text for those in `texts`. Raises Ragged when that is not what the rows hold."""
    names = [str(number) for number in range(columns)]
    types = {name: pa.string() if number in texts else pa.float64() for number, name in enumerate(names)}
    return _parse(body, names, types)


def parse_texts(body: bytes, columns: int) -> list[pa.Array]:
    """Each column as text. Raises Ragged."""
    names = [str(number) for number in range(columns)]
    return _parse(body, names, dict.fromkeys(names, pa.string()))


def _parse(body: bytes, names: list[str], types: dict[str, pa.DataType]) -> list[pa.Array]:
    if not body.strip():
        return [pa.array([], types[name]) for name in names]
    try:
        table = pacsv.read_csv(
            pa.BufferReader(body),
            pacsv.ReadOptions(column_names=names, block_size=1 << 21),
            pacsv.ParseOptions(newlines_in_values=False),
            pacsv.ConvertOptions(column_types=types, strings_can_be_null=False),
        )
    except pa.ArrowInvalid as error:
        raise Ragged(str(error)) from error
    return [column.combine_chunks() if column.num_chunks != 1 else column.chunk(0) for column in table.columns]


def even(body: bytes, columns: int, first_line: int, findings: Findings) -> bytes:
    """The rows with exactly that many columns each: blank lines and notes left out, empty columns at the end cut off.

    first_line: number of the body's first line in its file, for places.
    Refused `column_alignment`: a row that lacks columns, or has more values than there are columns.
    """
    kept: list[list[str]] = []
    wrong: list[tuple[int, int]] = []
    trailing = notes = 0
    for number, line in enumerate(body.decode("utf-8").split("\n"), start=first_line):
        if not line.strip(" \t,"):
            continue
        if line.lstrip().startswith("#"):
            notes += 1
            continue
        row = next(csv.reader([line])) if '"' in line else line.split(",")
        if len(row) > columns and not any(cell.strip() for cell in row[columns:]):
            trailing += 1
            row = row[:columns]
        if len(row) != columns:
            wrong.append((number, len(row)))
        kept.append(row)
    if wrong:
        places = ", ".join(f"line {number} ({found})" for number, found in wrong[:MOST_PLACES])
        raise Refused(
            "column_alignment",
            f"{len(wrong)} rows do not have the {columns} columns of the header: {places}. Values cannot be told apart "
            "there; correct the rows, or send the file again if it was cut short.",
            location=places,
        )
    findings.add("trailing_commas", "info", "rows end with commas after their last column", count=trailing)
    findings.add("notes_among_data", "info", "lines that begin with # stand among the data; left out", count=notes)
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(kept)
    return out.getvalue().encode()


def as_numbers(column: pa.Array) -> tuple[NDArray[np.float64], NDArray[Any] | None]:
    """Texts as float64, NaN where there is nothing; and for each row the text that is no number, None if all are."""
    if pa.types.is_floating(column.type):
        return column.to_numpy(zero_copy_only=False), None
    trimmed = pc.utf8_trim_whitespace(column)
    empty = pc.equal(trimmed, "")
    trimmed = pc.if_else(empty, pa.scalar(None, pa.string()), trimmed)
    try:
        return pc.cast(trimmed, pa.float64()).to_numpy(zero_copy_only=False), None
    except pa.ArrowInvalid:
        pass
    import pandas as pd

    texts = trimmed.to_numpy(zero_copy_only=False)
    # float() takes what no data file means: digits grouped by underscores.
    plain = np.array([None if text is None or "_" in text else text for text in texts], dtype=object)
    values = pd.to_numeric(pd.Series(plain), errors="coerce").to_numpy(dtype=np.float64)
    said_nothing = np.array(
        [text is None or text.lower() in {"nan", "na", "n/a", "null", "none", "-"} for text in texts]
    )
    nothing: Any = None
    left: Any = np.where(np.isnan(values) & ~said_nothing, texts, nothing)
    return values, left if any(text is not None for text in left) else None


def without_fills(values: NDArray[np.float64], fills: Sequence[float] = FILLS) -> NDArray[np.float64]:
    """The values with NaN in place of what stands for "no value", and of infinities, in place."""
    # Fills are rare below every measured quantity; looking at all of them only then costs one pass.
    low = values <= max(fills) + 1e-6
    if low.any():
        filled = np.zeros(len(values), dtype=bool)
        for fill in fills:
            filled |= np.abs(values - fill) < 1e-6
        values = np.where(filled, np.nan, values)
    infinite = np.isinf(values)
    return np.where(infinite, np.nan, values) if infinite.any() else values


def as_texts(column: pa.Array) -> NDArray[Any]:
    """Texts without blank space around them, as objects; equal ones are one object."""
    if pa.types.is_floating(column.type):
        column = pc.cast(column, pa.string())
    encoded = pc.utf8_trim_whitespace(column).dictionary_encode()
    names = np.array([value or "" for value in encoded.dictionary.to_pylist()] or [""], dtype=object)
    return names[encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)]


def check_columns(names: Sequence[str]) -> None:
    """Refused `no_columns` unless there is a sensible number of columns."""
    if not any(names):
        raise Refused("no_columns", "the line of column names is empty. Send the file with its header.")
    if len(names) > _MOST_COLUMNS:
        raise Refused("no_columns", f"the line of column names has {len(names):,} names; {_MOST_COLUMNS:,} at most.")
