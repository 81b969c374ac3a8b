"""Damaged files: whatever the damage, only a valid recording or `Refused` may come out."""

from __future__ import annotations

import io
import resource
import tracemalloc
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import h5py
import numpy as np
import pytest

from pipeline_assets.ecg.config import EcgConfig
from pipeline_assets.ecg.examples import matlab73, synthetic_ecg
from pipeline_assets.ecg.read import read_matlab73
from pipeline_assets.landed_file import LandedFile, Refused
from tests.ecg.fuzz import run, targets, zip_bomb
from tests.fuzzing import Seen

MUTANTS = 500
TARGETS = targets()
COUNTS = synthetic_ecg(np.random.default_rng(0))[0]


def in_a_process_of_its_own(name: str) -> tuple[Seen, int]:
    """What became of the mutants, and by how many kB the process grew."""
    memory_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seen = run(TARGETS[name], MUTANTS, seed=2024, schemas_every=10)
    return seen, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory_before


@pytest.mark.parametrize("name", TARGETS)
def test_no_damage_gets_past_refused(name: str) -> None:
    # Libraries in C read here, as in a reader's process: what one of them breaks must not break other tests.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        seen, growth_kb = process.submit(in_a_process_of_its_own, name).result()
    target = TARGETS[name]
    assert set(seen.outcomes) <= target.may | {"recording"}, seen
    assert target.must <= set(seen.outcomes), seen
    assert seen.slowest_s < 5.0
    assert growth_kb < 400_000


def test_an_hdf5_bomb_is_refused_in_bounded_memory() -> None:
    bomb = zip_bomb(3600)
    assert len(bomb) < 200_000
    memory_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    try:
        with pytest.raises(Refused, match="unpacks to more") as caught:
            read_matlab73(LandedFile("bomb.mat", data=bomb), EcgConfig())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.error_class == "unreadable"
    assert peak < 10_000_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory_before < 50_000


def test_a_piece_that_says_it_is_huge_takes_no_memory() -> None:
    data = matlab73(COUNTS, chunks=(3600, 1), compression="gzip")
    with h5py.File(io.BytesIO(data)) as content:
        stored = content["val"].id.get_chunk_info(0).size
    refused = 0
    at = data.find(stored.to_bytes(4, "little"), 512)
    while at >= 0:
        huge = data[:at] + (0xFFFFFFF0).to_bytes(4, "little") + data[at + 4 :]
        with pytest.raises(Refused) as caught:
            read_matlab73(LandedFile("huge.mat", data=huge), EcgConfig())
        refused += "4,294,967,280 bytes by its own account" in caught.value.message
        at = data.find(stored.to_bytes(4, "little"), at + 1)
    assert refused == 1
