"""`strandline maintain`: merge small data files, expire snapshots, delete files of the lake that nothing needs."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import asdict

import click

from pipeline_assets.operations.maintain import Upkeep, maintain
from pipeline_assets.source import FileSource
from resources.logs import bound
from resources.platform import Platform

_NOT_ALL = 3


def maintain_sources(platform: Platform, sources: Sequence[FileSource], *, as_json: bool = False) -> int:
    """Maintain sources and print what was done. Returns the exit code."""
    run_id = f"maintain-{uuid.uuid4().hex[:12]}"
    done = []
    for source in sources:
        with bound(source=source.name):
            done.append(maintain(platform, source, run_id))
    if as_json:
        click.echo(json.dumps([asdict(one) for one in done]))
    else:
        for one in done:
            click.echo(in_words(one))
    return _NOT_ALL if any(one.waits_for for one in done) else 0


def in_words(done: Upkeep) -> str:
    text = (
        f"{done.source}: {done.merged:,} small data files merged ({done.files_before:,} → {done.files_after:,}), "
        f"{done.expired:,} snapshots expired, {done.deleted:,} unused files deleted ({done.bytes_deleted / 1e6:,.1f} MB), "
        f"{done.unused:,} more to go later; {done.seconds:.1f} s"
    )
    return f"{text}\n  not all was done: {done.waits_for}" if done.waits_for else text
