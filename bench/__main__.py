"""Runs the benchmarks and prints their table."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench import bucket, ecg, gridding, health, intake, latency, ocean, planning, rates, rates_api, scale, small_files
from bench.measure import Row, say

_Made = Row | list[Row]
BENCHES: dict[str, tuple[Callable[[Path], _Made], Callable[[Path], _Made]]] = {
    "small_files": (lambda at: small_files.compare(at, 10_000, 30), lambda at: small_files.compare(at, 50, 1)),
    "ecg": (lambda at: ecg.compare(at, 10_000, 3), lambda at: ecg.compare(at, 20, 1)),
    "latency": (lambda at: latency.measure(at, 20), lambda at: latency.measure(at, 1, (0.0, 0.1))),
    "planning": (lambda at: planning.compare(at, 1000, 1_000_000, 50), lambda at: planning.compare(at, 10, 2000, 2)),
    "bucket": (lambda at: bucket.compare(at, 500), lambda at: bucket.compare(at, 10)),
    "health": (lambda at: health.compare(at, 2000, 1000, 3), lambda at: health.compare(at, 20, 5, 1)),
    "rates": (
        lambda at: rates.compare(at, {50_000: 5, 5_000_000: 1}),
        lambda at: rates.compare(at, {2_000: 1}),
    ),
    "scale": (
        lambda at: [*scale.compare(at, (1000, 10), (1_000_000, 10_000), 9), *intake.measure(at, 5000, 200_000, 50_000)],
        lambda at: [*scale.compare(at, (100, 10), (400, 20), 1), *intake.measure(at, 40, 2000, 50)],
    ),
    "ocean": (lambda at: ocean.compare(at, 120, 3), lambda at: ocean.compare(at, 3, 1)),
    "rates_api": (
        lambda at: rates_api.compare(at, 53_000, 4.0, 3, 500_000),
        lambda at: rates_api.compare(at, 3_000, 0.2, 1, 3_000),
    ),
    "gridding": (
        lambda _: gridding.compare(1000, 400, (10, 50)),
        lambda _: gridding.compare(80, 40, (1, 2)),
    ),
    "memory": (lambda at: ecg.memory(at, 1000, 10_000), lambda at: ecg.memory(at, 10, 20)),
}
"""Each benchmark in its full size and in one that only shows that it runs."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"only these of: {', '.join(BENCHES)}")
    parser.add_argument(
        "--quick", action="store_true", help="a few files each: shows that they run; the times mean nothing"
    )
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - set(BENCHES)):
        parser.error(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    if sys.platform != "linux":
        parser.error("the benchmarks count the processes of a command from /proc, which only Linux has")
    names = options.names or list(BENCHES)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="strandline-bench-") as folder:
        for number, name in enumerate(names, start=1):
            say(f"[{number}/{len(names)}] {name}")
            place = Path(folder) / name
            place.mkdir()
            made = BENCHES[name][options.quick](place)
            rows += made if isinstance(made, list) else [made]
    print(table(rows))
    return 0


_MET = {True: "yes", False: "no", None: ""}


def table(rows: list[Row]) -> str:
    lines = ["| work | Strandline | peer | ratio | bar | met |", "|---|---|---|---|---|---|"]
    return "\n".join(
        lines + [f"| {r.work} | {r.ours} | {r.peer} | {r.ratio} | {r.bar} | {_MET[r.met]} |" for r in rows]
    )


if __name__ == "__main__":
    sys.exit(main())
