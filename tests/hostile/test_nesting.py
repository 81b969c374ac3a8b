"""ECG files that nest as deep as their format lets them."""

from __future__ import annotations

import io
import struct
import zlib

import h5py
import numpy as np
import pytest

from pipeline_assets.ecg.config import EcgConfig
from pipeline_assets.ecg.examples import matlab5
from pipeline_assets.ecg.read import read_matlab5, read_matlab73
from pipeline_assets.landed_file import LandedFile, Refused

COUNTS = np.arange(3600, dtype=np.int16).reshape(1, -1)
DEPTH = 20_000


def file(data: bytes) -> LandedFile:
    return LandedFile("ecg/a.mat", data)


def element(kind: int, body: bytes) -> bytes:
    return struct.pack("<II", kind, len(body)) + body + bytes(-len(body) % 8)


def nested_cells(name: bytes) -> bytes:
    """A MATLAB 5 variable: a cell in a cell in a cell, compressed."""
    inner = element(14, b"")
    for depth in range(DEPTH):
        label = name if depth == DEPTH - 1 else b""
        shape = element(6, struct.pack("<II", 1, 0)) + element(5, struct.pack("<ii", 1, 1)) + element(1, label)
        inner = element(14, shape + inner)
    packed = zlib.compress(inner)
    return struct.pack("<II", 15, len(packed)) + packed


def test_cells_in_cells_beside_the_signal_are_not_followed() -> None:
    assert np.array_equal(read_matlab5(file(matlab5(COUNTS) + nested_cells(b"other")), EcgConfig()).signal_adu, COUNTS)


def test_cells_in_cells_as_the_signal_are_refused() -> None:
    header = matlab5(COUNTS)[:128]
    with pytest.raises(Refused) as error:
        read_matlab5(file(header + nested_cells(b"val")), EcgConfig())
    assert (error.value.error_class, "cell" in error.value.message) == ("wrong_type", True)


@pytest.mark.parametrize("has_signal", [True, False])
def test_groups_in_groups_are_not_followed(has_signal: bool) -> None:
    content = io.BytesIO()
    with h5py.File(content, "w") as opened:
        group = opened
        for _ in range(1000):
            group = group.create_group("g")
        if has_signal:
            opened.create_dataset("val", data=COUNTS)
    if has_signal:
        assert np.array_equal(read_matlab73(file(content.getvalue()), EcgConfig()).signal_adu, COUNTS)
        return
    with pytest.raises(Refused) as error:
        read_matlab73(file(content.getvalue()), EcgConfig())
    assert error.value.error_class == "no_signal_variable"


def test_a_group_that_holds_itself_is_refused() -> None:
    content = io.BytesIO()
    with h5py.File(content, "w") as opened:
        opened["val"] = opened["/"]
    with pytest.raises(Refused) as error:
        read_matlab73(file(content.getvalue()), EcgConfig())
    assert error.value.error_class == "wrong_type"
