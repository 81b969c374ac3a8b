"""MATLAB 4 and 7.3 files, sidecars and classes: what comes out of good ones, what bad ones are refused with."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io

from pipeline_assets.ecg.config import EcgConfig
from pipeline_assets.ecg.examples import matlab4, matlab5, matlab73
from pipeline_assets.ecg.read import (
    Recording,
    class_of,
    lead_names,
    read_matlab4,
    read_matlab5,
    read_matlab73,
    recognise_matlab4,
    recognise_matlab5,
    recognise_matlab73,
    recognise_wfdb,
)
from pipeline_assets.landed_file import LandedFile, Refused

COUNTS = np.arange(3600, dtype=np.int16)[np.newaxis] % 700 + 800
TWO = np.concatenate([COUNTS, COUNTS[:, ::-1]])
ANY_LENGTH = EcgConfig(samples=None)
PATTERN = EcgConfig().class_folder


def file(data: bytes, sidecar: bytes | None = None, key: str = "MLII/1 NSR/rec.mat") -> LandedFile:
    beside = {} if sidecar is None else {"rec.json": LandedFile("MLII/1 NSR/rec.json", data=sidecar)}
    return LandedFile(key, data=data, companions=beside)


def refused(read: Any, data: bytes, config: EcgConfig = ANY_LENGTH, sidecar: bytes | None = None) -> Refused:
    with pytest.raises(Refused) as caught:
        read(file(data, sidecar), config)
    return caught.value


def hdf5(**datasets: Any) -> bytes:
    content = io.BytesIO()
    with h5py.File(content, "w") as opened:
        for name, value in datasets.items():
            opened[name] = value
    return content.getvalue()


def matlab4_variable(name: bytes, values: np.ndarray, *, code: int, big: bool = False, imaginary: int = 0) -> bytes:
    order = ">" if big else "<"
    header = np.array([code, *values.shape, imaginary, len(name) + 1], dtype=order + "i4").tobytes()
    return header + name + b"\0" + values.T.astype(values.dtype.newbyteorder(order)).tobytes()


# MATLAB 4 -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int32, np.int16, np.uint16, np.uint8])
def test_matlab4_comes_out_value_by_value(dtype: type) -> None:
    counts = (TWO % 200).astype(dtype)
    recording = read_matlab4(file(matlab4(counts)), EcgConfig())
    assert np.array_equal(recording.signal_adu, counts)
    assert recording.signal_adu.dtype == np.float64
    assert recording.leads == ("MLII", "lead_2")


@pytest.mark.parametrize(("big", "code"), [(False, 30), (True, 1030)])
def test_matlab4_in_both_byte_orders_and_behind_another_variable(big: bool, code: int) -> None:
    other = matlab4_variable(b"gain", np.full((1, 1), 200, np.int16), code=code, big=big)
    data = other + matlab4_variable(b"val", TWO, code=code, big=big)
    assert recognise_matlab4(data[:512])
    assert np.array_equal(read_matlab4(file(data), EcgConfig()).signal_adu, TWO)


def test_matlab4_of_scipy_and_of_the_example_are_alike() -> None:
    assert np.array_equal(scipy.io.loadmat(io.BytesIO(matlab4(TWO)))["val"], TWO)


@pytest.mark.parametrize(
    ("data", "error_class", "word"),
    [
        (matlab4(COUNTS, variable="signal"), "no_signal_variable", "signal (1 x 3,600 int16)"),
        (matlab4(COUNTS[:, :1800]), "wrong_length", "1 x 1,800"),
        (matlab4(COUNTS.T), "wrong_shape", "3,600 x 1"),
        (matlab4("a text"), "wrong_type", "char"),
        (matlab4(COUNTS + 1j), "wrong_type", "complex"),
        (matlab4(np.empty((0, 0))), "wrong_type", "empty"),
        (matlab4(COUNTS)[:5000], "unreadable", "cut short"),
        (matlab4(COUNTS) + b"1234567", "unreadable", "byte 7,224"),
        (b"", "no_signal_variable", "none"),
    ],
)
def test_bad_matlab4_files(data: bytes, error_class: str, word: str) -> None:
    error = refused(read_matlab4, data, EcgConfig())
    assert error.error_class == error_class
    assert word in error.message


def test_matlab4_sizes_that_are_not_there_cost_nothing() -> None:
    header = np.array([0, 2**31 - 1, 2**31 - 1, 0, 4], dtype="<i4").tobytes()
    assert "by its own account" in refused(read_matlab4, header + b"val\0").message


@pytest.mark.parametrize(
    "head",
    [b"", bytes(512), b"hello,world\n1,2\n", b"\x89PNG\r\n\x1a\n" + bytes(100), b"MATLAB 5.0 MAT-file", b"PK\3\4" + bytes(60),
     np.array([30, 1, -5, 0, 4], dtype="<i4").tobytes() + b"val\0", np.array([30, 1, 5, 0, 4], dtype="<i4").tobytes() + b"v l\0"],
)  # fmt: skip
def test_other_bytes_are_no_matlab4(head: bytes) -> None:
    assert not recognise_matlab4(head)


# MATLAB 7.3 -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
@pytest.mark.parametrize(
    "storage", [{}, {"chunks": (900, 1), "compression": "gzip", "shuffle": True, "fletcher32": True}]
)
def test_matlab73_comes_out_value_by_value(dtype: str, storage: dict[str, Any]) -> None:
    counts = (TWO % 100).astype(dtype)
    data = matlab73(counts, **storage)
    assert recognise_matlab73(data[:512])
    recording = read_matlab73(file(data), EcgConfig())
    assert np.array_equal(recording.signal_adu, counts)


def test_matlab_stores_a_row_as_a_column() -> None:
    with h5py.File(io.BytesIO(matlab73(COUNTS))) as content:
        assert content["val"].shape == (3600, 1)


def test_hdf5_without_matlabs_marks_is_taken_as_it_lies() -> None:
    data = hdf5(val=TWO)
    assert recognise_matlab73(data[:512])
    assert np.array_equal(read_matlab73(file(data), EcgConfig()).signal_adu, TWO)


def test_the_four_kinds_of_files_are_told_apart() -> None:
    heads = {
        recognise_matlab4: matlab4(COUNTS)[:512],
        recognise_matlab5: matlab5(COUNTS)[:512],
        recognise_matlab73: matlab73(COUNTS)[:512],
        recognise_wfdb: b"100 1 360 650000\n100.dat 212 200 11 1024 995 -22131 0 MLII\n",
    }
    for recognise in heads:
        assert {other: recognise(head) for other, head in heads.items()} == {
            other: other is recognise for other in heads
        }


def _as(kind: bytes, value: np.ndarray) -> bytes:
    content = io.BytesIO()
    with h5py.File(content, "w") as opened:
        opened.create_dataset("val", data=value.T).attrs["MATLAB_class"] = np.bytes_(kind)
    return content.getvalue()


@pytest.mark.parametrize(
    ("data", "error_class", "word"),
    [
        (matlab73(COUNTS, variable="signal"), "no_signal_variable", "signal (1 x 3,600 int16)"),
        (matlab73(COUNTS[:, :1800]), "wrong_length", "1 x 1,800"),
        (matlab73(COUNTS.T), "wrong_shape", "3,600 x 1"),
        (_as(b"char", COUNTS.astype("u2")), "wrong_type", "char"),
        (_as(b"logical", COUNTS.astype("u1")), "wrong_type", "logical"),
        (hdf5(**{"val/a": COUNTS}), "wrong_type", "structure"),
        (hdf5(val="text"), "wrong_type", "HDF5 object"),
        (hdf5(val=5.0), "wrong_type", "empty"),
        (matlab73(COUNTS)[:600], "unreadable", "h5py says"),
        (matlab73(COUNTS)[:300], "unreadable", "the HDF5 file behind it is not"),
        (b"", "unreadable", "cut short"),
    ],
)
def test_bad_matlab73_files(data: bytes, error_class: str, word: str) -> None:
    error = refused(read_matlab73, data, EcgConfig())
    assert (error.error_class, word in error.message) == (error_class, True), error.message


def test_an_empty_matlab_matrix_is_said_to_be_empty() -> None:
    content = io.BytesIO()
    with h5py.File(content, "w") as opened:
        stored = opened.create_dataset("val", data=np.array([0, 0], dtype="u8"))
        stored.attrs["MATLAB_class"], stored.attrs["MATLAB_empty"] = np.bytes_(b"double"), np.uint8(1)
    assert "is empty" in refused(read_matlab73, content.getvalue()).message


def test_values_in_other_files_are_never_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.h5"
    secret.write_bytes(hdf5(val=COUNTS))
    raw = tmp_path / "raw.bin"
    raw.write_bytes(COUNTS.tobytes())
    for name in ("link", "external", "virtual", "soft"):
        path = tmp_path / f"{name}.mat"
        with h5py.File(path, "w") as opened:
            if name == "link":
                opened["val"] = h5py.ExternalLink(str(secret), "val")
            elif name == "soft":
                opened["val"] = h5py.SoftLink("/other")
            elif name == "external":
                opened.create_dataset("val", shape=(1, 3600), dtype="i2", external=[(str(raw), 0, 7200)])
            else:
                layout = h5py.VirtualLayout(shape=(1, 3600), dtype="i2")
                layout[:] = h5py.VirtualSource(str(secret), "val", shape=(1, 3600))
                opened.create_virtual_dataset("val", layout)
        error = refused(read_matlab73, path.read_bytes(), EcgConfig())
        assert error.error_class == "unreadable", name
        assert ("points elsewhere" in error.message) == (name in ("link", "soft"))
        assert ("in another file" in error.message) == (name in ("external", "virtual"))


@pytest.mark.parametrize(
    ("storage", "word"),
    [
        ({"shape": (1, 100_000_000), "dtype": "f8", "chunks": (1, 1_000_000)}, "MAX_UNPACKED_MB"),
        ({"shape": (1, 1_000_000), "dtype": "i2", "chunks": (1, 1)}, "1,000,000 pieces"),
        ({"shape": (1, 3600), "dtype": "i2", "chunks": (1, 900)}, "0 of its 4 pieces"),
        ({"shape": (1, 3600), "dtype": "i2"}, "0 bytes of its 7,200"),
        ({"data": COUNTS, "compression": "lzf"}, "HDF5 filter 32000"),
    ],
)
def test_storage_that_costs_more_than_it_holds(storage: dict[str, Any], word: str) -> None:
    content = io.BytesIO()
    with h5py.File(content, "w") as opened:
        opened.create_dataset("val", **storage)
    error = refused(read_matlab73, content.getvalue())
    assert (error.error_class, word in error.message) == ("unreadable", True), error.message


# Sidecars, classes, names ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("read", [(read_matlab4, matlab4), (read_matlab5, matlab5), (read_matlab73, matlab73)])
def test_a_sidecar_wins_over_the_settings(read: Any) -> None:
    sidecar = {"fs_hz": 250, "gain_adu_per_mv": 400.0, "baseline_adu": -3.5, "leads": ["II", "V5"]}
    reader, writer = read
    recording: Recording = reader(file(writer(TWO), json.dumps(sidecar).encode()), EcgConfig())
    assert (recording.fs_hz, recording.leads) == (250.0, ("II", "V5"))
    assert (recording.fs_source, recording.gain_source) == ("sidecar", "sidecar")
    assert np.array_equal(recording.signal_mv, (TWO + 3.5) / 400.0)


def test_what_a_sidecar_leaves_out_comes_from_the_settings() -> None:
    recording = read_matlab5(file(matlab5(COUNTS), b'{"fs_hz": 500}'), EcgConfig())
    assert (recording.fs_hz, recording.gain_adu_per_mv, recording.leads) == (500.0, 200.0, ("MLII",))
    assert (recording.fs_source, recording.gain_source) == ("sidecar", "default")


@pytest.mark.parametrize(
    ("sidecar", "error_class", "word"),
    [
        (b"", "bad_sidecar", "Invalid JSON"),
        (b"[]", "bad_sidecar", "the whole file"),
        (b'{"fs": 360}', "bad_sidecar", "fs: "),
        (b'{"fs_hz": "360"}', "bad_sidecar", "fs_hz"),
        (b'{"fs_hz": NaN}', "bad_sidecar", "fs_hz"),
        (b'{"leads": ["I", "II"]}', "bad_sidecar", "2 leads"),
        (b'{"leads": [1]}', "bad_sidecar", "leads.0"),
        (b" " * 70_000, "bad_sidecar", "70,000 bytes"),
        (b'{"fs_hz": 3}', "wrong_rate", "rec.json gives a sampling frequency of 3 Hz"),
        (b'{"fs_hz": 1e300}', "wrong_rate", "1e+300"),
        (b'{"gain_adu_per_mv": 0}', "wrong_gain", "0 adu/mV"),
        (b'{"gain_adu_per_mv": -200}', "wrong_gain", "-200"),
    ],
)
def test_bad_sidecars(sidecar: bytes, error_class: str, word: str) -> None:
    error = refused(read_matlab5, matlab5(COUNTS), EcgConfig(), sidecar)
    assert (error.error_class, word in error.message) == (error_class, True), error.message


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("MLII/1 NSR/100m (0).mat", (1, "NSR")),
        ("ecg/MLII/17 PR/a/b.mat", (17, "PR")),
        ("4 AFIB/7 PVC/x.mat", (7, "PVC")),
        ("MLII/x.mat", (None, None)),
        ("MLII/1 NSR", (None, None)),
        ("2024 05/x.mat", (None, None)),
        ("1NSR/x.mat", (None, None)),
    ],
)
def test_the_class_is_in_the_folder(key: str, expected: tuple[int | None, str | None]) -> None:
    assert class_of(key, PATTERN) == expected


def test_the_class_reaches_the_recording() -> None:
    recording = read_matlab5(file(matlab5(COUNTS)), EcgConfig())
    assert (recording.class_number, recording.class_label) == (1, "NSR")


def test_a_pattern_of_classes_must_name_its_groups() -> None:
    with pytest.raises(ValueError, match="groups"):
        EcgConfig(class_folder="(.*)")


def test_leads_have_names_and_each_its_own() -> None:
    assert lead_names(4, ("II", " ", "II")) == ("II", "lead_2", "II_2", "lead_4")
    assert lead_names(1, ("a", "b")) == ("a",)
    assert lead_names(3, ("lead_3", "")) == ("lead_3", "lead_2", "lead_3_2")
