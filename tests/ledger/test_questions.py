"""What people ask the ledger: the right files, and found by index, whatever else there is."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from sqlalchemy import insert, update

from resources.ledger import FileState, Ledger
from resources.ledger.arrivals import Look, Settled, record_arrivals
from resources.ledger.database import utc_now
from resources.ledger.publishing import all_published
from resources.ledger.queries import count_by_state, find_files, list_files
from resources.ledger.tables import files, publications
from resources.platform import Platform
from tests.ledger.plans import plans

STATES = (FileState.COMMITTED, FileState.QUARANTINED, FileState.PENDING)


@pytest.fixture
def ledger(platform: Platform) -> Ledger:
    """Thirty files of two sources, in three states by turns."""
    for number in range(30):
        source = "toy" if number % 2 else "other"
        record_arrivals(
            platform.ledger, source, "folder", [Settled(Look(f"{source}/{number}", 1, number), f"v{number}")]
        )
    with platform.ledger.write() as connection:
        for seq in range(1, 31):
            connection.execute(update(files).where(files.c.seq == seq).values(state=STATES[seq % 3]))
    return platform.ledger


def test_the_newest_files(ledger: Ledger) -> None:
    every = list_files(ledger)
    assert len(every) == 30
    for source, state, limit in product(
        (None, "toy", "other", "nobody"), (None, "committed", "pending", "held"), (None, 1, 4, 100)
    ):
        wanted = [row for row in every if (source in {None, row.source}) and (state in {None, row.state})]
        found = list_files(ledger, source=source, state=state, limit=limit)
        assert found == wanted[-limit if limit else 0 :], (source, state, limit)


def test_counts(ledger: Ledger) -> None:
    for source in (None, "toy"):
        every = Counter(row.state for row in list_files(ledger, source=source))
        assert count_by_state(ledger, source) == every
        assert count_by_state(ledger, source, most=100) == every
    assert count_by_state(ledger, "toy", most=2) == {"committed": 2, "quarantined": 2, "pending": 2}


def test_files_by_key_id_and_last_parts(ledger: Ledger) -> None:
    record_arrivals(ledger, "toy", "s3://bucket", [Settled(Look("toy/1", 1, 1), "v")])
    in_folder, in_bucket = (row.file_id for row in list_files(ledger) if row.key == "toy/1")
    assert find_files(ledger, "toy/1") == [in_folder, in_bucket], "every store, the oldest first"
    assert find_files(ledger, in_bucket) == [in_bucket]
    assert find_files(ledger, "1") == [in_folder, in_bucket]
    assert find_files(ledger, "oy/1") == []
    assert find_files(ledger, "%") == []


def test_nothing_is_gone_through_as_a_whole(ledger: Ledger) -> None:
    with ledger.write() as connection:
        row = {"source": "toy", "batch_id": "b", "run_id": "r", "snapshots": {"readings": 1}, "published_at": utc_now()}
        connection.execute(insert(publications).values(**row))
    asked: dict[str, Callable[[], Any]] = {
        "source": lambda: list_files(ledger, source="toy", limit=5),
        "state": lambda: list_files(ledger, state="committed", limit=5),
        "both": lambda: list_files(ledger, source="toy", state="committed", limit=5),
        "batch": lambda: list_files(ledger, batch_id="b", limit=5),
        "counts": lambda: count_by_state(ledger, most=5),
        "key": lambda: find_files(ledger, "toy/1"),
        "last part of a key": lambda: find_files(ledger, "1"),
        "published": lambda: all_published(ledger),
    }
    for name, ask in asked.items():
        steps = plans(ledger, ask)
        assert not [step for step in steps if re.match("SCAN (?!anon)", step)], (name, steps)
        # A search by the source alone goes through all of its files.
        assert not [step for step in steps if step.endswith("files_source_state_seq (source=?)")], (name, steps)
    everything = plans(ledger, lambda: list_files(ledger, key_contains="1"))
    assert [step for step in everything if step.startswith("SCAN files")], "what the test looks for would not be found"
