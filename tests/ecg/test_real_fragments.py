"""Real files: ten-second fragments of MIT-BIH record 100, broken copies of one, and odd MATLAB files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from pipeline_assets.ecg.config import EcgConfig
from pipeline_assets.ecg.derive import checked_tables
from pipeline_assets.ecg.read import Recording, read_matlab5, recognise_matlab5
from pipeline_assets.ecg.signal_checks import check_signal
from pipeline_assets.landed_file import LandedFile, Refused

GOOD = ["100m_NSR_w068", "100m_APB_w084", "100m_PVC_w151", "100m_mixed_w000"]
BAD = {
    "bad_flatline": "flat_line",
    "bad_partial_flatline_3.33s": "flat_line",
    "bad_nan_60_samples": "nan_samples",
    "bad_saturated_400_samples": "saturation",
    "bad_no_val_variable": "no_signal_variable",
    "bad_short_1800_samples": "wrong_length",
    "bad_truncated": "unreadable",
    "bad_not_mat": "unreadable",
    "bad_zero_bytes": "unreadable",
    "bad_noise_only": "noise",
}
POOR = {"bad_baseline_wander": "baseline_wander", "bad_mains_50Hz": "mains_noise"}


def accepted(path: Path, config: EcgConfig) -> Recording:
    recording = read_matlab5(LandedFile.at(path), config)
    check_signal(recording, config)
    return recording


def digitised(dat: Path) -> np.ndarray:
    """The first signal of a WFDB file of two in format 212: 12-bit numbers, two in three bytes."""
    low, middle, _ = np.fromfile(dat, dtype=np.uint8).reshape(-1, 3).T.astype(np.int32)
    first = low | (middle & 0x0F) << 8
    return np.where(first > 2047, first - 4096, first)


@pytest.fixture
def fragments(shared_data: Path) -> Path:
    return shared_data / "ecg" / "fragments"


@pytest.fixture
def expected(shared_data: Path) -> dict[str, Any]:
    answers: dict[str, Any] = json.loads((shared_data / "ecg" / "expected.json").read_text())
    return answers


@pytest.mark.parametrize("name", GOOD)
def test_good_fragments_are_the_database_value_by_value(
    name: str, fragments: Path, expected: dict[str, Any], config: EcgConfig
) -> None:
    recording = accepted(fragments / f"{name}.mat", config)
    answer = expected[f"fragments/{name}.mat"]
    start = answer["mitdb_start_sample"]
    original = digitised(fragments.parent / "wfdb" / "100.dat")[start : start + 3600]
    assert np.array_equal(recording.signal_adu[0], original)
    assert np.array_equal(recording.signal_mv[0], (original.astype(np.float64) - 1024) / 200)
    assert (recording.signal_adu.min(), recording.signal_adu.max()) == (answer["min"], answer["max"])


@pytest.mark.parametrize("name", GOOD)
def test_the_annotated_beats_are_found(name: str, fragments: Path, expected: dict[str, Any], config: EcgConfig) -> None:
    rows = checked_tables(accepted(fragments / f"{name}.mat", config), config)
    answer = expected[f"fragments/{name}.mat"]
    r_peaks = np.array(answer["r_peaks"])
    assert rows["recordings"]["beats"].tolist() == [answer["beats"]]
    assert np.abs(rows["beats"]["sample"] - r_peaks).max() <= 2
    heart_rate = rows["recordings"]["heart_rate_bpm"][0]
    assert heart_rate == pytest.approx(answer["mean_hr_bpm"], abs=0.1)


@pytest.mark.parametrize("name", BAD)
def test_bad_fragments_are_refused(name: str, fragments: Path, config: EcgConfig) -> None:
    with pytest.raises(Refused) as caught:
        checked_tables(accepted(fragments / f"{name}.mat", config), config)
    assert caught.value.error_class == BAD[name]


def test_places_in_bad_fragments(fragments: Path, config: EcgConfig) -> None:
    for name, variable in (("bad_nan_60_samples", np.isnan), ("bad_saturated_400_samples", lambda val: val == 2047)):
        where = np.flatnonzero(variable(scipy.io.loadmat(fragments / f"{name}.mat")["val"][0]))
        with pytest.raises(Refused) as caught:
            accepted(fragments / f"{name}.mat", config)
        assert caught.value.location == f"lead MLII, samples {where[0]}-{where[-1]}"


@pytest.mark.parametrize("name", POOR)
def test_poor_but_readable_fragments_are_flagged(name: str, fragments: Path, config: EcgConfig) -> None:
    rows = checked_tables(accepted(fragments / f"{name}.mat", config), config)["recordings"]
    assert rows["verdict"] == ["warn"]
    assert POOR[name] in rows["warnings"][0].split(",")


@pytest.mark.parametrize("name", GOOD)
def test_good_fragments_have_no_warning(name: str, fragments: Path, config: EcgConfig) -> None:
    rows = checked_tables(accepted(fragments / f"{name}.mat", config), config)["recordings"]
    assert (rows["verdict"], rows["warnings"]) == (["good"], [""])


def test_every_fragment_has_an_expectation(fragments: Path) -> None:
    assert {path.stem for path in fragments.glob("*.mat")} == {*GOOD, *BAD, *POOR}


@pytest.mark.parametrize("name", ["malformed1", "corrupted_zlib_checksum"])
def test_damaged_matlab_files_are_unreadable(name: str, shared_data: Path, config: EcgConfig) -> None:
    path = shared_data / "ecg" / "matlab_edge" / f"{name}.mat"
    assert recognise_matlab5(path.read_bytes()[:128])
    with pytest.raises(Refused) as caught:
        read_matlab5(LandedFile.at(path), config)
    assert caught.value.error_class == "unreadable"
