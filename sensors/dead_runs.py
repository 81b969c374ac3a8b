"""Runs whose process is no more. Dagster's local launcher does not notice, and such a run would keep its place in the
queue for ever. Where runs are tasks of ECS, Dagster's run monitoring asks ECS."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg

from pipeline_assets.source import FileSource
from pipeline_assets.source_defs import PROCESS_TAG, SOURCE_TAG
from resources.ledger.leases import is_dead

_UNDER_WAY = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


def end_dead_runs(instance: dg.DagsterInstance, source: FileSource, silent_seconds: float) -> list[str]:
    """Report as failed each run of a source whose process has died, or that never got as far as naming its process
    within `silent_seconds` of its start. The ids of these runs. What became of their batch is in the ledger."""
    filters = dg.RunsFilter(tags={SOURCE_TAG: source.name}, statuses=_UNDER_WAY)
    ended = []
    for record in instance.get_run_records(filters):
        run = record.dagster_run
        process = run.tags.get(PROCESS_TAG)
        started = record.start_time or datetime.now(UTC).timestamp()
        silent = process is None and datetime.now(UTC).timestamp() - started > silent_seconds
        if silent or (process is not None and is_dead(process)):
            partition = run.tags.get("dagster/partition")
            batch = source.batch_of(partition) if partition else ""
            left = f" What became of batch {batch} is in the ledger: strandline files --batch {batch}" if batch else ""
            instance.report_run_failed(
                run, f"The run's process ended without a word (killed, or its machine stopped).{left}"
            )
            ended.append(run.run_id)
    return ended
