"""`strandline export` of a whole source: every table as a file, all as of one moment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from cli.main import main
from pipeline_assets import registry
from resources.platform import Platform
from tests.conftest import Put
from tests.running import look_and_run, rows_of, toy
from tests.toy_source import TOY

Run = Callable[..., Any]


@pytest.fixture
def export(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("STRANDLINE_HOME", str(platform.settings.home))
    monkeypatch.setattr(registry, "SOURCES", (TOY,))

    def run(*arguments: object, code: int = 0) -> str:
        done = CliRunner().invoke(main, ["export", *map(str, arguments)])
        assert done.exit_code == code, done.output
        return done.output

    return run


def test_every_table_is_a_file_with_all_its_rows(platform: Platform, put: Put, export: Run, tmp_path: Path) -> None:
    put("toy/a.csv", toy(1, 2))
    put("toy/b.csv", toy(3))
    look_and_run(platform)
    folder = tmp_path / "out" / "csv"
    printed = export("toy", folder)
    assert f"{folder}/readings.csv: 3 rows\n" in printed
    assert sorted(path.name for path in folder.iterdir()) == ["files.csv", "readings.csv"]
    assert sorted(arrow_csv.read_csv(folder / "readings.csv")["value"].to_pylist()) == [1.0, 2.0, 3.0]
    export("toy", tmp_path / "parquet", "--format", "parquet")
    files = pq.read_table(tmp_path / "parquet" / "files.parquet")
    assert files.column_names == ["source_key", "readings", "file_id", "batch_id"]
    assert dict(zip(files["source_key"].to_pylist(), files["readings"].to_pylist(), strict=True)) == dict(
        rows_of(platform, "SELECT source_key, readings FROM toy.files")
    )


def test_what_cannot_be_is_refused(platform: Platform, put: Put, export: Run, tmp_path: Path) -> None:
    assert "no tables yet" in export("toy", tmp_path / "none")
    put("toy/a.csv", toy(1))
    look_and_run(platform)
    assert "OUTPUT is a folder for their files" in export("toy", tmp_path / "all.csv", code=2)
    assert "--format is for a whole source" in export("toy.files", tmp_path / "a.csv", "--format", "csv", code=2)
    assert "must end in .csv or .parquet" in export("toy.files", tmp_path / "folder", code=2)
