"""Ready-made BAGs: the pair that CARIS wrote, BAGs of our own, and what is refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from pipeline_assets.bathymetry.judge.bag_structure import bag_structure
from pipeline_assets.bathymetry.judge.checks import judge_surface
from pipeline_assets.bathymetry.judge.compare import compare
from pipeline_assets.bathymetry.judge.profiles import profile_of
from pipeline_assets.bathymetry.landed_surface.bag import read_bag
from pipeline_assets.bathymetry.landed_surface.bag_metadata import read_metadata
from pipeline_assets.bathymetry.products.bag import write_bag
from pipeline_assets.landed_file import Refused
from tests.bathymetry.surfaces import PROVENANCE, hills


@pytest.fixture(scope="session")
def caris() -> Path:
    """The folder of BAGs that CARIS wrote: below STRANDLINE_TEST_DATA, or shared/data beside the repository."""
    default = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("STRANDLINE_TEST_DATA") or default) / "bathymetry" / "bag"
    if not folder.is_dir():
        pytest.skip(f"no BAGs in {folder}; set STRANDLINE_TEST_DATA to the folder that holds bathymetry/")
    return folder


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    return write_bag(hills(), PROVENANCE, tmp_path / "S1.bag")


def test_the_surface_of_one_resolution_that_caris_wrote(caris: Path) -> None:
    found = read_bag(caris / "qax_tiny_sr.bag")
    grid, known = found.grid, np.isfinite(found.depth)
    assert (grid.rows, grid.columns, grid.cell, grid.crs) == (87, 117, 0.5, "EPSG:32619")
    assert (grid.west, grid.north) == (361_167.25, 4_769_776.25)
    # As the file's own attributes have them.
    assert float(found.depth[known].min()) == np.float32(12.0697775)
    assert float(found.depth[known].max()) == np.float32(13.768925)
    assert float(found.uncertainty[known].min()) == np.float32(0.15757914)
    assert float(found.uncertainty[known].max()) == np.float32(0.1624623)
    assert found.vertical_datum == "//"


def test_the_surface_of_several_resolutions_that_caris_wrote(caris: Path) -> None:
    found = read_bag(caris / "qax_tiny_vr.bag")
    known = np.isfinite(found.depth)
    assert found.grid.cell == 0.5
    assert float(found.depth[known].min()) == np.float32(12.063181)
    assert float(found.depth[known].max()) == np.float32(13.727089)
    assert float(found.uncertainty[known].min()) == np.float32(0.021492217)
    assert float(found.uncertainty[known].max()) == np.float32(0.07675032)
    with h5py.File(caris / "qax_tiny_vr.bag") as content:
        nodes = content["BAG_root/varres_refinements"]["depth"]
    assert int(known.sum()) == int(np.count_nonzero(nodes != 1e6))


def test_a_bag_with_cells_as_gdal_reads_them(caris: Path, bag: Path) -> None:
    import rasterio

    for path in (caris / "qax_tiny_sr.bag", bag):
        found = read_bag(path)
        with rasterio.open(path, driver="BAG") as content:
            bands = content.read([1, 2], masked=True).filled(np.nan)
            assert (content.transform.c, content.transform.f) == (found.grid.west, found.grid.north)
        assert np.array_equal(-bands[0], found.depth, equal_nan=True)
        assert np.array_equal(bands[1], found.uncertainty, equal_nan=True)


def test_checks_run_on_a_landed_bag(caris: Path) -> None:
    judged = {one.name: one for one in judge_surface(read_bag(caris / "qax_tiny_sr.bag"), profile_of("special"))}
    assert judged["tvu"].passed
    assert judged["uncertainty_sanity"].passed
    assert "has no density" in judged["density"].not_judged
    assert "No vertical datum is declared" in judged["crs_and_datum"].message


def test_the_structure_of_bags_that_caris_wrote(caris: Path) -> None:
    for name in ("qax_tiny_sr.bag", "qax_tiny_vr.bag"):
        judged = bag_structure(caris / name)
        assert judged.message == "The metadata declares no vertical datum; expected its WKT."
    assert bag_structure(caris / "qax_tiny_sr.bag").metadata["corner points"] == "117 by 87 cells apart"


def test_a_written_bag_reads_as_the_surface_that_it_was_made_of(bag: Path) -> None:
    made, found = hills(), read_bag(bag)
    for name in ("depth", "uncertainty", "std_dev", "density", "hypotheses"):
        assert np.array_equal(getattr(found, name), getattr(made, name), equal_nan=True), name
    assert np.array_equal(found.shoal, made.shoal, equal_nan=True)
    assert found.grid == made.grid
    assert found.vertical_datum == "MSL"
    assert compare(made, found, share=1.0, same_cells=1.0).passed


def _edited(path: Path, edit: Callable[[Any], None]) -> Path:
    with h5py.File(path, "r+") as content:
        edit(content["BAG_root"])
    return path


def _text(old: bytes, new: bytes) -> Callable[[Any], None]:
    def edit(root: Any) -> None:
        text = root["metadata"][()].tobytes()
        assert old in text
        del root["metadata"]
        root["metadata"] = np.frombuffer(text.replace(old, new), "S1")

    return edit


def _drop(name: str) -> Callable[[Any], None]:
    return lambda root: root.__delitem__(name)


def _replace(name: str, values: Any) -> Callable[[Any], None]:
    def edit(root: Any) -> None:
        del root[name]
        root[name] = values

    return edit


def _huge(root: Any) -> None:
    del root["elevation"]
    root.create_dataset("elevation", shape=(400_000, 400_000), dtype="f4", chunks=(1000, 1000))


def _elsewhere(root: Any) -> None:
    del root["elevation"]
    root["elevation"] = h5py.ExternalLink("/etc/passwd", "/x")


@pytest.mark.parametrize(
    ("edit", "error_class", "said"),
    [
        (_drop("uncertainty"), "bag_structure", "has no uncertainty"),
        (_drop("metadata"), "bag_structure", "has no metadata"),
        (_replace("elevation", np.zeros((3, 4), "f4")), "bag_structure", "expected the same of all"),
        (_replace("metadata", np.frombuffer(b"no xml", "S1")), "bag_metadata", "is no XML"),
        (
            _replace("metadata", np.frombuffer(b'<smXML:MD_Metadata xmlns:smXML="http://metadata.dgiwg.org/smXML"/>', "S1")),
            "bag_metadata", "has dimensions none",
        ),
        (_replace("metadata", np.zeros(9, "f8")), "damaged_bag", "expected text"),
        (_text(b"<gmi:MI_Metadata", b"<!DOCTYPE x [<!ENTITY a 'b'>]><gmi:MI_Metadata"), "bag_metadata", "document type"),
        (_text(b"PROJCS[", b"NONSENSE["), "bag_metadata", "expected a WKT that PROJ knows"),
        (_huge, "bag_too_large", "160,000,000,000 cells"),
        (_elsewhere, "unsafe_bag", "points elsewhere"),
    ],
)  # fmt: skip
def test_what_is_no_sound_bag_is_refused(bag: Path, edit: Callable[[Any], None], error_class: str, said: str) -> None:
    with pytest.raises(Refused, match=said) as caught:
        read_bag(_edited(bag, edit))
    assert caught.value.error_class == error_class
    assert not bag_structure(bag).passed


def test_other_files_are_no_bags(tmp_path: Path) -> None:
    for name, content in (("text", b"depth,density\n"), ("short", b"\x89HDF\r\n\x1a\n"), ("nothing", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(Refused) as caught:
            read_bag(tmp_path / name)
        assert caught.value.error_class in ("not_bag", "damaged_bag")
    with h5py.File(tmp_path / "other.h5", "w") as content:
        content["x"] = 1
    with pytest.raises(Refused, match="no group BAG_root"):
        read_bag(tmp_path / "other.h5")


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda root: root.attrs.__delitem__("Bag Version"), "has no attribute 'Bag Version'"),
        (_drop("tracking_list"), "has no tracking_list"),
        (lambda root: root["uncertainty"].__setitem__((50, 60), -1.0), "1 uncertainties are negative"),
        (lambda root: root["elevation"].__setitem__(Ellipsis, 1e6), "elevation has no value at all"),
        (_replace("elevation", np.zeros((60, 80), "f8")), "type float64; expected two and float32"),
        (_text(b"mean sea level", b"unknown"), "declares no vertical datum"),
    ],
)  # fmt: skip
def test_faults_of_the_structure_are_told(bag: Path, edit: Callable[[Any], None], said: str) -> None:
    assert bag_structure(bag, strict_corners=True).passed, bag_structure(bag, strict_corners=True).message
    judged = bag_structure(_edited(bag, edit))
    assert not judged.passed
    assert said in judged.message


def test_corner_points_that_do_not_fit_are_told(bag: Path) -> None:
    with h5py.File(bag) as content:
        corners = read_metadata(content["BAG_root/metadata"][()].tobytes()).corners
    assert corners == (500_000.5, 5_799_940.5, 500_079.5, 5_799_999.5)
    for moved, is_passed in ((580.0, False), (80.0, True)):
        edited = _edited(bag, _corner(500_000.5 + moved, 5_799_940.5 + (60.0 if is_passed else 59.0)))
        assert bag_structure(edited).passed is is_passed
        assert not bag_structure(edited, strict_corners=True).passed


def _corner(east: float, north: float) -> Callable[[Any], None]:
    import re

    def edit(root: Any) -> None:
        text = root["metadata"][()].tobytes()
        new = re.sub(
            rb"(<gml:coordinates[^>]*>[^ <]+ )[^<]*(</gml:coordinates>)", rb"\g<1>%f,%f\g<2>" % (east, north), text
        )
        assert new != text
        del root["metadata"]
        root["metadata"] = np.frombuffer(new, "S1")

    return edit


def test_the_pair_that_caris_wrote_lies_on_each_other(caris: Path) -> None:
    """The nodes of the one are between those of the other; moved by half a cell they would differ by more than twice as much."""
    from scipy.interpolate import RegularGridInterpolator

    one, other = read_bag(caris / "qax_tiny_sr.bag"), read_bag(caris / "qax_tiny_vr.bag")
    rows, columns = np.nonzero(np.isfinite(other.depth))
    x = other.grid.west + (columns + 0.5) * other.grid.cell
    y = other.grid.north - (rows + 0.5) * other.grid.cell

    def rms(moved: float) -> float:
        centres_x = one.grid.west + (np.arange(one.grid.columns) + 0.5) * one.grid.cell + moved
        centres_y = one.grid.north - (np.arange(one.grid.rows) + 0.5) * one.grid.cell + moved
        between = RegularGridInterpolator((centres_y[::-1], centres_x), one.depth[::-1], bounds_error=False)
        difference = between(np.stack([y, x], axis=1)) - other.depth[rows, columns]
        return float(np.sqrt(np.nanmean(difference**2)))

    assert rms(0.0) == pytest.approx(0.01337, abs=1e-4)
    assert rms(0.25) > 2.0 * rms(0.0)
