"""`strandline table archive`, `archives`, `restore`."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from pipeline_assets.operations.archiving import archive_tables, restore_tables
from pipeline_assets.registry import get_source
from pipeline_assets.source import FileSource
from resources.errors import UserError
from resources.lake.archive import Archive, archives, find_archive
from resources.platform import Platform

_TO_BE_READ_AGAIN = 3


def archive_table(platform: Platform, what: str, *, as_json: bool) -> None:
    source, name = _parts(what)
    taken = archive_tables(platform, source, name)
    click.echo(json.dumps(asdict(taken)) if as_json else _in_words(taken))


def list_archives(platform: Platform, source: FileSource, *, as_json: bool) -> None:
    found = archives(platform.lake, source.name)
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found]))
    for one in () if as_json else found:
        click.echo(_in_words(one))


def restore_table(platform: Platform, what: str, *, yes: bool, as_json: bool) -> int:
    """Returns the exit code."""
    source, label = _parts(what)
    archive = find_archive(platform.lake, source.name, label)
    if not yes:
        click.confirm(f"{_in_words(archive)}\nPut these rows in place of those that are there now?", abort=True)
    done = restore_tables(platform, source, label)
    if as_json:
        click.echo(json.dumps({"archive": label, "rows": dict(done.rows), "read_again": list(done.read_again)}))
    else:
        click.echo(f"{source.name}.{label}: {sum(done.rows.values()):,} rows are back in {len(done.rows)} tables")
        if done.read_again:
            click.echo(f"{len(done.read_again):,} files landed since and are to be read again; now: strandline drain")
    return _TO_BE_READ_AGAIN if done.read_again else 0


def _parts(what: str) -> tuple[FileSource, str]:
    source, _, name = what.partition(".")
    if not name:
        raise UserError(f"{what!r}: expected SOURCE.NAME, such as ecg.recordings")
    return get_source(source), name


def _in_words(archive: Archive) -> str:
    rows = sum(archive.rows.values())
    return f"{archive.source}.{archive.label}: {rows:,} rows of {len(archive.rows)} tables, taken {archive.taken_at}"
