"""Batches: planned within limits, claimed by one run at a time, given back, freed, held and released."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from resources.ledger import FileState, Ledger
from resources.ledger.batches import (
    Batch,
    BatchBusy,
    BatchState,
    NotClaimed,
    UnknownBatch,
    claim,
    count_lost_request,
    due,
    free_dead,
    get_batch,
    give_back,
    live,
    release,
)
from resources.ledger.database import utc_now
from resources.ledger.planning import BatchLimits, batch_id_for, plan
from resources.ledger.queries import count_by_state, count_states_of_batch, list_files
from resources.ledger.tables import batches, files, leases
from tests.ledger.conftest import ROOMY, SOURCE, Land, dump, end, moves_of

ROOT = Path(__file__).parents[2]


def planned(ledger: Ledger, limits: BatchLimits = ROOMY) -> Batch:
    batch = plan(ledger, SOURCE, limits, flush=True)
    assert batch is not None
    return batch


def plan_all(ledger: Ledger, limits: BatchLimits) -> list[list[str]]:
    """Plan and run batch after batch; the keys of each."""
    made = []
    while batch := plan(ledger, SOURCE, limits, flush=True):
        claimed = claim(ledger, batch.batch_id, "run", 10)
        assert (batch.files, batch.size_bytes) == (len(claimed.files), sum(f.size_bytes for f in claimed.files))
        made.append([file.key for file in claimed.files])
        end(ledger, claimed)
    return made


# --- planning


def test_nothing_pending_is_no_batch(ledger: Ledger) -> None:
    assert plan(ledger, SOURCE, ROOMY, flush=True) is None


def test_a_batch_is_full_at_its_most_files(ledger: Ledger, land: Land) -> None:
    land(**dict.fromkeys("abcde", "v"))
    assert plan_all(ledger, BatchLimits(2, 1000)) == [["a", "b"], ["c", "d"], ["e"]]


def test_a_batch_is_full_at_its_most_bytes(ledger: Ledger, land: Land) -> None:
    land(size=40, **dict.fromkeys("abc", "v"))
    assert plan_all(ledger, BatchLimits(10, 100)) == [["a", "b"], ["c"]]


def test_a_larger_file_is_a_batch_of_its_own(ledger: Ledger, land: Land) -> None:
    land(size=10, a="v")
    land(size=1000, b="v")
    land(size=10, c="v")
    assert plan_all(ledger, BatchLimits(10, 100)) == [["a"], ["b"], ["c"]]


def test_oldest_first(ledger: Ledger, land: Land) -> None:
    for key in "cab":
        land(**{key: "v"})
    assert plan_all(ledger, BatchLimits(1, 1000)) == [["c"], ["a"], ["b"]]


def test_a_batch_that_is_not_full_waits(ledger: Ledger, land: Land) -> None:
    land(a="v", b="v")
    waits = BatchLimits(3, 1000, seconds=60)
    assert plan(ledger, SOURCE, waits) is None
    with ledger.write() as connection:
        connection.execute(update(files).where(files.c.key == "a").values(seen_at=utc_now() - timedelta(seconds=61)))
    batch = plan(ledger, SOURCE, waits)
    assert batch is not None
    assert batch.files == 2, "who came later goes with it"


@pytest.mark.parametrize("limits", [BatchLimits(2, 1000, 60), BatchLimits(10, 25, 60)])
def test_a_full_batch_does_not_wait(ledger: Ledger, land: Land, limits: BatchLimits) -> None:
    land(a="v", b="v", c="v")
    batch = plan(ledger, SOURCE, limits)
    assert batch is not None
    assert batch.files == 2


def test_flush_does_not_wait(ledger: Ledger, land: Land) -> None:
    land(a="v")
    assert plan(ledger, SOURCE, BatchLimits(10, 1000, 60), flush=True) is not None


def test_no_second_batch_while_one_waits(ledger: Ledger, land: Land) -> None:
    land(a="v")
    batch = planned(ledger)
    land(b="v")
    assert plan(ledger, SOURCE, ROOMY, flush=True) is None
    claim(ledger, batch.batch_id, "run-1", 10)
    second = planned(ledger)
    assert [row.key for row in list_files(ledger, batch_id=second.batch_id)] == ["b"]


def test_sources_do_not_wait_for_each_other(ledger: Ledger, land: Land) -> None:
    land(a="v")
    planned(ledger)
    with ledger.write() as connection:
        connection.execute(update(batches).values(source="other"))
    land(b="v")
    assert plan(ledger, SOURCE, ROOMY) is not None


def test_a_batch_id_sorts_by_time_and_names_its_members() -> None:
    early = datetime(2024, 5, 6, 7, 8, 9, 500_000, UTC)
    ids = [batch_id_for(["b", "a"], early + timedelta(milliseconds=step)) for step in (0, 1, 1000, 86_400_000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 4
    assert batch_id_for(["a", "b"], early) == batch_id_for(["b", "a"], early) != batch_id_for(["a", "c"], early)
    assert ids[0].startswith("20240506T070809500-")
    assert len(ids[0]) <= 64


# --- claiming


def test_claiming_gives_the_files_and_counts_the_attempt(ledger: Ledger, land: Land) -> None:
    (file_id, _) = land(b="v", a="v")
    batch = planned(ledger)
    claimed = claim(ledger, batch.batch_id, "run-1", 10)
    assert [file.key for file in claimed.files] == ["a", "b"]
    assert (claimed.batch.state, claimed.batch.attempt, claimed.batch.run_id) == (BatchState.RUNNING, 1, "run-1")
    assert batch.next_run_key == f"{batch.batch_id}/1"
    assert claimed.batch.next_run_key == f"{batch.batch_id}/2"
    assert moves_of(ledger, file_id) == [(None, "pending"), ("pending", "running")]
    assert {(row.run_id, row.attempts) for row in list_files(ledger)} == {("run-1", 1)}
    assert [one.batch_id for one in live(ledger, SOURCE)] == [batch.batch_id]
    assert due(ledger, SOURCE) == []


def test_claiming_again_by_the_same_run_gives_the_same(ledger: Ledger, land: Land) -> None:
    land(a="v")
    batch = planned(ledger)
    assert claim(ledger, batch.batch_id, "run-1", 10) == claim(ledger, batch.batch_id, "run-1", 10)
    assert list_files(ledger)[0].attempts == 1


def test_a_batch_that_a_live_run_has_is_busy(ledger: Ledger, land: Land) -> None:
    land(a="v")
    batch = planned(ledger)
    claim(ledger, batch.batch_id, "run-1", 10)
    before = dump(ledger)
    with pytest.raises(BatchBusy, match=f"Batch {batch.batch_id} is being worked on by run run-1"):
        claim(ledger, batch.batch_id, "run-2", 10)
    assert dump(ledger) == before


def test_claiming_an_attempt_that_another_run_made(ledger: Ledger, land: Land) -> None:
    land(a="v")
    batch = planned(ledger)
    end(ledger, claim(ledger, batch.batch_id, "run-1", 10, attempt=1))
    before = dump(ledger)
    with pytest.raises(BatchBusy, match=f"Attempt 1 of batch {batch.batch_id} was made by run run-1"):
        claim(ledger, batch.batch_id, "run-2", 10, attempt=1)
    assert dump(ledger) == before
    assert claim(ledger, batch.batch_id, "run-2", 10, attempt=2).batch.attempt == 2


def test_a_finished_batch_is_claimed_with_what_it_still_owns(ledger: Ledger, land: Land) -> None:
    land(stays="v", overwritten="v")
    batch = planned(ledger)
    end(ledger, claim(ledger, batch.batch_id, "run-1", 10), readings=1)
    land(overwritten="v2")
    second = claim(ledger, planned(ledger).batch_id, "run-2", 10)
    with ledger.write() as connection:
        connection.execute(
            update(files).where(files.c.key == "overwritten", files.c.version == "v").values(state="superseded")
        )
    again = claim(ledger, batch.batch_id, "run-3", 10)
    assert [file.key for file in again.files] == ["stays"]
    assert [file.version for file in second.files] == ["v2"]


def test_superseded_and_deleted_files_are_not_claimed(ledger: Ledger, land: Land) -> None:
    land(a="v", b="v")
    batch = planned(ledger)
    land(a="v2")
    assert [file.key for file in claim(ledger, batch.batch_id, "run-1", 10).files] == ["b"]


def test_a_deleted_file_that_came_back_belongs_to_its_new_batch(ledger: Ledger, land: Land) -> None:
    land(a="v")
    batch = planned(ledger)
    end(ledger, claim(ledger, batch.batch_id, "run-1", 10), FileState.DELETED)
    assert claim(ledger, batch.batch_id, "run-2", 10).files == ()
    land(a="v")
    second = planned(ledger)
    assert second.batch_id != batch.batch_id
    assert [file.key for file in claim(ledger, second.batch_id, "run-3", 10).files] == ["a"]


def test_an_unknown_batch(ledger: Ledger) -> None:
    for action in (
        lambda: claim(ledger, "by hand", "run-1", 10),
        lambda: get_batch(ledger, "by hand"),
        lambda: release(ledger, "by hand"),
    ):
        with pytest.raises(UnknownBatch, match=r"There is no batch 'by hand'.*strandline drain.*Delete the partition"):
            action()


# --- giving back


def test_a_failed_attempt_waits_longer_each_time_and_is_held_in_the_end(ledger: Ledger, land: Land) -> None:
    land(a="v")
    batch = planned(ledger)
    waits = []
    for attempt in range(1, 4):
        began = utc_now()
        give_back(ledger, claim(ledger, batch.batch_id, f"run-{attempt}", 10), f"error {attempt}", max_attempts=4)
        after = get_batch(ledger, batch.batch_id)
        assert (after.state, after.error) == (BatchState.PLANNED, f"error {attempt}")
        assert after.not_before is not None
        waits.append(round((after.not_before - began).total_seconds()))
        assert due(ledger, SOURCE) == []
        assert len(due(ledger, SOURCE, ignore_backoff=True)) == 1
        assert list_files(ledger)[0].state == "pending"
    assert waits == [5, 10, 20]
    give_back(ledger, claim(ledger, batch.batch_id, "run-4", 10), "error 4", max_attempts=4)
    assert get_batch(ledger, batch.batch_id).state == BatchState.HELD
    (row,) = list_files(ledger)
    assert (row.state, row.error, row.attempts) == ("held", "error 4", 4)
    assert due(ledger, SOURCE, ignore_backoff=True) == []


def test_waiting_has_an_end(ledger: Ledger, land: Land) -> None:
    land(a="v")
    batch = planned(ledger)
    with ledger.write() as connection:
        connection.execute(update(batches).values(attempt=40))
    give_back(ledger, claim(ledger, batch.batch_id, "run", 10), "error", max_attempts=100)
    not_before = get_batch(ledger, batch.batch_id).not_before
    assert not_before is not None
    assert not_before < utc_now() + timedelta(seconds=301)


def test_holding(ledger: Ledger, land: Land) -> None:
    (file_id,) = land(a="v")
    batch = planned(ledger)
    give_back(ledger, claim(ledger, batch.batch_id, "run-1", 10), "too bad", max_attempts=5, hold=True)
    assert get_batch(ledger, batch.batch_id).state == BatchState.HELD
    released = release(ledger, batch.batch_id)
    assert (released.state, released.released, released.error) == (BatchState.PLANNED, True, None)
    assert [one.batch_id for one in due(ledger, SOURCE)] == [batch.batch_id]
    assert moves_of(ledger, file_id)[-2:] == [("running", "held"), ("held", "pending")]
    assert list_files(ledger)[0].error is None


def test_what_was_committed_stays_so_when_a_second_run_fails(ledger: Ledger, land: Land) -> None:
    for hold in (False, True):
        (file_id,) = land(**{f"a{hold}": "v"})
        batch = planned(ledger)
        end(ledger, claim(ledger, batch.batch_id, "run-1", 10), readings=0)
        give_back(ledger, claim(ledger, batch.batch_id, "run-2", 10), "stopped", max_attempts=5, hold=hold)
        assert get_batch(ledger, batch.batch_id).state == (BatchState.HELD if hold else BatchState.PLANNED)
        row = list_files(ledger)[-1]
        assert (row.state, row.error) == ("committed", None)
        assert moves_of(ledger, file_id)[-2:] == [("committed", "running"), ("running", "committed")]
        again = claim(ledger, batch.batch_id, "run-3", 10)
        assert [file.file_id for file in again.files] == [file_id]
        end(ledger, again, readings=0)


def test_only_held_batches_are_released(ledger: Ledger, land: Land) -> None:
    land(a="v")
    batch = planned(ledger)
    with pytest.raises(NotClaimed, match=f"Batch {batch.batch_id} is planned, not held"):
        release(ledger, batch.batch_id)


# --- runs that died


def test_an_expired_lease_frees_the_batch(ledger: Ledger, land: Land) -> None:
    land(a="v")
    batch = planned(ledger)
    claim(ledger, batch.batch_id, "run-1", 10)
    assert free_dead(ledger, SOURCE, 5) == []
    with ledger.write() as connection:
        connection.execute(update(leases).values(expires_at=utc_now() - timedelta(seconds=1)))
    assert [one.batch_id for one in free_dead(ledger, SOURCE, 5)] == [batch.batch_id]
    assert count_by_state(ledger) == {"pending": 1}
    assert "run run-1 ended without a word" in (get_batch(ledger, batch.batch_id).error or "")
    assert len(due(ledger, SOURCE)) == 1, "at once: the run did not fail by itself"
    assert claim(ledger, batch.batch_id, "run-2", 10).batch.attempt == 2


CLAIM_AND_DIE = """
import os, sys
from resources.ledger import Ledger
from resources.ledger.batches import claim
claim(Ledger(sys.argv[1], sys.argv[2]), sys.argv[3], "run-1", 3600)
os.kill(os.getpid(), 9)
"""


def test_a_dead_process_of_this_machine_frees_the_batch_at_once(ledger: Ledger, land: Land) -> None:
    land(a="v")
    batch = planned(ledger)
    done = subprocess.run(
        [sys.executable, "-c", CLAIM_AND_DIE, ledger.url, ledger.schema, batch.batch_id], cwd=ROOT, check=False
    )
    assert done.returncode == -9
    assert get_batch(ledger, batch.batch_id).state == BatchState.RUNNING
    assert live(ledger, SOURCE) == []
    assert len(free_dead(ledger, SOURCE, 5)) == 1
    assert claim(ledger, batch.batch_id, "run-2", 10).files


def test_runs_that_always_die_end_with_a_held_batch(ledger: Ledger, land: Land) -> None:
    land(a="v")
    batch = planned(ledger)
    for attempt in (1, 2):
        claim(ledger, batch.batch_id, f"run-{attempt}", 10)
        with ledger.write() as connection:
            connection.execute(update(leases).values(expires_at=utc_now()))
        free_dead(ledger, SOURCE, 2)
    assert get_batch(ledger, batch.batch_id).state == BatchState.HELD


# --- runs that were asked for and never began


def test_a_lost_request_counts_as_an_attempt(ledger: Ledger, land: Land) -> None:
    land(a="v")
    batch = planned(ledger)
    count_lost_request(ledger, batch, "run failed", max_attempts=3)
    count_lost_request(ledger, batch, "told twice", max_attempts=3)
    after = get_batch(ledger, batch.batch_id)
    assert (after.attempt, after.state, after.error) == (1, BatchState.PLANNED, "run failed")
    count_lost_request(ledger, after, "run failed", max_attempts=2)
    assert get_batch(ledger, batch.batch_id).state == BatchState.HELD
    assert count_by_state(ledger) == {"held": 1}


def test_a_lost_request_of_a_batch_that_was_claimed_meanwhile_is_nothing(ledger: Ledger, land: Land) -> None:
    land(a="v")
    batch = planned(ledger)
    claim(ledger, batch.batch_id, "run-1", 10)
    before = dump(ledger)
    count_lost_request(ledger, batch, "canceled", max_attempts=3, hold=True)
    assert dump(ledger) == before


def test_a_canceled_request_holds_the_files_that_still_wait(ledger: Ledger, land: Land) -> None:
    land(a="v", b="v")
    batch = planned(ledger)
    land(a="v2")
    count_lost_request(ledger, batch, "canceled", max_attempts=3, hold=True)
    assert count_states_of_batch(ledger, batch.batch_id) == {"held": 1, "superseded": 1}
    with ledger.read() as connection:
        assert connection.scalar(select(files.c.state).where(files.c.version == "v2")) == "pending"
