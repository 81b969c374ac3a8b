"""The asset check that a source's second store holds what the lake holds."""

# No postponed annotations here: Dagster reads those of the functions below.

from collections.abc import Callable
from typing import Any

import dagster as dg

from pipeline_assets.metadata import record_table
from pipeline_assets.served import compare_served
from pipeline_assets.source import FileSource
from resources.ledger.batches import Batch
from resources.ledger.queries import list_files
from resources.platform import Platform

SERVED = "served"

_MOST_SHOWN = 20

BatchOf = Callable[[Any, FileSource, Platform], Batch]


def build_served_check(
    source: FileSource, key: dg.AssetKey, partitions: dg.PartitionsDefinition | None, batch_of: BatchOf | None
) -> dg.AssetChecksDefinition:
    """The check that the source's second store holds the same: of a batch's files, or, without partitions, of all."""
    what = "of the batch's files" if partitions else "of all files, and all that is made of them"

    @dg.asset_check(
        asset=key,
        name=SERVED,
        partitions_def=partitions,
        description=f"The serving database holds exactly the rows {what} that ledger and lake hold.",
    )
    def served(context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]) -> dg.AssetCheckResult:
        ids = None
        if batch_of is not None:
            batch = batch_of(context, source, platform)
            ids = [row.file_id for row in list_files(platform.ledger, batch_id=batch.batch_id)]
        found = compare_served(platform, source, context.log.info, file_ids=ids)
        return dg.AssetCheckResult(
            passed=not found,
            severity=dg.AssetCheckSeverity.ERROR,
            description=f"{len(found)} differences. Mend them: strandline reconcile --source {source.name}"
            if found
            else "the serving database and the lake hold the same",
            metadata={
                "differences": len(found),
                **({"first of them": record_table([{"what": text} for text in found[:_MOST_SHOWN]])} if found else {}),
            },
        )

    return served
