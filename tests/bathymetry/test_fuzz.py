"""Damaged files: whatever the damage, only rows that keep their schemas or `Refused` may come out."""

from __future__ import annotations

import resource
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tests.bathymetry.fuzz import MAY, run, targets
from tests.fuzzing import Seen

MUTANTS = 150
TARGETS = ("gsf", "kmall", "all", "las", "laz", "parquet", "text", "declaration")


def in_a_process_of_its_own(name: str) -> tuple[Seen, int]:
    """What became of the mutants, and by how many kB the process grew."""
    target = targets()[name]
    run(target, 5, seed=1)
    memory_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seen = run(target, MUTANTS, seed=2024, schemas_every=10)
    return seen, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory_before


@pytest.mark.parametrize("name", TARGETS)
def test_no_damage_gets_past_refused(name: str) -> None:
    # Libraries in C and Rust read here, as in a reader's process: what one of them breaks must not break other tests.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        seen, growth_kb = process.submit(in_a_process_of_its_own, name).result()
    assert set(seen.outcomes) <= MAY, seen
    assert targets()[name].must <= set(seen.outcomes), seen
    assert growth_kb < 400_000
