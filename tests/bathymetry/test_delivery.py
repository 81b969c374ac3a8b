"""All products of a survey at once, from the surface to the zip."""

from __future__ import annotations

import json
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pipeline_assets.bathymetry.judge.checks import blocks
from pipeline_assets.bathymetry.judge.compare import compare
from pipeline_assets.bathymetry.judge.profiles import profile_of
from pipeline_assets.bathymetry.landed_surface.bag import read_bag
from pipeline_assets.bathymetry.products.delivery import deliver
from pipeline_assets.landed_file import Refused
from tests.bathymetry.surfaces import NAN, PROVENANCE, hills, lines, surface


def test_a_survey_is_delivered_whole(tmp_path: Path) -> None:
    made = hills()
    other = compare(made, hills(), "engines")
    delivery = deliver(
        made, profile_of("1a"), PROVENANCE, tmp_path, lines(), positions=(146.9, -38.1, 147.1, -37.9), more=[other]
    )
    assert [one.name for one in delivery.judged] == [*profile_of("1a").asked, "thu", "bag_structure", "cog", "engines"]
    assert all(one.passed for one in delivery.judged), [one.message for one in delivery.judged if not one.passed]
    assert not blocks(delivery.judged, profile_of("1a"))
    assert delivery.picture.startswith(b"\x89PNG")
    with zipfile.ZipFile(delivery.files["survey_zip"]) as archive:
        listed = {entry["path"] for entry in json.loads(archive.read("manifest.json"))}
    assert listed == {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()} - {
        "S1.zip"
    }
    assert {
        "S1_depth.tif",
        "S1.bag",
        "S1_cog.tif",
        "S1_hs.tif",
        "S1_coverage.gpkg",
        "S1_coverage.shp",
        "S1_qa.json",
    } <= listed
    item = json.loads(delivery.files["stac_item"].read_text())
    hrefs = {asset["href"] for asset in item["assets"].values()}
    assert {"./S1.bag", "./gsf/line_1.gsf", "./S1_relief.png"} <= hrefs
    assert all((tmp_path / href).is_file() for href in hrefs)
    report = json.loads(delivery.files["qa_report"].read_text())
    assert len(report["qa"]["survey_products"]["checks"]) == len(delivery.judged)
    # What was delivered is the surface, to the last bit.
    again = compare(made, read_bag(delivery.files["bag"]), share=1.0, same_cells=1.0)
    assert (again.passed, again.metadata["largest difference (m)"]) == (True, 0.0)


def test_the_same_run_delivers_the_same_bytes(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        time.sleep(1.1)  # HDF5, GeoPackage and zip count seconds
        (tmp_path / name).mkdir()
        deliver(hills(), profile_of("1a"), PROVENANCE, tmp_path / name, lines())
        made.append(
            {
                path.relative_to(tmp_path / name).as_posix(): path.read_bytes()
                for path in sorted((tmp_path / name).rglob("*"))
                if path.is_file()
            }
        )
    assert made[0].keys() == made[1].keys()
    assert {name for name in made[0] if made[0][name] != made[1][name]} == set()


def test_an_empty_surface_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="No cell of the surface has a depth"):
        deliver(surface(np.full((8, 8), NAN)), profile_of("2"), PROVENANCE, tmp_path)
