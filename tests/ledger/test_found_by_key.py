"""Files found by what their keys have in them: the right ones on both databases, and without going through all of them."""

from __future__ import annotations

import random
import re

import pytest
from sqlalchemy import text

from resources.ledger import Ledger
from resources.ledger import queries as asked
from resources.ledger.arrivals import Look, Settled, record_arrivals
from resources.ledger.health import health
from resources.ledger.queries import find_files, list_files, search_keys
from tests.ledger.plans import plans

KEYS = [
    "toy/a.csv", "toy/a.csv.metadata.json", "toy/b/a.csv", "toy/b/c/a.csv", "toy/b/ba.csv", "other/toy/a.csv", "other/b/", "toy/100%",
    "toy/100_", "toy/1000", r"toy/back\\slash", "toy/\u00e9t\u00e9", "toy/\U0001f600", "toy//double", "toy/b/b/b", "other/it's",
]  # fmt: skip
PARTS = [
    "toy/", "toy/a", "toy/a.csv", "toy/b", "toy/b/", "toy/100%", "toy/100_", "other/", "other/toy/", "nothing/", "a.csv", "b/a.csv",
    "c/a.csv", "b", "b/", "%", "_", "100", "\\", "slash", "\u00e9t\u00e9", "t\u00e9", "\U0001f600", "/", "//", "double", "it's", "nothing",
]  # fmt: skip


@pytest.fixture
def keys(ledger: Ledger) -> list[str]:
    """Of files in the order in which they became known; some keys have several versions."""
    order = random.Random(7)
    landed = KEYS + order.choices(KEYS, k=len(KEYS))
    order.shuffle(landed)
    for number, key in enumerate(landed):
        settled = Settled(Look(key, 1, number), f"v{number}")
        record_arrivals(ledger, key.partition("/")[0], "folder", [settled])
    return landed


@pytest.mark.parametrize("many", [1, 100])
@pytest.mark.parametrize("looked_through", [8, 1000])
def test_files_whose_keys_contain_a_text(
    ledger: Ledger, keys: list[str], monkeypatch: pytest.MonkeyPatch, many: int, looked_through: int
) -> None:
    monkeypatch.setattr(asked, "_MANY", many)
    monkeypatch.setattr(asked, "_LOOKED_THROUGH", looked_through)
    for part in PARTS:
        for limit, source in ((3, None), (100, None), (2, "toy"), (100, "other")):
            mine = [(n, key) for n, key in enumerate(keys) if source in {None, key.partition("/")[0]}]
            if part.startswith(("toy/", "other/")):
                wanted, rest = [(n, key) for n, key in mine if key.startswith(part)], None
            else:
                newest = [(n, key) for n, key in mine if part in key and n >= len(keys) - looked_through]
                is_all = len(newest) >= limit or looked_through >= len(keys)
                by_end = [] if is_all else [(n, key) for n, key in mine if key.endswith(f"/{part}")]
                wanted, rest = sorted({*newest, *by_end}), None if is_all else looked_through
            found = search_keys(ledger, part, limit=limit, source=source)
            assert [row.key for row in found.rows] == [key for _, key in wanted][-limit:], (part, limit, source)
            assert found.looked_through == rest, (part, limit, source)
    committed = search_keys(ledger, "toy/a", limit=5, state="committed")
    assert (committed.rows, search_keys(ledger, "a", limit=5, state="committed").rows) == ([], [])


def test_files_by_the_last_parts_of_a_key(ledger: Ledger, keys: list[str]) -> None:
    ids = [(row.file_id, row.key) for row in list_files(ledger)]
    for part in (*PARTS, *KEYS):
        whole = [file_id for file_id, key in ids if key == part]
        wanted = whole or [file_id for file_id, key in ids if key.endswith(f"/{part}")]
        assert find_files(ledger, part) == wanted, part


def uses(steps: list[str], index: str) -> bool:
    return any(index in step for step in steps)


def test_keys_are_found_by_index(ledger: Ledger, keys: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = r"^SCAN (?!anon|\(subquery|CONSTANT)|Seq Scan"
    for ask, index in (
        (lambda: find_files(ledger, "toy/b/a.csv"), "ix_files_store_key_seq"),
        (lambda: find_files(ledger, "a.csv"), "ix_files_last_part"),
        (lambda: search_keys(ledger, "toy/a.csv", limit=5, source="toy"), "ix_files_store_key_seq"),
    ):
        steps = plans(ledger, ask)
        assert uses(steps, index), (index, steps)
        assert not [step for step in steps if re.search(whole, step)], steps
    monkeypatch.setattr(asked, "_LOOKED_THROUGH", 8)
    steps = plans(ledger, lambda: search_keys(ledger, "a.csv", limit=100, source="toy"))
    assert uses(steps, "ix_files_last_part"), steps
    assert not [step for step in steps if re.search(whole, step)], steps
    everything = plans(ledger, lambda: list_files(ledger, key_contains="a.csv"))
    assert [step for step in everything if re.search("^SCAN files|files", step)], (
        "what is looked for would not be found"
    )


def test_a_key_s_beginning_is_found_by_index_whatever_the_collation(ledger: Ledger, keys: list[str]) -> None:
    if ledger.engine.dialect.name != "postgresql":
        pytest.skip("SQLite compares keys byte by byte")
    with ledger.read() as connection:
        (made,) = connection.scalars(text("SELECT indexdef FROM pg_indexes WHERE indexname = 'ix_files_store_key_seq'"
                                          " AND schemaname = current_schema()"))  # fmt: skip
    assert "text_pattern_ops" in made


def test_status_does_not_go_through_finished_batches(ledger: Ledger, keys: list[str]) -> None:
    steps = plans(ledger, lambda: health(ledger, "toy"))
    recent = [step for step in steps if re.search(r"updated_at\s*>", step)]
    assert len(recent) >= 3, steps
    assert uses(steps, "ix_batches_source_state_updated_at"), steps
    assert not [step for step in steps if re.search(r"^SCAN (?!sweeps)|Seq Scan", step)], steps
