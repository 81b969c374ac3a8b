"""GeoTIFFs, COGs, relief and BAG as other programs read them."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import rasterio

from pipeline_assets.bathymetry.judge.bag_structure import bag_structure
from pipeline_assets.bathymetry.judge.cog import cog
from pipeline_assets.bathymetry.landed_surface.bag import metadata_bytes
from pipeline_assets.bathymetry.landed_surface.bag_metadata import GCO, GMD, read_metadata, xml_root
from pipeline_assets.bathymetry.products.bag import lineage_text, with_lineage, write_bag
from pipeline_assets.bathymetry.products.geotiff import hillshade, write_cog, write_hillshade, write_triplet
from pipeline_assets.bathymetry.vertical_datums import is_declared, short_name, wkt
from tests.bathymetry.surfaces import NAN, PROVENANCE, hills, surface


def test_three_files_of_one_band_by_the_names_that_qax_looks_for(tmp_path: Path) -> None:
    made = hills()
    written = write_triplet(made, PROVENANCE, tmp_path)
    assert [path.name for path in written.values()] == ["S1_depth.tif", "S1_density.tif", "S1_uncertainty.tif"]
    for name, expected in (("Depth", -made.depth), ("Uncertainty", made.uncertainty)):
        with rasterio.open(written[name]) as content:
            assert (content.count, content.dtypes, content.descriptions) == (1, ("float32",), (name,))
            assert (content.crs.to_epsg(), content.transform.c, content.transform.f) == (32755, 500_000.0, 5_800_000.0)
            assert np.array_equal(content.read(1, masked=True).filled(np.nan), expected, equal_nan=True)
            tags = content.tags()
            assert content.units == ("metre",)
        assert (tags["SURVEY"], tags["METHOD"], tags["VERTICAL_DATUM"]) == ("S1", "cube", "MSL")
        assert json.loads(tags["INPUTS"]) == {"bathymetry/S1/L1.gsf": "ab" * 32}
        assert json.loads(tags["PARAMETERS"])["queue_length"] == 11.0
    with rasterio.open(written["Depth"]) as content:
        assert float(np.nanmax(content.read(1, masked=True))) < 0.0
    with rasterio.open(written["Density"]) as content:
        density = content.read(1, masked=True)
    assert density.mask.sum() == np.isnan(made.depth).sum()
    assert np.array_equal(density.filled(0), np.where(np.isfinite(made.depth), made.density, 0))


def test_the_same_run_writes_the_same_bytes(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        paths = [*write_triplet(hills(), PROVENANCE, folder).values(), write_cog(hills(), PROVENANCE, folder / "c.tif")]
        made.append([path.read_bytes() for path in paths])
    assert made[0] == made[1]


def test_a_cog_is_one_with_predictor_3_and_overviews_of_averages(tmp_path: Path) -> None:
    large = hills(1100, 1300)
    path = write_cog(large, PROVENANCE, tmp_path / "S1_cog.tif")
    judged = cog(path)
    assert judged.passed, judged.message
    assert judged.metadata["overviews"] == 2
    with rasterio.open(path) as content:
        assert content.tags(ns="IMAGE_STRUCTURE")["PREDICTOR"] == "3"
        assert content.tags(ns="IMAGE_STRUCTURE")["COMPRESSION"] == "DEFLATE"
        assert content.overviews(1) == [2, 4]
        assert content.descriptions == ("Depth", "Uncertainty", "Density")
        assert np.array_equal(content.read(1, masked=True).filled(np.nan), -large.depth, equal_nan=True)
    with rasterio.open(path, overview_level=0) as half:
        found = half.read(1, masked=True)[400, 500]
    assert float(found) == pytest.approx(float(-large.depth[800:802, 1000:1002].mean()), abs=1e-4)


def test_a_plain_or_broken_geotiff_is_no_cog(tmp_path: Path) -> None:
    path = write_triplet(hills(1100, 1300), PROVENANCE, tmp_path)["Depth"]
    assert not cog(path).passed
    assert "overviews" in cog(path).message
    path.write_bytes(b"II*\0 nonsense")
    assert "cannot be read" in cog(path).message


def test_the_relief_of_a_plane_is_what_its_slope_makes_it() -> None:
    """Ground that falls to the north-east by 0.5 m a metre, lit from there: by the cosine of the angle to the light."""
    y, x = np.mgrid[:20, :20]
    azimuth = np.radians(30.0)
    ground = (-0.25 * (np.sin(azimuth) * x - np.cos(azimuth) * y)).astype(np.float32)
    shade = hillshade(ground, 1.0)
    # With heights doubled the slope is 0.5, and the light at 45 degrees.
    expected = 1.0 + 254.0 * (np.sin(np.radians(45)) + np.cos(np.radians(45)) * 0.5) / np.sqrt(1.25)
    assert shade[1:-1, 1:-1] == pytest.approx(expected, abs=0.51)
    assert not shade[0].any()
    assert not shade[:, -1].any()
    away = hillshade(-ground * 8.0, 1.0)
    assert (away[1:-1, 1:-1] == 1).all()  # turned from the light
    ground[10, 10] = NAN
    assert not hillshade(ground, 1.0)[9:12, 9:12].any()
    assert hillshade(np.zeros((2, 9), np.float32), 1.0).shape == (2, 9)


def test_the_relief_is_written_as_a_cog(tmp_path: Path) -> None:
    made = hills(600, 700)
    path = write_hillshade(made, PROVENANCE, tmp_path / "S1_hs.tif")
    assert cog(path).passed, cog(path).message
    with rasterio.open(path) as content:
        assert (content.dtypes, content.nodata, content.descriptions) == (("uint8",), 0.0, ("Hillshade",))
        assert np.array_equal(content.read(1), hillshade(-made.depth, 1.0))


def test_a_bag_is_read_by_gdal_pixel_by_pixel_and_is_in_order(tmp_path: Path) -> None:
    made = hills(137, 211, cell=0.5)
    path = write_bag(made, PROVENANCE, tmp_path / "S1.bag")
    judged = bag_structure(path, strict_corners=True)
    assert judged.passed, judged.message
    assert (judged.metadata["version"], judged.metadata["corner points"]) == ("1.6.2", "210 by 136 cells apart")
    with rasterio.open(path) as content:
        assert content.driver == "BAG"
        assert (content.transform.a, content.transform.c, content.transform.f) == (0.5, 500_000.0, 5_800_000.0)
        assert content.crs.to_epsg() == 32755 or "32755" in content.crs.to_wkt()
        assert np.array_equal(content.read(1, masked=True).filled(np.nan), -made.depth, equal_nan=True)
        assert np.array_equal(content.read(2, masked=True).filled(np.nan), made.uncertainty, equal_nan=True)
        assert set(content.descriptions) >= {"elevation", "uncertainty", "num_soundings", "standard_dev"}


def test_corner_points_of_a_bag_are_the_centres_of_its_cells(tmp_path: Path) -> None:
    path = write_bag(hills(20, 30, cell=4.0), PROVENANCE, tmp_path / "S1.bag")
    with h5py.File(path) as content:
        found = read_metadata(metadata_bytes(content["BAG_root"]))
    assert found.corners == (500_002.0, 5_799_922.0, 500_118.0, 5_799_998.0)
    assert (found.rows, found.columns, found.cell, found.vertical_name) == (20, 30, (4.0, 4.0), "mean sea level")


def test_a_bag_says_how_it_came_to_be(tmp_path: Path) -> None:
    path = write_bag(hills(), PROVENANCE, tmp_path / "S1.bag")
    with h5py.File(path) as content:
        xml = metadata_bytes(content["BAG_root"])
    text = xml.decode()
    assert "A survey &amp; its &lt;surface&gt;" in text
    assert "A Hydrographer" in text
    steps = [
        step.text or ""
        for step in xml_root(xml).iter(f"{GCO}CharacterString")
        if "CARIS_CUBE_Parameters" in (step.text or "")
    ]
    said, cube = steps[0].split("\n")
    document = json.loads(said)
    assert (document["survey"], document["engine_version"], document["parameters"]["queue_length"]) == (
        "S1",
        "1.0",
        11.0,
    )
    assert document["inputs"] == {"bathymetry/S1/L1.gsf": "ab" * 32}
    assert (
        cube
        == '<CARIS_CUBE_Parameters><Queue_Length value="11"/><Capture_Distance_Scale value="5"/></CARIS_CUBE_Parameters>'
    )
    assert len(list(xml_root(xml).iter(f"{GMD}LI_ProcessStep"))) == 2
    assert "CUBE_Parameters" not in lineage_text(hills(method="mean"), PROVENANCE)
    with pytest.raises(ValueError, match="has no LI_Lineage"):
        with_lineage(b"<a/>", hills(), PROVENANCE)


def test_vertical_datums_by_short_names_and_by_wkt() -> None:
    assert wkt("msl").startswith('VERT_CS["mean sea level",VERT_DATUM["mean sea level",2005]')
    assert "2002" in wkt("Ellipsoid")
    assert [short_name(name) for name in ("msl", "Mean Sea Level", " Port 1 ")] == ["MSL", "MSL", "Port 1"]
    assert is_declared("LAT")
    assert not is_declared(" Unknown ")
    assert wkt('Port "X"').startswith("VERT_CS[\"Port 'X'\"")
    assert wkt('VERT_CS["a",VERT_DATUM["b",2005]]') == 'VERT_CS["a",VERT_DATUM["b",2005]]'


def test_a_surface_without_density_or_uncertainty_can_be_written(tmp_path: Path) -> None:
    bare = surface(np.full((6, 7), 8.0), uncertainty=NAN, density=0)
    path = write_bag(bare, PROVENANCE, tmp_path / "S1.bag")
    with h5py.File(path) as content:
        assert "num_soundings" not in content["BAG_root"]
    assert "uncertainty has no value at all" in bag_structure(path).message
    assert cog(write_cog(bare, PROVENANCE, tmp_path / "c.tif")).passed
