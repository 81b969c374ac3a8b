"""Deleting the Dagster partitions of batches finished long ago: Dagster's pages slow down with their number, and the
ledger knows everything about them anyway."""

# No postponed annotations here: Dagster reads those of the functions below.

import time
from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg

from pipeline_assets.source import FileSource
from pipeline_assets.source_defs import only_partition, partitions_name
from resources.ledger import Ledger
from resources.ledger.pruning import note_pruned, prunable
from resources.platform import Platform

_AT_ONCE = 200
_INTERVAL_SECONDS = 600
_NOT_ENDED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_BACKFILL_ENDS_LATER = {"REQUESTED", "CANCELING", "FAILING"}
_BACKFILLS_LOOKED_AT = 100


@dataclass(frozen=True)
class Pruned:
    """What one look did. `is_done` is false when there was more to delete than time."""

    deleted: int = 0
    is_done: bool = True
    waits_for: str = ""
    """what is under way in Dagster that must end first"""


def prune_partitions(
    instance: dg.DagsterInstance, ledger: Ledger, source: FileSource, *, keep: int, budget_seconds: float
) -> Pruned:
    """Delete the partitions of a source's finished batches beyond the `keep` newest, those finished longest ago first.

    Goes on in steps until the time is over, having done whole steps: deleted in Dagster first, then noted in the
    ledger, so that a step cut short is repeated. A partition with a run that has not ended stays; while a backfill
    is under way, which may yet start runs for any of them, all stay.
    """
    deadline = time.monotonic() + budget_seconds
    name = partitions_name(source)
    deleted = 0
    while True:
        backfill = _backfill_under_way(instance)
        if backfill:
            return Pruned(deleted, waits_for=f"backfill {backfill}")
        step = prunable(ledger, source.name, keep, _AT_ONCE, busy=_with_runs_under_way(instance))
        if not step:
            return Pruned(deleted)
        for batch_id in step:
            instance.delete_dynamic_partition(name, batch_id)
        note_pruned(ledger, step)
        deleted += len(step)
        if time.monotonic() > deadline:
            return Pruned(deleted, is_done=len(step) < _AT_ONCE)


def _with_runs_under_way(instance: dg.DagsterInstance) -> set[str]:
    runs = instance.get_runs(dg.RunsFilter(statuses=_NOT_ENDED))
    return {partition for run in runs if (partition := only_partition(run.tags))}


def _backfill_under_way(instance: dg.DagsterInstance) -> str:
    for backfill in instance.get_backfills(limit=_BACKFILLS_LOOKED_AT):
        if backfill.status.value in _BACKFILL_ENDS_LATER:
            return backfill.backfill_id
    return ""


def build_pruning_sensor(sources: Sequence[FileSource], status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    @dg.sensor(
        name="partition_pruning",
        minimum_interval_seconds=_INTERVAL_SECONDS,
        default_status=status,
        description="Deletes the partitions of batches finished long ago, beyond STRANDLINE_PARTITIONS_KEPT a source. The "
        "ledger keeps the batches; `strandline redo BATCH` brings one back.",
    )
    def partition_pruning(context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]) -> dg.SkipReason:
        settings = platform.settings
        said = []
        for source in sources:
            pruned = prune_partitions(
                context.instance,
                platform.ledger,
                source,
                keep=settings.partitions_kept,
                budget_seconds=settings.tick_budget_seconds / (2 * len(sources)),
            )
            more = "" if pruned.is_done else ", more at the next look"
            more += f", waiting for {pruned.waits_for} to end" if pruned.waits_for else ""
            said.append(f"{source.name}: {pruned.deleted} partitions deleted{more}")
        return dg.SkipReason("; ".join(said))

    return partition_pruning
