"""Surfaces of several cell sizes: on the grid, together, beside each other, in one BAG, and what may be said of cells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_assets.bathymetry.config import BathymetryConfig, parse_declaration
from pipeline_assets.bathymetry.grid.config import LADDERS, CubeParameters, GridConfig, Ladder, Method
from pipeline_assets.bathymetry.grid.ladder import Places, grid_ladder, places_of
from pipeline_assets.bathymetry.grid.together import Together, shared_cell
from pipeline_assets.bathymetry.judge.bag_structure import bag_structure
from pipeline_assets.bathymetry.judge.beside import with_beside, without_margin
from pipeline_assets.bathymetry.judge.checks import judge_surface
from pipeline_assets.bathymetry.judge.judged import Judged
from pipeline_assets.bathymetry.judge.profiles import profile_of
from pipeline_assets.bathymetry.landed_surface.bag import read_bag
from pipeline_assets.bathymetry.products.cells import ladder_of
from pipeline_assets.bathymetry.products.compared import compared
from pipeline_assets.bathymetry.products.stored import load_parts, load_places, load_surface, part_name, save_parts
from pipeline_assets.bathymetry.products.vr_bag import write_vr_bag
from pipeline_assets.bathymetry.surface import LAYERS, Surface
from pipeline_assets.landed_file import Refused
from pipeline_assets.product import Making
from resources.settings import SettingsError, load_source_config
from tests.bathymetry.conftest import read
from tests.bathymetry.made_survey import SOUTH, WEST, soundings
from tests.bathymetry.surfaces import CRS, NORTH, PROVENANCE, surface
from tests.bathymetry.surfaces import WEST as LEFT

LADDER: Ladder = ((20.0, 1.0), (40.0, 2.0), (80.0, 4.0))


def slope(seed: int, count: int) -> Any:
    """From 12 m of depth to 48 m along 90 m, and back."""
    rng = np.random.default_rng(seed)
    x, y = WEST + rng.random(count) * 90, SOUTH + rng.random(count) * 40
    depth = 12 + 36 * np.abs(1 - np.abs(x - WEST - 45) / 45) + rng.normal(0, 0.05, count)
    return soundings(x, y, depth, tvu=0.3, thu=0.2)


@given(
    st.integers(0, 99),
    st.sampled_from([8, 13, 300]),
    st.integers(1, 4),
    st.booleans(),
    st.sampled_from(["cube", "median", "mean"]),
)
@settings(max_examples=25, deadline=None)
def test_tiles_and_threads_change_no_bit_of_any_part(
    tmp_path_factory: pytest.TempPathFactory, seed: int, tile: int, threads: int, in_file: bool, method: Method
) -> None:
    survey = slope(seed, 4000)
    cube = CubeParameters(capture_scale=0.3, density_strength_cutoff=0.5)
    untiled = GridConfig(method=method, ladder=LADDER, cube=cube, tile_cells=4096, threads=1)
    tiled = untiled.model_copy(update={"tile_cells": tile, "threads": threads})
    folder = tmp_path_factory.mktemp("points") if in_file else None
    expected, made = grid_ladder(lambda: [survey], untiled), grid_ladder(lambda: [survey], tiled, folder)
    assert [one.grid for one in made] == [one.grid for one in expected]
    assert len(made) == 3
    for one, other in zip(made, expected, strict=True):
        assert all(np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True) for name in LAYERS)


def saved(folder: Path, ladder: Ladder = LADDER) -> tuple[Places, list[tuple[int, Surface]], Surface]:
    survey = slope(5, 20_000)
    config = GridConfig(ladder=ladder)
    places = places_of(lambda: [survey], config)
    made = list(zip(places.steps, grid_ladder(lambda: [survey], config), strict=True))
    return places, made, save_parts(places, made, PROVENANCE, folder)


def test_parts_are_kept_and_come_back(tmp_path: Path) -> None:
    places, made, whole = saved(tmp_path)
    again = load_places(tmp_path)
    assert again is not None
    assert (again.grid, again.ladder, again.vertical_datum) == (places.grid, places.ladder, places.vertical_datum)
    assert np.array_equal(again.step, places.step)
    parts = list(load_parts(tmp_path))
    assert [(part.step, part.name, part.provenance.stem) for part in parts] == [
        (0, "surface_1m", "S1_1m"), (1, "surface_2m", "S1_2m"), (2, "surface_4m", "S1_4m"),
    ]  # fmt: skip
    for part, (_, one) in zip(parts, made, strict=True):
        assert all(np.array_equal(getattr(part.surface, name), getattr(one, name), equal_nan=True) for name in LAYERS)
    assert np.array_equal(load_surface(tmp_path)[0].depth, whole.depth, equal_nan=True)
    assert (part_name(0.5), part_name(16.0), part_name(1.5)) == ("50cm", "16m", "1.5m")


def test_all_parts_together_have_every_cell_and_every_sounding(tmp_path: Path) -> None:
    _, made, whole = saved(tmp_path)
    assert whole.grid.cell == 4.0
    assert int(whole.density.sum()) == sum(int(one.density.sum()) for _, one in made)
    assert np.nanmin(whole.shoal) == min(np.nanmin(one.shoal) for _, one in made)
    assert np.nanmax(whole.uncertainty) == max(np.nanmax(one.uncertainty) for _, one in made)
    assert whole.hypotheses.max() == max(one.hypotheses.max() for _, one in made)
    fine = made[0][1]
    top, left = round((whole.grid.north - fine.grid.north) / 4), round((fine.grid.west - whole.grid.west) / 4)
    for row, column in ((1, 1), (3, 2)):
        block = slice(4 * row, 4 * row + 4), slice(4 * column, 4 * column + 4)
        assert np.isfinite(fine.depth[block]).any()
        assert whole.depth[top + row, left + column] == pytest.approx(np.nanmean(fine.depth[block]), abs=1e-4)
    assert json.loads(str(whole.parameters["cells_by_depth"])) == [[20, 1], [40, 2], [80, 4]]
    assert (whole.parameters["cell_m"], "capture_scale" in whole.parameters) == (4.0, True)
    assert "capture_min_m" not in whole.parameters, "each size has another"


def test_the_spread_of_all_soundings_of_a_larger_cell_is_told() -> None:
    rng = np.random.default_rng(1)
    x, y = WEST + rng.random(5000) * 16, SOUTH + rng.random(5000) * 16
    survey = soundings(x, y, 15 + rng.normal(0, 0.4, 5000))
    config = GridConfig(method="mean", ladder=((20, 1.0), (40, 4.0)))
    places = places_of(lambda: [survey], config)
    (fine,) = grid_ladder(lambda: [survey], config)
    together = Together(places, 4.0)
    together.add(fine)
    alone = grid_ladder(lambda: [survey], GridConfig(method="mean", ladder=((20, 4.0),)))[0]
    made = together.surface()
    known = alone.density > 1
    np.testing.assert_allclose(made.std_dev[known], alone.std_dev[known], rtol=1e-4)
    assert np.array_equal(made.density, alone.density)


def test_cells_that_do_not_go_into_each_other_go_into_the_largest_of_the_ladder(tmp_path: Path) -> None:
    places, _, whole = saved(tmp_path, ((25.0, 2.0), (60.0, 3.0), (200.0, 6.0)))
    assert [places.cell(step) for step in places.steps] == [2.0, 3.0]
    assert whole.grid.cell == shared_cell(places) == 6.0


def test_the_bag_of_all_parts_is_sound_and_the_same_again(tmp_path: Path) -> None:
    places, made, whole = saved(tmp_path)
    path = write_vr_bag(places, made, PROVENANCE, tmp_path / "one.bag")
    other = write_vr_bag(places, made, PROVENANCE, tmp_path / "other.bag")
    assert path.read_bytes() == other.read_bytes()
    assert sorted(one.name for one in tmp_path.glob("*.bag*")) == ["one.bag", "other.bag"]
    judged = bag_structure(path, strict_corners=True)
    assert judged.passed, judged.message
    assert judged.metadata["several resolutions"] == "true"
    again = read_bag(path, cell=4.0)
    np.testing.assert_allclose(again.depth, whole.depth, atol=1e-5)
    finest = read_bag(path)
    fine = made[0][1]
    top, left = round(finest.grid.north - fine.grid.north), round(fine.grid.west - finest.grid.west)
    own = np.isfinite(fine.depth)
    there = finest.depth[top : top + own.shape[0], left : left + own.shape[1]]
    assert np.array_equal(there[own], fine.depth[own])


def test_a_golden_bag_of_variable_resolution_is_held_against_all_parts_together(tmp_path: Path) -> None:
    for name in ("goldens", "kept"):
        (tmp_path / name).mkdir()
    places, made, whole = saved(tmp_path / "kept")
    write_vr_bag(places, made, PROVENANCE, tmp_path / "goldens" / "S1.bag")
    lines = pa.table({"golden": pa.array([None], pa.string())})
    making = Making({"lines": lines}, tmp_path, BathymetryConfig(goldens=tmp_path / "goldens"), "S1")
    (judged,) = compared(making, whole, PROVENANCE)
    assert (judged.name, judged.passed, judged.metadata["largest difference (m)"]) == ("regression", True, 0.0)


def named(judged: list[Judged]) -> dict[str, Judged]:
    return {one.name: one for one in judged}


def test_a_place_of_other_cells_is_no_hole_and_a_hole_on_the_border_is_one_in_both() -> None:
    rng = np.random.default_rng(3)
    fine = 15 + rng.normal(0, 0.01, (16, 16))
    coarse = 15 + rng.normal(0, 0.01, (24, 24))
    coarse[8:16, 8:16] = np.nan  # where the fine one is, of 1 m
    inner = surface(fine, west=LEFT + 16, north=NORTH - 16)
    outer = surface(coarse, cell=2.0)
    profile = profile_of("hipp2")
    alone = named(judge_surface(outer, profile))
    assert not alone["holes_and_gaps"].passed
    assert not alone["holidays"].passed
    own = np.ones(coarse.shape, bool)
    own[8:16, 8:16] = False
    beside = named(judge_surface(with_beside(outer, [inner]), profile, own=own))
    assert all(beside[name].passed for name in ("holes_and_gaps", "holidays", "fliers", "tvu", "density")), beside
    assert beside["density"].metadata["cells"] == int(own.sum())
    # A hole of 12 x 12 m, half of it in the one and half in the other; and one at the end of the fine surface's own grid.
    fine[2:14, :6] = np.nan
    coarse[9:15, 5:8] = np.nan
    fine[5:9, 12:] = np.nan
    inner, outer = surface(fine, west=LEFT + 16, north=NORTH - 16), surface(coarse, cell=2.0)
    found = named(judge_surface(with_beside(outer, [inner]), profile, own=own))["holes_and_gaps"]
    assert (found.passed, found.metadata["holes"], found.metadata["hole cells"]) == (False, 1, 18)
    within = judge_surface(with_beside(inner, [outer], 16), profile, own=np.pad(np.ones(fine.shape, bool), 16))
    found = without_margin(named(within)["holes_and_gaps"], 16)
    assert (found.metadata["holes"], found.metadata["hole cells"]) == (2, 72 + 16)
    assert found.failing is not None
    assert np.array_equal(found.failing, np.isnan(fine))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"cells_by_depth": "noaa"}, "no table of depths and cells is called 'noaa'; expected noaa_complete_coverage, noaa_object"),
        ({"cells_by_depth": [[20, 2], [40, 1]]}, "each greater than the one before"),
        ({"cells_by_depth": [[20, 2], [40, 3]]}, "the largest cell must be a whole multiple of each"),
        ({"cells_by_depth": []}, "cells_by_depth"), ({"cells_by_depth": [[20]]}, "cells_by_depth"),
        ({"cells_by_depth": [[0, 1]]}, "must be above 0"), ({"cells_by_depth": [[20, 1], [1e999, 2]]}, "cells_by_depth"),
        ({"cells_by_depth": [[n, n] for n in range(1, 22)]}, "cells_by_depth"),
        ({"cells_by_depth": [[20, 1]], "cell_m": 1}, "both set; expected at most one"),
        ({"cells_by_depth": [[20, 1]], "engine": "caris"}, "declare cell_m where the engine is caris"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_declared_cells_is_told(said: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused, match=message) as caught:
        parse_declaration(json.dumps(said).encode())
    assert caught.value.error_class == "bad_declaration"


def test_cells_are_declared_by_name_or_by_pairs_and_count_before_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    said = json.dumps({"crs": CRS, "cells_by_depth": "noaa_object_detection"}).encode()
    line = read(b"x,y,depth\n500000,5800000,20\n", declared=said)
    assert line.declared.cells_by_depth == LADDERS["noaa_object_detection"]
    monkeypatch.setenv("STRANDLINE_BATHYMETRY_CELLS_BY_DEPTH", "noaa_complete_coverage")
    config = load_source_config(BathymetryConfig, "bathymetry")

    def rows(cell: float | None, ladder: str | None) -> pa.Table:
        return pa.table({"cell_m": pa.array([cell], pa.float64()), "cells_by_depth": pa.array([ladder], pa.string())})

    assert ladder_of(rows(None, None), config) == LADDERS["noaa_complete_coverage"]
    assert ladder_of(rows(2.0, None), config) == ()
    assert ladder_of(rows(None, "[[30.0, 2.0]]"), config) == ((30.0, 2.0),)
    assert ladder_of(rows(None, None), BathymetryConfig()) == ()
    monkeypatch.setenv("STRANDLINE_BATHYMETRY_CELLS_BY_DEPTH", "[[20, 1], [40, 2]]")
    assert load_source_config(BathymetryConfig, "bathymetry").cells_by_depth == ((20.0, 1.0), (40.0, 2.0))
    monkeypatch.setenv("STRANDLINE_BATHYMETRY_CELL_M", "1")
    with pytest.raises(SettingsError, match="both set"):
        load_source_config(BathymetryConfig, "bathymetry")


def test_noaa_s_tables_are_such_that_cells_go_into_each_other() -> None:
    for ladder in LADDERS.values():
        assert GridConfig(ladder=ladder).ladder == ladder
        assert [depth for depth, _ in ladder] == [20, 40, 80, 160, 320]
