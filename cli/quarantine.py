"""`strandline quarantine`: refused files, for people and for scripts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

import click

from cli.notes import note
from cli.query import json_value
from resources.errors import UserError
from resources.ledger import FileState, Ledger
from resources.ledger.queries import find_files, list_files, tell
from resources.ledger.replay import RefusedFilter, replay

_NOT_FOUND = 2


def list_refused(ledger: Ledger, wanted: RefusedFilter, *, as_json: bool) -> None:
    rows = [
        row
        for row in list_files(
            ledger, source=wanted.source, state=FileState.QUARANTINED, batch_id=wanted.batch_id, limit=None
        )
        if not wanted.error_class or row.error_class == wanted.error_class
    ]
    if as_json:
        click.echo(json.dumps([dict(row._mapping) for row in rows], default=json_value, ensure_ascii=False))
        return
    for row in rows:
        click.echo(f"{row.file_id}  {row.error_class}  {row.key}\n    {row.error}")
    classes = Counter(row.error_class for row in rows)
    by_class = ", ".join(f"{count} {name}" for name, count in classes.most_common())
    note(f"{len(rows)} files are refused{': ' + by_class if rows else ''}")


def show_refusals(ledger: Ledger, key_or_id: str, *, as_json: bool) -> int:
    """Print each refusal of the files meant. Returns the exit code."""
    refusals = [refusal for file_id in find_files(ledger, key_or_id) for refusal in tell(ledger, file_id).refusals]
    if as_json:
        click.echo(json.dumps([dict(row._mapping) for row in refusals], default=json_value, ensure_ascii=False))
        return 0 if refusals else _NOT_FOUND
    if not refusals:
        note(f"No refusal of {key_or_id!r} is on record. Its story: strandline explain {key_or_id}")
        return _NOT_FOUND
    for row in refusals:
        place = f"\n  where: {row.location}" if row.location else ""
        record = f", record {row.record}" if row.record else ""
        click.echo(
            f"{row.key} (file {row.file_id}{record})\n  {row.error_class}: {row.error}{place}\n"
            f"  {row.quarantined_at:%Y-%m-%d %H:%M:%S} UTC, batch {row.batch_id}, attempt {row.attempt}, run {row.run_id}"
            + (f", reader {row.reader}" if row.reader else "")
        )
    return 0


def replay_refused(
    ledger: Ledger,
    keys_or_ids: Sequence[str],
    source: str | None,
    error_class: str | None,
    batch_id: str | None,
    *,
    as_json: bool,
) -> None:
    """Send refused files back. Raises UserError when a name means no refused file."""
    file_ids: list[str] = []
    for name in keys_or_ids:
        refused = [i for i in find_files(ledger, name) if tell(ledger, i).file.state == FileState.QUARANTINED]
        if not refused:
            raise UserError(f"{name!r} names no refused file; see: strandline quarantine list")
        file_ids += refused
    replayed = replay(ledger, RefusedFilter(file_ids, source, error_class, batch_id))
    if as_json:
        click.echo(json.dumps({"replayed": replayed}))
        return
    click.echo(f"{len(replayed)} files wait for their next run; without a sensor, start it with: strandline drain")
