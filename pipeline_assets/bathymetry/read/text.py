"""Soundings as text: a row each, numbers with commas, semicolons, tabs or blanks between them; with or without names."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.bathymetry.config import BathymetryConfig, declared_for
from pipeline_assets.bathymetry.read.line import SurveyLine, check_count, identity
from pipeline_assets.bathymetry.read.points import complete, line_of_points, meant
from pipeline_assets.landed_file import LandedFile, Refused

_BLOCK_BYTES = 8 * 1024 * 1024
_MOST_FIRST_LINE = 20_000
_HEAD_BYTES = 512
"""How much of a file there is to recognise it by; a shorter head is all of it."""
# Written so that no text makes the search for a match take long.
_NUMBER = rb"(?:[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[nN][aA][nN])"
_ONE = re.compile(rb"[ \t]*" + _NUMBER + rb"[ \t\r]*")
_NUMBERS = re.compile(rb"[ \t]*" + _NUMBER + rb"(?:(?:[ \t]*[,;][ \t]*|[ \t]+)" + _NUMBER + rb"){2,}[ \t]*[,;]?\r?")
_COMMENT = (b"#", b"//", b"%")


def recognise_text(head: bytes) -> bool:
    """Text whose first line that is no comment is three or more numbers; or names, above as many fields with three numbers."""
    if b"\0" in head or head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[", b"<")):
        return False
    lines = head.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    whole = [line for line in (lines if len(head) < _HEAD_BYTES else lines[:-1]) if _counts(line)]
    if not whole:
        return False
    if _NUMBERS.fullmatch(whole[0]):
        return True
    if len(whole) < 2 or not re.search(rb"[A-Za-z]", whole[0]):
        return False
    delimiter = _delimiter(whole[0])
    fields = [line.split() if delimiter == " " else line.split(delimiter.encode()) for line in whole[:2]]
    return len(fields[0]) == len(fields[1]) and sum(_ONE.fullmatch(one) is not None for one in fields[1]) >= 3


def _counts(line: bytes) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith(_COMMENT)


def read_text(file: LandedFile, config: BathymetryConfig) -> SurveyLine:
    """All rows of a file. Raises Refused."""
    declared = declared_for(file, config)
    data = file.read_bytes()
    sha256, size = identity(data)
    skipped, first = _first_line(data)
    delimiter = _delimiter(first)
    body = data[skipped:]
    if not _NUMBERS.fullmatch(first):
        names = _split(first, delimiter)
        body = body[body.find(b"\n") + 1 :] if b"\n" in body else b""
        columns = meant(names, declared.columns)
    else:
        width = len(_split(first, delimiter))
        names = [f"column {number + 1}" for number in range(width)]
        said = declared.columns.without_header
        if width < len(said):
            raise Refused(
                "missing_columns",
                f"the rows have {width} columns, and {', '.join(said)} are declared. Say what they are: "
                "`columns.without_header` in survey.json.",
                location="line 1",
            )
        columns = complete({name: at for at, name in enumerate(said) if name != "-"}, said)
    if not body.strip():
        raise Refused("no_soundings", "the file has a line of names and no row. Send a line that has soundings.")
    if b"\0" in body:
        raise Refused("unreadable", "the file has NUL bytes among its text. Send it again, as plain text.")
    check_count(body.count(b"\n") + 1, config)
    values = _numbers(body, delimiter, names, columns)
    return line_of_points(
        key=file.key, kind="text", sha256=sha256, size_bytes=size, values=values, default_positive="down", declared=declared,
        config=config,
    )  # fmt: skip


def _first_line(data: bytes) -> tuple[int, bytes]:
    """Where the first line that is no comment begins, and that line."""
    at = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    while at < len(data):
        end = data.find(b"\n", at)
        end = len(data) if end < 0 else end
        if end - at > _MOST_FIRST_LINE:
            break
        line = data[at:end]
        if _counts(line):
            return at, line.rstrip(b"\r")
        at = end + 1
    raise Refused(
        "unreadable", "the file has no line of numbers or names that could be one of a table. Send plain text."
    )


def _delimiter(line: bytes) -> str:
    for one in (",", ";", "\t"):
        if one.encode() in line.strip():
            return one
    return " "


def _split(line: bytes, delimiter: str) -> list[str]:
    text = line.decode("utf-8", "replace").strip()
    return text.split() if delimiter == " " else [part.strip() for part in text.split(delimiter)]


def _single_blanks(body: bytes) -> bytes:
    """One blank between two fields, none before the first and after the last."""
    body = body.replace(b"\t", b" ")
    while b"  " in body:
        body = body.replace(b"  ", b" ")
    return body.replace(b"\n ", b"\n").replace(b" \n", b"\n").replace(b" \r\n", b"\r\n").strip(b" ")


def _numbers(body: bytes, delimiter: str, names: list[str], columns: dict[str, int]) -> dict[str, NDArray[np.float64]]:
    import pyarrow as pa
    import pyarrow.csv as pc_csv

    if delimiter == " ":
        body = _single_blanks(body)
    # Columns that nobody asked for may be called anything, also twice.
    own = [f"{at} {name}" for at, name in enumerate(names)]
    wanted = {own[at]: what for what, at in columns.items()}
    try:
        table: Any = pc_csv.read_csv(
            pa.BufferReader(body),
            read_options=pc_csv.ReadOptions(column_names=own, block_size=_BLOCK_BYTES),
            parse_options=pc_csv.ParseOptions(delimiter=delimiter, ignore_empty_lines=True, quote_char=False),
            convert_options=pc_csv.ConvertOptions(
                column_types=dict.fromkeys(wanted, pa.float64()),
                include_columns=list(wanted),
                null_values=["", "nan", "NaN", "NAN", "null"],
                check_utf8=False,
            ),
        )
    except pa.ArrowInvalid as error:
        raise _not_a_table(str(error), names) from error
    # One buffer may serve two columns, and null is NaN.
    return {what: table.column(name).to_numpy().astype(np.float64) for name, what in wanted.items()}


def _not_a_table(said: str, names: list[str]) -> Refused:
    row = re.search(r"Row #([0-9]+)", said)
    place = f"row {row[1]}" if row else ""
    if "Expected" in said and "columns" in said:
        return Refused(
            "column_alignment", f"a row has more or fewer values than the {len(names)} columns ({said[:200]}). Send the file "
            "again, whole.", location=place,
        )  # fmt: skip
    return Refused("bad_number", f"a value is no number ({said[:200]}). Send numbers with a point.", location=place)
