"""The three tables that ECG files become: the one place where a column is defined."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pandera.pandas as pa
from pandera.typing.pandas import Series

RECORDING_ID = "recording: the first 20 hex digits of the SHA-256 of the file's whole key"
LEAD = "lead, by its usual name (MLII, V5, ...)"


class Samples(pa.DataFrameModel):
    """The signal in mV: one row for each sample of each lead, in the order of time."""

    recording_id: Series[str] = pa.Field(description=RECORDING_ID)
    lead: Series[str] = pa.Field(description=LEAD)
    sample: Series[np.int32] = pa.Field(ge=0, description="number of the sample, from 0", metadata={"unit": "1"})
    t_s: Series[np.float64] = pa.Field(ge=0, description="time since the first sample", metadata={"unit": "s"})
    mv: Series[np.float64] = pa.Field(description="voltage, (adu - baseline) / gain", metadata={"unit": "mV"})

    class Config:
        strict = True
        coerce = False


class Recordings(pa.DataFrameModel):
    """One row for each lead of each recording: how it was recorded, its range, its beats and heart rate."""

    recording_id: Series[str] = pa.Field(str_matches=r"^[0-9a-f]{20}$", description=RECORDING_ID)
    source_key: Series[str] = pa.Field(description="key of the file in the landing store")
    lead: Series[str] = pa.Field(description=LEAD)
    fs_hz: Series[np.float64] = pa.Field(gt=0, description="sampling frequency", metadata={"unit": "Hz"})
    samples: Series[np.int32] = pa.Field(gt=0, description="samples in the lead", metadata={"unit": "1"})
    duration_s: Series[np.float64] = pa.Field(gt=0, description="samples / sampling frequency", metadata={"unit": "s"})
    gain_adu_per_mv: Series[np.float64] = pa.Field(gt=0, description="ADC gain", metadata={"unit": "adu/mV"})
    baseline_adu: Series[np.float64] = pa.Field(description="ADC value at 0 mV", metadata={"unit": "adu"})
    min_mv: Series[np.float64] = pa.Field(description="lowest voltage", metadata={"unit": "mV"})
    max_mv: Series[np.float64] = pa.Field(description="highest voltage", metadata={"unit": "mV"})
    mean_mv: Series[np.float64] = pa.Field(description="mean voltage", metadata={"unit": "mV"})
    beats: Series[np.int32] = pa.Field(ge=0, description="heartbeats detected", metadata={"unit": "1"})
    heart_rate_bpm: Series[np.float64] = pa.Field(
        gt=0,
        nullable=True,
        description="mean of the heart rates from beat to beat; missing with fewer than two beats",
        metadata={"unit": "1/min"},
    )

    class Config:
        strict = True
        coerce = False
        unique: ClassVar = ["recording_id", "lead"]


class Beats(pa.DataFrameModel):
    """One row for each heartbeat that the detector found (Pan & Tompkins 1985, by SleepECG), at its R peak."""

    recording_id: Series[str] = pa.Field(description=RECORDING_ID)
    lead: Series[str] = pa.Field(description=LEAD)
    beat: Series[np.int32] = pa.Field(
        ge=0, description="number of the beat in its lead, from 0", metadata={"unit": "1"}
    )
    sample: Series[np.int32] = pa.Field(ge=0, description="sample of the R peak, from 0", metadata={"unit": "1"})
    t_s: Series[np.float64] = pa.Field(
        ge=0, description="time of the R peak since the first sample", metadata={"unit": "s"}
    )
    mv: Series[np.float64] = pa.Field(description="voltage at the R peak", metadata={"unit": "mV"})
    rr_s: Series[np.float64] = pa.Field(
        gt=0,
        nullable=True,
        description="RR interval: time since the beat before; missing for a lead's first beat",
        metadata={"unit": "s"},
    )

    class Config:
        strict = True
        coerce = False
        unique: ClassVar = ["recording_id", "lead", "beat"]
