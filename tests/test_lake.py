"""Iceberg tables: what a commit shows, what it sets back, which snapshots stay, which schemas fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from resources.lake import lake as lake_module
from resources.lake.lake import Committed, Lake, SchemaConflict, SnapshotGone, TableName, UnknownRows, new_data_file

NAME = TableName("toy", "readings")
SCHEMA = pa.schema(
    [
        pa.field("n", pa.int32(), nullable=False),
        pa.field("text", pa.string()),
        pa.field("file_id", pa.string(), nullable=False),
        pa.field("batch_id", pa.string(), nullable=False),
    ]
)


class Table:
    """One table of a lake and short ways to write it."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self.folder = lake.ensure(NAME, SCHEMA)

    def write(self, file_id: str, values: Sequence[int], batch_id: str = "b1", schema: pa.Schema = SCHEMA) -> str:
        uri = new_data_file(self.folder, batch_id)
        path = Path(uri.removeprefix("file://"))
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = {"n": values, "text": ["x"] * len(values), "file_id": [file_id] * len(values)}
        columns["batch_id"] = [batch_id] * len(values)
        pq.write_table(pa.table({name: columns.get(name, [None] * len(values)) for name in schema.names}, schema), path)
        return uri

    def commit(
        self, base: int | None, add: Sequence[str] = (), remove: Sequence[str] = (), **options: Any
    ) -> Committed:
        given = {"batch_id": "b1", "run_id": "run-1", "knows_batch": lambda batch_id: True} | options
        return self.lake.commit(NAME, base=base, add=add, remove_file_ids=remove, **given)

    def rows(self, snapshot_id: int | None, batch_id: str | None = None) -> list[tuple[str, int]]:
        paths = [path.removeprefix("file://") for path in self.lake.data_files(NAME, snapshot_id, batch_id)]
        tables = [pq.read_table(path) for path in paths]
        return sorted((row["file_id"], row["n"]) for table in tables for row in table.to_pylist())

    def snapshots(self) -> set[int]:
        return {
            snapshot.snapshot_id for snapshot in self.lake.catalog.load_table(("toy", "readings")).metadata.snapshots
        }


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    made = Lake(tmp_path / "lake")
    yield made
    made.close()


@pytest.fixture
def table(lake: Lake) -> Table:
    return Table(lake)


# --- commits


def test_a_new_table_shows_nothing(table: Table) -> None:
    assert table.commit(None) == Committed(None, 0)
    assert table.rows(None) == []
    assert table.lake.schema(NAME) is not None
    assert table.lake.schema(TableName("toy", "nosuch")) is None


def test_appending(table: Table) -> None:
    first = table.commit(None, [table.write("a", [1, 2])])
    second = table.commit(first.snapshot_id, [table.write("b", [3]), table.write("c", [4])])
    assert (first.total_rows, second.total_rows) == (2, 4)
    assert table.rows(first.snapshot_id) == [("a", 1), ("a", 2)]
    assert table.rows(second.snapshot_id) == [("a", 1), ("a", 2), ("b", 3), ("c", 4)]


def test_replacing_the_rows_of_some_files(table: Table) -> None:
    first = table.commit(None, [table.write("a", [1, 2]), table.write("b", [3])])
    second = table.commit(first.snapshot_id, [table.write("a", [9])], remove=["a"])
    assert table.rows(second.snapshot_id) == [("a", 9), ("b", 3)]
    assert second.total_rows == 2
    assert table.rows(first.snapshot_id) == [("a", 1), ("a", 2), ("b", 3)], "readers of the old snapshot are not hurt"


def test_replacing_some_rows_of_a_data_file(table: Table) -> None:
    uri = table.write("a", [1])
    path = uri.removeprefix("file://")
    pq.write_table(
        pa.concat_tables([pq.read_table(path), pq.read_table(table.write("b", [2]).removeprefix("file://"))]), path
    )
    first = table.commit(None, [uri])
    second = table.commit(first.snapshot_id, [], remove=["a", "no such file"])
    assert table.rows(second.snapshot_id) == [("b", 2)]


def test_removing_more_files_than_an_expression_prunes_by(table: Table) -> None:
    first = table.commit(None, [table.write(f"f{number}", [number]) for number in range(3)])
    second = table.commit(first.snapshot_id, [], remove=[f"f{number}" for number in range(1, 500)])
    assert table.rows(second.snapshot_id) == [("f0", 0)]


def test_committing_nothing_changes_nothing(table: Table) -> None:
    first = table.commit(None, [table.write("a", [1])])
    assert table.commit(first.snapshot_id) == first


def test_a_snapshot_tells_who_made_it(table: Table) -> None:
    table.commit(None, [table.write("a", [1])], batch_id="b7", run_id="run-7")
    snapshot = table.lake.catalog.load_table(("toy", "readings")).current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    assert (snapshot.summary["strandline.batch"], snapshot.summary["strandline.run"]) == ("b7", "run-7")


# --- what a dead run left


def test_what_a_dead_run_left_is_set_back_to_the_base(table: Table) -> None:
    base = table.commit(None, [table.write("a", [1])]).snapshot_id
    table.commit(base, [table.write("dead", [66])], remove=["a"])
    after = table.commit(base, [table.write("b", [2])])
    assert table.rows(after.snapshot_id) == [("a", 1), ("b", 2)]
    assert after.total_rows == 2


def test_what_a_dead_run_left_is_set_back_to_nothing(table: Table) -> None:
    table.commit(None, [table.write("dead", [66])])
    assert table.commit(None) == Committed(None, 0)
    after = table.commit(None, [table.write("a", [1])], remove=["a"])
    assert table.rows(after.snapshot_id) == [("a", 1)]


def test_rows_of_a_batch_that_nobody_knows_are_not_dropped(table: Table) -> None:
    table.commit(None, [table.write("a", [1])], batch_id="from another ledger")
    before = table.snapshots()
    with pytest.raises(UnknownRows, match=r"toy.readings has rows of batch from another ledger.*Restore the ledger"):
        table.commit(None, [table.write("b", [2])], knows_batch=lambda batch_id: False)
    assert table.snapshots() == before


def test_a_published_snapshot_that_is_not_there(table: Table) -> None:
    table.commit(None, [table.write("a", [1])])
    with pytest.raises(UnknownRows, match="lacks the snapshot 12345"):
        table.commit(12345, [table.write("b", [2])])


# --- expiry


@pytest.fixture
def _everything_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lake_module, "_SNAPSHOT_AGE", timedelta(seconds=-60))
    monkeypatch.setattr(lake_module, "_SNAPSHOTS_BEFORE_EXPIRY", 3)


@pytest.mark.usefixtures("_everything_is_old")
def test_old_snapshots_go_and_what_readers_see_stays(table: Table) -> None:
    base = None
    for number in range(8):
        after = table.commit(base, [table.write(f"f{number}", [number])], remove=[f"f{number}"])
        if base is not None:
            assert table.rows(base) == [(f"f{one}", one) for one in range(number)], "published until the run publishes"
        base = after.snapshot_id
    assert len(table.snapshots()) <= 4
    assert len(table.rows(base)) == 8


@pytest.mark.usefixtures("_everything_is_old")
def test_a_run_that_dies_after_expiry_is_still_set_back(table: Table) -> None:
    base = None
    for number in range(6):
        base = table.commit(base, [table.write(f"f{number}", [number])]).snapshot_id
    for _ in range(5):
        table.commit(base, [table.write("dead", [66])], remove=["f0"])
    after = table.commit(base, [table.write("last", [7])])
    assert len(table.rows(after.snapshot_id)) == 7
    assert ("dead", 66) not in table.rows(after.snapshot_id)


@pytest.mark.usefixtures("_everything_is_old")
def test_a_second_commit_of_a_run_keeps_what_is_published(table: Table) -> None:
    published = None
    for number in range(6):
        published = table.commit(published, [table.write(f"f{number}", [number])]).snapshot_id
    first = table.commit(published, [table.write("outdated", [1])])
    table.commit(first.snapshot_id, remove=["outdated"], keep=published)
    assert len(table.rows(published)) == 6


# --- schemas


def test_ensuring_twice_changes_nothing(lake: Lake) -> None:
    assert lake.ensure(NAME, SCHEMA) == lake.ensure(NAME, SCHEMA)
    assert lake.ensure(NAME, SCHEMA) == f"{lake.location(NAME)}/data"


def test_a_new_column_is_added(table: Table) -> None:
    first = table.commit(None, [table.write("a", [1])])
    wider = pa.schema([*SCHEMA, pa.field("more", pa.float64())])
    table.lake.ensure(NAME, wider)
    schema = table.lake.schema(NAME)
    assert schema is not None
    assert schema.names == wider.names
    after = table.commit(first.snapshot_id, [table.write("b", [2], schema=wider)])
    assert table.rows(after.snapshot_id) == [("a", 1), ("b", 2)]


def changed(name: str, field: pa.Field | None) -> pa.Schema:
    return pa.schema([one for one in ((field if old.name == name else old) for old in SCHEMA) if one is not None])


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (changed("n", pa.field("n", pa.string(), False)), "column n was int32 and is now string"),
        (changed("text", None), "column text is no longer in the schema"),
        (pa.schema([*SCHEMA, pa.field("more", pa.int32(), False)]), "new column more must be nullable"),
    ],
)
def test_a_schema_that_does_not_fit_is_refused(table: Table, schema: pa.Schema, message: str) -> None:
    before = table.lake.schema(NAME)
    with pytest.raises(
        SchemaConflict, match=f"The schema of toy.readings cannot be applied.*{message}.*Undo the change"
    ):
        table.lake.ensure(NAME, schema)
    assert table.lake.schema(NAME) == before


def test_a_column_may_become_nullable(table: Table) -> None:
    first = table.commit(None, [table.write("a", [1])])
    looser = changed("n", pa.field("n", pa.int32(), True))
    table.lake.ensure(NAME, looser)
    after = table.commit(first.snapshot_id, [table.write("b", [None], schema=looser)])  # type: ignore[list-item]
    assert after.total_rows == 2


def test_a_column_that_must_no_longer_be_null_still_takes_rows(table: Table) -> None:
    first = table.commit(None, [table.write("a", [1])])
    stricter = changed("text", pa.field("text", pa.string(), False))
    table.lake.ensure(NAME, stricter)
    assert table.commit(first.snapshot_id, [table.write("b", [2], schema=stricter)]).total_rows == 2


def test_a_type_that_iceberg_widens_is_widened_and_its_values_stay(table: Table) -> None:
    first = table.commit(None, [table.write("a", [1])])
    wider = changed("n", pa.field("n", pa.int64(), False))
    table.lake.ensure(NAME, wider)
    schema = table.lake.schema(NAME)
    assert schema is not None
    assert schema.field("n").type == pa.int64()
    after = table.commit(first.snapshot_id, [table.write("b", [1 << 40], schema=wider)])
    assert table.rows(after.snapshot_id) == [("a", 1), ("b", 1 << 40)]
    with pytest.raises(SchemaConflict, match="column n was int64 and is now int32"):
        table.lake.ensure(NAME, SCHEMA)


def test_a_column_may_be_left_without_values_where_that_is_said(table: Table) -> None:
    first = table.commit(None, [table.write("a", [1])])
    fewer = changed("text", None)
    table.lake.ensure(NAME, fewer, may_lack=True)
    after = table.commit(first.snapshot_id, [table.write("b", [2], schema=fewer)])
    assert table.rows(after.snapshot_id) == [("a", 1), ("b", 2)]
    schema = table.lake.schema(NAME)
    assert schema is not None
    assert "text" in schema.names
    with pytest.raises(SchemaConflict, match="column n is no longer in the schema"):
        table.lake.ensure(NAME, changed("n", None), may_lack=True)


def test_all_problems_are_told_at_once(table: Table) -> None:
    with pytest.raises(SchemaConflict, match=r"column n was int32.*column text is no longer"):
        table.lake.ensure(
            NAME, pa.schema([pa.field("n", pa.float64(), False), SCHEMA.field("file_id"), SCHEMA.field("batch_id")])
        )


# --- the rest


def test_data_files_of_one_batch(table: Table) -> None:
    first = table.commit(None, [table.write("a", [1], "b1"), table.write("b", [2], "b2")])
    assert table.rows(first.snapshot_id, "b2") == [("b", 2)]
    assert table.rows(first.snapshot_id, "nosuch") == []
    assert table.lake.data_files(NAME, None) == []


def test_a_snapshot_that_is_gone_is_not_an_empty_table(table: Table) -> None:
    table.commit(None, [table.write("a", [1])])
    with pytest.raises(SnapshotGone, match=r"toy\.readings has no snapshot 12345"):
        table.lake.data_files(NAME, 12345)


def test_a_data_file_has_a_path_of_its_own() -> None:
    assert len({new_data_file("file:///lake/data", "b1") for _ in range(100)}) == 100


def test_a_prefix_keeps_namespaces_apart(tmp_path: Path) -> None:
    one, other = Lake(tmp_path, "one__"), Lake(tmp_path, "other__")
    first = Table(one)
    snapshot = first.commit(None, [first.write("a", [1])]).snapshot_id
    second = Table(other)
    assert first.folder != second.folder
    assert "other__toy/readings" in other.location(NAME)
    assert second.commit(None) == Committed(None, 0)
    assert first.rows(snapshot) == [("a", 1)]
    one.close()
    other.close()


def test_nothing_is_made_before_it_is_used(tmp_path: Path) -> None:
    Lake(tmp_path / "lake").location(NAME)
    assert not (tmp_path / "lake").exists()


@pytest.fixture
def read_files(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every metadata file that is read from here on."""
    from pyiceberg.serializers import FromInputFile

    read: list[str] = []
    original = FromInputFile.table_metadata

    def noted(input_file: Any, *rest: Any) -> Any:
        read.append(input_file.location)
        return original(input_file, *rest)

    monkeypatch.setattr(FromInputFile, "table_metadata", staticmethod(noted))
    return read


def test_metadata_that_this_process_wrote_or_read_are_not_read_again(table: Table, read_files: list[str]) -> None:
    base = table.commit(None, [table.write("f1", [1])]).snapshot_id
    base = table.commit(base, [table.write("f2", [2])], remove=["f1"]).snapshot_id
    assert table.rows(base) == [("f2", 2)]
    assert read_files == []
    table.lake.close()
    assert table.rows(base) == table.rows(base) == [("f2", 2)]
    assert len(read_files) == 1


def test_what_another_process_commits_is_seen(table: Table) -> None:
    base = table.commit(None, [table.write("f1", [1])]).snapshot_id
    other = Table(Lake(table.lake.folder))
    newer = other.commit(base, [other.write("f2", [2])]).snapshot_id
    other.lake.close()
    assert table.lake.current_snapshot(NAME) == newer
    assert table.rows(newer) == [("f1", 1), ("f2", 2)]
    assert table.commit(newer, [table.write("f3", [3])]).total_rows == 3


def test_lost_metadata_are_missed_though_they_were_read(table: Table) -> None:
    table.commit(None, [table.write("f1", [1])])
    for path in (table.lake.folder / "warehouse").rglob("*.metadata.json"):
        path.unlink()
    assert table.lake.current_snapshot(NAME) is None
    with pytest.raises(FileNotFoundError):
        table.commit(None, [table.write("f2", [2])])


def test_metadata_kept_of_a_table_do_not_change_with_a_commit(table: Table) -> None:
    def metadata() -> Any:
        return table.lake.catalog.load_table(("toy", "readings")).metadata

    base = table.commit(None, [table.write("f1", [1])]).snapshot_id
    kept, as_text = metadata(), metadata().model_dump_json()
    table.commit(base, [table.write("f2", [2])], remove=["f1"])
    assert kept.model_dump_json() == as_text
    assert metadata().model_dump_json() != as_text
    now = metadata()
    table.lake.close()
    assert metadata() == now, "what was kept is what the file says"


def test_no_more_metadata_are_kept_than_are_worth_it(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.lake.folder_catalog._MOST_KEPT", 2)
    for name in ("a", "b", "c"):
        lake.ensure(TableName("toy", name), SCHEMA)
        assert lake.current_snapshot(TableName("toy", "a")) is None
    assert len(lake.catalog._kept) <= 2  # type: ignore[attr-defined]
    assert [lake.schema(TableName("toy", name)) is not None for name in ("a", "b", "c")] == [True] * 3
