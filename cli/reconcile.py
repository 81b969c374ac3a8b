"""`strandline reconcile`: what differs between landing store, ledger and tables, and what was done about it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

import click

from pipeline_assets.operations.finding_alerts import note_findings
from pipeline_assets.operations.reconcile import Findings, reconcile
from pipeline_assets.source import FileSource
from resources.logs import bound
from resources.platform import Platform

_MENDED = 3


def reconcile_sources(
    platform: Platform, sources: Sequence[FileSource], *, accept_loss: bool = False, as_json: bool = False
) -> int:
    """Reconcile sources and print what was found. Returns the exit code."""
    findings = []
    for source in sources:
        with bound(source=source.name):
            findings.append(reconcile(platform, source, accept_loss=accept_loss))
            note_findings(platform.ledger, findings[-1])
    if as_json:
        click.echo(json.dumps([{**asdict(found), "balanced": found.balanced} for found in findings]))
    else:
        for found in findings:
            click.echo("\n".join(_in_words(found)))
    return 0 if all(found.balanced for found in findings) else _MENDED


def _in_words(found: Findings) -> list[str]:
    rows = ", ".join(f"{count:,} rows in {found.source}.{table}" for table, count in found.rows.items())
    lines = [f"{found.source}: {found.keys:,} keys in the landing store, {found.committed:,} files committed; {rows}"]
    if found.adopted:
        lines.append(f"  the ledger knew nothing of the tables: {found.adopted:,} files were entered from them")
    if found.lake_lost and found.lost:
        lines.append(
            f"  the tables are gone or damaged, and {len(found.lost):,} of their files are not in the landing store any "
            f"more. First: {', '.join(found.lost[:5])}\n  Restore the lake from its backup to keep their rows; or build "
            f"the tables without them: strandline reconcile --source {found.source} --accept-loss"
        )
    elif found.lake_lost:
        lines.append("  the tables are gone or damaged: every committed file is to be read again")
    if found.new_files:
        lines.append(f"  {found.new_files:,} files had landed unseen")
    if found.read_again:
        lines.append(f"  {len(found.read_again):,} files have missing or wrong rows and are to be read again")
    if found.lost and not found.lake_lost:
        lines.append(
            f"  {len(found.lost):,} files have missing or wrong rows and are no longer in the landing store: land them "
            f"again, or restore the lake. First: {', '.join(found.lost[:5])}"
        )
    for table, file_ids in found.strange.items():
        lines.append(
            f"  {found.source}.{table} has rows of {len(file_ids):,} files that the ledger does not account for. First: "
            f"{', '.join(file_ids[:5])}"
        )
    if found.served:
        lines.append(
            f"  the serving database differed in {len(found.served):,} ways and was put right from the tables. First: "
            f"{'; '.join(found.served[:3])}"
        )
    if found.unfinished_erasures:
        lines.append(f"  {len(found.unfinished_erasures):,} erasures were interrupted; go on with: strandline forget")
    if found.aggregates:
        names = ", ".join(f"{found.source}.{name}" for name in found.aggregates)
        lines.append(f"  gone or declared no more, and not shown until they are made anew: {names}")
    if found.balanced:
        lines.append("  all agree")
    elif not found.lost:
        lines.append("  now: strandline drain")
    return lines
