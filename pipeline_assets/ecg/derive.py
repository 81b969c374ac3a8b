"""`Recording` -> rows of samples, recordings and beats. Pure functions of numpy arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.ecg.config import EcgConfig
from pipeline_assets.ecg.read import Recording
from pipeline_assets.landed_file import Refused

RANGES_SHOWN = 3


def check_signal(recording: Recording, config: EcgConfig) -> None:
    """Refuse a recording whose signal cannot be used: `nan_samples`, `saturation`, `flat_line`.

    Saturation comes first of the last two: a lead that is stuck at its rail does not change either.
    """
    for lead, counts in zip(recording.leads, recording.signal_adu, strict=True):
        check_finite(lead, counts)
        starts, lengths = constant_runs(counts)
        check_saturation(lead, counts, starts, lengths, recording.fs_hz, config)
        check_flat_line(lead, counts, starts, lengths, recording.fs_hz, config)


def constant_runs(counts: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First sample and length (samples) of each run of equal values, in order; together they cover the lead."""
    starts = np.concatenate(([0], np.flatnonzero(counts[1:] != counts[:-1]) + 1))
    return starts, np.diff(starts, append=len(counts))


def check_finite(lead: str, counts: NDArray[np.float64]) -> None:
    """Refused `nan_samples` when any sample is NaN or infinite."""
    missing = ~np.isfinite(counts)
    if not missing.any():
        return
    starts, lengths = constant_runs(missing.astype(np.float64))
    is_gap = missing[starts]
    raise Refused(
        "nan_samples",
        f"Lead {lead} has {missing.sum():,} samples without a value (NaN or infinite), of {len(counts):,}; "
        "expected none. Export the recording again, or cut the gap out",
        location=sample_ranges(lead, starts[is_gap], lengths[is_gap]),
    )


def check_flat_line(
    lead: str,
    counts: NDArray[np.float64],
    starts: NDArray[np.intp],
    lengths: NDArray[np.intp],
    fs_hz: float,
    config: EcgConfig,
) -> None:
    """Refused `flat_line` when the lead stays unchanged for `flat_line_s` or longer.

    Source: Kuetche F et al. Simple, efficient, and generalized ECG signal quality assessment method for telemedicine
    applications. Inform Med Unlocked 42:101375 (2023), https://doi.org/10.1016/j.imu.2023.101375: 1.5 s of flat line
    make a lead unusable.
    """
    flat = lengths / fs_hz >= config.flat_line_s
    if flat.any():
        raise Refused(
            "flat_line",
            f"Lead {lead} does not change for {lengths.max() / fs_hz:.2f} s (value {counts[starts[lengths.argmax()]]:g} "
            f"adu); expected a change within {config.flat_line_s:g} s. Check the electrodes and record again",
            location=sample_ranges(lead, starts[flat], lengths[flat]),
        )


def check_saturation(
    lead: str,
    counts: NDArray[np.float64],
    starts: NDArray[np.intp],
    lengths: NDArray[np.intp],
    fs_hz: float,
    config: EcgConfig,
) -> None:
    """Refused `saturation` when the lead stays at its own highest or lowest value for too long in all.

    Only stays of `saturation_run_s` or longer count; `saturation_total_s` is what they may add up to. A lead with one
    value only is a flat line, not this. Criterion: Langley P et al. An algorithm for assessment of quality of ECGs
    acquired via mobile telephones. Computing in Cardiology 38:281-284 (2011). The two times are set so that clipped
    R waves are found and no ten seconds of MIT-BIH record 100 are (its longest stay at an extreme is 0.006 s).
    """
    if len(lengths) == 1:
        return
    values = counts[starts]
    at_extreme = (values == values.min()) | (values == values.max())
    stuck = at_extreme & (lengths / fs_hz >= config.saturation_run_s)
    total_s = lengths[stuck].sum() / fs_hz
    if total_s >= config.saturation_total_s:
        raise Refused(
            "saturation",
            f"Lead {lead} stays at its extreme ({_values(values[stuck])} adu) for {total_s:.2f} s in all; expected less "
            f"than {config.saturation_total_s:g} s. The amplifier was overdriven: lower the gain and record again",
            location=sample_ranges(lead, starts[stuck], lengths[stuck]),
        )


def _values(values: NDArray[np.float64]) -> str:
    return " and ".join(f"{value:g}" for value in np.unique(values))


def sample_ranges(lead: str, starts: NDArray[np.intp], lengths: NDArray[np.intp]) -> str:
    """'lead MLII, samples 100-159, 300-310 and 4 more ranges' (0-based, both ends included)."""
    shown = [f"{start}-{start + length - 1}" for start, length in zip(starts, lengths, strict=True)][:RANGES_SHOWN]
    more = len(starts) - len(shown)
    return f"lead {lead}, samples {', '.join(shown)}" + (f" and {more} more ranges" if more else "")


def find_beats(signal_mv: NDArray[np.float64], fs_hz: float, config: EcgConfig) -> NDArray[np.int64]:
    """Sample index of each heartbeat's R peak in one lead, ascending; empty when there are under 1 s of signal.

    signal_mv: one lead, float64, mV, without NaN.
    Detector: Pan J, Tompkins WJ. A real-time QRS detection algorithm. IEEE Trans Biomed Eng 32:230-236 (1985),
    https://doi.org/10.1109/TBME.1985.325532, as implemented by SleepECG, https://doi.org/10.21105/joss.05411.
    """
    import sleepecg  # takes seconds to import, and only reading needs it

    samples = len(signal_mv)
    if samples < fs_hz or np.ptp(signal_mv) == 0:
        return np.empty(0, dtype=np.int64)
    # A short mirror only: a mirrored beat further in would halve the detector's thresholds for the whole recording.
    pad = round(config.edge_pad_s * fs_hz)
    beats = sleepecg.detect_heartbeats(np.pad(signal_mv, pad, mode="reflect"), fs_hz) - pad
    return snap_to_peaks(signal_mv, folded(beats, samples), fs_hz, config)


def folded(beats: NDArray[np.int64], samples: int) -> NDArray[np.int64]:
    """Beats found in the mirror images before sample 0 and after the last one, back at the samples they mirror."""
    beats = np.abs(beats)
    return np.unique(np.where(beats >= samples, 2 * (samples - 1) - beats, beats))


def snap_to_peaks(
    signal_mv: NDArray[np.float64], beats: NDArray[np.int64], fs_hz: float, config: EcgConfig
) -> NDArray[np.int64]:
    """Move each beat to the largest deflection from the lead's median within `snap_s`, up or down.

    The filters in the detector shift its answer by some samples; ventricular beats and inverted leads peak downwards.
    Of two beats closer than `refractory_s` the larger stays.
    """
    deflection = np.abs(signal_mv - np.median(signal_mv))
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


def find_all_beats(recording: Recording, config: EcgConfig) -> dict[str, NDArray[np.int64]]:
    """The beats of each lead, by the lead's name; see `find_beats`."""
    signals = zip(recording.leads, recording.signal_mv, strict=True)
    return {lead: find_beats(signal, recording.fs_hz, config) for lead, signal in signals}


def checked_tables(recording: Recording, config: EcgConfig) -> dict[str, Mapping[str, Any]]:
    """The tables of a recording whose signal is good enough. Raises Refused; see `check_signal`."""
    check_signal(recording, config)
    return tables(recording, config)


def tables(recording: Recording, config: EcgConfig) -> dict[str, Mapping[str, Any]]:
    """The rows of the tables `samples`, `recordings` and `beats`, as schema.py describes them.

    Each table is a mapping of column name to an array, a list, or one value that holds for every row.
    """
    beats_by_lead = find_all_beats(recording, config)
    return {
        "samples": samples_rows(recording),
        "recordings": recordings_rows(recording, beats_by_lead),
        "beats": beats_rows(recording, beats_by_lead),
    }


def samples_rows(recording: Recording) -> dict[str, Any]:
    """One row for each sample of each lead, lead by lead."""
    leads, samples = recording.signal_adu.shape
    sample = np.tile(np.arange(samples, dtype=np.int32), leads)
    return {
        "recording_id": recording.recording_id,
        "lead": _repeated(recording.leads, [samples] * leads),
        "sample": sample,
        "t_s": sample / recording.fs_hz,
        "mv": recording.signal_mv.ravel(),
    }


def recordings_rows(recording: Recording, beats_by_lead: Mapping[str, NDArray[np.int64]]) -> dict[str, Any]:
    """One row for each lead."""
    signal_mv = recording.signal_mv
    leads, samples = signal_mv.shape
    beats = [beats_by_lead[lead] for lead in recording.leads]
    return {
        "recording_id": recording.recording_id,
        "source_key": recording.key,
        "lead": list(recording.leads),
        "fs_hz": recording.fs_hz,
        "samples": np.full(leads, samples, dtype=np.int32),
        "duration_s": samples / recording.fs_hz,
        "gain_adu_per_mv": recording.gain_adu_per_mv,
        "baseline_adu": recording.baseline_adu,
        "min_mv": signal_mv.min(axis=1),
        "max_mv": signal_mv.max(axis=1),
        "mean_mv": signal_mv.mean(axis=1),
        "beats": np.array([len(of_lead) for of_lead in beats], dtype=np.int32),
        "heart_rate_bpm": np.array([heart_rate_bpm(of_lead, recording.fs_hz) for of_lead in beats]),
    }


def beats_rows(recording: Recording, beats_by_lead: Mapping[str, NDArray[np.int64]]) -> dict[str, Any]:
    """One row for each beat of each lead, lead by lead; `rr_s` is the time since the beat before, NaN for the first."""
    beats = [beats_by_lead[lead] for lead in recording.leads]
    sample = np.concatenate(beats)
    return {
        "recording_id": recording.recording_id,
        "lead": _repeated(recording.leads, [len(of_lead) for of_lead in beats]),
        "beat": np.concatenate([np.arange(len(of_lead), dtype=np.int32) for of_lead in beats]),
        "sample": sample.astype(np.int32),
        "t_s": sample / recording.fs_hz,
        "mv": np.concatenate([mv[of_lead] for mv, of_lead in zip(recording.signal_mv, beats, strict=True)]),
        "rr_s": np.concatenate([rr_intervals_s(of_lead, recording.fs_hz) for of_lead in beats]),
    }


def rr_intervals_s(beats: NDArray[np.int64], fs_hz: float) -> NDArray[np.float64]:
    """Time of each beat since the one before it, s; the first is NaN. As long as `beats`."""
    return np.diff(beats, prepend=math.nan)[: len(beats)] / fs_hz


def _repeated(names: tuple[str, ...], times: list[int]) -> Any:
    """The lead's name for each row; a single value when there is one lead."""
    return names[0] if len(names) == 1 else np.repeat(np.array(names, dtype=object), times)
