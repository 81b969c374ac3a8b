"""WFDB record -> `Recording`: a header with its signal files, and annotations if there are any.

The wfdb library decodes; it works in a private folder that holds the record's own files and nothing else. What the
header names is checked before the library sees it: the library opens whatever it is told, addresses included.
"""

from __future__ import annotations

import dataclasses
import errno
import math
import tempfile
import warnings
from fractions import Fraction
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.ecg.config import EcgConfig
from pipeline_assets.ecg.read.record_parts import PLAIN_NAME, Header, HeaderError, looks_like_header, parse_header
from pipeline_assets.ecg.read.recording import (
    Annotations,
    Recording,
    check_gain,
    check_rate,
    class_of,
    lead_names,
    recording_id,
)
from pipeline_assets.ecg.read.variable import too_large, unreadable
from pipeline_assets.landed_file import LandedFile, Refused

# WFDB Applications Guide, signal(5): bytes a sample takes in each format that is read. Format 61 is not among them: the
# library (4.3.1) fails on it. Nor are the compressed ones (508, 516, 524).
FORMATS = {
    "8": Fraction(1), "16": Fraction(2), "24": Fraction(3), "32": Fraction(4), "80": Fraction(1),
    "160": Fraction(2), "212": Fraction(3, 2), "310": Fraction(4, 3), "311": Fraction(4, 3),
}  # fmt: skip
VALUE_BYTES = 8
PER_MV = {"mv": 1.0, "uv": 1e-3, "nv": 1e-6, "v": 1e3}
"""Units that are a voltage, in mV; a signal in another unit (a pulse wave, a pressure) is no ECG."""
SAMPLES_PER_FRAME_MAX = 1_000
ANNOTATION_BYTES_MAX = 4_000_000


def recognise_wfdb(head: bytes) -> bool:
    """Whether a file that begins with these bytes is a WFDB header, whatever its name."""
    return looks_like_header(head)


def read_wfdb(file: LandedFile, config: EcgConfig) -> Recording:
    """The recording of a WFDB record, from its header file; the other files are its companions.

    Refused: `incomplete_record`, `unsupported_record`, `unreadable`, `no_ecg_lead`, `wrong_rate`, `wrong_gain`,
    `wrong_length`.
    """
    data = file.read_bytes()
    try:
        header = parse_header(data)
    except HeaderError as error:
        raise unreadable(f"not a WFDB header: {error}. Upload the file again") from error
    check_files(header, file)
    stem = PurePosixPath(file.name).stem
    notes = file.companions.get(f"{stem}.atr")
    with tempfile.TemporaryDirectory(prefix="wfdb_") as folder:
        Path(folder, "record.hea").write_bytes(data)
        for name in header.files:
            Path(folder, name).write_bytes(file.companions[name].read_bytes())
        record = _decoded(folder, header, int(config.max_unpacked_mb * 1e6))
        recording = _recording(file, header, record, config)
        if notes is None:
            return recording
        return _with_annotations(recording, folder, notes, in_frame=round(recording.fs_hz / record.fs))


def check_files(header: Header, file: LandedFile) -> None:
    """Refused `unsupported_record` or `incomplete_record` unless the header names landed files and nothing else."""
    if header.segments:
        raise _unsupported("it is one record in several segments. Land each segment as a record of its own")
    if not header.signals:
        raise Refused("no_ecg_lead", "The header describes no signal; expected one ECG lead or more")
    for name in header.files:
        if not PLAIN_NAME.fullmatch(name) or name.lower().endswith((".hea", ".atr")):
            raise _unsupported(
                f"its header names {name[:100]!r} as a signal file; expected the plain name of a file in the same folder. "
                "Correct the header"
            )
    missing = [name for name in header.files if name not in file.companions]
    if missing:
        raise Refused(
            "incomplete_record",
            f"The record lacks {', '.join(missing[:10])}, which its header {file.name} names. Land the missing file in the "
            "same folder",
            location=file.name,
        )


def _decoded(folder: str, header: Header, max_bytes: int) -> Any:
    """The library's record, its samples as counts at each signal's own rate."""
    import wfdb

    where = f"{folder}/record"
    try:
        declared = wfdb.rdheader(where)
        check_declared(declared, header, folder, max_bytes)
        return wfdb.rdrecord(where, physical=False, smooth_frames=False, return_res=64)
    except (Refused, MemoryError):
        raise
    except Exception as error:  # the library answers damaged files with almost any exception
        _raise_if_of_the_machine(error)
        raise unreadable(_library_says(error, folder)) from error


def check_declared(record: Any, header: Header, folder: str, max_bytes: int) -> None:
    """Hold what the header declares against the signal files, before any memory is taken for it."""
    if list(record.file_name) != [signal.file for signal in header.signals]:
        raise unreadable("its header can be read in two ways. Write it anew")
    check_rate(float(record.fs), "the header")
    frames = [number or 1 for number in record.samps_per_frame]
    if not record.sig_len and record.sig_len is not None:
        raise Refused("wrong_length", "The header says that the record has 0 samples; expected 1 s or more")
    if any(record.skew) or max(frames) > SAMPLES_PER_FRAME_MAX or min(frames) < 1:
        raise _unsupported("its signals are skewed, or of very different rates. Convert it with WFDB's xform")
    for name in header.files:
        rows = [row for row, other in enumerate(record.file_name) if other == name]
        kinds = {record.fmt[row] for row in rows}
        if len(kinds) > 1 or not kinds <= set(FORMATS):
            raise _unsupported(
                f"{name} is in format {', '.join(sorted(kinds))}; expected one of {', '.join(FORMATS)}. Convert it with "
                "WFDB's xform"
            )
        have = Path(folder, name).stat().st_size - (record.byte_offset[rows[0]] or 0)
        in_frame = sum(frames[row] for row in rows)
        sample_bytes = FORMATS[record.fmt[rows[0]]]
        length = record.sig_len or math.ceil(have / (in_frame * sample_bytes))
        if length * sum(frames) * VALUE_BYTES > max_bytes:
            raise too_large(max_bytes)
        need = math.ceil((record.sig_len or 1) * in_frame * sample_bytes)
        if have < need:
            raise unreadable(f"{name} is cut short: {need:,} bytes of samples by the header's account, {have:,} there")


def _recording(file: LandedFile, header: Header, record: Any, config: EcgConfig) -> Recording:
    units = [(unit or "mV").lower() for unit in record.units]
    names = [name or "" for name in record.sig_name]
    rows = [row for row, unit in enumerate(units) if unit in PER_MV]
    others = tuple(f"{names[row]} ({record.units[row]})" for row in range(len(units)) if row not in rows)
    if not rows:
        raise Refused(
            "no_ecg_lead",
            f"None of the record's signals is a voltage: {', '.join(others)[:300]}; expected an ECG in mV, uV or V",
        )
    frames = {record.samps_per_frame[row] or 1 for row in rows}
    if len(frames) > 1:
        raise _unsupported("its ECG leads have different sampling frequencies. Convert it with WFDB's xform")
    fs_hz = float(record.fs) * frames.pop()
    check_rate(fs_hz, "the header")
    gains = np.array([record.adc_gain[row] / PER_MV[units[row]] for row in rows])
    for gain in gains.tolist():
        check_gain(gain, "the header")
    signal = np.array([record.e_d_signal[row] for row in rows])
    if signal.shape[1] < fs_hz:
        raise Refused("wrong_length", f"The record is {signal.shape[1] / fs_hz:.2f} s long; expected 1 s or more")
    number, label = class_of(file.key, config.class_folder)
    return Recording(
        key=file.key,
        recording_id=recording_id(file.key),
        fs_hz=fs_hz,
        gain_adu_per_mv=gains,
        baseline_adu=np.array([float(record.baseline[row] or 0) for row in rows]),
        leads=lead_names(len(rows), [names[row] for row in rows]),
        signal_adu=_with_gaps(signal, [record.fmt[row] for row in rows]),
        fs_source="header" if header.rate else "default",
        gain_source="header" if all(_says_gain(header.signals[row].gain) for row in rows) else "default",
        class_number=number,
        class_label=label,
        other_signals=others,
        warnings=() if all(_sums_up(record, row) for row in rows) else ("checksum",),
    )


def _with_gaps(counts: NDArray[np.int64], formats: list[str]) -> NDArray[np.float64]:
    """The counts as float64, NaN where WFDB marks a sample as invalid: the lowest number of the format."""
    from wfdb.io._signal import _digi_nan

    signal = counts.astype(np.float64)
    for row, marker in zip(signal, _digi_nan(formats), strict=True):
        row[row == marker] = math.nan
    return signal


def _says_gain(text: str) -> bool:
    """Whether a header's gain field gives one; 0 means that the signal was not calibrated (then 200 adu/mV holds)."""
    digits = text.split("(")[0].split("/")[0]
    return any(digit in "123456789" for digit in digits)


def _sums_up(record: Any, row: int) -> bool:
    """Whether the samples add up to the header's checksum (16 bits), where it gives one."""
    checksum = record.checksum[row]
    return checksum is None or (int(record.e_d_signal[row].sum()) - checksum) % 65_536 == 0


def _with_annotations(recording: Recording, folder: str, notes: LandedFile, in_frame: int) -> Recording:
    """The recording with what its annotation file says. Refused `unreadable` when that file is damaged."""
    import wfdb

    data = notes.read_bytes()
    if len(data) > ANNOTATION_BYTES_MAX:
        raise unreadable(f"{notes.name} has {len(data):,} bytes; expected {ANNOTATION_BYTES_MAX:,} at most")
    Path(folder, "record.atr").write_bytes(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the library's own use of pandas, nothing about the file
            found = wfdb.rdann(f"{folder}/record", "atr", return_label_elements=["label_store"])
            if found.custom_labels is None:
                codes = _codes()
                symbols = [codes.get(number, "?") for number in found.label_store.tolist()]
            else:  # the file defines codes of its own
                symbols = wfdb.rdann(f"{folder}/record", "atr").symbol
    except MemoryError:
        raise
    except Exception as error:  # the library answers damaged files with almost any exception
        _raise_if_of_the_machine(error)
        raise unreadable(f"its annotations {notes.name} are damaged; {_library_says(error, folder)}") from error
    sample = np.asarray(found.sample, dtype=np.int64) * in_frame
    if sample.size and not 0 <= sample.min() <= sample.max() < 2**31:
        raise unreadable(
            f"its annotations {notes.name} are damaged: one is at sample {sample.min():,} or {sample.max():,}"
        )
    return dataclasses.replace(
        recording,
        annotations=Annotations(
            sample,
            tuple(symbol if isinstance(symbol, str) and symbol else "?" for symbol in symbols),
            tuple(text.rstrip("\0") for text in found.aux_note),
        ),
    )


@cache
def _codes() -> dict[int, str]:
    """WFDB's annotation codes by their numbers: looked up here, it takes a tenth of the library's time."""
    from wfdb.io.annotation import ann_labels

    return {label.label_store: label.symbol for label in ann_labels}


def _raise_if_of_the_machine(error: Exception) -> None:
    """An error that says nothing about the file goes on as it is, so that the batch is tried again."""
    if isinstance(error, OSError) and error.errno in (errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOSPC):
        raise error


def _unsupported(why: str) -> Refused:
    return Refused("unsupported_record", f"The record cannot be read: {why}.")


def _library_says(error: Exception, folder: str) -> str:
    text = str(error).replace(folder, "").strip()
    return f"wfdb says {type(error).__name__}: {text[:200]}. Upload the record again"
