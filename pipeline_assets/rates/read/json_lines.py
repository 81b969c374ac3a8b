"""Prices as JSON lines: one object a line."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.json as pa_json

from pipeline_assets.landed_file import LandedFile, Refused
from pipeline_assets.rates.config import RatesConfig
from pipeline_assets.rates.read.cells import COLUMNS, Cells, days, from_text, numbered
from pipeline_assets.rates.read.checked import has_faults, prices_of

_BLOCK_BYTES = 4 * 1024 * 1024
_MOST_WRONG_FORMS = 10_000


def recognise_json_lines(head: bytes) -> bool:
    """An object in the first line."""
    return b"\0" not in head and head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")


def read_json_lines(file: LandedFile, config: RatesConfig) -> dict[str, pa.Array]:
    """All rows of a file. Raises Refused."""
    data = file.read_bytes().removeprefix(b"\xef\xbb\xbf")
    cells = as_they_are_meant(data)
    if cells is None or has_faults(cells, config):
        cells = as_they_are_written(data)
    return prices_of(cells, config)


def as_they_are_meant(data: bytes) -> Cells | None:
    """The quick way, for files with nothing wrong: None where anything is doubtful."""
    schema = pa.schema([*((name, pa.string()) for name in COLUMNS[:3]), ("price", pa.float64())])
    try:
        table = pa_json.read_json(
            io.BytesIO(data),
            read_options=pa_json.ReadOptions(block_size=_BLOCK_BYTES),
            parse_options=pa_json.ParseOptions(
                explicit_schema=schema, unexpected_field_behavior="ignore", newlines_in_values=False
            ),
        )
    except pa.ArrowInvalid:
        return None
    arrays = {name: table.column(name).combine_chunks() for name in COLUMNS}
    if table.num_rows != sum(1 for line in data.split(b"\n") if line.strip()):
        return None
    return Cells(
        arrays["orig_code"],
        arrays["dest_code"],
        days(arrays["day"]),
        arrays["price"],
        lambda name, at: str(arrays[name][at].as_py()),
        numbered(table.num_rows),
    )


def as_they_are_written(data: bytes) -> Cells:
    """Line by line, for a report that names what stands there. Raises Refused."""
    wrong: list[tuple[int, str]] = []
    columns: dict[str, list[str]] = {name: [] for name in COLUMNS}
    numbers: list[int] = []
    number = 0
    for line in data.split(b"\n"):
        if not line.strip():
            continue
        number += 1
        try:
            row = json.loads(line, parse_constant=_refuse_constant)
            if not isinstance(row, dict):
                raise ValueError("no object")
        except (ValueError, RecursionError) as error:
            wrong.append((number, f"no JSON object ({str(error)[:80]})"))
            if len(wrong) > _MOST_WRONG_FORMS:
                raise Refused(
                    "unreadable",
                    f"more than {_MOST_WRONG_FORMS:,} lines are no JSON objects. Send it again.",
                    location="line 1",
                ) from error
            continue
        numbers.append(number)
        for name in COLUMNS:
            columns[name].append(_text(name, row.get(name)))
    return from_text(
        {name: pa.array(texts, pa.string()) for name, texts in columns.items()},
        pa.array(numbers, pa.int32()),
        tuple(wrong),
    )


def _text(name: str, value: Any) -> str:
    """A cell's text. A price may be a number, all else is text; anything other shows as the JSON that it is."""
    if value is None:
        return ""
    if isinstance(value, str) and name != "price":
        return value.encode(errors="replace").decode()
    if name == "price" and isinstance(value, int | float) and not isinstance(value, bool):
        return repr(value)[:100]
    return _JSON(value)[:100]


_JSON: Callable[[Any], str] = json.dumps


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number in JSON")
