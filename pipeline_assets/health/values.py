"""Values of JSON to typed columns, many at once. What its column cannot hold exactly is told apart, never bent or lost."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_assets.health.shapes import ARROW_TYPES, Kind

_INSTANT = r"^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,6})?([Zz]|[+-]\d{2}:?\d{2})$"
"""RFC 3339, to the microsecond. A time without an offset is no instant: whose clock it is from, nobody knows."""
_INSTANT_RE = re.compile(_INSTANT.replace("\\d", "[0-9]"))
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_INT64 = range(-(2**63), 2**63)
_EXACT_FLOAT = 2**53
_FEW = 300
"""Fewer times than these are quicker one by one: calling Arrow's functions costs more than they do."""

_NONE = type(None)
_TYPES: dict[Kind, frozenset[type]] = {
    "string": frozenset({str, _NONE}),
    "integer": frozenset({int, _NONE}),
    "number": frozenset({float, _NONE}),
    "boolean": frozenset({bool, _NONE}),
    "timestamp": frozenset({str, _NONE}),
    "date": frozenset({str, _NONE}),
}
"""Types of Python that a column takes as they are."""

Misfits = list[tuple[int, Any]]
"""Places and values that a column cannot hold."""


def column_of(values: Sequence[Any], kind: Kind) -> tuple[pa.Array, Misfits]:
    """The values as an Arrow array, None for null and for each misfit."""
    if kind == "json":
        return pa.array([None if value is None else json_text(value) for value in values], pa.string()), []
    misfits: Misfits = []
    types = set(map(type, values))
    if types == {_NONE}:
        return pa.nulls(len(values), ARROW_TYPES[kind]), []
    if not types <= _TYPES[kind]:
        values, misfits = _sorted_out(values, kind)
    if kind == "timestamp":
        return _instants(values, misfits)
    if kind == "date":
        values, misfits = _through(_day, values, misfits)
    elif kind == "integer" and any(value is not None and value not in _INT64 for value in values):
        values, misfits = _through(_int64, values, misfits)
    return pa.array(values, ARROW_TYPES[kind]), misfits


def json_text(value: Any) -> str:
    """Raises RecursionError for what is nested too deep to be written."""
    try:
        return orjson.dumps(value).decode()
    except TypeError as error:
        raise RecursionError(str(error)) from error


def _sorted_out(values: Sequence[Any], kind: Kind) -> tuple[list[Any], Misfits]:
    take: Callable[[Any], Any] = {"number": _number, "integer": _int64}.get(kind, lambda value: _of_type(value, kind))
    return _through(take, values, [])


def _through(take: Callable[[Any], Any], values: Iterable[Any], misfits: Misfits) -> tuple[list[Any], Misfits]:
    """Each value as `take` gives it; a misfit where it raises ValueError."""
    taken: list[Any] = []
    for place, value in enumerate(values):
        try:
            taken.append(None if value is None else take(value))
        except (ValueError, OverflowError):
            taken.append(None)
            misfits.append((place, value))
    return taken, misfits


def _of_type(value: Any, kind: Kind) -> Any:
    if type(value) not in _TYPES[kind]:
        raise ValueError
    return value


def _number(value: Any) -> float:
    if type(value) is int:
        if -_EXACT_FLOAT <= value <= _EXACT_FLOAT or (value in _INT64 and int(float(value)) == value):
            return float(value)
    elif type(value) is float:
        return value
    raise ValueError


def _int64(value: Any) -> int:
    if type(value) is int and value in _INT64:
        return value
    if type(value) is float and value.is_integer() and abs(value) <= _EXACT_FLOAT:  # 1.0 is an integer in JSON Schema
        return int(value)
    raise ValueError


def _day(value: str) -> date:
    if not _DATE.fullmatch(value):
        raise ValueError
    return date.fromisoformat(value)


def _instants(values: Sequence[Any], misfits: Misfits) -> tuple[pa.Array, Misfits]:
    if len(values) < _FEW:
        taken, misfits = _through(_instant, values, misfits)
        return pa.array(taken, ARROW_TYPES["timestamp"]), misfits
    texts = pa.array(values, pa.string())
    fits = pc.match_substring_regex(texts, _INSTANT)
    if not pc.all(pc.fill_null(fits, True)).as_py():
        misfits = misfits + [(place, values[place]) for place in _places(pc.invert(fits))]
        texts = pc.if_else(fits, texts, None)
    try:
        return texts.cast(ARROW_TYPES["timestamp"]), misfits
    except pa.ArrowInvalid:  # the 30th of February and the like
        taken, misfits = _through(_instant, texts.to_pylist(), misfits)
        return pa.array(taken, ARROW_TYPES["timestamp"]), misfits


def _instant(text: str) -> datetime:
    if not _INSTANT_RE.fullmatch(text):
        raise ValueError
    return datetime.fromisoformat(text.upper()).astimezone(UTC)


def _places(mask: pa.Array) -> list[int]:
    places: list[int] = pc.indices_nonzero(mask).to_pylist()
    return places


def offsets_of(columns: Sequence[tuple[Sequence[Any], pa.Array]]) -> tuple[pa.Array, list[Misfits]]:
    """The offset from UTC that each row's times were written with, from the columns' texts and what became of them.

    A row has one offset, that of its first time that has one; `Z` says no place, so it is none. For each column, the rows whose
    time was written with another one are told, so that its text can be kept.
    """
    if len(columns[0][0]) < _FEW:
        return _offsets_of_few(columns)
    offsets = [_offsets(pc.if_else(pc.is_valid(instants), _texts(texts), None)) for texts, instants in columns]
    of_row = pc.coalesce(*offsets)
    others: list[Misfits] = []
    for (texts, _), own in zip(columns, offsets, strict=True):
        differs = pc.fill_null(pc.not_equal(own, of_row), False)
        others.append([(place, texts[place]) for place in _places(differs)])
    return of_row, others


def _offsets_of_few(columns: Sequence[tuple[Sequence[Any], pa.Array]]) -> tuple[pa.Array, list[Misfits]]:
    of_row: list[str | None] = [None] * len(columns[0][0])
    others: list[Misfits] = []
    for texts, instants in columns:
        misfits: Misfits = []
        for place, (text, instant) in enumerate(zip(texts, instants.is_valid().to_pylist(), strict=True)):
            if instant and text[-1] not in "Zz":
                offset = text[-6:] if text[-3] == ":" else text[-5:]
                if of_row[place] is None:
                    of_row[place] = offset
                elif of_row[place] != offset:
                    misfits.append((place, text))
        others.append(misfits)
    return pa.array(of_row, pa.string()), others


def _texts(values: Sequence[Any]) -> pa.Array:
    if not _TYPES["string"].issuperset(map(type, values)):
        values = [value if isinstance(value, str) else None for value in values]
    return pa.array(values, pa.string())


def _offsets(texts: pa.Array) -> pa.Array:
    has_colon = pc.equal(pc.utf8_slice_codeunits(texts, -3, -2), ":")
    signed = pc.if_else(has_colon, pc.utf8_slice_codeunits(texts, -6), pc.utf8_slice_codeunits(texts, -5))
    return pc.if_else(pc.match_substring_regex(texts, "[Zz]$"), None, signed)
