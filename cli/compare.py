"""`strandline compare`: how the tables of two namespaces differ."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from cli.query import json_value
from resources.errors import UserError
from resources.lake.compare import Side, TableDifference, compare
from resources.platform import Platform

_DIFFERENT = 3


def compare_namespaces(
    platform: Platform, namespace: str, home: Path | None, source: str, tables: Sequence[str], *, as_json: bool
) -> int:
    """Compare this deployment's tables with another's. Returns the exit code."""
    settings = platform.settings
    where = {"namespace": namespace, **({"home": home.resolve()} if home else {})}
    if not settings.model_dump(include=set(where)).items() ^ where.items():
        raise UserError(f"{namespace} is this deployment itself. Name another namespace, or another --home.")
    other = Platform(settings.model_copy(update=where))
    if other.lake.bucket is None and not other.lake.folder.is_dir():
        raise UserError(f"There are no tables in {other.settings.home}. Name the home of the other deployment: --home")
    names = (settings.namespace, namespace) if namespace != settings.namespace else (f"{settings.home}", f"{home}")
    try:
        left, right = (Side(name, one.lake, one.ledger) for name, one in zip(names, (platform, other), strict=True))
        found = compare(left, right, source, tables)
    finally:
        other.close()
    if as_json:
        click.echo(json.dumps([{**asdict(one), "equal": one.is_equal} for one in found], default=json_value))
    else:
        for one in found:
            click.echo("\n".join(_in_words(one, names)))
    return 0 if all(one.is_equal for one in found) else _DIFFERENT


def _in_words(found: TableDifference, names: tuple[str, str]) -> list[str]:
    if found.is_equal:
        return [f"{found.table}: equal, {found.rows[0]:,} rows"]
    lines = [f"{found.table}: {found.rows[0]:,} rows in {names[0]}, {found.rows[1]:,} in {names[1]}"]
    lines += [f"  column {text}" if not text.startswith("the table") else f"  {text}" for text in found.columns]
    for only, name, examples in zip(found.only, names, found.examples, strict=True):
        if only:
            lines.append(f"  {only:,} rows only in {name}")
            lines += [f"    {json.dumps(row, default=json_value, ensure_ascii=False)}" for row in examples]
    return lines
