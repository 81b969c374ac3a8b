"""R2 Keys. Batch id: sortable by time, then a hash of its members. Run key = batch id + attempt (Dagster never runs a used run
key again, whatever became of it).

Proven by

- tests/test_dagster_runs.py::test_a_tick_asks_for_one_run_of_one_batch
- tests/test_dagster_runs.py::test_a_run_that_failed_before_it_began_is_followed_by_the_next_attempt
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from resources.ledger.planning import batch_id_for
from resources.platform import Platform
from tests.conftest import Put
from tests.running import next_batch, run, toy


def test_a_batch_id_sorts_by_time_and_tells_its_members() -> None:
    begin = datetime(2026, 2, 28, 23, 59, 59, 999_000, tzinfo=UTC)
    ids = [batch_id_for(["a", "b"], begin + timedelta(milliseconds=step)) for step in range(3)]
    assert ids == sorted(ids)
    assert batch_id_for(["b", "a"], begin) == ids[0]
    assert batch_id_for(["a", "c"], begin) != ids[0]


def test_a_run_key_is_never_used_twice(platform: Platform, put: Put) -> None:
    put("toy/a", toy(1))
    batch = next_batch(platform)
    assert batch.next_run_key == f"{batch.batch_id}/1"
    assert run(platform, batch).batch.next_run_key == f"{batch.batch_id}/2"
