"""The declared tables against the tables as they are: what the next batch changes in place, and what needs a new version."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pipeline_assets.columns import BATCH_ID, FILE_ID
from pipeline_assets.health.changes import Change, changes_of, next_version, worst
from pipeline_assets.health.config import HealthConfig
from pipeline_assets.health.mapping import VERSIONS_FILE
from pipeline_assets.health.mapping import Mapping as SchemaMapping
from pipeline_assets.health.operations.completeness import SOURCE
from pipeline_assets.health.tables import TableSpec, dataset_tables
from resources.errors import UserError
from resources.lake.lake import TableName
from resources.platform import Platform


class NoFolderOfYourOwn(UserError):
    """A new version of a dataset has nowhere to be kept. The message says what to do."""


@dataclass(frozen=True)
class DatasetChange:
    """What changes of a dataset. becomes: the new version that a breaking change needs; empty for any other."""

    dataset: str
    changes: tuple[Change, ...]
    becomes: str = ""

    @property
    def kind(self) -> str:
        return worst(self.changes) or "none"


def pending_changes(platform: Platform, mapping: SchemaMapping) -> list[DatasetChange]:
    """The datasets whose tables are not as the mapping declares them. A dataset without any table yet has no changes."""
    there = platform.lake.names(SOURCE)
    by_dataset: dict[str, list[TableSpec]] = {}
    for spec in dataset_tables(mapping):
        by_dataset.setdefault(spec.dataset, []).append(spec)
    taken = [*mapping.datasets, *_datasets_of(there)]
    found = []
    for dataset, specs in by_dataset.items():
        before = _tables(platform, dataset, there)
        changes = tuple(changes_of(before, specs)) if before else ()
        if changes:
            breaks = worst(changes) == "breaking"
            found.append(DatasetChange(dataset, changes, next_version(dataset, taken) if breaks else ""))
    return found


def open_versions(config: HealthConfig, mapping: SchemaMapping, changes: Sequence[DatasetChange]) -> dict[str, str]:
    """Let the documents of datasets that break go to a new version of them, from the next start on: by dataset, its version.

    Kept in the folder of the schemas. Raises NoFolderOfYourOwn.
    """
    opened = {change.dataset: change.becomes for change in changes if change.becomes}
    if not opened:
        return {}
    if config.schemas is None:
        raise NoFolderOfYourOwn(
            "These schemas are Strandline's own, so a new version of a dataset has nowhere to be kept. Name a folder of your "
            f"own (it may be empty) as STRANDLINE_HEALTH_SCHEMAS and open the version again: {', '.join(opened)}"
        )
    path = Path(config.schemas) / VERSIONS_FILE
    kept: dict[str, str] = dict(mapping.versions)
    for origin, version in kept.items():  # a version of a version is one of the dataset that the mapping names
        kept[origin] = opened.get(version, version)
    kept |= {dataset: version for dataset, version in opened.items() if dataset not in mapping.versions.values()}
    aside = path.with_suffix(".part")
    aside.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    aside.replace(path)
    return opened


def _tables(platform: Platform, dataset: str, there: set[str]) -> dict[str, pa.Schema]:
    """The tables of a dataset as they are, without what the frame adds."""
    base = f"dataset_{dataset.lower()}"
    found: dict[str, pa.Schema] = {}
    for name in sorted(there):
        if name == base or name.startswith(f"{base}_"):
            schema = platform.lake.schema(TableName(SOURCE, name))
            if schema is not None:
                found[name] = pa.schema([_plain(field) for field in schema if field.name not in {FILE_ID, BATCH_ID}])
    return found


def _plain(field: pa.Field) -> pa.Field:
    """Iceberg gives back text as large strings."""
    return pa.field(field.name, pa.string() if field.type == pa.large_string() else field.type)


def _datasets_of(tables: set[str]) -> list[str]:
    """Datasets that tables may be of: those of root tables, whose names have lost their case."""
    return [name.removeprefix("dataset_") for name in tables if name.startswith("dataset_")]


def in_words(changes: Sequence[DatasetChange], opened: Mapping[str, str]) -> list[str]:
    """What there is to say of changes, line by line."""
    lines = []
    for one in changes:
        lines.append(f"{one.dataset}: {one.kind}")
        lines += [f"  {change}" for change in one.changes]
        if one.dataset in opened:
            lines.append(
                f"  from the next start on, new documents go to {opened[one.dataset]}; what is there stays as it is"
            )
        elif one.becomes:
            lines.append(f"  its tables cannot take this; open {one.becomes} with: strandline health schemas --open")
        else:
            lines.append("  its tables are changed in place when the next rows for them come")
    return lines
