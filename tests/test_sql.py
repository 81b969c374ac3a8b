"""What people see through SQL: all of a batch or nothing, and the platform's own tables under stable names."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from resources.lake.lake import Lake, SnapshotGone, TableName
from resources.lake.sql import QueryError, count_rows_by_file, list_tables, run_query
from resources.ledger.publishing import published_snapshots
from resources.ledger.queries import list_files
from resources.platform import Platform
from resources.settings import Settings
from tests.conftest import Put, putter
from tests.running import look_and_run, next_batch, rows_of, run, toy

FILES = [
    "file_id", "source", "key", "version", "size_bytes", "landed_at", "state", "batch_id", "run_id", "attempts",
    "error_class", "error", "updated_at", "reader",
]  # fmt: skip
QUARANTINE = [
    "file_id", "record", "source", "key", "error_class", "error", "location", "run_id", "attempt", "quarantined_at",
    "reader",
]  # fmt: skip


def sql(platform: Platform, query: str) -> pa.Table:
    return run_query(platform.lake, platform.ledger, query)


def test_before_anything_landed(platform: Platform) -> None:
    assert sql(platform, "SELECT * FROM operations.files").column_names == FILES
    assert sql(platform, "SELECT * FROM operations.quarantine").column_names == QUARANTINE
    assert sql(platform, "SELECT 1 AS one").to_pylist() == [{"one": 1}]
    assert list_tables(platform.ledger) == [
        "operations.files",
        "operations.quarantine",
        "operations.erasures",
        "operations.products",
    ]
    with pytest.raises(
        QueryError,
        match=r"readings[\s\S]*\nTables: operations.files, operations.quarantine, operations.erasures, operations.products$",
    ):
        sql(platform, "SELECT * FROM toy.readings")


def test_the_platform_s_own_tables(platform: Platform, put: Put) -> None:
    put("toy/a", toy(1))
    put("toy/bad", toy("bad"))
    batch = next_batch(platform)
    run(platform, batch)
    files = sql(platform, "SELECT * FROM operations.files ORDER BY key")
    assert files.column_names == FILES
    good, bad = files.to_pylist()
    assert (good["source"], good["key"], good["state"], good["attempts"]) == ("toy", "toy/a", "committed", 1)
    assert (good["batch_id"], good["run_id"], good["error"]) == (batch.batch_id, "run-1", None)
    assert (good["size_bytes"], good["version"]) == (len(toy(1)), list_files(platform.ledger)[0].version)
    assert good["landed_at"].tzinfo is not None
    quarantine = sql(platform, "SELECT * FROM operations.quarantine")
    assert quarantine.column_names == QUARANTINE
    (refused,) = quarantine.to_pylist()
    assert refused["file_id"] == bad["file_id"]
    assert (refused["error_class"], refused["location"], refused["record"]) == ("not_a_number", "row 1", "")
    assert (refused["run_id"], refused["attempt"]) == ("run-1", 1)
    assert {str(files.schema.field(name).type) for name in ("landed_at", "updated_at")} == {"timestamp[us, tz=UTC]"}


def test_a_table_without_rows_has_its_columns_and_types(platform: Platform, put: Put) -> None:
    put("toy/empty", toy())
    look_and_run(platform)
    readings = sql(platform, "SELECT * FROM toy.readings")
    assert readings.num_rows == 0
    assert {field.name: str(field.type) for field in readings.schema} == {
        "n": "int32", "value": "double", "file_id": "string", "batch_id": "string"
    }  # fmt: skip
    assert rows_of(platform, "SELECT source_key, readings FROM toy.files") == [("toy/empty", 0)]


def test_all_tables_of_a_batch_or_none(platform: Platform, put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked at after every commit to a table, until the batch is published."""
    put("toy/a", toy(1, 2))
    look_and_run(platform)
    put("toy/a", toy(3))
    put("toy/b", toy(4))
    query = """SELECT (SELECT list(value ORDER BY value) FROM toy.readings) AS values,
                      (SELECT list(source_key ORDER BY source_key) FROM toy.files) AS keys"""
    commit, seen = Lake.commit, []

    def commit_and_look(self: Lake, *args: Any, **kwargs: Any) -> Any:
        committed = commit(self, *args, **kwargs)
        seen.append(sql(platform, query).to_pylist()[0])
        return committed

    with monkeypatch.context() as patched:
        patched.setattr(Lake, "commit", commit_and_look)
        look_and_run(platform, "run-2")
    assert seen == [{"values": [1.0, 2.0], "keys": ["toy/a"]}] * 2
    assert sql(platform, query).to_pylist() == [{"values": [3.0, 4.0], "keys": ["toy/a", "toy/b"]}]


def test_a_query_that_is_overtaken_by_batches_looks_again(
    platform: Platform, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("toy/a", toy(1))
    look_and_run(platform)
    data_files, times = Lake.data_files, []

    def expired_once(self: Lake, *args: Any) -> list[str]:
        times.append(1)
        if len(times) == 1:
            raise SnapshotGone("gone")
        return data_files(self, *args)

    monkeypatch.setattr(Lake, "data_files", expired_once)
    assert rows_of(platform, "SELECT value FROM toy.readings") == [(1.0,)]
    monkeypatch.setattr(Lake, "data_files", lambda *args: (_ for _ in ()).throw(SnapshotGone("gone for good")))
    with pytest.raises(SnapshotGone, match="for good"):
        sql(platform, "SELECT value FROM toy.readings")


def test_errors_name_what_there_is(platform: Platform, put: Put) -> None:
    put("toy/a", toy(1))
    look_and_run(platform)
    tables = "Tables: toy.files, toy.readings, operations.files, operations.quarantine, operations.erasures, operations.products"
    for query in ("SELECT * FROM toy.nosuch", "SELECT nosuch FROM toy.files", "SELEC 1", "SELECT * FROM nosuch"):
        with pytest.raises(QueryError) as error:
            sql(platform, query)
        assert str(error.value).endswith(tables)


def test_listing_tables_in_sql(platform: Platform, put: Put) -> None:
    put("toy/a", toy(1))
    look_and_run(platform)
    query = "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema = 'toy' ORDER BY ALL"
    assert rows_of(platform, query) == [("toy", "files"), ("toy", "readings")]
    assert {row["name"] for row in sql(platform, "SHOW ALL TABLES").to_pylist()} >= {"files", "readings"}


def test_names_are_not_case_sensitive(platform: Platform, put: Put) -> None:
    put("toy/a", toy(1))
    look_and_run(platform)
    assert rows_of(platform, "select VALUE from TOY.Readings") == [(1.0,)]


def test_statements_without_a_result(platform: Platform) -> None:
    assert sql(platform, "SET threads = 1").num_rows == 0


def test_users_write_the_same_names_in_every_namespace(settings: Settings, tmp_path: Any) -> None:
    here = Platform(settings.model_copy(update={"landing": settings.landing_folder}))
    branch = Platform(settings.model_copy(update={"namespace": "branch", "landing": settings.landing_folder}))
    settings.landing_folder.mkdir(parents=True)
    putter(here.landing, tmp_path)("toy/a", toy(1))
    look_and_run(here)
    assert list_tables(branch.ledger) == [
        "operations.files",
        "operations.quarantine",
        "operations.erasures",
        "operations.products",
    ]
    putter(here.landing, tmp_path)("toy/a", toy(2))
    look_and_run(branch)
    assert rows_of(here, "SELECT value FROM toy.readings") == [(1.0,)]
    assert rows_of(branch, "SELECT value FROM toy.readings") == [(2.0,)]
    here.close()
    branch.close()


def test_counting_rows_by_file(platform: Platform, put: Put) -> None:
    put("toy/a", toy(1, 2))
    put("toy/b", toy(3))
    put("toy/empty", toy())
    first = next_batch(platform)
    run(platform, first)
    put("toy/c", toy(4))
    second = next_batch(platform)
    run(platform, second, "run-2")
    ids = {row.key: row.file_id for row in list_files(platform.ledger)}
    name = TableName("toy", "readings")
    snapshot = published_snapshots(platform.ledger, "toy")["readings"]
    counted = count_rows_by_file(platform.lake, name, snapshot, first.batch_id)
    assert counted == {ids["toy/a"]: 2, ids["toy/b"]: 1}
    assert count_rows_by_file(platform.lake, name, snapshot, second.batch_id) == {ids["toy/c"]: 1}
    assert count_rows_by_file(platform.lake, name, snapshot, "nosuch") == {}
    assert count_rows_by_file(platform.lake, name, None, first.batch_id) == {}
