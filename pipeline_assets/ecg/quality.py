"""How good a signal is: figures for each lead, warnings, and the refusal of a recording that is nothing but noise.

A recording is cut into pieces of `window_s`. Each figure is the median of the pieces, so that it means the same for ten
seconds and for a day; `poor_windows` says how many pieces break a limit. Limits and their sources are in config.py.
Rahman et al. 2022 (https://doi.org/10.1098/rsif.2022.0012) found that fixed limits of such indices move between data
sets: set them for yours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pipeline_assets.ecg.beats import find_beats, find_beats_by_energy, heart_rate_bpm, longest_pause_s, matched
from pipeline_assets.ecg.config import EcgConfig
from pipeline_assets.ecg.read import Recording
from pipeline_assets.ecg.signal_checks import constant_runs, saturated
from pipeline_assets.landed_file import Refused

Figures = dict[str, NDArray[np.float64]]
"""A figure's value in each piece, by its name."""

BASELINE_HZ = 0.67
WINDOWS_AT_ONCE = 256
GOOD, WARN = "good", "warn"


@dataclass(frozen=True)
class LeadQuality:
    """The beats of one lead, its figures by the names of their columns, and what is doubtful about it."""

    beats: NDArray[np.int64]
    heart_rate_bpm: float
    figures: Mapping[str, float]
    warnings: tuple[str, ...]

    @property
    def verdict(self) -> str:
        return WARN if self.warnings else GOOD


def assess(recording: Recording, config: EcgConfig) -> list[LeadQuality]:
    """The quality of each lead of a recording that `check_signal` let pass."""
    return [
        lead_quality(counts, mv, recording.fs_hz, recording.warnings, config)
        for counts, mv in zip(recording.signal_adu, recording.signal_mv, strict=True)
    ]


def check_heartbeat(recording: Recording, leads: list[LeadQuality], config: EcgConfig) -> None:
    """Refused `noise` when no lead shows a heart: each fails bSQI, kSQI and pSQI at once.

    One index alone must not refuse: ventricular flutter fails bSQI, mains hum fails kSQI (Li et al. 2014,
    https://doi.org/10.1109/TBME.2013.2240452, found that indices depend on the rhythm).
    """
    if not leads or not all(_is_noise(lead, config) for lead in leads):
        return
    best = max(leads, key=lambda lead: lead.figures["bsqi"]).figures
    raise Refused(
        "noise",
        f"No heartbeat in {', '.join(recording.leads)[:200]}: two beat detectors agree on {best['bsqi']:.0%} of the beats "
        f"(expected {config.bsqi_noise:.0%} or more), kurtosis is {best['ksqi']:.1f} (expected above {config.ksqi_min:g}), "
        f"{best['psqi']:.0%} of the power is where a QRS has it (expected {config.psqi_min:.0%} or more). Check the "
        "electrodes and record again",
    )


def _is_noise(lead: LeadQuality, config: EcgConfig) -> bool:
    figures = lead.figures
    return (
        figures["bsqi"] < config.bsqi_noise
        and not figures["ksqi"] > config.ksqi_min
        and not figures["psqi"] >= config.psqi_min
    )


def lead_quality(
    counts: NDArray[np.float64],
    mv: NDArray[np.float64],
    fs_hz: float,
    known: tuple[str, ...],
    config: EcgConfig,
) -> LeadQuality:
    """Beats, figures and warnings of one lead. known: warnings that it has already."""
    missing = ~np.isfinite(counts)
    signal = bridged(mv, missing)
    beats = find_beats(signal, fs_hz, config)
    others = find_beats_by_energy(signal, fs_hz)
    rate = heart_rate_bpm(beats, fs_hz)
    starts, width = windows(len(signal), fs_hz, config.window_s)
    figures = window_figures(signal, fs_hz, starts, width)
    figures["bsqi"] = bsqi(beats, others, starts, width, round(config.match_s * fs_hz))
    broken = broken_limits(figures, rate, config)
    whole = {
        **{name: float(np.median(values)) for name, values in figures.items()},
        **run_figures(counts, missing, fs_hz, config),
        "longest_pause_s": longest_pause_s(beats, len(signal), fs_hz),
        "poor_windows": float(np.mean(np.any(list(broken.values()), axis=0))),
    }
    return LeadQuality(beats, rate, whole, (*known, *warnings(whole, rate, config)))


def bridged(mv: NDArray[np.float64], missing: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The signal with straight lines across missing samples, for filters and spectra only."""
    if not missing.any():
        return mv
    signal = mv.copy()
    signal[missing] = np.interp(np.flatnonzero(missing), np.flatnonzero(~missing), mv[~missing])
    return signal


def windows(samples: int, fs_hz: float, window_s: float) -> tuple[NDArray[np.intp], int]:
    """First samples and common length of the pieces; the last one reaches back over its neighbour to be as long."""
    width = min(samples, round(window_s * fs_hz))
    starts = np.arange(0, samples - width + 1, width)
    if starts[-1] + width < samples:
        starts = np.append(starts, samples - width)
    return starts, width


def window_figures(mv: NDArray[np.float64], fs_hz: float, starts: NDArray[np.intp], width: int) -> Figures:
    """The figures of each piece that come from its values and its spectrum; some hundred pieces at a time."""
    pieces = sliding_window_view(mv, width)
    parts = [
        _figures(pieces[starts[at : at + WINDOWS_AT_ONCE]], fs_hz) for at in range(0, len(starts), WINDOWS_AT_ONCE)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _figures(pieces: NDArray[np.float64], fs_hz: float) -> Figures:
    """The figures of pieces x samples.

    kSQI: kurtosis (3 for noise); pSQI: share of 5-15 Hz in 5-40 Hz. Source: Li, Mark & Clifford 2008,
    https://doi.org/10.1088/0967-3334/29/1/002.
    sSQI: skewness; basSQI: share of what is above 1 Hz in 0-40 Hz. Source: Clifford et al. 2012,
    https://doi.org/10.1088/0967-3334/33/9/1419. No limit for sSQI: it follows the lead's polarity and each early beat.
    """
    centred = pieces - pieces.mean(axis=1, keepdims=True)
    deviation = centred.std(axis=1, keepdims=True)
    scaled = np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 0)
    squared = scaled * scaled
    share = _power_shares(scaled, fs_hz)
    mains_50, mains_60 = share((49, 51), (BASELINE_HZ, math.inf)), share((59, 61), (BASELINE_HZ, math.inf))
    fast = share((40, math.inf), (BASELINE_HZ, math.inf))
    return {
        "amplitude_mv": np.ptp(pieces, axis=1),
        "wander_mv": wander_mv(centred, fs_hz),
        "mains_50hz_share": mains_50,
        "mains_60hz_share": mains_60,
        "noise_share": np.maximum(fast - mains_50 - mains_60, 0.0),
        "ksqi": (squared * squared).mean(axis=1),
        "ssqi": (squared * scaled).mean(axis=1),
        "psqi": share((5, 15), (5, 40)),
        "bassqi": 1.0 - share((0, 1), (0, 40)),
    }


def _power_shares(scaled: NDArray[np.float64], fs_hz: float):  # type: ignore[no-untyped-def]
    """A function that gives the share of one band in the power of another, each (from, to) in Hz; 0 when there is none."""
    width = scaled.shape[1]
    spectrum = np.fft.rfft(scaled * _hann(width), axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    sums = np.concatenate((np.zeros((len(power), 1)), np.cumsum(power, axis=1)), axis=1)

    def bin_of(hz: float) -> int:
        return min(math.ceil(hz * width / fs_hz), power.shape[1]) if hz < fs_hz else power.shape[1]

    def share(part: tuple[float, float], of: tuple[float, float]) -> NDArray[np.float64]:
        first, second = (sums[:, bin_of(band[1])] - sums[:, bin_of(band[0])] for band in (part, of))
        return np.divide(first, second, out=np.zeros_like(first), where=second > 0)

    return share


def _hann(width: int) -> NDArray[np.float64]:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(width) / width)


def wander_mv(centred: NDArray[np.float64], fs_hz: float) -> NDArray[np.float64]:
    """How far the mean over 1 / 0.67 Hz moves in each piece, mV: beats average out, what is slower than them stays."""
    width = min(round(fs_hz / BASELINE_HZ), centred.shape[1])
    sums = np.concatenate((np.zeros((len(centred), 1)), np.cumsum(centred, axis=1)), axis=1)
    return np.ptp(sums[:, width:] - sums[:, :-width], axis=1) / width


def bsqi(
    beats: NDArray[np.int64], others: NDArray[np.int64], starts: NDArray[np.intp], width: int, reach: int
) -> NDArray[np.float64]:
    """In each piece, the share of beats that both detectors found in those that either found; 0 when neither did.

    Source: Li, Mark & Clifford 2008, https://doi.org/10.1088/0967-3334/29/1/002.
    """
    both = beats[matched(beats, others, reach)]
    only = others[~matched(others, beats, reach)]

    def counted(found: NDArray[np.int64]) -> NDArray[np.intp]:
        return np.searchsorted(found, starts + width) - np.searchsorted(found, starts)

    agreed, either = counted(both), counted(beats) + counted(only)
    return np.divide(agreed, either, out=np.zeros(len(starts)), where=either > 0)


def run_figures(
    counts: NDArray[np.float64], missing: NDArray[np.bool_], fs_hz: float, config: EcgConfig
) -> dict[str, float]:
    """The figures that come from single samples: missing ones, the longest stay, the time at the extremes."""
    starts, lengths = constant_runs(counts)
    return {
        "nan_share": float(missing.mean()),
        "flat_line_longest_s": float(lengths.max()) / fs_hz,
        "saturation_s": float(lengths[saturated(counts, starts, lengths, fs_hz, config)].sum()) / fs_hz,
    }


def broken_limits(
    figures: Mapping[str, NDArray[np.float64]], rate: float, config: EcgConfig
) -> dict[str, NDArray[np.bool_]]:
    """For each warning that a piece can give, in which pieces it holds (or whether, for a single value of each figure)."""
    psqi_min = config.psqi_min_fast if rate > config.psqi_fast_bpm else config.psqi_min
    return {
        "low_amplitude": figures["amplitude_mv"] < config.amplitude_min_mv,
        "high_amplitude": figures["amplitude_mv"] > config.amplitude_max_mv,
        "baseline_wander": (figures["bassqi"] < config.bassqi_min) & (figures["wander_mv"] > config.wander_max_mv),
        "mains_noise": np.maximum(figures["mains_50hz_share"], figures["mains_60hz_share"]) > config.mains_share_max,
        "high_frequency_noise": figures["noise_share"] > config.noise_share_max,
        "low_ksqi": figures["ksqi"] <= config.ksqi_min,
        "low_psqi": figures["psqi"] < psqi_min,
        "detectors_disagree": figures["bsqi"] < config.bsqi_min,
    }


def warnings(figures: Mapping[str, float], rate: float, config: EcgConfig) -> list[str]:
    """What is doubtful about a lead as a whole."""
    single = {name: np.asarray(value) for name, value in figures.items()}
    found = [name for name, holds in broken_limits(single, rate, config).items() if holds]
    if figures["nan_share"] > 0:
        found.append("missing_samples")
    if not math.isnan(rate) and not config.heart_rate_min_bpm <= rate <= config.heart_rate_max_bpm:
        found.append("heart_rate")
    if figures["longest_pause_s"] > config.pause_max_s:
        found.append("long_pause")
    if not found and figures["poor_windows"] > config.poor_windows_max:
        found.append("poor_windows")
    return found
