"""Figures of signal quality, warnings, and the refusal of noise."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pipeline_assets.ecg.beats import _moving_mean, find_beats, find_beats_by_energy, longest_pause_s, matched
from pipeline_assets.ecg.config import EcgConfig
from pipeline_assets.ecg.derive import checked_tables
from pipeline_assets.ecg.examples import Example, synthetic_ecg
from pipeline_assets.ecg.quality import assess, bsqi, check_heartbeat, window_figures, windows
from pipeline_assets.ecg.read import Recording, read_matlab5
from pipeline_assets.ecg.signal_checks import check_signal
from pipeline_assets.landed_file import LandedFile, Refused

Maker = Callable[..., Recording]
T = np.arange(3600) / 360.0


@pytest.fixture
def counts() -> np.ndarray:
    return synthetic_ecg(np.random.default_rng(7))[0][0].astype(np.float64)


def figures(mv: np.ndarray, fs_hz: float = 360.0) -> dict[str, float]:
    return {name: float(value[0]) for name, value in window_figures(mv, fs_hz, np.array([0]), len(mv)).items()}


def test_good_files_have_no_warning(good: list[Example], config: EcgConfig) -> None:
    for example in good:
        recording = read_matlab5(LandedFile.at(example.path), config)
        (lead,) = assess(recording, config)
        assert (lead.warnings, lead.verdict) == ((), "good"), example.key
        assert lead.figures["bsqi"] == 1.0


def test_indices_of_signals_that_can_be_worked_out() -> None:
    sine = figures(np.sin(2 * np.pi * 10 * T))
    assert sine["ksqi"] == pytest.approx(1.5, abs=1e-3)
    assert sine["ssqi"] == pytest.approx(0.0, abs=1e-3)
    assert sine["psqi"] == pytest.approx(1.0, abs=1e-6)
    assert sine["bassqi"] == pytest.approx(1.0, abs=1e-6)
    assert sine["amplitude_mv"] == pytest.approx(2.0, abs=0.01)
    noise = figures(np.random.default_rng(1).normal(size=72_000))
    assert noise["ksqi"] == pytest.approx(3.0, abs=0.1)
    assert noise["psqi"] == pytest.approx(10 / 35, abs=0.03)
    assert noise["noise_share"] == pytest.approx((140 - 4) / 179.33, abs=0.03)
    both = figures(np.sin(2 * np.pi * 10 * T) + 0.5 * np.sin(2 * np.pi * 50 * T))
    assert both["mains_50hz_share"] == pytest.approx(0.2, abs=1e-3)
    assert both["mains_60hz_share"] == pytest.approx(0.0, abs=1e-6)
    slow = figures(np.sin(2 * np.pi * 10 * T) + np.sin(2 * np.pi * 0.2 * T))
    assert slow["bassqi"] == pytest.approx(0.5, abs=0.01)
    assert 1.5 < slow["wander_mv"] < 2.0
    assert figures(np.exp(-T * 20))["ssqi"] > 3


def test_kurtosis_and_skewness_are_scipys(counts: np.ndarray) -> None:
    from scipy.stats import kurtosis, skew

    found = figures(counts)
    assert found["ksqi"] == pytest.approx(kurtosis(counts, fisher=False))
    assert found["ssqi"] == pytest.approx(skew(counts))


@pytest.mark.parametrize("fs_hz", [100.0, 125.0, 250.0, 1000.0, 10_000.0])
def test_any_rate(fs_hz: float) -> None:
    found = figures(np.sin(2 * np.pi * 10 * np.arange(int(10 * fs_hz)) / fs_hz), fs_hz)
    assert all(math.isfinite(value) for value in found.values())
    assert found["psqi"] == pytest.approx(1.0, abs=1e-6)


def test_a_signal_without_change_has_figures_too(recording_of: Maker, config: EcgConfig) -> None:
    (lead,) = assess(recording_of(np.full(3600, 1000.0)), config)
    assert all(math.isfinite(value) for value in lead.figures.values())
    assert {"low_amplitude", "long_pause", "detectors_disagree"} <= set(lead.warnings)


def test_windows_cover_the_signal() -> None:
    assert windows(3600, 360.0, 10.0)[0].tolist() == [0]
    assert windows(7300, 360.0, 10.0)[0].tolist() == [0, 3600, 3700]
    starts, width = windows(500, 360.0, 10.0)
    assert (starts.tolist(), width) == ([0], 500)


def test_matched_beats_are_matched_once() -> None:
    assert matched(np.array([100, 120, 400]), np.array([110, 460]), 54).tolist() == [True, False, False]
    assert matched(np.array([100]), np.array([154]), 54).tolist() == [True]
    assert matched(np.array([100]), np.array([155]), 54).tolist() == [False]
    assert matched(np.empty(0, dtype=np.int64), np.array([1]), 54).tolist() == []


def test_bsqi_is_the_share_of_common_beats_in_each_piece() -> None:
    one, other = np.array([100, 500, 900, 1300]), np.array([110, 520, 1500, 1900])
    assert bsqi(one, other, np.array([0, 1000]), 1000, 54).tolist() == [2 / 3, 0.0]
    none = np.empty(0, dtype=np.int64)
    assert bsqi(none, none, np.array([0]), 1000, 54).tolist() == [0.0]


def test_the_second_detector_finds_the_beats_of_the_sample_files(good: list[Example], config: EcgConfig) -> None:
    for example in good:
        recording = read_matlab5(LandedFile.at(example.path), config)
        found = find_beats_by_energy(recording.signal_mv[0], 360.0)
        assert example.r_peaks is not None
        assert len(found) == len(example.r_peaks)
        assert np.abs(found - example.r_peaks).max() <= 10


@pytest.mark.parametrize("signal", [np.zeros(3600), np.zeros(100), np.zeros(0)])
def test_the_second_detector_finds_nothing_in_nothing(signal: np.ndarray) -> None:
    assert len(find_beats_by_energy(signal, 360.0)) == 0


def test_a_wandering_baseline_does_not_move_the_beats(config: EcgConfig) -> None:
    counts, peaks = synthetic_ecg(np.random.default_rng(12))
    signal = (counts[0] - 1024) / 200 + 2.0 * np.sin(2 * np.pi * 0.3 * T)
    assert np.abs(find_beats(signal, 360.0, config) - peaks).max() <= 2


@pytest.mark.parametrize(("samples", "width"), [(10, 1), (10, 2), (10, 5), (10, 10), (3, 8), (1, 1)])
def test_a_moving_mean_takes_what_is_there(samples: int, width: int) -> None:
    values = np.random.default_rng(0).normal(size=samples)
    expected = [values[max(0, at - width // 2) : max(0, at - width // 2 + width)].mean() for at in range(samples)]
    assert _moving_mean(np.concatenate(([0.0], np.cumsum(values))), width) == pytest.approx(expected)


def test_pauses_reach_to_the_ends() -> None:
    assert longest_pause_s(np.array([360, 720]), 3600, 360.0) == 8.0
    assert longest_pause_s(np.empty(0, dtype=np.int64), 3600, 360.0) == 10.0


DISTURBED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "baseline_wander": lambda mv: mv + 1.5 * np.sin(2 * np.pi * 0.25 * T),
    "mains_noise": lambda mv: mv + 0.1 * np.sin(2 * np.pi * 60 * T),
    "high_frequency_noise": lambda mv: mv + np.random.default_rng(1).normal(0, 0.25, 3600),
    "low_amplitude": lambda mv: mv * 0.2,
    "high_amplitude": lambda mv: mv * 12,
    "low_ksqi": lambda mv: mv + 0.8 * np.sin(2 * np.pi * 7 * T),
    "low_psqi": lambda mv: mv + 0.8 * np.sin(2 * np.pi * 30 * T),
    "long_pause": lambda mv: np.where(T < 3.4, 0.003 * np.sin(2 * np.pi * 0.7 * T), mv),
    "detectors_disagree": lambda mv: mv + np.random.default_rng(1).normal(0, 0.45, 3600),
}


@pytest.mark.parametrize("name", DISTURBED)
def test_each_warning_has_its_cause(name: str, counts: np.ndarray, recording_of: Maker, config: EcgConfig) -> None:
    mv = DISTURBED[name]((counts - 1024) / 200)
    recording = recording_of(1024 + 200 * mv)
    check_signal(recording, config)
    leads = assess(recording, config)
    check_heartbeat(recording, leads, config)
    assert name in leads[0].warnings
    assert leads[0].verdict == "warn"


@pytest.mark.parametrize(("rate", "warned"), [(30, True), (60, False), (150, False), (210, True)])
def test_heart_rates_beyond_what_is_plausible(
    rate: float, warned: bool, recording_of: Maker, config: EcgConfig
) -> None:
    beats = np.arange(0.5, 30, 60 / rate)
    t = np.arange(30 * 360) / 360
    mv = sum(np.exp(-((t - beat) ** 2) / (2 * 0.011**2)) for beat in beats) + 0.01 * np.sin(2 * np.pi * 0.8 * t)
    (lead,) = assess(recording_of(1024 + 200 * mv), config)
    assert lead.heart_rate_bpm == pytest.approx(rate, rel=0.05)
    assert ("heart_rate" in lead.warnings) == warned


@pytest.mark.parametrize("seed", range(10))
def test_noise_is_refused(seed: int, recording_of: Maker, config: EcgConfig) -> None:
    rng = np.random.default_rng(seed)
    with pytest.raises(Refused) as caught:
        checked_tables(recording_of(rng.normal(1024, 60, (2, 3600)), leads=("II", "V5")), config)
    assert caught.value.error_class == "noise"
    assert "II, V5" in caught.value.message
    assert "two beat detectors agree" in caught.value.message


def test_one_lead_with_a_heart_keeps_the_recording(counts: np.ndarray, recording_of: Maker, config: EcgConfig) -> None:
    noise = np.random.default_rng(0).normal(1024, 60, 3600)
    rows = checked_tables(recording_of([counts, noise]), config)["recordings"]
    assert rows["verdict"] == ["good", "warn"]
    assert "detectors_disagree" in rows["warnings"][1]


def test_flutter_is_no_noise(recording_of: Maker, config: EcgConfig) -> None:
    """Ventricular flutter is close to a sine wave of 3 to 5 Hz: doubted, never thrown away."""
    mv = np.sin(2 * np.pi * 4 * T + 0.5 * np.sin(2 * np.pi * 0.3 * T)) + 0.2 * np.sin(2 * np.pi * 8 * T)
    rows = checked_tables(recording_of(1024 + 200 * mv), config)["recordings"]
    assert rows["verdict"] == ["warn"]


def test_a_day_is_judged_piece_by_piece(recording_of: Maker, config: EcgConfig) -> None:
    counts = synthetic_ecg(np.random.default_rng(3), samples=36_000)[0][0].astype(np.float64)
    noise = np.random.default_rng(0)
    counts[3600:7200] += noise.normal(0, 150, 3600)
    (lead,) = assess(recording_of(counts), config)
    assert lead.figures["poor_windows"] == pytest.approx(0.1)
    assert lead.warnings == ()
    counts[14_400:18_000] += noise.normal(0, 150, 3600)
    (lead,) = assess(recording_of(counts), config)
    assert lead.warnings == ("poor_windows",)


def test_missing_samples_can_be_let_pass(counts: np.ndarray, recording_of: Maker) -> None:
    config = EcgConfig(nan_share_max=0.01)
    counts[100:110] = math.nan
    rows = checked_tables(recording_of(counts), config)
    assert rows["recordings"]["nan_share"].tolist() == [10 / 3600]
    assert rows["recordings"]["warnings"] == ["missing_samples"]
    assert np.isnan(rows["samples"]["mv"]).sum() == np.isnan(rows["samples"]["ecg_data"]).sum() == 10
    counts[100:150] = math.nan
    with pytest.raises(Refused, match=re.escape("expected 1.00% at most")):
        checked_tables(recording_of(counts), config)


def test_what_cannot_be_millivolts_is_refused(counts: np.ndarray, recording_of: Maker, config: EcgConfig) -> None:
    with pytest.raises(Refused) as caught:
        check_signal(recording_of(counts * 1e4), config)
    assert caught.value.error_class == "wrong_amplitude"


def test_ecg_data_is_the_originals_scaling(counts: np.ndarray, recording_of: Maker, config: EcgConfig) -> None:
    rows = checked_tables(recording_of([counts, 2 * counts]), config)["samples"]
    scaled = (counts - counts.min()) / (counts.max() - counts.min())
    assert rows["ecg_data"][:3600] == pytest.approx(scaled)
    assert rows["ecg_data"][3600:] == pytest.approx(scaled)
    assert (rows["ecg_data"].min(), rows["ecg_data"].max()) == (0.0, 1.0)


def test_doubts_of_reading_reach_the_table(counts: np.ndarray, recording_of: Maker, config: EcgConfig) -> None:
    recording = dataclasses.replace(recording_of(counts), warnings=("checksum",), class_number=7, class_label="PVC")
    rows: dict[str, Any] = checked_tables(recording, config)["recordings"]
    assert (rows["verdict"], rows["warnings"]) == (["warn"], ["checksum"])
    assert (rows["class_number"], rows["class_label"], rows["fs_source"]) == (7, "PVC", "default")


def test_every_limit_has_a_source_or_says_that_it_is_our_own() -> None:
    names = [
        name
        for name in EcgConfig.model_fields
        if name.endswith(("_min", "_max", "_mv", "_bpm", "_noise", "_fast", "_share_max"))
    ]
    assert len(names) >= 15
    for name in names:
        description = EcgConfig.model_fields[name].description or ""
        assert re.search(r"Source|Strandline's own|ADC", description), name
