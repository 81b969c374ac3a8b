"""Damage for every reader: files to damage, ways to damage them, and what may come of it."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import sleepecg  # noqa: F401 - what reading loads on first use must not count as slow
import wfdb

from pipeline_assets.columns import to_table
from pipeline_assets.ecg.config import EcgConfig
from pipeline_assets.ecg.derive import checked_tables
from pipeline_assets.ecg.examples import matlab4, matlab5, matlab73, synthetic_ecg, wfdb_record
from pipeline_assets.ecg.read import Recording
from pipeline_assets.ecg.source import ECG
from pipeline_assets.landed_file import LandedFile, Refused
from pipeline_assets.source import HEAD_BYTES
from pipeline_assets.validation import violations
from tests.fuzzing import Seen

Parts = dict[str, bytes]
"""The files of one recording by name; the first one is read, the others are its companions."""

OF_VARIABLES = {"unreadable", "no_signal_variable", "wrong_type", "wrong_shape", "wrong_length"}
OF_RECORDS = {"unreadable", "unsupported_record", "incomplete_record", "no_ecg_lead", "wrong_length"}
OF_SIGNALS = {"nan_samples", "flat_line", "saturation", "wrong_amplitude", "noise"}
OF_CALIBRATION = {"bad_sidecar", "wrong_rate", "wrong_gain"}
CONFIGS = (EcgConfig(max_unpacked_mb=8), EcgConfig(max_unpacked_mb=8, samples=None, nan_share_max=0.5))


@dataclass(frozen=True)
class Target:
    """One reader: files for it, how they are damaged, what it may answer, and what it must have answered at least once."""

    reader: str
    files: list[Parts]
    damaged: Callable[[Parts, Parts, np.random.Generator], Parts]
    may: set[str]
    must: set[str]


def targets() -> dict[str, Target]:
    rng = np.random.default_rng(1)
    one, two = synthetic_ecg(rng)[0], synthetic_ecg(rng)[0]
    floats = one.astype(np.float64)
    packed = {"chunks": (900, 1), "compression": "gzip", "shuffle": True, "fletcher32": True}
    variables = OF_VARIABLES | OF_SIGNALS
    found = {"unreadable", "no_signal_variable", "recording"}
    return {
        "matlab5": Target(
            "matlab5",
            [{"rec.mat": data} for data in (matlab5(one), matlab5(two, compress=True), matlab5(floats))],
            _one_part(hot=(128, 192)), variables, {*found, "wrong_type", "wrong_length"},
        ),
        "matlab4": Target(
            "matlab4", [{"rec.mat": matlab4(one)}, {"rec.mat": matlab4(floats)}], _one_part(hot=(0, 24)), variables, found
        ),
        "matlab73": Target(
            "matlab73",
            [{"rec.mat": data} for data in (matlab73(one), matlab73(two, **packed), matlab73(floats, chunks=True))],
            _one_part(hot=(512, 3000)), variables, found,
        ),
        "sidecar": Target(
            "matlab5", [{"rec.mat": matlab5(one), "rec.json": _sidecar(leads)} for leads in (["II"], [])],
            _sidecar_only, variables | OF_CALIBRATION, {"bad_sidecar", "recording"},
        ),
        "wfdb": Target(
            "wfdb", _records(), _any_part, OF_RECORDS | OF_SIGNALS | OF_CALIBRATION,
            {"unreadable", "incomplete_record", "unsupported_record", "no_ecg_lead", "wrong_rate", "recording"},
        ),
    }  # fmt: skip


def _sidecar(leads: list[str]) -> bytes:
    said: dict[str, object] = {"fs_hz": 360.0, "gain_adu_per_mv": 200, "baseline_adu": 1024}
    return json.dumps({**said, "leads": leads} if leads else said).encode()


def _records() -> list[Parts]:
    """A record in format 16, one in 212 with annotations and a comment, one whose signals are in a MATLAB 4 file."""
    counts, peaks = synthetic_ecg(np.random.default_rng(2))
    header, signals, notes = wfdb_record("rec", counts, peaks)
    records = [{"rec.hea": header, "rec.dat": signals, "rec.atr": notes}]
    both = np.concatenate([counts, counts[:, ::-1]]).T.astype(np.int64) - 1024
    with TemporaryDirectory() as folder:
        wfdb.wrsamp(
            "rec", 360, ["mV", "mV"], ["II", "V5"], d_signal=both, fmt=["212", "212"], adc_gain=[200.0, 200.0],
            baseline=[0, 0], comments=["62 F"], write_dir=folder,
        )  # fmt: skip
        wfdb.wrann(
            "rec",
            "atr",
            np.array(peaks),
            ["N"] * len(peaks),
            aux_note=["(N"] + [""] * (len(peaks) - 1),
            write_dir=folder,
        )
        records.append({name: Path(folder, name).read_bytes() for name in ("rec.hea", "rec.dat", "rec.atr")})
    header = b"rec 1 360 3600\nrec.mat 16+24 200/mV 16 0 0 0 0 II\n"
    return [*records, {"rec.hea": header, "rec.mat": matlab4(counts)}]


def _one_part(hot: tuple[int, int]) -> Callable[[Parts, Parts, np.random.Generator], Parts]:
    def damaged(parts: Parts, donor: Parts, rng: np.random.Generator) -> Parts:
        (name, data), other = next(iter(parts.items())), next(iter(donor.values()))
        return {**parts, name: mutated(data, other, rng, hot)}

    return damaged


def _sidecar_only(parts: Parts, donor: Parts, rng: np.random.Generator) -> Parts:
    return {**parts, "rec.json": rewritten(parts["rec.json"], rng)}


def _any_part(parts: Parts, donor: Parts, rng: np.random.Generator) -> Parts:
    """Half of the damage is in the header, where it hurts most; some is a part that is not there."""
    names = list(parts)
    if rng.random() < 0.05:
        return {name: data for name, data in parts.items() if name != names[1]}
    name = names[0] if rng.random() < 0.5 else names[int(rng.integers(1, len(names)))]
    if name == names[0] and rng.random() < 0.7:
        return {**parts, name: rewritten(parts[name], rng)}
    return {**parts, name: mutated(parts[name], donor.get(name, parts[name]), rng, (0, 64))}


def mutated(data: bytes, donor: bytes, rng: np.random.Generator, hot: tuple[int, int]) -> bytes:
    """The bytes with one kind of damage; half of it hits the hot region."""
    body, size = bytearray(data), len(data)
    first, reach = (min(hot[0], size - 8), min(hot[1], size)) if rng.random() < 0.5 else (0, size)
    match rng.integers(6):
        case 0:
            for _ in range(rng.integers(1, 4)):
                body[rng.integers(first, reach)] ^= 1 << int(rng.integers(8))
        case 1:
            at = int(rng.integers(first, reach - 4)) // 4 * 4
            number = int(rng.choice([0, 1, 15, 1800, 3600, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]))
            body[at : at + 4] = number.to_bytes(4, "little")
        case 2:
            del body[int(rng.integers(size)) :]
        case 3:
            at, length = int(rng.integers(first, reach)), int(rng.integers(1, 64))
            body[at : at + length] = donor[at : at + int(rng.integers(1, 64))]
        case 4:
            at = int(rng.integers(first, reach))
            body[at:at] = rng.bytes(int(rng.integers(1, 32)))
        case _:
            body[int(rng.integers(first, reach))] = int(rng.integers(256))
    return bytes(body)


WORDS = (
    b"0", b"-1", b"1", b"2", b"3", b"16", b"212", b"310", b"24", b"80", b"516", b"360", b"99", b"250", b"4294967296", b"1e300",
    b"1e-300", b"nan", b"1/3", b"16x4", b"16:9", b"16+99999999", b"212x0", b"200(1024)/mV", b"0/mV", b"-200", b"7/NU", b"9/uV",
    b"rec.dat", b"rec.mat", b"other.dat", b"../rec.dat", b"/etc/passwd", b"http://127.0.0.1/rec.dat", b"~", b"-", b"rec.hea",
    b"#", b"\n", b"", b"9" * 3000, b"[]", b"{}", b"null", b'"II"', b"-0.0", b"Infinity", b"\xff\xfe", b"\0",
)  # fmt: skip


def rewritten(text: bytes, rng: np.random.Generator) -> bytes:
    """The text with one to three words of it replaced, doubled or left out."""
    words = text.replace(b"\n", b" \n ").replace(b",", b" , ").replace(b":", b" : ").split(b" ")
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(len(words)))
        words[at : at + 1] = [[WORDS[int(rng.integers(len(WORDS)))]], words[at : at + 1] * 2, []][
            int(rng.choice([0, 0, 0, 1, 2]))
        ]
    joined = b" ".join(words)
    return joined if text.startswith(b"{") else joined.replace(b" : ", b":").replace(b" \n ", b"\n")


def may(target: Target) -> set[str]:
    return target.may | {"recording"}


def run(target: Target, mutants: int, seed: int, *, schemas_every: int = 1) -> Seen:
    """Damage that many files and look at each outcome. Raises what a reader should not have raised."""
    rng = np.random.default_rng(seed)
    seen = Seen()
    for number in range(mutants):
        original, donor = rng.choice(len(target.files), 2, replace=True)
        parts = target.damaged(target.files[original], target.files[donor], rng)
        start = time.perf_counter()
        result = outcome(target.reader, parts, CONFIGS[number % 2], with_schemas=number % schemas_every == 0)
        seen.slowest_s = max(seen.slowest_s, time.perf_counter() - start)
        seen.outcomes[result] += 1
    return seen


def outcome(reader_name: str, parts: Parts, config: EcgConfig, *, with_schemas: bool) -> str:
    """The error class, or 'recording' for a valid one."""
    (name, data), *others = parts.items()
    companions = {other: LandedFile(f"fuzz/{other}", data=content) for other, content in others}
    file = LandedFile(f"fuzz/{name}", data=data, companions=companions)
    reader = next(reader for reader in ECG.readers if reader.name == reader_name)
    assert all(known.recognises(data[:HEAD_BYTES]) in (True, False) for known in ECG.readers)
    try:
        recording = reader.read(file, config)
        assert_valid(recording, None if reader_name == "wfdb" else config.samples)
        rows = checked_tables(recording, config)
    except Refused as error:
        return error.error_class if error.message else "refused without a reason"
    if with_schemas:
        fill = {"file_id": "f", "batch_id": "b"}
        for table in ECG.tables:
            made = to_table(table.schema, rows[table.name], fill)
            assert not violations(table.schema, made, [made.num_rows], list(fill)), table.name
    return "recording"


def assert_valid(recording: Recording, samples: int | None) -> None:
    leads, found = recording.signal_adu.shape
    assert recording.signal_adu.dtype == np.float64
    assert leads == len(set(recording.leads)) >= 1
    assert all(recording.leads)
    assert samples in (None, found)
    assert recording.signal_mv.shape == recording.signal_adu.shape
    notes = recording.annotations
    assert notes is None or len(notes.sample) == len(notes.symbol) == len(notes.aux)


def zip_bomb(columns: int) -> bytes:
    """A MATLAB 7.3 file whose one piece unpacks to far more than it declares."""
    import zlib

    import h5py

    file = io.BytesIO()
    with h5py.File(file, "w") as content:
        piece = content.create_dataset("val", shape=(1, columns), dtype="<i2", chunks=(1, columns), compression="gzip")
        piece.id.write_direct_chunk((0, 0), zlib.compress(bytes(100_000_000)))
    return file.getvalue()
