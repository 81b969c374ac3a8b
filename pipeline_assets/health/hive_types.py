"""Hive's type names (``array<struct<name:string,...>>``), as catalogues of tables write them, to shapes."""

from __future__ import annotations

import re

from pipeline_assets.health.shapes import UNTYPED, Array, Kind, Scalar, Shape, Struct

_KINDS: dict[str, Kind] = {
    "string": "text", "char": "text", "varchar": "text", "binary": "text",
    "tinyint": "integer", "smallint": "integer", "int": "integer", "integer": "integer", "bigint": "integer",
    "float": "number", "double": "number", "decimal": "number", "boolean": "boolean", "timestamp": "timestamp", "date": "date",
}  # fmt: skip

_TOKEN = re.compile(r"\s*(?:([<>:,])|([^<>:,()]+(?:\([0-9, ]*\))?)(?=[<>:,]|$))")
_DEEPEST = 30


def shape_of_hive_type(text: str) -> Shape:
    """The shape that a type names. Raises ValueError with what is wrong with it."""
    tokens: list[str] = []
    at = 0
    while at < len(text.strip()):
        match = _TOKEN.match(text.strip(), at)
        if match is None:
            raise ValueError(f"{text!r} is no Hive type: nothing fits at character {at}")
        tokens.append(match[1] or match[2].strip())
        at = match.end()
    shape, rest = _parse(tokens, text, 0)
    if rest:
        raise ValueError(f"{text!r} is no Hive type: {''.join(rest)!r} is left over")
    return shape


def _parse(tokens: list[str], text: str, depth: int) -> tuple[Shape, list[str]]:
    if depth > _DEEPEST:
        raise ValueError(f"a type is nested more than {_DEEPEST} deep")
    if not tokens:
        raise ValueError(f"{text!r} is no Hive type: it ends too early")
    name, rest = tokens[0].partition("(")[0].strip().lower(), tokens[1:]
    if name == "array":
        item, rest = _parse(_after("<", rest, text), text, depth + 1)
        return Array(item), _after(">", rest, text)
    if name == "map":
        _, rest = _parse(_after("<", rest, text), text, depth + 1)
        _, rest = _parse(_after(",", rest, text), text, depth + 1)
        return UNTYPED, _after(">", rest, text)
    if name == "struct":
        fields: dict[str, Shape] = {}
        rest = _after("<", rest, text)
        while True:
            if len(rest) < 2:
                raise ValueError(f"{text!r} is no Hive type: a struct ends too early")
            field = rest[0]
            fields[field], rest = _parse(_after(":", rest[1:], text), text, depth + 1)
            if rest[:1] != [","]:
                return Struct(fields), _after(">", rest, text)
            rest = rest[1:]
    if name not in _KINDS:
        raise ValueError(
            f"{text!r} is no Hive type: {tokens[0]!r} is unknown; known are {', '.join(_KINDS)}, array, map, struct"
        )
    return Scalar(_KINDS[name]), rest


def _after(token: str, tokens: list[str], text: str) -> list[str]:
    if tokens[:1] != [token]:
        raise ValueError(f"{text!r} is no Hive type: expected {token!r}, found {tokens[0] if tokens else 'its end'!r}")
    return tokens[1:]
