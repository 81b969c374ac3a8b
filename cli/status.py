"""`strandline status`: backlog and health at a glance."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

import click

from pipeline_assets.source import FileSource
from resources.ledger.health import Health, health
from resources.platform import Platform

_NEEDS_A_PERSON = 3
_LONGEST_ERROR = 160


def show_status(platform: Platform, sources: Sequence[FileSource], *, as_json: bool = False) -> int:
    """Print how sources get on. Returns the exit code."""
    found = [health(platform.ledger, source.name) for source in sources]
    if as_json:
        shown = [
            {**asdict(one), "outstanding": one.outstanding, "outstanding_bytes": one.outstanding_bytes} for one in found
        ]
        click.echo(json.dumps(shown, default=lambda value: value.isoformat(), ensure_ascii=False))
    else:
        for one in found:
            click.echo("\n".join(_in_words(one)))
    return _NEEDS_A_PERSON if any(one.held_batches for one in found) else 0


def _in_words(one: Health) -> list[str]:
    lines = [one.source]
    if one.outstanding:
        states = ", ".join(f"{count:,} {state}" for state, count in one.files.items() if count)
        lines.append(f"  outstanding  {states}; {_size(one.outstanding_bytes)}; oldest {_time(one.oldest_seconds)}")
    else:
        lines.append("  outstanding  nothing")
    hour, day = one.last_hour, one.last_day
    lines.append(
        f"  committed    last hour {hour.files:,} files, {_size(hour.size_bytes)}; last day {day.files:,} files, "
        f"{_size(day.size_bytes)}"
    )
    if one.landing_to_committed:
        took = ", ".join(f"p{p} {_time(seconds)}" for p, seconds in one.landing_to_committed.items())
        lines.append(f"  landing to committed  {took} (last day)")
    if one.quarantined:
        classes = ", ".join(f"{name} {count:,}" for name, count in list(one.quarantined.items())[:5])
        lines.append(f"  quarantined  {sum(one.quarantined.values()):,} files: {classes}")
        lines.append(f"               strandline quarantine list --source {one.source}")
    if one.held_batches:
        lines.append(f"  held         {one.held_batches:,} batches wait for a person:")
    for batch in one.held:
        lines.append(f"    {batch.batch_id}  {batch.files:,} files since {batch.since:%Y-%m-%d %H:%M} UTC")
        lines.append(f"      {batch.error[:_LONGEST_ERROR]}")
        lines.append(f"      strandline redo {batch.batch_id}   or   strandline release {batch.batch_id}")
    if one.listed_at is not None:
        age = (datetime.now(UTC) - one.listed_at).total_seconds()
        lines.append(f"  listed       {_time(age)} ago all of its keys in the landing store had been")
    return lines


def _size(size_bytes: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:,.0f} {unit}" if unit == "B" else f"{size_bytes:,.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:,.1f} TB"


def _time(seconds: float) -> str:
    for limit, unit, size in ((120, "s", 1), (7200, "min", 60), (172_800, "h", 3600)):
        if seconds < limit:
            return f"{seconds / size:.1f} {unit}" if seconds < 10 * size else f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.1f} days"
