"""What a survey's products are made by: the filter, the size of cells, names of files, a surface in a file, refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_assets.bathymetry.config import BathymetryConfig
from pipeline_assets.bathymetry.derive import soundings_of
from pipeline_assets.bathymetry.judge.judged import Judged
from pipeline_assets.bathymetry.judge.profiles import profile_of
from pipeline_assets.bathymetry.products.cells import cell_for, shallow_depth
from pipeline_assets.bathymetry.products.made_files import BUNDLE, in_bundles
from pipeline_assets.bathymetry.products.package import make_delivery
from pipeline_assets.bathymetry.products.quality import RESULTS_FILE, result_of
from pipeline_assets.bathymetry.products.stored import LAYERS, load_surface, save_surface
from pipeline_assets.bathymetry.products.survey import file_stem
from pipeline_assets.bathymetry.sigma_filter import off_surface, too_far
from pipeline_assets.landed_file import Refused
from pipeline_assets.product import Making
from tests.bathymetry.made_survey import soundings
from tests.bathymetry.surfaces import NAN, PROVENANCE, hills, lines


@pytest.mark.parametrize(
    ("depth", "order", "cell"),
    [
        (20.0, "1a", 1.0), (39.0, "1a", 1.0), (120.0, "1a", 5.0), (20.0, "special", 0.5), (20.0, "exclusive", 0.5),
        (20.0, "hipp2", 2.0), (4000.0, "2", 200.0), (5.0, "2", 0.5), (0.0, "2", 0.5),
    ],
)  # fmt: skip
def test_cells_follow_depth_and_order(depth: float, order: str, cell: float) -> None:
    assert cell_for(depth, order) == cell


def test_a_few_shallow_fliers_make_no_smaller_cells() -> None:
    some = lines()
    depth = np.full(len(some.depth), 120.0)
    depth[: len(depth) // 200] = 1.0
    shallow = shallow_depth([replace(some, depth=depth)], int(some.accepted.sum()))
    assert cell_for(shallow, "1a") == 5.0


@given(st.lists(st.lists(st.floats(-10, 5000)), max_size=6))
def test_where_a_survey_is_shallow_is_told_from_pieces_as_from_the_whole(depths: list[list[float]]) -> None:
    pieces = [soundings(np.zeros(len(some)), np.zeros(len(some)), some) for some in depths]
    whole = np.concatenate([np.empty(0), *depths])
    expected = max(float(np.quantile(whole, 0.01)), 0.0) if len(whole) else 0.0
    assert shallow_depth(pieces, len(whole)) == pytest.approx(expected, abs=1e-9)


def test_only_what_is_far_off_by_the_cell_and_by_the_order_is_filtered() -> None:
    surface, some = hills(), lines()
    grid = surface.grid
    row, column = np.argwhere(np.isfinite(surface.depth) & np.isfinite(surface.std_dev))[0]
    depth, sigma = float(surface.depth[row, column]), float(surface.std_dev[row, column])
    allowed = float(np.hypot(0.5, 0.013 * depth))
    reach = max(3 * sigma, allowed)
    offs = np.array([0.0, 0.9 * reach, 1.2 * reach, -1.2 * reach, 50.0, 50.0])
    x = np.array([grid.west + (column + 0.5) * grid.cell] * 5 + [grid.west - 10.0])
    y = np.full(6, grid.north - (row + 0.5) * grid.cell)
    six = {name: getattr(some, name)[:6] for name in ("tvu", "thu", "line", "ping", "beam")}
    accepted = np.array([True, True, True, True, False, True])
    six_soundings = replace(some, x=x, y=y, depth=depth + offs, accepted=accepted, **six)
    off, of_cell = off_surface(six_soundings, surface)
    np.testing.assert_allclose(off[:5], offs[:5], atol=1e-5)
    assert np.isnan(off[5]), "beyond the surface nothing is known"
    far = too_far(six_soundings, off, of_cell, "1a", 3.0)
    assert far.tolist() == [False, False, True, True, False, False], "what the file rejects is not filtered once more"


def test_a_surface_is_the_same_after_it_was_stored(tmp_path: Path) -> None:
    surface = hills()
    save_surface(surface, PROVENANCE, tmp_path)
    again, provenance = load_surface(tmp_path)
    for name in LAYERS:
        np.testing.assert_array_equal(getattr(again, name), getattr(surface, name))
        assert getattr(again, name).dtype == getattr(surface, name).dtype
    assert (again.grid, again.method, again.vertical_datum) == (surface.grid, surface.method, surface.vertical_datum)
    assert again.parameters == dict(surface.parameters)
    assert provenance == PROVENANCE


@given(st.text(min_size=1, max_size=300))
def test_every_survey_has_a_name_for_files_that_no_other_has(survey: str) -> None:
    stem = file_stem(survey)
    assert 0 < len(stem) < 100
    assert stem.isascii()
    assert not set(stem) & set('/\\:*?"<>| \0')
    assert stem not in (".", "..")
    assert not stem.startswith(".")
    assert file_stem(survey + "/") != stem


def test_names_that_files_can_have_are_kept() -> None:
    assert file_stem("storm_bay-2024.1") == "storm_bay-2024.1"
    assert file_stem("Öre") != file_stem("Üre")
    assert len(file_stem("..")) == 8, "nothing but the hash"


def test_lines_without_pings_are_written_in_bundles() -> None:
    some = lines()
    whole = replace(some, ping=np.arange(len(some.ping), dtype=np.int64))
    made = in_bundles(whole, [some.lines[0]])
    first = some.line == 0
    counts = np.bincount(made.ping[first])
    assert counts.max() == min(BUNDLE, first.sum())
    assert counts.sum() == first.sum()
    np.testing.assert_array_equal(made.ping[~first], whole.ping[~first])


def making(folder: Path, results: list[dict[str, Any]], config: BathymetryConfig) -> Making:
    products = {}
    for name in ("surface", "geotiff", "bag", "coverage", "gsf", "checks"):
        products[name] = folder / name
        products[name].mkdir()
        (products[name] / f"{name}.txt").write_text(name)
    (products["surface"] / "surfaces.rows.parquet").write_text("rows of the surface, and of nothing else")
    save_surface(hills(), PROVENANCE, products["surface"])
    document = {"profile": "1a", "results": results}
    (products["checks"] / RESULTS_FILE).write_text(json.dumps(document))
    (folder / "made").mkdir()
    return Making({}, folder / "made", config, "S1", products)


@pytest.mark.parametrize(("name", "state"), [("tvu", "fail"), ("fliers", "warning")])
def test_a_survey_that_fails_its_order_is_delivered_only_when_it_is_told_to(
    tmp_path: Path, name: str, state: str
) -> None:
    result = result_of(Judged(name, False, NAN, 1.0, None, "3 of 9 cells fail", {}, "no layer"), profile_of("1a"))
    assert (result["state"], result["share"]) == (state, None)
    made = making(tmp_path, [result], BathymetryConfig())
    if state == "warning":
        make_delivery(made)
    else:
        with pytest.raises(Refused, match=r"does not keep the order 1a \(tvu: 3 of 9 cells fail\).*DELIVER_FAILING"):
            make_delivery(made)
        assert not list(made.folder.iterdir())
        make_delivery(replace(made, config=BathymetryConfig(deliver_failing=True)))
    names = {path.name for path in made.folder.rglob("*")}
    assert {"bag.txt", "gsf.txt", "S1.zip", "S1.json"} <= names
    assert not names & {RESULTS_FILE, "surface.npz", "surfaces.rows.parquet"}
    item = json.loads((made.folder / "S1.json").read_text())
    assert item["properties"]["strandline:checks"] == {name: "not judged"}


def test_lines_of_two_systems_make_no_surface() -> None:
    table = pa.table({"crs": ["EPSG:32755", "EPSG:32756"], "vertical_datum": ["MSL", "MSL"]})
    with pytest.raises(Refused, match=r"differ in crs: EPSG:32755, EPSG:32756\. Declare one in survey\.json"):
        soundings_of({"lines": table, "soundings": pa.table({})})
