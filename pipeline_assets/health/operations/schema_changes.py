"""The declared tables against the tables as they are: what the next batch changes in place, and what needs a new version."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline_assets.health.changes import Change, changes_of, next_version, worst
from pipeline_assets.health.config import HealthConfig
from pipeline_assets.health.mapping import VERSIONS_FILE
from pipeline_assets.health.mapping import Mapping as SchemaMapping
from pipeline_assets.health.operations.versions import (
    SOURCE,
    Break,
    followed,
    open_version,
    roots_among,
    tables_as_they_are,
    versions_in_effect,
)
from pipeline_assets.health.tables import TableSpec, dataset_tables
from resources.errors import UserError
from resources.platform import Platform


class NotDeclared(UserError):
    """Versions are open and cannot be declared. The message says what to do."""


@dataclass(frozen=True)
class DatasetChange:
    """What changes of a dataset. becomes: the new version that a breaking change needs; empty for any other."""

    dataset: str
    changes: tuple[Change, ...]
    becomes: str = ""

    @property
    def kind(self) -> str:
        return worst(self.changes) or "none"


def pending_changes(platform: Platform, declared: SchemaMapping) -> list[DatasetChange]:
    """The datasets, in the versions that are open, whose tables are not as the mapping declares them. A dataset without any
    table yet has no changes."""
    there = platform.lake.names(SOURCE)
    mapping = declared.with_versions({**declared.versions, **dict(versions_in_effect(platform, declared))})
    by_dataset: dict[str, list[TableSpec]] = {}
    for spec in dataset_tables(mapping):
        by_dataset.setdefault(spec.dataset, []).append(spec)
    taken = [*mapping.datasets, *roots_among(there)]
    found = []
    for dataset, specs in by_dataset.items():
        before = tables_as_they_are(platform, dataset, there)
        changes = tuple(changes_of(before, specs)) if before else ()
        if changes:
            breaks = worst(changes) == "breaking"
            found.append(DatasetChange(dataset, changes, next_version(dataset, taken) if breaks else ""))
    return found


def open_versions(
    platform: Platform, config: HealthConfig, mapping: SchemaMapping, changes: Sequence[DatasetChange]
) -> dict[str, str]:
    """Open a version of each dataset that breaks, for the next batch on: by dataset, its version.

    All versions that are open are declared as well, from the next start on, in the folder of the schemas. Raises NotDeclared.
    """
    before = versions_in_effect(platform, mapping)
    found = [Break(change.dataset, change.becomes, change.changes) for change in changes if change.becomes]
    current = mapping.with_versions({**mapping.versions, **dict(before)})
    for one in found:
        open_version(platform, current, one)
    opened = {one.dataset: one.becomes for one in found}
    in_effect = followed(before, found)
    if not in_effect:
        return {}
    names = ", ".join(version for _, version in in_effect)
    if config.schemas is None:
        raise NotDeclared(
            f"Open: {names}. The next batches go there. These schemas are Strandline's own, so nothing can be declared: the UI "
            "shows their tables without a definition. Name a folder of your own (it may be empty) as "
            "STRANDLINE_HEALTH_SCHEMAS and do this again"
        )
    path = Path(config.schemas) / VERSIONS_FILE
    newer = dict(in_effect)
    kept: dict[str, str] = dict(mapping.versions)
    for origin, version in kept.items():  # a version of a version is one of the dataset that the mapping names
        kept[origin] = newer.pop(version, version)
    aside = path.with_suffix(".part")
    try:
        aside.write_text(json.dumps({**kept, **newer}, indent=1, sort_keys=True) + "\n")
        aside.replace(path)
    except OSError as error:
        raise NotDeclared(
            f"Open: {names}. The next batches go there. {path} cannot be written ({error}), so they are not declared: write it "
            f"where the schemas are made, with {json.dumps({**kept, **newer}, sort_keys=True)}"
        ) from None
    return opened


def in_words(changes: Sequence[DatasetChange], opened: Mapping[str, str]) -> list[str]:
    """What there is to say of changes, line by line."""
    lines = []
    for one in changes:
        lines.append(f"{one.dataset}: {one.kind}")
        lines += [f"  {change}" for change in one.changes]
        if one.dataset in opened:
            lines.append(
                f"  from the next batch on, documents go to {opened[one.dataset]}; what is there stays as it is"
            )
        elif one.becomes:
            lines.append(
                f"  its tables cannot take this; the next batch with rows for them opens {one.becomes}, unless "
                "STRANDLINE_HEALTH_BREAKING_CHANGE=hold; open it now with: strandline health schemas --open"
            )
        else:
            lines.append("  its tables are changed in place when the next rows for them come")
    return lines
