"""`strandline backup` and `strandline restore`."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from cli.progress import bar_for_files
from pipeline_assets.operations.backup import back_up
from pipeline_assets.operations.restore import restore_lake
from pipeline_assets.registry import SOURCES
from resources.platform import Platform


def run_backup(platform: Platform, place: str, *, as_json: bool) -> None:
    with bar_for_files("copied to the backup") as tell:
        done = back_up(platform, SOURCES, place, tell)
    if as_json:
        click.echo(json.dumps(asdict(done)))
        return
    size = f"{done.size_bytes / 1e6:,.1f} MB"
    back = done.home if platform.lake.bucket is None else done.lake
    click.echo(f"{done.folder}: the ledger and {done.files:,} files of the lake, {size}; to be restored to {back}")


def run_restore(platform: Platform, place: str, *, as_json: bool) -> None:
    with bar_for_files("copied to the lake") as tell:
        done = restore_lake(platform, SOURCES, place, tell)
    if as_json:
        click.echo(json.dumps(asdict(done)))
        return
    click.echo(
        f"{done.lake} is as it was at {done.taken_at}: {done.files:,} files copied, {done.size_bytes / 1e6:,.1f} MB; "
        f"{done.tables} tables set back. Next: strandline reconcile, then strandline drain"
    )
