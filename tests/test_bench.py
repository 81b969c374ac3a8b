"""The benchmarks run. What they measure here means nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks find their processes in /proc")


def test_every_benchmark_runs_gives_its_rows() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench", "--quick"],
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
    assert [row.split("|")[1].split()[0] for row in rows] == [
        "50",
        "20",
        "upload",
        "a",
        "entering",
        "one",
        "2,000",
        "port",
        "region",
        "region",
        "region",
        "memory",
    ]
    assert all(row.count("|") == 7 for row in rows)


def test_an_unknown_benchmark_is_named() -> None:
    done = subprocess.run([sys.executable, "-m", "bench", "ekg"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert (
        "no benchmark is called ekg; there are small_files, ecg, latency, planning, bucket, rates, rates_api, memory"
        in done.stderr
    )


def test_a_command_that_fails_tells_its_last_words() -> None:
    from bench.measure import run

    with pytest.raises(RuntimeError, match="no_such_module"):
        run(["-m", "no_such_module"], {})
