"""Rate, gain, baseline and leads of a bare MATLAB file: from `<name>.json` beside it, else the configured ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline_assets.ecg.config import EcgConfig
from pipeline_assets.ecg.read.recording import check_gain, check_rate, lead_names
from pipeline_assets.landed_file import LandedFile, Refused

MAX_BYTES = 65_536


class Sidecar(BaseModel):
    """What a sidecar may say. An unknown field is refused: a misspelt one would silently leave the default in force."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    fs_hz: float | None = None
    gain_adu_per_mv: float | None = None
    baseline_adu: float | None = Field(default=None, ge=-1e12, le=1e12)
    leads: list[str] | None = None


@dataclass(frozen=True)
class Calibration:
    """How counts become seconds and millivolts, and who says so."""

    fs_hz: float
    gain_adu_per_mv: float
    baseline_adu: float
    leads: tuple[str, ...]
    fs_source: str
    gain_source: str


def calibration_of(file: LandedFile, rows: int, config: EcgConfig) -> Calibration:
    """The sidecar's values, and the configured ones where it has none or there is no sidecar.

    rows: leads of the signal. Refused: `bad_sidecar`, `wrong_rate`, `wrong_gain`.
    """
    name = PurePosixPath(file.name).stem + ".json"
    companion = file.companions.get(name)
    said = Sidecar() if companion is None else read_sidecar(companion, name)
    if said.leads is not None and len(said.leads) != rows:
        raise _bad(name, f"it names {len(said.leads)} leads, and the signal has {rows} rows")
    calibration = Calibration(
        fs_hz=_first(said.fs_hz, config.fs_hz),
        gain_adu_per_mv=_first(said.gain_adu_per_mv, config.gain_adu_per_mv),
        baseline_adu=_first(said.baseline_adu, config.baseline_adu),
        leads=lead_names(rows, config.leads if said.leads is None else said.leads),
        fs_source="default" if said.fs_hz is None else "sidecar",
        gain_source="default" if said.gain_adu_per_mv is None else "sidecar",
    )
    check_rate(calibration.fs_hz, name if said.fs_hz is not None else "STRANDLINE_ECG_FS_HZ")
    check_gain(calibration.gain_adu_per_mv, name if said.gain_adu_per_mv else "STRANDLINE_ECG_GAIN_ADU_PER_MV")
    return calibration


def read_sidecar(file: LandedFile, name: str) -> Sidecar:
    """Refused `bad_sidecar` unless it is a JSON object with the known fields."""
    data = file.read_bytes()
    if len(data) > MAX_BYTES:
        raise _bad(name, f"it has {len(data):,} bytes; expected {MAX_BYTES:,} at most")
    try:
        return Sidecar.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole file"
        raise _bad(name, f"{where[:60]}: {first['msg'][:200]}") from error


def _bad(name: str, why: str) -> Refused:
    return Refused(
        "bad_sidecar",
        f"The sidecar {name} cannot be used: {why}. Expected a JSON object with any of "
        f"{', '.join(Sidecar.model_fields)}. Correct it and land it again",
        location=name,
    )


def _first(said: float | None, configured: float) -> float:
    return configured if said is None else said
