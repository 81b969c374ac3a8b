"""Prices as CSV: a header, commas (or semicolons or tabs, as the header has them), UTF-8."""

from __future__ import annotations

import csv
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.csv as pc_csv

from pipeline_assets.landed_file import LandedFile, Refused
from pipeline_assets.rates.config import RatesConfig
from pipeline_assets.rates.read.cells import COLUMNS, Cells, from_text, numbered
from pipeline_assets.rates.read.checked import has_faults, prices_of

_BLOCK_BYTES = 4 * 1024 * 1024
_MOST_WRONG_FORMS = 10_000
_HEADER_BYTES = 65_536
_DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True)
class Form:
    """What the header says: a name for each column, and what is between them."""

    columns: list[str]
    delimiter: str = ","


def recognise_csv(head: bytes) -> bool:
    """A first line that names a column of ours."""
    first = head.split(b"\n", 1)[0].lower()
    return (
        b"\0" not in head
        and not first.lstrip().startswith((b"{", b"["))
        and any(name.encode() in first for name in COLUMNS)
    )


def read_csv(file: LandedFile, config: RatesConfig) -> dict[str, pa.Array]:
    """All rows of a file. Raises Refused."""
    data = pa.py_buffer(file.read_bytes())
    form = _form(data)
    cells = as_they_are_meant(data, form)
    if cells is None or has_faults(cells, config):
        cells = as_they_are_written(data, form)
    return prices_of(cells, config)


def _form(data: pa.Buffer) -> Form:
    end = data.slice(0, min(data.size, _HEADER_BYTES)).to_pybytes().split(b"\n", 1)[0]
    try:
        line = end.decode("utf-8-sig").rstrip("\r")
    except UnicodeDecodeError as error:
        raise Refused(
            "unreadable", f"the header is no UTF-8 ({error}). Send the file in UTF-8.", location="line 1"
        ) from error
    for delimiter in _DELIMITERS:
        names = _names(line, delimiter)
        if sorted(name for name in names if name in COLUMNS) == sorted(COLUMNS):
            # Columns that nobody asked for may be called anything, also twice.
            return Form([name if name in COLUMNS else f"{n} {name}" for n, name in enumerate(names)], delimiter)
    raise Refused(
        "missing_columns",
        f"the file must have the columns {', '.join(COLUMNS)}, each once and written so, with commas, semicolons or tabs between; "
        f"its header is {line[:200]!r}.",
        location="line 1",
    )


def _names(line: str, delimiter: str) -> list[str]:
    try:
        return [name.strip() for name in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])]
    except csv.Error:
        return []


def as_they_are_meant(data: pa.Buffer, form: Form) -> Cells | None:
    """The quick way, for files with nothing wrong: None where anything is doubtful."""
    types = {"orig_code": pa.string(), "dest_code": pa.string(), "day": pa.date32(), "price": pa.float64()}
    options = pc_csv.ConvertOptions(
        column_types=types, include_columns=list(COLUMNS), strings_can_be_null=False, null_values=[""]
    )
    try:
        table = pc_csv.read_csv(
            pa.BufferReader(data),
            read_options=pc_csv.ReadOptions(column_names=form.columns, skip_rows=1, block_size=_BLOCK_BYTES),
            parse_options=pc_csv.ParseOptions(delimiter=form.delimiter, ignore_empty_lines=True),
            convert_options=options,
        )
    except pa.ArrowInvalid:
        return None
    arrays = {name: _array(table.column(name)) for name in COLUMNS}
    return Cells(
        arrays["orig_code"],
        arrays["dest_code"],
        arrays["day"],
        arrays["price"],
        lambda name, at: str(arrays[name][at].as_py()),
        numbered(table.num_rows),
    )


def as_they_are_written(data: pa.Buffer, form: Form) -> Cells:
    """Every cell as text, for a report that names what stands there. Raises Refused."""
    try:
        data.to_pybytes().decode()
    except UnicodeDecodeError as error:
        raise Refused("unreadable", f"the file is no UTF-8 ({error}). Send it in UTF-8.") from error
    wrong: list[tuple[int, str]] = []

    def note(row: pc_csv.InvalidRow) -> str:
        if len(wrong) < _MOST_WRONG_FORMS:
            wrong.append(
                (
                    (row.number or 0) - 1,
                    f"{row.actual_columns} fields where the header has {row.expected_columns}",
                )
            )
            return "skip"
        return "error"

    try:
        table = pc_csv.read_csv(
            pa.BufferReader(data),
            # Rows have numbers only where one thread reads.
            read_options=pc_csv.ReadOptions(
                column_names=form.columns, skip_rows=1, block_size=_BLOCK_BYTES, use_threads=False
            ),
            parse_options=pc_csv.ParseOptions(
                delimiter=form.delimiter, ignore_empty_lines=True, invalid_row_handler=note
            ),
            convert_options=pc_csv.ConvertOptions(
                column_types=dict.fromkeys(COLUMNS, pa.string()),
                include_columns=list(COLUMNS),
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        raise Refused(
            "unreadable",
            f"the file is no CSV in UTF-8 ({error}). Send it again.",
            location="" if not wrong else f"row {wrong[-1][0]}",
        ) from error
    total = table.num_rows + len(wrong)
    skipped = {number for number, _ in wrong}
    numbers = [number for number in range(1, total + 1) if number not in skipped] if skipped else range(1, total + 1)
    return from_text(
        {name: _array(table.column(name)) for name in COLUMNS}, pa.array(numbers, pa.int32()), tuple(wrong)
    )


def _array(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
