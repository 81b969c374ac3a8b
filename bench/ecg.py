"""ECG fragments, landed to committed, against a bare script; and memory against the number of files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from bench.measure import Cost, Row, run, say
from pipeline_assets.ecg.examples import write_examples

_WORKERS = os.cpu_count() or 1
_MOST_OVER_BARE = 1.3
_MOST_GROWTH = 1.25


def compare(folder: Path, files: int, repeats: int) -> Row:
    """Run the bare script and `strandline drain` alternately on the same recordings; the pair of the median ratio."""
    landing = _write(folder, files)
    pairs: list[tuple[float, Cost, Cost]] = []
    for number in range(repeats):
        output = folder / f"bare{number}"
        bare = run(["-m", "bench.bare_ecg", str(landing / "ecg"), str(output), str(_WORKERS)], {})
        shutil.rmtree(output)
        ours = _drain(folder, landing)
        say(f"  {number + 1}/{repeats}: bare {bare.wall:.1f} s ({bare.cpu:.1f} of processor), platform {ours.wall:.1f} s "
            f"({ours.cpu:.1f}), ratio {ours.wall / bare.wall:.2f} ({ours.cpu / bare.cpu:.2f})")  # fmt: skip
        pairs.append((ours.wall / bare.wall, ours, bare))
    ratio, ours, bare = sorted(pairs, key=lambda pair: pair[0])[len(pairs) // 2]
    return Row(
        f"{files:,} ECG fragments, all checks, landed → committed (`strandline drain`, its start included)",
        f"{ours.wall:.1f} s ({ours.cpu:.1f} s of processor)",
        f"bare script, same reading, checks, Parquet, {_WORKERS} workers: {bare.wall:.1f} s ({bare.cpu:.1f} s)",
        f"{ratio:.2f} × ({ours.cpu / bare.cpu:.2f} ×)",
        f"≤ {_MOST_OVER_BARE} ×",
        ratio <= _MOST_OVER_BARE,
    )


def memory(folder: Path, few: int, many: int) -> Row:
    """The peak of all processes of a drain, with few files and with many."""
    peaks = []
    for files in (few, many):
        cost = _drain(folder, _write(folder / str(files), files), with_memory=True)
        say(f"  {files:,} files: peak {cost.peak_mib:.0f} MiB")
        peaks.append(cost.peak_mib)
    ratio = peaks[1] / peaks[0]
    return Row(
        f"memory of all processes of a drain of {many:,} ECG fragments, peak (PSS)",
        f"{peaks[1]:.0f} MiB",
        f"the same with {few:,}: {peaks[0]:.0f} MiB",
        f"{ratio:.2f} ×",
        f"≤ {_MOST_GROWTH} ×",
        ratio <= _MOST_GROWTH,
    )


def _write(folder: Path, files: int) -> Path:
    say(f"  writing {files:,} recordings")
    landing = folder / "landing"
    write_examples(landing / "ecg", good=files, broken=False, seed=1)
    return landing


def _drain(folder: Path, landing: Path, *, with_memory: bool = False) -> Cost:
    home = folder / "home"
    environment = {
        "STRANDLINE_HOME": str(home),
        "STRANDLINE_LANDING": str(landing),
        "STRANDLINE_WORKERS": str(_WORKERS),
    }
    cost = run(["-m", "cli.main", "drain"], environment, with_memory=with_memory)
    shutil.rmtree(home)
    return cost
