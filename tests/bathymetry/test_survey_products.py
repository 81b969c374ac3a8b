"""Surveys from landing to delivery: a known sea floor is found again, a late line makes all anew, what is refused stays out."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline_assets.bathymetry.examples import declaration
from pipeline_assets.bathymetry.landed_surface.bag import read_bag
from pipeline_assets.bathymetry.made_survey import CRS, MadeLine, Plan, gsf, lines, sea_floor
from pipeline_assets.bathymetry.products.bag import write_bag
from pipeline_assets.bathymetry.products.filtered_file import FILTERED_FILE, filtered_soundings
from pipeline_assets.bathymetry.products.quality import COMPARED, JUDGED
from pipeline_assets.bathymetry.products.stored import load_surface
from pipeline_assets.bathymetry.source import BATHYMETRY
from pipeline_assets.bathymetry.surface import Grid, Surface
from tests.bathymetry.landing import Landed, landing
from tests.bathymetry.made_survey import centers
from tests.bathymetry.surfaces import PROVENANCE

SURVEY = "known"
# Noise of 0.1 m and ten soundings a cell of 1 m, as in published comparisons of gridding; fliers that nothing marks.
PLAN = Plan(seed=7, width_m=60, height_m=100, ping_m=0.4, beams=240, sigma_m=0.07, fliers=0.0005)


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Landed]:
    """A survey of two lines, of which the second is late and a third is damaged; another in a zone that is wrong."""
    with landing(tmp_path_factory, SURVEY) as (here, patch):
        made = list(lines(PLAN))
        first, second = (gsf(line) for line in made)
        here.made = made
        write_bag(known_floor(made), PROVENANCE, here.goldens / f"{SURVEY}.bag")
        patch.setenv("STRANDLINE_BATHYMETRY_GOLDENS", str(here.goldens))
        # CUBE fills cells at the border that hold no sounding; they are in one of the two alone.
        patch.setenv("STRANDLINE_BATHYMETRY_AGREE_CELLS_SHARE", "0.97")
        declared = declaration(crs=CRS, vertical_datum="MSL", order="1a", lines=[one.name for one in made])
        here.land(
            SURVEY,
            {
                "survey.json": declared,
                made[0].name: first,
                "0003_damaged.gsf": second[: len(second) // 2],
                "survey.done": b"done\n",
            },
        )
        here.land("zone", {"survey.json": declaration(crs="EPSG:32757"), "0001.gsf": first, "survey.done": b"done\n"})
        here.not_made = here.run("drain", "--json", code=3)["products"]  # 3: a file was refused
        yield here


def known_floor(made: list[MadeLine]) -> Surface:
    """The true depths as a surface, on the cells of 1 m that hold soundings."""
    x, y = (np.concatenate([getattr(line, name)[~line.rejected] for line in made]) for name in "xy")
    west, north = float(np.floor(x.min())), float(np.ceil(y.max()))
    grid = Grid(west, north, 1.0, int(north - np.floor(y.min())), int(np.ceil(x.max()) - west), CRS)
    empty = np.full((grid.rows, grid.columns), np.nan, np.float32)
    none = np.zeros(empty.shape, np.int32)
    depth = sea_floor(*centers(grid)).astype(np.float32)
    surface = Surface(grid, depth, np.full_like(empty, 0.05), empty, empty, none, none, "truth", {}, "MSL")
    known = cells_with_data(surface, made)
    return replace(
        surface,
        depth=np.where(known, depth, np.nan),
        uncertainty=np.where(known, surface.uncertainty, np.float32(np.nan)),
    )


def regression(landed: Landed) -> tuple[Any, ...]:
    """State, whether it was judged or not, and words of the check."""
    query = "SELECT state, passed, message FROM bathymetry.check_results WHERE surface = 'surface' AND check_name = 'regression'"
    (row,) = landed.sql(query)
    return row


def off_truth(surface: Surface) -> np.ndarray:
    return surface.depth - sea_floor(*centers(surface.grid))


def cells_with_data(surface: Surface, made: list[MadeLine]) -> np.ndarray:
    grid = surface.grid
    filled = np.zeros((grid.rows, grid.columns), bool)
    for line in made:
        good = ~line.rejected & ~line.flier
        column = np.floor((line.x[good] - grid.west) / grid.cell).astype(int)
        row = np.floor((grid.north - line.y[good]) / grid.cell).astype(int)
        filled[row, column] = True
    return filled


def test_every_product_is_there_and_a_damaged_line_or_a_wrong_zone_is_not(landed: Landed) -> None:
    made = landed.sql("SELECT partition, product, state FROM operations.products")
    assert {row for row in made if row[0] == SURVEY} == {(SURVEY, one.name, "made") for one in BATHYMETRY.products}
    assert landed.sql("SELECT key, error_class FROM operations.quarantine ORDER BY key") == [
        (f"bathymetry/{SURVEY}/0003_damaged.gsf", "truncated_gsf"), ("bathymetry/zone/0001.gsf", "wrong_zone"),
    ]  # fmt: skip
    assert landed.not_made == [], "a survey without a line has no surface, and nothing failed"
    assert not landed.product("surface", "zone").exists()
    surface, _ = load_surface(landed.product("surface"))
    half = cells_with_data(surface, landed.made[:1])
    assert np.isfinite(surface.depth[half]).all()
    assert surface.grid.rows < 70, "one swath wide"


@pytest.fixture(scope="module")
def whole(landed: Landed) -> Landed:
    """The same after the late line."""
    before, _ = load_surface(landed.product("surface"))
    assert regression(landed)[:2] == ("warning", False), "half of the golden surface is not there yet"
    other = known_floor(landed.made)
    other.depth[30:60, 10:30] += 5.0
    files = {landed.made[1].name: gsf(landed.made[1])}
    files["other.bag"] = write_bag(other, PROVENANCE, landed.folder / "other.bag").read_bytes()
    landed.land(SURVEY, files)
    assert landed.run("drain", "--json", code=3)["products"] == [], "the damaged line is read again, and refused again"
    after, _ = load_surface(landed.product("surface"))
    assert after.grid.rows > before.grid.rows
    return landed


def test_the_sea_floor_is_found_again(whole: Landed) -> None:
    surface, provenance = load_surface(whole.product("surface"))
    assert (surface.method, surface.grid.cell, surface.grid.crs, surface.vertical_datum) == ("cube", 1.0, CRS, "MSL")
    assert (provenance.profile, len(provenance.inputs)) == ("1a", 2)
    known = np.isfinite(surface.depth)
    off = off_truth(surface)[known]
    assert float(np.sqrt(np.mean(off**2))) <= 0.03
    assert np.abs(off).max() <= 0.5
    assert np.isfinite(surface.depth[cells_with_data(surface, whole.made)]).all()
    assert (np.abs(off) <= surface.uncertainty[known]).mean() >= 0.95


def test_fliers_are_filtered_and_nothing_else_but_a_few(whole: Landed) -> None:
    soundings, times = filtered_soundings(whole.product("filtered_soundings"))
    flier = np.concatenate([line.flier for line in whole.made])
    rejected = np.concatenate([line.rejected for line in whole.made])
    order = np.concatenate([np.flatnonzero(soundings.line == soundings.lines.index(line.name)) for line in whole.made])
    kept = soundings.accepted[order]
    assert not kept[rejected].any()
    assert flier.sum() > 10
    assert not kept[flier].any()
    assert kept[~rejected & ~flier].mean() > 0.999
    assert np.isfinite(times).all()


def test_files_of_the_delivery_say_the_same_depths(whole: Landed) -> None:
    surface, _ = load_surface(whole.product("surface"))
    folder = whole.product("delivery")
    again = read_bag(folder / f"{SURVEY}.bag")
    np.testing.assert_array_equal(again.depth, surface.depth)
    np.testing.assert_array_equal(again.uncertainty, surface.uncertainty)
    with zipfile.ZipFile(folder / f"{SURVEY}.zip") as archive:
        assert archive.testzip() is None
        named = set(archive.namelist())
    wanted = {
        f"{SURVEY}_{end}" for end in ("depth.tif", "density.tif", "uncertainty.tif", "cog.tif", "hs.tif", "qa.json")
    }
    wanted |= {f"{SURVEY}_coverage.{end}" for end in ("gpkg", "shp", "geojson")} | {f"{SURVEY}.bag", f"{SURVEY}.json"}
    wanted |= {f"gsf/{line.name}" for line in whole.made}
    assert wanted <= named
    item = json.loads((folder / f"{SURVEY}.json").read_text())
    assert {asset["href"].removeprefix("./") for asset in item["assets"].values()} <= named
    assert item["properties"]["strandline:checks"]["tvu"] == "pass"


def test_the_surface_and_its_checks_are_there_for_sql(whole: Landed) -> None:
    surface, _ = load_surface(whole.product("surface"))
    path = whole.product("filtered_soundings") / FILTERED_FILE
    filtered = int(pq.read_table(path, columns=["filtered"])["filtered"].to_numpy().sum())
    columns = "survey, method, cell_m, grid_rows, grid_columns, cells, soundings, filtered"
    assert whole.sql(f"SELECT {columns} FROM bathymetry.surfaces WHERE surface = 'surface'") == [
        (
            SURVEY, "cube", 1.0, surface.grid.rows, surface.grid.columns, int(np.isfinite(surface.depth).sum()),
            int(surface.density.sum()), filtered,
        )
    ]  # fmt: skip
    query = "SELECT check_name, state, is_judged, message FROM bathymetry.check_results WHERE surface = 'surface'"
    results = whole.sql(query)
    assert {name for name, *_ in results} == {*JUDGED, *COMPARED}
    assert [row for row in results if row[1] == "fail" or not row[2]] == []
    joined = (
        "SELECT surface, count(*) FROM bathymetry.surfaces JOIN bathymetry.lines USING (survey, batch_id) GROUP BY ALL"
    )
    assert dict(whole.sql(joined)) == {"surface": 2, "other.bag": 2}


def test_it_agrees_with_the_golden_surface_and_is_told_where_it_differs_from_another_engine_s(whole: Landed) -> None:
    state, passed, message = regression(whole)
    assert (state, passed) == ("pass", True), message
    assert message.startswith(f"{SURVEY}.bag: ")
    query = "SELECT state, failing_cells, message FROM bathymetry.check_results WHERE check_name = 'engines'"
    ((state, failing, message),) = whole.sql(query)
    assert (state, message.partition(":")[0]) == ("warning", "other.bag")
    cells = json.loads((whole.product("checks") / f"{SURVEY}_engines.geojson").read_text())
    assert cells["cells"] == failing
    assert 550 <= failing < 900, "the block that was put 5 m too deep, and little more"
    assert (whole.product("delivery") / f"{SURVEY}_engines.geojson").is_file()
