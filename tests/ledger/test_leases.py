"""Leases, and what a run that lost one can no longer do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from pipeline_assets.heartbeat import Heartbeat
from resources.ledger import FileState, Ledger
from resources.ledger.batches import Claim, claim, free_dead, give_back
from resources.ledger.database import utc_now
from resources.ledger.leases import Lease, LeaseLost, acquire, check, drop, is_dead, is_live, renew, this_process
from resources.ledger.planning import plan
from resources.ledger.publishing import Outcome, end_commit_turn, publish, published_snapshots, take_commit_turn
from resources.ledger.tables import leases
from tests.ledger.conftest import ROOMY, SOURCE, Land, dump


def take(ledger: Ledger, owner: str, seconds: float = 10, name: str = "thing") -> Lease | None:
    with ledger.write() as connection:
        return acquire(connection, name, owner, seconds)


def expire(ledger: Ledger) -> None:
    with ledger.write() as connection:
        connection.execute(update(leases).values(expires_at=utc_now() - timedelta(seconds=1)))


def holds(ledger: Ledger, lease: Lease | None) -> bool:
    assert lease is not None
    with ledger.read() as connection:
        try:
            check(connection, lease)
        except LeaseLost:
            return False
    return True


def test_one_owner_at_a_time(ledger: Ledger) -> None:
    first = take(ledger, "run-1")
    assert take(ledger, "run-2") is None
    assert take(ledger, "run-2", name="other thing") is not None
    assert holds(ledger, first)


def test_the_owner_takes_it_again_with_the_same_fence(ledger: Ledger) -> None:
    assert take(ledger, "run-1") == take(ledger, "run-1")


def test_an_expired_lease_goes_to_the_next_with_a_higher_fence(ledger: Ledger) -> None:
    first = take(ledger, "run-1")
    expire(ledger)
    assert holds(ledger, first), "late, but nobody else came"
    second = take(ledger, "run-2")
    assert first is not None
    assert second is not None
    assert second.fence > first.fence
    assert not holds(ledger, first)
    with pytest.raises(LeaseLost, match="lease thing of run run-1 is gone; run run-2 holds it now"):
        renew(ledger, first, 10)


def test_fences_grow_also_when_the_lease_was_dropped_in_between(ledger: Ledger) -> None:
    first = take(ledger, "run-1")
    assert first is not None
    with ledger.write() as connection:
        drop(connection, first)
    time.sleep(0.002)
    again = take(ledger, "run-1")
    assert again is not None
    assert again.fence > first.fence
    assert not holds(ledger, first)


def test_dropping_a_lost_lease_leaves_the_owner_s(ledger: Ledger) -> None:
    first = take(ledger, "run-1")
    expire(ledger)
    second = take(ledger, "run-2")
    assert first is not None
    with ledger.write() as connection:
        drop(connection, first)
    assert holds(ledger, second)


def test_the_same_run_in_another_process_takes_over(ledger: Ledger) -> None:
    """A run that is resumed has the same id; its first process, if it still lives, is fenced off."""
    first = take(ledger, "run-1")
    with ledger.write() as connection:
        connection.execute(update(leases).values(process="other-host/1/1"))
    second = take(ledger, "run-1")
    assert second is not None
    assert not holds(ledger, first)
    assert holds(ledger, second)


def test_renewing_moves_the_end(ledger: Ledger) -> None:
    lease = take(ledger, "run-1", seconds=0.01)
    assert lease is not None
    renew(ledger, lease, 60)
    with ledger.read() as connection:
        assert connection.scalar(select(leases.c.expires_at)) > utc_now() + timedelta(seconds=50)
        assert is_live(connection, "thing")
        assert not is_live(connection, "nothing")


def test_processes_that_are_dead() -> None:
    host, pid, started = this_process().rsplit("/", 2)
    assert int(pid) == os.getpid()
    assert not is_dead(this_process())
    assert is_dead(f"{host}/{pid}/{int(started) - 1}"), "another process has this number now"
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    fields = open(f"/proc/{child.pid}/stat").read().rpartition(")")[2].split()  # noqa: SIM115
    name = f"{host}/{child.pid}/{fields[19]}"
    assert not is_dead(name)
    child.kill()
    deadline = time.monotonic() + 5
    while not is_dead(name) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert is_dead(name), "a zombie is dead"
    child.communicate()
    assert is_dead(name)
    assert not is_dead(f"some-other-host/{child.pid}/{fields[19]}"), "nobody can tell from here"


# --- fencing


@pytest.fixture
def lost(ledger: Ledger, land: Land) -> Claim:
    """The claim of a run that gave no sign for too long, after which another run took the batch."""
    land(a="v")
    batch = plan(ledger, SOURCE, ROOMY)
    assert batch is not None
    claimed = claim(ledger, batch.batch_id, "run-1", 10)
    expire(ledger)
    claim(ledger, batch.batch_id, "run-2", 10)
    return claimed


def test_a_run_that_lost_its_batch_cannot_publish(ledger: Ledger, lost: Claim) -> None:
    turn = take_commit_turn(ledger, SOURCE, "run-1", 10)
    assert turn is not None
    before = dump(ledger)
    outcomes = [Outcome(file.file_id, FileState.COMMITTED, {"readings": 1}) for file in lost.files]
    with pytest.raises(LeaseLost, match="run-2 holds it now"):
        publish(ledger, lost, turn, {"readings": 7}, outcomes)
    assert dump(ledger) == before
    assert published_snapshots(ledger, SOURCE) == {}


def test_a_run_that_lost_its_batch_cannot_give_it_back(ledger: Ledger, lost: Claim) -> None:
    before = dump(ledger)
    with pytest.raises(LeaseLost):
        give_back(ledger, lost, "error", max_attempts=5)
    assert dump(ledger) == before


def test_a_run_that_lost_its_turn_cannot_publish(ledger: Ledger, land: Land) -> None:
    land(a="v")
    batch = plan(ledger, SOURCE, ROOMY)
    assert batch is not None
    claimed = claim(ledger, batch.batch_id, "run-1", 10)
    turn = take_commit_turn(ledger, SOURCE, "run-1", 10)
    assert turn is not None
    with ledger.write() as connection:
        connection.execute(
            update(leases).where(leases.c.name == turn.name).values(expires_at=utc_now() - timedelta(seconds=1))
        )
    assert take_commit_turn(ledger, SOURCE, "run-2", 10) is not None
    before = dump(ledger)
    with pytest.raises(LeaseLost, match="commit:toy"):
        publish(ledger, claimed, turn, {"readings": 7}, [])
    end_commit_turn(ledger, turn)
    assert dump(ledger) == before
    give_back(ledger, claimed, "lost its turn", max_attempts=5)


def test_publishing_ends_both_leases(ledger: Ledger, land: Land) -> None:
    land(a="v")
    batch = plan(ledger, SOURCE, ROOMY)
    assert batch is not None
    claimed = claim(ledger, batch.batch_id, "run-1", 10)
    turn = take_commit_turn(ledger, SOURCE, "run-1", 10)
    assert turn is not None
    publish(ledger, claimed, turn, {"readings": 7}, [Outcome(claimed.files[0].file_id, FileState.COMMITTED)])
    assert dump(ledger)["leases"] == []
    assert published_snapshots(ledger, SOURCE) == {"readings": 7}


# --- heartbeat


def test_a_heartbeat_keeps_leases_and_stops_when_told(ledger: Ledger) -> None:
    lease = take(ledger, "run-1", seconds=0.5)
    assert lease is not None
    with Heartbeat(ledger, 0.5) as heartbeat:
        heartbeat.keep(lease)
        time.sleep(0.8)
        assert take(ledger, "run-2") is None
        heartbeat.stop()
        time.sleep(0.55)
        assert take(ledger, "run-2") is not None


def test_a_heartbeat_lets_go_of_a_lost_lease(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    lease, kept = take(ledger, "run-1"), take(ledger, "run-1", name="kept")
    assert lease is not None
    assert kept is not None
    expire(ledger)
    other = take(ledger, "run-2")
    with Heartbeat(ledger, 0.09) as heartbeat:
        heartbeat.keep(lease)
        heartbeat.keep(kept)
        time.sleep(0.15)
    assert holds(ledger, other)
    assert holds(ledger, kept)
    assert caplog.text.count("run run-2 holds it now") == 1


@pytest.mark.parametrize("max_attempts", [1, 5])
def test_a_run_that_was_only_silent_finds_that_its_batch_was_taken_back(
    ledger: Ledger, land: Land, max_attempts: int
) -> None:
    (file_id,) = land(a="1")
    batch = plan(ledger, SOURCE, ROOMY, flush=True)
    assert batch is not None
    mine = claim(ledger, batch.batch_id, "run-1", 10)
    expire(ledger)
    free_dead(ledger, SOURCE, max_attempts)
    turn = take_commit_turn(ledger, SOURCE, "run-1", 10)
    assert turn is not None
    before = dump(ledger)
    with pytest.raises(LeaseLost, match="nobody holds it now"):
        publish(ledger, mine, turn, {}, [Outcome(file_id, FileState.COMMITTED)])
    with pytest.raises(LeaseLost):
        give_back(ledger, mine, "its own end", max_attempts=max_attempts, hold=True)
    assert dump(ledger) == before
