"""Listings of the records that a source of health archives says it has: from a file, a function, or Synapse."""

from __future__ import annotations

import csv
import importlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline_assets.health.rows import instant
from resources.errors import UserError

_RECORD, _EXPORTED = "recordid", "exportedon"
FUNCTION, _SYNAPSE = "python:", "synapse:"


class BadListing(UserError):
    """A listing of source records cannot be used. The message says what is wrong and what to do."""


@dataclass(frozen=True)
class SourceRecord:
    """A record that the source has. exportedon: of its latest export, if the listing says so."""

    recordid: str
    exportedon: datetime | None = None


def source_records(where: str) -> dict[str, SourceRecord]:
    """The records of a listing, each with its latest export, by id.

    where: a .csv file, a .json or .ndjson file, ``python:module:function`` (called without arguments; gives mappings), or
    ``synapse:syn123`` (a view in Synapse). Each entry has `recordid` and perhaps `exportedon`, in any case of letters.
    Raises BadListing.
    """
    latest: dict[str, SourceRecord] = {}
    for number, entry in enumerate(_entries(where), 1):
        if not isinstance(entry, Mapping):
            raise BadListing(f"{where}, entry {number}: expected an object with recordid, not {str(entry)[:80]!r}")
        said = {str(name).lower(): value for name, value in entry.items() if name is not None}
        recordid = str(said.get(_RECORD) or "").strip()
        if not recordid:
            raise BadListing(f"{where}, entry {number}: it has no recordid; it has {', '.join(said) or 'nothing'}")
        record = SourceRecord(recordid, _exported(where, number, said.get(_EXPORTED)))
        known = latest.get(recordid)
        if known is None or _newer(record, known):
            latest[recordid] = record
    return latest


def _newer(one: SourceRecord, other: SourceRecord) -> bool:
    return one.exportedon is not None and (other.exportedon is None or one.exportedon > other.exportedon)


def _exported(where: str, number: int, value: Any) -> datetime | None:
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        return instant(value.isoformat())
    text = str(value)
    if text.isdecimal():  # milliseconds since 1970, as Synapse has times
        return datetime.fromtimestamp(int(text) / 1000, UTC)
    at = instant(text)
    if at is None:
        raise BadListing(
            f"{where}, entry {number}: exportedon is {text[:60]!r}; expected a time such as 2026-03-02T08:15:00Z"
        )
    return at


def _entries(where: str) -> Iterable[Any]:
    if where.startswith(FUNCTION):
        return _called(where.removeprefix(FUNCTION))
    if where.startswith(_SYNAPSE):
        return synapse_records(where.removeprefix(_SYNAPSE))
    return _read(Path(where))


def _called(name: str) -> Iterable[Any]:
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise BadListing(f"python:{name}: expected python:MODULE:FUNCTION that can be imported ({error})") from None
    given: Iterable[Any] = found()
    return given


def _read(path: Path) -> Iterator[Any]:
    kind = path.suffix.lower()
    if kind not in {".csv", ".json", ".ndjson", ".jsonl"}:
        raise BadListing(f"{path}: expected a .csv, .json or .ndjson file, python:MODULE:FUNCTION, or synapse:VIEW")
    try:
        text = path.read_text(encoding="utf-8-sig")
        if kind == ".csv":
            yield from csv.DictReader(text.splitlines())
        elif kind == ".json":
            content = json.loads(text)
            if not isinstance(content, list):
                raise BadListing(f"{path}: expected a JSON list of objects with recordid")
            yield from content
        else:
            yield from (json.loads(line) for line in text.splitlines() if line.strip())
    except (OSError, ValueError, csv.Error, RecursionError) as error:
        raise BadListing(f"{path} cannot be read: {error}") from None


def synapse_records(view: str) -> Iterator[dict[str, Any]]:
    """The records of a view in Synapse that has the columns recordId and exportedOn. Credentials are the client's own affair.

    Not tried against Synapse: its client is an extra (pip install strandline[synapse]) and needs an account.
    Raises BadListing.
    """
    if not view.startswith("syn") or not view[3:].isdecimal():
        raise BadListing(f"synapse:{view}: expected the id of a view, such as synapse:syn26253352")
    try:
        import synapseclient
    except ImportError:
        raise BadListing("Synapse's client is not installed: pip install 'strandline[synapse]'") from None
    client = synapseclient.Synapse(silent=True)
    client.login(silent=True)
    frame = client.tableQuery(f"SELECT recordId, exportedOn FROM {view}").asDataFrame()
    for record in frame.to_dict("records"):
        # pandas has NaN where there is no value.
        yield {name: value for name, value in record.items() if value == value}
