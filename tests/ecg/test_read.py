"""Reading MATLAB v5 files: what comes out of good ones, and what each kind of bad one is refused with."""

from __future__ import annotations

import hashlib
import io
import struct
import tracemalloc
import zlib
from typing import Any

import numpy as np
import pytest
import scipy.io
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline_assets.ecg.config import EcgConfig
from pipeline_assets.ecg.examples import Example, matlab5
from pipeline_assets.ecg.read import Recording, read_matlab5, recognise_matlab5
from pipeline_assets.landed_file import LandedFile, Refused

ANY_LENGTH = EcgConfig(samples=None)
COUNTS = np.arange(3600, dtype=np.int16)[np.newaxis] % 700 + 800


def read(data: bytes, config: EcgConfig = ANY_LENGTH, key: str = "MLII/1 NSR/rec.mat") -> Recording:
    return read_matlab5(LandedFile(key, data=data), config)


def refused(data: bytes, config: EcgConfig = ANY_LENGTH) -> Refused:
    with pytest.raises(Refused) as caught:
        read(data, config)
    return caught.value


def header(order: bytes = b"IM") -> bytes:
    return b"MATLAB 5.0 MAT-file".ljust(124) + (b"\x00\x01IM" if order == b"IM" else b"\x01\x00MI")


def element(kind: int, body: bytes, order: str = "<") -> bytes:
    return struct.pack(order + "II", kind, len(body)) + body + b"\0" * (-len(body) % 8)


def matrix(rows: int, columns: int, body: bytes, order: str = "<", name: bytes = b"val", mclass: int = 10) -> bytes:
    """A miMATRIX element of int16 values (class 10), as the file format lays it out."""
    flags = element(6, struct.pack(order + "II", mclass, 0), order)
    dimensions = element(5, struct.pack(order + "ii", rows, columns), order)
    return element(14, flags + dimensions + element(1, name, order) + element(3, body, order), order)


def packed(body: bytes) -> bytes:
    squeezed = zlib.compress(body)
    return struct.pack("<II", 15, len(squeezed)) + squeezed


@pytest.mark.parametrize("compress", [False, True])
def test_a_good_file_comes_out_value_by_value(compress: bool) -> None:
    recording = read(matlab5(COUNTS, compress=compress), EcgConfig())
    assert recording.signal_adu.dtype == np.float64
    assert np.array_equal(recording.signal_adu, COUNTS)
    assert np.array_equal(recording.signal_mv, np.array([[(float(count) - 1024) / 200 for count in COUNTS[0]]]))
    assert recording.leads == ("MLII",)
    assert (recording.fs_hz, recording.gain_adu_per_mv, recording.baseline_adu) == (360.0, 200.0, 1024.0)


def test_the_recording_id_follows_from_the_whole_key() -> None:
    data = matlab5(COUNTS)
    one, other = read(data, key="1 NSR/rec.mat"), read(data, key="7 PVC/rec.mat")
    assert one.recording_id == hashlib.sha256(b"1 NSR/rec.mat").hexdigest()[:20]
    assert one.recording_id != other.recording_id


def test_settings_reach_the_recording() -> None:
    config = EcgConfig.model_validate(
        {"fs_hz": "250", "gain_adu_per_mv": "100", "baseline_adu": "0", "leads": "II, V5", "samples": "none"}
    )
    recording = read(matlab5(np.array([[100, 200, 300], [1, 2, 3], [4, 5, 6]], dtype=np.int16)), config)
    assert recording.leads == ("II", "V5", "lead_3")
    assert recording.fs_hz == 250.0
    assert recording.signal_mv[0].tolist() == [1.0, 2.0, 3.0]


def test_only_the_wanted_variable_counts() -> None:
    file = io.BytesIO()
    scipy.io.savemat(file, {"note": "left arm", "val": COUNTS, "gain": 200.0})
    assert np.array_equal(read(file.getvalue()).signal_adu, COUNTS)
    assert read(file.getvalue(), EcgConfig(signal_variable="gain", samples=1)).signal_adu.tolist() == [[200.0]]


@pytest.mark.parametrize(("order", "text"), [("<", b"IM"), (">", b"MI")])
def test_both_byte_orders(order: str, text: bytes) -> None:
    counts = np.array([[1, 2, 300]], dtype=order + "i2")
    data = header(text) + matrix(1, 3, counts.tobytes(), order)
    assert recognise_matlab5(data[:128])
    assert read(data).signal_adu.tolist() == [[1.0, 2.0, 300.0]]


@pytest.mark.parametrize(
    ("head", "known"),
    [
        (header(), True),
        (header(b"MI"), True),
        (header()[:-1], False),
        (header()[:124] + b"\x00\x02IM", False),
        (header()[:124] + b"\x01\x00IM", False),
        (header()[:124] + b"\x00\x01XX", False),
        (b"MATLAB 5.0 MAT-file", False),
        (b"", False),
    ],
)
def test_recognised_by_its_header(head: bytes, known: bool) -> None:
    assert recognise_matlab5(head) is known


@pytest.mark.parametrize(
    ("value", "error_class"),
    [
        ("some text", "wrong_type"),
        ({"signal": COUNTS}, "wrong_type"),
        (np.array([[COUNTS, COUNTS]], dtype=object), "wrong_type"),
        (scipy.sparse.csc_array(COUNTS.astype(float)), "wrong_type"),
        (COUNTS + 1j, "wrong_type"),
        (COUNTS > 900, "wrong_type"),
        (np.empty((0, 0)), "wrong_type"),
        (np.empty((1, 0)), "wrong_type"),
        (COUNTS.T, "wrong_shape"),
        (COUNTS.reshape(2, 2, 900), "wrong_shape"),
        (COUNTS[:, :1800], "wrong_length"),
        (np.tile(COUNTS, 2), "wrong_length"),
    ],
    ids=[
        *("text", "struct", "cell", "sparse", "complex", "logical", "empty", "no-samples"),
        *("column", "3-d", "short", "long"),
    ],
)
def test_a_variable_of_the_wrong_kind(value: Any, error_class: str) -> None:
    error = refused(matlab5(value), EcgConfig())
    assert error.error_class == error_class
    assert "expected" in error.message


def test_a_missing_variable_is_refused_with_a_list_of_what_is_there() -> None:
    error = refused(matlab5(COUNTS, variable="signal"))
    assert error.error_class == "no_signal_variable"
    assert "'val'" in error.message
    assert "signal (1 x 3,600 int16)" in error.message


def test_the_message_names_what_was_found_and_expected() -> None:
    error = refused(matlab5(COUNTS[:, :1800]), EcgConfig())
    assert "1 x 1,800" in error.message
    assert "3,600" in error.message


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "empty"),
        (b"hello,world\n1,2\n", "hello"),
        (matlab5(COUNTS)[:2000], "cut short"),
        (matlab5(COUNTS) + b"\x0e\0\0", "stray"),
        (matlab5(COUNTS, compress=True)[:-1], "cut short"),
        (header(), "set STRANDLINE_ECG_SIGNAL_VARIABLE"),
        (header() + matrix(1, 2_000_000_000, b"\1\0\2\0"), "2,000,000,000"),
        (header() + matrix(1, -3, b"\1\0\2\0\3\0"), "by its own account"),
        (header() + matrix(1, 9, bytes(4)), "scipy.io says"),
        (header() + element(14, b"short"), "no matrix"),
        (header() + element(7, bytes(32)), "no matrix"),
        (header() + packed(matrix(1, 3, b"\1\0\2\0\3\0"))[:-4] + b"oops", "damaged"),
        (header() + packed(matrix(1, 3, b"\1\0\2\0\3\0")[:-8]), "no whole matrix"),
        (header() + packed(packed(matrix(1, 3, b"\1\0\2\0\3\0"))), "no whole matrix"),
    ],
)
def test_damaged_files(data: bytes, word: str) -> None:
    error = refused(data)
    assert error.error_class == ("no_signal_variable" if data == header() else "unreadable")
    assert word in error.message


@pytest.mark.parametrize("kind", [0, 8, 10, 14, 15, 16, 99, 60_000, 70_000_000])
def test_values_of_a_type_that_crashes_scipy_are_refused(kind: int) -> None:
    body = element(6, struct.pack("<II", 10, 0)) + element(5, struct.pack("<ii", 1, 3)) + element(1, b"val")
    error = refused(header() + element(14, body + element(kind, bytes(6))))
    assert (error.error_class, "parts of a matrix" in error.message) == ("unreadable", True)


@pytest.mark.parametrize("flags", [10, 10 | 0x0800])
def test_a_matrix_that_would_be_read_beyond_its_end_is_refused(flags: int) -> None:
    body = element(6, struct.pack("<II", flags, 0)) + element(5, struct.pack("<ii", 1, 3)) + element(1, b"val")
    values = element(3, bytes(6)) if flags & 0x0800 else b""
    error = refused(header() + element(14, body + values) + matrix(1, 3, bytes(6), name=b"other"))
    assert (error.error_class, "parts of a matrix" in error.message) == ("unreadable", True)


def test_a_compressed_stream_that_lacks_its_end_is_refused() -> None:
    stream = zlib.compress(matrix(1, 3, b"\1\0\2\0\3\0"))[:-4]
    error = refused(header() + struct.pack("<II", 15, len(stream)) + stream)
    assert (error.error_class, "end too early" in error.message) == ("unreadable", True)


@pytest.mark.parametrize("columns", [3600, 50_000_000])
def test_an_archive_bomb_is_refused_in_bounded_memory(columns: int) -> None:
    bomb = header() + packed(matrix(1, columns, bytes(100_000_000)))
    config = EcgConfig(samples=None, max_unpacked_mb=5)
    tracemalloc.start()
    try:
        error = refused(bomb, config)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(bomb) < 200_000
    assert error.error_class == "unreadable"
    assert "STRANDLINE_ECG_MAX_UNPACKED_MB" in error.message
    assert peak < 30_000_000


def test_the_limit_is_on_all_elements_together() -> None:
    piece = packed(matrix(1, 1_000_000, bytes(2_000_000)))
    config = EcgConfig(samples=None, max_unpacked_mb=5)
    assert read(header() + piece * 2, config).signal_adu.shape == (1, 1_000_000)
    assert "STRANDLINE_ECG_MAX_UNPACKED_MB" in refused(header() + piece * 3, config).message


def test_every_sample_file_is_refused_as_declared(examples: list[Example]) -> None:
    readable = {None, "nan_samples", "flat_line", "saturation", "noise"}
    for example in (example for example in examples if not example.key.endswith(("4.mat", "73.mat", ".hea"))):
        file = LandedFile.at(example.path, example.key)
        if example.error_class in readable:
            read_matlab5(file, EcgConfig())
        else:
            with pytest.raises(Refused) as caught:
                read_matlab5(file, EcgConfig())
            assert caught.value.error_class == example.error_class, example.key


@settings(max_examples=60, deadline=None)
@given(
    counts=st.tuples(st.integers(1, 4), st.integers(4, 400)).flatmap(lambda shape: arrays(np.int16, shape)),
    compress=st.booleans(),
)
def test_any_counts_survive_a_round_trip(counts: np.ndarray[Any, Any], compress: bool) -> None:
    recording = read(matlab5(counts, compress=compress))
    assert np.array_equal(recording.signal_adu, counts)
    assert len(recording.leads) == len(set(recording.leads)) == len(counts)
