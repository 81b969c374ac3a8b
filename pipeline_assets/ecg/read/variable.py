"""What all MATLAB readers expect of the signal's variable, and the recording they make of it."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.ecg.config import EcgConfig
from pipeline_assets.ecg.read.recording import Recording, class_of, recording_id
from pipeline_assets.ecg.read.sidecar import calibration_of
from pipeline_assets.landed_file import LandedFile, Refused

NUMERIC_CLASSES = frozenset(
    ("double", "single", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
)

Declared = tuple[str, tuple[int, ...] | None, str]
"""Name, dimensions and class of a variable, as the file declares it."""


def recording_of(file: LandedFile, signal_adu: NDArray[np.float64], config: EcgConfig) -> Recording:
    """The recording in a bare MATLAB file: its signal, with the sidecar's rate, gain and leads or the configured ones."""
    calibration = calibration_of(file, len(signal_adu), config)
    number, label = class_of(file.key, config.class_folder)
    return Recording(
        key=file.key,
        recording_id=recording_id(file.key),
        fs_hz=calibration.fs_hz,
        gain_adu_per_mv=calibration.gain_adu_per_mv,
        baseline_adu=calibration.baseline_adu,
        leads=calibration.leads,
        signal_adu=signal_adu,
        fs_source=calibration.fs_source,
        gain_source=calibration.gain_source,
        class_number=number,
        class_label=label,
    )


def no_signal_variable(name: str, variables: Iterable[Declared]) -> Refused:
    """The refusal of a file that lacks the signal's variable, with a list of what is there."""
    there = [f"{other[:60]} ({dimensions(shape)} {kind})" for other, shape, kind in variables]
    return Refused(
        "no_signal_variable",
        f"there is no variable {name!r} in the file; there is: {', '.join(there[:10]) or 'none'}. "
        "Rename the variable or set STRANDLINE_ECG_SIGNAL_VARIABLE",
    )


def check_type(name: str, shape: tuple[int, ...] | None, kind: str) -> None:
    """Refused `wrong_type` unless the variable is a numeric array with something in it."""
    if kind not in NUMERIC_CLASSES:
        raise Refused("wrong_type", f"variable {name!r} is of class {kind}; expected a numeric matrix of ADC counts")
    if not shape or 0 in shape:
        raise Refused("wrong_type", f"variable {name!r} is empty ({dimensions(shape)}); expected a matrix of counts")


def check_shape(name: str, shape: tuple[int, ...], most_values: int, samples: int | None) -> None:
    """Refused `unreadable` if the file cannot hold that many values, `wrong_shape`, or `wrong_length`.

    most_values: the unpacked file's bytes; a count takes one or more.
    """
    found = f"variable {name!r} is {dimensions(shape)}"
    if min(shape) < 0 or math.prod(shape) > most_values:
        raise unreadable(f"{found} by its own account, in {most_values:,} bytes. Upload the file again")
    if len(shape) != 2 or shape[0] > shape[1]:
        raise Refused("wrong_shape", f"{found}; expected leads x samples, a row for each lead. Transpose or split it")
    if samples is not None and shape[1] != samples:
        raise Refused(
            "wrong_length",
            f"{found}; expected {samples:,} samples in a row. Cut the recording to that length or set STRANDLINE_ECG_SAMPLES",
        )


def unreadable(why: str) -> Refused:
    return Refused("unreadable", f"The file could not be read: {why}.")


def too_large(max_bytes: int) -> Refused:
    return unreadable(
        f"it unpacks to more than {max_bytes / 1e6:,.1f} MB. Split it or raise STRANDLINE_ECG_MAX_UNPACKED_MB"
    )


def dimensions(shape: tuple[int, ...] | None) -> str:
    return " x ".join(f"{size:,}" for size in shape) if shape else "no size"
