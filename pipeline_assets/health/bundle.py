"""A schema and all that it refers to in one document, as compilers of schemas want it; and what it refers to in vain."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from referencing.exceptions import Unresolvable

from pipeline_assets.health.schemas import Schemas

_NAMED = frozenset({"properties", "patternProperties", "dependencies", "dependentSchemas"})
_LISTED = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_SINGLE = frozenset({
    "items", "additionalItems", "additionalProperties", "contains", "propertyNames", "not", "if", "then", "else",
    "unevaluatedItems", "unevaluatedProperties",
})  # fmt: skip
_LEFT_OUT = frozenset({"$id", "definitions", "$defs", "examples", "default", "description", "title", "$comment"})


@dataclass
class Bundle:
    """schema: the schema, in which every reference is to its own `definitions`. missing: references to nothing."""

    schema: Any
    missing: list[str] = field(default_factory=list)


def bundled(schemas: Schemas, schema_id: str) -> Bundle:
    """The schema of a folder as a bundle. For drafts up to 7, in which a `$ref` stands alone."""
    return _Bundling(schemas).bundle(schema_id)


class _Bundling:
    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas
        self._names: dict[int, str] = {}
        self._todo: list[tuple[str, Any, Any]] = []
        self._missing: set[str] = set()

    def bundle(self, schema_id: str) -> Bundle:
        schema = self._schemas.by_id[schema_id]
        root = self._rewritten(schema, self._schemas.registry.resolver(schema_id))
        definitions: dict[str, Any] = {}
        while self._todo:
            name, contents, resolver = self._todo.pop()
            definitions[name] = self._rewritten(contents, resolver)
        if isinstance(root, dict) and definitions:
            root = {**root, "definitions": definitions}
        return Bundle(root, sorted(self._missing))

    def _rewritten(self, node: Any, resolver: Any) -> Any:
        if not isinstance(node, dict):
            return node
        if isinstance(node.get("$ref"), str):
            return self._reference(node["$ref"], resolver)
        rewritten: dict[str, Any] = {}
        for word, value in node.items():
            if word in _LEFT_OUT:
                continue
            if word in _NAMED and isinstance(value, dict):
                value = {name: self._rewritten(one, resolver) for name, one in value.items()}
            elif word in _LISTED or (word in _SINGLE and isinstance(value, list)):
                value = [self._rewritten(one, resolver) for one in value]
            elif word in _SINGLE:
                value = self._rewritten(value, resolver)
            rewritten[word] = value
        return rewritten

    def _reference(self, reference: str, resolver: Any) -> Any:
        try:
            found = resolver.lookup(reference)
        except Unresolvable:
            self._missing.add(reference)
            return True
        name = self._names.get(id(found.contents))
        if name is None:
            name = self._names[id(found.contents)] = f"d{len(self._names)}"
            self._todo.append((name, found.contents, found.resolver))
        return {"$ref": f"#/definitions/{name}"}
