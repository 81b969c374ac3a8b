"""The long fuzz run: `python -m tests.ocean.fuzz_long --mutants 10000`. Each kind of file in a process of its own, so that a
crash, a hang or hunger for memory is seen as such. Ends with 1 when anything but rows or a refusal came out."""

from __future__ import annotations

import argparse
import faulthandler
import json
import resource
import subprocess
import sys
import time

from tests.ocean.fuzz import MAY, run, targets

SLICE = 250
SLICE_SECONDS = 600
MEMORY_BYTES = 4_000_000_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=10_000, help="for each kind of file")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", help="this one only")
    parser.add_argument("--here", action="store_true", help="in this process; needs --kind")
    options = parser.parse_args()
    if options.here:
        return fuzz(options.kind, options.mutants, options.seed)
    arguments = ["--here", "--mutants", str(options.mutants), "--seed", str(options.seed)]
    codes = {
        name: subprocess.run([sys.executable, "-m", "tests.ocean.fuzz_long", "--kind", name, *arguments]).returncode
        for name in ([options.kind] if options.kind else targets())
    }
    for name, code in codes.items():
        if code:
            print(f"{name}: ended with {code}")
    return int(any(codes.values()))


def fuzz(name: str, mutants: int, seed: int) -> int:
    """One kind, in slices with seeds of their own: --seed and --mutants of a failing slice repeat it."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    target = targets()[name]
    totals: dict[str, int] = {}
    slowest, begun = 0.0, time.monotonic()
    for at in range(0, mutants, SLICE):
        faulthandler.dump_traceback_later(SLICE_SECONDS, exit=True)
        slice_seed = seed * 1_000_003 + at
        try:
            seen = run(target, min(SLICE, mutants - at), slice_seed, schemas_every=5)
        except BaseException:
            print(f"{name}: slice with seed {slice_seed} raised", file=sys.stderr)
            raise
        for outcome, count in seen.outcomes.items():
            totals[outcome] = totals.get(outcome, 0) + count
        slowest = max(slowest, seen.slowest_s)
    faulthandler.cancel_dump_traceback_later()
    unexpected = set(totals) - MAY
    print(json.dumps({
        "kind": name, "mutants": sum(totals.values()), "seconds": round(time.monotonic() - begun, 1),
        "slowest_s": round(slowest, 3), "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "unexpected": sorted(unexpected), "outcomes": dict(sorted(totals.items(), key=lambda item: -item[1])),
    }), flush=True)  # fmt: skip
    return int(bool(unexpected))


if __name__ == "__main__":
    sys.exit(main())
