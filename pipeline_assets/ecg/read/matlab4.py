"""MATLAB 4 file -> `Recording`. It has no magic number: its first variable's header is what it is known by.

Layout: MATLAB "MAT-File Format" (R2024b), level 4: variables one after another, each five 32-bit integers (type, rows,
columns, imaginary, length of the name), the name with a zero at its end, and the values column by column.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.ecg.config import EcgConfig
from pipeline_assets.ecg.read.recording import Recording
from pipeline_assets.ecg.read.variable import check_shape, check_type, no_signal_variable, recording_of, unreadable
from pipeline_assets.landed_file import LandedFile

HEADER_BYTES = 20
NAME_BYTES_MAX = 64
TYPES = {
    0: ("f8", "double"),
    1: ("f4", "single"),
    2: ("i4", "int32"),
    3: ("i2", "int16"),
    4: ("u2", "uint16"),
    5: ("u1", "uint8"),
}
KINDS = {0: "", 1: "char", 2: "sparse"}


@dataclass(frozen=True)
class Variable:
    """One variable's header. `at` is where its values begin, `end` where the next variable does."""

    name: str
    rows: int
    columns: int
    dtype: np.dtype
    kind: str
    at: int
    end: int


def recognise_matlab4(head: bytes) -> bool:
    """Whether a file that begins with these bytes begins with the header of a MATLAB 4 variable."""
    return _variable(head, 0) is not None


def read_matlab4(file: LandedFile, config: EcgConfig) -> Recording:
    """The recording in a MATLAB 4 file: one variable, a numeric matrix with a row for each lead.

    Refused: `unreadable`, `no_signal_variable`, `wrong_type`, `wrong_shape`, `wrong_length`, and those of the sidecar.
    """
    data = file.read_bytes()
    variables = variables_of(data)
    for variable in variables:
        if variable.name == config.signal_variable:
            shape = (variable.rows, variable.columns)
            check_type(variable.name, shape, variable.kind)
            check_shape(variable.name, shape, len(data), config.samples)
            return recording_of(file, _values(data, variable), config)
    raise no_signal_variable(config.signal_variable, [(v.name, (v.rows, v.columns), v.kind) for v in variables])


def variables_of(data: bytes) -> list[Variable]:
    """The headers of all variables. Refused `unreadable` unless they fill the file exactly."""
    found: list[Variable] = []
    at = 0
    while at < len(data):
        variable = _variable(data, at)
        if variable is None:
            raise unreadable(f"no MATLAB 4 variable begins at byte {at:,}. Upload the file again")
        if variable.end > len(data):
            raise unreadable(
                f"cut short: variable {variable.name!r} ends at byte {variable.end:,} by its own account, and the file "
                f"at {len(data):,}. Upload the file again"
            )
        found.append(variable)
        at = variable.end
    return found


def _variable(data: bytes, at: int) -> Variable | None:
    """The header that begins at byte `at`; None when there is none."""
    for order, machine in (("<", 0), (">", 1)):
        if len(data) < at + HEADER_BYTES:
            return None
        code, rows, columns, imaginary, name_bytes = struct.unpack_from(order + "5i", data, at)
        precision, kind = code // 10 % 10, code % 10
        if code < 0 or code // 1000 != machine or code // 100 % 10 or precision not in TYPES or kind not in KINDS:
            continue
        if min(rows, columns) < 0 or imaginary not in (0, 1) or not 2 <= name_bytes <= NAME_BYTES_MAX:
            continue
        start = at + HEADER_BYTES + name_bytes
        name = data[at + HEADER_BYTES : start]
        if len(name) < name_bytes or not re.fullmatch(rb"[A-Za-z][A-Za-z0-9_]*\0+", name):
            continue
        dtype = np.dtype(order + TYPES[precision][0])
        return Variable(
            name.rstrip(b"\0").decode("ascii"),
            rows,
            columns,
            dtype,
            KINDS[kind] or ("complex" if imaginary else TYPES[precision][1]),
            start,
            start + rows * columns * dtype.itemsize * (1 + imaginary),
        )
    return None


def _values(data: bytes, variable: Variable) -> NDArray[np.float64]:
    count = variable.rows * variable.columns
    values = np.frombuffer(data, variable.dtype, count, variable.at).reshape(variable.columns, variable.rows)
    return np.ascontiguousarray(values.T, dtype=np.float64)
