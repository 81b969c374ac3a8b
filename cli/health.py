"""`strandline health ...`: what people do about mobile-health records."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from cli.query import json_value
from pipeline_assets.health.config import HealthConfig
from pipeline_assets.health.mapping import Mapping as SchemaMapping
from pipeline_assets.health.operations.completeness import completeness
from pipeline_assets.health.operations.listing import source_records
from pipeline_assets.health.operations.sample import Tried, try_sample
from pipeline_assets.health.operations.schema_changes import in_words, open_versions, pending_changes
from pipeline_assets.health.operations.study_export import export_study
from pipeline_assets.health.operations.versions import versions_in_effect
from pipeline_assets.health.schemas import MappingError
from pipeline_assets.health.source import NAME
from pipeline_assets.registry import get_source
from resources.errors import UserError
from resources.platform import Platform
from resources.settings import load_source_config

_TO_DO = 3
_MOST_SHOWN = 20


def show_completeness(platform: Platform, listing: str, to_send: Path | None, *, as_json: bool) -> int:
    """Returns the exit code."""
    found = completeness(platform, source_records(listing))
    if to_send is not None:
        to_send.write_text("".join(f"{record.recordid}\n" for record in found.to_send()))
    if as_json:
        records = [asdict(record) for record in found.records]
        click.echo(json.dumps({"counts": found.counts, "records": records}, default=json_value, ensure_ascii=False))
    else:
        click.echo(", ".join(f"{count:,} {status}" for status, count in sorted(found.counts.items())) or "no records")
        unfinished = [one for one in found.records if one.status not in {"processed", "not_listed"}]
        for one in unfinished[:_MOST_SHOWN]:
            why = f": {one.error_class}: {one.error[:120]}" if one.error_class else ""
            click.echo(f"  {one.recordid}  {one.status}{f'  {one.source_key}' if one.source_key else ''}{why}")
        if len(unfinished) > _MOST_SHOWN:
            click.echo(f"  and {len(unfinished) - _MOST_SHOWN:,} more: --json")
    return 0 if found.is_complete else _TO_DO


def export(platform: Platform, study: str, output: Path, *, as_json: bool) -> None:
    if output.suffix.lower() != ".zip":
        raise click.UsageError(f"OUTPUT must end in .zip, not {output.suffix or 'nothing'!r}")
    done = export_study(platform, get_source(NAME), study, output)
    if as_json:
        click.echo(json.dumps(asdict(done)))
    else:
        rows = f"{sum(done.rows.values()):,} rows of {len(done.rows)} tables"
        click.echo(f"{output}: {done.records:,} records of study {study}, {rows}")


def show_sample(platform: Platform, schemas: Path, *, as_json: bool) -> int:
    """Returns the exit code."""
    config = load_source_config(HealthConfig, NAME)
    try:
        tried = try_sample(platform, get_source(NAME), config, schemas)
    except MappingError as error:
        raise UserError(str(error)) from None
    if as_json:
        click.echo(json.dumps([{**asdict(one), "good": one.is_good} for one in tried], default=json_value))
    else:
        for one in tried:
            click.echo(_tried_in_words(one))
    return 0 if all(one.is_good for one in tried) else _TO_DO


def _tried_in_words(one: Tried) -> str:
    version = ", ".join(f"{name} {value}" for name, value in one.version.items() if value is not None)
    if not one.is_good:
        return f"{version}\n  {one.recordid} would be refused: {one.error_class}: {one.error}"
    unmapped = f"; {one.unmapped} files have a schema of no dataset" if one.unmapped else ""
    return f"{version}\n  {one.recordid}: {sum(one.rows.values()):,} rows of {len(one.rows)} tables{unmapped}"


def show_schemas(platform: Platform, *, is_open: bool, as_json: bool) -> int:
    """Returns the exit code."""
    config = load_source_config(HealthConfig, NAME)
    try:
        mapping = SchemaMapping.load(config.schemas)
    except MappingError as error:
        raise UserError(str(error)) from None
    in_effect = versions_in_effect(platform, mapping)
    found = pending_changes(platform, mapping)
    opened: Mapping[str, str] = open_versions(platform, config, mapping, found) if is_open else {}
    if as_json:
        shown: list[dict[str, Any]] = [
            {**asdict(one), "kind": one.kind, "opened": one.dataset in opened} for one in found
        ]
        shown += [
            {"dataset": dataset, "changes": [], "becomes": version, "kind": "opened", "opened": True}
            for dataset, version in in_effect
        ]
        click.echo(json.dumps(shown))
    else:
        lines = [
            f"{dataset}: documents go to {version}, which was opened for a change that its tables could not take"
            + ("; declared from the next start on" if is_open else "")
            for dataset, version in in_effect
        ]
        click.echo("\n".join(lines + in_words(found, opened)) or "every table is as its schemas say")
    return _TO_DO if any(one.becomes and one.dataset not in opened for one in found) else 0
