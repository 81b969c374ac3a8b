"""WFDB records: what comes out of good ones, what is refused, and what the library is never given to open."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wfdb

from pipeline_assets.ecg.config import EcgConfig
from pipeline_assets.ecg.examples import matlab4, synthetic_ecg, wfdb_record
from pipeline_assets.ecg.read import (
    Recording,
    missing_parts,
    primary_part,
    read_wfdb,
    recognise_wfdb,
    record_name,
)
from pipeline_assets.landed_file import LandedFile, Refused

COUNTS, PEAKS = synthetic_ecg(np.random.default_rng(6))
HEADER, SIGNALS, NOTES = wfdb_record("rec", COUNTS, PEAKS)
RECORD_100 = b"""# a comment
100 2 360 650000
100.dat 212 200 11 1024 995 -22131 0 MLII
100.dat 212 200 11 1024 1011 20052 0 V5
# 69 M 1085 1629 x1
"""


def read(header: bytes, config: EcgConfig | None = None, /, key: str = "db/1 NSR/rec.hea", **parts: bytes) -> Recording:
    """A record whose companions are rec.dat, rec.atr, ... by their suffixes."""
    beside = {f"rec.{suffix}": LandedFile(f"db/rec.{suffix}", data=data) for suffix, data in parts.items()}
    return read_wfdb(LandedFile(key, data=header, companions=beside), config or EcgConfig())


def refused(header: bytes, config: EcgConfig | None = None, /, **parts: bytes) -> Refused:
    with pytest.raises(Refused) as caught:
        read(header, config, **parts)
    return caught.value


def written(folder: Path, counts: np.ndarray, fmt: str, **fields: Any) -> dict[str, bytes]:
    """A record as the wfdb library writes it; counts: samples x leads."""
    leads = counts.shape[1]
    given = {"units": ["mV"] * leads, "sig_name": [f"L{lead}" for lead in range(leads)], "adc_gain": [200.0] * leads}
    given |= {"baseline": [0] * leads, **fields}
    fs = given.pop("fs", 360)
    wfdb.wrsamp("rec", fs, d_signal=counts, fmt=[fmt] * leads, write_dir=str(folder), **given)
    return {path.suffix[1:]: path.read_bytes() for path in folder.iterdir()}


def test_a_record_comes_out_value_by_value() -> None:
    recording = read(HEADER, dat=SIGNALS, atr=NOTES)
    assert np.array_equal(recording.signal_adu, COUNTS)
    assert np.array_equal(recording.signal_mv, (COUNTS - 1024.0) / 200.0)
    assert (recording.fs_hz, recording.leads, recording.warnings) == (360.0, ("MLII",), ())
    assert (recording.fs_source, recording.gain_source) == ("header", "header")
    assert (recording.class_number, recording.class_label) == (1, "NSR")
    assert recording.annotations is not None
    assert recording.annotations.sample.tolist() == list(PEAKS)
    assert set(recording.annotations.symbol) == {"N"}
    assert read(HEADER, dat=SIGNALS).annotations is None


@pytest.mark.parametrize("fmt", ["16", "24", "32", "80", "212"])
@pytest.mark.parametrize("samples", [3600, 3601, 3602])
def test_every_format_of_three_leads(fmt: str, samples: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(int(fmt))
    counts = rng.integers(-120, 120, (samples, 3))
    parts = written(tmp_path, counts, fmt, baseline=[0, -7, 30], adc_gain=[200.0, 100.5, 12.25])
    recording = read(parts.pop("hea"), **parts)
    assert np.array_equal(recording.signal_adu, counts.T)
    assert np.array_equal(recording.signal_mv, (counts.T - [[0], [-7], [30]]) / [[200.0], [100.5], [12.25]])
    assert recording.leads == ("L0", "L1", "L2")


def packed(counts: np.ndarray, fmt: str) -> bytes:
    """Samples in the formats that the library only reads, as signal(5) of the WFDB Applications Guide describes them."""
    if fmt == "160":
        return (counts + 32_768).astype("<u2").tobytes()
    first, second, third = (counts.reshape(-1, 3) & 0x3FF).T
    if fmt == "310":  # 10 bits and a spare one in each pair of bytes, 5 bits of the third sample above them
        pairs = (first << 1 | (third & 0x1F) << 11, second << 1 | third >> 5 << 11)
    else:  # 311: 30 bits in a row
        pairs = (first | (second & 0x3F) << 10, second >> 6 | third << 4)
    return np.stack(pairs, axis=1).astype("<u2").tobytes()


@pytest.mark.parametrize("fmt", ["160", "310", "311"])
def test_formats_that_nobody_writes_any_more(fmt: str) -> None:
    counts = np.random.default_rng(int(fmt)).integers(-500, 500, 3600)
    header = f"rec 1 360 3600\nrec.dat {fmt} 200/mV 10 0 0 0 0 II\n".encode()
    assert np.array_equal(read(header, dat=packed(counts, fmt)).signal_adu[0], counts)


def test_signals_in_a_matlab_file() -> None:
    two = np.concatenate([COUNTS, COUNTS[:, ::-1]])
    header = b"rec 2 250 3600\nrec.mat 16+24 7247/mV 16 0 0 0 0 II\nrec.mat 16+24 1.052e+04/mV 16 0 0 0 0 V\n"
    recording = read(header, mat=matlab4(two))
    assert np.array_equal(recording.signal_adu, two)
    assert np.array_equal(recording.signal_mv, two / [[7247.0], [10520.0]])
    assert recording.fs_hz == 250.0


def test_signals_in_two_files() -> None:
    header = b"rec 2 360 3600\nrec.dat 16 200 16 0 0 0 0 I\nrec.xyz 16 200 16 0 0 0 0 vx\n"
    recording = read(header, dat=SIGNALS, xyz=SIGNALS[::-1])
    assert np.array_equal(recording.signal_adu[0], COUNTS[0])
    assert recording.leads == ("I", "vx")


@pytest.mark.parametrize(("unit", "factor"), [(b"mV", 1.0), (b"uV", 1000.0), (b"V", 0.001)])
def test_voltages_become_millivolts(unit: bytes, factor: float) -> None:
    header = b"rec 1 360 3600\nrec.dat 16 200(1024)/" + unit + b" 16 0 0 0 0 II\n"
    assert read(header, dat=SIGNALS).signal_mv == pytest.approx((COUNTS - 1024) / (200.0 * factor), rel=1e-12)


def test_signals_that_are_no_ecg_are_named_and_left_out() -> None:
    header = b"rec 2 360 1800\nrec.dat 16 200/mV 16 0 0 0 0 II\nrec.dat 16 1.2e+04/NU 16 0 0 0 0 PLETH\n"
    recording = read(header, dat=SIGNALS)
    assert (recording.leads, recording.other_signals) == (("II",), ("PLETH (NU)",))
    assert np.array_equal(recording.signal_adu[0], COUNTS[0, ::2])
    error = refused(header.replace(b"200/mV", b"200/mmHg"), dat=SIGNALS)
    assert (error.error_class, "II (mmHg), PLETH (NU)" in error.message) == ("no_ecg_lead", True)


@pytest.mark.parametrize(
    ("header", "sources", "gain"),
    [
        (b"rec 1\nrec.dat 16\n", ("default", "default"), 200.0),
        (b"rec 1 500\nrec.dat 16 0 16 0 0 0 0 II\n", ("header", "default"), 200.0),
        (b"rec 1 500\nrec.dat 16 100 16 0 0 0 0 II\n", ("header", "header"), 100.0),
    ],
)
def test_what_a_header_leaves_out(header: bytes, sources: tuple[str, str], gain: float) -> None:
    recording = read(header, dat=SIGNALS)
    assert ((recording.fs_source, recording.gain_source), float(np.ravel(recording.gain_adu_per_mv)[0])) == (
        sources,
        gain,
    )
    assert recording.fs_hz == (500.0 if sources[0] == "header" else 250.0)
    assert recording.signal_adu.shape == (1, 3600)
    assert recording.leads == (("II",) if b"II" in header else ("lead_1",))


def test_invalid_samples_have_no_value() -> None:
    counts = COUNTS.copy()
    counts[0, 100:103] = -32768
    signal = read(HEADER, dat=counts.T.astype("<i2").tobytes()).signal_adu
    assert np.flatnonzero(np.isnan(signal[0])).tolist() == [100, 101, 102]


def test_several_samples_in_a_frame_are_a_higher_rate() -> None:
    header = b"rec 2 125 900\nrec.dat 16x3 200/mV 16 0 0 0 0 II\nrec.dat 16x1 1/NU 16 0 0 0 0 RESP\n"
    recording = read(header, dat=SIGNALS, atr=NOTES)
    assert (recording.fs_hz, recording.signal_adu.shape) == (375.0, (1, 2700))
    assert recording.annotations is not None
    assert recording.annotations.sample.tolist() == [3 * peak for peak in PEAKS]
    error = refused(header.replace(b"1/NU", b"1/mV"), dat=SIGNALS)
    assert (error.error_class, "different sampling frequencies" in error.message) == ("unsupported_record", True)


def test_samples_that_do_not_add_up_are_doubted() -> None:
    assert read(HEADER, dat=SIGNALS[:-2] + b"\0\0").warnings == ("checksum",)


def test_any_length_from_a_second_on() -> None:
    header = HEADER.replace(b"360 3600", b"360 360")
    assert read(header, dat=SIGNALS).signal_adu.shape == (1, 360)
    assert "1.00 s long" in refused(HEADER.replace(b"360 3600", b"360 359"), dat=SIGNALS).message
    assert refused(HEADER.replace(b"360 3600", b"360 0"), dat=SIGNALS).error_class == "wrong_length"


@pytest.mark.parametrize(
    ("header", "error_class", "word"),
    [
        (b"", "unreadable", "no record line"),
        (b"rec 2 360 3600\nrec.dat 16\n", "unreadable", "2 signals, and 1 signal lines"),
        (b"rec 1 360 3600\nnothing\n", "unreadable", "no signal line"),
        (b"x" * 70_000, "unreadable", "70,000 bytes"),
        (b"rec 1 360 " + b"3" * 3000, "unreadable", "2,000 characters"),
        (b"rec 0 360 3600\n", "no_ecg_lead", "describes no signal"),
        (b"rec/3 1 360 3600\nrec_1 1200\nrec_2 2400\n", "unsupported_record", "segments"),
        (b"rec 1 360 3600\nrec.dat 516 200\n", "unsupported_record", "516"),
        (b"rec 1 360 3600\nrec.dat 61 200\n", "unsupported_record", "61"),
        (b"rec 1 360 3600\nrec.dat 16:5 200\n", "unsupported_record", "skewed"),
        (b"rec 1 360 3600\nrec.dat 16x2000 200\n", "unsupported_record", "very different rates"),
        (b"rec 1 3 3600\nrec.dat 16 200\n", "wrong_rate", "3 Hz"),
        (b"rec 1 360 3600\nrec.dat 16 -200\n", "wrong_gain", "-200"),
        (b"rec 1 360 3600\nrec.dat 16 1e300\n", "wrong_gain", "1e+300"),
        (
            b"rec 1 360 3601\nrec.dat 16 200\n",
            "unreadable",
            "7,202 bytes of samples by the header's account, 7,200 there",
        ),
        (b"rec 1 360 3600\nrec.dat 16+2 200\n", "unreadable", "7,198 there"),
        (b"rec 1 360 999999999999\nrec.dat 16 200\n", "unreadable", "STRANDLINE_ECG_MAX_UNPACKED_MB"),
    ],
)
def test_bad_headers(header: bytes, error_class: str, word: str) -> None:
    error = refused(header, dat=SIGNALS)
    assert (error.error_class, word in error.message) == (error_class, True), error.message


def test_a_missing_part_is_named() -> None:
    error = refused(HEADER, atr=NOTES)
    assert error.error_class == "incomplete_record"
    assert "rec.dat" in error.message
    assert error.location == "rec.hea"


@pytest.mark.parametrize("name", ["../secret.dat", "/etc/passwd", "http://127.0.0.1:9/x.dat", "s3://b/x.dat", "~", "a.b.dat",
                                  "rec.hea", "file:rec.dat", "rec.dat::zip"])  # fmt: skip
def test_nothing_but_landed_files_is_opened(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: Any, **__: Any) -> None:
        raise AssertionError("the library was called")

    monkeypatch.setattr(wfdb, "rdheader", opened)
    monkeypatch.setattr(wfdb, "rdrecord", opened)
    error = refused(f"rec 1 360 3600\n{name} 16 200\n".encode(), dat=SIGNALS)
    assert (error.error_class, "plain name" in error.message) == ("unsupported_record", True)


@pytest.mark.parametrize("notes", [b"\1", b"\xff" * 30, b"\0\xec\xff\xff\x9c\xff\1\4\0\0", b"\0" * 5_000_000])
def test_damaged_annotations_are_unreadable(notes: bytes) -> None:
    error = refused(HEADER, dat=SIGNALS, atr=notes)
    assert error.error_class == "unreadable"
    assert "rec.atr" in error.message


def test_no_annotations_are_none_at_all() -> None:
    recording = read(HEADER, dat=SIGNALS, atr=b"\0\0")
    assert recording.annotations is None or len(recording.annotations.sample) == 0


def test_annotations_with_texts_and_custom_codes(tmp_path: Path) -> None:
    wfdb.wrann(
        "rec", "atr", np.array([5, 90, 3000]), ["+", "N", "~"], aux_note=["(AFIB", "", ""], write_dir=str(tmp_path)
    )
    notes = read(HEADER, dat=SIGNALS, atr=(tmp_path / "rec.atr").read_bytes()).annotations
    assert notes is not None
    assert (notes.sample.tolist(), notes.symbol, notes.aux) == ([5, 90, 3000], ("+", "N", "~"), ("(AFIB", "", ""))


def test_codes_of_the_files_own(tmp_path: Path) -> None:
    wfdb.wrann(
        "rec", "atr", np.array([7, 90]), ["&", "N"], custom_labels=[(45, "&", "our own mark")], write_dir=str(tmp_path)
    )
    notes = read(HEADER, dat=SIGNALS, atr=(tmp_path / "rec.atr").read_bytes()).annotations
    assert notes is not None
    assert (notes.sample.tolist(), notes.symbol) == ([7, 90], ("&", "N"))


@pytest.mark.parametrize("fault", [MemoryError(), OSError(errno.EMFILE, "too many open files")])
def test_faults_of_the_machine_are_no_refusals(fault: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise fault

    for name in ("rdrecord", "rdann"):
        with monkeypatch.context() as patched:
            patched.setattr(wfdb, name, fail)
            with pytest.raises(type(fault)):
                read(HEADER, dat=SIGNALS, atr=NOTES)


@pytest.mark.parametrize(
    ("head", "known"),
    [
        (RECORD_100, True),
        (HEADER, True),
        (b"rec 1\nrec.dat 16\n", True),
        (b"rec/3 2 360 1000\nrec_1 500\n", True),
        (b"a103l 3 250 82500\r\na103l.mat 16+24 7247/mV 16 0 -171 -27403 0 II\r\n", True),
        (b"hello,world\n1,2\n", False),
        (b"hello 5\nworld\n", False),
        (b"# only a comment\n", False),
        (b"100 2 360 650000\n\0", False),
        (SIGNALS[:512], False),
        (NOTES[:512], False),
        (b"", False),
    ],
)
def test_recognised_by_its_first_lines(head: bytes, known: bool) -> None:
    assert recognise_wfdb(head) is known


@pytest.mark.parametrize(
    ("key", "record"),
    [
        ("mitdb/100.hea", "mitdb/100"),
        ("mitdb/100.dat", "mitdb/100"),
        ("mitdb/100.atr", "mitdb/100"),
        ("MLII/1 NSR/100m (0).mat", "MLII/1 NSR/100m (0)"),
        ("MLII/1 NSR/100m (0).json", "MLII/1 NSR/100m (0)"),
        ("s0010.xyz", "s0010"),
        ("a/v1.2.DAT", "a/v1.2"),
        ("a/readme.txt", None),
        ("a/100", None),
        ("a/.hea", None),
    ],
)
def test_a_part_names_its_record(key: str, record: str | None) -> None:
    assert record_name(key) == record


def test_the_header_is_what_a_record_is_read_from() -> None:
    assert primary_part(["a.dat", "a.mat", "a.hea"]) == "a.hea"
    assert primary_part(["a.json", "a.mat"]) == "a.mat"
    assert primary_part(["a.dat", "a.atr"]) is None


def test_missing_parts() -> None:
    assert missing_parts(RECORD_100, []) == ["100.dat"]
    assert missing_parts(RECORD_100, ["100.atr", "100.dat"]) == []
    two = b"r 3\nb.dat 16\na.dat 16\nb.dat 16\n"
    assert missing_parts(two, ["r.hea"]) == ["b.dat", "a.dat"]
    assert missing_parts(two, {"b.dat": 1}) == ["a.dat"]


@pytest.mark.parametrize(
    "header", [b"", b"no header", b"r 1\n../a.dat 16\n", b"r 1\nhttp://x/a.dat 16\n", b"r/2 1\nr_1 5\n", b"\0\xff"]
)
def test_nothing_is_waited_for_that_can_never_come(header: bytes) -> None:
    assert missing_parts(header, []) == []
