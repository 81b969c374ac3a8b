"""When a signal cannot be used at all: missing values, flat lines, saturation, no millivolts. Pure functions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.ecg.config import EcgConfig
from pipeline_assets.ecg.read import Recording
from pipeline_assets.landed_file import Refused

RANGES_SHOWN = 3


def check_signal(recording: Recording, config: EcgConfig) -> None:
    """Refuse a recording whose signal cannot be used: `nan_samples`, `saturation`, `flat_line`, `wrong_amplitude`.

    Saturation comes before the flat line: a lead that is stuck at its rail does not change either.
    """
    for lead, counts, mv in zip(recording.leads, recording.signal_adu, recording.signal_mv, strict=True):
        check_finite(lead, counts, config)
        starts, lengths = constant_runs(counts)
        check_saturation(lead, counts, starts, lengths, recording.fs_hz, config)
        check_flat_line(lead, counts, starts, lengths, recording.fs_hz, config)
        check_range(lead, mv, config)


def constant_runs(counts: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First sample and length (samples) of each run of equal values, in order; together they cover the lead."""
    starts = np.concatenate(([0], np.flatnonzero(counts[1:] != counts[:-1]) + 1))
    return starts, np.diff(starts, append=len(counts))


def check_finite(lead: str, counts: NDArray[np.float64], config: EcgConfig) -> None:
    """Refused `nan_samples` when more than `nan_share_max` of the samples are NaN or infinite, or all of them."""
    missing = ~np.isfinite(counts)
    if not missing.any() or (missing.mean() <= config.nan_share_max and not missing.all()):
        return
    starts, lengths = constant_runs(missing.astype(np.float64))
    is_gap = missing[starts]
    raise Refused(
        "nan_samples",
        f"Lead {lead} has {missing.sum():,} samples without a value (NaN or infinite), of {len(counts):,}; "
        f"expected {f'{config.nan_share_max:.2%} at most' if config.nan_share_max else 'none'}. Export the recording again, or cut the gap out",
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


def check_range(lead: str, mv: NDArray[np.float64], config: EcgConfig) -> None:
    """Refused `wrong_amplitude` when the lead's range is beyond what electrodes on a body can give."""
    low, high = float(np.nanmin(mv)), float(np.nanmax(mv))
    if not high - low <= config.range_max_mv:
        raise Refused(
            "wrong_amplitude",
            f"Lead {lead} ranges from {low:g} to {high:g} mV; expected a range of {config.range_max_mv:g} mV at most. "
            "Its gain or its values are wrong",
            location=f"lead {lead}",
        )


def saturated(
    counts: NDArray[np.float64],
    starts: NDArray[np.intp],
    lengths: NDArray[np.intp],
    fs_hz: float,
    config: EcgConfig,
) -> NDArray[np.bool_]:
    """For each run of equal values, whether it is a stay of `saturation_run_s` at the lead's own extreme."""
    values = counts[starts]
    at_extreme = (values == np.nanmin(values)) | (values == np.nanmax(values))
    return at_extreme & (lengths / fs_hz >= config.saturation_run_s)


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
    stuck = saturated(counts, starts, lengths, fs_hz, config)
    total_s = lengths[stuck].sum() / fs_hz
    if total_s >= config.saturation_total_s:
        raise Refused(
            "saturation",
            f"Lead {lead} stays at its extreme ({_values(counts[starts[stuck]])} adu) for {total_s:.2f} s in all; expected less "
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
