"""Damaged files: whatever the damage, only rows that keep their schemas or `Refused` may come out."""

from __future__ import annotations

import resource

import pytest

from tests.ocean.fuzz import MAY, run, targets

MUTANTS = 60
TARGETS = targets()


@pytest.mark.parametrize("name", TARGETS)
def test_no_damage_gets_past_refused(name: str) -> None:
    target = TARGETS[name]
    memory_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seen = run(target, MUTANTS, seed=2024, schemas_every=10)
    assert set(seen.outcomes) <= MAY, seen
    assert target.must <= set(seen.outcomes), seen
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory_before < 300_000
