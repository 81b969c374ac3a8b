"""What a reader process does with a slice of a batch: read, derive, check, write data files.

Everything about a single file that goes wrong here is that file's refusal. What goes wrong around it (the landing
store cannot be read, the lake cannot be written) is an infrastructure error and raises.
"""

from __future__ import annotations

import errno
import os
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from pipeline_assets.columns import BATCH_ID, FILE_ID, SOURCE_KEY, RowsError, arrow_schema, to_table
from pipeline_assets.landed_file import LandedFile, Refused
from pipeline_assets.source import HEAD_BYTES, FileSource, Table
from pipeline_assets.validation import violations
from resources.lake.lake import new_data_file
from resources.landing.store import Fetcher, FileArchived, FileChanged, FileGone
from resources.ledger.batches import ClaimedFile
from resources.ledger.publishing import Outcome, Refusal
from resources.ledger.states import FileState

_MACHINE_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.EROFS, errno.ESTALE}


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


@dataclass
class SliceResult:
    """What became of a slice: every file's outcome, and the data files that hold the rows of the accepted ones."""

    outcomes: list[Outcome] = field(default_factory=list)
    data_files: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class _Accepted:
    file: ClaimedFile
    tables: dict[str, pa.Table]


def read_slice(task: SliceTask) -> SliceResult:
    """Read a slice's files and write the rows of the good ones. Runs in a reader process."""
    result = SliceResult()
    accepted: list[_Accepted] = []
    for file in task.files:
        try:
            content = task.fetcher.fetch(file.key, file.version, file.size_bytes)
        except FileGone:
            result.outcomes.append(Outcome(file.file_id, FileState.DELETED))
            continue
        except FileChanged:
            result.outcomes.append(Outcome(file.file_id, FileState.SUPERSEDED))
            continue
        except FileArchived as archived:
            refusal = Refusal("archived_object", str(archived))
            result.outcomes.append(Outcome(file.file_id, FileState.QUARANTINED, refusal=refusal))
            continue
        try:
            decided = _read_one(task, file, content)
        finally:
            task.fetcher.done(content)
        if isinstance(decided, Refusal):
            result.outcomes.append(Outcome(file.file_id, FileState.QUARANTINED, refusal=decided))
        else:
            accepted.append(_Accepted(file, decided))
    accepted = _refuse_invalid(task, accepted, result)
    for table in task.source.tables:
        parts = [good.tables[table.name] for good in accepted]
        if sum(part.num_rows for part in parts):
            result.data_files[table.name] = [_write(task, table, parts)]
    result.outcomes += [
        Outcome(good.file.file_id, FileState.COMMITTED, {name: part.num_rows for name, part in good.tables.items()})
        for good in accepted
    ]
    return result


def _read_one(task: SliceTask, file: ClaimedFile, content: bytes | Path) -> dict[str, pa.Table] | Refusal:
    landed = landed_file(file.key, content)
    try:
        parsed = parse(task.source, task.config, landed)
        rows = derive(task.source, task.config, parsed)
        fill = {FILE_ID: file.file_id, BATCH_ID: task.batch_id, SOURCE_KEY: file.key}
        return {table.name: to_table(table.schema, rows[table.name], fill) for table in task.source.tables}
    except Refused as refused:
        return Refusal(refused.error_class, refused.message, refused.location, refused.record)
    except RowsError as error:
        return Refusal("wrong_rows", str(error))
    except MemoryError:
        raise
    except OSError as error:
        if error.errno in _MACHINE_ERRNOS:
            raise
        return _fault_of_reader(error)
    except BaseException as error:  # sys.exit() in a library, a panic in Rust code: not a person who stops the run
        return _fault_of_reader(error)


def _fault_of_reader(error: BaseException) -> Refusal:
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if "site-packages" not in frame.filename]
    place = f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""
    return Refusal(
        "reader_error",
        f"reading failed with {type(error).__name__}: {error}. The file is unusual, or the reader ({place}) has a "
        "fault that it shows. Nothing of the file was kept; replay it when the reader is mended.",
        location=place,
    )


def landed_file(key: str, content: bytes | Path) -> LandedFile:
    return LandedFile(key, path=content) if isinstance(content, Path) else LandedFile(key, data=content)


def parse(source: FileSource, config: BaseModel, file: LandedFile) -> Any:
    """Find the reader that recognises the file by its content, and read it. Raises Refused."""
    with file.open() as stream:
        head = stream.read(HEAD_BYTES)
    if not head:
        raise Refused("empty_file", "the file has no bytes. Send it again.")
    for reader in source.readers:
        if reader.recognises(head):
            return reader.read(file, config)
    kinds = " or ".join(reader.description for reader in source.readers)
    raise Refused(
        "unknown_type",
        f"this is no {kinds}: it begins with {head[:16]!r}. Send the file in such a form, or land it at the source "
        "it belongs to.",
        location="bytes 0-15",
    )


def derive(source: FileSource, config: BaseModel, parsed: Any) -> Mapping[str, Any]:
    return {source.tables[0].name: parsed} if source.derive is None else source.derive(parsed, config)


def _refuse_invalid(task: SliceTask, accepted: list[_Accepted], result: SliceResult) -> list[_Accepted]:
    refused: set[str] = set()
    for table in task.source.tables:
        parts = [good.tables[table.name] for good in accepted]
        if not parts:
            break
        extra = [name for name in (FILE_ID, BATCH_ID) if name not in table.schema.to_schema().columns]
        broken = violations(table.schema, pa.concat_tables(parts), [part.num_rows for part in parts], extra)
        for position, violation in broken.items():
            file_id = accepted[position].file.file_id
            if file_id not in refused:
                refused.add(file_id)
                refusal = Refusal(
                    "schema", f"rows of {task.source.name}.{table.name} break its schema: {violation.message}",
                    violation.location,
                )  # fmt: skip
                result.outcomes.append(Outcome(file_id, FileState.QUARANTINED, refusal=refusal))
    return [good for good in accepted if good.file.file_id not in refused]


def _write(task: SliceTask, table: Table, parts: Sequence[pa.Table]) -> str:
    uri = new_data_file(task.folders[table.name], task.batch_id)
    path = uri.removeprefix("file://")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    rows = pa.concat_tables(parts).cast(arrow_schema(table.schema))
    pq.write_table(rows, path, compression="zstd", row_group_size=262_144)
    return uri


def draw(source: FileSource, config: BaseModel, fetcher: Fetcher, file: ClaimedFile) -> bytes | None:
    """The picture of one accepted file. Runs in a reader process."""
    if source.picture is None:
        return None
    content = fetcher.fetch(file.key, file.version, file.size_bytes)
    try:
        parsed = parse(source, config, landed_file(file.key, content))
        return source.picture(parsed, derive(source, config, parsed))
    finally:
        fetcher.done(content)
