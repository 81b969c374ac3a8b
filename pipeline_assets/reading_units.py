"""The files that are read as one, a file by itself or all parts of a record: their bytes, and the reader for them."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel

from pipeline_assets.landed_file import LandedFile, Refused
from pipeline_assets.source import HEAD_BYTES, NO_GROUP, RECORD_HEAD_BYTES, FileSource, Reader
from resources.errors import TransientFailure
from resources.landing.store import Fetched, Fetcher, FileArchived, FileChanged, FileGone, sha256_of
from resources.ledger.batches import ClaimedFile
from resources.ledger.publishing import Outcome, Refusal
from resources.ledger.states import FileState

Unit = tuple[ClaimedFile, ...]
Contents = dict[ClaimedFile, Fetched]


def units(source: FileSource, files: Sequence[ClaimedFile]) -> list[Unit]:
    """The files that are read as one: each by itself, or all parts of a record."""
    if source.records is None:
        return [(file,) for file in files]
    found: dict[str, list[ClaimedFile]] = {}
    for file in files:
        found.setdefault(file.group_key or f"/{file.file_id}", []).append(file)
    return [tuple(parts) for parts in found.values()]


def fetch(fetcher: Fetcher, unit: Unit, contents: Contents) -> list[Outcome]:
    """Get the bytes of all files of a unit into `contents`, or tell what becomes of them if one cannot be had."""
    missing: dict[str, Outcome] = {}
    for file in unit:
        try:
            contents[file] = fetcher.fetch_with_metadata(file.key, file.version, file.size_bytes)
        except FileGone:
            missing[file.file_id] = Outcome(file.file_id, FileState.DELETED)
        except FileChanged:
            missing[file.file_id] = Outcome(file.file_id, FileState.SUPERSEDED)
        except FileArchived as archived:
            refusal = Refusal("archived_object", str(archived))
            return [Outcome(part.file_id, FileState.QUARANTINED, refusal=refusal) for part in unit]
    if not missing:
        return []
    return [missing.get(file.file_id, Outcome(file.file_id, FileState.WAITING)) for file in unit]


def fetched(fetcher: Fetcher, to_read: Sequence[Unit]) -> Generator[tuple[Unit, Contents, list[Outcome]]]:
    """Units in their order, each with its bytes, or with what becomes of its files if it cannot be had.

    Bytes are let go of when the next unit is asked for. A bucket is asked for some units ahead, because what costs there
    is the way, not the reading.
    """
    if fetcher.at_once == 1 or len(to_read) == 1:
        for unit in to_read:
            got = _fetch_unit(fetcher, unit)
            try:
                yield unit, *got
            finally:
                _let_go(fetcher, got[0])
        return
    ahead: deque[Future[tuple[Contents, list[Outcome]]]] = deque()
    with ThreadPoolExecutor(fetcher.at_once, thread_name_prefix="fetch") as threads:
        try:
            waiting = iter(to_read)
            for unit in islice(waiting, fetcher.at_once):
                ahead.append(threads.submit(_fetch_unit, fetcher, unit))
            for unit in to_read:
                got = ahead.popleft().result()
                try:
                    yield unit, *got
                finally:
                    _let_go(fetcher, got[0])
                for following in islice(waiting, 1):
                    ahead.append(threads.submit(_fetch_unit, fetcher, following))
        finally:
            for future in ahead:
                if not future.cancel():
                    with suppress(Exception):
                        _let_go(fetcher, future.result()[0])


def _fetch_unit(fetcher: Fetcher, unit: Unit) -> tuple[Contents, list[Outcome]]:
    contents: Contents = {}
    try:
        return contents, fetch(fetcher, unit, contents)
    except BaseException:
        _let_go(fetcher, contents)
        raise


def _let_go(fetcher: Fetcher, contents: Contents) -> None:
    for got in contents.values():
        fetcher.done(got.content)


def hashes(contents: Mapping[ClaimedFile, Fetched]) -> dict[str, str]:
    """The sha256 of each file's bytes, by file id."""
    given = {file.file_id: got.content for file, got in contents.items()}
    return {
        file_id: sha256_of(content) if isinstance(content, Path) else hashlib.sha256(content).hexdigest()
        for file_id, content in given.items()
    }


class SharedFileChanged(TransientFailure):
    """A file that all others of its group are read with changed since the batch was planned."""


def shared_by(source: FileSource, files: Sequence[ClaimedFile]) -> Unit:
    """Those of a group's files that all others are read with."""
    groups = source.groups
    return () if groups is None else tuple(file for file in files if groups.is_shared(file.key))


def shared_files(fetcher: Fetcher, shared: Unit) -> dict[str, LandedFile]:
    """The files that all others of their group are read with, by name, their bytes in memory; not those that are gone."""
    found: dict[str, LandedFile] = {}
    for file in shared:
        try:
            got = fetcher.fetch_with_metadata(file.key, file.version, file.size_bytes)
        except FileGone:
            continue
        except (FileChanged, FileArchived) as error:
            raise SharedFileChanged(
                f"{file.key} cannot be read as it was when the batch was planned ({error}), and the other files of its group "
                "are read with it. They are tried again with what is there then."
            ) from error
        try:
            one = _landed_file(file, got)
            found[one.name] = replace(one, path=None, data=one.read_bytes())
        finally:
            fetcher.done(got.content)
    return found


def landed(
    source: FileSource, contents: Mapping[ClaimedFile, Fetched], shared: Mapping[str, LandedFile] | None = None
) -> tuple[ClaimedFile, LandedFile]:
    """What a reader gets of a unit: its file, with what its group shares, or the record's primary with its companions.

    Raises Refused.
    """
    if source.groups is not None and any(file.group_key == NO_GROUP for file in contents):
        raise Refused(
            "no_group",
            f"its key says no group that it belongs to: expected {source.groups.wanted or source.groups.pattern}. "
            "Land it under such a key.",
        )
    by_name = {PurePosixPath(file.key).name: (file, _landed_file(file, content)) for file, content in contents.items()}
    if source.records is None:
        claimed, alone = next(iter(by_name.values()))
        return claimed, replace(alone, companions=dict(shared)) if shared else alone
    name = source.records.primary(by_name)
    if name is None:
        if any(file.group_key is not None for file in contents):
            raise _incomplete(", ".join(by_name), source.records.wanted)
        return next(iter(by_name.values()))
    primary, file = by_name.pop(name)
    missing = [
        wanted
        for wanted in source.records.needs(name, lambda: _head(file, RECORD_HEAD_BYTES))
        if wanted not in by_name and wanted != name
    ]
    if missing:
        raise _incomplete(", ".join((name, *by_name)), ", ".join(missing))
    return primary, replace(file, companions={other: part for other, (_, part) in by_name.items()})


def _landed_file(file: ClaimedFile, got: Fetched) -> LandedFile:
    content, metadata = got.content, got.metadata
    if isinstance(content, Path):
        return LandedFile(file.key, path=content, landed_at=file.landed_at, metadata=metadata)
    return LandedFile(file.key, data=content, landed_at=file.landed_at, metadata=metadata)


def _incomplete(there: str, missing: str) -> Refused:
    return Refused(
        "incomplete_record",
        f"only a part of the record came ({there}) and {missing} did not, though it was waited for. Land what is "
        "missing in the same folder: the whole record is then read by itself.",
    )


def _head(file: LandedFile, most: int) -> bytes:
    with file.open() as stream:
        return stream.read(most)


def parse(source: FileSource, config: BaseModel, file: LandedFile) -> Any:
    """Find the reader for the file, and read it. Raises Refused."""
    return reader_for(source, file).read(file, config)


def reader_for(source: FileSource, file: LandedFile) -> Reader:
    """The first reader that recognises the file by its content and serves it. Raises Refused."""
    head = _head(file, HEAD_BYTES)
    if not head:
        raise Refused("empty_file", "the file has no bytes. Send it again.")
    recognised = [reader for reader in source.readers if reader.recognises(head)]
    for reader in recognised:
        if reader.serves(file):
            return reader
    if recognised:
        landed_at = f" (landed {file.landed_at:%Y-%m-%d %H:%M} UTC)" if file.landed_at else ""
        versions = "; ".join(f"{reader.name} serves {reader.serves}" for reader in recognised)
        raise Refused(
            "no_reader_version",
            f"this is a {recognised[0].description}, but no version of its reader serves {file.key}{landed_at}: "
            f"{versions}. Land it where one does; or let one serve it (`serves` in the declaration of source "
            f"{source.name}), and replay the file.",
        )
    kinds = " or ".join(reader.description for reader in source.readers)
    raise Refused(
        "unknown_type",
        f"this is no {kinds}: it begins with {head[:16]!r}. Send the file in such a form, or land it at the source "
        "it belongs to.",
        location="bytes 0-15",
    )


def derive(source: FileSource, config: BaseModel, parsed: Any) -> Mapping[str, Any]:
    """The rows of every table, from what a reader gave. Raises Refused."""
    return {source.tables[0].name: parsed} if source.derive is None else source.derive(parsed, config)
