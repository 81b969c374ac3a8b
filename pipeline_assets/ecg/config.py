"""What can be set about ECG files: how they are laid out, and when a signal is too poor to keep."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _split_names(value: Any) -> Any:
    """'MLII, V5' -> ('MLII', 'V5'); anything else is left to pydantic."""
    if isinstance(value, str):
        return tuple(name.strip() for name in value.split(",") if name.strip())
    return value


def _none_from_text(value: Any) -> Any:
    """'' and 'none' -> None; anything else is left to pydantic."""
    return None if isinstance(value, str) and value.strip().lower() in ("", "none") else value


class EcgConfig(BaseModel):
    """Settings of the ECG source. The defaults are those of the MIT-BIH Arrhythmia Database.

    Source of the defaults: Moody GB, Mark RG. The impact of the MIT-BIH Arrhythmia Database.
    IEEE Eng Med Biol 20(3):45-50 (2001), https://doi.org/10.1109/51.932724
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    signal_variable: str = Field("val", min_length=1, description="name of the MATLAB variable that holds the signal")
    fs_hz: float = Field(360.0, ge=100, description="sampling frequency, Hz; sleepecg's detector asks for 100 or more")
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
