"""The moves between a file's states."""

from __future__ import annotations

import itertools

import pytest
from sqlalchemy import insert, select

from resources.ledger import FileState, Ledger
from resources.ledger.database import utc_now
from resources.ledger.states import MOVES, IllegalMove, move
from resources.ledger.tables import file_history, files
from tests.ledger.conftest import Land, dump

ALL_PAIRS = list(itertools.permutations(FileState, 2))
ILLEGAL = [(before, after) for before, after in ALL_PAIRS if after not in MOVES[before]]
LEGAL = [(before, after) for before, after in ALL_PAIRS if after in MOVES[before]]


def put_file(ledger: Ledger, file_id: str, state: FileState) -> None:
    now = utc_now()
    row = {
        "file_id": file_id, "source": "toy", "store": "folder", "key": file_id, "version": "v", "size_bytes": 1,
        "generation": 0, "landed_at": now, "seen_at": now, "state": state.value, "attempts": 0, "updated_at": now,
    }  # fmt: skip
    with ledger.write() as connection:
        connection.execute(insert(files).values(**row))


def test_every_state_has_its_moves() -> None:
    assert set(MOVES) == set(FileState)
    assert MOVES[FileState.SUPERSEDED] == frozenset()
    assert all(state not in after for state, after in MOVES.items())


def test_what_must_never_happen_is_not_among_the_moves() -> None:
    """Only a run that holds the file decides it; and what is decided is read again, or replaced, or nothing."""
    deciders = {before for before, after in LEGAL if after in {FileState.COMMITTED, FileState.DUPLICATE}}
    assert deciders == {FileState.RUNNING}
    assert {before for before, after in LEGAL if after == FileState.QUARANTINED} <= {
        FileState.RUNNING,
        FileState.WAITING,
    }
    assert FileState.DELETED not in MOVES[FileState.COMMITTED], "rows do not go because a file did"


def test_every_legal_move_is_written_into_the_history(ledger: Ledger) -> None:
    for before, after in LEGAL:
        file_id = f"{before}-{after}"[:24]
        put_file(ledger, file_id, before)
        with ledger.write() as connection:
            move(connection, [file_id], after, at=utc_now(), reason="because", run_id="run-1", batch_id="b")
        with ledger.read() as connection:
            row = connection.execute(select(files).where(files.c.file_id == file_id)).one()
            history = connection.execute(select(file_history).where(file_history.c.file_id == file_id)).one()
        assert (row.state, row.run_id, row.batch_id) == (after, "run-1", "b")
        assert (history.from_state, history.to_state, history.reason) == (before, after, "because")
        assert (history.run_id, history.batch_id) == ("run-1", "b")


def test_every_illegal_move_raises_and_changes_nothing(ledger: Ledger) -> None:
    assert len(ILLEGAL) > 30
    for number, (before, _) in enumerate(ILLEGAL):
        put_file(ledger, f"file-{number}", before)
    put_file(ledger, "movable", FileState.RUNNING)
    unchanged = dump(ledger)
    for number, (before, after) in enumerate(ILLEGAL):
        others = ["movable"] if after in MOVES[FileState.RUNNING] else []
        refused = f"file-{number} cannot move from {before} to {after}"
        with pytest.raises(IllegalMove, match=refused), ledger.write() as connection:
            move(connection, [*others, f"file-{number}"], after, at=utc_now(), reason="", error="x")
    assert dump(ledger) == unchanged


def test_an_illegal_move_late_in_a_long_list_changes_nothing(ledger: Ledger) -> None:
    for number in range(700):
        put_file(ledger, f"{number}", FileState.RUNNING if number < 699 else FileState.SUPERSEDED)
    unchanged = dump(ledger)
    with pytest.raises(IllegalMove), ledger.write() as connection:
        move(connection, [f"{number}" for number in range(700)], FileState.COMMITTED, at=utc_now(), reason="")
    assert dump(ledger) == unchanged


def test_moving_to_the_same_state_sets_columns_and_writes_no_history(ledger: Ledger) -> None:
    put_file(ledger, "a", FileState.RUNNING)
    with ledger.write() as connection:
        move(connection, ["a"], FileState.RUNNING, at=utc_now(), reason="", run_id="run-2")
    with ledger.read() as connection:
        assert connection.scalar(select(files.c.run_id)) == "run-2"
        assert connection.execute(select(file_history)).all() == []


def test_an_unknown_file_raises(ledger: Ledger, land: Land) -> None:
    (known,) = land(a="v")
    unchanged = dump(ledger)
    with pytest.raises(KeyError, match="nosuch"), ledger.write() as connection:
        move(connection, [known, "nosuch"], FileState.RUNNING, at=utc_now(), reason="")
    assert dump(ledger) == unchanged
