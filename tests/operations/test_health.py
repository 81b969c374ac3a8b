"""Backlog and health, of real files in every state; and the check of what is left lying."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from cli.status import show_status
from pipeline_assets.operations.assets import RECOVER, health_metadata, none_left_result
from resources.ledger.batches import claim
from resources.ledger.health import UNSETTLED, health, unresolved
from resources.ledger.replay import RefusedFilter, replay
from resources.platform import Platform
from sensors.looking import look_for_arrivals
from tests.conftest import Put
from tests.running import look_and_run, next_batch, toy
from tests.toy_source import TOY


def age_everything(platform: Platform, hours: float) -> None:
    """Let all that happened so far have happened earlier."""
    with platform.ledger.write() as connection:
        for table, columns in {
            "files": ("seen_at", "updated_at", "landed_at"),
            "file_history": ("at",),
            "batches": ("updated_at",),
        }.items():
            for column in columns:
                connection.exec_driver_sql(
                    f"UPDATE {table} SET {column} = strftime('%Y-%m-%d %H:%M:%f000', {column}, '-{hours * 3600} seconds')"
                )


def left(platform: Platform, minutes: float = 60) -> dict[str, int]:
    counts, _ = unresolved(platform.ledger, ["toy"], timedelta(minutes=minutes), 5)
    return {state: count for (_, state), count in counts.items()}


def test_a_deployment_without_files(platform: Platform) -> None:
    found = health(platform.ledger, "toy")
    assert (found.outstanding, found.outstanding_bytes, found.oldest_seconds, found.held) == (0, 0, 0.0, ())
    assert (found.landing_to_committed, found.listed_at) == ({}, None)


def test_every_state_is_counted(platform: Platform, put: Put) -> None:
    for number in range(3):
        put(f"toy/{number}.csv", toy(number))
    put("toy/bad.csv", "toy\nno number\n")
    look_and_run(platform, "run-1")
    put("toy/running.csv", toy(*range(100)))
    claim(platform.ledger, next_batch(platform).batch_id, "run-2", 60)
    found = health(platform.ledger, "toy")
    assert found.files == {"waiting": 0, "pending": 0, "running": 1, "held": 0}
    assert found.outstanding_bytes == len(toy(*range(100)))
    assert 0 <= found.oldest_seconds < 60
    assert (found.last_hour.files, found.last_day.files) == (3, 3)
    assert found.last_hour.size_bytes == 3 * len(toy(1))
    assert found.quarantined == {"not_a_number": 1}
    assert list(found.landing_to_committed) == [50, 95, 99]
    assert 0 < found.landing_to_committed[50] <= found.landing_to_committed[99] < 60
    assert found.listed_at is None
    look_for_arrivals(platform, TOY, from_start=True)
    listed_at = health(platform.ledger, "toy").listed_at
    assert listed_at is not None
    assert abs((datetime.now(UTC) - listed_at).total_seconds()) < 60


def test_what_was_committed_long_ago_does_not_count_as_speed(platform: Platform, put: Put) -> None:
    put("toy/1.csv", toy(1))
    look_and_run(platform, "run-1")
    age_everything(platform, 2)
    put("toy/2.csv", toy(1))
    look_and_run(platform, "run-2")
    found = health(platform.ledger, "toy")
    assert (found.last_hour.files, found.last_day.files) == (1, 2)
    age_everything(platform, 30)
    found = health(platform.ledger, "toy")
    assert (found.last_hour.files, found.last_day.files, found.landing_to_committed) == (0, 0, {})


def test_held_batches_say_why_and_what_to_do(platform: Platform, put: Put, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(6):
        put(f"toy/{number}.csv", "toy\nno number\n")
    with pytest.raises(Exception, match="6 of 6 files were refused"):
        look_and_run(platform, "run-1")
    (held,) = health(platform.ledger, "toy").held
    assert show_status(platform, [TOY]) == 3
    shown = capsys.readouterr().out
    for words in ("6 held", f"strandline redo {held.batch_id}", f"strandline release {held.batch_id}", "were refused"):
        assert words in shown
    assert show_status(platform, [TOY], as_json=True) == 3
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["outstanding"], told["held_batches"], told["held"][0]["batch_id"]) == (6, 1, held.batch_id)


def test_status_of_a_sound_deployment(platform: Platform, put: Put, capsys: pytest.CaptureFixture[str]) -> None:
    put("toy/1.csv", toy(1))
    look_and_run(platform)
    assert show_status(platform, [TOY]) == 0
    shown = capsys.readouterr().out
    assert "outstanding  nothing" in shown
    assert "last hour 1 files" in shown


def test_a_file_left_lying_is_found_however_often_it_was_tried(platform: Platform, put: Put) -> None:
    put("toy/1.csv", toy(1))
    batch = next_batch(platform)
    assert left(platform) == {}
    age_everything(platform, 2)
    assert left(platform) == {"pending": 1}
    claim(platform.ledger, batch.batch_id, "run-1", 60)
    assert left(platform) == {"running": 1}
    assert left(platform, minutes=180) == {}


def test_a_file_that_was_settled_and_is_to_be_read_again_has_its_time_anew(platform: Platform, put: Put) -> None:
    put("toy/bad.csv", "toy\nno number\n")
    put("toy/good.csv", toy(1))
    look_and_run(platform)
    age_everything(platform, 100)
    assert left(platform) == {}
    replay(platform.ledger, RefusedFilter((), "toy"))
    assert health(platform.ledger, "toy").outstanding == 1
    assert left(platform) == {}
    age_everything(platform, 2)
    assert left(platform) == {"pending": 1}


def test_the_check_counts_exactly_and_says_the_way_on(platform: Platform, put: Put) -> None:
    for number in range(30):
        put(f"toy/{number}.csv", toy(number))
    next_batch(platform)
    age_everything(platform, 2)
    counts, sample = unresolved(platform.ledger, ["toy"], timedelta(hours=1), 20)
    result = none_left_result(counts, sample, 60)
    assert not result.passed
    assert result.description == "30 files are not settled after 60 minutes (30 pending). See: strandline status"
    assert result.metadata["files"].value == 30
    assert len(result.metadata["oldest of them"].records) == 20
    assert "strandline drain" in result.metadata["what to do"].value
    assert none_left_result({}, [], 60).passed


def test_every_unsettled_state_has_a_way_on() -> None:
    assert set(RECOVER) == {state.value for state in UNSETTLED}


def test_health_is_numbers_that_dagster_plots(platform: Platform, put: Put) -> None:
    put("toy/1.csv", toy(1))
    put("toy/bad.csv", "toy\nno number\n")
    look_and_run(platform)
    shown = health_metadata([health(platform.ledger, "toy")])
    assert all(isinstance(value, (int, float)) for value in shown.values())
    assert shown["outstanding files"] == 0
    assert shown["toy: files committed, last hour"] == 1
    assert shown["toy: quarantined as not_a_number"] == 1
    assert shown["toy: landing to committed p95, s"] > 0
