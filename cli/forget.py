"""`strandline forget`: erase files or a subject for good, and say what only a person can erase."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from cli.instance import use_dagster_home
from cli.notes import note
from pipeline_assets.operations.erasure import complete, files_of_subject, forget, landed_still
from pipeline_assets.registry import get_source
from pipeline_assets.source import FileSource
from resources.errors import UserError
from resources.ledger import Ledger
from resources.ledger.erasure import Doomed, Erasure, doomed, unfinished
from resources.ledger.queries import find_files, row_counts, tell
from resources.logs import bound
from resources.platform import Platform

_DONE, _ONLY_A_PERSON = 0, 3
BEYOND_REACH = (
    "Not in the platform's reach: backups and snapshots of disks, older versions in a versioned bucket, what was exported or "
    "copied, and log lines that were sent elsewhere."
)


@dataclass
class Report:
    """What became of a request."""

    erasures: list[dict[str, Any]] = field(default_factory=list)
    gone_on_with: list[str] = field(default_factory=list)
    """ids of erasures that had been interrupted and are finished now"""
    landed_still: list[str] = field(default_factory=list)
    """where the landing store has bytes under a forgotten key"""


def forget_files(
    platform: Platform,
    keys_or_ids: Sequence[str],
    *,
    subject: str | None,
    source_name: str | None,
    with_others: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Forget and report. Returns the exit code: 3 when the landing store still has something that a person must delete."""
    report = Report()
    for erasure in unfinished(platform.ledger):
        source = get_source(erasure.source)
        with bound(source=source.name):
            complete(platform, source, erasure, note, _run_forgetter(platform, source))
        report.gone_on_with.append(erasure.erasure_id)
    wanted = _wanted(platform, keys_or_ids, subject, source_name, with_others, bool(report.gone_on_with))
    if wanted and not yes:
        _ask(platform.ledger, [file for files in wanted.values() for file in files], as_json)
    for name, files in wanted.items():
        source = get_source(name)
        with bound(source=name):
            still = landed_still(platform, files)
            ids = [file.file_id for file in files]
            done = forget(platform, source, ids, note, _run_forgetter(platform, source), versions=False)
        report.erasures.append(_record(done))
        report.landed_still += [platform.landing.uri(key) for key in still]
    _print(report, as_json)
    return _ONLY_A_PERSON if report.landed_still else _DONE


def _wanted(
    platform: Platform,
    keys_or_ids: Sequence[str],
    subject: str | None,
    source_name: str | None,
    with_others: bool,
    has_gone_on: bool,
) -> dict[str, list[Doomed]]:
    """By source, all files that are to go."""
    ledger = platform.ledger
    by_source: dict[str, dict[str, Doomed]] = {}
    for name in keys_or_ids:
        found = find_files(ledger, name)
        if not found and has_gone_on:
            note(f"{name!r} names no file: it may be of the erasure that was gone on with just now")
        elif not found:
            raise UserError(
                f"{name!r} names no file that the ledger knows, so there is nothing to forget. Files: strandline files --key "
                f"TEXT. What is only in the landing store is a person's to delete there."
            )
        by_id = name in found
        for file in doomed(ledger, found, versions=not by_id) if found else []:
            by_source.setdefault(tell(ledger, file.file_id).file.source, {})[file.file_id] = file
    if subject is not None:
        source = get_source(source_name or "")
        found = files_of_subject(platform, source, subject, with_others=with_others)
        if not found and not has_gone_on:
            raise UserError(f"No row of {source.subject} in {source.name} is of {subject!r}; nothing was forgotten.")
        for file in doomed(ledger, found):
            by_source.setdefault(source.name, {})[file.file_id] = file
    return {name: list(files.values()) for name, files in by_source.items()}


def _ask(ledger: Ledger, files: Sequence[Doomed], as_json: bool) -> None:
    if as_json or not sys.stdin.isatty():
        raise UserError(f"This erases {len(files)} files for good. Say that it is meant: strandline forget --yes ...")
    for file in files:
        click.echo(f"{file.file_id}  {file.state:<11}  {file.key}")
    sources = {tell(ledger, file.file_id).file.source for file in files}
    ids = {file.file_id for file in files}
    rows = sum(
        count
        for source in sources
        for of_table in row_counts(ledger, source=source).values()
        for file_id, count in of_table.items()
        if file_id in ids
    )
    click.confirm(f"Erase these {len(files)} files with {rows:,} rows for good?", abort=True)


def _run_forgetter(platform: Platform, source: FileSource) -> Any:
    use_dagster_home(platform.settings)
    from dagster import DagsterInstance

    from pipeline_assets.operations.event_log import forget_runs

    silent = platform.settings.lease_seconds
    return lambda run_ids: forget_runs(DagsterInstance.get(), source, run_ids, silent)


def _record(erasure: Erasure) -> dict[str, Any]:
    return {
        "erasure_id": erasure.erasure_id,
        "source": erasure.source,
        "files": list(erasure.file_ids),
        "rows": dict(erasure.rows),
        "refusals": erasure.refusals,
    }


def _print(report: Report, as_json: bool) -> None:
    if as_json:
        click.echo(
            json.dumps(
                {
                    "erasures": report.erasures,
                    "gone_on_with": report.gone_on_with,
                    "landed_still": report.landed_still,
                    "beyond_reach": BEYOND_REACH,
                },
                ensure_ascii=False,
            )
        )
        return
    for erasure_id in report.gone_on_with:
        click.echo(f"{erasure_id}, which had been interrupted, is finished")
    for done in report.erasures:
        rows = ", ".join(f"{count:,} rows of {done['source']}.{table}" for table, count in sorted(done["rows"].items()))
        click.echo(
            f"{done['erasure_id']}: {len(done['files']):,} files of {done['source']} are forgotten"
            + (f": {rows}" if rows else "")
            + (f"; {done['refusals']:,} refusals" if done["refusals"] else "")
        )
    if not report.erasures and not report.gone_on_with:
        click.echo("there is nothing to go on with; say what to forget: strandline forget KEY_OR_ID...")
    for uri in report.landed_still:
        click.echo(f"delete it in the landing store: {uri}")
    if report.erasures:
        note(BEYOND_REACH)
