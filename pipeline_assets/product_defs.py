"""The Dagster objects that follow from a source's products: assets after its tables, in the same partitions."""

# No postponed annotations here: Dagster reads those of the functions below.

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
from pydantic import BaseModel

from pipeline_assets import metadata
from pipeline_assets.code_version import code_version
from pipeline_assets.failures import FailureKind, kind_of
from pipeline_assets.product import Product
from pipeline_assets.product_run import ProductReport, products_source, run_product
from pipeline_assets.run_tags import note_kind
from pipeline_assets.source import FileSource
from resources.ledger.batches import Batch
from resources.ledger.leases import this_process
from resources.platform import Platform

_TRIES_AGAIN = 1
_LONGEST_MARKDOWN = 60_000
"""Metadata lives in the event log, which every page of the asset reads."""


def product_key(source: FileSource, name: str) -> dg.AssetKey:
    return dg.AssetKey([source.name, name])


def build_product_assets(
    source: FileSource,
    config: BaseModel,
    partitions: dg.PartitionsDefinition,
    platform: Platform,
    batch_of: Callable[[Any, FileSource, Platform], Batch],
    tags: dict[str, str],
    process_tag: str,
) -> tuple[dg.AssetsDefinition, ...]:
    """`platform` only gives places to show; nothing of it is opened here.

    batch_of: the batch that a run's partition is. process_tag: tells a run whose process died from one that works.
    """
    return tuple(
        _asset(source, config, product, partitions, platform, batch_of, tags, process_tag)
        for product in source.products_of(config)
    )


def _asset(
    source: FileSource,
    config: BaseModel,
    product: Product,
    partitions: dg.PartitionsDefinition,
    platform: Platform,
    batch_of: Callable[[Any, FileSource, Platform], Batch],
    tags: dict[str, str],
    process_tag: str,
) -> dg.AssetsDefinition:
    key = product_key(source, product.name)

    @dg.asset(
        key=key,
        deps=[product_key(source, name) for name in (*product.of, *product.after, *product.beside)],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.multi_run(1),
        pool=product.pool(config),
        group_name=source.name,
        kinds=set(product.kinds),
        owners=list(source.owners),
        tags=tags,
        description=product.description,
        metadata=metadata.product_metadata(source, product, platform.products.uri(products_source(platform, source))),
        code_version=code_version(frozenset({product.make.__module__})),
        # What is outside of the product's own code, away for a moment; its own faults are not tried again.
        retry_policy=dg.RetryPolicy(max_retries=_TRIES_AGAIN, delay=1),
        check_specs=[
            dg.AssetCheckSpec(name, asset=key, partitions_def=partitions, description=text)
            for name, text in product.checks.items()
        ],
    )
    def made(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        context.instance.add_run_tags(context.run.run_id, {process_tag: this_process()})
        batch = batch_of(context, source, platform)
        try:
            report = run_product(platform, source, config, product, batch, context.run.run_id, context.log.info)
        except Exception as reason:
            note_kind(context, reason)
            if kind_of(reason) is FailureKind.PERMANENT:
                raise dg.Failure(str(reason), allow_retries=False) from reason
            raise
        yield dg.MaterializeResult(asset_key=key, metadata=_shown(product, report))
        for name in product.checks:
            yield _check_result(key, name, report)

    return made


def _shown(product: Product, report: ProductReport) -> dict[str, Any]:
    shown: dict[str, Any] = {"seconds": round(report.seconds, 3)}
    shown |= {f"rows of {name}": rows for name, rows in report.rows.items()}
    if report.folder is None:
        return {**shown, "made of": report.because}
    shown |= {
        "files": len(report.files),
        "bytes": sum(report.files.values()),
        "folder": dg.MetadataValue.path(str(report.folder)),
        "all files": metadata.record_table(
            [{"file": name, "bytes": size} for name, size in list(report.files.items())[: metadata.MOST_FILES_SHOWN]]
        ),
        **report.result.metadata,
    }
    if report.result.markdown:
        shown["report"] = dg.MetadataValue.md(report.result.markdown[:_LONGEST_MARKDOWN])
    if report.result.picture and len(report.result.picture) <= metadata.MOST_PICTURE_BYTES:
        shown["picture"] = metadata.picture(report.result.picture, product.name)
    return shown


def _check_result(key: dg.AssetKey, name: str, report: ProductReport) -> dg.AssetCheckResult:
    found = report.result.checks.get(name)
    if found is None:
        return dg.AssetCheckResult(
            check_name=name,
            asset_key=key,
            passed=True,
            description="the batch has no such product, so there is nothing to check",
        )
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=key,
        passed=found.passed,
        severity=dg.AssetCheckSeverity.ERROR if found.is_error else dg.AssetCheckSeverity.WARN,
        description=found.description,
        metadata=dict(found.metadata),
    )
