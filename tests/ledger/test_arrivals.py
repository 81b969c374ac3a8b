"""Which deliveries are new files (rule R1): identity is store, key, bytes and generation, never time."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from resources.ledger import FileState, Ledger
from resources.ledger.arrivals import Look, Settled, file_identity, forget_looks, known_looks, record_arrivals
from resources.ledger.batches import claim, give_back
from resources.ledger.planning import plan
from resources.ledger.queries import list_files
from resources.ledger.tables import file_history, files
from tests.ledger.conftest import ROOMY, SOURCE, STORE, Land, dump, end, moves_of


def run(ledger: Ledger, state: FileState = FileState.COMMITTED, run_id: str = "run-1") -> None:
    batch = plan(ledger, SOURCE, ROOMY, flush=True)
    assert batch is not None
    rows = {"readings": 2} if state == FileState.COMMITTED else {}
    end(ledger, claim(ledger, batch.batch_id, run_id, 10), state, **rows)


def versions(ledger: Ledger) -> list[tuple[str, str, str]]:
    return [(row.key, row.version, row.state) for row in list_files(ledger)]


def test_a_new_file_is_pending(ledger: Ledger, land: Land) -> None:
    (file_id,) = land(a="v1")
    (row,) = list_files(ledger)
    assert (row.file_id, row.key, row.version, row.state, row.attempts) == (file_id, "a", "v1", "pending", 0)
    assert moves_of(ledger, file_id) == [(None, "pending")]


@pytest.mark.parametrize("state", [None, FileState.COMMITTED, FileState.QUARANTINED])
def test_the_same_bytes_again_are_nothing_new(ledger: Ledger, land: Land, state: FileState | None) -> None:
    land(a="v1", mtime_ns=1)
    if state:
        run(ledger, state)
    before = dump(ledger)
    assert land(a="v1", mtime_ns=2) == []
    after = dump(ledger)
    del before["looks"], after["looks"]
    assert before == after


def test_the_same_bytes_under_another_key_are_another_file(ledger: Ledger, land: Land) -> None:
    assert len(land(a="v1", b="v1")) == 2


def test_bytes_that_return_are_a_new_generation(ledger: Ledger, land: Land) -> None:
    seen = []
    for version in ("A", "B", "A", "B", "A"):
        seen += land(a=version)
        run(ledger)
    assert len(set(seen)) == 5
    with ledger.read() as connection:
        rows = connection.execute(select(files.c.version, files.c.generation).order_by(files.c.seq)).all()
    assert [tuple(row) for row in rows] == [("A", 0), ("B", 0), ("A", 1), ("B", 1), ("A", 2)]


def test_overwritten_before_it_was_read(ledger: Ledger, land: Land) -> None:
    land(a="v1")
    land(a="v2")
    assert versions(ledger) == [("a", "v1", "superseded"), ("a", "v2", "pending")]


def test_overwritten_while_held(ledger: Ledger, land: Land) -> None:
    land(a="v1")
    batch = plan(ledger, SOURCE, ROOMY)
    assert batch is not None
    give_back(ledger, claim(ledger, batch.batch_id, "run-1", 10), "too bad", max_attempts=5, hold=True)
    land(a="v2")
    assert versions(ledger) == [("a", "v1", "superseded"), ("a", "v2", "pending")]


def test_a_committed_or_refused_version_stays_until_the_new_one_commits(ledger: Ledger, land: Land) -> None:
    for state in (FileState.COMMITTED, FileState.QUARANTINED):
        land(**{state: "v1"})
        run(ledger, state)
        land(**{state: "v2"})
        assert versions(ledger)[-2:] == [(state, "v1", state), (state, "v2", "pending")]
        run(ledger)


def test_a_version_that_a_run_reads_is_left_to_that_run(ledger: Ledger, land: Land) -> None:
    land(a="v1")
    batch = plan(ledger, SOURCE, ROOMY)
    assert batch is not None
    claimed = claim(ledger, batch.batch_id, "run-1", 10)
    land(a="v2")
    assert versions(ledger) == [("a", "v1", "running"), ("a", "v2", "pending")]
    end(ledger, claimed, FileState.SUPERSEDED)
    assert versions(ledger) == [("a", "v1", "superseded"), ("a", "v2", "pending")]


def test_a_committed_version_whose_second_run_failed_stays_too(ledger: Ledger, land: Land) -> None:
    land(a="v1")
    batch = plan(ledger, SOURCE, ROOMY)
    assert batch is not None
    end(ledger, claim(ledger, batch.batch_id, "run-1", 10), readings=1)
    give_back(ledger, claim(ledger, batch.batch_id, "run-2", 10), "no connection", max_attempts=5)
    land(a="v2")
    assert versions(ledger) == [("a", "v1", "committed"), ("a", "v2", "pending")]


def test_gone_and_landed_again(ledger: Ledger, land: Land) -> None:
    (first,) = land(a="v1")
    run(ledger, FileState.DELETED)
    assert versions(ledger) == [("a", "v1", "deleted")]
    assert land(a="v1") == []
    (row,) = list_files(ledger)
    assert (row.file_id, row.state, row.batch_id, row.run_id) == (first, "pending", None, None)
    run(ledger, run_id="run-2")
    assert versions(ledger) == [("a", "v1", "committed")]


def test_gone_and_other_bytes_landed(ledger: Ledger, land: Land) -> None:
    land(a="v1")
    run(ledger, FileState.DELETED)
    land(a="v2")
    assert versions(ledger) == [("a", "v1", "superseded"), ("a", "v2", "pending")]


def test_missed_by_a_run_and_landed_again(ledger: Ledger, land: Land) -> None:
    """The run found other bytes; nobody saw those land, and the first ones are back."""
    (first,) = land(a="v1")
    run(ledger, FileState.SUPERSEDED)
    assert known_looks(ledger, SOURCE, STORE) == {}, "the next listing must look anew, whatever the time of the file"
    (second,) = land(a="v1")
    assert second != first
    assert versions(ledger) == [("a", "v1", "superseded"), ("a", "v1", "pending")]


def test_looks_at_other_files_are_kept_when_one_was_missed(ledger: Ledger, land: Land) -> None:
    land(a="v1")
    batch = plan(ledger, SOURCE, ROOMY)
    assert batch is not None
    claimed = claim(ledger, batch.batch_id, "run-1", 10)
    land(a="v2", b="v1")
    end(ledger, claimed, FileState.SUPERSEDED)
    assert set(known_looks(ledger, SOURCE, STORE)) == {"a", "b"}, "a is known to be v2 by now"


def test_identity_has_no_time_in_it(ledger: Ledger, land: Land) -> None:
    (early,) = land(a="v1", mtime_ns=1)
    with ledger.write() as connection:
        connection.execute(delete(files))
        connection.execute(delete(file_history))
    forget_looks(ledger, STORE, ["a"])
    (late,) = land(a="v1", mtime_ns=10**18)
    assert early == late == file_identity(STORE, "a", "v1", 10, 0)


@given(*(st.tuples(st.text(max_size=4), st.text(max_size=4), st.text(max_size=4), st.integers(0, 99), st.integers(0, 3)) for _ in "ab"))  # fmt: skip
def test_different_files_have_different_ids(
    one: tuple[str, str, str, int, int], other: tuple[str, str, str, int, int]
) -> None:
    if not any("\0" in text for text in (*one[:3], *other[:3])):
        assert (file_identity(*one) == file_identity(*other)) == (one == other)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from("ABC"), min_size=1, max_size=8), st.lists(st.booleans(), min_size=8, max_size=8))
def test_the_last_bytes_of_a_key_are_always_the_ones_to_be_read(
    ledger: Ledger, deliveries: list[str], runs: list[bool]
) -> None:
    key = f"key-{len(list_files(ledger))}"
    for version, reads in zip(deliveries, runs, strict=False):
        record_arrivals(ledger, SOURCE, STORE, [Settled(Look(key, 1, 0), version)])
        if reads and any(row.state == "pending" for row in list_files(ledger, key_contains=key)):
            run(ledger, run_id=f"run-{version}")
    mine = list_files(ledger, key_contains=key)
    assert mine[-1].version == deliveries[-1]
    assert mine[-1].state in {"pending", "committed"}
    changes = 1 + sum(one != other for one, other in itertools.pairwise(deliveries))
    assert len(mine) == changes
    assert sum(row.state == "pending" for row in mine) <= 1


def test_more_arrivals_than_fit_one_statement(ledger: Ledger) -> None:
    arrivals = [Settled(Look(f"k{number}", 1, 0), "v") for number in range(1700)]
    assert len(set(record_arrivals(ledger, SOURCE, STORE, arrivals))) == 1700
    assert record_arrivals(ledger, SOURCE, STORE, arrivals) == []
