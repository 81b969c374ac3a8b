"""Lake maintenance leaves every row as it is, beside running batches and when it is killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline_assets.aggregate_run import is_behind, update_aggregate
from pipeline_assets.operations.maintain import has_piled_up, maintain
from pipeline_assets.source import NoConfig
from resources.lake import maintenance as tables
from resources.lake.lake import TableName
from resources.lake.sql import run_query
from resources.ledger.batches import claim
from resources.ledger.publishing import published_snapshots, take_commit_turn
from resources.ledger.upkeep import end_lease, take_maintenance
from resources.platform import Platform
from resources.settings import Settings
from tests.conftest import Put
from tests.operations.maintain_toy import POINTS
from tests.running import independent, look_and_run, next_batch, rows_of, run, toy, visible
from tests.toy_source import BY_VALUE, TOY

ROOT = Path(__file__).parents[2]
ROWS = "SELECT * FROM toy.readings ORDER BY ALL"
READINGS = TableName("toy", "readings")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", workers=1, settle_seconds=0.05, lake_keep_hours=0, lease_seconds=10)


def put_batches(platform: Platform, put: Put, count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        put(f"toy/{number}.csv", toy(number, -0.0, 1e-300, number / 7))
        look_and_run(platform, f"run-{number}")


@pytest.fixture
def drained(platform: Platform, put: Put) -> Platform:
    put_batches(platform, put, 6)
    return platform


def published_files(platform: Platform) -> list[str]:
    return platform.lake.data_files(READINGS, published_snapshots(platform.ledger, "toy")["readings"])


def test_small_files_become_one_and_every_row_stays(drained: Platform) -> None:
    before = run_query(drained.lake, drained.ledger, ROWS)
    assert len(published_files(drained)) == 6
    done = maintain(drained, TOY, "maintain-1")
    after = run_query(drained.lake, drained.ledger, ROWS)
    assert after.equals(before)
    assert [column.to_pylist() for column in after] == [column.to_pylist() for column in before]
    assert (done.files_before, done.files_after, done.merged, done.waits_for) == (12, 2, 12, "")
    assert visible(drained) == independent(drained.landing.root)
    assert maintain(drained, TOY, "maintain-2").merged == 0


def test_readers_need_not_pass_over_the_files_that_went(drained: Platform) -> None:
    maintain(drained, TOY, "maintain-1")
    table = drained.lake.catalog.load_table(drained.lake.identifier(READINGS))
    snapshot = table.snapshot_by_id(published_snapshots(drained.ledger, "toy")["readings"] or 0)
    assert snapshot is not None
    assert [manifest.deleted_files_count for manifest in snapshot.manifests(table.io)] == [0]


def test_batches_go_on_after_it(drained: Platform, put: Put) -> None:
    maintain(drained, TOY, "maintain-1")
    put("toy/2.csv", toy(99))
    put("toy/new.csv", toy(5))
    look_and_run(drained, "run-after")
    assert visible(drained) == independent(drained.landing.root)


def test_files_are_deleted_once_nothing_needed_them_at_two_looks(drained: Platform) -> None:
    maintain(drained, TOY, "maintain-1")
    assert len(list((drained.lake.folder / "warehouse/toy/readings/data").rglob("*.parquet"))) == 7
    done = maintain(drained, TOY, "maintain-2")
    assert done.deleted >= 12
    on_disk = {str(path) for path in (drained.lake.folder / "warehouse/toy/readings/data").rglob("*.parquet")}
    assert on_disk == {tables.local(path) for path in published_files(drained)}
    assert visible(drained) == independent(drained.landing.root)
    assert maintain(drained, TOY, "maintain-3").unused == 0


def test_nothing_goes_before_its_time(tmp_path: Path, put: Put, drained: Platform) -> None:
    patient = Platform(drained.settings.model_copy(update={"lake_keep_hours": 1.0}))
    for number in range(3):
        done = maintain(patient, TOY, f"maintain-{number}")
        assert (done.deleted, done.expired) == (0, 0)
    patient.close()


def test_files_of_a_batch_under_way_stay_and_those_of_a_dead_one_go(drained: Platform, put: Put) -> None:
    put("toy/late.csv", toy(1, 2))
    batch = next_batch(drained)
    claimed = claim(drained.ledger, batch.batch_id, "run-slow", 600)
    left = drained.lake.folder / f"warehouse/toy/readings/data/{batch.batch_id}/0.parquet"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half a file")
    for number in range(3):
        maintain(drained, TOY, f"maintain-{number}")
    assert left.exists()
    end_lease(drained.ledger, claimed.lease)
    for number in range(3, 5):
        maintain(drained, TOY, f"maintain-{number}")
    assert not left.exists()


def test_what_an_aggregate_was_made_from_is_kept_and_it_is_not_updated_for_merged_files(
    drained: Platform, put: Put
) -> None:
    update_aggregate(drained, TOY, BY_VALUE, NoConfig(), "made", print)
    maintain(drained, TOY, "maintain-1")
    assert is_behind(drained, TOY, BY_VALUE, NoConfig()) is None
    put_batches(drained, put, 5, first=10)
    for number in range(2, 5):
        maintain(drained, TOY, f"maintain-{number}")
    report = update_aggregate(drained, TOY, BY_VALUE, NoConfig(), "again", print)
    assert report.rebuilt == ""
    counted = "SELECT value, count(*) FROM toy.readings GROUP BY ALL ORDER BY ALL"
    assert rows_of(drained, "SELECT value, readings FROM toy.by_value ORDER BY ALL") == rows_of(drained, counted)


def test_one_maintenance_at_a_time(drained: Platform) -> None:
    lease = take_maintenance(drained.ledger, "toy", "other", 60)
    assert lease is not None
    assert "another run maintains" in maintain(drained, TOY, "maintain-1").waits_for
    end_lease(drained.ledger, lease)
    assert maintain(drained, TOY, "maintain-2").merged == 12


def test_it_gives_up_its_turn_to_batches_that_commit_all_the_time(
    drained: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline_assets.operations.maintain._LONGEST_WAIT_SECONDS", 0.2)
    assert take_commit_turn(drained.ledger, "toy", "a batch", 60) is not None
    done = maintain(drained, TOY, "maintain-1")
    assert (done.waits_for, done.merged) == ("batches were committing all the time", 0)


def test_a_batch_that_replaces_rows_meanwhile_wins(
    drained: Platform, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The merged file has rows of a version that is superseded by the time it is swapped in."""
    merge, calls = tables.merge, 0

    def merge_then_overwrite(*given: object) -> tables.Merged:
        nonlocal calls
        calls += 1
        merged = merge(*given)  # type: ignore[arg-type]
        if calls == 1:
            put("toy/3.csv", toy(333))
            look_and_run(drained, "run-meanwhile")
        return merged

    monkeypatch.setattr(tables, "merge", merge_then_overwrite)
    maintain(drained, TOY, "maintain-1")
    assert calls >= 2
    assert visible(drained) == independent(drained.landing.root)
    assert visible(drained)["toy/3.csv"] == [333]


def test_a_column_that_was_added_later_is_empty_in_merged_files(drained: Platform) -> None:
    schema = drained.lake.schema(READINGS)
    assert schema is not None
    import pyarrow as pa

    drained.lake.ensure(READINGS, schema.append(pa.field("extra", pa.int32())))
    assert maintain(drained, TOY, "maintain-1").merged == 12
    assert rows_of(drained, "SELECT count(*), count(extra) FROM toy.readings") == [(24, 0)]


def test_files_are_merged_with_their_like() -> None:
    def files(*sizes: int) -> list[tables.DataFile]:
        return [tables.DataFile(f"{number:03}", size, 1) for number, size in enumerate(sizes)]

    assert tables.groups_to_merge(files(10, 10, 10), 1000) == []
    assert [len(group) for group in tables.groups_to_merge(files(*[10] * 9), 1000)] == [9]
    assert [len(group) for group in tables.groups_to_merge(files(*[240] * 9), 1000)] == [4, 4]
    assert tables.groups_to_merge(files(800, 800, 800, 800), 1000) == []
    (group,) = tables.groups_to_merge(files(600, 9, 9, 9, 9), 1000)
    assert [file.size_bytes for file in group] == [9, 9, 9, 9]


def test_an_unused_file_goes_only_after_two_looks_that_far_apart() -> None:
    hour, now = timedelta(hours=1), time.time()
    old = {"/data/b/x": now - 9000}
    delete, noted = tables.pick_orphans(old, set(), set(), {}, hour)
    assert (delete, list(noted)) == ([], ["/data/b/x"])
    assert tables.pick_orphans(old, set(), set(), noted, hour) == ([], noted)
    long_ago = {"/data/b/x": now - 3700}
    assert tables.pick_orphans(old, set(), set(), long_ago, hour) == (["/data/b/x"], {})
    assert tables.pick_orphans(old, {"/data/b/x"}, set(), long_ago, hour) == ([], {})
    assert tables.pick_orphans(old, set(), {"b"}, long_ago, hour) == ([], {})
    assert tables.pick_orphans({"/data/b/x": now - 60}, set(), set(), long_ago, hour) == ([], {})


def environment(platform: Platform) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("STRANDLINE_", "DAGSTER_"))},
        "STRANDLINE_HOME": str(platform.settings.home),
        "STRANDLINE_LAKE_KEEP_HOURS": "0",
        "STRANDLINE_SETTLE_SECONDS": "0.05",
        "STRANDLINE_WORKERS": "1",
        "STRANDLINE_BATCH_MAX_FILES": "4",
    }


def command(platform: Platform, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", *arguments], cwd=ROOT, env=environment(platform), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


@pytest.mark.parametrize("point", [point for point in POINTS if point != "nowhere"])
def test_killed_at_any_point_it_heals(drained: Platform, put: Put, point: str) -> None:
    killed = command(drained, "tests.operations.maintain_toy", point, "maintain")
    output, _ = killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL, output
    assert visible(drained) == independent(drained.landing.root)
    put("toy/4.csv", toy(44, 45))
    look_and_run(drained, "run-after")
    assert visible(drained) == independent(drained.landing.root)
    for number in range(3):
        assert maintain(drained, TOY, f"maintain-{number}").waits_for == ""
    assert visible(drained) == independent(drained.landing.root)
    on_disk = {str(path) for path in (drained.lake.folder / "warehouse/toy/readings/data").rglob("*.parquet")}
    assert on_disk == {tables.local(path) for path in published_files(drained)}


def test_beside_real_drains(drained: Platform, put: Put) -> None:
    """Two drains and files that keep landing, with maintenance again and again, and a reader that asks all the time."""
    stop = threading.Event()
    seen: list[int] = []
    wrong: list[object] = []
    query = """SELECT count(*), count(DISTINCT source_key), bool_and(readings = n) FROM toy.files
               LEFT JOIN (SELECT file_id, count(*) AS n FROM toy.readings GROUP BY ALL) USING (file_id)"""

    def keep_reading() -> None:
        reader = Platform(drained.settings)
        while not stop.is_set():
            try:
                ((files, keys, is_whole),) = rows_of(reader, query)
                assert (files, is_whole) == (keys, True)
                assert files >= max(seen, default=0)
                seen.append(files)
                time.sleep(0.2)
            except BaseException as error:
                wrong.append(error)
        reader.close()

    def keep_maintaining() -> None:
        keeper = Platform(drained.settings.model_copy(update={"lake_keep_hours": 5 / 3600}))
        number = 0
        while not stop.is_set():
            number += 1
            try:
                merged.append(maintain(keeper, TOY, f"maintain-{number}").merged)
                time.sleep(0.3)
            except BaseException as error:
                wrong.append(error)
        keeper.close()

    merged: list[int] = []
    first = command(drained, "tests.toy_cli", "drain")  # makes Dagster's own databases
    assert first.wait(120) == 0
    threads = [threading.Thread(target=keep_reading), threading.Thread(target=keep_maintaining)]
    for number in range(100, 124):
        put(f"toy/{number}.csv", toy(number, number + 0.5))
    for thread in threads:
        thread.start()
    try:
        drains = [command(drained, "tests.toy_cli", "drain") for _ in range(2)]
        for number in range(200, 212):
            put(f"toy/{number % 6}.csv", toy(number))
        outputs = [drain.communicate(timeout=240)[0] for drain in drains]
        assert [drain.returncode for drain in drains] == [0, 0], outputs
        last = command(drained, "tests.toy_cli", "drain")
        assert last.communicate(timeout=120)[1] is None
        assert last.returncode == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not wrong
    assert sum(merged) > 0
    assert visible(drained) == independent(drained.landing.root)
    assert run(drained, next_batch_of_nothing(drained, put), "run-end").committed == 1
    assert visible(drained) == independent(drained.landing.root)


def next_batch_of_nothing(platform: Platform, put: Put) -> str:
    put("toy/end.csv", toy(1))
    return next_batch(platform).batch_id


def test_small_files_that_piled_up_are_told_without_reading_lists_of_them(
    drained: Platform, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = Platform(drained.settings.model_copy(update={"compact_small_files": 5}))
    enough = Platform(drained.settings.model_copy(update={"compact_small_files": 6}))
    with monkeypatch.context() as patched:
        patched.setattr("pyiceberg.table.DataScan.plan_files", None)
        assert has_piled_up(many, TOY)
        assert not has_piled_up(enough, TOY)
    maintain(many, TOY, "maintenance")
    assert not has_piled_up(many, TOY)
    put_batches(drained, put, 4, first=6)
    assert len(published_files(drained)) == 5
    assert not has_piled_up(many, TOY)
    put("toy/0.csv", toy(7))
    look_and_run(drained, "replaces")
    assert len(published_files(drained)) == 6
    assert has_piled_up(many, TOY)
    many.close()
    enough.close()


def test_files_that_merging_leaves_do_not_pile_up() -> None:
    """However sizes are spread, what is left when nothing more is merged is no reason to begin again."""
    target = 1 << 20
    for seed in range(30):
        sizes = random.Random(seed)
        files = [
            tables.DataFile(f"{number:04d}", int(2 ** sizes.uniform(10, 21)), 1)
            for number in range(sizes.randint(1, 800))
        ]
        count = 0
        while groups := tables.groups_to_merge(files, target):
            merged = {file.path for group in groups for file in group}
            files = [file for file in files if file.path not in merged]
            for group in groups:
                count += 1
                files.append(tables.DataFile(f"merged{count:04d}", sum(file.size_bytes for file in group), len(group)))
        size = sum(file.size_bytes for file in files)
        assert tables.small_beyond(len(files), size, target) <= 40
