"""What the engine refuses, the grids that it lays, and ladders of resolutions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline_assets.bathymetry.grid.config import CubeParameters, GridConfig
from pipeline_assets.bathymetry.grid.engine import extent, grid, grid_pieces
from pipeline_assets.bathymetry.grid.ladder import grid_ladder
from pipeline_assets.bathymetry.surface import Grid
from pipeline_assets.landed_file import Refused
from tests.bathymetry.made_survey import CRS, SOUTH, WEST, at_node, centers, soundings

_PLACES = st.floats(-2e6, 1e7, allow_nan=False).flatmap(lambda at: st.sampled_from([at, round(at), round(at, 1)]))


@given(
    st.lists(st.tuples(st.floats(0, 3000), st.floats(0, 3000)), min_size=1, max_size=20),
    _PLACES,
    _PLACES,
    st.sampled_from([0.1, 0.3, 0.5, 1.0, 7.0, 100.0]),
)
@settings(max_examples=300, deadline=None)
def test_every_sounding_lies_on_the_grid(offsets: list[tuple[float, float]], x: float, y: float, cell: float) -> None:
    xs, ys = x + np.array([one for one, _ in offsets]), y + np.array([one for _, one in offsets])
    one, _ = extent(lambda: [soundings(xs, ys, np.ones(len(xs)))], cell, 10**10)
    columns, rows = np.floor((xs - one.west) / cell), np.floor((one.north - ys) / cell)
    assert columns.min() >= 0
    assert columns.max() == one.columns - 1
    assert rows.min() >= 0
    assert rows.max() == one.rows - 1
    # On multiples of a cell, so that surfaces of neighbouring surveys fit; and no wider than the soundings ask for.
    assert abs(one.west / cell - round(one.west / cell)) < 1e-3
    assert abs(one.north / cell - round(one.north / cell)) < 1e-3
    assert columns.min() <= 1
    assert rows.min() <= 1


def test_nothing_to_grid_is_refused() -> None:
    nothing = soundings([WEST, math.nan, WEST], [SOUTH, SOUTH, SOUTH], [10, 10, math.nan], accepted=[False, True, True])
    with pytest.raises(Refused, match="none of 3 soundings can be gridded; expected some that are accepted") as caught:
        grid(nothing, GridConfig())
    assert caught.value.error_class == "no_soundings"


def test_a_sounding_far_off_is_refused() -> None:
    far = soundings([WEST, WEST + 2e6], [SOUTH, SOUTH], [10, 10])
    with pytest.raises(
        Refused, match=r"make 2,000,001 x 1 cells of 1 m, and at most 1,000,000 are allowed. Reject"
    ) as caught:
        grid(far, GridConfig(max_cells=1_000_000))
    assert caught.value.error_class == "grid_too_large"


def test_one_survey_has_one_reference() -> None:
    pieces = [at_node([10.0]), at_node([10.0], crs="EPSG:32756")]
    with pytest.raises(Refused, match="EPSG:32755, LAT and EPSG:32756, LAT; expected one") as caught:
        grid_pieces(lambda: pieces, GridConfig())
    assert caught.value.error_class == "mixed_reference"


def test_a_surface_tells_how_it_was_made() -> None:
    made = grid(at_node([10.0]), GridConfig(cell_m=2.0, order="special"))
    assert made.grid == Grid(WEST, SOUTH + 2, 2.0, 1, 1, CRS)
    assert (made.method, made.vertical_datum) == ("cube", "LAT")
    told = made.parameters
    assert (told["cell_m"], told["order"], told["queue_length"]) == (2.0, "special", 11)
    assert (told["capture_min_m"], told["locale_first_ring_cells"], told["locale_last_ring_cells"]) == (
        0.7072 * 2,
        2,
        5,
    )
    assert "queue_length" not in grid(at_node([10.0]), GridConfig(method="mean")).parameters
    assert {layer.dtype for layer in (made.depth, made.uncertainty, made.std_dev, made.shoal)} == {np.dtype("f4")}
    assert {made.density.dtype, made.hypotheses.dtype} == {np.dtype("i4")}


def test_a_surface_on_a_given_grid() -> None:
    on = Grid(WEST - 2, SOUTH + 3, 1.0, 4, 5, CRS)
    survey = soundings([WEST + 0.5, WEST + 50], [SOUTH + 0.5, SOUTH], [10.0, 11.0])
    for method in ("mean", "median", "cube"):
        made = grid_pieces(lambda: [survey], GridConfig(method=method), on=on)
        assert made.grid == on
        assert np.argwhere(~np.isnan(made.depth)).tolist() == [[2, 2]]


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("order", "1c", "no order of survey is called '1c'; expected one of"),
        ("ladder", ((20, 1), (10, 2)), "each greater than the one before"),
        ("ladder", ((20, 1), (40, 1.5)), "whole multiple"),
        ("method", "spline", "Input should be 'cube'"),
        ("cell_m", 0, "greater than 0"),
        ("cube", {"queue_length": 10}, "odd length"),
        ("cube", {"queue_lenght": 11}, "queue_lenght"),
    ],
)
def test_a_setting_that_cannot_be(field: str, value: object, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        GridConfig.model_validate({field: value})


def test_a_ladder_gives_each_place_one_surface() -> None:
    """A slope from 5 m of depth to 95 m along 900 m."""
    rng = np.random.default_rng(2)
    count = 270_000
    x, y = WEST + rng.random(count) * 900, SOUTH + rng.random(count) * 60
    depth = 5 + (x - WEST) / 10
    depth[rng.random(count) < 0.001] = 400  # a flier of another step's depth
    survey = soundings(x, y, depth, tvu=0.3, thu=0.2)
    config = GridConfig(ladder=((20, 1.0), (40, 2.0), (80, 4.0)), cube=CubeParameters(capture_min_m=4))
    surfaces = grid_ladder(lambda: [survey], config)
    assert [one.grid.cell for one in surfaces] == [1.0, 2.0, 4.0]
    assert [one.parameters["cell_m"] for one in surfaces] == [1.0, 2.0, 4.0]
    seen = np.zeros((70, 950), int)
    for one, (low, high) in zip(surfaces, [(0, 20), (20, 40), (40, 400)], strict=True):
        held = ~np.isnan(one.depth)
        across, up = centers(one.grid)
        true = 5 + (across - WEST) / 10
        # Within a coarse cell, 16 m wide, of where the depths say.
        assert true[held].min() > low - 1.6
        assert true[held].max() < high + 1.6
        assert np.abs(one.depth - true)[held].max() < 0.6
        cell = int(one.grid.cell)
        for east, north in zip(across[held], up[held], strict=True):
            c, r = round(east - WEST - cell / 2), round(north - SOUTH - cell / 2)
            seen[max(r, 0) : r + cell, max(c, 0) : c + cell] += 1
        assert np.array_equal(one.density > 0, held)
        assert np.array_equal(one.hypotheses > 0, held)
    assert seen.max() == 1
    assert seen[:60, :900].mean() > 0.99


def test_without_a_ladder_there_is_one_surface() -> None:
    (one,) = grid_ladder(lambda: [at_node([10.0])], GridConfig())
    assert one.depth[0, 0] == 10


def test_a_step_of_too_many_cells_is_refused() -> None:
    survey = soundings([WEST, WEST + 990], [SOUTH, SOUTH], [10, 10])
    with pytest.raises(Refused, match=r"the step of 0\.5 m cells makes 1,984 x 64 of them") as caught:
        grid_ladder(lambda: [survey], GridConfig(ladder=((20, 0.5), (40, 8.0)), max_cells=100_000))
    assert caught.value.error_class == "grid_too_large"
