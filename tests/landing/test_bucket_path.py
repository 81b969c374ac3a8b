"""The path of a file that lands in a bucket, from the bucket to rows."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cli.drain import ALL_COMMITTED, SOME_NOT_COMMITTED, drain_sources
from pipeline_assets.batch_run import BatchReport, run_batch
from pipeline_assets.reading import SliceTask, read_slice
from pipeline_assets.source import NoConfig
from resources.lake.sql import run_query
from resources.landing.store import StoreError
from resources.ledger.batches import Batch, ClaimedFile, get_batch
from resources.ledger.planning import BatchLimits, plan
from resources.ledger.queries import list_files
from resources.platform import Platform
from sensors.looking import look_for_arrivals
from tests.landing import servers
from tests.landing.conftest import Bucket, new_bucket, settings_for
from tests.toy_source import TOY

pytestmark = pytest.mark.timeout(300)


class Silent:
    def progress(self, batch: Batch, done: int, total: int, refused: int) -> None:
        pass

    def say(self, message: str) -> None:
        pass


def toy(*values: float) -> str:
    return "toy\n" + "".join(f"{value}\n" for value in values)


def look(platform: Platform) -> Batch:
    look_for_arrivals(platform, TOY)
    batch = plan(platform.ledger, "toy", BatchLimits(1000, 1 << 30), flush=True)
    assert batch is not None
    return batch


def run(platform: Platform, batch: Batch, run_id: str = "run-1") -> BatchReport:
    return run_batch(platform, TOY, NoConfig(), batch.batch_id, run_id, Silent(), hold_when_stopped=lambda: True)


def rows(platform: Platform) -> dict[str, list[float]]:
    query = """SELECT f.source_key AS key, r.value FROM toy.readings r JOIN toy.files f ON r.file_id = f.file_id
               ORDER BY f.source_key, r.n"""
    shown: dict[str, list[float]] = {}
    for row in run_query(platform.lake, platform.ledger, query).to_pylist():
        shown.setdefault(row["key"], []).append(row["value"])
    return shown


def independent(bucket: Bucket) -> dict[str, list[float]]:
    """What the bucket holds, read without any of the platform's code."""
    return {key: [float(line) for line in content.split()[1:]] for key, content in bucket.content().items()}


def states(platform: Platform) -> list[tuple[str, str]]:
    return [(row.key, row.state) for row in list_files(platform.ledger)]


def test_from_a_bucket_to_rows(bucket: Bucket, bucket_platform: Platform) -> None:
    """Read-only: nothing but the test writes to the bucket."""
    for number in range(30):
        bucket.put(f"toy/ward {number % 3}/é%2F+{number}.csv", toy(number, number + 0.5))
    before = bucket.content()
    assert drain_sources(bucket_platform, [TOY]) == ALL_COMMITTED
    assert rows(bucket_platform) == independent(bucket)
    assert {row.key for row in list_files(bucket_platform.ledger)} == set(before)
    assert bucket.content() == before
    bucket.put("toy/ward 0/é%2F+0.csv", toy(7))
    bucket.put("toy/new.csv", toy(8))
    assert drain_sources(bucket_platform, [TOY]) == ALL_COMMITTED
    assert rows(bucket_platform) == independent(bucket)
    assert drain_sources(bucket_platform, [TOY]) == ALL_COMMITTED
    assert len(list_files(bucket_platform.ledger)) == 32


def test_a_drain_lists_to_the_end_however_long_it_takes(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.landing.s3.PAGE_KEYS", 3)
    platform = Platform(
        settings_for(bucket, tmp_path / "home", tick_budget_seconds=0.001, listing_interval_seconds=900)
    )
    for number in range(10):
        bucket.put(f"toy/{number}", toy(number))
    look_for_arrivals(platform, TOY)
    bucket.put("toy/00", toy(0))  # behind what that look has come by
    assert drain_sources(platform, [TOY]) == ALL_COMMITTED
    assert rows(platform) == independent(bucket)
    platform.close()


def test_overwritten_between_discovery_and_reading(bucket: Bucket, bucket_platform: Platform) -> None:
    bucket.put("toy/a", toy(1))
    bucket.put("toy/b", toy(2))
    batch = look(bucket_platform)
    bucket.put("toy/a", toy(3))
    report = run(bucket_platform, batch)
    assert (report.committed, report.gone, report.refused) == (1, 1, ())
    assert rows(bucket_platform) == {"toy/b": [2.0]}
    assert states(bucket_platform) == [("toy/a", "superseded"), ("toy/b", "committed")]
    assert drain_sources(bucket_platform, [TOY]) == ALL_COMMITTED
    assert rows(bucket_platform) == independent(bucket)


def test_overwritten_and_back_again_between_discovery_and_reading(bucket: Bucket, bucket_platform: Platform) -> None:
    bucket.put("toy/a", toy(1))
    batch = look(bucket_platform)
    bucket.put("toy/a", toy(3))
    run(bucket_platform, batch)
    bucket.put("toy/a", toy(1))
    assert drain_sources(bucket_platform, [TOY]) == ALL_COMMITTED
    assert rows(bucket_platform) == {"toy/a": [1.0]}


def test_deleted_between_discovery_and_reading(bucket: Bucket, bucket_platform: Platform) -> None:
    bucket.put("toy/a", toy(1))
    bucket.put("toy/b", toy(2))
    batch = look(bucket_platform)
    bucket.delete("toy/a")
    run(bucket_platform, batch)
    assert states(bucket_platform) == [("toy/a", "deleted"), ("toy/b", "committed")]
    bucket.put("toy/a", toy(1))
    assert drain_sources(bucket_platform, [TOY]) == ALL_COMMITTED
    assert rows(bucket_platform) == {"toy/a": [1.0], "toy/b": [2.0]}


def test_a_store_that_is_down_during_a_run_costs_an_attempt_and_no_file(
    bucket: Bucket, bucket_platform: Platform, tmp_path: Path
) -> None:
    bucket.put("toy/a", toy(1))
    batch = look(bucket_platform)
    elsewhere = bucket_platform.settings.model_copy(
        update={"s3_endpoint": f"http://127.0.0.1:{servers.free_ports(1)[0]}"}
    )
    down = Platform(elsewhere)
    with pytest.raises(StoreError, match="does not answer"):
        run(down, batch)
    with pytest.raises(StoreError, match="does not answer"):
        look_for_arrivals(down, TOY)
    assert states(bucket_platform) == [("toy/a", "pending")]
    assert "does not answer" in (get_batch(bucket_platform.ledger, batch.batch_id).error or "")
    assert run(bucket_platform, batch, "run-2").committed == 1
    down.close()


def test_a_bucket_that_vanished_takes_no_file_with_it(
    bucket: Bucket, bucket_platform: Platform, tmp_path: Path
) -> None:
    bucket.put("toy/a", toy(1))
    batch = look(bucket_platform)
    bucket.delete("toy/a")
    bucket.client.delete_bucket(Bucket=bucket.name)
    with pytest.raises(StoreError, match="There is no bucket"):
        run(bucket_platform, batch)
    assert states(bucket_platform) == [("toy/a", "pending")]


def test_an_archived_object_is_refused_and_the_others_go_on(moto: str, tmp_path: Path) -> None:
    bucket = new_bucket(moto)
    bucket.put("toy/a", toy(1), StorageClass="DEEP_ARCHIVE")
    bucket.put("toy/b", toy(2))
    platform = Platform(settings_for(bucket, tmp_path / "home"))
    assert drain_sources(platform, [TOY]) == SOME_NOT_COMMITTED
    first = list_files(platform.ledger)[0]
    assert (first.key, first.state, first.error_class) == ("toy/a", "quarantined", "archived_object")
    assert "Restore it" in first.error
    assert rows(platform) == {"toy/b": [2.0]}
    platform.close()


def test_large_files_leave_the_spool_after_use(
    bucket: Bucket, bucket_platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.landing.s3.BIG_FILE_BYTES", 1)
    contents = {"toy/good": toy(1), "toy/bad": "toy\nnot a number\n", "toy/unknown": "what is this"}
    store = bucket_platform.landing
    claimed = []
    for number, (key, content) in enumerate(contents.items()):
        bucket.put(key, content)
        seen = store.look(key)
        assert seen is not None
        claimed.append(ClaimedFile(str(number), key, store.version_of(seen), seen.size_bytes))
    folders = {name: f"file://{tmp_path / name}" for name in TOY.table_names}
    result = read_slice(SliceTask(TOY, NoConfig(), store.fetcher(), "batch", tuple(claimed), folders))
    assert sorted(outcome.state for outcome in result.outcomes) == ["committed", "quarantined", "quarantined"]
    spool = bucket_platform.settings.home / "spool"
    assert spool.is_dir()
    assert [path for path in spool.rglob("*") if path.is_file()] == []
    shutil.rmtree(spool)
