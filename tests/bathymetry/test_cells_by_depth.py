"""A survey whose cells grow with depth, from landing to delivery: each place in one size of cells, each size judged by itself."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
import rasterio

from pipeline_assets.bathymetry.config import BathymetryConfig
from pipeline_assets.bathymetry.examples import declaration
from pipeline_assets.bathymetry.grid.config import GridConfig
from pipeline_assets.bathymetry.grid.engine import grid
from pipeline_assets.bathymetry.landed_surface.bag import read_bag
from pipeline_assets.bathymetry.made_survey import CRS, Plan, gsf, lines, sea_floor
from pipeline_assets.bathymetry.products.filtered_file import filtered_soundings
from pipeline_assets.bathymetry.products.stored import Part, load_parts, load_places, load_surface
from pipeline_assets.bathymetry.source import BATHYMETRY
from pipeline_assets.bathymetry.surface import LAYERS
from pipeline_assets.product_run import run_product
from resources.ledger.batches import get_batch
from resources.platform import Platform
from resources.settings import Settings
from tests.bathymetry.landing import Landed, landing
from tests.bathymetry.made_survey import centers

SURVEY = "slope"
PLAN = Plan(seed=11, width_m=90, height_m=170, ping_m=0.4, beams=240, sigma_m=0.07)
LADDER = [[17.5, 1], [19, 2], [60, 4]]
"""The made sea floor is some 15 to 21 m deep."""


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Landed]:
    with landing(tmp_path_factory, SURVEY) as (here, patch):
        # Cells of 4 m are too large for this order at 20 m of depth.
        patch.setenv("STRANDLINE_BATHYMETRY_DELIVER_FAILING", "true")
        here.made = list(lines(PLAN))
        declared = declaration(crs=CRS, vertical_datum="MSL", order="hipp2", cells_by_depth=LADDER)
        files = {"survey.json": declared, **{line.name: gsf(line) for line in here.made}, "survey.done": b"done\n"}
        here.land(SURVEY, files)
        assert here.run("drain", "--json")["products"] == []
        yield here


@pytest.fixture(scope="module")
def parts(landed: Landed) -> list[Part]:
    return list(load_parts(landed.product("surface")))


def test_there_is_a_surface_for_each_size_of_cells(landed: Landed, parts: list[Part]) -> None:
    assert [part.surface.grid.cell for part in parts] == [1.0, 2.0, 4.0]
    query = "SELECT surface, cell_m, cells, soundings, filtered, depth_min_m FROM bathymetry.surfaces ORDER BY cell_m"
    rows = landed.sql(query)
    assert [row[:3] for row in rows] == [
        (f"surface_{cell}m", float(cell), int(np.isfinite(part.surface.depth).sum()))
        for cell, part in zip((1, 2, 4), parts, strict=True)
    ]
    assert all(row[2] > 100 for row in rows)
    assert rows[0][5] < rows[1][5] < rows[2][5], "small cells where it is shallow"
    soundings, _ = filtered_soundings(landed.product("filtered_soundings"))
    rejected = sum(int((line.rejected).sum()) for line in landed.made)
    assert sum(row[4] for row in rows) == len(soundings.x) - rejected - int(soundings.accepted.sum())


def test_each_sounding_is_in_the_surface_of_one_size_and_there_in_a_cell_with_a_depth(
    landed: Landed, parts: list[Part]
) -> None:
    places = load_places(landed.product("surface"))
    assert places is not None
    soundings, _ = filtered_soundings(landed.product("filtered_soundings"))
    x, y = soundings.x[soundings.accepted], soundings.y[soundings.accepted]
    step = places.of(x, y)
    assert set(step.tolist()) == {0, 1, 2}
    in_cells = np.zeros(len(x), int)
    for part in parts:
        its = part.surface.grid
        column, row = np.floor((x - its.west) / its.cell).astype(int), np.floor((its.north - y) / its.cell).astype(int)
        on = (column >= 0) & (column < its.columns) & (row >= 0) & (row < its.rows)
        filled = np.zeros(len(x), bool)
        filled[on] = np.isfinite(part.surface.depth[row[on], column[on]])
        assert np.array_equal(filled, step == part.step), part.name
        in_cells += filled
    assert (in_cells == 1).all()


def test_the_sea_floor_is_found_again_in_all_cells(parts: list[Part]) -> None:
    for part in parts:
        surface = part.surface
        known = np.isfinite(surface.depth)
        off = (surface.depth - sea_floor(*centers(surface.grid)))[known]
        # Larger cells take the mean of a floor that is curved.
        assert float(np.sqrt(np.mean(off**2))) <= {1.0: 0.03, 2.0: 0.04, 4.0: 0.08}[surface.grid.cell], part.name


def test_a_place_has_the_depths_of_a_surface_of_its_cells_alone(landed: Landed, parts: list[Part]) -> None:
    """No seam where the cells change: soundings beyond count, and every bit is as if all cells were of this size."""
    soundings, _ = filtered_soundings(landed.product("filtered_soundings"))
    for part in parts:
        one, its = part.surface, part.surface.grid
        alone = grid(soundings, GridConfig(cell_m=its.cell, order="hipp2"))
        top, left = round((alone.grid.north - its.north) / its.cell), round((its.west - alone.grid.west) / its.cell)
        row, column = np.nonzero(np.isfinite(one.depth))
        # CUBE fills some cells beyond the last sounding, where the other grid ends.
        on = (
            (row + top < alone.grid.rows)
            & (column + left < alone.grid.columns)
            & (row + top >= 0)
            & (column + left >= 0)
        )
        row, column = row[on], column[on]
        assert on.mean() > 0.9
        for layer in LAYERS:
            np.testing.assert_array_equal(
                getattr(one, layer)[row, column], getattr(alone, layer)[row + top, column + left]
            )


def test_depths_of_a_place_fit_its_cells(landed: Landed, parts: list[Part]) -> None:
    places = load_places(landed.product("surface"))
    assert places is not None
    limits = [-np.inf, *(depth for depth, _ in LADDER[:-1]), np.inf]
    for part, (low, high) in zip(parts, pairwise(limits), strict=True):
        true = sea_floor(*centers(part.surface.grid))
        finer = round(places.grid.cell / part.surface.grid.cell)
        known = np.isfinite(part.surface.depth)
        blocks = np.where(known, true, np.nan).reshape(known.shape[0] // finer, finer, known.shape[1] // finer, finer)
        full = known.reshape(blocks.shape).all(axis=(1, 3))
        medians = np.median(blocks.transpose(0, 2, 1, 3)[full].reshape(-1, finer * finer), axis=1)
        assert len(medians) > 3
        assert (low - 0.1 < medians).all(), part.name
        assert (medians <= high + 0.1).all(), part.name


def test_the_bag_of_variable_resolution_says_the_same_depths(landed: Landed, parts: list[Part]) -> None:
    path = landed.product("bag") / f"{SURVEY}.bag"
    places = load_places(landed.product("surface"))
    assert places is not None
    with rasterio.open(path, MODE="LIST_SUPERGRIDS") as content:
        grids = content.subdatasets
        assert 'AUTHORITY["EPSG","32755"]' in content.crs.to_wkt()
    assert len(grids) == int((places.step >= 0).sum())
    seen = {part.step: 0 for part in parts}
    for name in grids:
        with rasterio.open(name) as content:
            bands = content.read([1, 2], masked=True).filled(np.nan)
            west, north, cell = content.transform.c, content.transform.f, content.transform.a
        (part,) = (part for part in parts if part.surface.grid.cell == cell)
        its = part.surface.grid
        top, left = round((its.north - north) / cell), round((west - its.west) / cell)
        assert (its.west + left * cell, its.north - top * cell) == pytest.approx((west, north), abs=1e-6)
        there = slice(top, top + bands.shape[1]), slice(left, left + bands.shape[2])
        np.testing.assert_array_equal(bands[0], -part.surface.depth[there])
        np.testing.assert_array_equal(bands[1], part.surface.uncertainty[there])
        seen[part.step] += int(np.isfinite(bands[0]).sum())
    assert seen == {part.step: int(np.isfinite(part.surface.depth).sum()) for part in parts}
    together, _ = load_surface(landed.product("surface"))
    again = read_bag(path, cell=together.grid.cell)
    assert (again.grid.cell, again.vertical_datum) == (4.0, "MSL")
    assert (again.grid.west, again.grid.north) == (together.grid.west, together.grid.north)
    np.testing.assert_allclose(again.depth, together.depth, atol=1e-5)
    np.testing.assert_array_equal(again.uncertainty, together.uncertainty)


def test_each_size_is_judged_in_its_own_cells(landed: Landed) -> None:
    query = "SELECT surface, check_name, state, message, share FROM bathymetry.check_results"
    rows = landed.sql(query)
    found = {(surface, check): (state, message) for surface, check, state, message, _ in rows}
    # A corner of the survey, where cells of 4 m hold few soundings of a slope, may stand out.
    assert min(share for _, check, _, _, share in rows if check == "fliers") > 0.99
    assert {surface for surface, _ in found} == {"surface", "surface_1m", "surface_2m", "surface_4m"}
    assert {check for surface, check in found if surface == "surface"} == {"bag_structure", "cog"}
    for cell in (1, 2, 4):
        for check in ("tvu", "holes_and_gaps", "holidays", "uncertainty_sanity", "crs_and_datum", "cog"):
            assert found[f"surface_{cell}m", check][0] == "pass", found[f"surface_{cell}m", check]
    assert [found[f"surface_{cell}m", "resolution"][0] == "pass" for cell in (1, 2, 4)] == [True, True, False]
    assert found["surface", "bag_structure"] == ("pass", "as it should be")
    folder = landed.product("checks")
    assert json.loads((folder / f"{SURVEY}_4m_resolution.geojson").read_text())["cells"] > 100
    assert not (folder / f"{SURVEY}_1m_resolution.geojson").exists()
    counted = {check: len({s for s, c in found if c == check}) for _, check in found}
    assert counted["density"] == 3


def test_what_is_delivered_names_the_cells(landed: Landed, parts: list[Part]) -> None:
    with zipfile.ZipFile(landed.product("delivery") / f"{SURVEY}.zip") as archive:
        named = set(archive.namelist())
    ends = ("depth.tif", "density.tif", "uncertainty.tif", "cog.tif", "hs.tif", "qa.json")
    wanted = {f"{SURVEY}_{cell}m_{end}" for cell in (1, 2, 4) for end in ends}
    wanted |= {f"{SURVEY}{end}" for end in ("_cog.tif", "_hs.tif", ".bag", "_coverage.gpkg", "_relief.png", "_qa.json")}
    assert wanted <= named
    assert not [name for name in named if name.endswith((".npz", ".parquet"))]
    said = json.loads((landed.product("delivery") / f"{SURVEY}.json").read_text())["properties"]
    counts = [int(np.isfinite(part.surface.depth).sum()) for part in parts]
    assert said["strandline:cells"] == dict(zip(("1 m", "2 m", "4 m"), counts, strict=True))
    area = sum(count * cell**2 for count, cell in zip(counts, (1, 2, 4), strict=True)) / 1e6
    assert (said["gsd"], said["strandline:area_km2"]) == (1.0, pytest.approx(area))
    assert (said["strandline:checks"]["resolution"], said["strandline:checks"]["tvu"]) == ("fail", "pass")
    outline = json.loads((landed.product("coverage") / f"{SURVEY}_coverage.geojson").read_text())
    assert outline["features"][0]["properties"]["area_km2"] == pytest.approx(area)
    with rasterio.open(landed.product("geotiff") / f"{SURVEY}_2m_depth.tif") as content:
        depth = content.read(1, masked=True).filled(np.nan)
    np.testing.assert_array_equal(depth, -parts[1].surface.depth)


def test_the_page_tells_the_cells_of_each_size(landed: Landed, parts: list[Part]) -> None:
    platform = Platform(Settings(home=landed.home))
    try:
        ((batch_id,),) = landed.sql("SELECT DISTINCT batch_id FROM bathymetry.lines")
        product = next(one for one in BATHYMETRY.products if one.name == "surface")
        batch = get_batch(platform.ledger, batch_id)
        assert batch is not None
        config = BathymetryConfig(deliver_failing=True)
        told = run_product(platform, BATHYMETRY, config, product, batch, "again", print).result
    finally:
        platform.close()
    counts = {f"cells of {part.provenance.part}": int(np.isfinite(part.surface.depth).sum()) for part in parts}
    assert {name: told.metadata[name] for name in counts} == counts
    assert (told.metadata["cell (m)"], told.metadata["cells with a depth"]) == ("1, 2, 4", sum(counts.values()))
    assert f"| 2 | {counts['cells of 2m']:,} |" in told.markdown
