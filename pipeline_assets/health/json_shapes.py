"""JSON Schemas to shapes: what each field is, as far as a schema says. Nothing is fetched; references are the registry's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT7

from pipeline_assets.health.shapes import UNTYPED, Array, Kind, Scalar, Shape, Struct, both, either

MOST_TURNS = 2
"""How often a schema is laid out on the way from the root to a field. Where it comes round once more is JSON text."""

_SCALARS: dict[str, Kind] = {"string": "string", "integer": "integer", "number": "number", "boolean": "boolean"}
_FORMATS: dict[str, Kind] = {"date-time": "timestamp", "date": "date"}
_SIBLINGS_COUNT = ("2019-09", "2020-12")
"""Drafts in which what stands beside a `$ref` holds too; before them it is ignored."""


@dataclass(frozen=True)
class _Place:
    """Where in the schemas we are: what resolves references, and the schemas on the way here."""

    resolver: Any
    siblings_count: bool
    path: tuple[int, ...] = ()


def shape_of_schema(schema: Any, registry: Registry[Any]) -> Shape:
    """The shape of the documents that a schema describes. What cannot be told apart, or found, is JSON text."""
    resource = Resource.from_contents(schema, default_specification=DRAFT7)
    place = _Place(
        registry.resolver_with_root(resource),
        isinstance(schema, dict) and any(draft in str(schema.get("$schema")) for draft in _SIBLINGS_COUNT),
    )
    return _settled(_shape(schema, replace(place, path=(id(schema),))))


def _settled(shape: Shape | None) -> Shape:
    """Objects of which no field is known become JSON text."""
    if shape is None:
        return UNTYPED
    if isinstance(shape, Struct):
        if not shape.fields:
            return Scalar("json", shape.description)
        return replace(shape, fields={name: _settled(one) for name, one in shape.fields.items()})
    if isinstance(shape, Array):
        return replace(shape, item=_settled(shape.item))
    return shape


def _shape(schema: Any, place: _Place, *, kinds_too: bool = True) -> Shape | None:
    """kinds_too: whether a reference is for any kind of what it refers to (see `_with_kinds`), not a base to build on."""
    if not isinstance(schema, dict):
        return None
    parts: list[Shape | None] = []
    if "$ref" in schema:
        parts.append(_referred(schema, place, kinds_too))
    if "$ref" not in schema or place.siblings_count:
        parts += [_own(schema, place)]
        parts += [_shape(part, place, kinds_too=False) for part in _list(schema.get("allOf"))]
        for word in ("anyOf", "oneOf"):
            parts.append(_any_of([_shape(part, place) for part in _list(schema.get(word)) if part != {"type": "null"}]))
        parts += [_shape(schema[word], place) for word in ("then", "else") if word in schema]
    said = [part for part in parts if part is not None]
    if not said:
        return None
    shape = reduce(both, said)
    description = schema.get("description")
    return replace(shape, description=description) if isinstance(description, str) and description else shape


def _referred(schema: dict[str, Any], place: _Place, kinds_too: bool) -> Shape | None:
    try:
        found = place.resolver.lookup(str(schema["$ref"]))
    except Unresolvable:
        return UNTYPED
    if place.path.count(id(found.contents)) >= MOST_TURNS:
        return UNTYPED
    inner = replace(place, resolver=found.resolver, path=(*place.path, id(found.contents)))
    shape = _shape(found.contents, inner)
    return _with_kinds(shape, found.contents, inner) if kinds_too else shape


def _with_kinds(shape: Shape | None, contents: Any, place: _Place) -> Shape | None:
    """What is referred to, with the fields of its kinds: the definitions of a schema that build on it by `allOf`.

    Sage's schemas write an interface so, such as `ResultData` with its `AnswerResultObject`: a list of `ResultData` holds
    objects of all kinds.
    """
    if not isinstance(contents, dict) or not isinstance(shape, Struct):
        return shape
    definitions = {**_dict(contents.get("definitions")), **_dict(contents.get("$defs"))}
    bases = ({"$ref": "#"}, {"$ref": contents.get("$id")})
    for kind in definitions.values():
        if isinstance(kind, dict) and any(base in bases for base in _list(kind.get("allOf"))):
            own = _own(kind, place)
            if isinstance(own, Struct):
                fields = {name: one for name, one in own.fields.items() if name not in shape.fields}
                shared = {
                    name: either(shape.fields[name], own.fields[name]) for name in own.fields if name in shape.fields
                }
                shape = replace(shape, fields={**shape.fields, **shared, **fields})
    return shape


def _own(schema: dict[str, Any], place: _Place) -> Shape | None:
    """What a schema says by its own type, fields and values."""
    types = [str(name) for name in _list(schema.get("type")) or [schema.get("type")] if name not in (None, "null")]
    if not types:
        types = _types_from_words(schema)
    shapes = [_of_type(name, schema, place) for name in types]
    return _any_of(shapes)


def _types_from_words(schema: dict[str, Any]) -> list[str]:
    if "properties" in schema:
        return ["object"]
    if "items" in schema or "prefixItems" in schema:
        return ["array"]
    values = [schema["const"]] if "const" in schema else _list(schema.get("enum"))
    return sorted({_type_of_value(value) for value in values if value is not None})


def _type_of_value(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    for name, kind in (("string", str), ("integer", int), ("number", float), ("array", list)):
        if isinstance(value, kind):
            return name
    return "object"


def _of_type(name: str, schema: dict[str, Any], place: _Place) -> Shape:
    if name == "object":
        properties = _dict(schema.get("properties"))
        return Struct({str(key): _shape(value, place) or UNTYPED for key, value in properties.items()})
    if name == "array":
        items = [*_list(schema.get("prefixItems")), *_list(schema.get("items"))]
        items += [schema[word] for word in ("items", "additionalItems") if isinstance(schema.get(word), dict)]
        return Array(_any_of([_shape(item, place) or UNTYPED for item in items]) or UNTYPED)
    if name == "string" and schema.get("format") in _FORMATS:
        return Scalar(_FORMATS[schema["format"]])
    return Scalar(_SCALARS.get(name, "json"))


def _any_of(shapes: Iterable[Shape | None]) -> Shape | None:
    said = list(shapes)
    if not said or any(shape is None for shape in said):
        return UNTYPED if said else None
    return reduce(either, [shape for shape in said if shape is not None])


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
