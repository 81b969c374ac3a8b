"""Parameters of CUBE from CARIS."""

from __future__ import annotations

import os
import random
from html import escape
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline_assets.bathymetry.grid.caris import CarisGridding, cube_parameters, gridding_of_bag, gridding_of_metadata
from pipeline_assets.bathymetry.grid.config import CubeParameters
from pipeline_assets.landed_file import Refused

VALUES = {
    "Distance_Exponent": "2", "Queue_Length": "9", "Quotient_Limit": "255", "Discount_Factor": "1", "Estimate_Offset": "4",
    "Bayes_Factor_Threshold": "0.135", "Run_Length_Threshold": "5", "Capture_Distance_Scale": "5",
    "Capture_Distance_Min": "0.5", "Horiz_Error_Scalar": "2.95", "Density_Strength_Cutoff": "2", "Locale_Strengh_Max": "2.5",
    "Locale_Radius": "1", "Null_Hypothesis_Ratio": "3", "Enable_Null_Hypothesis": "False",
}  # fmt: skip
EXPECTED = CubeParameters(queue_length=9, capture_min_m=0.5, locale_radius_cells=1)


def xml_of(**changed: str | None) -> str:
    given = {name: value for name, value in (VALUES | changed).items() if value is not None}
    inner = "".join(f'<{name} value="{value}"/>' for name, value in given.items())
    return f'<?xml version="1.0"?>\n<CARIS_CUBE_Parameters><Comment value="Ours."/>{inner}</CARIS_CUBE_Parameters>'


def metadata_of(
    settings: str, disambiguation: str = "DENSITY", order: str = "S44_1A", resolution: str = "2 m"
) -> bytes:
    """Metadata as CARIS writes them into a BAG: texts within texts."""

    def port(name: str, value: str) -> str:
        return (
            f"<port><id>{name}</id><source><data><simple><value>{escape(value)}</value></simple></data></source></port>"
        )

    config = f"<port><id>CubeConfig</id><source><attribute><id>CubeConfigSettings</id><value>{escape(settings)}</value></attribute></source></port>"
    ports = (
        config + port("DisambiguationMethod", disambiguation) + port("IHOOrder", order) + port("Resolution", resolution)
    )
    text = f"Method: Create HIPS Grid using CUBE; Parameters: Options = <model><process>{ports}</process></model>\n"
    return f"<gmi:MI_Metadata xmlns:gmi='urn:x'><description>{escape(text)}</description></gmi:MI_Metadata>".encode()


def test_a_file_of_parameters() -> None:
    assert cube_parameters(xml_of()) == cube_parameters(xml_of().encode()) == EXPECTED
    assert cube_parameters(xml_of(Locale_Strengh_Max=None, Locale_Strength_Max="1.5")).locale_strength_max == 1.5


def test_a_file_of_several_configurations() -> None:
    inner = '<Queue_Length value="{}"/>'
    text = f"<CUBEParams><Configuration name='AusSeabed_002m'>{inner.format(7)}</Configuration><Deep>{inner.format(5)}</Deep></CUBEParams>"
    assert cube_parameters(text, "AusSeabed_002m").queue_length == 7
    assert cube_parameters(text, "Deep").queue_length == 5
    with pytest.raises(Refused, match="configurations AusSeabed_002m, Deep; expected one of them to be named"):
        cube_parameters(text)
    with pytest.raises(Refused, match="no configuration 'Shallow'; it has AusSeabed_002m, Deep"):
        cube_parameters(text, "Shallow")


@pytest.mark.parametrize(
    ("xml", "told"),
    [
        ("not xml", "are no XML"),
        ("<a/>", "the XML <a> has no parameters of CUBE; expected elements such as"),
        (xml_of(Queue_Length="eleven"), "Queue_Length is 'eleven'; expected a number"),
        (xml_of(Queue_Length="10"), "queue_length: Value error, the median queue needs an odd length"),
        (xml_of(Queue_Length="nan"), "queue_length"),
        (xml_of(Capture_Distance_Min="-1"), "capture_min_m: Input should be greater than 0"),
        (xml_of(Enable_Null_Hypothesis="True"), "set Enable_Null_Hypothesis to False"),
        (xml_of(Magic="1"), "the parameter Magic is unknown here; expected only: .*Queue_Length"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "have a DOCTYPE"),
    ],
)
def test_what_is_refused(xml: str, told: str) -> None:
    for form in (xml, xml.encode()):
        with pytest.raises(Refused, match=told) as caught:
            cube_parameters(form)
        assert caught.value.error_class == "bad_cube_parameters"


def test_the_lineage_in_a_bag(tmp_path: Path) -> None:
    path = tmp_path / "made.bag"
    with h5py.File(path, "w") as bag:
        bag["BAG_root/metadata"] = np.frombuffer(metadata_of(xml_of()) + b"\0\0", "S1")
    expected = CarisGridding(EXPECTED.model_copy(update={"disambiguation": "density"}), "1a", 2.0)
    assert gridding_of_bag(path) == expected


@pytest.mark.parametrize(
    ("metadata", "error_class", "told"),
    [
        (
            b"<a>made by hand</a>",
            "no_cube_lineage",
            "do not say how CUBE made it; .* Give the parameters as a CUBEParams XML",
        ),
        (metadata_of(xml_of(), disambiguation="MAGIC"), "bad_cube_parameters", "'MAGIC' is unknown here"),
        (metadata_of(""), "bad_cube_parameters", "are no XML"),
    ],
)
def test_a_lineage_that_says_nothing(metadata: bytes, error_class: str, told: str) -> None:
    with pytest.raises(Refused, match=told) as caught:
        gridding_of_metadata(metadata)
    assert caught.value.error_class == error_class


def test_what_is_no_bag(tmp_path: Path) -> None:
    (tmp_path / "text.bag").write_bytes(b"no HDF5")
    with h5py.File(tmp_path / "other.bag", "w") as other:
        other["BAG_root/elevation"] = np.zeros((2, 2))
    with h5py.File(tmp_path / "group.bag", "w") as other:
        other.create_group("BAG_root/metadata")
    with h5py.File(tmp_path / "huge.bag", "w") as other:
        other.create_dataset("BAG_root/metadata", shape=(10**12,), dtype="S1", chunks=(1000,))
    for path in tmp_path.iterdir():
        with pytest.raises(Refused) as caught:
            gridding_of_bag(path)
        assert caught.value.error_class == "bad_bag", path


def test_damaged_metadata_are_refused_or_read() -> None:
    rng = random.Random(7)
    whole = metadata_of(xml_of())
    outcomes = set()
    for _ in range(1500):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(data))
            if rng.random() < 0.5:
                data[at] = rng.randrange(256)
            else:
                del data[at : at + rng.randint(1, 30)]
        try:
            gridding_of_metadata(bytes(data))
            outcomes.add("read")
        except Refused as refused:
            outcomes.add(refused.error_class)
    assert outcomes == {"read", "bad_cube_parameters", "no_cube_lineage"}


def test_a_bag_of_caris() -> None:
    path = Path(os.environ.get("STRANDLINE_TEST_DATA", "")) / "bathymetry/bag/qax_tiny_sr.bag"
    if not path.is_file():
        pytest.skip("the BAG of CARIS is not there (STRANDLINE_TEST_DATA)")
    made = gridding_of_bag(path)
    assert (made.order, made.cell_m, made.cube.disambiguation) == ("special", 0.5, "density_locale")
    assert made.cube.queue_length == 11
    assert made.cube.bayes_factor_threshold == pytest.approx(0.135)
    assert made.cube.horizontal_error_scale == pytest.approx(2.95)
    assert (made.cube.capture_scale, made.cube.capture_min_m, made.cube.locale_radius_cells) == (0.05, 0.5, 1)
