"""One piece of the gridding benchmark in a process of its own; prints what it took as JSON.

``gridding_work.py WHAT SIZE``: a square of so many metres, ten soundings a square metre, cells of 1 m; of ``memory``, so many
lines. Making the soundings,
imports and compiling do not count.
"""

from __future__ import annotations

import importlib.util
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pipeline_assets.bathymetry.soundings import Soundings

LINE_M, BEAMS = 40, 400
MEMORY_LINE_M = 1000
REPEATS = 3

Answer = Callable[[], list[float]]
"""Cells filled and their mean depth, found after the time is taken."""


class Missing(Exception):
    """A peer that is not installed here."""


def line(number: int, metres: int) -> Soundings:
    """One line of the survey: a ping a metre, 400 beams over 40 m; noise 0.105 m of depth, 0.05 % fliers of 3 to 10 m."""
    rng = np.random.default_rng(number)
    ping, beam = (one.ravel() for one in np.indices((metres, BEAMS)))
    count = len(ping)
    x = number * LINE_M + (beam + rng.random(count)) * LINE_M / BEAMS
    y = (ping if number % 2 == 0 else metres - 1 - ping) + rng.random(count)
    depth = 25 + 2 * np.sin(x / 60) + 1.5 * np.cos(y / 45) + rng.normal(0, 0.105, count)
    flier = rng.random(count) < 0.0005
    depth[flier] += rng.uniform(3, 10, count)[flier] * rng.choice([-1, 1], count)[flier]
    return Soundings(
        x=x, y=y, depth=depth, tvu=np.full(count, 1.96 * 0.105), thu=np.full(count, 0.5), accepted=np.ones(count, bool),
        line=np.full(count, number, np.int32), ping=ping, beam=beam.astype(np.int32), crs="EPSG:32755", vertical_datum="LAT",
        lines=(),
    )  # fmt: skip


def survey(metres: int) -> Soundings:
    """All lines at once, in memory."""
    every = [line(number, metres) for number in range(metres // LINE_M)]
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(one, name) for one in every])
        for name in ("x", "y", "depth", "tvu", "thu", "accepted", "line", "ping", "beam")
    }
    return Soundings(**joined, crs="EPSG:32755", vertical_datum="LAT", lines=())


def gridded(method: str, threads: int) -> Callable[[int], Callable[[], Answer]]:
    def prepared(metres: int) -> Callable[[], Answer]:
        from pipeline_assets.bathymetry.grid.config import GridConfig
        from pipeline_assets.bathymetry.grid.engine import grid

        config = GridConfig(method=method, threads=threads)  # type: ignore[arg-type]
        grid(line(0, 10), config)
        made = survey(metres)

        def go() -> Answer:
            surface = grid(made, config)
            return lambda: [float(np.isfinite(surface.depth).sum()), float(np.nanmean(surface.depth, dtype=np.float64))]

        return go

    return prepared


def bincount(metres: int) -> Callable[[], Answer]:
    made = survey(metres)

    def go() -> Answer:
        cells = made.y.astype(np.int64) * metres + made.x.astype(np.int64)
        n = np.bincount(cells, minlength=metres * metres)
        total = np.bincount(cells, made.depth, minlength=metres * metres)
        squares = np.bincount(cells, made.depth * made.depth, minlength=metres * metres)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = total / n
            np.sqrt(np.maximum(squares - n * mean * mean, 0) / (n - 1))
        return lambda: [float((n > 0).sum()), float(np.nanmean(mean))]

    return go


def duckdb(metres: int) -> Callable[[], Answer]:
    import duckdb as database
    import pyarrow as pa

    made = survey(metres)
    connection = database.connect()
    connection.execute("SET threads = 1")
    connection.register("soundings", pa.table({"x": made.x, "y": made.y, "z": made.depth}))

    def go() -> Answer:
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE cells AS SELECT floor(y)::INT AS r, floor(x)::INT AS c, count(*) AS n, avg(z) AS mean, "
            "stddev(z) AS deviation, min(z) AS shoal FROM soundings GROUP BY r, c"
        )
        return lambda: [
            float(one[0])
            for one in connection.execute("SELECT count(*) FROM cells UNION ALL SELECT avg(mean) FROM cells").fetchall()
        ]

    return go


def polars(metres: int) -> Callable[[], Answer]:
    _installed("polars")
    import polars as pl

    made = survey(metres)
    frame = pl.DataFrame({"x": made.x, "y": made.y, "z": made.depth})

    def go() -> Answer:
        z = pl.col("z")
        cells = (
            frame.lazy()
            .group_by(pl.col("y").floor().cast(pl.Int32), pl.col("x").floor().cast(pl.Int32))
            .agg(z.len().alias("n"), z.mean().alias("mean"), z.std().alias("deviation"), z.min().alias("shoal"))
            .collect()
        )
        return lambda: [float(cells.height), float(cells["mean"].mean())]  # type: ignore[arg-type]

    return go


def datashader(metres: int) -> Callable[[], Answer]:
    _installed("datashader")
    import datashader as ds
    import pandas as pd

    made = survey(metres)
    frame = pd.DataFrame({"x": made.x, "y": made.y, "z": made.depth})
    canvas = ds.Canvas(metres, metres, (0, metres), (0, metres))
    wanted = ds.summary(n=ds.count("z"), mean=ds.mean("z"), deviation=ds.std("z"), shoal=ds.min("z"))
    canvas.points(frame[:1000], "x", "y", wanted)

    def go() -> Answer:
        cells = canvas.points(frame, "x", "y", wanted)
        return lambda: [float((cells["n"] > 0).sum()), float(np.nanmean(cells["mean"]))]

    return go


def gmt(metres: int) -> Callable[[], Answer]:
    if shutil.which("gmt") is None:
        raise Missing("GMT")
    made = survey(metres)
    folder = Path(tempfile.mkdtemp(prefix="gridding-"))
    path = folder / "points.bin"
    np.stack([made.x, made.y, made.depth], axis=1).tofile(path)

    def go() -> Answer:
        command = ["gmt", "blockmean", str(path), "-bi3d", "-bo6d", "-E", "-C", "-r", "-I1", f"-R0/{metres}/0/{metres}"]
        # It leaves its gmt.history in the folder that it runs in.
        done = subprocess.run(command, check=True, capture_output=True, cwd=folder)
        cells = np.frombuffer(done.stdout).reshape(-1, 6)
        return lambda: [float(len(cells)), float(cells[:, 2].mean())]

    return go


def plain_cube(metres: int) -> Callable[[], Answer]:
    from bench.plain_cube import cube

    def called(one: Soundings, size: int) -> Any:
        return cube(one.x, one.y, one.depth, one.tvu, one.thu, 0.0, float(size), size, size)

    called(line(0, 10), 40)
    made = survey(metres)

    def go() -> Answer:
        depth, _ = called(made, metres)
        return lambda: [float(np.isfinite(depth).sum()), float(np.nanmean(depth))]

    return go


WORKS: dict[str, Callable[[int], Callable[[], Answer]]] = {
    "mean": gridded("mean", 1),
    "numpy bincount": bincount,
    "DuckDB": duckdb,
    "polars": polars,
    "datashader": datashader,
    "GMT blockmean": gmt,
    "cube": gridded("cube", 1),
    "cube by two threads": gridded("cube", 2),
    "plain CUBE": plain_cube,
}
MEANS = ("numpy bincount", "DuckDB", "polars", "datashader", "GMT blockmean")


def memory(lines: int) -> float:
    """Greatest memory of gridding so many lines of 1,000 m by CUBE, line by line, points in a file, MiB; beyond the surface and
    what the process had before."""
    from pipeline_assets.bathymetry.grid.config import GridConfig
    from pipeline_assets.bathymetry.grid.engine import grid_pieces

    def pieces(count: int) -> Callable[[], Iterator[Soundings]]:
        return lambda: (line(number, MEMORY_LINE_M) for number in range(count))

    # The compiler's own memory does not count.
    grid_pieces(lambda: [line(0, 10)], GridConfig())
    before = _peak()
    with tempfile.TemporaryDirectory() as folder:
        surface = grid_pieces(pieces(lines), GridConfig(), Path(folder))
    return _peak() - before - surface.depth.size * 32 / 2**20


def _installed(name: str) -> None:
    if importlib.util.find_spec(name) is None:
        raise Missing(name)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _processor() -> float:
    used = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def main(what: str, size: int) -> dict[str, Any]:
    if what == "memory":
        return {"memory": memory(size)}
    try:
        go = WORKS[what](size)
    except Missing as missing:
        return {"missing": str(missing)}
    best, answer = None, None
    for _ in range(1 if what == "plain CUBE" else REPEATS):
        before, alone, started = _processor(), time.thread_time(), time.perf_counter()
        answer = go()
        took = {
            "wall": time.perf_counter() - started,
            "cpu": _processor() - before,
            "alone": time.thread_time() - alone,
        }
        best = took if best is None else {name: min(best[name], took[name]) for name in took}
    assert best is not None
    assert answer is not None
    return {**best, "answer": answer()}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]))))
