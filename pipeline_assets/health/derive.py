"""A record's files to rows: each file checked against its schema, and nothing of the record kept if any of them fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path

import pyarrow as pa

from pipeline_assets.archives import Member, open_archive
from pipeline_assets.health.config import HealthConfig, Versions
from pipeline_assets.health.flatten import Document, rows_of
from pipeline_assets.health.json_pieces import pieces_of
from pipeline_assets.health.read import Record, RecordFile, loaded_mapping, versioned_mapping
from pipeline_assets.health.tables import DatasetPlan, dataset_plan
from pipeline_assets.health.validate import Context, Validator, Verdict, missing_references, report
from pipeline_assets.health.waivers import Waiver, read_waivers
from pipeline_assets.landed_file import Refused


@dataclass
class Derived:
    """What became of a record.

    tables: rows by table, for tables that got any. unmapped: names of files with a schema of no dataset, by its `$id`.
    unchecked: names of files whose schema the folder does not have, by its `$id`. waived, expired: uses of waivers by name.
    """

    tables: dict[str, pa.Table] = field(default_factory=dict)
    unmapped: dict[str, list[str]] = field(default_factory=dict)
    unchecked: dict[str, list[str]] = field(default_factory=dict)
    waived: Counter[str] = field(default_factory=Counter)
    expired: Counter[str] = field(default_factory=Counter)


def derive_record(record: Record, config: HealthConfig, today: date | None = None) -> Derived:
    """The rows of a record. today: the day by which waivers expire.

    Refused: `schema_errors` with the first ten errors of each file, `bad_json`, `document_too_large`, `too_deep`.
    """
    return _Deriving(record, config, today or datetime.now(UTC).date()).derived()


class _Deriving:
    def __init__(self, record: Record, config: HealthConfig, today: date) -> None:
        self._record = record
        self._config = config
        self._today = today
        self._derived = Derived()
        self._verdicts: dict[str, Verdict] = {}

    def derived(self) -> Derived:
        with open_archive(self._record.file, self._config.limits) as members:
            try:
                tables = rows_of(_Plans(self._config), self._documents({member.name: member for member in members}))
            except RecursionError as error:
                raise Refused(
                    "too_deep", "a document is nested too deep to be checked or kept. Expected some 200 levels at most"
                ) from error
        self._refuse_if_wrong()
        self._derived.tables = tables
        return self._derived

    def _documents(self, members: dict[str, Member]) -> Iterator[Document]:
        """The documents to keep, one after the other; none any more once an error was found."""
        for file in self._record.files:
            if file.is_unmapped:
                self._derived.unmapped.setdefault(file.schema.schema_id or "", []).append(file.name)
            validator = self._validator(file)
            if file.dataset is None and validator is None:
                continue
            member = members[file.name]
            pieces = self._pieces(file, member, validator)
            for content, first in pieces:
                if file.dataset is not None and not self._is_wrong:
                    yield Document(
                        file.dataset, file.name, self._record.recordid, self._record.assessmentid, self._record.uploaded,
                        content, first, self._record.annotations,
                    )  # fmt: skip

    def _validator(self, file: RecordFile) -> Validator | None:
        schema_id = file.schema.schema_id
        if schema_id is None or self._record.is_legacy:
            return None
        if file.schema.held and not _missing(self._config.schemas, schema_id):
            return _validator(self._config.schemas, schema_id)
        self._derived.unchecked.setdefault(schema_id, []).append(file.name)
        return None

    def _pieces(self, file: RecordFile, member: Member, validator: Validator | None) -> Iterator[tuple[object, int]]:
        cut_lists = validator is None or validator.is_piecewise
        verdict = Verdict()
        context = Context(
            loaded_mapping(self._config.schemas).lookup_name(file.name),
            self._record.annotations.get("appid") or self._config.app,
            self._record.annotations.get("clientinfo") or "",
            self._today,
        )
        pieces = pieces_of(file.name, member.chunks(), self._config.max_document_bytes, cut_lists=cut_lists)
        for content, first in pieces:
            if validator is not None:
                validator.check(content, verdict, context, first)
                if verdict.errors:
                    self._verdicts[file.name] = verdict
                if verdict.is_full:
                    break
            yield content, first
        self._derived.waived += verdict.waived
        self._derived.expired += verdict.expired

    @property
    def _is_wrong(self) -> bool:
        return bool(self._verdicts)

    def _refuse_if_wrong(self) -> None:
        if not self._is_wrong:
            return
        errors = {name: verdict.errors for name, verdict in self._verdicts.items()}
        first, some = next(iter(errors.items()))
        expired = (
            f" Waivers that have expired: {', '.join(sorted(self._derived.expired))}." if self._derived.expired else ""
        )
        raise Refused(
            "schema_errors",
            f"{len(errors)} of the record's files break their schemas, so nothing of it is kept. {report(errors)}.{expired} Mend the "
            "client, the schema, or waive the errors (waivers.json), and replay it",
            location=f"{first}#{some[0].pointer}",
            record=self._record.recordid,
        )


class _Plans(dict[str, DatasetPlan]):
    """Plans of datasets, made when they are asked for and kept for the process."""

    def __init__(self, config: HealthConfig) -> None:
        super().__init__()
        self._config = config

    def __missing__(self, dataset: str) -> DatasetPlan:
        self[dataset] = plan = _plan(self._config.schemas, self._config.opened, dataset)
        return plan


@lru_cache(maxsize=1024)
def _plan(folder: Path | None, opened: Versions, dataset: str) -> DatasetPlan:
    return dataset_plan(versioned_mapping(folder, opened), dataset)


@lru_cache(maxsize=8)
def _waivers(folder: Path | None) -> tuple[Waiver, ...]:
    return read_waivers(loaded_mapping(folder).waivers)


@lru_cache(maxsize=1024)
def _validator(folder: Path | None, schema_id: str) -> Validator:
    return Validator(loaded_mapping(folder).schemas, schema_id, _waivers(folder))


@lru_cache(maxsize=1024)
def _missing(folder: Path | None, schema_id: str) -> tuple[str, ...]:
    return tuple(missing_references(loaded_mapping(folder).schemas, schema_id))
