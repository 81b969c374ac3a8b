"""Values of JSON to typed columns, many at once. What its column cannot hold exactly is told apart, never bent or lost."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_assets.health.shapes import ARROW_TYPES, Kind

_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}(:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?)?(Z|[+-][0-9]{2}(:?[0-5][0-9])?)"
)
"""An instant as ISO 8601 and RFC 3339 write it, to the microsecond, and as Arrow reads it. A time without an offset is no instant:
whose clock it is from, nobody knows."""
_FIRST_US, _LAST_US = -62_135_510_400_000_000, 253_402_214_400_000_000
"""A day within the years 1 to 9999, which most who read the tables are limited to."""
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_INT64 = range(-(2**63), 2**63)
_EXACT_FLOAT = 2**53
_FEW = 300
"""Fewer times than these are quicker one by one: calling Arrow's functions costs more than they do."""

_NONE = type(None)
_TYPES: dict[Kind, frozenset[type]] = {
    "string": frozenset({str, _NONE}),
    "text": frozenset({str, _NONE}),
    "integer": frozenset({int, _NONE}),
    "number": frozenset({float, _NONE}),
    "boolean": frozenset({bool, _NONE}),
    "timestamp": frozenset({str, _NONE}),
    "date": frozenset({str, _NONE}),
}
"""Types of Python that a column takes as they are."""

_STRICT: frozenset[Kind] = frozenset({"string", "text", "boolean"})
"""Kinds of which Arrow itself takes nothing else. It makes 1.0 of true, and 1 of 1.5."""
_NUMBERS = frozenset({int, float, _NONE})

Misfits = list[tuple[int, Any]]
"""Places and values that a column cannot hold."""


def column_of(values: Sequence[Any], kind: Kind) -> tuple[pa.Array, Misfits]:
    """The values as an Arrow array, None for null and for each misfit."""
    if kind == "json":
        return pa.array([None if value is None else json_text(value) for value in values], pa.string()), []
    misfits: Misfits = []
    if kind in _STRICT:
        with suppress(pa.ArrowInvalid, pa.ArrowTypeError):
            return pa.array(values, ARROW_TYPES[kind]), []
    types = set(map(type, values))
    if types == {_NONE}:
        return pa.nulls(len(values), ARROW_TYPES[kind]), []
    if kind == "number" and int in types and types <= _NUMBERS:
        with suppress(pa.ArrowInvalid, OverflowError):  # an integer that no double can be
            return pa.array(values, ARROW_TYPES[kind]), []
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
    take: Callable[[Any], Any] = {"number": _number, "integer": _int64, "text": _single_text}.get(
        kind, lambda value: _of_type(value, kind)
    )
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


def _single_text(value: Any) -> str:
    if isinstance(value, dict | list):
        raise ValueError
    return value if isinstance(value, str) else json_text(value)


def _day(value: str) -> date:
    if not _DATE.fullmatch(value):
        raise ValueError
    return date.fromisoformat(value)


def _instants(values: Sequence[Any], misfits: Misfits) -> tuple[pa.Array, Misfits]:
    if len(values) < _FEW:
        taken, misfits = _through(_instant, values, misfits)
        return pa.array(taken, ARROW_TYPES["timestamp"]), misfits
    with suppress(pa.ArrowInvalid):  # one of them is none
        instants = pa.array(values, pa.string()).cast(ARROW_TYPES["timestamp"])
        span = pc.min_max(instants.cast(pa.int64())).as_py()
        if span["min"] is None or (span["min"] > _FIRST_US and span["max"] < _LAST_US):
            return instants, misfits
    taken, misfits = _through(_instant, values, misfits)
    return pa.array(taken, ARROW_TYPES["timestamp"]), misfits


def _instant(text: str) -> datetime:
    if not _INSTANT.fullmatch(text):
        raise ValueError
    return datetime.fromisoformat(text).astimezone(UTC)


class _Offsets(dict[str | None, str | None]):
    """By how a time's text ends, its offset from UTC; none for `Z`, which says no place."""

    def __missing__(self, end: str | None) -> str | None:
        if end is None or end[-1:] in ("Z", "z"):
            self[end] = None
        else:
            self[end] = end if end[-3:-2] == ":" else end[-5:]
        return self[end]


def offsets_of(columns: Sequence[tuple[Sequence[Any], pa.Array]]) -> tuple[pa.Array, list[Misfits]]:
    """The offset from UTC that each row's times were written with, from the columns' texts and what became of them.

    A row has one offset, that of its first time that has one. For each column, the rows whose time was written with another one
    are told, so that its text can be kept.
    """
    offsets = _Offsets()
    of_column: list[list[str | None]] = []
    for texts, instants in columns:
        ends = [text[-6:] if type(text) is str else None for text in texts]
        if instants.null_count != ends.count(None):
            ends = [end if fits else None for end, fits in zip(ends, instants.is_valid().to_pylist(), strict=True)]
        of_column.append(ends)
    kinds = [set(ends) for ends in of_column]
    found = {offsets[end] for kind in kinds for end in kind} - {None}
    if len(found) == 1 and any(None not in kind and None not in map(offsets.get, kind) for kind in kinds):
        return pa.repeat(found.pop(), len(of_column[0])), [[] for _ in columns]  # nearly always: one clock, no gaps
    of_column = [[offsets[end] for end in ends] for ends in of_column]
    of_row = of_column[0]
    for own in of_column[1:]:
        if None in of_row:
            of_row = [other if one is None else one for one, other in zip(of_row, own, strict=True)]
    others: list[Misfits] = []
    for (texts, _), own in zip(columns, of_column, strict=True):
        pairs = enumerate(zip(own, of_row, strict=True))
        others.append([(place, texts[place]) for place, (one, row) in pairs if one is not None and one != row])
    return pa.array(of_row, pa.string()), others
