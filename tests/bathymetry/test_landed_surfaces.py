"""Surfaces that land ready-made, through the front door: rows, products, checks by their order, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from rasterio.transform import from_origin

from cli.main import main
from pipeline_assets import registry
from pipeline_assets.bathymetry.config import BathymetryConfig
from pipeline_assets.bathymetry.examples import declaration
from pipeline_assets.bathymetry.landed_rows import from_rows
from pipeline_assets.bathymetry.products.bag import write_bag
from pipeline_assets.bathymetry.products.geotiff import write_cog, write_triplet
from pipeline_assets.bathymetry.products.landed import JUDGED
from pipeline_assets.bathymetry.products.landed_folder import landed_here
from pipeline_assets.bathymetry.read.surface_file import LandedSurface
from pipeline_assets.bathymetry.source import BATHYMETRY
from pipeline_assets.bathymetry.surface import LAYERS, Surface
from pipeline_assets.columns import BATCH_ID, FILE_ID, to_table
from pipeline_assets.landed_file import LandedFile, Refused
from pipeline_assets.reading_units import derive, parse
from resources.platform import Platform
from resources.settings import Settings
from tests.bathymetry.conftest import real_folder
from tests.bathymetry.surfaces import CRS, NAN, PROVENANCE, hills, surface
from tests.running import rows_of

CONFIG = BathymetryConfig()
MSL = {"crs": CRS, "vertical_datum": "MSL"}


def bag(folder: Path, made: Surface) -> bytes:
    return write_bag(made, PROVENANCE, folder / "made.bag").read_bytes()


def cog(folder: Path, made: Surface) -> bytes:
    return write_cog(made, PROVENANCE, folder / "made_cog.tif").read_bytes()


def triplet(folder: Path, made: Surface) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in write_triplet(made, PROVENANCE, folder).values()}


def read(data: bytes, name: str = "made.bag", config: BathymetryConfig = CONFIG, **declared: Any) -> LandedSurface:
    """What the source makes of a file beside a survey.json."""
    beside = LandedFile("bathymetry/S1/survey.json", data=declaration(**declared)) if declared else None
    companions = {} if beside is None else {"survey.json": beside}
    found = parse(BATHYMETRY, config, LandedFile(f"bathymetry/S1/{name}", data=data, companions=companions))
    assert isinstance(found, LandedSurface)
    return found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A drained home: ready-made surfaces of a survey, of another without a survey.json, and CARIS's, where they are there."""
    home, made = tmp_path_factory.mktemp("surfaces") / "home", tmp_path_factory.mktemp("made")
    shallow = hills()
    shallow.density[40:, 40:] = 2
    files = {
        "ready/survey.json": declaration(**MSL, order="1a", extent=[146, -39, 148, -37]),
        "ready/whole.bag": bag(made, hills()),
        "ready/sparse/cog.tif": cog(made, shallow),
        **{f"ready/{name}": data for name, data in triplet(made, hills(20, 30)).items()},
        "north/survey.json": declaration(crs="EPSG:32655", vertical_datum="MSL"),
        "north/whole.bag": bag(made, hills()),
    }
    caris = real_folder() / "bag"
    for name in ("qax_tiny_sr.bag", "qax_tiny_vr.bag") if caris.is_dir() else ():
        files[f"caris/{name}"] = (caris / name).read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"HOME": home, "SETTLE_SECONDS": 0.05, "WORKERS": 1}.items():
            patch.setenv(f"STRANDLINE_{name}", str(value))
        patch.setattr(registry, "SOURCES", (BATHYMETRY,))
        patch.setattr(registry.get_source, "__defaults__", ((BATHYMETRY,),))
        for key, data in files.items():
            path = made / "land" / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            assert CliRunner().invoke(main, ["land", "bathymetry", str(path), "--key", key]).exit_code == 0
        done = CliRunner().invoke(main, ["drain", "--json"])
        assert done.exit_code == 3, done.output[-2000:]
        assert json.loads(done.stdout)["products"] == []
        yield home


def sql(home: Path, query: str) -> list[tuple[Any, ...]]:
    platform = Platform(Settings(home=home))
    try:
        return rows_of(platform, query)
    finally:
        platform.close()


def test_surfaces_that_land_are_rows_like_the_ones_that_are_made(home: Path) -> None:
    query = "SELECT surface, method, cell_m, cells, soundings, s44_order, vertical_datum FROM bathymetry.surfaces"
    found = {row[0]: row[1:] for row in sql(home, f"{query} WHERE survey = 'ready'")}
    known = hills()
    cells, soundings = int(np.isfinite(known.depth).sum()), int(known.density.sum())
    assert found["whole.bag"] == ("landed BAG", 1.0, cells, soundings, "1a", "MSL")
    assert found.keys() == {"whole.bag", "sparse/cog.tif", "S1.tif"}
    small = hills(20, 30)
    assert found["S1.tif"][:4] == ("landed GeoTIFF", 1.0, int(np.isfinite(small.depth).sum()), int(small.density.sum()))
    files = sql(
        home, "SELECT surface, layers FROM bathymetry.landed_surfaces WHERE surface = 'S1.tif' ORDER BY source_key"
    )
    assert files == [("S1.tif", layer) for layer in ("density", "depth", "uncertainty")]
    depths = "SELECT max(depth_m), count(*) FROM bathymetry.landed_cells WHERE surface = 'whole.bag'"
    assert sql(home, depths) == [(float(np.nanmax(known.depth)), cells)]
    made = sql(home, "SELECT product, state FROM operations.products WHERE partition = 'ready'")
    assert {state for _, state in made} == {"made"}
    assert not (home / "products/bathymetry/ready/surface").exists(), "no line, so nothing was gridded"


def test_a_surface_is_kept_to_the_last_bit(home: Path) -> None:
    kept = {one.name: one for one in landed_here(home / "products/bathymetry/ready/landed_surface")}
    assert {name: len(one.files) for name, one in kept.items()} == {"S1.tif": 3, "sparse/cog.tif": 1, "whole.bag": 1}
    for name, made in {"whole.bag": hills(), "S1.tif": hills(20, 30)}.items():
        found, provenance = kept[name].load()
        assert found.grid == made.grid
        for layer in LAYERS if name == "whole.bag" else ("depth", "density", "uncertainty"):
            np.testing.assert_array_equal(getattr(found, layer), getattr(made, layer), layer)
        assert len(provenance.inputs) == len(kept[name].files)


def test_every_check_is_made_of_each_by_the_order(home: Path) -> None:
    query = "SELECT surface, check_name, state, failing_cells FROM bathymetry.check_results WHERE survey = 'ready'"
    found = {(surface, name): (state, failing) for surface, name, state, failing in sql(home, query)}
    for kept, of_file in (("whole.bag", "bag_structure"), ("S1.tif", "cog"), ("sparse/cog.tif", "cog")):
        assert {name for one, name in found if one == kept} == {*JUDGED} - ({"bag_structure", "cog"} - {of_file})
    assert {key for key, (state, _) in found.items() if state == "fail"} == {("sparse/cog.tif", "density")}
    assert found["sparse/cog.tif", "density"][1] == 800.0
    assert found["S1.tif", "cog"][0] == "warning", "it has one band a file, and is not cloud-optimized"
    folder = home / "products/bathymetry/ready/landed_checks"
    (cells,) = folder.glob("*/*_density.geojson")
    assert json.loads(cells.read_text())["cells"] == 800
    assert len(list(folder.glob("*/*_qa.json"))) == 3


def test_a_surface_of_another_crs_than_its_survey_is_refused_by_name(home: Path) -> None:
    query = "SELECT key, error_class, error FROM operations.quarantine"
    ((key, error_class, error),) = sql(home, query)
    assert (key, error_class) == ("bathymetry/north/whole.bag", "crs_mismatch")
    assert "EPSG:32655 is declared" in error
    assert not (home / "products/bathymetry/north").exists()


def test_the_pair_that_caris_wrote_has_its_known_figures(home: Path) -> None:
    if not (real_folder() / "bag").is_dir():
        pytest.skip(f"no BAGs in {real_folder()}; set STRANDLINE_TEST_DATA to the folder that holds bathymetry/")
    columns = (
        "surface, cell_m, grid_rows, grid_columns, crs, depth_min_m, depth_max_m, uncertainty_min_m, uncertainty_max_m"
    )
    query = f"SELECT {columns}, own_datum FROM bathymetry.landed_surfaces WHERE survey = 'caris' ORDER BY surface"
    single, several = sql(home, query)
    assert single[:5] == ("qax_tiny_sr.bag", 0.5, 87, 117, "EPSG:32619")
    # As the files' own attributes have them.
    assert np.float32(single[5:9]).tolist() == np.float32([12.0697775, 13.768925, 0.15757914, 0.1624623]).tolist()
    assert np.float32(several[5:9]).tolist() == np.float32([12.063181, 13.727089, 0.021492217, 0.07675032]).tolist()
    assert (single[9], several[9]) == (None, None)
    states = dict(sql(home, "SELECT check_name, state FROM bathymetry.check_results WHERE surface = 'qax_tiny_sr.bag'"))
    assert states["crs_and_datum"] == "fail", "the file declares no vertical datum, and nobody else does"
    assert states["bag_structure"] == "warning"
    assert states["tvu"] == states["fliers"] == states["uncertainty_sanity"] == "pass"


def wrong_bags() -> dict[str, tuple[Surface, dict[str, Any], str, str]]:
    """By what is wrong: the surface, what is declared, the error class and what is said."""
    high = hills()
    return {
        "another zone": (hills(crs="EPSG:32756"), MSL, "crs_mismatch", "EPSG:32755 is declared"),
        "no place of its zone": (hills(west=1_400_000.0), {}, "wrong_zone", "The UTM zone of such positions is"),
        "beyond the equator": (hills(north=10_900_000.0), {}, "wrong_hemisphere", "the other hemisphere"),
        "not where declared": (hills(), {"extent": [144, -40, 145, -39]}, "outside_extent", "declared extent"),
        "a sign that is turned": (
            replace(high, depth=-high.depth),
            MSL,
            "wrong_sign",
            "has elevations that are negative",
        ),
        "millimetres": (replace(high, depth=high.depth * 1000), MSL, "impossible_depth", "Send metres"),
        "nothing in it": (surface(np.full((8, 8), NAN)), MSL, "empty_surface", "no cell of the surface has a value"),
    }


@pytest.mark.parametrize("wrong", wrong_bags())
def test_a_bag_that_cannot_be_what_it_says_is_refused(wrong: str, tmp_path: Path) -> None:
    made, declared, error_class, said = wrong_bags()[wrong]
    with pytest.raises(Refused, match=said) as caught:
        read(bag(tmp_path, made), **declared)
    assert caught.value.error_class == error_class


def test_heights_of_the_ellipsoid_may_have_either_sign(tmp_path: Path) -> None:
    high = hills()
    data = bag(tmp_path, replace(high, depth=-high.depth, vertical_datum="Ellipsoid"))
    found = read(data, crs=CRS, vertical_datum="Ellipsoid", ellipsoidal=True)
    assert float(np.nanmax(found.surface.depth)) < 0


def test_the_sign_of_a_geotiff_is_declared_or_negative_down(tmp_path: Path) -> None:
    made = hills()
    assert np.array_equal(read(cog(tmp_path, made), "a.tif", **MSL).surface.depth, made.depth, equal_nan=True)
    turned = cog(tmp_path, replace(made, depth=-made.depth))
    with pytest.raises(Refused, match=r'declare "positive": "down"') as caught:
        read(turned, "a.tif", **MSL)
    assert caught.value.error_class == "wrong_sign"
    assert np.array_equal(read(turned, "a.tif", **MSL, positive="down").surface.depth, made.depth, equal_nan=True)


@pytest.mark.parametrize("kind", ["bag", "tif"])
def test_a_surface_of_more_cells_than_are_allowed_is_refused_before_it_is_read(kind: str, tmp_path: Path) -> None:
    data = bag(tmp_path, hills()) if kind == "bag" else cog(tmp_path, hills())
    with pytest.raises(Refused, match="at most 1,000") as caught:
        read(data, f"a.{kind}", BathymetryConfig(max_landed_cells=1000), **MSL)
    assert caught.value.error_class in ("bag_too_large", "geotiff_too_large")


def test_a_small_file_that_unpacks_to_ten_thousand_million_cells_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=100_000, width=100_000, dtype="float32", crs=CRS, tiled=True,
        blockxsize=1024, blockysize=1024, sparse_ok=True, transform=from_origin(500_000.0, 5_800_000.0, 1.0, 1.0),
    ):  # fmt: skip
        pass
    with pytest.raises(Refused, match="100,000 by 100,000 cells"):
        read(path.read_bytes(), "bomb.tif", **MSL)


def test_the_datum_is_as_declared_else_as_the_file_says(tmp_path: Path) -> None:
    data = bag(tmp_path, hills(vertical_datum="LAT"))
    assert (read(data).surface.vertical_datum, read(data).own_datum) == ("LAT", "LAT")
    assert read(data, **MSL).surface.vertical_datum == "MSL"
    assert read(cog(tmp_path, hills()), "a.tif").surface.vertical_datum == "unknown"


def tables(*found: LandedSurface) -> tuple[Any, Any]:
    """The rows of files in the tables `landed_surfaces` and `landed_cells`."""
    import pyarrow as pa

    made = []
    for number, one in enumerate(found):
        rows = derive(BATHYMETRY, CONFIG, one)
        fill = {FILE_ID: f"file {number}", BATCH_ID: "b"}
        made.append([to_table(table.schema, rows[table.name], fill) for table in BATHYMETRY.tables[-2:]])
    return tuple(pa.concat_tables(some) for some in zip(*made, strict=True))  # type: ignore[return-value]


def test_layers_that_are_files_come_together_or_say_why_not(tmp_path: Path) -> None:
    made = hills()
    files = triplet(tmp_path, made)
    layers = [read(data, name, **MSL) for name, data in files.items()]
    (whole,) = from_rows(*tables(*layers))
    assert (whole.name, len(whole.files)) == ("S1.tif", 3)
    for name in ("depth", "density", "uncertainty"):
        np.testing.assert_array_equal(getattr(whole.surface, name), getattr(made, name), name)
    without = [one for one in layers if one.layers != ("depth",)]
    with pytest.raises(Refused, match=r"S1\.tif has density, uncertainty and no depth"):
        from_rows(*tables(*without))
    other = triplet(tmp_path, hills(20, 30))["S1_density.tif"]
    with pytest.raises(Refused, match="has other cells or another CRS than"):
        from_rows(*tables(layers[0], read(other, "S1_density.tif", **MSL)))
    with pytest.raises(Refused, match="both have the layer depth"):
        from_rows(*tables(layers[0], read(cog(tmp_path, made), "S1.tif", **MSL)))


def test_a_lone_band_without_a_name_is_what_its_file_is_called(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    values = np.full((1, 4, 4), -10.0, np.float32)
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=4, width=4, dtype="float32", crs=CRS,
        transform=from_origin(500_000.0, 5_800_000.0, 1.0, 1.0),
    ) as content:  # fmt: skip
        content.write(values)
    assert read(path.read_bytes(), "a.tif", **MSL).layers == ("depth",)
    found = read(path.read_bytes(), "a_Uncertainty.tif", **MSL)
    assert (found.layers, found.name) == (("uncertainty",), "a.tif")
