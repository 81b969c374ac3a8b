"""Points of a grid by tile, in memory or in a file, so that a survey of any size is gridded a tile at a time."""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from pipeline_assets.bathymetry.grid.points import POINT, Reach, points_of, tiles_of
from pipeline_assets.bathymetry.soundings import Soundings
from pipeline_assets.bathymetry.surface import Grid

CHUNK = 200_000
"""Soundings that are sorted at once: what sorting holds in memory."""


class Tile:
    """A part of a grid: its first row and column, and how many."""

    def __init__(self, number: int, grid: Grid, size: int) -> None:
        across = -(-grid.columns // size)
        self.number = number
        self.row, self.column = number // across * size, number % across * size
        self.rows, self.columns = min(size, grid.rows - self.row), min(size, grid.columns - self.column)

    @property
    def part(self) -> tuple[slice, slice]:
        """Where it lies in arrays of the grid."""
        return slice(self.row, self.row + self.rows), slice(self.column, self.column + self.columns)


class TiledPoints:
    """Points by tile, each tile's in the order of acquisition. A context manager: its file, if any, ends with it.

    threads: that sort at once. folder: where the points wait in a file, 32 bytes each; None: in memory.
    """

    def __init__(self, grid: Grid, size: int, reach: Reach, threads: int, folder: Path | None = None) -> None:
        self._threads, self._pool = threads, ThreadPoolExecutor(threads)
        self._grid, self._size, self._reach = grid, size, reach
        self._down, self._across = -(-grid.rows // size), -(-grid.columns // size)
        self._runs: dict[int, list[tuple[int, int]]] = {}
        self._parts: dict[int, list[np.ndarray[Any, Any]]] = {}
        self._file = tempfile.TemporaryFile(dir=folder, prefix="points-") if folder is not None else None  # noqa: SIM115
        self._bytes = 0

    def __enter__(self) -> TiledPoints:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown()
        if self._file is not None:
            self._file.close()

    def add(self, soundings: Soundings) -> None:
        # One more than there are threads, so that none waits for what is kept here.
        waiting: deque[Future[Any]] = deque()
        for begin in range(0, len(soundings.x), CHUNK):
            waiting.append(self._pool.submit(self._sorted, soundings, begin))
            if len(waiting) > self._threads:
                self._keep(*waiting.popleft().result())
        while waiting:
            self._keep(*waiting.popleft().result())

    def _sorted(self, soundings: Soundings, begin: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        part, grid = slice(begin, begin + CHUNK), self._grid
        points = np.empty(len(soundings.x[part]), POINT)
        columns = (soundings.x, soundings.y, soundings.depth, soundings.tvu, soundings.thu, soundings.accepted)
        count = points_of(*(one[part] for one in columns), self._reach, points)
        made: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]] = tiles_of(
            points[:count], grid.west, grid.north, grid.cell, self._size, self._down, self._across
        )
        return made

    def _keep(self, by_tile: np.ndarray[Any, Any], starts: np.ndarray[Any, Any]) -> None:
        held = np.flatnonzero(np.diff(starts))
        for tile in held.tolist():
            begin, end = int(starts[tile]), int(starts[tile + 1])
            if self._file is None:
                self._parts.setdefault(tile, []).append(by_tile[begin:end])
            else:
                self._runs.setdefault(tile, []).append((self._bytes + begin * POINT.itemsize, end - begin))
        if self._file is not None:
            self._file.write(by_tile.view(np.uint8).data)
            self._bytes += by_tile.nbytes

    def tiles(self) -> Iterator[Tile]:
        """The tiles that have points."""
        if self._file is not None:
            self._file.flush()
        for number in sorted(self._parts if self._file is None else self._runs):
            yield Tile(number, self._grid, self._size)

    def points(self, tile: Tile) -> list[np.ndarray[Any, Any]]:
        """A tile's points, in parts that follow each other; may be asked for by many threads at once."""
        if self._file is None:
            return self._parts[tile.number]
        runs = self._runs[tile.number]
        points = np.empty(sum(count for _, count in runs), POINT)
        at = 0
        for offset, count in runs:
            _read(self._file.fileno(), points[at : at + count].view(np.uint8).data, offset)
            at += count
        return [points]


def _read(file: int, into: memoryview, offset: int) -> None:
    while into:
        got = os.preadv(file, [into], offset)
        if got == 0:
            raise OSError("the file of points ended early; was the disk full?")
        into, offset = into[got:], offset + got
