"""`Recording` -> rows of samples, recordings, beats and annotations. Pure functions of numpy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.ecg.beats import rr_intervals_s
from pipeline_assets.ecg.config import EcgConfig
from pipeline_assets.ecg.quality import LeadQuality, assess, check_heartbeat
from pipeline_assets.ecg.read import Recording
from pipeline_assets.ecg.signal_checks import check_signal

Rows = dict[str, Any]
"""Columns by name: each an array, a list, or one value that holds for every row."""


def checked_tables(recording: Recording, config: EcgConfig) -> dict[str, Rows]:
    """The tables of a recording whose signal is good enough. Raises Refused; see `check_signal`, `check_heartbeat`."""
    check_signal(recording, config)
    leads = assess(recording, config)
    check_heartbeat(recording, leads, config)
    return tables(recording, leads)


def tables(recording: Recording, leads: Sequence[LeadQuality]) -> dict[str, Rows]:
    """The rows of every table, as schema.py describes them."""
    return {
        "samples": samples_rows(recording),
        "recordings": recordings_rows(recording, leads),
        "beats": beats_rows(recording, [lead.beats for lead in leads]),
        "annotations": annotations_rows(recording),
    }


def samples_rows(recording: Recording) -> Rows:
    """One row for each sample of each lead, lead by lead."""
    leads, samples = recording.signal_adu.shape
    sample = np.tile(np.arange(samples, dtype=np.int32), leads)
    return {
        "recording_id": recording.recording_id,
        "lead": _repeated(recording.leads, [samples] * leads),
        "sample": sample,
        "t_s": sample / recording.fs_hz,
        "mv": recording.signal_mv.ravel(),
        "ecg_data": min_max(recording.signal_mv).ravel(),
    }


def min_max(signal_mv: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each lead scaled to 0 ... 1 by its own lowest and highest value; 0 throughout where they are equal."""
    low = np.nanmin(signal_mv, axis=1, keepdims=True)
    size = np.nanmax(signal_mv, axis=1, keepdims=True) - low
    scaled: NDArray[np.float64] = (signal_mv - low) / np.where(size > 0, size, 1.0)
    return scaled


def recordings_rows(recording: Recording, leads: Sequence[LeadQuality]) -> Rows:
    """One row for each lead."""
    signal_mv = recording.signal_mv
    rows, samples = signal_mv.shape
    names = leads[0].figures
    return {
        "recording_id": recording.recording_id,
        "source_key": recording.key,
        "lead": list(recording.leads),
        "fs_hz": recording.fs_hz,
        "samples": np.full(rows, samples, dtype=np.int32),
        "duration_s": samples / recording.fs_hz,
        "gain_adu_per_mv": recording.per_lead(recording.gain_adu_per_mv).ravel(),
        "baseline_adu": recording.per_lead(recording.baseline_adu).ravel(),
        "min_mv": np.nanmin(signal_mv, axis=1),
        "max_mv": np.nanmax(signal_mv, axis=1),
        "mean_mv": np.nanmean(signal_mv, axis=1),
        "beats": np.array([len(lead.beats) for lead in leads], dtype=np.int32),
        "heart_rate_bpm": np.array([lead.heart_rate_bpm for lead in leads]),
        "class_number": recording.class_number,
        "class_label": recording.class_label,
        "fs_source": recording.fs_source,
        "gain_source": recording.gain_source,
        "other_signals": ", ".join(recording.other_signals),
        **{name: np.array([lead.figures[name] for lead in leads]) for name in names},
        "verdict": [lead.verdict for lead in leads],
        "warnings": [",".join(lead.warnings) for lead in leads],
    }


def beats_rows(recording: Recording, beats: Sequence[NDArray[np.int64]]) -> Rows:
    """One row for each beat of each lead, lead by lead; `rr_s` is the time since the beat before, NaN for the first."""
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


def annotations_rows(recording: Recording) -> Rows:
    """One row for each annotation that came with the recording; none for most."""
    notes = recording.annotations
    sample = np.empty(0, dtype=np.int64) if notes is None else notes.sample
    return {
        "recording_id": recording.recording_id,
        "annotation": np.arange(len(sample), dtype=np.int32),
        "sample": sample.astype(np.int32),
        "t_s": sample / recording.fs_hz,
        "symbol": np.array([] if notes is None else notes.symbol, dtype=object),
        "aux": np.array([] if notes is None else notes.aux, dtype=object),
    }


def _repeated(names: tuple[str, ...], times: list[int]) -> Any:
    """The lead's name for each row; a single value when there is one lead."""
    return names[0] if len(names) == 1 else np.repeat(np.array(names, dtype=object), times)
