"""Thousands of orders of events: `python -m tests.model.long --examples 5000`. In slices with seeds of their own: the seed
of a failing slice, with --examples of its size, repeats it. TMPDIR on a disk in memory makes it several times as fast."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
import warnings

from tests.model.machine import explain, seen
from tests.model.test_model import check

SLICE = 100


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=40, help="most events of an example")
    parser.add_argument("--minutes", type=float, default=1e9, help="end after the slice that exceeds this")
    parser.add_argument(
        "--as-found", action="store_true", help="print a failing example at once, without making it small"
    )
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    begun = time.monotonic()
    for number, at in enumerate(range(0, options.examples, SLICE)):
        if time.monotonic() - begun > 60 * options.minutes:
            break
        seed = options.seed + number
        try:
            check(min(SLICE, options.examples - at), seed, steps=options.steps, shrink=not options.as_found)
        except BaseException:
            print(f"the slice with --seed {seed} failed", file=sys.stderr)
            raise
        print(f"{seen['examples']} examples, {(time.monotonic() - begun) / 60:.1f} minutes", flush=True)
    print(json.dumps({"minutes": round((time.monotonic() - begun) / 60, 1), **explain(seen)}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
