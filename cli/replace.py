"""`strandline replace`: let a file take the place of a committed one."""

from __future__ import annotations

import json

import click

from cli.notes import note
from pipeline_assets.operations.replace import replace_by
from pipeline_assets.registry import get_source
from resources.errors import UserError
from resources.ledger.queries import find_files, tell
from resources.ledger.replacing import cancel_replacement
from resources.logs import bound
from resources.platform import Platform


def replace_file(platform: Platform, key_or_id: str, by: str | None, reason: str, *, as_json: bool) -> None:
    """Note it, or cancel it where `by` is None, and report. Raises UserError."""
    found = find_files(platform.ledger, key_or_id)
    if not found:
        raise UserError(f"{key_or_id!r} names no file that the ledger knows. Files: strandline files --key TEXT")
    file = tell(platform.ledger, found[-1]).file  # the newest of a key's deliveries; an older one goes by its id
    if by is None:
        if not cancel_replacement(platform.ledger, file.file_id):
            raise UserError(f"{file.file_id} is not to be replaced by anything.")
        said = f"{file.file_id} ({file.key}) stays: nothing takes its place any more"
    else:
        with bound(source=file.source):
            replace_by(platform, get_source(file.source), file.file_id, by, reason, note)
        said = (
            f"{file.file_id} ({file.key}) goes when the next file under {by} is committed, in the same transaction. Land that "
            f"now; to change your mind: strandline replace {file.file_id} --cancel"
        )
    click.echo(json.dumps({"file_id": file.file_id, "by": by}) if as_json else said)
