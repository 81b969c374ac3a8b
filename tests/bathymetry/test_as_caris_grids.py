"""Surveys of Kongsberg's files, gridded as CARIS was told to: from landing to the surface."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import h5py
import numpy as np
import pytest

from pipeline_assets.bathymetry.config import BathymetryConfig, Declared, declared_for
from pipeline_assets.bathymetry.examples import declaration
from pipeline_assets.bathymetry.grid.config import CubeParameters
from pipeline_assets.bathymetry.made_survey import CRS, MadeLine, Plan, lines
from pipeline_assets.bathymetry.products.stored import load_surface
from pipeline_assets.bathymetry.read.line import DeclaredCube
from pipeline_assets.bathymetry.source import BATHYMETRY
from pipeline_assets.landed_file import LandedFile, Refused
from pipeline_assets.reading_units import parse
from tests.bathymetry.kongsberg import all_file, kmall
from tests.bathymetry.landing import Landed, landing
from tests.bathymetry.test_caris import metadata_of, xml_of

TWO = (
    b"<CUBEParams><Configuration name='AusSeabed_002m'><Queue_Length value='7'/><Horiz_Error_Scalar value='2'/></Configuration>"
    b"<Configuration name='AusSeabed_004m'><Queue_Length value='5'/></Configuration></CUBEParams>"
)
ONE = xml_of().encode()


def bag(order: str = "S44_SPECIAL", resolution: str = "2 m") -> bytes:
    """What CARIS writes into a BAG of how it was made."""
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        text = metadata_of(xml_of(), disambiguation="DENSITY", order=order, resolution=resolution)
        file["BAG_root/metadata"] = np.frombuffer(text, "S1")
    return content.getvalue()


def declared(config: BathymetryConfig = BathymetryConfig(), **files: bytes) -> Declared:  # noqa: B008
    beside = {
        name.replace("_", "."): LandedFile(f"bathymetry/s/{name.replace('_', '.')}", data=data)
        for name, data in files.items()
    }
    return declared_for(LandedFile("bathymetry/s/line.gsf", data=b"", companions=beside), config)


def test_parameters_beside_the_lines() -> None:
    said = declaration(order="1b", cube_configuration="AusSeabed_002m")
    from_xml = declared(survey_json=said, cube_xml=TWO)
    assert from_xml.cube == CubeParameters(queue_length=7, horizontal_error_scale=2.0)
    assert (from_xml.order, from_xml.cell_m) == ("1b", None)
    # A BAG also says its order and its cells, which count where nothing else is declared.
    from_bag = declared(cube_bag=bag())
    assert from_bag.cube is not None
    assert (from_bag.cube.queue_length, from_bag.cube.disambiguation) == (9, "density")
    assert (from_bag.order, from_bag.cell_m) == ("special", 2.0)
    own = declared(survey_json=declaration(order="2", cell_m=4), cube_bag=bag())
    assert (own.order, own.cell_m, own.cube) == ("2", 4.0, from_bag.cube)
    assert declared(survey_json=declaration(cube={"queue_length": 5})).cube == CubeParameters(queue_length=5)
    assert declared().cube is None


@pytest.mark.parametrize(
    ("files", "error_class", "told"),
    [
        ({"cube_xml": ONE, "cube_bag": bag()}, "bad_declaration", "cube.xml and cube.bag are there. Keep one"),
        ({"survey_json": declaration(cube={}), "cube_xml": ONE}, "bad_declaration", "cube.xml and cube are there"),
        ({"survey_json": declaration(cube_configuration="x")}, "bad_declaration", "no cube.xml lies beside it"),
        ({"survey_json": declaration(cube={"queue_length": 4})}, "bad_declaration", "odd length"),
        ({"cube_xml": TWO}, "bad_cube_parameters", "expected one of them to be named"),
        (
            {"survey_json": declaration(cube_configuration="002m"), "cube_xml": TWO},
            "bad_cube_parameters",
            "no configuration '002m'; it has AusSeabed_002m, AusSeabed_004m",
        ),
        (
            {"survey_json": declaration(cube_configuration="002m"), "cube_bag": bag()},
            "bad_cube_parameters",
            "Leave cube_configuration out",
        ),
        ({"cube_bag": b"\x89HDF\r\n\x1a\n"}, "bad_bag", "cannot be read"),
    ],
)
def test_what_says_it_twice_or_not_at_all(files: dict[str, bytes], error_class: str, told: str) -> None:
    with pytest.raises(Refused, match=told) as caught:
        declared(**files)
    assert caught.value.error_class == error_class


def test_the_file_itself_is_read_in_its_place_alone() -> None:
    said = {
        "survey.json": LandedFile("bathymetry/s/survey.json", data=declaration(cube_configuration="AusSeabed_004m"))
    }
    found = parse(BATHYMETRY, BathymetryConfig(), LandedFile("bathymetry/s/cube.xml", data=TWO, companions=said))
    assert isinstance(found, DeclaredCube)
    assert found.gridding.cube.queue_length == 5
    with pytest.raises(Refused, match="Put it into the survey's folder"):
        parse(BATHYMETRY, BathymetryConfig(), LandedFile("bathymetry/s/more/cube.xml", data=ONE))
    with pytest.raises(Refused) as caught:
        parse(BATHYMETRY, BathymetryConfig(), LandedFile("bathymetry/s/other.xml", data=ONE))
    assert caught.value.error_class == "no_reader_version"


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Landed]:
    with landing(tmp_path_factory, "by_xml") as (made, _):
        yield made


def test_surveys_are_gridded_as_caris_was_told_to(home: Landed) -> None:
    made: MadeLine = next(iter(lines(Plan(seed=5, width_m=24, height_m=20, ping_m=0.5, beams=96, gaps=0))))
    said = declaration(crs=CRS, vertical_datum="MSL", order="1a", cell_m=1, cube_configuration="AusSeabed_002m")
    surveys = {
        "by_xml": {"survey.json": said, "cube.xml": TWO, "0001.kmall": kmall(made)},
        "by_bag": {
            "survey.json": declaration(crs=CRS, vertical_datum="MSL"),
            "cube.bag": bag(),
            "0001.all": all_file(made),
        },
        "by_none": {"survey.json": declaration(crs=CRS), "cube.xml": b"<CUBEParams/>", "0001.kmall": kmall(made)},
    }
    for survey, files in surveys.items():
        home.land(survey, files | {"survey.done": b"done\n"})
    home.run("drain", "--json", code=3)  # 3: files were refused
    read = home.sql("SELECT survey, kind, soundings FROM bathymetry.lines ORDER BY survey")
    made_so = home.sql("SELECT survey, s44_order, cell_m, parameters FROM bathymetry.surfaces ORDER BY survey")
    refused = home.sql("SELECT key, error_class FROM operations.quarantine ORDER BY key")
    assert read == [("by_bag", "all", len(made.x)), ("by_xml", "kmall", len(made.x))]
    assert [one[:3] for one in made_so] == [("by_bag", "special", 2.0), ("by_xml", "1a", 1.0)]
    bag_parameters, xml_parameters = (json.loads(one[3]) for one in made_so)
    assert (xml_parameters["queue_length"], xml_parameters["horizontal_error_scale"]) == (7, 2.0)
    assert (bag_parameters["queue_length"], bag_parameters["disambiguation"]) == (9, "density")
    assert bag_parameters["capture_min_m"] == 0.5
    # As nobody knows how it is to be gridded, nothing of the survey is.
    assert refused == [(f"bathymetry/by_none/{name}", "bad_cube_parameters") for name in ("0001.kmall", "cube.xml")]
    surface, _ = load_surface(home.product("surface"))
    assert np.isfinite(surface.depth).sum() > 24 * 40
