"""The asset checks that a source declares itself: a judgement of the rows that a batch has in a table."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
from pydantic import BaseModel

from pipeline_assets.metadata import record_table
from pipeline_assets.source import FileSource
from resources.lake.lake import TableName
from resources.lake.sql import batch_rows
from resources.ledger.publishing import published_snapshots
from resources.platform import Platform

_MOST_SHOWN = 20


def own_check_specs(
    source: FileSource, keys: dict[str, dg.AssetKey], partitions: dg.PartitionsDefinition
) -> list[dg.AssetCheckSpec]:
    return [
        dg.AssetCheckSpec(check.name, asset=keys[check.table], partitions_def=partitions, description=check.description)
        for check in source.checks
    ]


def own_check_results(
    platform: Platform, source: FileSource, config: BaseModel, keys: dict[str, dg.AssetKey], batch_id: str
) -> Iterator[dg.AssetCheckResult]:
    """Judge what the tables hold for a batch."""
    published = published_snapshots(platform.ledger, source.name)
    for check in source.checks:
        name = TableName(source.name, check.table)
        rows = batch_rows(platform.lake, name, published.get(check.table), batch_id, check.columns)
        judged = check.judge(rows.to_pandas(), config)
        yield dg.AssetCheckResult(
            check_name=check.name,
            asset_key=keys[check.table],
            passed=judged.passed,
            severity=dg.AssetCheckSeverity.WARN,
            description=judged.description,
            metadata={
                **judged.shown,
                **({"first": record_table(judged.records[:_MOST_SHOWN])} if judged.records else {}),
            },
        )
