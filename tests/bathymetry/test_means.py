"""Means, medians and shoalest depths against numpy, and against the grid of a real survey."""

from __future__ import annotations

import csv
import math
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline_assets.bathymetry.examples import declaration
from pipeline_assets.bathymetry.grid.config import GridConfig, Method
from pipeline_assets.bathymetry.grid.engine import grid, grid_pieces
from pipeline_assets.bathymetry.soundings import Soundings
from pipeline_assets.bathymetry.surface import Grid, Surface
from tests.bathymetry.conftest import read
from tests.bathymetry.made_survey import at_node, made_survey, soundings


def cells_of(survey: Soundings, one: Grid) -> NDArray[np.int64]:
    row = np.floor((one.north - survey.y) / one.cell).astype(np.int64)
    return row * one.columns + np.floor((survey.x - one.west) / one.cell).astype(np.int64)


@pytest.fixture(scope="module")
def survey() -> Soundings:
    return made_survey(80, seed=5)


@pytest.mark.parametrize("method", ["mean", "weighted_mean", "median", "shoalest"])
@pytest.mark.parametrize("cell", [1.0, 8.0])
def test_methods_against_numpy(survey: Soundings, method: Method, cell: float) -> None:
    rng = np.random.default_rng(1)
    tvu = rng.uniform(0.1, 0.6, len(survey.x))
    survey = soundings(survey.x, survey.y, survey.depth, tvu=tvu, accepted=survey.accepted)
    made = grid(survey, GridConfig(method=method, cell_m=cell))
    cells, keep = cells_of(survey, made.grid), survey.accepted
    depth, shoal, density, deviation, uncertainty = (made.depth.ravel(), made.shoal.ravel(), made.density.ravel(),
        made.std_dev.ravel(), made.uncertainty.ravel())  # fmt: skip
    for cell_number in rng.choice(depth.size, 50, replace=depth.size < 50):
        own = keep & (cells == cell_number)
        z, t = survey.depth[own], tvu[own]
        n = len(z)
        assert density[cell_number] == n
        if n == 0:
            assert np.isnan([depth[cell_number], shoal[cell_number], uncertainty[cell_number]]).all()
            continue
        expected, sure = {
            "mean": (z.mean(), math.sqrt((t**2).sum()) / n),
            "weighted_mean": ((z / t**2).sum() / (1 / t**2).sum(), 1 / math.sqrt((1 / t**2).sum())),
            "median": (np.median(z), math.sqrt((t**2).sum()) / n * (math.sqrt(math.pi / 2) if n > 2 else 1)),
            "shoalest": (z.min(), t[z.argmin()]),
        }[method]
        assert depth[cell_number] == pytest.approx(expected, rel=1e-6)
        assert uncertainty[cell_number] == pytest.approx(sure, rel=1e-5)
        assert shoal[cell_number] == np.float32(z.min())
        assert (
            np.isnan(deviation[cell_number])
            if n == 1
            else deviation[cell_number] == pytest.approx(z.std(ddof=1), rel=1e-4)
        )
    assert np.array_equal(made.hypotheses > 0, made.density > 0)
    assert made.method == method


@pytest.mark.parametrize("method", ["mean", "weighted_mean", "median", "shoalest"])
def test_an_unknown_uncertainty_is_what_the_order_allows(method: Method) -> None:
    for order, depth, allowed in (("special", 20.0, math.hypot(0.25, 0.15)), ("noaa", 200.0, math.hypot(1.0, 4.6))):
        made = grid(at_node([depth]), GridConfig(method=method, order=order))
        assert made.uncertainty[0, 0] == pytest.approx(allowed, rel=1e-6)


def test_small_differences_of_large_depths_are_kept() -> None:
    depths = 4000 + np.array([0.001, -0.001] * 50)
    made = grid(at_node(depths, tvu=1.0), GridConfig(method="mean"))
    assert made.depth[0, 0] == np.float32(4000)
    assert made.std_dev[0, 0] == pytest.approx(depths.std(ddof=1), rel=1e-6)


def test_a_real_survey_gives_the_known_grid() -> None:
    """Of a GSF file of deep water; the grid was computed with numpy and with GMT."""
    data = Path(os.environ.get("STRANDLINE_TEST_DATA", "")) / "bathymetry/golden"
    if not (data / "gsf_soundings_utm.csv").is_file():
        pytest.skip("the real survey is not there (STRANDLINE_TEST_DATA)")
    with open(data / "gsf_soundings_utm.csv") as file:
        rows = list(csv.DictReader(file))
    x, y, z = (np.array([float(row[name]) for row in rows]) for name in ("easting", "northing", "depth_m"))
    accepted = np.array([row["beam_flag"] == "0" for row in rows])
    survey = soundings(x, y, z, accepted=accepted, crs="EPSG:32658")
    # The known grid is around all soundings, those rejected, too.
    on = Grid(768_600.0, 966_200.0, 100.0, 50, 78, "EPSG:32658")
    made = grid_pieces(lambda: [survey], GridConfig(method="mean"), on=on)
    assert_known(made, data / "gsf_mean_100m.tif")


def test_the_real_file_gives_the_known_grid_through_its_reader(real_surveys: Path) -> None:
    line = read((real_surveys / "gsf" / "GSF3_08_test_file.gsf").read_bytes(), declared=declaration(crs="EPSG:32658"))
    survey = soundings(line.x, line.y, line.depth, accepted=line.accepted, crs=line.crs)
    on = Grid(768_600.0, 966_200.0, 100.0, 50, 78, "EPSG:32658")
    made = grid_pieces(lambda: [survey], GridConfig(method="mean"), on=on)
    assert_known(made, real_surveys / "golden" / "gsf_mean_100m.tif")


def assert_known(made: Surface, path: Path) -> None:
    known = golden(path)
    assert np.array_equal(np.isnan(made.depth), np.isnan(known[0]))
    assert np.nanmax(np.abs(made.depth - known[0])) <= 1e-6
    assert np.array_equal(made.density, np.nan_to_num(known[1]))


def golden(path: Path) -> NDArray[np.float32]:
    rasterio = pytest.importorskip("rasterio")
    with rasterio.open(path) as opened:
        return opened.read()
