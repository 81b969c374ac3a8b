"""ECG fragments, landed to committed, against a bare script; and memory against the number of files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from bench.measure import Row, say, timed
from pipeline_assets.ecg.examples import write_examples

REPEATS = 3


def compare(folder: Path, files: int) -> list[Row]:
    """files: how many fragments. Takes about 6 s of one core for each 1,000 of them."""
    landing = folder / "landing"
    say(f"writing {files:,} recordings")
    write_examples(landing / "ecg", good=files, broken=False, seed=1)
    workers = os.cpu_count() or 1
    pairs = []
    for number in range(REPEATS):
        bare = timed(["-m", "bench.bare_ecg", str(landing / "ecg"), str(folder / f"bare{number}"), str(workers)], {})
        home = folder / f"home{number}"
        environment = {
            "STRANDLINE_HOME": str(home),
            "STRANDLINE_LANDING": str(landing),
            "STRANDLINE_WORKERS": str(workers),
        }
        ours = timed(["-m", "cli.main", "drain"], environment)
        say(f"  bare {bare:.1f} s, platform {ours:.1f} s, ratio {ours / bare:.2f}")
        pairs.append((ours / bare, ours, bare))
        shutil.rmtree(home)
        shutil.rmtree(folder / f"bare{number}")
    ratio, ours, bare = sorted(pairs)[len(pairs) // 2]
    return [
        Row(
            f"{files:,} ECG fragments, all checks, landed → committed (`strandline drain`, its start included)",
            f"{ours:.1f} s",
            f"bare script, same reading, checks, Parquet, {workers} workers: {bare:.1f} s",
            f"{ratio:.2f} ×",
            "≤ 1.3 ×",
        )
    ]
