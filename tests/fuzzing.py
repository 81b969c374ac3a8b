"""What the readers' fuzz tests share, and their long run: `python -m tests.fuzzing ecg --mutants 10000`.

The long run takes each kind of file in a process of its own, so that a crash, a hang or hunger for memory is seen as such,
and ends with 1 when anything but rows or a refusal that the reader may give came out. A source takes part with
``tests/<source>/fuzz.py``: `targets`, `run` and `may`.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib
import json
import resource
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

SOURCES = ("ecg", "ocean", "bathymetry")
SLICE = 250
SLICE_SECONDS = 600
MEMORY_BYTES = 4_000_000_000


@dataclass
class Seen:
    """What came of the damaged files of one kind."""

    outcomes: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0


def mutated(data: bytes, donor: bytes, rng: np.random.Generator) -> bytes:
    """The bytes with one kind of damage; half of it hits the begin or the end, where directories are."""
    body, size = bytearray(data), len(data)
    first, reach = [(0, size), (0, min(600, size)), (max(0, size - 600), size)][int(rng.choice([0, 1, 2]))]
    match rng.integers(6):
        case 0:
            for _ in range(rng.integers(1, 4)):
                body[rng.integers(first, reach)] ^= 1 << int(rng.integers(8))
        case 1:
            at = int(rng.integers(first, max(first + 1, reach - 4)))
            value = int(rng.choice([0, 1, 255, 65_535, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]))
            body[at : at + 4] = value.to_bytes(4, "big" if rng.random() < 0.5 else "little")
        case 2:
            del body[int(rng.integers(size)) :]
        case 3:
            at = int(rng.integers(first, reach))
            body[at : at + int(rng.integers(1, 64))] = donor[at : at + int(rng.integers(1, 64))]
        case 4:
            at = int(rng.integers(first, reach))
            body[at:at] = rng.bytes(int(rng.integers(1, 32)))
        case _:
            body[int(rng.integers(first, reach))] = int(rng.integers(256))
    return bytes(body)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", choices=SOURCES)
    parser.add_argument("--mutants", type=int, default=10_000, help="for each kind of file")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", help="this one only")
    parser.add_argument("--here", action="store_true", help="in this process; needs --kind")
    options = parser.parse_args()
    module = importlib.import_module(f"tests.{options.source}.fuzz")
    if options.here:
        return fuzz(module, options.kind, options.mutants, options.seed)
    arguments = ["--here", "--mutants", str(options.mutants), "--seed", str(options.seed)]
    command = [sys.executable, "-m", "tests.fuzzing", options.source, *arguments]
    kinds = [options.kind] if options.kind else list(module.targets())
    codes = {kind: subprocess.run([*command, "--kind", kind]).returncode for kind in kinds}
    for kind, code in codes.items():
        if code:
            print(f"{kind}: ended with {code}")
    return int(any(codes.values()))


def fuzz(module: Any, kind: str, mutants: int, seed: int) -> int:
    """One kind, in slices with seeds of their own: --seed and --mutants of a failing slice repeat it."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    target = module.targets()[kind]
    totals: Counter[str] = Counter()
    slowest, begun = 0.0, time.monotonic()
    for at in range(0, mutants, SLICE):
        faulthandler.dump_traceback_later(SLICE_SECONDS, exit=True)
        slice_seed = seed * 1_000_003 + at
        try:
            seen: Seen = module.run(target, min(SLICE, mutants - at), slice_seed, schemas_every=5)
        except BaseException:
            print(f"{kind}: slice with seed {slice_seed} raised", file=sys.stderr)
            raise
        totals += seen.outcomes
        slowest = max(slowest, seen.slowest_s)
    faulthandler.cancel_dump_traceback_later()
    unexpected = set(totals) - module.may(target)
    print(json.dumps({
        "kind": kind, "mutants": sum(totals.values()), "seconds": round(time.monotonic() - begun, 1),
        "slowest_s": round(slowest, 3), "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "unexpected": sorted(unexpected), "outcomes": dict(totals.most_common()),
    }), flush=True)  # fmt: skip
    return int(bool(unexpected))


if __name__ == "__main__":
    sys.exit(main())
