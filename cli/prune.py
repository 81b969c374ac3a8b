"""`strandline prune`: delete what Dagster keeps of runs that ended long ago."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

import click

from cli.instance import make_databases, use_dagster_home
from pipeline_assets.source import FileSource
from resources.settings import Settings

_NOT_ALL = 3


def prune_dagster(settings: Settings, sources: Sequence[FileSource], *, days: int, as_json: bool = False) -> int:
    """Prune Dagster's history and print what was done. Returns the exit code."""
    use_dagster_home(settings)
    make_databases(settings)
    from dagster import DagsterInstance

    from pipeline_assets.operations.history import prune_history

    with DagsterInstance.get() as instance:
        done = prune_history(instance, sources, days)
    if as_json:
        click.echo(json.dumps(asdict(done)))
    else:
        freed = done.bytes_before - done.bytes_after
        click.echo(
            f"{done.runs:,} runs that ended more than {days} days ago deleted with {done.events:,} events, {freed / 1e6:,.1f} MB "
            f"freed; {done.runs_left:,} runs stay; {done.seconds:.1f} s"
            + ("" if done.is_done else "\n  not all was done: run it again")
        )
    return 0 if done.is_done else _NOT_ALL
