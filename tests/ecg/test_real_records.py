"""Real records: MIT-BIH record 100 whole and in ten-second pieces, a record of three signals, odd MATLAB files."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import wfdb
from wfdb.processing import compare_annotations

from pipeline_assets.ecg.config import EcgConfig
from pipeline_assets.ecg.derive import checked_tables
from pipeline_assets.ecg.examples import matlab4
from pipeline_assets.ecg.quality import assess, check_heartbeat
from pipeline_assets.ecg.read import Recording, missing_parts, read_matlab4, read_matlab73, read_wfdb
from pipeline_assets.ecg.signal_checks import check_signal
from pipeline_assets.landed_file import LandedFile, Refused

BEATS = set("NLRBAaJSVrFejnE/fQ?")
REACH = 54  # 150 ms at 360 Hz, ANSI/AAMI EC57:2012


@pytest.fixture
def folder(shared_data: Path) -> Path:
    return shared_data / "ecg" / "wfdb"


@pytest.fixture
def record_100(folder: Path, config: EcgConfig) -> Recording:
    file = LandedFile.at(folder / "100.hea", companions=[folder / "100.dat", folder / "100.atr"])
    return read_wfdb(file, config)


@pytest.fixture
def true_beats(record_100: Recording) -> np.ndarray:
    notes = record_100.annotations
    assert notes is not None
    return np.array([at for at, symbol in zip(notes.sample.tolist(), notes.symbol, strict=True) if symbol in BEATS])


def test_record_100_is_what_the_library_reads(record_100: Recording, folder: Path) -> None:
    physical = wfdb.rdrecord(str(folder / "100")).p_signal.T
    assert record_100.signal_mv.shape == (2, 650_000)
    assert np.abs(record_100.signal_mv - physical).max() < 1e-12
    assert (record_100.leads, record_100.fs_hz, record_100.warnings) == (("MLII", "V5"), 360.0, ())
    assert missing_parts((folder / "100.hea").read_bytes(), []) == ["100.dat"]


def test_record_100_whole(record_100: Recording, true_beats: np.ndarray, config: EcgConfig) -> None:
    assert len(true_beats) == 2273
    start = time.perf_counter()
    rows = checked_tables(record_100, config)
    assert time.perf_counter() - start < 3
    assert rows["recordings"]["verdict"] == ["good", "good"]
    assert len(rows["annotations"]["sample"]) == 2274
    for lead in ("MLII", "V5"):
        found = rows["beats"]["sample"][rows["beats"]["lead"] == lead]
        score = compare_annotations(true_beats, found.astype(np.int64), REACH)
        assert score.sensitivity >= 0.995
        assert score.positive_predictivity >= 0.995


def test_the_180_pieces_of_record_100(record_100: Recording, true_beats: np.ndarray, config: EcgConfig) -> None:
    hits = missed = false = 0
    warned: Counter[str] = Counter()
    for start in range(0, 648_000, 3600):
        part = record_100.signal_adu[:, start : start + 3600]
        piece = Recording("100", "", 360.0, 200.0, 1024.0, ("MLII", "V5"), part)
        check_signal(piece, config)
        leads = assess(piece, config)
        check_heartbeat(piece, leads, config)
        here = true_beats[(true_beats >= start) & (true_beats < start + 3600)] - start
        score = compare_annotations(here, leads[0].beats, REACH)
        hits, missed, false = hits + score.tp, missed + score.fn, false + score.fp
        warned.update(
            f"{lead}:{word}" for lead, judged in zip(piece.leads, leads, strict=True) for word in judged.warnings
        )
    assert hits / (hits + missed) >= 0.995
    assert hits / (hits + false) >= 0.995
    assert sum(count for word, count in warned.items() if word.startswith("MLII")) == 0, warned
    assert sum(warned.values()) <= 4, warned


def test_a_record_of_three_signals(folder: Path, config: EcgConfig) -> None:
    recording = read_wfdb(LandedFile.at(folder / "a103l.hea", companions=[folder / "a103l.mat"]), config)
    assert (recording.leads, recording.other_signals, recording.fs_hz) == (("II", "V"), ("PLETH (NU)",), 250.0)
    assert recording.signal_adu.shape == (2, 82_500)
    physical = wfdb.rdrecord(str(folder / "a103l")).p_signal.T[:2]
    assert np.abs(recording.signal_mv - physical).max() < 1e-12
    rows = checked_tables(recording, config)["recordings"]
    assert rows["warnings"] == ["poor_windows", "poor_windows"]
    assert 120 < rows["heart_rate_bpm"].min() < rows["heart_rate_bpm"].max() < 140


def test_its_signal_file_alone_is_a_matlab_file(folder: Path) -> None:
    file = LandedFile.at(folder / "a103l.mat")
    assert read_matlab4(file, EcgConfig(samples=None)).signal_adu.shape == (3, 82_500)
    with pytest.raises(Refused, match="3 x 82,500"):
        read_matlab4(file, EcgConfig())
    assert matlab4(read_matlab4(file, EcgConfig(samples=None)).signal_adu.astype(np.int16)) == file.read_bytes()


@pytest.mark.parametrize(
    ("name", "read"), [("testdouble_4.2c_SOL2", read_matlab4), ("testhdf5_7.4_GLNX86", read_matlab73)]
)
def test_matlab_files_of_other_things(name: str, read: object, shared_data: Path, config: EcgConfig) -> None:
    with pytest.raises(Refused) as caught:
        read(LandedFile.at(shared_data / "ecg" / "matlab_edge" / f"{name}.mat"), config)  # type: ignore[operator]
    assert caught.value.error_class == "no_signal_variable"
    assert "testdouble (1 x 9 double)" in caught.value.message
