"""Which schema and which dataset a file of an archive belongs to: the mapping files, read as they are, and the look-ups.

The order of the look-up is that of Sage-Bionetworks/BridgeDownstream (`get_json_schema`, `get_dataset_identifier`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pipeline_assets.health.hive_types import shape_of_hive_type
from pipeline_assets.health.json_shapes import shape_of_schema
from pipeline_assets.health.schemas import MappingError, Schemas, load_schemas, read_json, read_parsed
from pipeline_assets.health.shapes import Array, Shape, Struct, completed, either

OWN_FOLDER = Path(__file__).parent / "schemas"
"""What ships with Strandline; a deployment's own folder comes before it."""

VERSIONS_FILE = "versions.json"
"""Datasets that go by the name of a new version, because their tables could not take a change of schema."""

DEFAULT_APP = "mobile-toolbox"

Where = Literal["metadata.json", "assessment", "app", "inter-app", ""]

_INJECTED = frozenset({"recordid", "assessmentid", "year", "month", "day"})
"""Columns that catalogues list and that no document has: they come from the record's annotations."""


@dataclass(frozen=True)
class SchemaChoice:
    """The schema of a file, if it has one.

    schema_id: its `$id`; the address itself for a schema that the folder does not have and no alias names.
    where: what named it. address: how it was named there. held: whether the folder has it, so that files can be checked.
    """

    schema_id: str | None = None
    where: Where = ""
    address: str = ""
    held: bool = False


NO_SCHEMA = SchemaChoice()


@dataclass(frozen=True)
class Mapping:
    """The mapping files of a folder. Make it with `load`."""

    folder: Path
    schemas: Schemas
    schema_mapping: AnyMapping[str, str]
    dataset_mapping: AnyMapping[str, Any]
    archive_map: AnyMapping[str, Any]
    columns: AnyMapping[str, Shape]
    """What catalogues say of a dataset's documents."""
    renames: AnyMapping[str, str] = field(default_factory=dict)
    aliases: tuple[tuple[re.Pattern[str], str], ...] = ()
    described_by: AnyMapping[str, str] = field(default_factory=dict)
    waivers: tuple[AnyMapping[str, Any], ...] = ()
    version: str = ""
    """changes with any byte of any file that was read"""
    versions: AnyMapping[str, str] = field(default_factory=dict)
    """by dataset, the version that its documents go to now"""

    @classmethod
    def load(cls, folder: Path | None = None) -> Mapping:
        """Read a folder: `schema_mapping.json`, `dataset_mapping.json`, `archive-map.json`, `table_columns.yaml`,
        `lookup.json`, `waivers.json` and JSON Schemas, at any depth. What it lacks is Strandline's own. Raises MappingError.
        """
        folder = OWN_FOLDER if folder is None else folder
        if not folder.is_dir():
            raise MappingError(
                f"{folder} is no folder; expected one with mapping files and JSON Schemas (STRANDLINE_HEALTH_SCHEMAS)"
            )
        folders = [folder] if folder.resolve() == OWN_FOLDER else [folder, OWN_FOLDER]
        lookups = [_object(path) for one in folders if (path := _find(one, "lookup.json"))]
        found = cls(
            folder=folder,
            schemas=load_schemas(folders),
            schema_mapping=_texts(_first(folders, "schema_mapping.json")),
            dataset_mapping=_dataset_mapping(_first(folders, "dataset_mapping.json")),
            archive_map=_archive_map(_first(folders, "archive-map.json")),
            columns=_catalogues(folders),
            renames=_merged(lookups, "renames"),
            aliases=tuple(_alias(one) for lookup in lookups for one in lookup.get("aliases", [])),
            described_by=_merged(lookups, "described_by"),
            waivers=tuple(_object(_first(folders, "waivers.json")).get("waivers", [])),
            version=_version(folders),
        )
        path = folder / VERSIONS_FILE
        return found.with_versions(_texts(path)) if path.is_file() else found

    def with_versions(self, versions: AnyMapping[str, str]) -> Mapping:
        """The same with other names for some datasets, and for the tables that follow from them."""

        def now(dataset: str) -> str:
            return versions.get(dataset, dataset)

        legacy = {
            assessment: {
                "assessmentRevision": {
                    revision: {name: now(dataset) for name, dataset in files.items()}
                    for revision, files in revisions["assessmentRevision"].items()
                }
            }
            for assessment, revisions in self.dataset_mapping["assessmentIdentifier"].items()
        }
        return replace(
            self,
            schema_mapping={schema_id: now(dataset) for schema_id, dataset in self.schema_mapping.items()},
            dataset_mapping={**self.dataset_mapping, "assessmentIdentifier": legacy},
            columns={now(dataset): shape for dataset, shape in self.columns.items()},
            described_by={now(dataset): schema_id for dataset, schema_id in self.described_by.items()},
            versions=dict(versions),
        )

    @cached_property
    def datasets(self) -> tuple[str, ...]:
        """The ids of all datasets that a file can be of, sorted."""
        legacy = {
            dataset
            for assessment in self.dataset_mapping["assessmentIdentifier"].values()
            for files in assessment["assessmentRevision"].values()
            for dataset in files.values()
        }
        return tuple(sorted({*self.schema_mapping.values(), *legacy}))

    def lookup_name(self, file_name: str) -> str:
        """The name that a file is looked up by: the last part of its path, unless it is renamed."""
        name = file_name.rpartition("/")[2]
        return self.renames.get(name, name)

    def schema_for(
        self, annotations: AnyMapping[str, str | None], file_name: str, metadata: Any = None, app: str = DEFAULT_APP
    ) -> SchemaChoice:
        """The schema of a file: as the archive's own `metadata.json` says; else that of its assessment, of the closest
        revision up to the record's; else that of its app; else that of all apps.

        annotations: the record's, with names in lower case. metadata: the content of `metadata.json`.
        """
        name = self.lookup_name(file_name)
        own = _self_references(metadata).get(name)
        if own is not None:
            return self._choice(own, "metadata.json")
        app = annotations.get("appid") or app
        for where, address in (
            ("assessment", self._of_assessment(annotations, name)),
            ("app", self._of_app(app, name)),
            ("inter-app", _first_schema(self.archive_map.get("anyOf", []), name)),
        ):
            if address is not None:
                return self._choice(address, where)  # type: ignore[arg-type]
        return NO_SCHEMA

    def dataset_for(
        self, schema_id: str | None, annotations: AnyMapping[str, str | None], file_name: str
    ) -> str | None:
        """The dataset of a file: by its schema's `$id`, else by assessment, revision and name; None if it has none."""
        if schema_id is not None and schema_id in self.schema_mapping:
            return self.schema_mapping[schema_id]
        return self._legacy_files(annotations).get(self.lookup_name(file_name))

    def is_legacy(self, annotations: AnyMapping[str, str | None]) -> bool:
        """Whether the record's assessment and revision are mapped by hand: such records are not checked against schemas."""
        return bool(self._legacy_files(annotations))

    def shape_of(self, dataset: str) -> Shape:
        """What the documents of a dataset look like: by its schemas, and by the catalogue for what they do not say."""
        ids = [schema_id for schema_id, mapped in self.schema_mapping.items() if mapped == dataset]
        ids += [self.described_by[dataset]] if dataset in self.described_by else []
        shape: Shape | None = None
        for schema_id in ids:
            if schema_id in self.schemas:
                one = shape_of_schema(self.schemas.by_id[schema_id], self.schemas.registry)
                shape = one if shape is None else either(shape, one)
        catalogue = self.columns.get(dataset)
        if shape is None:
            return catalogue or Struct()
        return shape if catalogue is None else completed(shape, catalogue)

    def _choice(self, address: str, where: Where) -> SchemaChoice:
        schema_id = address.rstrip("#")
        if schema_id not in self.schemas:
            for pattern, named in self.aliases:
                if match := pattern.fullmatch(schema_id):
                    schema_id = match.expand(named)
                    break
        return SchemaChoice(schema_id, where, address, schema_id in self.schemas)

    def _of_assessment(self, annotations: AnyMapping[str, str | None], name: str) -> str | None:
        revision = _revision(annotations)
        if revision is None:
            return None
        up_to = [
            one
            for one in self.archive_map.get("assessments", [])
            if one["assessmentIdentifier"] == annotations.get("assessmentid") and one["assessmentRevision"] <= revision
        ]
        if not up_to:
            return None
        closest = max(up_to, key=lambda one: one["assessmentRevision"])
        return _first_schema(closest.get("files", []), name)

    def _of_app(self, app: str, name: str) -> str | None:
        found = None
        for one in self.archive_map.get("apps", []):
            if one["appId"] == app:
                for default in one.get("default", []):
                    found = _first_schema(default.get("files", []), name) or found
                found = _first_schema(one.get("anyOf", []), name) or found
        return found

    def _legacy_files(self, annotations: AnyMapping[str, str | None]) -> AnyMapping[str, str]:
        assessments = self.dataset_mapping["assessmentIdentifier"]
        assessment = assessments.get(annotations.get("assessmentid"), {})
        files: AnyMapping[str, str] = assessment.get("assessmentRevision", {}).get(
            str(annotations.get("assessmentrevision")), {}
        )
        return files


def _revision(annotations: AnyMapping[str, str | None]) -> int | None:
    try:
        return int(annotations.get("assessmentrevision") or "")
    except ValueError:
        return None


def _self_references(metadata: Any) -> dict[str, str]:
    files = metadata.get("files") if isinstance(metadata, dict) else None
    return {
        file["filename"]: file["jsonSchema"]
        for file in (files if isinstance(files, list) else [])
        if isinstance(file, dict) and isinstance(file.get("filename"), str) and isinstance(file.get("jsonSchema"), str)
    }


def _first_schema(files: Iterable[Any], name: str) -> str | None:
    return next((file["jsonSchema"] for file in files if file["filename"] == name and "jsonSchema" in file), None)


def _find(folder: Path, name: str) -> Path | None:
    """The file of that name in a folder or the folders in it; the one that lies highest."""
    found = sorted(folder.rglob(name), key=lambda path: (len(path.parts), path))
    return found[0] if found else None


def _first(folders: list[Path], name: str) -> Path:
    return next(path for folder in folders if (path := _find(folder, name)))


def _object(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict):
        raise MappingError(f"{path}: expected a JSON object")
    return content


def _texts(path: Path) -> dict[str, str]:
    content = _object(path)
    if not all(isinstance(value, str) for value in content.values()):
        raise MappingError(f"{path}: expected a JSON object from the $id of a schema to the id of a dataset")
    for dataset in content.values():
        _check_dataset(path, dataset)
    return content


def _check_dataset(path: Path, dataset: Any) -> None:
    if not isinstance(dataset, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_]{0,99}", dataset):
        raise MappingError(f"{path}: {dataset!r} is no id of a dataset; use letters, digits and underscores")


def _dataset_mapping(path: Path) -> dict[str, Any]:
    content = _object(path)
    try:
        for assessment in content["assessmentIdentifier"].values():
            for files in assessment["assessmentRevision"].values():
                for dataset in files.values():
                    _check_dataset(path, dataset)
    except (KeyError, AttributeError, TypeError) as error:
        raise MappingError(
            f'{path}: expected {{"assessmentIdentifier": {{ID: {{"assessmentRevision": {{REVISION: {{FILE: DATASET}}}}}}}}}} '
            f"({type(error).__name__}: {error})"
        ) from error
    return content


def _archive_map(path: Path) -> dict[str, Any]:
    content = _object(path)
    try:
        files = [*content.get("anyOf", [])]
        for assessment in content.get("assessments", []):
            if not isinstance(assessment["assessmentIdentifier"], str) or not isinstance(
                assessment["assessmentRevision"], int
            ):
                raise TypeError("assessmentIdentifier is text and assessmentRevision a whole number")
            files += assessment.get("files", [])
        for app in content.get("apps", []):
            files += [*app.get("anyOf", []), *(file for one in app.get("default", []) for file in one.get("files", []))]
            app["appId"]
        for file in files:
            if not isinstance(file["filename"], str) or not isinstance(file.get("jsonSchema", ""), str):
                raise TypeError("filename and jsonSchema are text")
    except (KeyError, AttributeError, TypeError) as error:
        raise MappingError(
            f"{path} is no archive map of mobile-client-json ({type(error).__name__}: {error})"
        ) from error
    return content


def _merged(lookups: list[dict[str, Any]], name: str) -> dict[str, str]:
    merged: dict[str, str] = {}
    for lookup in reversed(lookups):
        merged.update(lookup.get(name, {}))
    return merged


def _alias(one: Any) -> tuple[re.Pattern[str], str]:
    try:
        return re.compile(one["pattern"]), one["id"]
    except (re.error, KeyError, TypeError) as error:
        raise MappingError(
            f"lookup.json: {one!r} is no alias; expected a `pattern` (regular expression) and an `id` ({error})"
        ) from error


def _catalogues(folders: list[Path]) -> dict[str, Shape]:
    """What the folders' catalogues say; Strandline's own first, because catalogues of Hive have lost the case of names."""
    found: dict[str, Shape] = {}
    for folder in reversed(folders):
        path = _find(folder, "table_columns.yaml")
        lists = _array_of_records(folder)
        for dataset, shape in (_catalogue(path) if path else {}).items():
            one = Array(shape) if dataset in lists else shape
            found[dataset] = completed(found[dataset], one) if dataset in found else one
    return found


def _catalogue(path: Path) -> dict[str, Struct]:
    content = _yaml(path)
    shapes: dict[str, Struct] = {}
    try:
        for dataset, table in content["tables"].items():
            _check_dataset(path, dataset)
            fields: dict[str, Shape] = {}
            for column in table["columns"]:
                if column["Name"].lower() not in _INJECTED:
                    fields[column["Name"]] = shape_of_hive_type(column["Type"])
            shapes[dataset] = Struct(fields)
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        if isinstance(error, MappingError):
            raise
        raise MappingError(f"{path}: expected tables: DATASET: columns: [Name, Type] ({error})") from error
    return shapes


def _array_of_records(folder: Path) -> frozenset[str]:
    path = _find(folder, "dataset_crawler_assignments.yaml")
    content = _yaml(path) if path else {}
    return frozenset(content.get("array_of_records", []) if isinstance(content, dict) else [])


def _yaml(path: Path) -> Any:
    import yaml

    try:
        return read_parsed(path, yaml.safe_load)
    except yaml.YAMLError as error:
        raise MappingError(f"{path} is no YAML: {error}. Correct it") from error


def _version(folders: list[Path]) -> str:
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(one for one in folder.rglob("*") if one.suffix in {".json", ".yaml"} and one.is_file()):
            digest.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:20]
