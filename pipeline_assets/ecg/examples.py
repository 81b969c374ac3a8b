"""Sample ECG files that can be given away: synthetic signals with known beats, and files broken in known ways."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

FS_HZ = 360.0
SAMPLES = 3600
GAIN_ADU_PER_MV = 200.0
BASELINE_ADU = 1024.0

# One beat as a sum of Gaussians: time from the R peak (s), height (mV), width (s).
# After McSharry PE et al. A dynamical model for generating synthetic electrocardiogram signals.
# IEEE Trans Biomed Eng 50:289-294 (2003), https://doi.org/10.1109/TBME.2003.808805
WAVES = {
    "P": (-0.17, 0.13, 0.025),
    "Q": (-0.028, -0.12, 0.009),
    "R": (0.0, 1.10, 0.011),
    "S": (0.028, -0.22, 0.009),
    "T": (0.27, 0.26, 0.055),
}


@dataclass(frozen=True)
class Example:
    """One sample file.

    key: its path below the folder, with forward slashes.
    error_class: what reading or checking it is refused with; None when it is good.
    r_peaks: its true R peaks as sample indices; None when it is broken.
    warning: what its quality is marked down for; empty when it is good or broken.
    companions: the other files of the same record.
    """

    path: Path
    key: str
    error_class: str | None
    r_peaks: tuple[int, ...] | None
    warning: str = ""
    companions: tuple[Path, ...] = ()


def write_examples(
    folder: Path, *, seed: int = 0, good: int = 12, broken: bool = True, records: bool = True
) -> list[Example]:
    """Write `good` good MATLAB 5 files (two of three sinus rhythm, one of three with an early beat); unless `broken` is
    False also one file of each other format, the poor ones, and the broken ones. `records`: also records of several
    files.

    The same seed gives the same bytes. No two files are alike.
    """
    rng = np.random.default_rng(seed)
    examples = [_write_good(folder, number, rng) for number in range(1, good + 1)]
    if broken:
        examples += [
            _write(folder, f"MLII/broken/{name}.mat", data, error_class=error_class)
            for name, (error_class, data) in broken_files(rng).items()
        ]
        examples += [
            _write(folder, f"MLII/poor/{name}.mat", matlab5(counts), r_peaks=r_peaks, warning=warning)
            for name, (warning, counts, r_peaks) in poor_signals(rng).items()
        ]
        examples += _write_other_formats(folder, rng, records)
    return examples


def _write_good(folder: Path, number: int, rng: np.random.Generator) -> Example:
    """One good file; every fourth is compressed, as MATLAB's save does it."""
    early = number % 3 == 0
    counts, r_peaks = synthetic_ecg(rng, early_beat=early)
    key = f"MLII/{'2 APB' if early else '1 NSR'}/rec_{number:03d}.mat"
    return _write(folder, key, matlab5(counts, compress=number % 4 == 0), r_peaks=r_peaks)


def _write_other_formats(folder: Path, rng: np.random.Generator, records: bool) -> list[Example]:
    """MATLAB 4, MATLAB 7.3; with `records` it has a sidecar, and there is a WFDB record of two leads with annotations."""
    counts, r_peaks = synthetic_ecg(rng)
    examples = [_write(folder, "MLII/1 NSR/matlab4.mat", matlab4(counts), r_peaks=r_peaks)]
    counts, r_peaks = synthetic_ecg(rng)
    sidecar = {"fs_hz": FS_HZ, "gain_adu_per_mv": GAIN_ADU_PER_MV, "baseline_adu": BASELINE_ADU, "leads": ["II"]}
    examples.append(
        _write(
            folder,
            "MLII/1 NSR/matlab73.mat",
            matlab73(counts),
            r_peaks=r_peaks,
            companions={"matlab73.json": json.dumps(sidecar).encode()} if records else {},
        )
    )
    if not records:
        return examples
    counts, r_peaks = synthetic_ecg(rng, samples=3 * SAMPLES)
    both = np.concatenate([counts, (counts - BASELINE_ADU) * 2 // 3 + BASELINE_ADU]).astype(np.int16)
    header, *parts = wfdb_record("wfdb_16", both, r_peaks, leads=("MLII", "V5"))
    examples.append(
        _write(
            folder,
            "wfdb/wfdb_16.hea",
            header,
            r_peaks=r_peaks,
            companions=dict(zip(("wfdb_16.dat", "wfdb_16.atr"), parts, strict=True)),
        )
    )
    return examples


def _write(
    folder: Path,
    key: str,
    data: bytes,
    *,
    error_class: str | None = None,
    r_peaks: tuple[int, ...] | None = None,
    warning: str = "",
    companions: Mapping[str, bytes] = MappingProxyType({}),
) -> Example:
    path = folder / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    for name, content in companions.items():
        path.with_name(name).write_bytes(content)
    return Example(path, key, error_class, r_peaks, warning, tuple(path.with_name(name) for name in companions))


def synthetic_ecg(
    rng: np.random.Generator, *, early_beat: bool = False, samples: int = SAMPLES
) -> tuple[NDArray[np.int16], tuple[int, ...]]:
    """Counts (1 x samples, adu) of one lead at 360 Hz, and its R peaks (sample indices).

    Its heart rate is one of 55 to 95 beats/min, with breathing in the RR intervals and in the baseline, and noise.
    """
    peaks = beat_samples(rng, samples, early_beat)
    t = np.arange(samples) / FS_HZ
    mv = 0.05 * np.sin(2 * np.pi * (0.25 * t + rng.random())) + rng.normal(0, 0.005, samples)
    for peak in peaks:
        since_peak = t - peak / FS_HZ
        for delay, height, width in WAVES.values():
            mv += height * np.exp(-((since_peak - delay) ** 2) / (2 * width**2))
    counts = np.round(BASELINE_ADU + GAIN_ADU_PER_MV * mv).astype(np.int16)[np.newaxis]
    return counts, tuple(peak for peak in peaks if peak < samples)


def beat_samples(rng: np.random.Generator, samples: int, early_beat: bool) -> list[int]:
    """R peaks from 0.15-0.6 s on, and one after the end whose P wave may still show. None is within 0.1 s of the end,
    where a beat would be cut so that nobody could say whether it is in the recording."""
    mean_rr = 60.0 / rng.uniform(55, 95)
    breathing = 2 * np.pi * rng.random()
    early = int(rng.integers(3, 6)) if early_beat else -1
    end = samples / FS_HZ
    at, peaks = rng.uniform(0.15, 0.6), []
    while True:
        if end - 0.1 < at < end + 0.15:
            at = end + 0.15
        peaks.append(round(at * FS_HZ))
        if at >= end:
            return peaks
        rr = mean_rr * (1 + 0.04 * np.sin(2 * np.pi * 0.25 * at + breathing) + rng.normal(0, 0.01))
        at += rr * {early: 0.68, early + 1: 1.25}.get(len(peaks), 1.0)


def poor_signals(rng: np.random.Generator) -> dict[str, tuple[str, NDArray[np.int16], tuple[int, ...]]]:
    """Signals that can be read and should be doubted: name -> warning, counts, R peaks."""
    t = np.arange(SAMPLES) / FS_HZ
    disturbances = {
        "wander": ("baseline_wander", 1.5 * np.sin(2 * np.pi * 0.3 * t)),
        "mains_50hz": ("mains_noise", 0.3 * np.sin(2 * np.pi * 50 * t)),
        "mains_60hz": ("mains_noise", 0.3 * np.sin(2 * np.pi * 60 * t)),
        "muscle": ("high_frequency_noise", rng.normal(0, 0.2, SAMPLES)),
    }
    signals = {}
    for name, (warning, mv) in disturbances.items():
        counts, r_peaks = synthetic_ecg(rng)
        signals[name] = (warning, np.round(counts + GAIN_ADU_PER_MV * mv).astype(np.int16), r_peaks)
    return signals


def broken_files(rng: np.random.Generator) -> dict[str, tuple[str, bytes]]:
    """One file for each way of being bad: name -> error class, bytes."""
    whole, _ = synthetic_ecg(rng)
    gap = whole.astype(np.float64)
    gap[0, 1000:1060] = np.nan
    flat = whole.copy()
    flat[0, 1200:2400] = np.median(whole)
    rail = whole.copy()
    rail[0, 1500:1900] = 2047
    short, _ = synthetic_ecg(rng, samples=SAMPLES // 2)
    noise = np.round(rng.normal(BASELINE_ADU, 60, (1, SAMPLES))).astype(np.int16)
    return {
        "not_a_mat_file": ("unreadable", b"time,mV\n0.000,-0.145\n0.003,-0.145\n"),
        "zero_bytes": ("unreadable", b""),
        "truncated": ("unreadable", matlab5(whole)[:2000]),
        "no_val_variable": ("no_signal_variable", matlab5(whole, variable="signal")),
        "not_numbers": ("wrong_type", matlab5("0.145 0.145 0.150")),
        "column_vector": ("wrong_shape", matlab5(whole.reshape(SAMPLES, 1))),
        "too_short": ("wrong_length", matlab5(short)),
        "nan_samples": ("nan_samples", matlab5(gap)),
        "flat_line": ("flat_line", matlab5(flat)),
        "saturated": ("saturation", matlab5(rail)),
        "noise_only": ("noise", matlab5(noise)),
    }


def matlab5(value: Any, *, variable: str = "val", compress: bool = False) -> bytes:
    """A MATLAB v5 file with one variable in it.

    scipy writes the time into the header; a fixed text in its place makes equal signals equal bytes.
    """
    import scipy.io

    file = io.BytesIO()
    scipy.io.savemat(file, {variable: value}, format="5", do_compression=compress)
    return b"MATLAB 5.0 MAT-file, synthetic ECG".ljust(116) + file.getvalue()[116:]


def matlab4(value: Any, *, variable: str = "val") -> bytes:
    """A MATLAB v4 file with one variable in it."""
    import scipy.io

    file = io.BytesIO()
    scipy.io.savemat(file, {variable: value}, format="4")
    return file.getvalue()


def matlab73(value: NDArray[Any], *, variable: str = "val", **storage: Any) -> bytes:
    """A MATLAB v7.3 file with one numeric variable in it: HDF5 behind MATLAB's header, the matrix transposed.

    storage: how h5py stores it, such as compression="gzip".
    """
    import h5py

    file = io.BytesIO()
    with h5py.File(file, "w", userblock_size=512) as content:
        stored = content.create_dataset(variable, data=value.T, **storage)
        names = {"float64": "double", "float32": "single"}
        stored.attrs["MATLAB_class"] = np.bytes_(names.get(str(value.dtype), str(value.dtype)))
    header = b"MATLAB 7.3 MAT-file, synthetic ECG".ljust(116) + bytes(8) + b"\x00\x02IM"
    return header.ljust(512, b"\0") + file.getvalue()[512:]


def wfdb_record(
    name: str, counts: NDArray[np.int16], r_peaks: Sequence[int] = (), *, leads: Sequence[str] = ("MLII",)
) -> tuple[bytes, bytes, bytes]:
    """Header, signal file (format 16) and annotation file of a WFDB record; counts: leads x samples."""
    lines = [f"{name} {len(counts)} {FS_HZ:g} {counts.shape[1]}"]
    for lead, row in zip(leads, counts.tolist(), strict=True):
        checksum = (sum(row) + 32_768) % 65_536 - 32_768
        lines.append(
            f"{name}.dat 16 {GAIN_ADU_PER_MV:g}({BASELINE_ADU:g})/mV 11 {BASELINE_ADU:g} {row[0]} {checksum} 0 {lead}"
        )
    # An annotation is 16 bits: 6 of code (1: a normal beat) and 10 of time since the one before; 0 ends the file.
    gaps = np.diff(np.asarray(r_peaks, dtype=np.int64), prepend=0)
    annotations = b"".join(int(1 << 10 | gap).to_bytes(2, "little") for gap in gaps) + b"\0\0"
    return ("\n".join(lines) + "\n").encode(), counts.T.astype("<i2").tobytes(), annotations
