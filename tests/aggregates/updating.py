"""Ways to update the toy source's aggregate, and what must hold after each update."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from pipeline_assets.aggregate import Aggregate
from pipeline_assets.aggregate_run import (
    AggregateReport,
    is_behind,
    recompute_sample,
    update_aggregate,
)
from pipeline_assets.source import FileSource, NoConfig
from resources.lake import lake as lake_module
from resources.ledger.aggregates import snapshots_in_use
from resources.ledger.publishing import published_snapshots
from resources.platform import Platform
from tests.conftest import Put
from tests.running import look_and_run, rows_of, visible
from tests.toy_source import BY_VALUE, TOY

_run_numbers = iter(range(1_000_000))


def next_number() -> int:
    """No two runs of a test have the same id."""
    return next(_run_numbers)


def update(
    platform: Platform, aggregate: Aggregate = BY_VALUE, source: FileSource = TOY, **options: Any
) -> AggregateReport:
    said: list[str] = []
    run_id = f"aggregate-{next_number()}"
    return update_aggregate(platform, source, aggregate, NoConfig(), run_id, said.append, **options)


def land_and_run(platform: Platform, put: Put, **files: str) -> None:
    for key, content in files.items():
        put(f"toy/{key}", content)
    look_and_run(platform, f"run-{next_number()}")


def shown(platform: Platform) -> dict[float, tuple[int, int]]:
    """What SQL shows: by value, how many readings, and the highest number of one."""
    rows = rows_of(platform, "SELECT value, readings, latest FROM toy.by_value")
    assert len(rows) == len({row[0] for row in rows}), "a key has two rows"
    return {value: (readings, latest) for value, readings, latest in rows}


def expected(platform: Platform) -> dict[float, tuple[int, int]]:
    """The same from the readings that SQL shows, counted here."""
    counts: Counter[float] = Counter()
    latest: dict[float, int] = {}
    for values in visible(platform).values():
        for n, value in enumerate(values):
            counts[value] += 1
            latest[value] = max(n, latest.get(value, 0))
    return {value: (counts[value], latest[value]) for value in counts}


def behind(platform: Platform, aggregate: Aggregate = BY_VALUE) -> bool:
    return is_behind(platform, TOY, aggregate, NoConfig()) is not None


def assert_up_to_date(platform: Platform) -> None:
    assert shown(platform) == expected(platform)
    assert not behind(platform)
    found = recompute_sample(platform, TOY, BY_VALUE, NoConfig(), 1000, "seed")
    assert found is not None
    assert (found.differing, found.keys_without_rows, found.rows) == ((), 0, len(expected(platform)))


def forget_old_snapshots(platform: Platform) -> None:
    """As after a long time: all snapshots are expired that nobody uses."""
    published = published_snapshots(platform.ledger, "toy")
    used = snapshots_in_use(platform.ledger, "toy", ["by_value"])
    for name in ("readings", "by_value"):
        if published.get(name) is not None:
            table = platform.lake.catalog.load_table(("toy", name))
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(lake_module, "_SNAPSHOTS_BEFORE_EXPIRY", 0)
                patched.setattr(lake_module, "_SNAPSHOT_AGE", lake_module._SNAPSHOT_AGE * 0)
                lake_module._expire(table, {published[name], *used.get(name, ())})
