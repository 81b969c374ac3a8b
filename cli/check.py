"""`strandline reconcile --check`: whether landing store, ledger and tables agree, without changing anything."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

import click

from pipeline_assets.operations.check import Checked, check
from pipeline_assets.source import FileSource
from resources.logs import bound
from resources.platform import Platform

AGREE, DIFFER, OUTSTANDING = 0, 1, 3
_MOST_NAMED = 5


def check_sources(platform: Platform, sources: Sequence[FileSource], *, as_json: bool = False) -> int:
    """Check sources and print what was found. Returns the exit code."""
    found = []
    for source in sources:
        with bound(source=source.name):
            found.append(check(platform, source))
    if as_json:
        shown = [{**asdict(one), "agrees": one.agrees, "outstanding": one.outstanding} for one in found]
        click.echo(json.dumps(shown, ensure_ascii=False))
    else:
        for one in found:
            click.echo("\n".join(_in_words(one)))
    if not all(one.agrees for one in found):
        return DIFFER
    return OUTSTANDING if any(one.outstanding for one in found) else AGREE


def _in_words(one: Checked) -> list[str]:
    rows = ", ".join(f"{count:,} rows in {one.source}.{table}" for table, count in one.rows.items()) or "no rows"
    states = ", ".join(f"{count:,} {state}" for state, count in sorted(one.states.items())) or "no files"
    lines = [f"{one.source}: {one.keys:,} keys in the landing store; {states}; {rows}"]
    for what, which in one.differences.items():
        more = f" and {len(which) - _MOST_NAMED:,} more" if len(which) > _MOST_NAMED else ""
        lines.append(f"  {len(which):,} {what}: {', '.join(which[:_MOST_NAMED])}{more}")
    if one.unseen:
        lines.append(f"  {len(one.unseen):,} keys landed that no look has seen as they are now. First: {one.unseen[0]}")
    if not one.agrees:
        lines.append(f"  they DIFFER; mend it: strandline reconcile --source {one.source}, then strandline drain")
    elif one.outstanding:
        lines.append(f"  all agree; {one.outstanding:,} files are not done yet: strandline drain")
    else:
        lines.append("  all agree")
    return lines
