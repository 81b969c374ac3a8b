"""Documents against their JSON Schemas: quickly where all is well, with every error named where it is not.

fastjsonschema compiles a schema to Python and stops at the first error; only then does jsonschema look, and its word counts.
Formats, such as `date-time`, are no errors, as in the original: a value that is none of its format is kept in `_extra`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from jsonschema.validators import validator_for

from pipeline_assets.health.bundle import bundled
from pipeline_assets.health.schemas import Schemas
from pipeline_assets.health.waivers import Waiver

MOST_ERRORS = 10
"""Errors that are reported of one file."""

_LONGEST_MESSAGE = 500
_FAST_DRAFTS = re.compile(r"json-schema\.org/draft-0[67]/")
_PIECEWISE = frozenset({
    "$id", "$schema", "$comment", "type", "items", "title", "description", "definitions", "$defs", "examples", "default",
})  # fmt: skip
"""Words of a schema of lists that can be judged element by element."""


@dataclass(frozen=True)
class SchemaError:
    """One error: where it is, as a JSON pointer, and what is wrong."""

    pointer: str
    message: str


@dataclass
class Verdict:
    """What is wrong with one file. errors: the first `MOST_ERRORS` that no waiver covers."""

    errors: list[SchemaError] = field(default_factory=list)
    waived: Counter[str] = field(default_factory=Counter)
    """uses of each waiver, by its name"""
    expired: Counter[str] = field(default_factory=Counter)
    """errors that a waiver covered until it expired"""

    @property
    def is_full(self) -> bool:
        return len(self.errors) >= MOST_ERRORS


@dataclass(frozen=True)
class Context:
    """Whose file it is, as waivers ask for it: its name, the record's app and client, and today's date."""

    file: str = ""
    app: str = ""
    client: str = ""
    today: date = date.max


class Validator:
    """Checks documents against one schema. Make it once for a schema."""

    def __init__(self, schemas: Schemas, schema_id: str, waivers: tuple[Waiver, ...] = ()) -> None:
        self._schema = schemas.by_id[schema_id]
        self._schema_id = schema_id
        self._waivers = waivers
        self._fast = _compiled(schemas, schema_id)
        self._full = validator_for(self._schema)(self._schema, registry=schemas.registry)

    @property
    def is_piecewise(self) -> bool:
        """Whether a list may be checked in pieces: no word of the schema is about the list as a whole."""
        schema = self._schema
        return (
            isinstance(schema, dict)
            and schema.get("type") == "array"
            and _PIECEWISE.issuperset(schema)
            and isinstance(schema.get("items"), dict)
        )

    def check(self, document: Any, verdict: Verdict, context: Context, first: int = 0) -> None:
        """Add the document's errors to the verdict, until it is full. first: place of a piece's first element in its list."""
        if verdict.is_full or self.is_valid(document):
            return
        for error in self._full.iter_errors(document):
            pointer = _pointer(error.absolute_path, first)
            self._judge(error.message, pointer, verdict, context)
            if verdict.is_full:
                return

    def is_valid(self, document: Any) -> bool:
        """The quick answer; false also where it cannot tell."""
        if self._fast is None:
            return False
        try:
            self._fast(document)
        except Exception:  # fastjsonschema's own, or a RecursionError: jsonschema decides
            return False
        return True

    def _judge(self, message: str, pointer: str, verdict: Verdict, context: Context) -> None:
        for waiver in self._waivers:
            if waiver.covers(self._schema_id, context.file, context.app, context.client, message):
                if context.today <= waiver.expires:
                    verdict.waived[waiver.name] += 1
                    return
                verdict.expired[waiver.name] += 1
        verdict.errors.append(SchemaError(pointer, _shortened(message)))


def missing_references(schemas: Schemas, schema_id: str) -> list[str]:
    """References of a schema, and of those it refers to, that the folder does not have: documents could not be checked."""
    return bundled(schemas, schema_id).missing


def _compiled(schemas: Schemas, schema_id: str) -> Callable[[Any], Any] | None:
    """The schema as a function; None where fastjsonschema does not know its draft, or cannot compile it."""
    import fastjsonschema

    schema = schemas.by_id[schema_id]
    if not isinstance(schema, dict) or not _FAST_DRAFTS.search(str(schema.get("$schema"))):
        return None
    bundle = bundled(schemas, schema_id)
    if bundle.missing or _judged_otherwise(bundle.schema):
        return None
    for detailed in (
        True,
        False,
    ):  # each is at fault for some schemas: references in messages, schemas within themselves
        try:
            compiled: Callable[[Any], Any] = fastjsonschema.compile(
                bundle.schema, use_default=False, use_formats=False, detailed_exceptions=detailed
            )
        except Exception:  # whatever that raises, jsonschema can still be asked
            continue
        return compiled
    return None


def _judged_otherwise(node: Any) -> bool:
    """Whether a schema has words by which fastjsonschema lets pass what jsonschema does not: to it, true is 1."""
    if isinstance(node, list):
        return any(map(_judged_otherwise, node))
    if not isinstance(node, dict):
        return False
    values = [node.get("const"), *(node["enum"] if isinstance(node.get("enum"), list) else [])]
    if any(not isinstance(value, str | None) for value in values) or node.get("uniqueItems"):
        return True
    return any(map(_judged_otherwise, node.values()))


def _pointer(path: Any, first: int) -> str:
    parts = list(path)
    if parts and isinstance(parts[0], int):
        parts[0] += first
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)


def _shortened(message: str) -> str:
    return message if len(message) <= _LONGEST_MESSAGE else message[: _LONGEST_MESSAGE - 1] + "…"


def report(errors: Mapping[str, list[SchemaError]]) -> str:
    """The errors of several files in words."""
    files = []
    for name, some in errors.items():
        listed = "; ".join(f"{error.pointer or '/'}: {error.message}" for error in some)
        more = " (the first of them)" if len(some) >= MOST_ERRORS else ""
        files.append(f"{name}{more}: {listed}")
    return ". ".join(files)
