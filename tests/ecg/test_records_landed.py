"""WFDB records, sidecars and bare MATLAB files through the front door."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from cli.main import main
from pipeline_assets.ecg.examples import Example
from resources.lake.sql import run_query
from resources.ledger.queries import list_files
from resources.platform import Platform
from resources.settings import Settings

Strandline = Callable[..., Result]


@pytest.fixture
def strandline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Strandline:
    """The command line on a home of its own."""
    monkeypatch.setenv("STRANDLINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("STRANDLINE_WORKERS", "2")
    monkeypatch.setenv("STRANDLINE_SETTLE_SECONDS", "0.05")
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(main, list(arguments))
        assert result.exit_code == code, result.output
        return result

    return call


def rows(query: str) -> list[dict[str, object]]:
    platform = Platform(Settings.load())
    try:
        found: list[dict[str, object]] = run_query(platform.lake, platform.ledger, query).to_pylist()
        return found
    finally:
        platform.close()


def states() -> dict[str, str]:
    platform = Platform(Settings.load())
    try:
        return {row.key: row.state for row in list_files(platform.ledger)}
    finally:
        platform.close()


def test_a_generated_record_waits_for_its_signals_and_is_read_whole(
    strandline: Strandline, examples: list[Example]
) -> None:
    record = next(example for example in examples if example.path.suffix == ".hea")
    signals, notes = record.companions
    strandline("land", "ecg", str(record.path))
    told = strandline("drain", code=3)
    assert "1 files wait for the rest of their record" in told.output
    assert (
        f"It waits for other files that belong to it: {signals.name}." in strandline("explain", record.path.name).output
    )
    strandline("land", "ecg", str(signals))
    strandline("drain")
    assert rows("SELECT DISTINCT lead FROM ecg.recordings ORDER BY 1") == [{"lead": "MLII"}, {"lead": "V5"}]
    assert rows("SELECT count(*) AS n FROM ecg.annotations") == [{"n": 0}]
    strandline("land", "ecg", str(notes))
    strandline("drain")
    assert rows("SELECT count(*) AS n FROM ecg.annotations") == [{"n": len(record.r_peaks or ())}]
    assert rows("SELECT count(*) AS n FROM ecg.samples") == [{"n": 2 * 3 * 3600}]
    assert set(states().values()) == {"committed"}


def test_a_sidecar_calibrates_a_bare_file_that_is_there_already(
    strandline: Strandline, examples: list[Example]
) -> None:
    bare = next(example for example in examples if "matlab73" in example.key)
    strandline("land", "ecg", str(bare.path))
    strandline("drain")
    assert rows("SELECT lead, fs_source FROM ecg.recordings") == [{"lead": "MLII", "fs_source": "default"}]
    strandline("land", "ecg", str(bare.companions[0]))
    strandline("drain")
    assert rows("SELECT lead, fs_source FROM ecg.recordings") == [{"lead": "II", "fs_source": "sidecar"}]


def test_record_100_and_a103l_through_the_front_door(strandline: Strandline, shared_data: Path) -> None:
    import wfdb

    strandline("land", "ecg", str(shared_data / "ecg" / "wfdb"))
    strandline("drain")
    assert set(states().values()) == {"committed"}
    counted = rows(
        "SELECT source_key, lead, samples, fs_hz, fs_source, beats, verdict FROM ecg.recordings ORDER BY source_key, lead"
    )
    assert [(row["lead"], row["samples"], row["fs_hz"]) for row in counted] == [
        ("MLII", 650_000, 360.0), ("V5", 650_000, 360.0), ("II", 82_500, 250.0), ("V", 82_500, 250.0),
    ]  # fmt: skip
    assert {row["fs_source"] for row in counted} == {"header"}
    assert rows("SELECT count(*) AS n FROM ecg.annotations") == [{"n": 2274}]
    shown = rows("SELECT mv FROM ecg.samples WHERE lead = 'V5' ORDER BY sample")
    physical = wfdb.rdrecord(str(shared_data / "ecg" / "wfdb" / "100")).p_signal[:, 1]
    assert np.abs(np.array([row["mv"] for row in shown]) - physical).max() < 1e-12
