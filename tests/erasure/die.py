"""`strandline` with the toy source, killed by itself at a point; started by `tests.crash.warm`."""

from __future__ import annotations

from collections.abc import Callable

from pipeline_assets import registry
from tests.crash import die_at
from tests.erasure.toy_cli import WITH_SUBJECT

_ERASURE = "pipeline_assets.operations.erasure"
BEFORE: dict[str, Callable[[], None]] = {
    # tombstones are beside the tables, nothing else has happened
    "tombstones": lambda: die_at.after(_ERASURE, "keep_marks"),
    # one table of two is without the rows, and not published
    "between_tables": lambda: die_at.after(_ERASURE, "remove_rows"),
    # in the ledger's transaction
    "in_transaction": lambda: die_at.after("resources.ledger.erasure", "_clean_batches"),
}
"""Nothing of the erasure is visible after these."""
AFTER: dict[str, Callable[[], None]] = {
    "erased": lambda: die_at.after(_ERASURE, "erase"),
    "aggregates": lambda: die_at.after(_ERASURE, "update_aggregate"),
    # snapshots of the first table are expired, their files are there
    "expired": lambda: die_at.after("resources.lake.erasure", "_expire_all_but"),
    "between_purges": lambda: die_at.after(_ERASURE, "purge"),
    "aggregate_purged": lambda: die_at.after(_ERASURE, "purge_aggregate"),
    # the run is gone from Dagster, its events are not
    "run_deleted": lambda: die_at.before("pipeline_assets.operations.event_log", "_delete_copies"),
    "before_the_end": lambda: die_at.before(_ERASURE, "finish"),
}
"""Nothing of the file is visible after these."""


def prepare() -> None:
    registry.SOURCES = (WITH_SUBJECT,)
    registry.get_source.__defaults__ = ((WITH_SUBJECT,),)


def run(point: str, arguments: list[str]) -> None:
    {**BEFORE, **AFTER}[point]()
    from cli.main import main

    main(arguments, prog_name="strandline")
