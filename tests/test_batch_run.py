"""What a run makes of a batch, file by file: front door, real reader processes, no Dagster."""

from __future__ import annotations

import dataclasses

import pytest

from pipeline_assets.batch_run import BatchHeld, run_batch
from pipeline_assets.source import NoConfig
from resources.ledger import publishing
from resources.ledger.arrivals import forget_looks
from resources.ledger.batches import claim, get_batch, release
from resources.ledger.queries import count_by_state, list_files
from resources.platform import Platform
from resources.settings import Settings
from sensors.looking import look_for_arrivals
from tests.conftest import Put
from tests.running import (
    Silent,
    all_states,
    batch_state,
    independent,
    look_and_run,
    next_batch,
    reader_processes,
    rows_of,
    run,
    states,
    toy,
    visible,
)
from tests.toy_source import TOY, UNEQUAL

BAD = {
    "crash": (toy("crash"), "reader_crashed"),
    "empty": ("", "empty_file"),
    "exit": (toy("exit"), "reader_error"),
    "fault": (toy("fault"), "reader_error"),
    "hang": (toy("hang"), "reader_timeout"),
    "hog": (toy("hog"), "out_of_memory"),
    "null": (toy("no_number"), "schema"),
    "refused": (toy("not a number"), "not_a_number"),
    "schema": (toy(1, 2, 1001), "schema"),
    "unequal": (toy(UNEQUAL), "wrong_rows"),
    "unknown": ("no such file\n", "unknown_type"),
}
ALL_PASS = dataclasses.replace(TOY, hold_above=1.0)


def test_misbehaving_files_are_refused_and_their_neighbours_committed(settings: Settings, put: Put) -> None:
    platform = Platform(settings.model_copy(update={"file_timeout_seconds": 0.3}))
    good = {}
    for position, (name, (content, _)) in enumerate(BAD.items()):
        put(f"toy/{name}", content)
        good[f"toy/{name}.good"] = [float(position)] * (position + 1)
        put(f"toy/{name}.good", toy(*good[f"toy/{name}.good"]))

    report = look_and_run(platform, source=ALL_PASS)

    assert visible(platform) == good
    assert {item.key: item.refusal.error_class for item in report.refused} == {
        f"toy/{name}": error_class for name, (_, error_class) in BAD.items()
    }
    assert (report.files, report.committed, report.gone) == (2 * len(BAD), len(BAD), 0)
    assert report.rows == {"readings": sum(map(len, good.values())), "files": len(good)}
    assert {key for key, state in states(platform).items() if state == "quarantined"} == {f"toy/{name}" for name in BAD}
    recorded = rows_of(platform, "SELECT key, error_class, run_id, attempt FROM operations.quarantine ORDER BY key")
    assert recorded == [(f"toy/{name}", error_class, "run-1", 1) for name, (_, error_class) in sorted(BAD.items())]
    places = dict(rows_of(platform, "SELECT key, location FROM operations.quarantine"))
    assert places["toy/schema"] == "Readings rows 2"
    assert places["toy/refused"] == "row 1"
    assert "toy_source.py" in places["toy/fault"]
    assert not reader_processes()


def test_rows_equal_an_independent_read(platform: Platform, put: Put) -> None:
    for number in range(150):
        put(f"toy/{number % 7}/{number}.csv", toy(*range(number % 11)))
    report = look_and_run(platform)
    expected = independent(platform.landing.root)
    assert len(expected) == 150
    assert visible(platform) == expected
    assert set(states(platform).values()) == {"committed"}
    assert report.rows["readings"] == sum(map(len, expected.values()))
    per_file = rows_of(platform, "SELECT file_id, count(*) FROM toy.readings GROUP BY ALL ORDER BY ALL")
    assert len(per_file) == sum(bool(values) for values in expected.values())
    assert report.tables["readings"].total_rows == report.rows["readings"]


def test_a_row_knows_its_file_and_batch(platform: Platform, put: Put) -> None:
    put("toy/a", toy(1, 2))
    batch = next_batch(platform)
    run(platform, batch)
    (file,) = list_files(platform.ledger)
    assert rows_of(platform, "SELECT DISTINCT file_id, batch_id FROM toy.readings") == [(file.file_id, batch.batch_id)]
    assert (file.run_id, file.attempts, file.batch_id) == ("run-1", 1, batch.batch_id)
    assert batch_state(platform, batch) == "finished"


def test_progress_ends_with_all_files(platform: Platform, put: Put) -> None:
    put("toy/a", toy(1))
    put("toy/b", toy("bad"))
    heard = Silent()
    run_batch(platform, TOY, NoConfig(), next_batch(platform).batch_id, "run-1", heard, hold_when_stopped=lambda: True)
    assert heard.progressed[-1] == (2, 2, 1)


def test_too_many_refusals_hold_the_batch_until_released(platform: Platform, put: Put) -> None:
    for number in range(4):
        put(f"toy/bad{number}", toy("bad"))
    put("toy/good1", toy(1))
    put("toy/good2", toy(2))
    batch = next_batch(platform)
    with pytest.raises(BatchHeld, match=f"4 of 6 files.*not_a_number 4.*more than 50%.*release {batch.batch_id}"):
        run(platform, batch)
    assert visible(platform) == {}
    assert count_by_state(platform.ledger) == {"held": 6}
    assert batch_state(platform, batch) == "held"
    assert not rows_of(platform, "SELECT * FROM operations.quarantine")

    release(platform.ledger, batch.batch_id)
    assert count_by_state(platform.ledger) == {"pending": 6}
    run(platform, batch, "run-2")
    assert visible(platform) == {"toy/good1": [1.0], "toy/good2": [2.0]}
    assert count_by_state(platform.ledger) == {"committed": 2, "quarantined": 4}


def test_a_held_batch_that_is_mended_passes_without_release(platform: Platform, put: Put) -> None:
    for number in range(5):
        put(f"toy/{number}", toy("bad"))
    batch = next_batch(platform)
    with pytest.raises(BatchHeld):
        run(platform, batch)
    for number in range(5):
        put(f"toy/{number}", toy(number))
    look_and_run(platform, "run-2")
    assert visible(platform) == {f"toy/{number}": [float(number)] for number in range(5)}
    report = run(platform, batch, "run-3")
    assert report.files == 0
    assert len(visible(platform)) == 5


def test_few_files_are_never_held(platform: Platform, put: Put) -> None:
    for number in range(4):
        put(f"toy/{number}", toy("bad"))
    report = look_and_run(platform)
    assert (report.committed, len(report.refused), report.rows) == (0, 4, {"readings": 0, "files": 0})
    assert visible(platform) == {}
    assert rows_of(platform, "SELECT count(*) FROM toy.readings") == [(0,)]


def test_overwriting_replaces_exactly_its_rows(platform: Platform, put: Put) -> None:
    put("toy/a", toy(1, 2, 3))
    put("toy/b", toy(4))
    look_and_run(platform)
    put("toy/a", toy(5))
    batch = next_batch(platform)
    assert visible(platform) == {"toy/a": [1.0, 2.0, 3.0], "toy/b": [4.0]}, "old rows stay until the new ones are there"
    run(platform, batch, "run-2")
    assert visible(platform) == {"toy/a": [5.0], "toy/b": [4.0]}
    assert all_states(platform) == {("toy/a", "superseded"): 1, ("toy/a", "committed"): 1, ("toy/b", "committed"): 1}


def test_a_bad_overwrite_leaves_the_good_rows(platform: Platform, put: Put) -> None:
    put("toy/a", toy(1, 2, 3))
    look_and_run(platform)
    put("toy/a", toy("bad"))
    look_and_run(platform, "run-2")
    assert visible(platform) == {"toy/a": [1.0, 2.0, 3.0]}
    put("toy/a", toy(9))
    look_and_run(platform, "run-3")
    assert visible(platform) == {"toy/a": [9.0]}
    assert all_states(platform) == {("toy/a", "superseded"): 2, ("toy/a", "committed"): 1}


def test_doing_a_batch_again_equals_doing_it_once(platform: Platform, put: Put) -> None:
    put("toy/a", toy(1, 2))
    put("toy/bad", toy("bad"))
    batch = next_batch(platform)
    run(platform, batch)
    before = visible(platform), all_states(platform)
    for attempt in (2, 3):
        report = run(platform, batch, f"run-{attempt}")
        assert (report.committed, len(report.refused)) == (1, 1)
    assert (visible(platform), all_states(platform)) == before
    assert get_batch(platform.ledger, batch.batch_id).attempt == 3


def test_doing_a_batch_again_keeps_what_can_no_longer_be_read(platform: Platform, put: Put) -> None:
    """The landing store was tidied up, or the next version is there already but was not seen yet."""
    for name in ("gone", "overwritten", "stays", "empty"):
        put(f"toy/{name}", toy(*[1] * len(name)) if name != "empty" else toy())
    batch = next_batch(platform)
    run(platform, batch)
    before = visible(platform)
    for name in ("gone", "empty"):
        (platform.landing.root / "toy" / name).unlink()
    put("toy/overwritten", toy("bad"))
    report = run(platform, batch, "run-2")
    assert (report.committed, report.gone, report.refused) == (4, 0, ())
    assert visible(platform) == before
    assert count_by_state(platform.ledger) == {"committed": 4}
    look_and_run(platform, "run-3")
    assert visible(platform) == before, "the next version is bad"
    put("toy/overwritten", toy(7))
    look_and_run(platform, "run-4")
    assert visible(platform) == before | {"toy/overwritten": [7.0]}


def test_an_older_version_does_not_come_back(platform: Platform, put: Put) -> None:
    """The newer version is committed while an older one, read in time, waits for its turn to commit."""
    put("toy/a", toy(1))
    put("toy/b", toy(2))
    older = next_batch(platform)
    content = (platform.landing.root / "toy/a").read_bytes()
    claim(platform.ledger, older.batch_id, "run-old", 10)
    put("toy/a", toy(10))
    look_and_run(platform, "run-new")
    assert visible(platform) == {"toy/a": [10.0]}
    # The older run still finds the bytes it was told of, as on a store with versions.
    (platform.landing.root / "toy/a").write_bytes(content)
    report = run(platform, older, "run-old")
    assert visible(platform) == {"toy/a": [10.0], "toy/b": [2.0]}
    assert (report.committed, report.gone) == (1, 1)
    assert all_states(platform)["toy/a", "superseded"] == 1


def test_files_gone_or_overwritten_before_they_are_read(platform: Platform, put: Put) -> None:
    for name in ("gone", "overwritten", "stays"):
        put(f"toy/{name}", toy(1))
    batch = next_batch(platform)
    (platform.landing.root / "toy/gone").unlink()
    put("toy/overwritten", toy(2))
    report = run(platform, batch)
    assert (report.files, report.committed, report.gone, report.refused) == (3, 1, 2, ())
    assert states(platform) == {"toy/gone": "deleted", "toy/overwritten": "superseded", "toy/stays": "committed"}
    look_and_run(platform, "run-2")
    assert visible(platform) == {"toy/overwritten": [2.0], "toy/stays": [1.0]}
    put("toy/gone", toy(1))
    look_and_run(platform, "run-3")
    assert visible(platform) == independent(platform.landing.root)


def test_a_batch_whose_files_are_all_gone(platform: Platform, put: Put) -> None:
    put("toy/a", toy(1))
    put("toy/b", toy(1))
    batch = next_batch(platform)
    for name in "ab":
        (platform.landing.root / "toy" / name).unlink()
    report = run(platform, batch)
    assert (report.files, report.committed, report.gone) == (2, 0, 2)
    assert batch_state(platform, batch) == "finished"
    assert count_by_state(platform.ledger) == {"deleted": 2}
    assert visible(platform) == {}


def test_a_batch_that_owns_nothing_any_more(platform: Platform, put: Put) -> None:
    put("toy/a", toy(1))
    batch = next_batch(platform)
    put("toy/a", toy(2))
    look_for_arrivals(platform, TOY)
    report = run(platform, batch, "run-1")
    assert (report.files, report.committed, report.rows) == (0, 0, {"readings": 0, "files": 0})
    assert batch_state(platform, batch) == "finished"
    assert visible(platform) == {}
    look_and_run(platform, "run-2")
    assert visible(platform) == {"toy/a": [2.0]}


def test_bytes_that_return_after_a_run_missed_them_are_not_lost(platform: Platform, put: Put) -> None:
    """A run finds other bytes than it was told of; before anybody looks again, the first bytes are back."""
    put("toy/a", toy(1))
    batch = next_batch(platform)
    put("toy/a", toy(2))
    run(platform, batch)
    assert states(platform) == {"toy/a": "superseded"}
    put("toy/a", toy(1))
    look_and_run(platform, "run-2")
    assert visible(platform) == {"toy/a": [1.0]}
    assert all_states(platform) == {("toy/a", "superseded"): 1, ("toy/a", "committed"): 1}


def test_bytes_that_return_and_are_seen_while_the_run_still_works_are_not_lost(platform: Platform, put: Put) -> None:
    """As before, but discovery sees the first bytes again while the file still counts as running."""
    put("toy/a", toy(1))
    batch = next_batch(platform)
    put("toy/a", toy(2))
    publish = publishing.publish

    def look_then_publish(*args: object, **kwargs: object) -> None:
        put("toy/a", toy(1))
        assert look_for_arrivals(platform, TOY).new_files == []
        publish(*args, **kwargs)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("pipeline_assets.batch_commit.publish", look_then_publish)
        run(platform, batch)
    look_and_run(platform, "run-2")
    assert visible(platform) == {"toy/a": [1.0]}


def test_looks_are_only_a_memory(platform: Platform, put: Put) -> None:
    put("toy/a", toy(1))
    look_and_run(platform)
    forget_looks(platform.ledger, "folder", ["toy/a"])
    assert look_for_arrivals(platform, TOY).new_files == []
    assert visible(platform) == {"toy/a": [1.0]}
