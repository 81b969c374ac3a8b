"""`strandline files` and `strandline explain`: what the ledger knows, for people and for scripts."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import click
from sqlalchemy import Row

from cli.notes import note
from cli.query import json_value
from resources.ledger import FileState, Ledger
from resources.ledger.arrivals import tombstone_of
from resources.ledger.assembly import parts_of
from resources.ledger.erasure import is_barred
from resources.ledger.queries import (
    FileStory,
    count_by_state,
    find_files,
    list_files,
    search_keys,
    tell,
    unsettled_looks,
)
from resources.platform import Platform

NOT_FOUND = 2
_MOST_COUNTED = 10_000
"""Files of a source and state; a person wants to know of more only that they are very many."""

_WHAT_NOW = {
    FileState.PENDING: "It waits for a run. If no sensor is on (strandline dev), start one with: strandline drain",
    FileState.RUNNING: "A run works on it. If that run was killed, its claim ends by itself and the file is tried again.",
    FileState.HELD: "A person moves it on: mend the cause and do its batch again (strandline redo {batch}, or "
    "materialize the partition in the UI), or let it pass with: strandline release {batch}",
    FileState.COMMITTED: "Its rows are in the tables below.",
    FileState.QUARANTINED: "It was refused and nothing of it is in the tables. Send it again mended, under the same key; "
    "or, if the reader was at fault, mend that and let its batch be done again: strandline redo {batch}",
    FileState.SUPERSEDED: "A newer version of its key took its place.",
    FileState.DELETED: "It was gone from the landing store before it was read. Land it again.",
    FileState.DUPLICATE: "The same bytes are already there under another key.",
    FileState.FORGOTTEN: "A person had it erased. Nothing of it is kept but this mark, by which it is not taken in again.",
    FileState.WAITING: "It waits for other files that belong to it{missing}.",
}


def _record(row: Row[Any]) -> dict[str, Any]:
    return dict(row._mapping)


def show_files(ledger: Ledger, *, as_json: bool, limit: int | None, **filters: str | None) -> None:
    part, looked_through = filters["key_contains"], None
    if part and limit and not filters["batch_id"]:
        found = search_keys(ledger, part, limit=limit, source=filters["source"], state=filters["state"])
        rows, looked_through = found.rows, found.looked_through
    else:
        rows = list_files(ledger, limit=limit, **filters)
    if looked_through:
        note(
            f"Of all but the newest {looked_through:,} files, those were looked for of whose keys {part!r} is the last part. "
            "Through all keys: --limit 0; by the beginning of keys: --key SOURCE/..."
        )
    writing = (
        [] if any(filters[name] for name in ("state", "batch_id", "key_contains")) else _still_written(ledger, filters)
    )
    if as_json:
        click.echo(json.dumps([_record(row) for row in rows] + writing, default=json_value, ensure_ascii=False))
        return
    for row in rows:
        error = f"  {row.error_class}: {_short(row.error)}" if row.error_class else ""
        click.echo(f"{row.file_id}  {row.state:<11}  {row.size_bytes:>11,}  {_time(row.landed_at)}  {row.key}{error}")
    for look in writing:
        click.echo(f"{'':24}  {'waiting':<11}  {look['size_bytes']:>11,}  {'':19}  {look['key']}  still being written?")
    counts = count_by_state(ledger, filters.get("source"), most=_MOST_COUNTED)
    is_all = all(count < _MOST_COUNTED for count in counts.values())
    total = f"{sum(counts.values()):,}" if is_all else f"more than {sum(counts.values()) - 1:,}"
    states = ", ".join(
        f"{count:,}{'' if count < _MOST_COUNTED else ' or more'} {state}" for state, count in sorted(counts.items())
    )
    note(f"{len(rows):,} shown of {total} files{': ' + states if states else ''}")


def _still_written(ledger: Ledger, filters: dict[str, str | None]) -> list[dict[str, Any]]:
    return [
        {"file_id": None, "source": look.source, "key": look.key, "size_bytes": look.size_bytes, "state": "waiting"}
        for look in unsettled_looks(ledger, filters.get("source"))
    ]


def _short(text: str, most: int = 100) -> str:
    line = text.splitlines()[0] if text else ""
    return line if len(line) <= most else line[: most - 3] + "..."


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def show_story(platform: Platform, key_or_id: str, *, as_json: bool) -> int:
    """Print what became of each file that is meant. Returns the exit code."""
    found = [tell(platform.ledger, file_id) for file_id in find_files(platform.ledger, key_or_id)]
    if as_json:
        click.echo(json.dumps([_story_record(story) for story in found], default=json_value, ensure_ascii=False))
        return 0 if found else NOT_FOUND
    if not found:
        note(_unknown(platform, key_or_id))
        return NOT_FOUND
    for story in found:
        click.echo("\n".join(_tell(story, _waits_for(platform, story))) + "\n")
    return 0


def _story_record(story: FileStory) -> dict[str, Any]:
    return {
        **_record(story.file),
        "rows": story.rows,
        "refusals": [_record(row) for row in story.refusals],
        "history": [_record(row) for row in story.history],
        "batch": _record(story.batch) if story.batch else None,
        "replaced_by": story.replaced_by,
    }


def _waits_for(platform: Platform, story: FileStory) -> str:
    """What a waiting file's record or group lacks, in words that end a sentence."""
    from pipeline_assets.registry import SOURCES
    from sensors.assembling import missing_of
    from sensors.looking import quiet_seconds

    file = story.file
    source = next((one for one in SOURCES if one.name == file.source), None)
    if file.state != FileState.WAITING or source is None:
        return ""
    with platform.ledger.read() as connection:
        parts = parts_of(connection, file.source, [file.group_key])[file.group_key]
    busy = next((part for part in parts if part.is_busy), None)
    if busy is not None:
        return f", of which batch {busy.batch_id} has some ({busy.state})"
    if source.groups is not None:
        return (
            f" in group {file.group_key}; it is read once nothing more came for {quiet_seconds(platform, source):g} s"
        )
    assert source.records is not None
    missing = missing_of(source.records, parts, {part.file_id: part.needs for part in parts if part.needs is not None})
    return f": {missing}" if missing else "; all of them are there, the next look takes them"


def _tell(story: FileStory, missing: str) -> list[str]:
    file = story.file
    lines = [
        f"{file.key}",
        f"  file {file.file_id}, source {file.source}, {file.size_bytes:,} bytes, version {file.version[:16]}"
        + (f", generation {file.generation}" if file.generation else ""),
        f"  landed {_time(file.landed_at)} UTC, seen {_time(file.seen_at)} UTC",
        f"  {file.state.upper()} since {_time(file.updated_at)} UTC"
        + (f", batch {file.batch_id}" if file.batch_id else "")
        + (f", run {file.run_id}" if file.run_id else ""),
    ]
    if file.reader:
        lines.append(f"  read by {file.reader}")
    if file.error:
        lines.append(f"  why: {file.error_class + ': ' if file.error_class else ''}{file.error}")
    if story.replaced_by:
        lines.append(f"  to be replaced by the next file that is committed under {story.replaced_by}")
    if story.refusals and file.state == FileState.QUARANTINED and story.refusals[-1].location:
        lines.append(f"  where: {story.refusals[-1].location}")
    batch_error = story.batch.error if story.batch is not None else None
    if batch_error and batch_error != file.error:
        lines.append(f"  its batch: {batch_error}")
    lines.append("  " + _WHAT_NOW[FileState(file.state)].format(batch=file.batch_id, missing=missing))
    lines += [f"  {count:>10,} rows in {file.source}.{table}" for table, count in sorted(story.rows.items())]
    lines.append("  history:")
    lines += [
        f"    {_time(move.at)}  {move.from_state or '-':>11} -> {move.to_state:<11}  {move.reason}"
        for move in story.history
    ]
    return lines


def _unknown(platform: Platform, key_or_id: str) -> str:
    waiting = [look for look in unsettled_looks(platform.ledger) if look.key.endswith(key_or_id)]
    if waiting:
        age = (datetime.now(UTC) - waiting[0].looked_at).total_seconds()
        return (
            f"{waiting[0].key} was seen {age:.0f} s ago and may still be being written; the next look takes it once its "
            "size and time stay the same."
        )
    look = platform.landing.look(key_or_id)
    if look is not None:
        mark = tombstone_of(platform.landing.name, look.key, platform.landing.version_of(look), look.size_bytes)
        if is_barred(platform.ledger, mark):
            return (
                f"What is in the landing store as {key_or_id} was forgotten and is not taken in again. Delete it there: "
                f"{platform.landing.uri(key_or_id)}"
            )
        return (
            f"{key_or_id} is in the landing store but was not looked at yet. The sensor does that (strandline dev), or "
            "now: strandline drain"
        )
    return (
        f"No file {key_or_id!r} is known, and the landing store ({platform.landing.uri('')}) has no such key. Keys begin "
        "with the source's name, such as ecg/...; list what is known with: strandline files --key TEXT"
    )
