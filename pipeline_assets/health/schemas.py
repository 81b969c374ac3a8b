"""The JSON Schemas of a folder, by their `$id` and by the addresses that clients name them by. Never fetched."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from referencing import Registry, Resource
from referencing.exceptions import NoSuchResource
from referencing.jsonschema import DRAFT7

MAX_SCHEMA_BYTES = 4_000_000


class MappingError(ValueError):
    """A mapping file or schema cannot be used. The message names the file, what was expected and what to do."""


@dataclass(frozen=True)
class Schemas:
    """JSON Schemas by `$id`. A schema may refer to others of the folder, and to nothing else."""

    by_id: Mapping[str, Any] = field(default_factory=dict)
    registry: Registry[Any] = field(default_factory=Registry)

    def __contains__(self, schema_id: str) -> bool:
        return schema_id in self.by_id


def load_schemas(folders: list[Path]) -> Schemas:
    """The schemas in all JSON files of the folders and the folders in them; of equal `$id`s the first folder's counts.

    A JSON file is a schema if it says so by `$schema` and has an `$id`. Raises MappingError.
    """
    found: dict[str, tuple[Path, Any]] = {}
    for folder in folders:
        here: dict[str, tuple[Path, Any]] = {}
        for path in sorted(folder.rglob("*.json")):
            content = read_json(path)
            if _is_schema(content):
                schema_id = content["$id"].rstrip("#")
                if schema_id not in here or _fits(path, schema_id) > _fits(here[schema_id][0], schema_id):
                    here[schema_id] = (path, content)
        found = {**here, **found}
    by_id = {schema_id: _based(content, schema_id) for schema_id, (_, content) in found.items()}
    resources = [
        (schema_id, Resource.from_contents(content, default_specification=DRAFT7))
        for schema_id, content in by_id.items()
    ]
    registry: Registry[Any] = Registry(retrieve=_never).with_resources(resources)  # type: ignore[call-arg]
    return Schemas(by_id, registry.crawl())


def _is_schema(content: Any) -> bool:
    return (
        isinstance(content, dict)
        and isinstance(content.get("$id"), str)
        and "json-schema.org/" in str(content.get("$schema"))
        and bool(content["$id"].rstrip("#"))
    )


def _based(content: dict[str, Any], schema_id: str) -> dict[str, Any]:
    """Without an `$id` that is no absolute address, such as ``schemas/v0/X.json``: references would be looked for below it."""
    return content if ":" in schema_id else {word: value for word, value in content.items() if word != "$id"}


def _fits(path: Path, schema_id: str) -> int:
    """How many of the last parts of a path its `$id` has too: of files that claim one `$id`, the one that lies there."""
    parts = 0
    for one, other in zip(reversed(path.parts), reversed(schema_id.split("/")), strict=False):
        if one != other:
            break
        parts += 1
    return parts


def _never(uri: str) -> Any:
    raise NoSuchResource(uri)


def read_json(path: Path) -> Any:
    """The content of a JSON file of ours. Raises MappingError."""
    return read_parsed(path, json.loads)


def read_parsed(path: Path, parse: Callable[[str], Any]) -> Any:
    try:
        if path.stat().st_size > MAX_SCHEMA_BYTES:
            raise MappingError(f"{path} has more than {MAX_SCHEMA_BYTES:,} bytes; expected a schema or mapping file")
        return parse(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, MappingError):
            raise
        raise MappingError(f"{path} cannot be read: {error}. Correct it, or take it out of the folder") from error
