"""The benchmarks run. What they measure here means nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.__main__ import BENCHES

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks find their processes in /proc")


BEGINS = {
    "small_files": ["50 files"],
    "ecg": ["20 ECG"],
    "latency": ["upload →"],
    "planning": ["a tick", "entering 20"],
    "bucket": ["one reader"],
    "scale": [
        *["`strandline files"] * 7, *["`strandline explain`"] * 2, "`strandline status`,", "SQL over", "SQL over", "committing a",
        "`strandline reconcile`", "SQL over", "SQL over", "committing a", "SQL over", "SQL over", "40 notifications", "20 notifications",
        "keys of", "keys of",
    ],
    "ocean": ["reading a", "a batch"],
    "health": ["20 task", "500 rows"],
    "rates": ["2,000 prices:"],
    "rates_api": ["port to", "region to", "region to", "region to"],
    "gridding": ["64,000 soundings", *["CUBE of"] * 3, "memory of"],
    "memory": ["memory of"],
}  # fmt: skip
"""Of each benchmark, how its rows begin."""


@pytest.mark.parametrize("name", BENCHES)
def test_a_benchmark_runs_and_gives_its_rows(name: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench", "--quick", name],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "120"},
    )
    table, progress = process.communicate(timeout=280)
    assert process.returncode == 0, progress
    head, _, *rows = table.splitlines()
    assert head == "| work | Strandline | peer | ratio | bar | met |"
    assert [" ".join(row.split("|")[1].split()[:2]) for row in rows] == BEGINS[name]
    assert all(row.count("|") == 7 for row in rows)


def test_an_unknown_benchmark_is_named() -> None:
    done = subprocess.run([sys.executable, "-m", "bench", "ekg"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert f"no benchmark is called ekg; there are {', '.join(BENCHES)}" in done.stderr


def test_a_command_that_fails_tells_its_last_words() -> None:
    from bench.measure import run

    with pytest.raises(RuntimeError, match="no_such_module"):
        run(["-m", "no_such_module"], {})
