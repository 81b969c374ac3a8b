"""BAGs of version 1.4 and before: the same grid, CRS and values as GDAL finds in them, and what cannot be read."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_assets.bathymetry.judge.bag_structure import bag_structure
from pipeline_assets.bathymetry.landed_surface.bag import read_bag
from pipeline_assets.bathymetry.landed_surface.bag_metadata import read_metadata
from pipeline_assets.bathymetry.read.surface_file import read_bag_file
from pipeline_assets.landed_file import LandedFile, Refused
from tests.bathymetry.conftest import CONFIG, DECLARED
from tests.bathymetry.old_bag import smxml, write_old_bag
from tests.bathymetry.surfaces import hills


def test_an_old_bag_reads_as_gdal_reads_it(tmp_path: Path) -> None:
    made = hills()
    path = write_old_bag(made, smxml(made), tmp_path / "old.bag")
    found = read_bag(path)
    assert found.grid == made.grid
    assert found.vertical_datum == "MSL"
    with rasterio.open(path) as content:
        bands = content.read([1, 2], masked=True).filled(np.nan)
        assert (content.transform.c, content.transform.f, content.transform.a) == (
            found.grid.west, found.grid.north, found.grid.cell,
        )  # fmt: skip
        assert content.crs.to_epsg() == 32755
    np.testing.assert_array_equal(found.depth, -bands[0])
    np.testing.assert_array_equal(found.uncertainty, bands[1])
    judged = bag_structure(path)
    assert judged.passed, judged.message
    assert (judged.metadata["version"], judged.metadata["uncertainties are"]) == ("1.4.0", "product uncertainty")


@pytest.mark.parametrize(
    ("said", "crs"),
    [
        ({}, "EPSG:32755"), ({"zone": "-55", "false_northing": "0.0"}, "EPSG:32755"), ({"zone": "55.0"}, "EPSG:32755"),
        ({"false_northing": "0.0"}, "EPSG:32755"),
        ({"zone": "2", "false_northing": "0.0", "north": "65.3"}, "EPSG:32602"),
        ({"zone": "2", "false_northing": "", "north": ""}, "EPSG:32602"),
        ({"datum": "World Geodetic System 1984"}, "EPSG:32755"), ({"datum": "WGS72"}, "EPSG:32355"),
        ({"datum": "NAD83", "zone": "19", "false_northing": "0", "north": "47"}, "EPSG:26919"),
        ({"datum": "NAD27", "zone": "3", "false_northing": "0", "north": "47"}, "EPSG:26703"),
        ({"projection": "Universal Transverse Mercator", "own_vertical": True}, "EPSG:32755"),
    ],
)  # fmt: skip
def test_the_crs_is_told_by_names_and_parameters(said: dict[str, Any], crs: str) -> None:
    told = read_metadata(smxml(hills(), **said).encode())
    assert (told.horizontal, told.vertical_name) == (crs, "Mean Sea Level")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"projection": "Your Projection"}, "the projection 'Your Projection'; of these versions UTM alone is read"),
        ({"projection": ""}, "in the projection ''"),
        ({"datum": "Your Datum"}, "on the datum 'Your Datum'; expected WGS84"),
        ({"zone": "61"}, "has '61' for its UTM zone; expected 1 to 60"), ({"zone": "nan"}, "has 'nan' for its UTM zone"),
        ({"zone": "1e999"}, "for its UTM zone"), ({"zone": ""}, "has '' for its UTM zone"),
        ({"datum": "NAD83"}, "lies in the south on NAD83"),
        ({"datum": "NAD83", "false_northing": "0", "north": "47"}, "zone 55 on NAD83, which is made for zones 1 to 23"),
    ],
)  # fmt: skip
def test_a_crs_that_nobody_can_tell_is_refused(said: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused, match=message) as caught:
        read_metadata(smxml(hills(), **said).encode())
    assert caught.value.error_class == "bag_metadata"
    assert "gdal_translate -of BAG" in caught.value.message


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10_000), st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=12))
def test_whatever_an_element_says_it_is_read_or_refused(which: int, text: str) -> None:
    parts = re.split(r"(?<=>)[^<>]+(?=</)", smxml(hills()))
    kept = re.findall(r"(?<=>)[^<>]+(?=</)", smxml(hills()))
    kept[which % len(kept)] = escape(text)
    xml = "".join(part + value for part, value in zip(parts, [*kept, ""], strict=True))
    with suppress(Refused):  # and nothing else
        assert read_metadata(xml.encode()).horizontal.startswith("EPSG:")


@pytest.mark.parametrize(
    ("said", "meant"),
    [("Raw Std Dev", "standard deviation"), ("Unknown", "Unknown"), ("", "unknown"), ("CUBE Std Dev", "standard deviation of CUBE")],
)  # fmt: skip
def test_what_the_uncertainties_are_is_told(said: str, meant: str) -> None:
    assert read_metadata(smxml(hills(), uncertainty=said).encode()).uncertainty == meant


def test_an_old_bag_lands(tmp_path: Path) -> None:
    made = hills()
    path = write_old_bag(made, smxml(made), tmp_path / "old.bag")
    beside = {"survey.json": LandedFile("bathymetry/s/survey.json", data=DECLARED)}
    landed = read_bag_file(LandedFile("bathymetry/s/old.bag", data=path.read_bytes(), companions=beside), CONFIG)
    assert (landed.surface.grid, landed.layers) == (made.grid, ("depth", "uncertainty"))
    zone = write_old_bag(made, smxml(made, zone="56"), tmp_path / "zone.bag")
    with pytest.raises(Refused, match="EPSG:32756, and EPSG:32755 is declared"):
        read_bag_file(LandedFile("bathymetry/s/zone.bag", data=zone.read_bytes(), companions=beside), CONFIG)
