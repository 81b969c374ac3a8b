"""Coverage, GSF, STAC, pictures and the zip of a survey, read back by other programs where there are any."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import shapely
from GSFU import gsf
from PIL import Image
from pyproj import Geod, Transformer
from shapely.geometry import shape

from pipeline_assets.bathymetry.judge.checks import judge_surface
from pipeline_assets.bathymetry.judge.profiles import profile_of
from pipeline_assets.bathymetry.products.coverage import area_km2, coverage, write_coverage
from pipeline_assets.bathymetry.products.geotiff import write_cog
from pipeline_assets.bathymetry.products.gsf import file_names, write_gsf
from pipeline_assets.bathymetry.products.pictures import (
    MOST_BYTES,
    depth_histogram_png,
    hillshade_png,
    uncertainty_map_png,
)
from pipeline_assets.bathymetry.products.stac import stac_item, write_stac
from pipeline_assets.bathymetry.products.survey_zip import sha256_of, write_zip
from pipeline_assets.landed_file import Refused
from tests.bathymetry.surfaces import NAN, PROVENANCE, hills, lines, surface


def test_the_outline_is_of_the_cells_with_a_depth(tmp_path: Path) -> None:
    made = hills()
    exact = coverage(made, simplified_cells=0.0)
    assert exact.area / 1e6 == pytest.approx(area_km2(made))
    assert area_km2(made) == (60 * 80 - 15 * 20) / 1e6
    written = write_coverage(made, PROVENANCE, tmp_path)
    for kind in ("gpkg", "shp"):
        found = pyogrio.raw.read(written[kind])
        said = dict(zip(found[0]["fields"], (values[0] for values in found[3]), strict=True))
        assert (said["survey"], said["area_km2"]) == ("S1", pytest.approx(area_km2(made)))
        assert "32755" in str(found[0]["crs"])
        assert shapely.from_wkb(found[2][0]).equals(coverage(made))
    document = json.loads(written["geojson"].read_text())
    lonlat = shape(document["features"][0]["geometry"])
    assert lonlat.is_valid
    turned = Transformer.from_crs("EPSG:4326", "EPSG:32755", always_xy=True)
    back = shapely.transform(lonlat, lambda points: np.stack(turned.transform(points[:, 0], points[:, 1]), axis=1))
    assert back.symmetric_difference(coverage(made)).area < 0.5


def test_holes_and_islands_are_in_the_outline_and_nothing_small_is_lost() -> None:
    depth = np.full((60, 60), 10.0)
    depth[20:40, 20:40] = NAN
    depth[29:31, 29:31] = 9.0
    found = coverage(surface(depth))
    assert len(found.geoms) == 2
    assert min(part.area for part in found.geoms) > 0.0
    assert sum(len(part.interiors) for part in found.geoms) == 1
    depth[5:9, 50:54] = NAN
    depth[0:3, 10:12] = NAN
    assert sum(len(part.interiors) for part in coverage(surface(depth)).geoms) == 1
    assert sum(len(part.interiors) for part in coverage(surface(depth), 0.0).geoms) == 2
    with pytest.raises(Refused, match="No cell of the surface has a depth"):
        coverage(surface(np.full((4, 4), NAN)))


def test_the_same_run_writes_the_same_outlines(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_coverage(hills(), PROVENANCE, tmp_path / name)
        made.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert made[0].keys() == made[1].keys()
    assert [name for name in made[0] if made[0][name] != made[1][name]] == []


def test_soundings_come_back_from_gsf_to_the_millimetre(tmp_path: Path) -> None:
    made = lines(lines=("S1/a b.gsf", "S1/c.gsf", "S1/A_b.all"))
    written = write_gsf(made, PROVENANCE, tmp_path)
    assert [path.name for path in written.values()] == ["a_b.gsf", "c.gsf", "A_b.all.gsf"]
    for number, path in enumerate(written.values()):
        want = made.accepted & (made.line == number)
        x, y, depth, tvu, thu, pings = _read(path, made.crs)
        assert len(depth) == int(want.sum())
        assert np.abs(x - made.x[want]).max() < 0.001
        assert np.abs(y - made.y[want]).max() < 0.001
        assert np.abs(depth - made.depth[want]).max() < 1e-4
        assert np.abs(tvu - 0.2).max() < 1e-3
        assert np.abs(thu - 0.5).max() < 1e-3
        assert pings == len(np.unique(made.ping[want]))


def _read(path: Path, crs: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]:
    """Positions, depths and uncertainties, as any reader of GSF finds them: the ping's place, and offsets along its heading."""
    content = gsf(str(path))
    parts, pings = [], 0
    for _, _, ping in content.iter_records("SWATH_BATHYMETRY_PING"):
        beams = ping["Beams"]
        across, along = np.asarray(beams["AcrossTrack_m"]), np.asarray(beams["AlongTrack_m"])
        azimuth = np.degrees(np.arctan2(across, along)) + ping["Heading_deg"]
        lon, lat, _ = Geod(ellps="WGS84").fwd(
            np.full(across.size, ping["Longitude_deg"]),
            np.full(across.size, ping["Latitude_deg"]),
            azimuth,
            np.hypot(across, along),
        )
        parts.append(np.stack([lon, lat, beams["Depth_m"], beams["VerticalError_m"], beams["HorizontalError_m"]]))
        pings += 1
    content.closeFile()
    lon, lat, depth, tvu, thu = np.concatenate(parts, axis=1)
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)
    return x, y, depth, tvu, thu, pings


def test_gsf_says_that_times_are_unknown_or_has_them(tmp_path: Path) -> None:
    made = lines(count=1)
    for times in (None, 1.7e9 + made.ping.astype(np.float64)):
        path = next(iter(write_gsf(made, PROVENANCE, tmp_path, times).values()))
        content = gsf(str(path))
        records = [(kind.name, record) for kind, _, record in content.iter_records()]
        content.closeFile()
        comments = " ".join(record["Comment"] for name, record in records if name == "GSF_RECORD_COMMENT")
        first = next(record for name, record in records if name == "GSF_RECORD_SWATH_BATHYMETRY_PING")
        assert ("not those of acquisition" in comments) is (times is None)
        assert "Depths are below: MSL" in comments
        assert first["PingTime"].startswith("1970-01-01" if times is None else "2023-11-14")


def test_gsf_holds_heights_of_the_ellipsoid_and_leaves_out_what_is_unknown(tmp_path: Path) -> None:
    made = replace(lines(count=1), vertical_datum="Ellipsoid", depth=lines(count=1).depth - 40.0)
    made.tvu[:] = NAN
    path = next(iter(write_gsf(made, PROVENANCE, tmp_path).values()))
    content = gsf(str(path))
    beams = next(ping for _, _, ping in content.iter_records("SWATH_BATHYMETRY_PING"))["Beams"]
    content.closeFile()
    first = made.accepted & (made.ping == made.ping[0])
    assert np.abs(np.asarray(beams["Depth_m"]) - made.depth[first]).max() < 1e-4
    assert beams["VerticalError_m"] is None
    made.accepted[:] = False
    assert write_gsf(made, PROVENANCE, tmp_path) == {}


def test_lines_get_names_that_every_file_system_has() -> None:
    names = file_names(("x/1.gsf", "y/1.gsf", "z/ü?.gsf", "1.GSF", "..", ""))
    assert list(names.values()) == ["1.gsf", "1_2.gsf", "line.gsf", "1.GSF.gsf", "line_2.gsf", "line_3.gsf"]


def test_the_stac_item_is_one_and_its_checksums_are_those_of_the_files(tmp_path: Path) -> None:
    made = hills()
    files = {"cog": write_cog(made, PROVENANCE, tmp_path / "S1_cog.tif")}
    judged = judge_surface(made, profile_of("1a"))
    item = json.loads(write_stac(made, PROVENANCE, files, tmp_path / "S1.json", judged).read_text())
    assert {"type", "stac_version", "id", "geometry", "bbox", "properties", "links", "assets"} <= item.keys()
    assert (item["type"], item["stac_version"], item["id"]) == ("Feature", "1.0.0", "S1")
    west, south, east, north = item["bbox"]
    outline = shape(item["geometry"])
    assert outline.is_valid
    assert outline.bounds[0] >= west - 1e-6
    assert outline.bounds[3] <= north + 1e-6
    assert -38.0 < south < north < -37.9
    assert 146.99 < west < east < 147.01
    properties = item["properties"]
    assert properties["datetime"] is None
    assert properties["start_datetime"] == "2026-02-01T00:00:00Z"
    assert (properties["proj:epsg"], properties["proj:shape"]) == (32755, [60, 80])
    assert properties["proj:transform"] == [1.0, 0.0, 500_000.0, 0.0, -1.0, 5_800_000.0]
    assert properties["strandline:checks"]["tvu"] == "pass"
    asset = item["assets"]["cog"]
    assert asset["href"] == "./S1_cog.tif"
    assert asset["file:checksum"] == f"1220{sha256_of(files['cog'])}"
    assert asset["type"].endswith("profile=cloud-optimized")
    alone = stac_item(made, replace(PROVENANCE, start=None, end=None), files, tmp_path)
    assert alone["properties"]["datetime"] == "2026-03-01T12:30:00Z"


def test_a_survey_on_the_date_line_has_a_box_that_begins_in_the_east() -> None:
    place = hills(crs="EPSG:32760", west=817_400.0, north=8_007_800.0, cell=100.0)
    item = stac_item(place, PROVENANCE, {}, Path())
    assert item["bbox"][0] > 179.0
    assert item["bbox"][2] < -179.0
    assert item["geometry"]["type"] == "MultiPolygon"
    longitudes = shape(item["geometry"]).bounds
    assert (longitudes[0], longitudes[2]) == (-180.0, 180.0)


def test_the_zip_is_the_same_for_the_same_files_and_lists_them(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    files = [tmp_path / "b.json", tmp_path / "sub" / "a.tif"]
    for file in files:
        file.write_bytes(file.name.encode() * 1000)
    one, two = (
        write_zip(order, tmp_path / name, tmp_path) for order, name in ((files, "1.zip"), (files[::-1], "2.zip"))
    )
    assert one.read_bytes() == two.read_bytes()
    with zipfile.ZipFile(one) as archive:
        assert archive.namelist() == ["b.json", "sub/a.tif", "manifest.json"]
        assert archive.testzip() is None
        listed = json.loads(archive.read("manifest.json"))
    assert listed[1] == {"path": "sub/a.tif", "size": 5000, "sha256": sha256_of(files[1])}
    (tmp_path / "a.tif").write_bytes(b"")
    with pytest.raises(ValueError, match=r"two files would be 'a\.tif'"):
        write_zip([files[1], tmp_path / "a.tif"], tmp_path / "3.zip")


@pytest.mark.parametrize("size", [(60, 80), (1300, 1000), (3, 900), (1, 1)])
def test_pictures_are_small_enough_for_the_event_log(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(5)
    rough = surface(20.0 + rng.normal(0.0, 3.0, size), uncertainty=rng.random(size))
    for picture in (hillshade_png(rough), depth_histogram_png(rough), uncertainty_map_png(rough, "1a")):
        assert len(picture) <= MOST_BYTES
        assert Image.open(io.BytesIO(picture)).format == "PNG"


def test_the_relief_shows_where_there_is_data_and_the_map_where_it_is_too_uncertain() -> None:
    made = hills()
    image = np.asarray(Image.open(io.BytesIO(hillshade_png(made))).convert("RGB")).astype(int)
    assert image.shape[:2] == (5 * made.depth.shape[0], 5 * made.depth.shape[1]), "a small one is shown larger"
    image = image[2::5, 2::5]
    white = (image > 250).all(axis=2)
    assert white[np.isnan(made.depth)].all()
    assert not white[np.isfinite(made.depth)].any()
    sure, unsure = (
        np.asarray(Image.open(io.BytesIO(uncertainty_map_png(surface(made.depth, uncertainty=value), "1a"))).convert("RGB")).astype(int)
        for value in (0.05, 5.0)
    )  # fmt: skip
    middle = (slice(150, 200), slice(180, 300))
    assert sure[middle][..., 1].mean() > sure[middle][..., 0].mean()
    assert unsure[middle][..., 0].mean() > unsure[middle][..., 1].mean() + 50
    for picture in (hillshade_png, depth_histogram_png, lambda one: uncertainty_map_png(one, "1a")):
        assert picture(surface(np.full((9, 9), NAN)))


def test_made_at_is_in_the_files_in_utc() -> None:
    from datetime import timedelta, timezone

    east = replace(PROVENANCE, made_at=datetime(2026, 3, 1, 22, 30, tzinfo=timezone(timedelta(hours=10))))
    assert east.said_of(hills())["made_at"] == "2026-03-01T12:30:00Z"
    assert PROVENANCE.made_at.tzinfo is UTC
