"""Versions of datasets: which one the documents of a dataset go to, and opening the next where the tables cannot take a change.

What is opened is known by the lake alone: a version is one whose root table is there and says that it was opened. So a run that
dies and is done again, another one beside it, and a deployment without a disk of its own all find the same.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from pipeline_assets.columns import BATCH_ID, FILE_ID, arrow_schema
from pipeline_assets.health.changes import Change, changes_of, next_version, worst
from pipeline_assets.health.config import HealthConfig, RunConfig, Versions
from pipeline_assets.health.declare import declared
from pipeline_assets.health.mapping import Mapping as SchemaMapping
from pipeline_assets.health.read import loaded_mapping, mapping_of, versioned_mapping
from pipeline_assets.health.tables import TableSpec, dataset_plan
from pipeline_assets.source import Adapted, FileSource
from resources.lake.lake import SchemaConflict, TableName
from resources.ledger.alerts import Alert, AlertKind, record
from resources.platform import Platform

SOURCE = "health"
OPENED_FOR = "strandline.opened-for"
"""Label of every table of a version that was opened: the dataset whose tables could not take the change."""

_MOST_TOLD = 5


@dataclass(frozen=True)
class Break:
    """A change that a dataset's tables cannot take, and the version that is to take it."""

    dataset: str
    becomes: str
    changes: tuple[Change, ...]

    def __str__(self) -> str:
        breaking = [str(change) for change in self.changes if change.kind == "breaking"]
        more = f" and {len(breaking) - _MOST_TOLD} more" if len(breaking) > _MOST_TOLD else ""
        return f"{self.dataset}: {'; '.join(breaking[:_MOST_TOLD])}{more}"


def adapt(
    platform: Platform, source: FileSource, config: HealthConfig, tables: Collection[str] | None
) -> Adapted | None:
    """See `FileSource.adapt`. Opens versions, or raises SchemaConflict where the configuration says to hold the batch."""
    if tables is None:
        opened = versions_in_effect(platform, loaded_mapping(config.schemas))
        if not opened:
            return None
        return _with_versions(
            source, config, opened, f"documents go to the versions that were opened for them: {_in_words(opened)}"
        )
    found = breaks(
        platform, mapping_of(config), {table.dataset for table in source.tables if table.name in tables}, tables
    )
    if not found:
        return None
    opened = versions_in_effect(platform, loaded_mapping(config.schemas))
    if opened != config.opened:  # another run, or a person, was first
        return _with_versions(source, config, opened, f"new versions were opened meanwhile: {_in_words(opened)}")
    if config.breaking_change == "hold":
        raise SchemaConflict(
            f"Tables cannot take a change of schema: {'. '.join(map(str, found))}. Undo the change, or let a new version of the "
            f"dataset take it ({_in_words(_pairs(found))}): strandline health schemas --open"
        )
    for one in found:
        open_version(platform, mapping_of(config), one)
    opened = followed(config.opened, found)
    because = (
        f"tables cannot take a change of schema, so a new version is opened: {_in_words(_pairs(found))}. The files are read "
        f"again for it. {'. '.join(map(str, found))}"
    )
    return _with_versions(source, config, opened, because)


def followed(opened: Versions, found: Iterable[Break]) -> Versions:
    """The versions in effect once more were opened. A version of a version is one of the dataset that the mapping names."""
    newer = {one.dataset: one.becomes for one in found}
    kept = {origin: newer.pop(version, version) for origin, version in opened}
    return tuple(sorted({**kept, **newer}.items()))


def versions_in_effect(platform: Platform, mapping: SchemaMapping) -> Versions:
    """By dataset of a mapping, the version that its documents go to, where that is not the dataset itself.

    The newest whose tables take what is declared; if none does, the newest, which a break then follows. A schema that is
    changed back goes back to the tables that it had.
    """
    there = platform.lake.names(SOURCE)
    found = []
    for dataset in mapping.datasets:
        later = _opened_versions(platform, mapping, dataset, there)
        if later:
            candidates = [*later, dataset]
            fitting = (one for one in candidates if _fits(platform, mapping, dataset, one, there))
            version = next(fitting, later[0])
            if version != dataset:
                found.append((dataset, version))
    return tuple(found)


def breaks(
    platform: Platform, mapping: SchemaMapping, datasets: Iterable[str | None], tables: Collection[str]
) -> list[Break]:
    """The datasets of which some of these tables cannot take what is declared."""
    there = platform.lake.names(SOURCE)
    found = []
    for dataset in sorted(one for one in datasets if one):
        specs = [spec for spec in dataset_plan(mapping, dataset).tables if spec.name in tables]
        names = {spec.name.lower() for spec in specs}
        before = {
            name: schema for name in sorted(there) if name.lower() in names and (schema := _schema(platform, name))
        }
        changes = tuple(changes_of(before, specs))
        if worst(changes) == "breaking":
            taken = [*mapping.datasets, *roots_among(there)]
            found.append(Break(dataset, next_version(dataset, taken), changes))
    return found


def open_version(platform: Platform, mapping: SchemaMapping, one: Break) -> None:
    """Make the tables of a new version, and note it for the next alerts. The root table comes last: with it, it is open.

    Doing it again, or by two at once, equals doing it once.
    """
    with platform.ledger.write() as connection:
        record(
            connection,
            Alert(
                f"{AlertKind.NEW_VERSION}/{SOURCE}/{one.becomes}",
                AlertKind.NEW_VERSION,
                SOURCE,
                title=f"{SOURCE}: {one.becomes} takes the documents of {one.dataset} from now on",
                text=f"The tables of {one.dataset} cannot take a change of its schema and stay as they are. {one}",
                commands=("strandline health schemas",),
            ),
        )
    _, tables = declared(mapping.with_versions({one.dataset: one.becomes}))
    for table in reversed([table for table in tables if table.dataset == one.becomes]):
        platform.lake.ensure(
            TableName(SOURCE, table.name), arrow_schema(table.schema), may_lack=True, labels={OPENED_FOR: one.dataset}
        )


def tables_as_they_are(platform: Platform, dataset: str, there: Collection[str]) -> dict[str, pa.Schema]:
    """The tables of a dataset in the lake, without what the frame adds."""
    base = f"dataset_{dataset.lower()}"
    names = sorted(name for name in there if name == base or name.startswith(f"{base}_"))
    return {name: schema for name in names if (schema := _schema(platform, name)) is not None}


def roots_among(tables: Iterable[str]) -> list[str]:
    """Datasets that tables may be of: those of root tables, whose names have lost their case."""
    return [name.removeprefix("dataset_") for name in tables if name.startswith("dataset_")]


def _schema(platform: Platform, name: str) -> pa.Schema | None:
    schema = platform.lake.schema(TableName(SOURCE, name))
    if schema is None:
        return None
    return pa.schema([_plain(field) for field in schema if field.name not in {FILE_ID, BATCH_ID}])


def _plain(field: pa.Field) -> pa.Field:
    """Iceberg gives back text as large strings."""
    return pa.field(field.name, pa.string() if field.type == pa.large_string() else field.type)


def _opened_versions(platform: Platform, mapping: SchemaMapping, dataset: str, there: Collection[str]) -> Sequence[str]:
    """The versions after a dataset's own that were opened, the newest first."""
    stem, number = _parts(dataset)
    taken = {one.lower() for one in mapping.datasets}
    pattern = re.compile(rf"dataset_{re.escape(stem.lower())}_v([0-9]+)")
    numbers = sorted((int(match[1]) for name in there if (match := pattern.fullmatch(name))), reverse=True)
    later = [f"{stem}_v{one}" for one in numbers if one > number]
    return [
        one
        for one in later
        if one.lower() not in taken
        and OPENED_FOR in platform.lake.labels_of(TableName(SOURCE, f"dataset_{one.lower()}"))
    ]


def _parts(dataset: str) -> tuple[str, int]:
    match = re.fullmatch(r"(.*)_v([0-9]+)", dataset)
    return (match[1], int(match[2])) if match else (dataset, 1)


def _fits(platform: Platform, mapping: SchemaMapping, dataset: str, version: str, there: Collection[str]) -> bool:
    specs: tuple[TableSpec, ...] = dataset_plan(mapping.with_versions({dataset: version}), version).tables
    return worst(changes_of(tables_as_they_are(platform, version, there), specs)) != "breaking"


def _pairs(found: Iterable[Break]) -> Versions:
    return tuple((one.dataset, one.becomes) for one in found)


def _in_words(versions: Versions) -> str:
    return ", ".join(f"{dataset} → {version}" for dataset, version in versions)


def _with_versions(source: FileSource, config: HealthConfig, opened: Versions, because: str) -> Adapted:
    # The tables that are the same whatever the mapping stay those of the source.
    datasets, tables = declared(versioned_mapping(config.schemas, opened))
    same = tuple(table for table in source.tables if table.dataset is None)
    return Adapted(
        replace(source, datasets=datasets, tables=(*same, *tables)),
        RunConfig(**{**config.model_dump(), "versions": opened}),
        because,
    )
