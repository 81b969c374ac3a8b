"""The Dagster objects that follow from a FileSource: its assets, checks, partitions and job."""

# No postponed annotations here: Dagster reads those of the functions below.

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

import dagster as dg
from pydantic import BaseModel

from pipeline_assets import checks, metadata, own_checks
from pipeline_assets.batch_context import Reporter
from pipeline_assets.batch_report import BatchReport
from pipeline_assets.batch_run import preload_for, run_batch
from pipeline_assets.cancel_watch import CancelWatch
from pipeline_assets.code_version import code_version, source_code_version
from pipeline_assets.datasets import dataset_batch_metadata, dataset_metadata
from pipeline_assets.failures import FailureKind, in_words, kind_of
from pipeline_assets.freshness import build_freshness_check, expected_every, freshness_policy
from pipeline_assets.lineage import RAW_FILES
from pipeline_assets.product_defs import build_product_assets
from pipeline_assets.run_tags import note_kind
from pipeline_assets.served_check import build_served_check
from pipeline_assets.source import Dataset, FileSource, Table
from pipeline_assets.worker_pool import start_fork_server
from resources.lake.lake import TableName
from resources.ledger.batches import Batch, BatchState, NotClaimed, get_batch
from resources.ledger.leases import this_process
from resources.ledger.queries import list_files
from resources.platform import Platform

BATCH_TAG = ".dagster/strandline_batch"
ATTEMPT_TAG = "strandline/attempt"
SOURCE_TAG = "strandline/source"
STARTED_BY_TAG = "strandline/started_by"
PROCESS_TAG = ".dagster/strandline_process"
"""Dagster's UI hides tags that begin like these two: it shows the batch as the run's partition."""
DRAIN = "drain"

_PROGRESS_EVERY_SECONDS = 5.0
_MOST_FILES_SHOWN = 20


class ReporterFactory(Protocol):
    """Makes the reporter of a run; the resource `reporter`."""

    def __call__(self, log: logging.Logger) -> Reporter: ...


class LogReporter:
    """Writes a batch's progress into the run's log, every few seconds and at its end."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._next = time.monotonic() + _PROGRESS_EVERY_SECONDS

    def progress(self, batch: Batch, done: int, total: int, refused: int) -> None:
        if done == total or time.monotonic() >= self._next:
            self._next = time.monotonic() + _PROGRESS_EVERY_SECONDS
            self._log.info(f"batch {batch.batch_id}: {done} of {total} files read, {refused} refused")

    def say(self, message: str) -> None:
        self._log.info(message)


@dataclass(frozen=True)
class SourceDefs:
    """What Dagster knows of one source."""

    source: FileSource
    config: BaseModel
    partitions: dg.DynamicPartitionsDefinition
    assets: tuple[dg.AssetsDefinition, ...]
    checks: tuple[dg.AssetChecksDefinition, ...]
    job: Any
    products_job: Any
    """makes products alone; None for a source without"""
    expect_every: timedelta | None


def partitions_name(source: FileSource) -> str:
    return f"{source.name}_batches"


def pool_name(source: FileSource) -> str:
    """The Dagster pool of a source's batch runs; see `sensors.run_limits`."""
    return f"{source.name}_runs"


def job_name(source: FileSource) -> str:
    return f"{source.name}_ingest"


def products_job_name(source: FileSource) -> str:
    return f"{source.name}_products"


def raw_key(source: FileSource) -> dg.AssetKey:
    return dg.AssetKey([source.name, RAW_FILES])


def table_keys(source: FileSource) -> dict[str, dg.AssetKey]:
    return {table.name: dg.AssetKey([source.name, table.name]) for table in source.tables}


def asset_keys(source: FileSource) -> dict[str, dg.AssetKey]:
    """Of all that a batch makes: tables and datasets."""
    return table_keys(source) | {one.name: dg.AssetKey([source.name, one.name]) for one in source.datasets}


def run_tags(batch: Batch) -> dict[str, str]:
    """Tags of the run that is to be the batch's next attempt."""
    return {SOURCE_TAG: batch.source, BATCH_TAG: batch.batch_id, ATTEMPT_TAG: str(batch.attempt + 1)}


def build_source_defs(source: FileSource, config: BaseModel, platform: Platform) -> SourceDefs:
    """`platform` only gives places to show; nothing of it is opened here."""
    partitions = dg.DynamicPartitionsDefinition(name=partitions_name(source))
    raw = _raw_asset(source, partitions, platform)
    tables = _tables_asset(source, config, partitions, platform)
    tags = {SOURCE_TAG: source.name}
    products = build_product_assets(source, config, partitions, platform, _batch_of, tags, PROCESS_TAG)
    expect_every = expected_every(source, platform.settings)
    checks_after = [_balance_check(source, partitions)]
    if source.checks:
        checks_after.append(_own_checks(source, config, partitions))
    if expect_every is not None:
        checks_after.append(build_freshness_check(source, expect_every, raw_key(source)))
    if source.serving is not None:
        first = table_keys(source)[source.tables[0].name]
        checks_after.append(build_served_check(source, first, partitions, _batch_of))
    job = dg.define_asset_job(
        job_name(source),
        selection=dg.AssetSelection.assets(raw, tables, *products),
        description=f"Reads one batch of {source.name} files into its tables{', and makes its products' if products else ''}.",
        tags=tags,
    )
    products_job = None
    if products:
        products_job = dg.define_asset_job(
            products_job_name(source),
            selection=dg.AssetSelection.assets(*products),
            description=f"Makes products of one batch of {source.name} that are not up to date with its rows.",
            tags=tags,
        )
    return SourceDefs(
        source, config, partitions, (raw, tables, *products), tuple(checks_after), job, products_job, expect_every
    )


def _freshness(source: FileSource, platform: Platform) -> dg.FreshnessPolicy | None:
    every = expected_every(source, platform.settings)
    return None if every is None else freshness_policy(every)


def _raw_asset(source: FileSource, partitions: dg.PartitionsDefinition, platform: Platform) -> dg.AssetsDefinition:
    @dg.asset(
        key=raw_key(source),
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.multi_run(1),
        pool=pool_name(source),
        group_name=source.name,
        kinds={"file"},
        owners=list(source.owners),
        tags={SOURCE_TAG: source.name},
        description=f"The files of a batch, as the landing store has them. {source.description}",
        metadata=metadata.raw_metadata(source, _landing_uri(source, platform)),
        code_version=code_version(frozenset({__name__})),
        freshness_policy=_freshness(source, platform),
        # A run that has nothing to do gives nothing here; Dagster then skips what comes after.
        output_required=False,
    )
    def raw_files(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.MaterializeResult]:
        # Tells a run whose process died from one that works; see sensors.dead_runs.
        context.instance.add_run_tags(context.run.run_id, {PROCESS_TAG: this_process()})
        batch = _batch_of(context, source, platform)
        if _is_overtaken(context, batch):
            context.log.info(
                f"nothing to do: run {batch.run_id} took batch {batch.batch_id} before this run could (it is "
                f"{batch.state} now). Materialize the partition to do it again."
            )
            return
        start_fork_server(preload_for(source, batch.files))
        files = list_files(platform.ledger, batch_id=batch.batch_id)
        records = [
            {"key": metadata.shortened(source, row.key), "bytes": row.size_bytes} for row in files[:_MOST_FILES_SHOWN]
        ]
        shown: dict[str, Any] = {
            "files": len(files),
            "bytes": sum(row.size_bytes for row in files),
            "attempt": batch.attempt + 1,
        }
        if records:
            shown["first files"] = metadata.record_table(records)
            shown["all files"] = f"strandline files --batch {batch.batch_id}"
            shown["first landed"] = dg.MetadataValue.timestamp(min(row.landed_at for row in files))
            shown["last landed"] = dg.MetadataValue.timestamp(max(row.landed_at for row in files))
        yield dg.MaterializeResult(metadata=shown)

    return raw_files


def _landing_uri(source: FileSource, platform: Platform) -> str:
    return platform.landing.uri(platform.settings.prefix_of(source.name).rstrip("/"))


def _table_spec(source: FileSource, table: Table, platform: Platform, told: dict[str, Any]) -> dg.AssetSpec:
    keys = asset_keys(source)
    made_of = (*((table.dataset,) if table.dataset else ()), *table.derived_from)
    return dg.AssetSpec(
        keys[table.name],
        deps=[keys[parent] for parent in made_of] or [raw_key(source)],
        description=table.description,
        kinds={"iceberg", "parquet", *source.kinds},
        metadata=metadata.table_metadata(source, table, platform.lake.location(TableName(source.name, table.name))),
        # A batch without rows for it shows nothing there.
        skippable=table.dataset is not None,
        **told,
    )


def _dataset_spec(source: FileSource, dataset: Dataset, platform: Platform, told: dict[str, Any]) -> dg.AssetSpec:
    return dg.AssetSpec(
        asset_keys(source)[dataset.name],
        deps=[raw_key(source)],
        description=dataset.description,
        kinds={"file", *source.kinds},
        metadata=dataset_metadata(source, dataset, _landing_uri(source, platform)),
        **told,
    )


def _specs(source: FileSource, platform: Platform) -> list[dg.AssetSpec]:
    told: dict[str, Any] = {
        "group_name": source.name,
        "owners": list(source.owners),
        "tags": {SOURCE_TAG: source.name},
        "code_version": source_code_version(source),
        "freshness_policy": _freshness(source, platform),
    }
    return [
        *(_table_spec(source, table, platform, told) for table in source.tables),
        *(_dataset_spec(source, dataset, platform, told) for dataset in source.datasets),
    ]


def _tables_asset(
    source: FileSource, config: BaseModel, partitions: dg.PartitionsDefinition, platform: Platform
) -> dg.AssetsDefinition:
    keys = asset_keys(source)

    @dg.multi_asset(
        name=f"{source.name}_tables",
        specs=_specs(source, platform),
        check_specs=checks.run_check_specs(source, keys, partitions),
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.multi_run(1),
        pool=pool_name(source),
        description="Reads, checks, derives and commits a batch: all tables of the source together, or none.",
    )
    def tables(
        context: dg.AssetExecutionContext,
        platform: dg.ResourceParam[Platform],
        reporter: dg.ResourceParam[ReporterFactory],
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        batch = _batch_of(context, source, platform)
        try:
            with CancelWatch(context.instance, context.run.run_id) as watch:
                report = run_batch(
                    platform,
                    source,
                    config,
                    batch.batch_id,
                    context.run.run_id,
                    reporter(context.log),
                    hold_when_stopped=watch.is_canceled,
                )
        except Exception as reason:
            note_kind(context, reason)
            if kind_of(reason) is FailureKind.PERMANENT:
                raise dg.Failure(in_words(reason, batch.batch_id), allow_retries=False) from reason
            raise
        if not report.files:
            context.log.info(f"batch {batch.batch_id} owns no files any more: newer versions took their place")
        for dataset in source.datasets:
            yield dg.MaterializeResult(
                asset_key=keys[dataset.name], metadata=dataset_batch_metadata(source, dataset, report)
            )
        for table in source.tables:
            if table.name not in report.tables:
                continue
            shown = metadata.batch_metadata(source, report, table, is_checked=table is source.tables[0])
            yield dg.MaterializeResult(asset_key=keys[table.name], metadata=shown)
        _show_undeclared(context, source, report, platform)
        yield from checks.run_check_results(source, keys, report)

    return tables


def _show_undeclared(
    context: dg.AssetExecutionContext, source: FileSource, report: BatchReport, platform: Platform
) -> None:
    """Tables that only this run has (`FileSource.adapt`) are assets without a definition, which are shown with what is known."""
    if report.source is None or report.source.tables == source.tables:
        return
    partition = _partition_of(context)
    for table in report.source.tables:
        if table.name in report.tables and table.name not in source.table_names:
            uri = platform.lake.location(TableName(source.name, table.name))
            told = metadata.lake_metadata(report.source, table, uri)
            shown = metadata.batch_metadata(report.source, report, table, is_checked=False)
            context.log_event(
                dg.AssetMaterialization(
                    dg.AssetKey([source.name, table.name]),
                    description=table.description,
                    metadata=told | shown,
                    partition=partition,
                )
            )


def _balance_check(source: FileSource, partitions: dg.PartitionsDefinition) -> dg.AssetChecksDefinition:
    keys = asset_keys(source)

    @dg.multi_asset_check(name=f"{source.name}_balance", specs=checks.balance_specs(source, keys, partitions))
    def balance(
        context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.AssetCheckResult]:
        batch = _batch_of(context, source, platform)
        yield from checks.balance_results(platform, source, keys, batch.batch_id)

    return balance


def _own_checks(source: FileSource, config: BaseModel, partitions: dg.PartitionsDefinition) -> dg.AssetChecksDefinition:
    keys = table_keys(source)

    @dg.multi_asset_check(name=f"{source.name}_own_checks", specs=own_checks.own_check_specs(source, keys, partitions))
    def judge(
        context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.AssetCheckResult]:
        batch = _batch_of(context, source, platform)
        yield from own_checks.own_check_results(platform, source, config, keys, batch.batch_id)

    return judge


def _batch_of(context: Any, source: FileSource, platform: Platform) -> Batch:
    """The batch that the run's partition is. Raises Failure for ranges and for partitions that are no batch."""
    key = _partition_of(context)
    if key is None:
        raise dg.Failure(
            "This run covers no partition or a range of them; a run does one batch. Choose one or more partitions and "
            "let Dagster start a run for each (Materialize does so by itself).",
            allow_retries=False,
        )
    try:
        return get_batch(platform.ledger, source.batch_of(key))
    except NotClaimed as unknown:
        raise dg.Failure(str(unknown), allow_retries=False) from unknown


def _partition_of(context: Any) -> str | None:
    execution = context.op_execution_context if hasattr(context, "op_execution_context") else context
    key: str | None = execution.partition_key if execution.has_partition_key else only_partition(execution.run.tags)
    return key


def only_partition(tags: Mapping[str, str]) -> str | None:
    """The one partition that a run's tags name. A backfill names it as a range from the partition to itself."""
    begin = tags.get("dagster/asset_partition_range_start")
    return tags.get("dagster/partition") or (begin if begin == tags.get("dagster/asset_partition_range_end") else None)


def _is_automatic(context: dg.AssetExecutionContext) -> bool:
    """Whether the run was asked for by the platform as one attempt, not by a person as a repetition."""
    return ATTEMPT_TAG in context.run.tags and "dagster/parent_run_id" not in context.run.tags


def _is_overtaken(context: dg.AssetExecutionContext, batch: Batch) -> bool:
    if not _is_automatic(context) or batch.run_id == context.run.run_id:
        return False
    return batch.attempt >= int(context.run.tags[ATTEMPT_TAG]) or batch.state == BatchState.FINISHED
