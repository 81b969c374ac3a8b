"""R1 Identity: what other bytes under a known key are, and equal bytes under another, is declared by the source."""

from __future__ import annotations

import dataclasses

import pytest

from resources.ledger.queries import list_files, tell
from resources.ledger.replay import RefusedFilter, replay
from resources.platform import Platform
from tests.conftest import Put
from tests.running import all_states, look_and_run, next_batch, rows_of, run, toy
from tests.toy_source import TOY

NEW = dataclasses.replace(TOY, overwrite="new")
ONCE = dataclasses.replace(TOY, overwrite="new", equal_bytes="duplicate")


def values(platform: Platform) -> list[float]:
    return [value for (value,) in rows_of(platform, "SELECT value FROM toy.readings ORDER BY 1")]


def test_by_default_other_bytes_replace_and_equal_bytes_are_a_file_of_their_own(platform: Platform, put: Put) -> None:
    put("toy/a", toy(1))
    put("toy/same", toy(1))
    look_and_run(platform)
    put("toy/a", toy(2))
    look_and_run(platform, "run-2")
    assert values(platform) == [1, 2]


def test_new_other_bytes_are_a_delivery_beside_the_older_one(platform: Platform, put: Put) -> None:
    for number, content in enumerate((toy(1), toy(2), toy(1))):
        put("toy/a", content)
        look_and_run(platform, f"run-{number}", source=NEW)
    assert values(platform) == [1, 1, 2], "A, B and A again are three deliveries"
    assert all_states(platform) == {("toy/a", "committed"): 3}


def test_new_the_same_bytes_seen_again_change_nothing(platform: Platform, put: Put) -> None:
    put("toy/a", toy(1))
    look_and_run(platform, source=NEW)
    put("toy/a", toy(1))
    with pytest.raises(AssertionError, match="nothing to do"):
        look_and_run(platform, source=NEW)


def test_new_bytes_that_were_overwritten_before_they_were_read_are_told(platform: Platform, put: Put) -> None:
    put("toy/a", toy(1))
    first = next_batch(platform, NEW)
    put("toy/a", toy(2))
    run(platform, first, source=NEW)
    look_and_run(platform, source=NEW)
    assert values(platform) == [2]
    assert all_states(platform) == {("toy/a", "superseded"): 1, ("toy/a", "committed"): 1}


def test_duplicate_equal_bytes_are_committed_once_under_any_name(platform: Platform, put: Put) -> None:
    put("toy/a", toy(1))
    put("toy/b", toy(2))
    put("toy/copy", toy(1))
    report = look_and_run(platform, source=ONCE)
    assert (report.committed, report.rows) == (2, {"readings": 2, "files": 2})
    put("toy/later", toy(2))
    put("toy/other", toy(3))
    look_and_run(platform, "run-2", source=ONCE)
    assert values(platform) == [1, 2, 3]
    assert {key for key, state in all_states(platform) if state == "duplicate"} == {"toy/copy", "toy/later"}
    (later,) = (row for row in list_files(platform.ledger) if row.key == "toy/later")
    assert tell(platform.ledger, later.file_id).history[-1].reason == "the same bytes are committed as toy/b"
    assert rows_of(platform, "SELECT count(DISTINCT source_key) FROM toy.files") == [(3,)]


def test_duplicate_doing_the_first_again_leaves_it_the_first(platform: Platform, put: Put) -> None:
    put("toy/a", toy(1))
    batch = next_batch(platform, ONCE)
    run(platform, batch, source=ONCE)
    put("toy/copy", toy(1))
    look_and_run(platform, "run-2", source=ONCE)
    run(platform, batch, "run-3", source=ONCE)
    assert values(platform) == [1]
    assert all_states(platform) == {("toy/a", "committed"): 1, ("toy/copy", "duplicate"): 1}


def test_duplicate_equal_bytes_of_a_refused_file_are_refused_not_a_duplicate(platform: Platform, put: Put) -> None:
    put("toy/a", toy("rubbish"))
    look_and_run(platform, source=ONCE)
    put("toy/copy", toy("rubbish"))
    look_and_run(platform, "run-2", source=ONCE)
    assert {state for _, state in all_states(platform)} == {"quarantined"}
    assert len(replay(platform.ledger, RefusedFilter(source="toy"))) == 2


def test_a_declaration_that_would_lose_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="equal_bytes=`duplicate` goes with overwrite=`new`"):
        dataclasses.replace(TOY, equal_bytes="duplicate")
