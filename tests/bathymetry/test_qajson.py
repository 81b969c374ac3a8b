"""The report of the checks, and the cells in it on a map."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from shapely.geometry import shape

from pipeline_assets.bathymetry.judge.checks import CHECKS, judge_surface
from pipeline_assets.bathymetry.judge.geojson import failing_cells
from pipeline_assets.bathymetry.judge.profiles import PROFILES, profile_of
from pipeline_assets.bathymetry.judge.qajson import as_text, report
from pipeline_assets.bathymetry.products.qa_report import write_qa_report
from pipeline_assets.bathymetry.surface import Grid
from tests.bathymetry.qajson_schema import QAJSON
from tests.bathymetry.surfaces import CRS, NAN, NORTH, PROVENANCE, WEST, hills, surface

START, END = datetime(2026, 3, 1, 12, 0, tzinfo=UTC), datetime(2026, 3, 1, 12, 1, tzinfo=UTC)
QAX = {
    "tvu": "b5c0469c-6559-4aea-bf9c-d0b337550e89", "density": "5e2afd8a-2ced-4de8-80f5-111c459a7175",
    "resolution": "c73119ea-4f79-4001-86e3-11c4cbaaeb2d", "holes_and_gaps": "d095f584-a4aa-4f92-b123-336e1e328289",
    "fliers": "04519264-00ec-4e48-8abc-23cdf3c4913e",
}  # fmt: skip


def valid(document: object) -> None:
    jsonschema.validate(document, QAJSON, format_checker=jsonschema.FormatChecker())


@pytest.mark.parametrize("name", PROFILES)
def test_the_report_of_any_profile_is_valid_and_has_qaxs_ids(name: str, tmp_path: Path) -> None:
    place = hills(cell=0.25)
    place.depth[30, 40] -= 12.0
    place.uncertainty[31, 41] = 9.0
    judged = judge_surface(place, profile_of(name))
    path = write_qa_report(
        place, judged, profile_of(name), PROVENANCE, ["S1.bag"], tmp_path / "qa.json", start=START, end=END
    )
    document = json.loads(path.read_text(encoding="utf-8"))
    valid(document)
    made = {check["info"]["name"]: check for check in document["qa"]["survey_products"]["checks"]}
    assert len(made) == len(judged)
    for one in judged:
        check = made[CHECKS[one.name].title]
        assert check["info"]["id"] == QAX.get(one.name, CHECKS[one.name].id)
        assert check["inputs"]["files"] == [{"path": "S1.bag", "file_type": "Survey DTMs"}]
        assert check["outputs"]["check_state"] in ("pass", "warning", "fail")
    fliers = made["Flier Finder Check"]["outputs"]
    assert fliers["check_state"] == "warning"
    assert fliers["count"] == fliers["data"]["map"]["cells"] >= 1


def test_ids_are_no_two_alike() -> None:
    assert len({info.id for info in CHECKS.values()}) == len(CHECKS)


def test_a_check_that_was_not_made_is_aborted_and_says_why() -> None:
    bare = surface([[10.0, 11.0]], uncertainty=NAN, density=0)
    document = report(judge_surface(bare, profile_of("1a")), profile_of("1a"), bare.grid, [], start=START, end=END)
    valid(document)
    outputs = document["qa"]["survey_products"]["checks"][0]["outputs"]
    assert outputs["execution"]["status"] == "aborted"
    assert "no uncertainty" in outputs["execution"]["error"]
    assert outputs["check_state"] == "fail"
    assert "NaN" not in as_text(document)


def test_the_schema_of_the_test_refuses_what_qajson_refuses() -> None:
    document = report(
        judge_surface(hills(), profile_of("1a")), profile_of("1a"), hills().grid, ["a"], start=START, end=END
    )
    valid(document)
    for damage in (
        lambda one: one["outputs"].update(check_state="passed"),
        lambda one: one["outputs"].pop("execution"),
        lambda one: one["inputs"]["files"][0].update(file_type="DTM"),
        lambda one: one["info"].pop("id"),
    ):
        broken = json.loads(json.dumps(document))
        damage(broken["qa"]["survey_products"]["checks"][0])
        with pytest.raises(jsonschema.ValidationError):
            valid(broken)


def test_cells_lie_where_they_are_and_rings_run_against_the_clock() -> None:
    from pyproj import Transformer

    grid = Grid(WEST, NORTH, 2.0, 10, 10, CRS)
    failing = np.zeros((10, 10), dtype=bool)
    failing[4, 3:6] = True
    failing[9, 9] = True
    found = failing_cells(grid, failing)
    assert [feature["properties"]["cells"] for feature in found["features"]] == [3, 1]
    assert (found["cells"], found["cells_shown"]) == (4, 4)
    ring = shape(found["features"][0]["geometry"])
    assert ring.exterior.is_ccw
    # The centre of the cells, not their corner, as QAX's port has it.
    lon, lat = Transformer.from_crs(CRS, "EPSG:4326", always_xy=True).transform(WEST + 9.0, NORTH - 9.0)
    assert ring.centroid.coords[0] == pytest.approx((lon, lat), abs=1e-7)


def test_at_most_a_thousand_features_the_longest_first() -> None:
    grid = Grid(WEST, NORTH, 2.0, 200, 40, CRS)
    failing = np.zeros((200, 40), dtype=bool)
    failing[:, ::3] = True
    failing[100, :] = True
    found = failing_cells(grid, failing, most=50)
    assert len(found["features"]) == 50
    assert found["features"][0]["properties"]["cells"] == 40
    assert found["cells"] == int(failing.sum())
    assert found["cells_shown"] == 40 + 49
    assert failing_cells(grid, np.zeros((200, 40), dtype=bool))["features"] == []


def test_a_cell_on_the_date_line_is_cut_in_two() -> None:
    grid = Grid(817_400.0, 8_007_800.0, 2000.0, 1, 3, "EPSG:32760")
    found = failing_cells(grid, np.array([[True, False, False]]))
    geometry = found["features"][0]["geometry"]
    assert geometry["type"] == "MultiPolygon"
    longitudes = [point[0] for part in geometry["coordinates"] for point in part[0]]
    assert max(longitudes) == 180.0
    assert min(longitudes) == -180.0
    assert all(shape({"type": "Polygon", "coordinates": part}).exterior.is_ccw for part in geometry["coordinates"])
