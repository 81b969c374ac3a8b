"""Damaged files: whatever the damage, only a valid recording or `Refused` may come out."""

from __future__ import annotations

import resource
import tracemalloc

import pytest

from pipeline_assets.ecg.config import EcgConfig
from pipeline_assets.ecg.read import read_matlab73
from pipeline_assets.landed_file import LandedFile, Refused
from tests.ecg.fuzz import run, targets, zip_bomb

MUTANTS = 500
TARGETS = targets()


@pytest.mark.parametrize("name", TARGETS)
def test_no_damage_gets_past_refused(name: str) -> None:
    target = TARGETS[name]
    memory_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seen = run(target, MUTANTS, seed=2024, schemas_every=10)
    assert set(seen.outcomes) <= target.may | {"recording"}, seen
    assert target.must <= set(seen.outcomes), seen
    assert seen.slowest_s < 5.0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory_before < 300_000


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
