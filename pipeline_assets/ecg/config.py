"""What can be set about ECG files: how they are laid out, and when a signal is too poor to keep."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


def _split_names(value: Any) -> Any:
    """'MLII, V5' -> ('MLII', 'V5'); anything else is left to pydantic."""
    if isinstance(value, str):
        return tuple(name.strip() for name in value.split(",") if name.strip())
    return value


def _none_from_text(value: Any) -> Any:
    """'' and 'none' -> None; anything else is left to pydantic."""
    return None if isinstance(value, str) and value.strip().lower() in ("", "none") else value


def _class_pattern(value: str) -> str:
    """A pattern with the groups it needs. Raises ValueError."""
    if not {"number", "label"} <= set(re.compile(value).groupindex):
        raise ValueError("expected a regular expression with the groups (?P<number>...) and (?P<label>...)")
    return value


class EcgConfig(BaseModel):
    """Settings of the ECG source. The defaults are those of the MIT-BIH Arrhythmia Database.

    Source of the defaults: Moody GB, Mark RG. The impact of the MIT-BIH Arrhythmia Database.
    IEEE Eng Med Biol 20(3):45-50 (2001), https://doi.org/10.1109/51.932724
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    signal_variable: str = Field("val", min_length=1, description="name of the MATLAB variable that holds the signal")
    fs_hz: float = Field(
        360.0, ge=100, le=10_000, description="sampling frequency, Hz; sleepecg's detector asks for 100 or more"
    )
    gain_adu_per_mv: float = Field(200.0, gt=0, description="ADC gain, adu/mV")
    baseline_adu: float = Field(1024.0, description="ADC value at 0 mV, adu")
    leads: Annotated[tuple[str, ...], BeforeValidator(_split_names)] = Field(
        ("MLII",), description="names of the signal's rows in order; rows beyond them are named lead_2, lead_3, ..."
    )
    samples: Annotated[int | None, BeforeValidator(_none_from_text)] = Field(
        3600, ge=1, description="length that a recording must have, samples; none: any length"
    )
    max_unpacked_mb: float = Field(
        256.0, gt=0, description="size that a file may unpack to, MB (10^6 bytes); guards against archive bombs"
    )

    class_folder: Annotated[str, AfterValidator(_class_pattern)] = Field(
        r"(?P<number>[0-9]{1,2}) (?P<label>[A-Za-z]+)",
        description="regular expression of the folders that say the rhythm's class, such as `1 NSR`. "
        "Layout: Plawiak 2018, https://doi.org/10.1016/j.eswa.2017.09.022",
    )

    nan_share_max: float = Field(
        0.0, ge=0, lt=1, description="share of a lead's samples that may lack a value; Strandline's own: none"
    )
    range_max_mv: float = Field(
        1000.0,
        gt=0,
        description="range of a lead above which its counts are no millivolts, mV. Strandline's own: electrodes and heart "
        "together give less than 1 V",
    )
    flat_line_s: float = Field(
        1.5,
        gt=0,
        description="longest time without any change in a lead, s. "
        "Source: Kuetche et al. 2023, https://doi.org/10.1016/j.imu.2023.101375",
    )
    saturation_run_s: float = Field(
        0.02,
        gt=0,
        description="shortest stay at a lead's own highest or lowest value that counts as saturation, s. A QRS lasts "
        "about 0.1 s, so a clipped R wave stays this long at the rail and an unclipped one does not",
    )
    saturation_total_s: float = Field(
        0.1,
        gt=0,
        description="time that those stays may add up to before the recording is refused, s. "
        "Criterion: Langley et al. 2011, Computing in Cardiology 38:281-284; the value is Strandline's own",
    )

    edge_pad_s: float = Field(
        0.05,
        ge=0,
        description="signal mirrored at each end before beats are detected, s: half a QRS, so that a beat cut by the "
        "edge is whole for the detector and no second beat appears in the mirror image",
    )
    snap_s: float = Field(
        0.05, ge=0, description="how far a detected beat may move to its own R peak, s: about half a QRS complex"
    )
    refractory_s: float = Field(
        0.2,
        gt=0,
        description="shortest time between two beats, s. Source: Pan & Tompkins 1985, "
        "https://doi.org/10.1109/TBME.1985.325532",
    )

    window_s: float = Field(
        10.0,
        ge=2,
        le=60,
        description="signal quality is judged in pieces of this length, s; a figure is the median of them. "
        "Source: Clifford et al. 2012, https://doi.org/10.1088/0967-3334/33/9/1419 (10 s)",
    )
    match_s: float = Field(
        0.15,
        gt=0,
        description="two detectors mean the same beat when they are this close, s. Source: ANSI/AAMI EC57:2012, as used "
        "for bSQI by Li, Mark & Clifford 2008, https://doi.org/10.1088/0967-3334/29/1/002",
    )
    bsqi_min: float = Field(
        0.9,
        ge=0,
        le=1,
        description="bSQI below which the beats of a lead are in doubt. Source: Vest et al. 2018, "
        "https://doi.org/10.1088/1361-6579/aae021",
    )
    bsqi_noise: float = Field(
        0.65,
        ge=0,
        le=1,
        description="bSQI below which a lead is noise if kSQI and pSQI say so too; a recording with no other lead is "
        "refused. Strandline's own: on white noise two detectors agree on 25 to 65 % (97 of 100)",
    )
    ksqi_min: float = Field(
        5.0,
        description="kurtosis at or below which a lead is no clean ECG. Source: Li, Mark & Clifford 2008, "
        "https://doi.org/10.1088/0967-3334/29/1/002 (noise is at 3, sinus rhythm above 5)",
    )
    psqi_min: float = Field(
        0.4,
        ge=0,
        le=1,
        description="least share of 5-15 Hz in the power of 5-40 Hz. Source: Zhao & Zhang 2018, "
        "https://doi.org/10.3389/fphys.2018.00727 (below it: unqualified)",
    )
    psqi_min_fast: float = Field(
        0.3, ge=0, le=1, description="the same at heart rates above psqi_fast_bpm. Source: Zhao & Zhang 2018"
    )
    psqi_fast_bpm: float = Field(
        130.0, gt=0, description="heart rate above which the other limit holds, 1/min. Source: Zhao & Zhang 2018"
    )
    bassqi_min: float = Field(
        0.9,
        ge=0,
        le=1,
        description="basSQI below which the baseline wanders, if it does so by wander_max_mv too. "
        "Source: Zhao & Zhang 2018 (below it: unqualified)",
    )
    wander_max_mv: float = Field(
        1.0,
        gt=0,
        description="most that the baseline (below 0.67 Hz, Kligfield et al. 2007, "
        "https://doi.org/10.1161/CIRCULATIONAHA.106.180200) may move within a piece, mV; the value is Strandline's own: "
        "twice a large square of ECG paper",
    )
    mains_share_max: float = Field(
        0.05,
        gt=0,
        le=1,
        description="largest share of 49-51 or 59-61 Hz in the power above 0.67 Hz. Strandline's own: MIT-BIH record 100 "
        "has 0.007 at most",
    )
    noise_share_max: float = Field(
        0.3,
        gt=0,
        le=1,
        description="largest share of what is above 40 Hz and not mains in the power above 0.67 Hz. Strandline's own: "
        "MIT-BIH record 100 has 0.06 at most, white noise 0.7 at 360 Hz",
    )
    amplitude_min_mv: float = Field(
        0.5,
        ge=0,
        description="least range of a lead within a piece, mV. Source: the smallest QRS that monitors must find, "
        "IEC 60601-2-27:2011 (0.5 to 5 mV)",
    )
    amplitude_max_mv: float = Field(
        10.0,
        gt=0,
        description="largest range of a lead within a piece, mV. Strandline's own: twice the largest such QRS",
    )
    heart_rate_min_bpm: float = Field(
        40.0,
        ge=0,
        description="lowest plausible heart rate, 1/min. Source: Orphanidou et al. 2015, "
        "https://doi.org/10.1109/JBHI.2014.2338351",
    )
    heart_rate_max_bpm: float = Field(
        180.0, gt=0, description="highest plausible heart rate, 1/min. Source: Orphanidou et al. 2015"
    )
    pause_max_s: float = Field(
        3.0, gt=0, description="longest plausible time without a beat, s. Source: Orphanidou et al. 2015"
    )
    poor_windows_max: float = Field(
        0.1, ge=0, le=1, description="largest share of pieces that may break a limit above. Strandline's own"
    )
