"""The Dagster objects that follow from a source's aggregates: unpartitioned assets, their checks, one job."""

# No postponed annotations here: Dagster reads those of the functions below.

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg
from pydantic import BaseModel, Field

from pipeline_assets import metadata
from pipeline_assets.aggregate import Aggregate
from pipeline_assets.aggregate_run import (
    AggregateReport,
    Recomputed,
    WrongAggregate,
    check_declaration,
    fingerprint,
    recompute_sample,
    update_aggregate,
)
from pipeline_assets.checks import SCHEMA
from pipeline_assets.run_tags import note_kind
from pipeline_assets.served_check import build_served_check
from pipeline_assets.source import FileSource
from pipeline_assets.source_defs import PROCESS_TAG, SOURCE_TAG, table_keys
from resources.lake.lake import TableName
from resources.lake.sql import run_query
from resources.ledger.leases import this_process
from resources.platform import Platform

RECOMPUTED = "recomputed"
PRIORITY_TAG = "dagster/priority"

_KEYS_COMPARED = 20
_MOST_SHOWN = 20


class MakingConfig(dg.Config):
    """What a person may ask for when materializing an aggregate."""

    whole: bool = Field(False, description="Compute every key anew, also where nothing changed.")


@dataclass(frozen=True)
class AggregateDefs:
    """What Dagster knows of the aggregates of one source."""

    source: FileSource
    config: BaseModel
    assets: tuple[dg.AssetsDefinition, ...]
    checks: tuple[dg.AssetChecksDefinition, ...]
    job: Any


def aggregate_job_name(source: FileSource) -> str:
    return f"{source.name}_aggregates"


def aggregate_key(source: FileSource, aggregate: Aggregate) -> dg.AssetKey:
    return dg.AssetKey([source.name, aggregate.name])


def build_aggregate_defs(source: FileSource, config: BaseModel, platform: Platform) -> AggregateDefs | None:
    """None for a source without aggregates. `platform` only gives places to show; nothing of it is opened here.

    Raises ValueError for a declaration whose columns are not there.
    """
    if not source.aggregates:
        return None
    for aggregate in source.aggregates:
        check_declaration(source, aggregate)
    assets = tuple(_asset(source, aggregate, config, platform) for aggregate in source.aggregates)
    checks = tuple(_recomputed_check(source, aggregate, config) for aggregate in source.aggregates)
    if source.serving is not None:
        checks = (*checks, build_served_check(source, aggregate_key(source, source.aggregates[0]), None, None))
    job = dg.define_asset_job(
        aggregate_job_name(source),
        selection=dg.AssetSelection.assets(*assets),
        description=f"Brings the aggregates of {source.name} up to date with its batches.",
        # Batches that wait in the queue go first.
        tags={SOURCE_TAG: source.name, PRIORITY_TAG: "-1"},
    )
    return AggregateDefs(source, config, assets, checks, job)


def _asset(
    source: FileSource, aggregate: Aggregate, source_config: BaseModel, platform: Platform
) -> dg.AssetsDefinition:
    key = aggregate_key(source, aggregate)
    uri = platform.lake.location(TableName(source.name, aggregate.name))

    @dg.asset(
        key=key,
        deps=[table_keys(source)[aggregate.of]],
        group_name=source.name,
        kinds={"iceberg", "parquet", *source.kinds},
        owners=list(source.owners),
        tags={SOURCE_TAG: source.name},
        description=f"{aggregate.description} Over all batches; kept up to date by itself.",
        metadata=metadata.aggregate_metadata(source, aggregate, uri),
        code_version=fingerprint(aggregate, source_config),
        check_specs=[
            dg.AssetCheckSpec(
                SCHEMA,
                asset=key,
                description=f"Every row keeps the rules of {aggregate.schema.__name__}. Rows that break them are not "
                "published: the table stays as it was.",
            )
        ],
    )
    def made(
        context: dg.AssetExecutionContext, config: MakingConfig, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        # Tells a run whose process died from one that works; see sensors.dead_runs.
        context.instance.add_run_tags(context.run.run_id, {PROCESS_TAG: this_process()})
        try:
            report = update_aggregate(
                *(platform, source, aggregate, source_config, context.run.run_id, context.log.info), whole=config.whole
            )
        except WrongAggregate as wrong:
            note_kind(context, wrong)
            yield _schema_result(key, passed=False, description=str(wrong))
            raise dg.Failure(
                f"{wrong} Nothing was published; the table shows what it showed. Mend {aggregate.compute.__name__} and "
                "materialize the asset.",
                allow_retries=False,
            ) from wrong
        except Exception as reason:
            note_kind(context, reason)
            raise
        yield dg.MaterializeResult(asset_key=key, metadata=_shown(platform, source, aggregate, report))
        yield _schema_result(key, passed=True, description=f"{report.committed.total_rows} rows keep every rule")

    return made


def _schema_result(key: dg.AssetKey, *, passed: bool, description: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=SCHEMA, asset_key=key, passed=passed, severity=dg.AssetCheckSeverity.ERROR, description=description
    )


def _shown(platform: Platform, source: FileSource, aggregate: Aggregate, report: AggregateReport) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "dagster/row_count": report.committed.total_rows,
        "snapshot": str(report.committed.snapshot_id),
        "keys computed": report.keys,
        "rows read": report.rows_read,
        "publication": report.publication,
        "seconds": round(report.seconds, 3),
    }
    if report.rebuilt:
        shown["made anew because"] = report.rebuilt
    if report.committed.total_rows:
        query = f"SELECT * EXCLUDE (file_id, batch_id) FROM {source.name}.{aggregate.name} LIMIT {_MOST_SHOWN}"
        rows = run_query(platform.lake, platform.ledger, query).to_pylist()
        shown["first rows"] = metadata.record_table(
            [{name: _cell(value) for name, value in row.items()} for row in rows]
        )
    return shown


def _cell(value: Any) -> str | int | float | bool | None:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    return value if value is None or isinstance(value, (str, int, bool)) else str(value)


def _recomputed_check(source: FileSource, aggregate: Aggregate, config: BaseModel) -> dg.AssetChecksDefinition:
    key = aggregate_key(source, aggregate)

    @dg.asset_check(
        asset=key,
        name=RECOMPUTED,
        description=f"For {_KEYS_COMPARED} keys chosen by chance, the table has exactly what computing them from all their "
        "rows gives; and it has no key that no row has.",
    )
    def recomputed(context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]) -> dg.AssetCheckResult:
        found = recompute_sample(platform, source, aggregate, config, _KEYS_COMPARED, context.run.run_id)
        return _recomputed_result(found or Recomputed(0, 0, 0, ()))

    return recomputed


def _recomputed_result(found: Recomputed) -> dg.AssetCheckResult:
    wrong = len({item["key"] for item in found.differing})
    parts = [f"{wrong} of them differ"] if wrong else []
    parts += [f"{found.keys_without_rows} rows of the table have a key that no row has"] * bool(found.keys_without_rows)
    return dg.AssetCheckResult(
        passed=not parts,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{found.keys_compared} keys compared"
        + (f"; {'; '.join(parts)}. Materialize the asset with the configuration `whole: true`." if parts else ""),
        metadata={
            "keys compared": found.keys_compared,
            "rows in table": found.rows,
            "rows without a source": found.keys_without_rows,
            **({"differences": metadata.record_table(found.differing[:_MOST_SHOWN])} if found.differing else {}),
        },
    )
