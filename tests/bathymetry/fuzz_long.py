"""Many more damaged files than the tests take: ``python -m tests.bathymetry.fuzz_long [MUTANTS [SEED]]``."""

from __future__ import annotations

import sys

from tests.bathymetry.fuzz import MAY, run, targets


def main(mutants: int = 20_000, seed: int = 1) -> int:
    """The number of readers that gave something else than they may."""
    wrong = 0
    for name, target in targets().items():
        outcomes = run(target, mutants, seed, schemas_every=20).outcomes
        strange = sorted(set(outcomes) - MAY)
        wrong += bool(strange)
        print(name, dict(outcomes.most_common()), f"not expected: {strange}" if strange else "", flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:3])))
