"""The CRS that LAS files name: by code, by WKT that means one, by WKT that EPSG has none for, or not at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS as Pyproj

from pipeline_assets.bathymetry.crs_names import horizontal, means_the_same, named
from pipeline_assets.bathymetry.examples import declaration, las
from pipeline_assets.bathymetry.judge.profiles import profile_of
from pipeline_assets.bathymetry.landed_surface.bag import read_bag
from pipeline_assets.bathymetry.made_survey import CRS, MadeLine
from pipeline_assets.bathymetry.products.delivery import deliver
from pipeline_assets.landed_file import Refused
from tests.bathymetry.conftest import read
from tests.bathymetry.surfaces import PROVENANCE, hills
from tests.bathymetry.surfaces import lines as soundings_of_lines

ZONE_55 = (
    'PROJCS["ship\'s own",GEOGCS["GCS_WGS_1984",DATUM["D_WGS_1984",SPHEROID["WGS84",6378137,298.257223563]],PRIMEM["Greenwich",0],'
    'UNIT["Degree",0.017453292519943295]],PROJECTION["Transverse_Mercator"],PARAMETER["latitude_of_origin",0],'
    'PARAMETER["central_meridian",147],PARAMETER["scale_factor",0.9996],PARAMETER["false_easting",500000],'
    'PARAMETER["false_northing",10000000],UNIT["Meter",1]]'
)
"""UTM zone 55 south, written as ESRI writes, with a name of its own and no code."""
OF_NOBODY = ZONE_55.replace('"central_meridian",147]', '"central_meridian",147.3]')
IN_FEET = ZONE_55.replace('UNIT["Meter",1]', 'UNIT["Foot_US",0.3048006096012192]')
WITH_HEIGHTS = f'COMPD_CS["both",{ZONE_55},VERT_CS["MSL height",VERT_DATUM["Mean Sea Level",2005],UNIT["metre",1]]]'


@pytest.mark.parametrize("wkt", [ZONE_55, WITH_HEIGHTS, Pyproj.from_epsg(32755).to_wkt()])
def test_wkt_that_means_a_code_is_that_code(made: MadeLine, wkt: str) -> None:
    assert read(las(made, wkt=wkt), declared=None).crs == CRS
    assert read(las(made, wkt=wkt)).crs == CRS, "it agrees with what is declared"


def test_wkt_that_epsg_has_no_code_for_is_taken_as_it_is(made: MadeLine) -> None:
    line = read(las(made, wkt=OF_NOBODY), declared=None)
    assert Pyproj.from_user_input(line.crs) == Pyproj.from_wkt(OF_NOBODY)
    np.testing.assert_allclose(line.x, made.x, atol=0.0006)
    inside = declaration(extent=[140, -50, 150, -40])
    assert read(las(made, wkt=OF_NOBODY), declared=inside).crs == line.crs
    with pytest.raises(Refused, match=r"outside of the declared extent") as caught:
        read(las(made, wkt=OF_NOBODY), declared=declaration(extent=[150, -50, 160, -40]))
    assert caught.value.error_class == "outside_extent"


@pytest.mark.parametrize(
    ("wkt", "declared", "error_class", "message"),
    [
        (OF_NOBODY, CRS, "crs_mismatch", "and EPSG:32755 is declared"),
        (ZONE_55, "EPSG:32756", "crs_mismatch", "in EPSG:32755, and EPSG:32756 is declared"),
        (IN_FEET, None, "bad_crs", r"the CRS of the file \(ship's own\) is no projected CRS in metres.*project the file to it"),
        ("EPSG:4326", None, "bad_crs", "EPSG:4326 .* is no projected CRS in metres"),
        (None, None, "no_crs", "nobody says in which CRS"),
        ('LOCAL_CS["drawing",UNIT["metre",1]]', None, "no_crs", "nobody says in which CRS"),
    ],
)  # fmt: skip
def test_a_crs_that_cannot_be_or_is_another_is_refused(
    made: MadeLine, wkt: str | None, declared: str | None, error_class: str, message: str
) -> None:
    with pytest.raises(Refused, match=message) as caught:
        read(las(made, wkt=wkt), declared=None if declared is None else declaration(crs=declared))
    assert caught.value.error_class == error_class


def test_products_are_made_in_a_crs_without_a_code(tmp_path: Path) -> None:
    wkt = Pyproj.from_wkt(OF_NOBODY).to_wkt()
    surface = hills()
    surface = replace(surface, grid=replace(surface.grid, crs=wkt))
    made = deliver(surface, profile_of("1a"), PROVENANCE, tmp_path, replace(soundings_of_lines(), crs=wkt))
    assert all(one.passed for one in made.judged), [one.message for one in made.judged if not one.passed]
    with rasterio.open(made.files["cog"]) as cog:
        assert Pyproj.from_wkt(cog.crs.to_wkt()).equals(Pyproj.from_wkt(wkt), ignore_axis_order=True)
    again = read_bag(made.files["bag"])
    assert Pyproj.from_wkt(again.grid.crs).equals(Pyproj.from_wkt(wkt), ignore_axis_order=True)
    np.testing.assert_array_equal(again.depth, surface.depth)


def test_what_is_declared_counts_where_the_file_names_a_drawing(made: MadeLine) -> None:
    assert read(las(made, wkt='LOCAL_CS["drawing",UNIT["metre",1]]')).crs == CRS


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 60), st.sampled_from([(326, "north"), (327, "south")]), st.booleans())
def test_every_zone_is_known_by_its_parameters(zone: int, half: tuple[int, str], is_bound: bool) -> None:
    told = f"+proj=utm +zone={zone} {'+south' if half[1] == 'south' else ''} +datum=WGS84 +units=m +type=crs"
    crs = Pyproj.from_user_input(told.replace("+datum=WGS84", "+ellps=WGS84 +towgs84=0,0,0") if is_bound else told)
    x, y = np.array([400_000.0, 600_000.0]), np.array([5_000_000.0, 6_000_000.0])
    code = f"EPSG:{half[0]}{zone:02d}"
    assert means_the_same(horizontal(crs), code, x, y)
    assert not means_the_same(horizontal(crs), f"EPSG:{half[0]}{zone % 60 + 1:02d}", x, y)
    if not is_bound:
        assert named(horizontal(crs), x, y) == code
