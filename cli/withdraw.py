"""`strandline withdraw`: take back committed files."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from cli.notes import note
from pipeline_assets.operations.withdraw import withdraw
from pipeline_assets.registry import get_source
from resources.errors import UserError
from resources.ledger.queries import find_files, tell
from resources.logs import bound
from resources.platform import Platform


def withdraw_files(platform: Platform, keys_or_ids: Sequence[str], reason: str, *, as_json: bool) -> None:
    """Withdraw and report. Raises UserError for what names no file, or no committed one."""
    by_source: dict[str, list[str]] = {}
    for name in keys_or_ids:
        found = find_files(platform.ledger, name)
        if not found:
            raise UserError(f"{name!r} names no file that the ledger knows. Files: strandline files --key TEXT")
        # The newest of a key's deliveries; an older one goes by its id.
        by_source.setdefault(tell(platform.ledger, found[-1]).file.source, []).append(found[-1])
    done: list[str] = []
    for source_name, file_ids in by_source.items():
        with bound(source=source_name):
            done += withdraw(platform, get_source(source_name), file_ids, reason, note)
    if as_json:
        click.echo(json.dumps(done))
        return
    for file_id in done:
        click.echo(f"{file_id} is withdrawn; to take it in again: strandline quarantine replay {file_id}")
