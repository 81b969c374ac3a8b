"""Damaged files: whatever the damage, only a valid recording or `Refused` may come out."""

from __future__ import annotations

import resource
import time

import numpy as np

from pipeline_assets.ecg.config import EcgConfig
from pipeline_assets.ecg.derive import check_signal, tables
from pipeline_assets.ecg.examples import Example
from pipeline_assets.ecg.read import Recording, read_matlab5
from pipeline_assets.landed_file import LandedFile, Refused

MUTANTS = 1200
CLASSES = {
    "unreadable", "no_signal_variable", "wrong_type", "wrong_shape", "wrong_length", "nan_samples", "flat_line",
    "saturation",
}  # fmt: skip


def mutated(data: bytes, donor: bytes, rng: np.random.Generator) -> bytes:
    """The bytes with one kind of damage; half of it hits the first element's header, where it hurts most."""
    body, size = bytearray(data), len(data)
    first, reach = (128, 192) if rng.random() < 0.5 else (0, size)
    match rng.integers(5):
        case 0:
            for _ in range(rng.integers(1, 4)):
                body[rng.integers(first, reach)] ^= 1 << int(rng.integers(8))
        case 1:
            at = int(rng.integers(first, reach - 4)) // 4 * 4
            body[at : at + 4] = int(rng.choice([0, 1, 15, 1800, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])).to_bytes(
                4, "little"
            )
        case 2:
            del body[int(rng.integers(size)) :]
        case 3:
            at, length = int(rng.integers(first, reach)), int(rng.integers(1, 64))
            body[at : at + length] = donor[at : at + int(rng.integers(1, 64))]
        case _:
            at = int(rng.integers(first, reach))
            body[at:at] = rng.bytes(int(rng.integers(1, 32)))
    return bytes(body)


def outcome(data: bytes, config: EcgConfig) -> str:
    """The error class, or 'recording' for a valid one."""
    try:
        recording = read_matlab5(LandedFile("fuzz.mat", data=data), config)
        assert_valid(recording, config)
        check_signal(recording, config)
        tables(recording, config)
    except Refused as error:
        return error.error_class if error.message else "refused without a reason"
    return "recording"


def assert_valid(recording: Recording, config: EcgConfig) -> None:
    leads, samples = recording.signal_adu.shape
    assert recording.signal_adu.dtype == np.float64
    assert leads == len(recording.leads) >= 1
    assert config.samples in (None, samples)


def test_no_damage_gets_past_refused(good: list[Example]) -> None:
    rng = np.random.default_rng(2024)
    files = [example.path.read_bytes() for example in good[:8]]
    configs = (EcgConfig(max_unpacked_mb=8), EcgConfig(max_unpacked_mb=8, samples=None))
    memory_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seen: dict[str, int] = {}
    slowest = 0.0
    for number in range(MUTANTS):
        original, donor = rng.choice(len(files), 2, replace=False)
        data = mutated(files[original], files[donor], rng)
        start = time.perf_counter()
        result = outcome(data, configs[number % 2])
        slowest = max(slowest, time.perf_counter() - start)
        seen[result] = seen.get(result, 0) + 1
    assert set(seen) <= CLASSES | {"recording"}, seen
    # The damage must be of all sorts: some of it harmless, some in the structure, some in the declarations.
    for kind in ("recording", "unreadable", "no_signal_variable", "wrong_type", "wrong_length"):
        assert seen.get(kind, 0) >= 2, seen
    assert slowest < 2.0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory_before < 300_000
