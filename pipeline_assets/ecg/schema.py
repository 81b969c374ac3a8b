"""The tables that ECG files become: the one place where a column is defined."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.typing.pandas import Series

RECORDING_ID = "recording: the first 20 hex digits of the SHA-256 of the file's whole key"
LEAD = "lead, by its usual name (MLII, V5, ...)"

SOURCES = ("header", "sidecar", "default")

_FROM_KEY = {"from": ["file.key"]}
_FROM_FILE = {"from": ["file"]}
"""A column that does not follow from the samples; what the file does not say comes from the settings."""
_FROM_SIGNAL = ["samples.mv"]


def _figure(description: str, unit: str = "1", **rules: Any) -> Any:
    """A figure of signal quality; missing in rows that are older than it."""
    return pa.Field(nullable=True, description=description, metadata={"unit": unit, "from": _FROM_SIGNAL}, **rules)


class Samples(pa.DataFrameModel):
    """The signal in mV: one row for each sample of each lead, in the order of time."""

    recording_id: Series[str] = pa.Field(description=RECORDING_ID, metadata=_FROM_KEY)
    lead: Series[str] = pa.Field(description=LEAD)
    sample: Series[np.int32] = pa.Field(ge=0, description="number of the sample, from 0", metadata={"unit": "1"})
    t_s: Series[np.float64] = pa.Field(ge=0, description="time since the first sample", metadata={"unit": "s"})
    mv: Series[np.float64] = pa.Field(
        nullable=True,
        description="voltage, (adu - baseline) / gain; missing where the recording marks a sample as invalid",
        metadata={"unit": "mV"},
    )
    ecg_data: Series[np.float64] = pa.Field(
        ge=0,
        le=1,
        nullable=True,
        description="the voltage scaled by the lead's own lowest and highest value in the recording to 0 ... 1",
        metadata={"unit": "1"},
    )

    class Config:
        strict = True
        coerce = False


class Recordings(pa.DataFrameModel):
    """One row for each lead of each recording: how it was recorded, its range, its beats and heart rate."""

    recording_id: Series[str] = pa.Field(str_matches=r"^[0-9a-f]{20}$", description=RECORDING_ID)
    source_key: Series[str] = pa.Field(description="key of the file in the landing store")
    lead: Series[str] = pa.Field(description=LEAD)
    fs_hz: Series[np.float64] = pa.Field(
        gt=0, description="sampling frequency", metadata={"unit": "Hz", "from": ["file"]}
    )
    samples: Series[np.int32] = pa.Field(
        gt=0, description="samples in the lead", metadata={"unit": "1", "from": ["samples.sample"]}
    )
    duration_s: Series[np.float64] = pa.Field(
        gt=0, description="samples / sampling frequency", metadata={"unit": "s", "from": ["samples.sample", "file"]}
    )
    gain_adu_per_mv: Series[np.float64] = pa.Field(
        gt=0, description="ADC gain", metadata={"unit": "adu/mV", "from": ["file"]}
    )
    baseline_adu: Series[np.float64] = pa.Field(
        description="ADC value at 0 mV", metadata={"unit": "adu", "from": ["file"]}
    )
    min_mv: Series[np.float64] = pa.Field(description="lowest voltage", metadata={"unit": "mV", "from": _FROM_SIGNAL})
    max_mv: Series[np.float64] = pa.Field(description="highest voltage", metadata={"unit": "mV", "from": _FROM_SIGNAL})
    mean_mv: Series[np.float64] = pa.Field(description="mean voltage", metadata={"unit": "mV", "from": _FROM_SIGNAL})
    beats: Series[np.int32] = pa.Field(
        ge=0, description="heartbeats detected", metadata={"unit": "1", "from": _FROM_SIGNAL}
    )
    heart_rate_bpm: Series[np.float64] = pa.Field(
        gt=0,
        nullable=True,
        description="mean of the heart rates from beat to beat; missing with fewer than two beats",
        metadata={"unit": "1/min", "from": _FROM_SIGNAL},
    )
    class_number: Series[pd.Int32Dtype] = pa.Field(
        ge=0,
        nullable=True,
        coerce=True,
        description="number of the rhythm's class, from the folder",
        metadata={"unit": "1", "from": ["file.key"]},
    )
    class_label: Series[str] = pa.Field(
        nullable=True, description="label of the rhythm's class, from the folder (NSR, ...)", metadata=_FROM_KEY
    )
    fs_source: Series[str] = pa.Field(
        isin=SOURCES,
        nullable=True,
        description="where the sampling frequency comes from: header, sidecar or default",
        metadata=_FROM_FILE,
    )
    gain_source: Series[str] = pa.Field(
        isin=SOURCES,
        nullable=True,
        description="where gain and baseline come from: header, sidecar or default",
        metadata=_FROM_FILE,
    )
    other_signals: Series[str] = pa.Field(
        nullable=True,
        description="signals of the record that are no ECG and were left out, with their units",
        metadata=_FROM_FILE,
    )
    amplitude_mv: Series[np.float64] = _figure("range of the voltage in 10 s (median)", "mV", ge=0)
    wander_mv: Series[np.float64] = _figure("how far the baseline below 0.67 Hz moves in 10 s (median)", "mV", ge=0)
    mains_50hz_share: Series[np.float64] = _figure("share of 49-51 Hz in the power above 0.67 Hz", ge=0, le=1)
    mains_60hz_share: Series[np.float64] = _figure("share of 59-61 Hz in the power above 0.67 Hz", ge=0, le=1)
    noise_share: Series[np.float64] = _figure(
        "share of 40 Hz and more, less mains, in the power above 0.67 Hz", ge=0, le=1
    )
    ksqi: Series[np.float64] = _figure("kSQI, kurtosis; 3 for noise, above 5 for a clean ECG", ge=0)
    ssqi: Series[np.float64] = _figure("sSQI, skewness")
    psqi: Series[np.float64] = _figure("pSQI, share of 5-15 Hz in the power of 5-40 Hz", ge=0, le=1)
    bassqi: Series[np.float64] = _figure("basSQI, share of 1 Hz and more in the power of 0-40 Hz", ge=0, le=1)
    bsqi: Series[np.float64] = _figure("bSQI, share of beats on which two detectors agree", ge=0, le=1)
    nan_share: Series[np.float64] = _figure("share of samples without a value", ge=0, le=1)
    flat_line_longest_s: Series[np.float64] = _figure("longest time without any change", "s", ge=0)
    saturation_s: Series[np.float64] = _figure("time of the stays at the lead's extremes", "s", ge=0)
    longest_pause_s: Series[np.float64] = _figure("longest time without a beat", "s", ge=0)
    poor_windows: Series[np.float64] = _figure("share of the 10 s pieces that break a limit of quality", ge=0, le=1)
    verdict: Series[str] = pa.Field(
        isin=["good", "warn"],
        nullable=True,
        description="good, or warn when there are warnings",
        metadata={"from": _FROM_SIGNAL},
    )
    warnings: Series[str] = pa.Field(
        nullable=True,
        description="what is doubtful about the lead, comma-separated",
        metadata={"from": ["samples.mv", "file"]},
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
        ge=0, description="number of the beat in its lead, from 0", metadata={"unit": "1", "from": _FROM_SIGNAL}
    )
    sample: Series[np.int32] = pa.Field(
        ge=0,
        description="sample of the R peak, from 0",
        metadata={"unit": "1", "from": ["samples.mv", "samples.sample"]},
    )
    t_s: Series[np.float64] = pa.Field(
        ge=0,
        description="time of the R peak since the first sample",
        metadata={"unit": "s", "from": ["samples.mv", "samples.t_s"]},
    )
    mv: Series[np.float64] = pa.Field(description="voltage at the R peak", metadata={"unit": "mV"})
    rr_s: Series[np.float64] = pa.Field(
        gt=0,
        nullable=True,
        description="RR interval: time since the beat before; missing for a lead's first beat",
        metadata={"unit": "s", "from": ["samples.mv", "samples.t_s"]},
    )

    class Config:
        strict = True
        coerce = False
        unique: ClassVar = ["recording_id", "lead", "beat"]


class Annotations(pa.DataFrameModel):
    """What came with a WFDB record as annotations (`.atr`): beats and rhythms as people or programs marked them."""

    recording_id: Series[str] = pa.Field(description=RECORDING_ID)
    annotation: Series[np.int32] = pa.Field(
        ge=0, description="number of the annotation, from 0", metadata={"unit": "1", "from": ["file"]}
    )
    sample: Series[np.int32] = pa.Field(
        ge=0, description="sample it stands at, from 0", metadata={"unit": "1", "from": ["file"]}
    )
    t_s: Series[np.float64] = pa.Field(
        ge=0, description="its time since the first sample", metadata={"unit": "s", "from": ["file"]}
    )
    symbol: Series[str] = pa.Field(
        description="WFDB's code: N normal beat, V, A, + change of rhythm, ...", metadata=_FROM_FILE
    )
    aux: Series[str] = pa.Field(
        nullable=True, description="text of the annotation, such as (N; often empty", metadata=_FROM_FILE
    )

    class Config:
        strict = True
        coerce = False
        unique: ClassVar = ["recording_id", "annotation"]


def _over_recordings(description: str, unit: str, **rules: Any) -> Any:
    return pa.Field(nullable=True, description=f"{description} of the recordings", metadata={"unit": unit}, **rules)


class ClassSummary(pa.DataFrameModel):
    """One row for each class of rhythm and lead: how many recordings, how good, how long, how fast the hearts beat."""

    class_label: Series[str] = pa.Field(
        nullable=True, description="label of the class; none for recordings without one"
    )
    lead: Series[str] = pa.Field(description=LEAD)
    class_number: Series[pd.Int32Dtype] = pa.Field(
        ge=0, nullable=True, coerce=True, description="number of the class, from the folder", metadata={"unit": "1"}
    )
    recordings: Series[np.int64] = pa.Field(gt=0, description="recordings with this lead", metadata={"unit": "1"})
    good: Series[np.int64] = pa.Field(ge=0, description="recordings with the verdict good", metadata={"unit": "1"})
    warn: Series[np.int64] = pa.Field(ge=0, description="recordings with the verdict warn", metadata={"unit": "1"})
    warn_share: Series[np.float64] = pa.Field(
        ge=0, le=1, nullable=True, description="warn / (good + warn)", metadata={"unit": "1"}
    )
    duration_s: Series[np.float64] = pa.Field(gt=0, description="duration of all together", metadata={"unit": "s"})
    beats: Series[np.int64] = pa.Field(ge=0, description="heartbeats detected in all", metadata={"unit": "1"})
    heart_rate_mean_bpm: Series[np.float64] = _over_recordings("mean heart rate", "1/min", gt=0)
    heart_rate_median_bpm: Series[np.float64] = _over_recordings("median heart rate", "1/min", gt=0)
    heart_rate_min_bpm: Series[np.float64] = _over_recordings("lowest heart rate", "1/min", gt=0)
    heart_rate_max_bpm: Series[np.float64] = _over_recordings("highest heart rate", "1/min", gt=0)
    amplitude_median_mv: Series[np.float64] = _over_recordings("median amplitude", "mV", ge=0)
    bsqi_median: Series[np.float64] = _over_recordings("median bSQI", "1", ge=0, le=1)

    class Config:
        strict = True
        coerce = False
        unique: ClassVar = ["class_label", "lead"]
