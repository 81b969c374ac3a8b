"""Asks for runs that make products which no run has made: because one died after its commit, or rows went later."""

# No postponed annotations here: Dagster reads those of the functions below.

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby

import dagster as dg

from pipeline_assets.product_defs import product_key
from pipeline_assets.product_run import behind_products
from pipeline_assets.source_defs import SourceDefs, products_job_name
from resources.ledger.batches import Batch, BatchState, get_batch
from resources.ledger.products import BehindProduct, are_being_made
from resources.platform import Platform
from resources.settings import Settings

_QUIET_SECONDS = 30.0
"""The run that commits a batch makes its products at once; this is for those that it left."""
_BACKOFF_SECONDS = 60.0
_BACKOFF_MOST_SECONDS = 3600.0
_MOST_RUNS = 20


def build_products_sensor(
    built: Sequence[SourceDefs], settings: Settings, status: dg.DefaultSensorStatus
) -> list[dg.SensorDefinition]:
    """The sensor; none when no source has a product."""
    having = [one for one in built if one.products_job is not None]
    if not having:
        return []

    @dg.sensor(
        name="products",
        jobs=[one.products_job for one in having],
        minimum_interval_seconds=max(settings.sensor_interval_seconds, int(_QUIET_SECONDS)),
        default_status=status,
        description="Starts a run for products that are not up to date with their batch's rows, where the batch's own run "
        "did not make them.",
    )
    def due(context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]) -> dg.SensorResult:
        requests: list[dg.RunRequest] = []
        additions = []
        for one in having:
            of_source = list(_requests(context.instance, platform, one))[: _MOST_RUNS - len(requests)]
            if of_source:
                keys = [request.partition_key for request in of_source if request.partition_key]
                additions.append(one.partitions.build_add_request(keys))
                requests += of_source
        return dg.SensorResult(
            run_requests=requests,
            dynamic_partitions_requests=additions,
            skip_reason=None if requests else "every product is up to date, being made, or waits for its next try",
        )

    return [due]


def _requests(instance: dg.DagsterInstance, platform: Platform, one: SourceDefs) -> Iterable[dg.RunRequest]:
    lacking = behind_products(platform, one.source, one.config)
    for batch_id, of_batch in groupby(lacking, key=lambda product: product.batch_id):
        batch = get_batch(platform.ledger, batch_id)
        ready = [product for product in of_batch if _is_ready(platform, product)]
        if ready and _is_at_rest(instance, platform, batch):
            yield dg.RunRequest(
                job_name=products_job_name(one.source),
                partition_key=batch.partition,
                asset_selection=[product_key(one.source, product.name) for product in ready],
                run_key="/".join([batch_id, *(f"{one.name}:{one.due}:{one.failures}" for one in ready)]),
            )


def _is_ready(platform: Platform, product: BehindProduct) -> bool:
    """Whether a try may be made now. What failed for good waits for a person, or for other rows."""
    waited = datetime.now(UTC) - product.since
    if not product.failures:
        return waited >= timedelta(seconds=_QUIET_SECONDS)
    if product.is_permanent or product.failures >= platform.settings.max_attempts:
        return False
    return waited >= timedelta(seconds=min(_BACKOFF_SECONDS * 2.0 ** (product.failures - 1), _BACKOFF_MOST_SECONDS))


def _is_at_rest(instance: dg.DagsterInstance, platform: Platform, batch: Batch) -> bool:
    """Whether no run is at work on the batch, which would make its products itself."""
    if batch.state == BatchState.RUNNING or are_being_made(platform.ledger, batch.batch_id):
        return False
    run = instance.get_run_by_id(batch.run_id) if batch.run_id else None
    return run is None or run.is_finished
