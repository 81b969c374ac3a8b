"""Gridding soundings: means against what people use for them, CUBE against a plain port of the published algorithm."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from typing import Any

from bench.gridding_work import BEAMS, LINE_M, MEANS, MEMORY_LINE_M
from bench.measure import ROOT, Row, own_environment, say

_TIMES_BAR, _RATE_BAR, _THREADS_BAR, _MEMORY_BAR = 10, 1.5, 1.6, 1.25


def compare(metres: int, plain_metres: int, memory_lines: tuple[int, int]) -> list[Row]:
    """metres: edge of the square that means and CUBE grid; the plain port grids a smaller one, and CUBE the same for it.
    memory_lines: of the surveys whose memory is compared."""
    rows = [_means(metres), *_cube(metres, plain_metres)]
    little, much = (max(1.0, _run("memory", lines)["memory"]) for lines in memory_lines)
    counts = [lines * MEMORY_LINE_M * BEAMS for lines in memory_lines]
    rows.append(
        Row(
            f"memory of CUBE of {counts[1]:,} soundings, line by line, points in a file; beyond the surface itself",
            f"{much:.0f} MiB",
            f"the same with {counts[0]:,}: {little:.0f} MiB",
            f"{much / little:.2f} ×",
            f"≤ {_MEMORY_BAR} ×",
            much / little <= _MEMORY_BAR,
        )
    )
    return rows


def _means(metres: int) -> Row:
    ours, peers, missing = _run("mean", metres), {}, []
    for name in MEANS:
        took = _run(name, metres)
        if "missing" in took:
            missing.append(took["missing"])
            continue
        if not all(math.isclose(a, b, rel_tol=1e-6) for a, b in zip(ours["answer"], took["answer"], strict=True)):
            raise RuntimeError(f"{name} made {took['answer']} of the soundings, and we {ours['answer']}")
        peers[name] = took
    count = _soundings(metres)
    ratio = min(took["cpu"] for took in peers.values()) / ours["cpu"]
    told = ", ".join(f"{name} {_rate(count, took)}" for name, took in peers.items())
    return Row(
        f"{count:,} soundings to cells of 1 m: number, mean, standard deviation, shoal; one core",
        _rate(count, ours),
        told + (f"; not installed: {', '.join(missing)}" if missing else ""),
        f"{ratio:.1f} × the fastest of them",
        "≥ 1 ×",
        ratio >= 1,
    )


def _cube(metres: int, plain_metres: int) -> list[Row]:
    one, two = _run("cube", metres), _run("cube by two threads", metres)
    small, plain = _run("cube", plain_metres), _run("plain CUBE", plain_metres)
    count, plain_count = _soundings(metres), _soundings(plain_metres)
    if one["answer"] != two["answer"]:
        raise RuntimeError(f"two threads made {two['answer']} of the soundings, and one {one['answer']}")
    # The plain port chooses by number of soundings alone, which differs where fliers are.
    if abs(plain["answer"][0] - small["answer"][0]) > 0 or abs(plain["answer"][1] - small["answer"][1]) > 0.01:
        raise RuntimeError(f"the plain port made {plain['answer']} of the soundings, and we {small['answer']}")
    rate, times, faster = count / one["cpu"] / 1e6, plain["cpu"] / small["cpu"], one["wall"] / two["wall"]
    # What no second thread can share is what the first does by itself.
    at_most = two["cpu"] / (two["alone"] + (two["cpu"] - two["alone"]) / 2)
    return [
        Row(
            f"CUBE of {count:,} soundings, cells of 1 m; one core",
            _rate(count, one),
            "the bar itself",
            "",
            f"≥ {_RATE_BAR} million a second",
            rate >= _RATE_BAR,
        ),
        Row(
            f"CUBE of {plain_count:,} soundings, cells of 1 m; one core",
            _rate(plain_count, small),
            f"plain numba port (`bench/plain_cube.py`): {_rate(plain_count, plain)}",
            f"{times:.0f} × faster",
            f"≥ {_TIMES_BAR} ×",
            times >= _TIMES_BAR,
        ),
        Row(
            f"CUBE of {count:,} soundings, wall time by two threads",
            f"{two['wall']:.1f} s",
            f"by one: {one['wall']:.1f} s",
            f"{faster:.2f} × faster; with two idle cores {at_most:.2f} × by processor time",
            f"≥ {_THREADS_BAR} ×",
            faster >= _THREADS_BAR,
        ),
    ]


def _soundings(metres: int) -> int:
    return metres // LINE_M * metres * BEAMS


def _rate(count: int, took: dict[str, Any]) -> str:
    return f"{count / took['cpu'] / 1e6:.2f} million/s"


def _run(what: str, size: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "bench.gridding_work", what, str(size)],
        cwd=ROOT, env=own_environment(), capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{what} {size} ended with {done.returncode}:\n{done.stderr[-4000:]}")
    took: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    say(f"  {what} {size}: {took}")
    return took
