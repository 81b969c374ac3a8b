"""The scheduled comparison sees what is wrong, changes nothing of it, and raises no false alarm beside running batches."""

from __future__ import annotations

import threading

import pytest

from pipeline_assets.operations import balance as module
from pipeline_assets.operations.balance import balance
from resources.ledger.queries import count_by_state
from resources.platform import Platform
from tests.conftest import Put
from tests.running import look_and_run, states, toy
from tests.toy_source import TOY


@pytest.fixture
def drained(platform: Platform, put: Put) -> Platform:
    for number in range(4):
        put(f"toy/{number}.csv", toy(number, 10 + number))
    look_and_run(platform)
    return platform


def test_a_sound_deployment_is_balanced(drained: Platform) -> None:
    found = balance(drained, TOY)
    assert found.balanced
    assert (found.keys, found.committed, found.rows, found.new_files) == (4, 4, {"readings": 8, "files": 4}, 0)


def test_nothing_published_is_balanced(platform: Platform) -> None:
    assert balance(platform, TOY).balanced


def test_files_that_landed_unseen_are_entered(drained: Platform, put: Put) -> None:
    put("toy/new.csv", toy(1))
    assert balance(drained, TOY).new_files == 1
    assert states(drained)["toy/new.csv"] == "pending"


def test_rows_that_differ_are_told_and_left(drained: Platform) -> None:
    with drained.ledger.write() as connection:
        connection.exec_driver_sql(
            "UPDATE file_rows SET rows = 99 WHERE table_name = 'readings' AND file_id = "
            "(SELECT file_id FROM files WHERE key = 'toy/3.csv')"
        )
    found = balance(drained, TOY)
    assert {table: len(ids) for table, ids in found.differing.items()} == {"readings": 1}
    assert (found.differences, found.unaccounted, found.missing) == (1, {}, {})
    assert count_by_state(drained.ledger) == {"committed": 4}


def test_rows_nobody_accounts_for_are_told(drained: Platform) -> None:
    with drained.ledger.write() as connection:
        connection.exec_driver_sql("UPDATE files SET state = 'deleted'")
        connection.exec_driver_sql("DELETE FROM file_rows")
    assert {table: len(ids) for table, ids in balance(drained, TOY).unaccounted.items()} == {"readings": 4, "files": 4}


def test_a_data_file_that_is_gone_is_told_by_its_path(drained: Platform) -> None:
    victim = next(drained.lake.folder.glob("warehouse/toy/readings/data/**/*.parquet"))
    victim.unlink()
    found = balance(drained, TOY)
    assert found.missing == {"readings": [f"file://{victim}"]}
    assert count_by_state(drained.ledger) == {"committed": 4}


def test_a_lost_lake_is_told_and_nothing_dropped(drained: Platform) -> None:
    for path in drained.lake.folder.glob("warehouse/toy/readings/metadata/*.json"):
        path.unlink()
    assert balance(drained, TOY).missing == {"readings": ["(the table's own files)"]}
    assert drained.lake.catalog.table_exists(("toy", "files"))


def test_a_batch_published_between_its_looks_is_no_difference(
    drained: Platform, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts, calls = module.row_counts, 0

    def publish_first(*given: object, **named: object) -> object:
        nonlocal calls
        calls += 1
        if calls < 3:
            put(f"toy/{calls}.csv", toy(1, 2, 3, calls))
            put(f"toy/between-{calls}.csv", toy(5))
            look_and_run(drained, f"run-between-{calls}")
        return counts(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "row_counts", publish_first)
    found = balance(drained, TOY)
    assert calls == 2
    assert found.balanced


def test_beside_running_batches_it_raises_no_alarm(drained: Platform, put: Put) -> None:
    wrong: list[object] = []
    looks = 0
    stop = threading.Event()

    def keep_looking() -> None:
        nonlocal looks
        other = Platform(drained.settings)
        while not stop.is_set():
            found = balance(other, TOY)
            looks += 1
            if not found.balanced:
                wrong.append(found)
        other.close()

    thread = threading.Thread(target=keep_looking)
    thread.start()
    try:
        for number in range(8):
            put(f"toy/{number % 3}.csv", toy(number, 0.5))
            put(f"toy/late-{number}.csv", toy(*range(number + 1)))
            look_and_run(drained, f"run-{number}")
    finally:
        stop.set()
        thread.join()
    assert not wrong
    assert looks > 0
