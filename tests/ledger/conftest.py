"""A ledger on real SQLite, and short ways to fill it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from resources.ledger import Ledger
from resources.ledger.arrivals import Look, Settled, record_arrivals
from resources.ledger.batches import Claim
from resources.ledger.planning import BatchLimits
from resources.ledger.publishing import Outcome, Refusal, publish, take_commit_turn
from resources.ledger.states import FileState
from resources.ledger.tables import file_history, metadata

SOURCE, STORE = "toy", "folder"
ROOMY = BatchLimits(files=1000, size_bytes=1 << 40)


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    return str(request.getfixturevalue("postgresql"))


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    made = Ledger(ledger_url, schema=f"test_{uuid.uuid4().hex[:12]}")
    yield made
    made.close()


Land = Callable[..., list[str]]


@pytest.fixture
def land(ledger: Ledger) -> Land:
    """Enter whole files, each `key=version` in the order given; the ids of those that are new."""

    def record(*, size: int = 10, mtime_ns: int = 0, **versions: str) -> list[str]:
        arrivals = [Settled(Look(key, size, mtime_ns), version) for key, version in versions.items()]
        return record_arrivals(ledger, SOURCE, STORE, arrivals)

    return record


def dump(ledger: Ledger) -> dict[str, list[Any]]:
    """All the ledger holds, to compare before and after."""
    with ledger.read() as connection:
        return {table.name: list(connection.execute(select(table))) for table in metadata.sorted_tables}


def moves_of(ledger: Ledger, file_id: str) -> list[tuple[str | None, str]]:
    query = select(file_history).where(file_history.c.file_id == file_id).order_by(file_history.c.seq)
    with ledger.read() as connection:
        return [(row.from_state, row.to_state) for row in connection.execute(query)]


def end(ledger: Ledger, claim: Claim, state: FileState = FileState.COMMITTED, **rows: int) -> None:
    """Publish a claim with the same outcome for each of its files."""
    turn = take_commit_turn(ledger, SOURCE, claim.run_id, 10)
    assert turn is not None
    refusal = Refusal("bad", "it is bad") if state == FileState.QUARANTINED else None
    outcomes = [Outcome(file.file_id, state, rows, refusal) for file in claim.files]
    publish(ledger, claim, turn, {"readings": 1}, outcomes)
