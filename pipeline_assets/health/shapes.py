"""What the documents of a dataset look like, whoever says so: fields, lists and single values.

A JSON Schema (`json_shapes`) and a catalogue of columns (`hive_types`) both become shapes; tables follow from shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import pyarrow as pa

Kind = Literal["string", "text", "integer", "number", "boolean", "timestamp", "date", "json"]

ARROW_TYPES: Mapping[Kind, pa.DataType] = {
    "string": pa.string(),
    "text": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
    "json": pa.string(),
}
"""`text` is a string, or another single value as text: catalogues call it string where documents have both "suppenoa" and 3.
`json` is JSON text: for values of which nothing is said, of several types, or of a schema within itself."""


@dataclass(frozen=True)
class Scalar:
    """A single value."""

    kind: Kind
    description: str = ""


@dataclass(frozen=True)
class Struct:
    """An object with named fields. Its other fields, if a document has any, have no column of their own."""

    fields: Mapping[str, Shape] = field(default_factory=dict)
    description: str = ""


@dataclass(frozen=True)
class Array:
    """A list whose elements all have one shape."""

    item: Shape
    description: str = ""


Shape = Scalar | Struct | Array

UNTYPED = Scalar("json")


def either(one: Shape, other: Shape) -> Shape:
    """The narrowest shape for documents of which some look like one and some like the other."""
    if isinstance(one, Struct) and isinstance(other, Struct):
        return _united(one, other, either)
    if isinstance(one, Array) and isinstance(other, Array):
        return Array(either(one.item, other.item), one.description or other.description)
    if isinstance(one, Scalar) and isinstance(other, Scalar):
        return Scalar(_wider(one.kind, other.kind), one.description or other.description)
    return Scalar("json", one.description or other.description)


def both(one: Shape, other: Shape) -> Shape:
    """The shape of documents of which two statements hold at once; where they contradict each other, the first counts."""
    if isinstance(one, Struct) and isinstance(other, Struct):
        return _united(one, other, both)
    if isinstance(one, Array) and isinstance(other, Array):
        return Array(both(one.item, other.item), one.description or other.description)
    says_more = other if one == replace(UNTYPED, description=one.description) else one
    return replace(says_more, description=one.description or other.description)


def completed(known: Shape, more: Shape) -> Shape:
    """A shape with the fields that another one knows besides. Names that differ by case only are one field."""
    if isinstance(known, Array) and isinstance(more, Array):
        return replace(known, item=completed(known.item, more.item))
    if isinstance(known, Array) and isinstance(more, Struct):
        return replace(known, item=completed(known.item, more))
    if not isinstance(known, Struct) or not isinstance(more, Struct):
        return known
    fields = dict(known.fields)
    spelling = {name.lower(): name for name in fields}
    for name, shape in more.fields.items():
        own = spelling.get(name.lower())
        if own is None:
            fields[name] = shape
        else:
            fields[own] = completed(fields[own], shape)
    return replace(known, fields=fields)


def _united(one: Struct, other: Struct, merge: object) -> Struct:
    assert callable(merge)
    fields = dict(one.fields)
    for name, shape in other.fields.items():
        fields[name] = merge(fields[name], shape) if name in fields else shape
    return Struct(fields, one.description or other.description)


def _wider(one: Kind, other: Kind) -> Kind:
    if one == other:
        return one
    kinds = {one, other}
    if kinds == {"integer", "number"}:
        return "number"
    if kinds <= {"string", "timestamp", "date"}:
        return "string"
    if "text" in kinds and "json" not in kinds:
        return "text"
    return "json"
