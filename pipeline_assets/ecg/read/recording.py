"""What every reader gives: a `Recording`, with what its key says of it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.landed_file import Refused

FS_HZ_MIN, FS_HZ_MAX = 100.0, 10_000.0
"""sleepecg's detector asks for 100 Hz or more; the upper end, above any ECG amplifier's, is our own."""
GAIN_MIN, GAIN_MAX = 1e-3, 1e9
"""adu/mV; our own: beyond these no converter makes millivolts of counts."""


@dataclass(frozen=True, eq=False)
class Annotations:
    """What people or programs wrote at points of a recording (WFDB: `.atr`), in the order of the file.

    sample: sample index in the recording; symbol: WFDB's code (N, V, A, +, ...); aux: a text, often empty.
    """

    sample: NDArray[np.int64]
    symbol: tuple[str, ...]
    aux: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Recording:
    """One ECG recording as it was digitised.

    signal_adu: float64 array, leads x samples, in analogue-to-digital units (adu); NaN where a sample has no value.
    leads: one name for each row of it, all different.
    recording_id: 20 hex digits that follow from the whole key, so that equal file names in two folders stay apart.
    gain_adu_per_mv, baseline_adu: one number for each lead; a single one holds for all.
    fs_source, gain_source: where rate and gain come from: `header`, `sidecar` or `default`.
    class_number, class_label: what the folder says of the rhythm; None where the layout has no such folder.
    other_signals: signals of the record that are no ECG (no voltage) and were left out, as "PLETH (NU)".
    warnings: what reading found doubtful, in snake_case words.
    """

    key: str
    recording_id: str
    fs_hz: float
    gain_adu_per_mv: float | NDArray[np.float64]
    baseline_adu: float | NDArray[np.float64]
    leads: tuple[str, ...]
    signal_adu: NDArray[np.float64]
    fs_source: str = "default"
    gain_source: str = "default"
    class_number: int | None = None
    class_label: str | None = None
    annotations: Annotations | None = None
    other_signals: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @cached_property
    def signal_mv(self) -> NDArray[np.float64]:
        """The signal in mV, leads x samples: (adu - baseline) / gain, as WFDB defines physical units."""
        return (self.signal_adu - self.per_lead(self.baseline_adu)) / self.per_lead(self.gain_adu_per_mv)

    def per_lead(self, value: float | NDArray[np.float64]) -> NDArray[np.float64]:
        """A column with one number for each lead."""
        return np.broadcast_to(np.asarray(value, dtype=np.float64), len(self.leads))[:, np.newaxis]


def recording_id(key: str) -> str:
    """The first 20 hex digits of the SHA-256 of the whole key: the same key gives the same id everywhere."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:20]


def lead_names(rows: int, named: Iterable[str]) -> tuple[str, ...]:
    """A name for each row: those given first, then lead_2, lead_3, ... by the row's position.

    No name is empty and none comes twice: of two leads named II the second becomes II_2.
    """
    names: list[str] = []
    given = [" ".join(name.split())[:60] for name in named]
    for row in range(rows):
        name = (given[row] if row < len(given) else "") or f"lead_{row + 1}"
        number, unique = 1, name
        while unique in names:
            number += 1
            unique = f"{name}_{number}"
        names.append(unique)
    return tuple(names)


def class_of(key: str, pattern: str) -> tuple[int | None, str | None]:
    """Number and label of the rhythm's class, from the innermost folder of the key that the pattern matches whole."""
    for folder in reversed(PurePosixPath(key).parts[:-1]):
        if match := re.fullmatch(pattern, folder):
            return int(match["number"]), match["label"]
    return None, None


def check_rate(fs_hz: float, where: str) -> None:
    """Refused `wrong_rate` unless the sampling frequency can be an ECG's."""
    if not FS_HZ_MIN <= fs_hz <= FS_HZ_MAX:
        raise Refused(
            "wrong_rate",
            f"{where} gives a sampling frequency of {fs_hz:g} Hz; expected {FS_HZ_MIN:g} to {FS_HZ_MAX:,.0f} Hz. "
            "Correct it, or record at such a rate",
        )


def check_gain(gain_adu_per_mv: float, where: str) -> None:
    """Refused `wrong_gain` unless the gain can make millivolts of counts."""
    if not GAIN_MIN <= gain_adu_per_mv <= GAIN_MAX:
        raise Refused(
            "wrong_gain",
            f"{where} gives a gain of {gain_adu_per_mv:g} adu/mV; expected {GAIN_MIN:g} to {GAIN_MAX:g}. Correct it",
        )
