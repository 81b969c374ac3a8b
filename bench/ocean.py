"""A CTD zip of a cruise against the official reader: reading it, and a batch of it from its start to its commit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.measure import ROOT, Row, own_environment, say
from pipeline_assets.ocean.examples import ctd_zip, made_station

_REAL = "33RR20160321_ct1.zip"
_READ_BAR, _BATCH_BAR, _SECONDS_BAR = 20, 12, 2.0


@dataclass(frozen=True)
class _Took:
    wall: float
    cpu: float
    rows: int


def compare(folder: Path, stations: int, repeats: int) -> list[Row]:
    """Ours and theirs by turns on one file; the pair of the median ratio. stations: of the generated cruise, which stands
    for the real one (STRANDLINE_TEST_DATA) where that is not there."""
    path = _file(folder, stations)
    reads: list[tuple[float, _Took, _Took]] = []
    batches: list[tuple[float, _Took, _Took]] = []
    for number in range(repeats):
        theirs = _run("official", path, folder)
        ours = _run("read", path, folder)
        place = folder / str(number)
        place.mkdir()
        batch = _run("batch", path, place)
        if not ours.rows == theirs.rows == batch.rows:
            raise RuntimeError(
                f"{path.name}: {ours.rows} observations by us, {theirs.rows} by them, {batch.rows} committed"
            )
        say(
            f"  {number + 1}/{repeats}: official {theirs.wall:.1f} s ({theirs.cpu:.1f} of processor), reading {ours.wall:.2f} s "
            f"({ours.cpu:.2f}), batch {batch.wall:.2f} s ({batch.cpu:.2f})"
        )
        reads.append((theirs.wall / ours.wall, ours, theirs))
        batches.append((theirs.wall / batch.wall, batch, theirs))
    return [
        _row("reading", "reading", sorted(reads, key=lambda one: one[0])[len(reads) // 2], _READ_BAR, _SECONDS_BAR),
        _row(
            "a batch of",
            "batch start → committed, quality tests, six tables; process start, and the picture drawn afterwards, excluded",
            sorted(batches, key=lambda one: one[0])[len(batches) // 2], _BATCH_BAR, None,
        ),
    ]  # fmt: skip


def _row(begin: str, what: str, pair: tuple[float, _Took, _Took], bar: int, seconds: float | None) -> Row:
    ratio, ours, theirs = pair
    return Row(
        f"{begin} a CTD zip of {ours.rows:,} observations ({what})",
        f"{ours.wall:.2f} s ({ours.cpu:.2f} s of processor)",
        f"cchdo.hydro reads it in {theirs.wall:.1f} s ({theirs.cpu:.1f} s)",
        f"{ratio:.1f} × faster ({theirs.cpu / ours.cpu:.1f} × in processor)",
        f"≥ {bar} ×" + (f", < {seconds:g} s" if seconds else ""),
        ratio >= bar and (seconds is None or ours.wall < seconds),
    )


def _file(folder: Path, stations: int) -> Path:
    real = Path(os.environ.get("STRANDLINE_TEST_DATA", "")) / "ocean" / _REAL
    if stations > 10 and real.is_file():
        return real
    say(f"  writing a cruise of {stations} stations")
    rng = np.random.default_rng(1)
    path = folder / "made_up_ct1.zip"
    path.write_bytes(
        ctd_zip([made_station(1 + number % 40, 40, rng, station=number + 1) for number in range(stations)])
    )
    return path


def _run(what: str, path: Path, folder: Path) -> _Took:
    done = subprocess.run(
        [sys.executable, "-m", "bench.ocean_work", what, str(path), str(folder)],
        cwd=ROOT, env=own_environment(), capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{what} of {path.name} ended with {done.returncode}:\n{done.stderr[-4000:]}")
    return _Took(**json.loads(done.stdout.strip().splitlines()[-1]))
