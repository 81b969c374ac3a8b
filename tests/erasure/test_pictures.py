"""A picture of a forgotten file is in no event of Dagster's any more, nor in a copy of one."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import main
from pipeline_assets.ecg.examples import write_examples
from resources.platform import Platform
from tests.conftest import Put
from tests.erasure.traces import traces
from tests.running import rows_of

PNG = "data:image/png"


def test_the_picture_goes_with_its_file(
    platform: Platform, put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRANDLINE_HOME", str(platform.settings.home))
    monkeypatch.setenv("STRANDLINE_SETTLE_SECONDS", "0.05")
    good = next(one for one in write_examples(tmp_path / "examples", seed=0, good=2) if "rec_" in one.path.name)
    key = "ecg/secret_patient/1 NSR/rec.mat"
    put(key, good.path.read_bytes())
    platform.close()
    assert CliRunner().invoke(main, ["drain"]).exit_code == 0
    dagster = platform.settings.home / "dagster"
    assert traces(dagster, [PNG])
    assert CliRunner().invoke(main, ["forget", key, "--yes"]).exit_code == 3
    assert traces(dagster, [PNG, "secret_patient"]) == []
    assert rows_of(platform, "SELECT count(*) FROM ecg.samples") == [(0,)]
    assert rows_of(platform, "SELECT count(*) FROM ecg.class_summary") == [(0,)]
    platform.close()
    assert traces(platform.settings.lake_folder, ["secret_patient"]) == []
