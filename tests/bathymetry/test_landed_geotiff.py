"""Ready-made GeoTIFFs: files of one band and of three, signs, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine, from_origin

from pipeline_assets.bathymetry.judge.checks import blocks, judge_surface
from pipeline_assets.bathymetry.judge.profiles import profile_of
from pipeline_assets.bathymetry.landed_surface.geotiff import read_geotiff
from pipeline_assets.bathymetry.products.geotiff import write_cog, write_triplet
from pipeline_assets.landed_file import Refused
from tests.bathymetry.surfaces import CRS, PROVENANCE, hills


def tiff(path: Path, values: np.ndarray, names: tuple[str, ...] = (), **other: Any) -> Path:
    bands = values[None] if values.ndim == 2 else values
    shape = {
        "driver": "GTiff", "count": len(bands), "height": bands.shape[1], "width": bands.shape[2], "dtype": bands.dtype.name,
        "crs": CRS, "transform": from_origin(500_000.0, 5_800_000.0, 1.0, 1.0), **other,
    }  # fmt: skip
    with rasterio.open(path, "w", **{name: value for name, value in shape.items() if value is not None}) as content:
        content.write(bands)
        for index, name in enumerate(names, start=1):
            content.set_band_description(index, name)
    return path


def test_our_own_files_come_back_as_they_were(tmp_path: Path) -> None:
    made = hills()
    three = read_geotiff(list(write_triplet(made, PROVENANCE, tmp_path).values()), "MSL")
    one = read_geotiff([write_cog(made, PROVENANCE, tmp_path / "S1_cog.tif")], "MSL")
    for found in (three, one):
        assert found.grid == made.grid
        for name in ("depth", "uncertainty", "density"):
            assert np.array_equal(getattr(found, name), getattr(made, name), equal_nan=True), name
    assert not blocks(judge_surface(three, profile_of("1a")), profile_of("1a"))


def test_a_lone_band_is_the_depth_of_any_type_with_its_own_no_data(tmp_path: Path) -> None:
    depth = np.array([[-10, -11], [-32768, -12]], dtype=np.int16)
    found = read_geotiff([tiff(tmp_path / "a.tif", depth, nodata=-32768)], "LAT")
    assert np.array_equal(found.depth, [[10.0, 11.0], [np.nan, 12.0]], equal_nan=True)
    assert np.isnan(found.uncertainty).all()
    assert not found.density.any()


def test_the_sign_is_declared_and_held_against_the_depths(tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.tif", np.full((4, 4), 10.0, np.float32))
    with pytest.raises(Refused, match="positive up, as is declared; they look positive down") as caught:
        read_geotiff([path], "MSL")
    assert caught.value.error_class == "depth_sign"
    assert float(read_geotiff([path], "MSL", positive_down=True).depth[0, 0]) == 10.0
    assert float(read_geotiff([path], "Ellipsoid").depth[0, 0]) == -10.0


@pytest.mark.parametrize(
    ("other", "names", "error_class", "said"),
    [
        ({"crs": None}, (), "geotiff_grid", "does not say where it lies"),
        ({"crs": "EPSG:4326", "transform": from_origin(147.0, -38.0, 1e-5, 1e-5)}, (), "geotiff_grid", "in degrees"),
        ({"transform": from_origin(0.0, 0.0, 1.0, 2.0)}, (), "geotiff_grid", "expected square"),
        ({"transform": Affine(1.0, 0.1, 0.0, 0.1, -1.0, 0.0)}, (), "geotiff_grid", "or turned ones"),
        ({}, ("Uncertainty",), "geotiff_bands", "No band is named Depth"),
    ],
)  # fmt: skip
def test_what_is_no_surface_is_refused(
    tmp_path: Path, other: dict[str, Any], names: tuple[str, ...], error_class: str, said: str
) -> None:
    path = tiff(tmp_path / "a.tif", np.full((4, 4), -10.0, np.float32), names, **other)
    with pytest.raises(Refused, match=said) as caught:
        read_geotiff([path], "MSL")
    assert caught.value.error_class == error_class


def test_bands_without_names_doubled_layers_and_other_grids_are_refused(tmp_path: Path) -> None:
    values = np.full((4, 4), -10.0, np.float32)
    two = tiff(tmp_path / "two.tif", np.stack([values, values]))
    with pytest.raises(Refused, match="has 2 bands, none of them named"):
        read_geotiff([two], "MSL")
    depth = tiff(tmp_path / "depth.tif", values, ("Depth",))
    with pytest.raises(Refused, match="the layer depth once more"):
        read_geotiff([depth, tiff(tmp_path / "again.tif", values, ("Depth",))], "MSL")
    with pytest.raises(Refused, match="expected one grid for all"):
        read_geotiff([depth, tiff(tmp_path / "other.tif", values[:3], ("Density",))], "MSL")


def test_a_small_file_that_unpacks_to_much_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = _sparse(tmp_path / "bomb.tif")
    assert path.stat().st_size < 3_000_000
    with pytest.raises(Refused, match="100,000 by 100,000 cells") as caught:
        read_geotiff([path], "MSL")
    assert caught.value.error_class == "geotiff_too_large"


def _sparse(path: Path) -> Path:
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=100_000, width=100_000, dtype="float32", crs=CRS, tiled=True, blockxsize=1024,
        blockysize=1024, sparse_ok=True, transform=from_origin(500_000.0, 5_800_000.0, 1.0, 1.0),
    ):  # fmt: skip
        pass
    return path


def test_other_files_are_no_geotiffs(tmp_path: Path) -> None:
    for name, content in (("a.tif", b"<VRTDataset/>"), ("b.tif", b""), ("c.tif", b"II*\0" + b"\xff" * 60)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(Refused) as caught:
            read_geotiff([tmp_path / name], "MSL")
        assert caught.value.error_class in ("not_geotiff", "damaged_geotiff")
