"""`python -m tests.crash.die_at POINT -- drain ...`: the `strandline` command, killed by itself at a named point.

The points are patched into this process only; its reader processes are the product's own, except that at the points
about reading some of them take their time.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

NOWHERE = "nowhere"
READ_SLOWLY = "read_slowly"
"""Dies nowhere; every slice of the batch takes a minute."""


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("a killed process went on")


def before(owner: str, name: str, *, call: int = 1) -> None:
    """Die when a function is called for the `call`-th time."""
    _patch(owner, name, lambda count: count == call, lambda count: False)


def after(owner: str, name: str, *, call: int = 1) -> None:
    """Die when a function has returned for the `call`-th time."""
    _patch(owner, name, lambda count: False, lambda count: count == call)


def _patch(owner: str, name: str, dies_before: Callable[[int], bool], dies_after: Callable[[int], bool]) -> None:
    holder = _find(owner)
    original = getattr(holder, name)
    calls = 0

    @functools.wraps(original)
    def patched(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        mine = calls
        if dies_before(mine):
            die()
        result = original(*args, **kwargs)
        if dies_after(mine):
            die()
        return result

    setattr(holder, name, patched)


def _find(owner: str) -> Any:
    """A module, or a class in one: ``package.module:Class``."""
    from importlib import import_module

    module, _, inner = owner.partition(":")
    holder = import_module(module)
    return getattr(holder, inner) if inner else holder


def slow_slices(begin: int) -> None:
    """Let each slice of the batch from the `begin`-th on take a minute to read."""
    from pipeline_assets.worker_pool import ReaderPool
    from tests.crash.slow_reading import read_slowly

    submit = ReaderPool.submit
    submitted = 0

    def patched(pool: ReaderPool, function: Callable[..., Any], *args: Any, timeout: float) -> Any:
        nonlocal submitted
        submitted += 1
        return submit(pool, function if submitted < begin else read_slowly, *args, timeout=timeout)

    ReaderPool.submit = patched  # type: ignore[method-assign]


def while_reading() -> None:
    slow_slices(begin=2)
    after("pipeline_assets.batch_context:Work", "add")


def at_event(kind: str) -> None:
    """Die when Dagster is about to write down its first event of a kind: it never hears of what happened."""
    from dagster import DagsterInstance, EventLogEntry

    handle = DagsterInstance.handle_new_event

    def patched(instance: DagsterInstance, event: EventLogEntry, **options: Any) -> None:
        if event.dagster_event is not None and event.dagster_event.event_type_value == kind:
            die()
        handle(instance, event, **options)

    DagsterInstance.handle_new_event = patched  # type: ignore[method-assign]


EVENTS = (
    "PIPELINE_START", "STEP_START", "ASSET_MATERIALIZATION", "ASSET_CHECK_EVALUATION", "STEP_SUCCESS",
    "PIPELINE_SUCCESS",
)  # fmt: skip

EVENT_LOG = "dagster._core.storage.event_log.sqlite.sqlite_event_log"
RUN = "pipeline_assets.batch_run"
COMMIT = "pipeline_assets.batch_commit"
AGGREGATE = "pipeline_assets.aggregate_run"
LAKE = "resources.lake.lake:Lake"
CATALOG = "resources.lake.folder_catalog:LakeCatalog"
POINTS: dict[str, Callable[[], None]] = {
    NOWHERE: lambda: None,
    READ_SLOWLY: lambda: slow_slices(begin=1),
    # Dagster makes a database of its event log: its file is there, no table of it is
    "in_dagster_setup": lambda: after(EVENT_LOG, "check_alembic_revision"),
    # discovered, in no batch yet
    "after_discovery": lambda: after("sensors.looking", "discover"),
    # the drain claimed the batch; Dagster does not know of a run yet
    "after_claim": lambda: after("cli.drain", "claim"),
    # in the run, which claimed the batch anew
    "after_claim_in_run": lambda: after(RUN, "claim"),
    # the first slice's result is there, the others are being read
    "while_reading": while_reading,
    # all read and decided, the turn to commit is taken, no table is touched
    "before_first_commit": lambda: before(LAKE, "commit"),
    # data files and manifests of the second table are written, its metadata are not
    "in_second_commit": lambda: before(CATALOG, "commit_table", call=2),
    # the metadata of one table of three are written
    "between_table_commits": lambda: after(LAKE, "commit"),
    # those of all tables are, and the catalog knows of none
    "before_tables_move": lambda: before(CATALOG, "_move"),
    # all tables are committed, the ledger has not published them
    "after_table_commits": lambda: before(COMMIT, "publish"),
    # in the ledger's transaction: all is written, nothing committed
    "in_publish": lambda: after("resources.ledger.publishing", "_record_outcomes"),
    # published; Dagster has not heard of it
    "after_publish": lambda: after(COMMIT, "publish"),
    # the batches are done; an aggregate's rows are read, none of its table is written
    "in_aggregate": lambda: before(AGGREGATE, "compute_rows"),
    # its data file is written, its table is not committed
    "before_aggregate_commit": lambda: before(LAKE, "replace_all"),
    # its table is committed, the ledger has not published it
    "after_aggregate_commit": lambda: before(AGGREGATE, "publish_aggregate"),
    # in the ledger's transaction
    "in_aggregate_publish": lambda: after("resources.ledger.aggregates", "_publish"),
    # published; Dagster has not heard of it
    "after_aggregate_publish": lambda: after(AGGREGATE, "publish_aggregate"),
    **{f"at_{kind.lower()}": functools.partial(at_event, kind) for kind in EVENTS},
}


SERVING = "resources.serving.loading"
OF_SERVING: dict[str, Callable[[], None]] = {
    # the rows are in and averaged, nothing is committed
    "averaged": lambda: after(SERVING, "average_touched"),
    # served; the lake has nothing of it
    "served": lambda: after(COMMIT, "_serve_first"),
    # the lake has it, the ledger has not published it
    "tables_committed": lambda: before(COMMIT, "publish"),
}
"""Of a source with a second store; `tests/rates` dies there."""


def prepare() -> None:
    """Nothing is to be done before the product is imported."""


def run(point: str, arguments: list[str]) -> None:
    """The `strandline` command with these arguments, dying at the point."""
    from cli.main import main

    {**POINTS, **OF_SERVING}[point]()
    main(arguments, prog_name="strandline")


if __name__ == "__main__":
    assert sys.argv[2] == "--", __doc__
    run(sys.argv[1], sys.argv[3:])
