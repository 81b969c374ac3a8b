"""An archive of a health app: its annotations, and what each of its files is, before any of them is unpacked whole.

Annotations are the metadata of the archive's object in S3; for a file on disk, ``<name>.metadata.json`` beside it.
"""

from __future__ import annotations

from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from pipeline_assets.archives import Member, is_zip, open_archive
from pipeline_assets.health.config import HealthConfig, Versions
from pipeline_assets.health.json_pieces import pieces_of
from pipeline_assets.health.mapping import Mapping, SchemaChoice
from pipeline_assets.landed_file import LandedFile, Refused

SIDECAR = ".metadata.json"
METADATA = "metadata.json"

_MAX_SIDECAR_BYTES = 262_144
_LONGEST_ANNOTATION = 10_000
_LONGEST_KEY = 200
_REQUIRED = ("recordid", "assessmentid", "assessmentrevision", "uploadedon")


@dataclass(frozen=True)
class RecordFile:
    """One file of an archive. name: with its folders. dataset: where its rows go; None if it has none."""

    name: str
    size_bytes: int
    schema: SchemaChoice
    dataset: str | None

    @property
    def is_unmapped(self) -> bool:
        """Whether it has a schema of which no mapping says the dataset: its data is nowhere until one does."""
        return self.dataset is None and self.schema.schema_id is not None


@dataclass(frozen=True)
class Record:
    """One archive, read as far as its table of contents and its `metadata.json`.

    annotations: with names in lower case. uploaded: the day of the upload (UTC). is_legacy: whether its assessment and revision
    are mapped by hand, so that its files are not checked.
    """

    file: LandedFile
    annotations: AnyMapping[str, str | None]
    uploaded: date
    files: tuple[RecordFile, ...]
    is_legacy: bool

    @property
    def recordid(self) -> str:
        return self.annotations["recordid"] or ""

    @property
    def assessmentid(self) -> str:
        return self.annotations["assessmentid"] or ""


def recognise_archive(head: bytes) -> bool:
    return is_zip(head)


def sidecar_of(name: str) -> str:
    """The name of the file that holds an archive's annotations where it is no object of S3."""
    return name + SIDECAR


@lru_cache(maxsize=8)
def loaded_mapping(folder: Path | None) -> Mapping:
    """The mapping of a folder, read once in a process. Raises MappingError."""
    return Mapping.load(folder)


def mapping_of(config: HealthConfig) -> Mapping:
    """The mapping that a configuration reads by, with the versions of datasets that breaking changes opened."""
    return versioned_mapping(config.schemas, config.opened)


@lru_cache(maxsize=8)
def versioned_mapping(folder: Path | None, opened: Versions) -> Mapping:
    mapping = loaded_mapping(folder)
    return mapping.with_versions(dict(opened)) if opened else mapping


def read_archive(file: LandedFile, config: HealthConfig) -> Record:
    """What an archive is. Refused: what `open_archive` refuses, `no_annotations`, `bad_annotations`, `bad_json`."""
    mapping = mapping_of(config)
    annotations = annotations_of(file)
    with open_archive(file, config.limits) as members:
        there = [member for member in members if not member.is_litter]
        metadata = next((_document(member, config) for member in there if member.name == METADATA), None)
        files = []
        for member in there:
            schema = mapping.schema_for(annotations, member.name, metadata, config.app)
            dataset = mapping.dataset_for(schema.schema_id, annotations, member.name)
            files.append(RecordFile(member.name, member.size_bytes, schema, dataset))
    return Record(file, annotations, _uploaded(annotations), tuple(files), mapping.is_legacy(annotations))


def _document(member: Member, config: HealthConfig) -> Any:
    return next(pieces_of(member.name, member.chunks(), config.max_document_bytes))[0]


def annotations_of(file: LandedFile) -> dict[str, str | None]:
    """The record's annotations, by names in lower case. Refused: `no_annotations`, `bad_annotations`."""
    said: AnyMapping[str, Any] = getattr(file, "metadata", None) or {}
    if "recordid" not in {name.lower() for name in said}:  # an object may have metadata that are none of a record
        sidecar = file.companions.get(sidecar_of(file.name))
        if sidecar is None:
            raise Refused(
                "no_annotations",
                f"nothing says whose record this is. Expected {', '.join(_REQUIRED)} in the metadata of its object in S3, or as "
                f"a JSON object in {sidecar_of(file.name)} beside it. Land it with them",
            )
        said = _from_sidecar(sidecar)
    annotations: dict[str, str | None] = {}
    for name, value in said.items():
        annotations[str(name).lower()] = _text(str(name), value)
    for name in _REQUIRED:
        if not annotations.get(name):
            raise _bad(f"{name} is missing or empty")
    for name in ("recordid", "assessmentid"):
        value = annotations[name] or ""
        if len(value) > _LONGEST_KEY or not value.isprintable():
            raise _bad(f"{name} is {value[:60]!r}; expected at most {_LONGEST_KEY} printable characters")
    revision = annotations["assessmentrevision"] or ""
    if not revision.lstrip("-").isdecimal() or len(revision) > 10:
        raise _bad(f"assessmentrevision is {revision[:60]!r}; expected a whole number")
    _uploaded(annotations)
    return annotations


def _from_sidecar(sidecar: LandedFile) -> dict[str, Any]:
    data = sidecar.read_bytes()
    if len(data) > _MAX_SIDECAR_BYTES:
        raise _bad(f"{sidecar.name} has {len(data):,} bytes; expected {_MAX_SIDECAR_BYTES:,} at most")
    try:
        content = orjson.loads(data.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise _bad(f"{sidecar.name} is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise _bad(f"{sidecar.name} is no JSON object")
    return content


def _text(name: str, value: Any) -> str | None:
    if value is None or isinstance(value, str):
        text = value
    elif isinstance(value, bool | int | float):
        text = orjson.dumps(value).decode()
    else:
        raise _bad(f"{name[:60]} is no single value")
    if text is not None and len(text) > _LONGEST_ANNOTATION:
        raise _bad(f"{name[:60]} has {len(text):,} characters; expected {_LONGEST_ANNOTATION:,} at most")
    return text


def _uploaded(annotations: AnyMapping[str, str | None]) -> date:
    text = annotations["uploadedon"] or ""
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo is None else at.astimezone(UTC)).date()
    except (ValueError, OverflowError) as error:
        raise _bad(f"uploadedon is {text[:60]!r}; expected a time such as 2022-02-15T18:48:15.890Z") from error


def _bad(why: str) -> Refused:
    return Refused("bad_annotations", f"the record's annotations cannot be used: {why}. Correct them and land it again")
