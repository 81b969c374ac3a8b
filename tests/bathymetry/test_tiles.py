"""Equal soundings give equal bits, however they are cut into tiles, threads and pieces."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_assets.bathymetry.grid import tiles
from pipeline_assets.bathymetry.grid.config import CubeParameters, GridConfig, Method
from pipeline_assets.bathymetry.grid.engine import grid, grid_pieces
from pipeline_assets.bathymetry.soundings import Soundings
from pipeline_assets.bathymetry.surface import Surface
from tests.bathymetry.made_survey import SOUTH, WEST, made_survey, soundings

METHODS: tuple[Method, ...] = ("cube", "weighted_mean", "median", "shoalest", "mean")


def same(one: Surface, other: Surface) -> bool:
    return one.grid == other.grid and all(
        getattr(one, layer).tobytes() == getattr(other, layer).tobytes()
        for layer in ("depth", "uncertainty", "std_dev", "shoal", "density", "hypotheses")
    )


def cut(whole: Soundings, places: list[int]) -> list[Soundings]:
    """The soundings in pieces that begin at these places."""
    edges = [0, *sorted(places), len(whole.x)]
    arrays = [one.name for one in dataclasses.fields(whole) if isinstance(getattr(whole, one.name), np.ndarray)]
    return [
        dataclasses.replace(whole, **{name: getattr(whole, name)[a:b] for name in arrays})
        for a, b in itertools.pairwise(edges)
    ]


def scattered(seed: int, count: int, size_m: float) -> Soundings:
    """Soundings of many uncertainties, two depths, some on the lines of the grid, some rejected or not numbers."""
    rng = np.random.default_rng(seed)
    x, y = WEST + rng.random(count) * size_m, SOUTH + rng.random(count) * size_m
    on_lines = rng.random(count) < 0.2
    x[on_lines], y[on_lines] = np.round(x[on_lines]), np.round(y[on_lines])
    depth = rng.choice([20.0, 24.0], count, p=[0.8, 0.2]) + rng.normal(0, 0.2, count)
    depth[rng.random(count) < 0.02] = np.nan
    tvu, thu = rng.uniform(0.05, 1, count), rng.uniform(0, 5, count)
    tvu[rng.random(count) < 0.1] = np.nan
    return soundings(x, y, depth, tvu=tvu, thu=thu, accepted=rng.random(count) < 0.95)


@given(
    method=st.sampled_from(METHODS),
    seed=st.integers(0, 1000),
    count=st.integers(50, 3000),
    cell=st.sampled_from([0.5, 1.0, 1.7]),
    tile=st.integers(8, 40),
    threads=st.integers(1, 4),
    places=st.lists(st.integers(0, 50), max_size=3),
    in_file=st.booleans(),
    chunk=st.sampled_from([37, 1000]),
)
@settings(max_examples=60, deadline=None)
def test_tiles_threads_and_pieces_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, method: Method, seed: int, count: int, cell: float, tile: int,
    threads: int, places: list[int], in_file: bool, chunk: int,
) -> None:  # fmt: skip
    whole = scattered(seed, count, 40.0)
    # Deeper water and a low limit for the surroundings: soundings count across tiles, and hypotheses are chosen across them.
    cube = CubeParameters(capture_scale=0.3, density_strength_cutoff=0.5)
    untiled = GridConfig(method=method, cell_m=cell, cube=cube, tile_cells=4096, threads=1)
    expected = grid(whole, untiled)
    tiled = untiled.model_copy(update={"tile_cells": tile, "threads": threads})
    pieces = cut(whole, places)
    folder = tmp_path_factory.mktemp("points") if in_file else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "CHUNK", chunk)
        made = grid_pieces(lambda: pieces, tiled, folder)
    assert same(expected, made)
    if folder is not None:
        assert not list(folder.iterdir())


def test_a_survey_of_many_tiles_by_two_threads(tmp_path: Path) -> None:
    whole = made_survey(160, seed=3)
    expected = grid(whole, GridConfig(tile_cells=4096, threads=1))
    assert np.isfinite(expected.depth).mean() > 0.99
    for _ in range(3):
        assert same(expected, grid_pieces(lambda: [whole], GridConfig(tile_cells=32, threads=2), tmp_path))


def test_a_full_disk_is_no_wrong_surface(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = made_survey(40, seed=3)

    def cut_short(file: int, buffers: list[memoryview], offset: int) -> int:
        return 0

    monkeypatch.setattr(tiles.os, "preadv", cut_short)
    with pytest.raises(OSError, match="ended early"):
        grid_pieces(lambda: [whole], GridConfig(), tmp_path)
