"""Commits to several tables of a lake that take effect together, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from resources.lake.lake import CommitConflict, Committed, Lake, TableName, new_data_file

SCHEMA = pa.schema(
    [
        pa.field("n", pa.int32(), nullable=False),
        pa.field("file_id", pa.string(), nullable=False),
        pa.field("batch_id", pa.string(), nullable=False),
    ]
)
ONE, OTHER = TableName("toy", "one"), TableName("toy", "other")


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    made = Lake(tmp_path / "lake")
    for name in (ONE, OTHER):
        made.ensure(name, SCHEMA)
    yield made
    made.close()


@pytest.fixture
def beside(lake: Lake) -> Iterator[Lake]:
    """The lake as another process has it."""
    made = Lake(lake.folder)
    yield made
    made.close()


def commit(
    lake: Lake, name: TableName, file_id: str, base: int | None = None, remove: tuple[str, ...] = ()
) -> Committed:
    uri = new_data_file(lake.data_folder(name), "b1")
    path = Path(uri.removeprefix("file://"))
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"n": [1, 2], "file_id": [file_id] * 2, "batch_id": ["b1"] * 2}, SCHEMA), path)
    return lake.commit(
        name, base=base, add=[uri], remove_file_ids=remove, batch_id="b1", run_id="r1", knows_batch=lambda _: True
    )


def test_nothing_is_seen_before_the_end_and_all_of_it_after(lake: Lake, beside: Lake) -> None:
    with lake.together():
        made = [commit(lake, name, "f1") for name in (ONE, OTHER)]
        assert [beside.current_snapshot(name) for name in (ONE, OTHER)] == [None, None]
    assert [one.total_rows for one in made] == [2, 2]
    for seen_by in (lake, beside):
        assert [seen_by.current_snapshot(name) for name in (ONE, OTHER)] == [one.snapshot_id for one in made]


def test_a_table_is_committed_to_twice(lake: Lake, beside: Lake) -> None:
    with lake.together():
        first = commit(lake, ONE, "f1")
        second = commit(lake, ONE, "f2", base=first.snapshot_id)
    assert second.total_rows == 4
    assert beside.current_snapshot(ONE) == second.snapshot_id
    with lake.together():
        third = commit(lake, ONE, "f3", base=second.snapshot_id, remove=("f1", "f2"))
    assert third.total_rows == 2


def test_a_failure_leaves_all_tables_as_they_were(lake: Lake, beside: Lake) -> None:
    before = commit(lake, ONE, "f1").snapshot_id

    def fails() -> None:
        with lake.together():
            commit(lake, ONE, "f2", base=before)
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk"):
        fails()
    for seen_by in (lake, beside):
        assert [seen_by.current_snapshot(name) for name in (ONE, OTHER)] == [before, None]
    assert commit(lake, ONE, "f3", base=before).total_rows == 4


def test_another_writer_meanwhile_fails_all_of_it(lake: Lake, beside: Lake) -> None:
    theirs = []

    def comes_late() -> None:
        with lake.together():
            commit(lake, ONE, "f1")
            commit(lake, OTHER, "f1")
            theirs.append(commit(beside, OTHER, "f9").snapshot_id)

    with pytest.raises(CommitConflict, match=r"toy\.other"):
        comes_late()
    assert lake.current_snapshot(ONE) is None
    assert lake.current_snapshot(OTHER) == theirs[0]
