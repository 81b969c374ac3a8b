"""What a reader process does with a slice: the data files it writes, and what it keeps in hand for the picture."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline_assets import reading
from pipeline_assets.reading import SliceTask, draw, read_slice
from pipeline_assets.source import NoConfig
from resources.landing.folder import FolderFetcher
from resources.ledger import FileState
from resources.ledger.batches import ClaimedFile
from tests.toy_source import TOY

DRAWN = replace(TOY, picture=lambda parsed, rows: f"{len(parsed)} rows, {sorted(rows)}".encode())


def land(folder: Path, name: str, rows: int) -> ClaimedFile:
    content = "toy\n" + "".join(f"{n},{n / 2}\n" for n in range(rows))
    (folder / name).write_text(content)
    return ClaimedFile(name, name, hashlib.sha256(content.encode()).hexdigest(), len(content))


def task(folder: Path, *files: ClaimedFile, keeps: bool = False) -> SliceTask:
    folders = {table.name: f"file://{folder}/lake/{table.name}" for table in TOY.tables}
    return SliceTask(DRAWN, NoConfig(), FolderFetcher(folder), "b1", files, folders, keeps=keeps)


def test_a_file_s_picture_is_drawn_from_what_is_in_hand(tmp_path: Path) -> None:
    file = land(tmp_path, "a.csv", 3)
    assert [one.state for one in read_slice(task(tmp_path, file, keeps=True)).outcomes] == [FileState.COMMITTED]
    (tmp_path / "a.csv").unlink()
    assert draw(DRAWN, NoConfig(), FolderFetcher(tmp_path), (file,)) == b"3 rows, ['files', 'readings']"
    assert draw(DRAWN, NoConfig(), FolderFetcher(tmp_path), (file,)) is None, "it is let go of, and the file is gone"


def test_else_it_is_read_again(tmp_path: Path) -> None:
    first, second = land(tmp_path, "a.csv", 3), land(tmp_path, "b.csv", 4)
    read_slice(task(tmp_path, first, keeps=True))
    read_slice(task(tmp_path, second))
    (tmp_path / "a.csv").unlink()
    assert draw(DRAWN, NoConfig(), FolderFetcher(tmp_path), (first,)) is None, "the next slice lets go of it"
    assert draw(DRAWN, NoConfig(), FolderFetcher(tmp_path), (second,)) == b"4 rows, ['files', 'readings']"


def test_many_rows_become_several_data_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_FILE_ROWS", 4)
    files = [land(tmp_path, f"{number}.csv", 3) for number in range(3)]
    result = read_slice(task(tmp_path, *files))
    written = [pq.read_table(uri.removeprefix("file://"), partitioning=None) for uri in result.data_files["readings"]]
    assert [table.num_rows for table in written] == [3, 3, 3]
    assert [row["n"] for table in written for row in table.to_pylist()] == [0, 1, 2] * 3
    assert len(result.data_files["files"]) == 1
