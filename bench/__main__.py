"""Runs the benchmarks and prints their table."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from bench import ecg
from bench.measure import Row


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--files", type=int, default=10_000, help="ECG fragments (default 10,000)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="strandline-bench-") as folder:
        rows = ecg.compare(Path(folder) / "ecg", options.files)
    print(table(rows))


def table(rows: list[Row]) -> str:
    lines = ["| work | Strandline | peer | ratio | bar |", "|---|---|---|---|---|"]
    return "\n".join(lines + [f"| {row.work} | {row.ours} | {row.peer} | {row.ratio} | {row.bar} |" for row in rows])


if __name__ == "__main__":
    main()
