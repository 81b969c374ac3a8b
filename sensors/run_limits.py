"""How many runs of a source's batches may be under way at once, as the settings say, told to Dagster.

A source's batch runs are a Dagster pool, so the limit holds for whatever starts them through the queue: sensor, UI,
backfill, GraphQL. A run over it waits in the queue and takes no place there from other sources. A drain runs past the
queue, so it asks the ledger (`resources.ledger.batches.claim`); for the queue, its runs count like any other.

The seats of the CARIS licence are a pool as well, so that runs without a seat wait in the queue and not for the host.
"""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from pipeline_assets.source import FileSource
from pipeline_assets.source_defs import pool_name
from resources.caris_host.config import LICENCE_POOL, load_caris_settings
from resources.settings import Settings


def keep_run_limits(instance: dg.DagsterInstance, settings: Settings, sources: Sequence[FileSource]) -> None:
    """Set the pools' limits where they differ from the settings. Without a setting a source's pool has no limit."""
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return
    wanted = {pool_name(source): settings.max_runs_of.get(source.name) for source in sources}
    caris = load_caris_settings()
    wanted[LICENCE_POOL] = None if caris.host is None else caris.seats
    found = {pool.name: pool.limit for pool in storage.get_pool_limits()}
    for pool, limit in wanted.items():
        if limit == found.get(pool):
            continue
        if limit is None:
            storage.delete_concurrency_limit(pool)
        else:
            storage.set_concurrency_slots(pool, limit)
