"""MATLAB 5 file -> `Recording`. Pure functions; the only thing they raise about a file is `Refused`."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.ecg.config import EcgConfig
from pipeline_assets.ecg.read.recording import Recording
from pipeline_assets.ecg.read.variable import check_shape, check_type, no_signal_variable, recording_of, unreadable
from pipeline_assets.landed_file import LandedFile, Refused

# MATLAB "MAT-File Format" (R2024b), level 5: a header of 128 bytes, then elements of a type, a size and that many bytes.
HEADER_BYTES = 128
MI_MATRIX = 14
MI_COMPRESSED = 15
MI_NUMERIC = frozenset((1, 2, 3, 4, 5, 6, 7, 9, 12, 13))
MX_NUMERIC = frozenset(range(6, 16))
COMPLEX = 0x0800


def recognise_matlab5(head: bytes) -> bool:
    """Whether a file that begins with these bytes (128 or more) is a MATLAB v5 file, whatever its name.

    Version 0x0100 and the endian indicator, both in the file's byte order, end the header. Version 4 has no such
    header and version 7.3 (HDF5) says 0x0200, so neither is recognised.
    """
    return head[124:HEADER_BYTES] in (b"\x00\x01IM", b"\x01\x00MI")


def read_matlab5(file: LandedFile, config: EcgConfig) -> Recording:
    """The recording in a MATLAB v5 file: one variable, a numeric matrix with a row for each lead.

    Refused: `unreadable`, `no_signal_variable`, `wrong_type`, `wrong_shape`, `wrong_length`.
    """
    data = unpacked(file.read_bytes(), max_bytes=int(config.max_unpacked_mb * 1e6))
    check_declaration(data, config)
    return recording_of(file, load_signal(data, config.signal_variable), config)


def unpacked(data: bytes, max_bytes: int) -> bytes:
    """The file with its compressed elements unpacked; sizes that it declares are then held against bytes at hand.

    Refused `unreadable`: not MATLAB v5, cut short, damaged, or larger than `max_bytes` once unpacked.
    """
    if not recognise_matlab5(data[:HEADER_BYTES]):
        found = f"it begins with {data[:20]!r}" if data else "it is empty"
        raise unreadable(f"not a MATLAB v5 file: {found}. Save it with MATLAB's save -v7 or scipy.io.savemat")
    order = "<" if data[126:HEADER_BYTES] == b"IM" else ">"
    parts, at, room = [data[:HEADER_BYTES]], HEADER_BYTES, max_bytes - HEADER_BYTES
    while at < len(data):
        kind, size = _tag(data, at, order)
        if at + 8 + size > len(data):
            raise unreadable(
                f"cut short: the element at byte {at} has {size:,} bytes by its own account, and the file ends "
                f"{at + 8 + size - len(data):,} bytes before that. Upload the file again"
            )
        element = data[at : at + 8 + size]
        parts.append(_inflate(element[8:], order, room, max_bytes) if kind == MI_COMPRESSED else element)
        check_matrix(parts[-1], order)
        room -= len(parts[-1])
        if room < 0:
            raise unreadable(_too_large(max_bytes))
        at += 8 + size
    return data if len(parts) == 2 and len(parts[1]) == len(data) - HEADER_BYTES else b"".join(parts)


def _tag(data: bytes, at: int, order: str) -> tuple[int, int]:
    """Type and size of the element that begins at byte `at`."""
    if at + 8 > len(data):
        raise unreadable(f"cut short: {len(data) - at} stray bytes at its end. Upload the file again")
    kind, size = struct.unpack_from(order + "II", data, at)
    return kind, size


def _inflate(packed: bytes, order: str, room: int, max_bytes: int) -> bytes:
    """One compressed element, unpacked: exactly one matrix element, never more than `room` bytes of it."""
    stream = zlib.decompressobj()
    try:
        element = stream.decompress(packed, max(room, 0) + 1)
    except zlib.error as error:
        raise unreadable(f"its compressed data are damaged ({error}). Upload the file again") from error
    if len(element) > room:
        raise unreadable(_too_large(max_bytes))
    if not stream.eof:
        raise unreadable("its compressed data end too early. Upload the file again")
    kind, size = _tag(element, 0, order)
    if kind != MI_MATRIX or len(element) < 8 + size:
        raise unreadable(f"a compressed element holds no whole matrix (type {kind}, {size:,} bytes)")
    return element[: 8 + size]


def check_matrix(element: bytes, order: str) -> None:
    """Refused `unreadable` unless a numeric matrix has its size, its name, and values of a type there is.

    Such a matrix would not make scipy raise: it would crash the whole process.
    """
    kind, _ = _tag(element, 0, order)
    if kind != MI_MATRIX or len(element) < 24:
        raise unreadable(f"an element is no matrix (type {kind}, {len(element):,} bytes). Upload the file again")
    (flags,) = struct.unpack_from(order + "I", element, 16)
    if flags & 0xFF not in MX_NUMERIC:
        return
    at, found = 24, []
    while at < len(element):
        kind, size = _tag(element, at, order)
        # A part of up to 4 bytes may be packed into its tag: the size is then in the upper half of the type.
        found.append(kind & 0xFFFF if kind >> 16 else kind)
        at += 8 if kind >> 16 else 8 + size + -size % 8
    values = found[2:]
    expected = 2 if flags & COMPLEX else 1
    if len(values) != expected or at > len(element) or not MI_NUMERIC.issuperset(values):
        raise unreadable(f"the parts of a matrix are damaged (types {found[:9]}). Upload the file again")


def check_declaration(data: bytes, config: EcgConfig) -> None:
    """Check what the file says of its signal variable before any of it is loaded."""
    import scipy.io

    try:
        variables = scipy.io.whosmat(io.BytesIO(data))
    except MemoryError:
        raise
    except Exception as error:  # scipy answers damaged bytes with almost any exception
        raise unreadable(_scipy_says(error)) from error
    for name, shape, kind in variables:
        if name == config.signal_variable:
            check_type(name, shape, kind)
            check_shape(name, shape, len(data), config.samples)
            return
    raise no_signal_variable(config.signal_variable, variables)


def load_signal(data: bytes, name: str) -> NDArray[np.float64]:
    """The variable as float64, leads x samples. Refused `unreadable`; `wrong_type` when it is complex."""
    import scipy.io

    try:
        value: Any = scipy.io.loadmat(io.BytesIO(data), variable_names=[name])[name]
    except MemoryError:
        raise
    except Exception as error:  # scipy answers damaged bytes with almost any exception
        raise unreadable(_scipy_says(error)) from error
    if not isinstance(value, np.ndarray):
        raise unreadable(f"variable {name!r} did not load: {str(value)[:200]}. Upload the file again")
    if value.dtype.kind not in "iuf":
        raise Refused("wrong_type", f"variable {name!r} holds {value.dtype} values; expected real numbers (ADC counts)")
    return np.ascontiguousarray(value, dtype=np.float64)


def _scipy_says(error: Exception) -> str:
    return f"scipy.io says {type(error).__name__}: {str(error)[:200]}. Upload the file again"


def _too_large(max_bytes: int) -> str:
    return f"it unpacks to more than {max_bytes / 1e6:,.1f} MB. Split it or raise STRANDLINE_ECG_MAX_UNPACKED_MB"
