"""What a reader process does with a slice of a batch: read, derive, check, write data files.

Everything about a single file that goes wrong here is that file's refusal. What goes wrong around it (the landing
store cannot be read, the lake cannot be written) is an infrastructure error and raises.
"""

from __future__ import annotations

import errno
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import BaseModel

from pipeline_assets.columns import BATCH_ID, FILE_ID, SOURCE_KEY, RowsError, arrow_schema, concat, own_names, to_table
from pipeline_assets.landed_file import LandedFile, Refused
from pipeline_assets.reading_units import (
    Contents,
    Unit,
    derive,
    fetched,
    hashes,
    landed,
    parse,
    reader_for,
    shared_files,
    units,
)
from pipeline_assets.source import FileSource, Reader, Table
from pipeline_assets.validation import violations
from resources.lake.data_files import Layout, layout_of, write_data_file
from resources.lake.lake import new_data_file
from resources.landing.store import Fetcher
from resources.ledger.batches import ClaimedFile
from resources.ledger.publishing import Outcome, Refusal
from resources.ledger.states import FileState
from resources.logs import bound

_FILE_ROWS = 524_288
"""Larger tables become several data files, so that they are written, and later read, side by side."""
_WRITERS = 2

_MACHINE_ERRNOS = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
    errno.EROFS,
    errno.ESTALE,
}


@dataclass(frozen=True)
class SliceTask:
    """A part of a batch that one reader process handles at once."""

    source: FileSource
    config: BaseModel
    fetcher: Fetcher
    batch_id: str
    files: tuple[ClaimedFile, ...]
    folders: Mapping[str, str]
    """for each table, where its data files go"""
    deferred: frozenset[str] = frozenset()
    """readers whose files are not read now, because only some of them may be read at once"""
    shared: Unit = ()
    """files of the group that all others are read with"""
    keeps: bool = False
    """whether this process keeps what it read until the picture is drawn; for a batch of one file or record"""


_in_hand: dict[frozenset[ClaimedFile], tuple[Any, Mapping[str, Any]]] = {}
"""What this process read and derived last, if it is to keep it."""


@dataclass
class SliceResult:
    """What became of a slice: every file's outcome, and the data files that hold the rows of the accepted ones."""

    outcomes: list[Outcome] = field(default_factory=list)
    data_files: dict[str, list[str]] = field(default_factory=dict)
    deferred: dict[str, list[Unit]] = field(default_factory=dict)
    """files that were not read, by the reader that they need"""


@dataclass
class _Accepted:
    files: tuple[ClaimedFile, ...]
    """the file whose rows these are, and its companions"""
    tables: dict[str, pa.Table]
    sha256: dict[str, str]
    """by file id, for sources that ask for it"""
    reader: str | None


def read_slice(task: SliceTask) -> SliceResult:
    """Read a slice's files and write the rows of the good ones. Runs in a reader process."""
    _in_hand.clear()
    result = SliceResult()
    accepted: list[_Accepted] = []
    shared = shared_files(task.fetcher, task.shared)
    with closing(fetched(task.fetcher, units(task.source, task.files))) as to_read:
        for unit, contents, not_read in to_read:
            if not_read:
                result.outcomes += not_read
                continue
            with bound(file=unit[0].key):
                try:
                    decided, reader = _read_one(task, contents, shared)
                except _Deferred as later:
                    result.deferred.setdefault(later.reader, []).append(unit)
                    continue
            if isinstance(decided, Refusal):
                result.outcomes += [
                    Outcome(file.file_id, FileState.QUARANTINED, refusal=decided, reader=reader) for file in unit
                ]
            else:
                accepted.append(decided)
    accepted = _refuse_invalid(task, accepted, result)
    writing: list[tuple[str, list[Future[str]]]] = []
    with ThreadPoolExecutor(_WRITERS, thread_name_prefix="write") as threads:
        to_write = [
            (table, rows, threads.submit(layout_of, rows, arrow_schema(table.schema)))
            for table, rows in _largest_first(task.source.tables, accepted)
        ]
        for table, rows, layout in to_write:
            written = [threads.submit(_write, task, table, piece, layout.result()) for piece in _pieces(rows)]
            writing.append((table.name, written))
        result.data_files = {name: [one.result() for one in written] for name, written in writing}
    for good in accepted:
        rows = {name: part.num_rows for name, part in good.tables.items()}
        for file in good.files:
            content = good.sha256.get(file.file_id)
            result.outcomes.append(
                Outcome(file.file_id, FileState.COMMITTED, rows, content=content, reader=good.reader)
            )
            rows = dict.fromkeys(rows, 0)
    return result


class _Deferred(BaseException):
    """The file's reader is one of those that wait for their turn. Nothing that reading code may raise or catch."""

    def __init__(self, reader: str) -> None:
        self.reader = reader


def _read_one(
    task: SliceTask, contents: Contents, shared: Mapping[str, LandedFile]
) -> tuple[_Accepted | Refusal, str | None]:
    """A unit's rows by table, or why it is refused; and the name of the reader that read it."""
    source = task.source
    reader: Reader | None = None
    decided: _Accepted | Refusal
    try:
        primary, file = landed(source, contents, shared)
        files = (primary, *(other for other in contents if other is not primary))
        sha256 = hashes(contents) if source.equal_bytes == "duplicate" else {}
        if source.groups is not None and source.groups.is_done(primary.key):
            return _Accepted(files, {}, sha256, None), None
        reader = reader_for(source, file)
        if reader.name in task.deferred:
            raise _Deferred(reader.name)
        parsed = reader.read(file, task.config)
        rows = derive(source, task.config, parsed)
        fill = {FILE_ID: primary.file_id, BATCH_ID: task.batch_id, SOURCE_KEY: primary.key}
        tables = _tables(source, rows, fill)
        decided = _Accepted(files, tables, sha256, reader.name)
        if task.keeps:
            _in_hand[frozenset(files)] = (parsed, rows)
    except Refused as refused:
        decided = Refusal(refused.error_class, refused.message, refused.location, refused.record)
    except RowsError as error:
        decided = Refusal("wrong_rows", str(error))
    except (MemoryError, _Deferred):
        raise
    except OSError as error:
        if error.errno in _MACHINE_ERRNOS:
            raise
        decided = _fault_of_reader(error)
    except BaseException as error:  # sys.exit() in a library, a panic in Rust code: not a person who stops the run
        decided = _fault_of_reader(error)
    return decided, reader.name if reader else None


def _tables(source: FileSource, rows: Mapping[str, Any], fill: Mapping[str, str | None]) -> dict[str, pa.Table]:
    """The rows of a file by table; a dataset's tables only if the file has rows for them. Raises RowsError."""
    missing = [table.name for table in source.tables if not table.dataset and table.name not in rows]
    unknown = sorted(rows.keys() - set(source.table_names))
    if missing or unknown:
        raise RowsError(
            f"`derive` gave no rows for {missing}, and rows for {unknown}, which are no tables of {source.name}"
        )
    made = {
        table: to_table(table.schema, rows[table.name], fill, keep_few=True)
        for table in source.tables
        if table.name in rows
    }
    return {table.name: part for table, part in made.items() if part.num_rows or not table.dataset}


def _fault_of_reader(error: BaseException) -> Refusal:
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if "site-packages" not in frame.filename]
    place = f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""
    return Refusal(
        "reader_error",
        f"reading failed with {type(error).__name__}: {error}. The file is unusual, or the reader ({place}) has a "
        "fault that it shows. Nothing of the file was kept; replay it when the reader is mended.",
        location=place,
    )


def _refuse_invalid(task: SliceTask, accepted: list[_Accepted], result: SliceResult) -> list[_Accepted]:
    refused: set[str] = set()
    for table in task.source.tables:
        having_rows = [good for good in accepted if table.name in good.tables]
        parts = [good.tables[table.name] for good in having_rows]
        if not parts:
            continue
        extra = [name for name in (FILE_ID, BATCH_ID) if name not in own_names(table.schema)]
        broken = violations(table.schema, concat(parts), [part.num_rows for part in parts], extra)
        for position, violation in broken.items():
            files = having_rows[position].files
            if files[0].file_id not in refused:
                refused.add(files[0].file_id)
                refusal = Refusal(
                    "schema", f"rows of {task.source.name}.{table.name} break its schema: {violation.message}",
                    violation.location,
                )  # fmt: skip
                reader = having_rows[position].reader
                result.outcomes += [
                    Outcome(file.file_id, FileState.QUARANTINED, refusal=refusal, reader=reader) for file in files
                ]
    return [good for good in accepted if good.files[0].file_id not in refused]


def _largest_first(tables: Sequence[Table], accepted: Sequence[_Accepted]) -> list[tuple[Table, pa.Table]]:
    """Tables with their rows of all files, without those that have none; small ones fill what is left of the writers' time."""
    found = []
    for table in tables:
        parts = [good.tables[table.name] for good in accepted if table.name in good.tables]
        if sum(part.num_rows for part in parts):
            found.append((table, concat(parts)))
    return sorted(found, key=lambda one: one[1].num_rows, reverse=True)


def _pieces(rows: pa.Table) -> Iterator[pa.Table]:
    """The rows of one data file each, of about equal size."""
    count = -(-rows.num_rows // _FILE_ROWS)
    size = -(-rows.num_rows // count)
    return (rows.slice(at, size) for at in range(0, rows.num_rows, size))


def _write(task: SliceTask, table: Table, rows: pa.Table, layout: Layout) -> str:
    uri = new_data_file(task.folders[table.name], task.batch_id)
    write_data_file(uri, rows, arrow_schema(table.schema), layout)
    return uri


def draw(source: FileSource, config: BaseModel, fetcher: Fetcher, unit: Unit, shared: Unit = ()) -> bytes | None:
    """The picture of one accepted file, or record of several. Runs in a reader process."""
    if source.picture is None:
        return None
    if frozenset(unit) in _in_hand:
        return source.picture(*_in_hand.pop(frozenset(unit)))
    with closing(fetched(fetcher, [unit])) as to_read:
        _, contents, not_read = next(to_read)
        if not_read:
            return None
        parsed = parse(source, config, landed(source, contents, shared_files(fetcher, shared))[1])
        return source.picture(parsed, derive(source, config, parsed))
