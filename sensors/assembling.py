"""Putting together the records that are several files: which are whole, which wait, and for what. No Dagster here."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath

from pipeline_assets.source import RECORD_HEAD_BYTES, FileSource, Records
from resources.landing.store import Fetcher, FileArchived, FileChanged, FileGone, StoreError
from resources.ledger import FileState
from resources.ledger.assembly import Part, make_ready, note_needs, waiting_groups
from resources.ledger.database import utc_now
from resources.platform import Platform

_READERS = 8
"""Describing files that are read at once: each is a round trip to a bucket."""


@dataclass(frozen=True)
class Assembled:
    """What became of the records that something waits for."""

    ready: int = 0
    waiting: int = 0
    """files"""
    waiting_until: datetime | None = None
    """when the first of the waiting records will be read, whole or not"""
    warning: str = ""


def assemble(platform: Platform, source: FileSource, *, budget_seconds: float) -> Assembled:
    """Let records be planned that are whole, or have waited long enough; the others go on waiting.

    Ends soon after `budget_seconds`; the next call goes on. Nothing is refused here: a record that is not whole in time
    is given to a run like any other, and its reading refuses it.
    """
    if source.records is None:
        return Assembled()
    deadline = time.monotonic() + budget_seconds
    wait = timedelta(seconds=platform.settings.companion_wait_seconds)
    ready_count, waiting, until, warning = 0, 0, None, ""
    for groups in waiting_groups(platform.ledger, source.name):
        try:
            needs = _needs(platform, source.records, groups)
        except StoreError as error:
            # Who does not know what a record needs cannot tell that it is whole; it may still wait too long.
            needs, warning = {}, f"records cannot be put together: {error}"
        ready: list[tuple[Sequence[Part], str]] = []
        for parts in groups.values():
            waits = [part for part in parts if part.state == FileState.WAITING]
            if not waits:
                continue
            late = max(part.updated_at for part in waits) + wait
            reason = _reason_to_read(source.records, parts, needs, late)
            if reason:
                ready.append((parts, reason))
            else:
                waiting += len(waits)
                until = min(until or late, late)
        make_ready(platform.ledger, ready)
        ready_count += len(ready)
        if time.monotonic() > deadline:
            break
    return Assembled(ready_count, waiting, until, warning)


def _reason_to_read(
    records: Records, parts: Sequence[Part], needs: Mapping[str, Collection[str]], late: datetime
) -> str:
    """Why a record is to be read now; empty while it waits."""
    if any(part.is_busy for part in parts):
        return ""
    if missing_of(records, parts, needs) == "":
        return "its record is whole" if len(parts) > 1 else "it is a record of its own"
    return "the rest of its record did not come in time" if late <= utc_now() else ""


def missing_of(records: Records, parts: Sequence[Part], needs: Mapping[str, Collection[str]]) -> str:
    """What a record's files wait for, in words; empty when it is whole.

    needs: names, by file id of the primaries that were looked at.
    """
    names = {PurePosixPath(part.key).name: part for part in parts}
    primary = records.primary(names)
    if primary is None:
        return records.wanted
    wanted = needs.get(names[primary].file_id)
    if wanted is None:
        return f"a look at what {primary} needs"
    return ", ".join(name for name in wanted if name not in names)


def _needs(platform: Platform, records: Records, groups: Mapping[str, Sequence[Part]]) -> dict[str, Collection[str]]:
    """What the primaries of records need, by their file ids; a primary is looked at once."""
    found: dict[str, Collection[str]] = {}
    unknown: list[Part] = []
    for parts in groups.values():
        names = {PurePosixPath(part.key).name: part for part in parts}
        primary = records.primary(names)
        if primary is None:
            continue
        part = names[primary]
        if part.needs is None:
            unknown.append(part)
        else:
            found[part.file_id] = part.needs
    if unknown:
        fetcher = platform.landing.fetcher()
        with ThreadPoolExecutor(min(_READERS, len(unknown))) as threads:
            looked = threads.map(lambda part: _look(fetcher, records, part), unknown)
            fresh = {part.file_id: names for part, names in zip(unknown, looked, strict=True) if names is not None}
        note_needs(platform.ledger, {file_id: list(names) for file_id, names in fresh.items()})
        found |= fresh
    return found


def _look(fetcher: Fetcher, records: Records, part: Part) -> Collection[str] | None:
    """None for a file that is not there as it was: discovery sees what is there now."""
    try:
        return records.needs(PurePosixPath(part.key).name, lambda: _head(fetcher, part))
    except (FileGone, FileChanged):
        return None
    except FileArchived:
        return ()  # reading refuses it, with what to do


def _head(fetcher: Fetcher, part: Part) -> bytes:
    content = fetcher.fetch(part.key, part.version, part.size_bytes)
    try:
        if isinstance(content, Path):
            with content.open("rb") as stream:
                return stream.read(RECORD_HEAD_BYTES)
        return content[:RECORD_HEAD_BYTES]
    finally:
        fetcher.done(content)
