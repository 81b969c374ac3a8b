"""Where the heartbeats are: two detectors, how far they agree, rates and intervals. Pure functions."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.ecg.config import EcgConfig

BASELINE_S = 0.6
"""Span of the baseline about a beat, s; our own: shorter than most beats are apart, several QRS long."""


def find_beats(signal_mv: NDArray[np.float64], fs_hz: float, config: EcgConfig) -> NDArray[np.int64]:
    """Sample index of each heartbeat's R peak in one lead, ascending; empty when there are under 1 s of signal.

    signal_mv: one lead, float64, mV, without NaN.
    Detector: Pan J, Tompkins WJ. A real-time QRS detection algorithm. IEEE Trans Biomed Eng 32:230-236 (1985),
    https://doi.org/10.1109/TBME.1985.325532, as implemented by SleepECG, https://doi.org/10.21105/joss.05411.
    """
    samples = len(signal_mv)
    if samples < fs_hz or np.ptp(signal_mv) == 0:
        return np.empty(0, dtype=np.int64)
    # A short mirror only: a mirrored beat further in would halve the detector's thresholds for the whole recording.
    pad = round(config.edge_pad_s * fs_hz)
    beats = pan_tompkins(np.pad(signal_mv, pad, mode="reflect"), fs_hz) - pad
    return snap_to_peaks(signal_mv, folded(beats, samples), fs_hz, config)


def pan_tompkins(signal: NDArray[np.float64], fs_hz: float) -> NDArray[np.int64]:
    """SleepECG's `detect_heartbeats`, step by step, for a signal that does not stay at one value.

    Its C code has room for one interval in each 200 ms of signal, writes past that where noise seems to beat every 200 ms,
    and learns from the first 2 s whether there are 2 s or not. So it looks first at the signal held at its last value for
    a while, where no peak can be: that makes room and fills 2 s, and as many beats or fewer are in the signal as it is.
    """
    from scipy.signal import sosfiltfilt
    from sleepecg import heartbeats  # takes seconds to import, and only reading needs it

    moving = np.flatnonzero(signal != signal[0])
    first = int(moving[0]) if signal[1] == signal[0] else 0
    filtered = np.ascontiguousarray(sosfiltfilt(_pan_tompkins_band(fs_hz), signal[first:]))
    slope = np.correlate(filtered, np.array([-1, -2, 0, 2, 1]), mode="same")
    energy = heartbeats._squared_moving_integration(slope, int(0.15 * fs_hz))
    samples, refractory, learning = len(filtered), int(0.2 * fs_hz), int(2 * fs_hz)
    held = (0, max(2 * refractory, learning - samples))
    found = heartbeats._thresholding(np.pad(filtered, held, "edge"), np.pad(energy, held, "edge"), fs_hz)
    if samples >= learning and np.count_nonzero(found) < samples // refractory:
        # Held on, the end looks like a pause, and in pauses the detector takes T waves for beats.
        found = heartbeats._thresholding(filtered, energy, fs_hz)
    beats: NDArray[np.int64] = np.flatnonzero(found) + first
    return beats


@lru_cache(maxsize=64)
def _pan_tompkins_band(fs_hz: float) -> NDArray[np.float64]:
    from scipy.signal import butter

    sections: NDArray[np.float64] = butter(2, (5, 30), "bandpass", fs=fs_hz, output="sos")
    return sections


def folded(beats: NDArray[np.int64], samples: int) -> NDArray[np.int64]:
    """Beats found in the mirror images before sample 0 and after the last one, back at the samples they mirror."""
    beats = np.abs(beats)
    return np.unique(np.where(beats >= samples, 2 * (samples - 1) - beats, beats))


def snap_to_peaks(
    signal_mv: NDArray[np.float64], beats: NDArray[np.int64], fs_hz: float, config: EcgConfig
) -> NDArray[np.int64]:
    """Move each beat to the largest deflection from the baseline within `snap_s`, up or down.

    The baseline is the mean over `BASELINE_S`: against the whole lead's median a wandering baseline would win.

    The filters in the detector shift its answer by some samples; ventricular beats and inverted leads peak downwards.
    Of two beats closer than `refractory_s` the larger stays.
    """
    sums = np.concatenate(([0.0], np.cumsum(signal_mv)))
    deflection = np.abs(signal_mv - _moving_mean(sums, max(round(BASELINE_S * fs_hz), 1)))
    reach = round(config.snap_s * fs_hz)
    refractory = math.ceil(config.refractory_s * fs_hz)
    peaks: list[int] = []
    for beat in beats.tolist():
        first = max(0, beat - reach)
        peak = first + int(deflection[first : beat + reach + 1].argmax())
        if not peaks or peak - peaks[-1] >= refractory:
            peaks.append(peak)
        elif deflection[peak] > deflection[peaks[-1]]:
            peaks[-1] = peak
    return np.array(peaks, dtype=np.int64)


def heart_rate_bpm(beats: NDArray[np.int64], fs_hz: float) -> float:
    """Mean heart rate, beats a minute: the mean of the rates from beat to beat, as NeuroKit's ECG_Rate_Mean.

    Rates weigh short intervals more than 60 / mean RR interval does. NaN with fewer than two beats.
    Source: Makowski et al. 2021, Behav Res 53:1689-1696, https://doi.org/10.3758/s13428-020-01516-y
    """
    if len(beats) < 2:
        return math.nan
    return float(np.mean(60.0 * fs_hz / np.diff(beats)))


def rr_intervals_s(beats: NDArray[np.int64], fs_hz: float) -> NDArray[np.float64]:
    """Time of each beat since the one before it, s; the first is NaN. As long as `beats`."""
    return np.diff(beats, prepend=math.nan)[: len(beats)] / fs_hz


def find_beats_by_energy(signal_mv: NDArray[np.float64], fs_hz: float) -> NDArray[np.int64]:
    """Sample index of each heartbeat, ascending, by another principle than `find_beats`; it serves to check that one.

    A beat is where the energy of 8-20 Hz over 97 ms (a QRS) exceeds that over 611 ms (a beat) by 8 % of the mean.
    Detector: Elgendi M. Fast QRS detection with an optimized knowledge-based method. PLoS ONE 8(9):e73557 (2013),
    https://doi.org/10.1371/journal.pone.0073557. Ours: the mean is that of 10 s, so that one artefact in an hour does not
    hide the other beats.
    """
    from scipy.signal import sosfiltfilt

    if len(signal_mv) < fs_hz or np.ptp(signal_mv) == 0:
        return np.empty(0, dtype=np.int64)
    energy = sosfiltfilt(_qrs_band(fs_hz), signal_mv) ** 2
    sums = np.concatenate(([0.0], np.cumsum(energy)))
    qrs = max(round(0.097 * fs_hz), 1)
    raised = _moving_mean(sums, qrs) > _moving_mean(sums, round(0.611 * fs_hz)) + 0.08 * _moving_mean(
        sums, round(10 * fs_hz)
    )
    edges = np.flatnonzero(np.diff(raised, prepend=False, append=False))
    starts, ends = edges[::2], edges[1::2]
    wide = ends - starts >= qrs
    blocks = zip(starts[wide].tolist(), ends[wide].tolist(), strict=True)
    return np.array([start + int(energy[start:end].argmax()) for start, end in blocks], dtype=np.int64)


@lru_cache(maxsize=64)
def _qrs_band(fs_hz: float) -> NDArray[np.float64]:
    from scipy.signal import butter

    sections: NDArray[np.float64] = butter(3, [8, 20], "bandpass", fs=fs_hz, output="sos")
    return sections


def _moving_mean(sums: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Mean over `width` samples around each one, of fewer at the ends. sums: 0, then the running sums of the samples."""
    samples, before = len(sums) - 1, width // 2
    held = np.concatenate((np.full(before, sums[0]), sums, np.full(width - before, sums[-1])))
    at = np.arange(samples)
    there = np.minimum(at + (width - before), samples) - np.maximum(at - before, 0)
    mean: NDArray[np.float64] = (held[width : width + samples] - held[:samples]) / there
    return mean


def matched(one: NDArray[np.int64], other: NDArray[np.int64], reach: int) -> NDArray[np.bool_]:
    """For each beat of `one`, whether `other` has one within `reach` samples that no earlier beat of `one` took."""
    found = np.zeros(len(one), dtype=np.bool_)
    there, at = other.tolist(), 0
    for number, beat in enumerate(one.tolist()):
        while at < len(there) and there[at] < beat - reach:
            at += 1
        if at < len(there) and there[at] <= beat + reach:
            found[number] = True
            at += 1
    return found


def longest_pause_s(beats: NDArray[np.int64], samples: int, fs_hz: float) -> float:
    """Longest time without a beat, from the first sample to the last, s."""
    return float(np.diff(beats, prepend=0, append=samples).max()) / fs_hz
