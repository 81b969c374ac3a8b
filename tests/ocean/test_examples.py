"""The sample files: alike for a seed, and true to what they claim, whatever they are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline_assets.landed_file import LandedFile, Refused
from pipeline_assets.ocean.examples import Example, write_examples
from pipeline_assets.ocean.picture import station_map_png
from pipeline_assets.ocean.read.cruise_file import group_of
from pipeline_assets.ocean.read.formats import FORMATS
from pipeline_assets.ocean.source import OCEAN
from pipeline_assets.reading_units import derive, parse
from pipeline_assets.source import HEAD_BYTES
from tests.ocean.conftest import CONFIG


def test_a_seed_decides_every_byte(tmp_path: Path) -> None:
    one, two, other = (write_examples(tmp_path / name, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    assert [e.path.read_bytes() for e in one] == [e.path.read_bytes() for e in two]
    assert one[0].path.read_bytes() != other[0].path.read_bytes()
    assert len({example.path.read_bytes() for example in one}) == len(one)


@pytest.mark.parametrize("called", ["{}", "{}.zip", "data.nc", "no_ending", "{}.cnv"])
def test_every_file_is_what_it_claims_whatever_it_is_called(examples: list[Example], called: str) -> None:
    for example in examples:
        file = LandedFile(f"ocean/X/{called.format(example.path.name)}", data=example.path.read_bytes())
        if example.error_class is None:
            assert parse(OCEAN, CONFIG, file).rows == example.observations, example.key
        else:
            with pytest.raises(Refused) as caught:
                parse(OCEAN, CONFIG, file)
            assert caught.value.error_class == example.error_class, (example.key, caught.value.message)


def test_every_kind_of_file_has_an_example(examples: list[Example]) -> None:
    heads = [example.path.read_bytes()[:HEAD_BYTES] for example in examples if example.error_class is None]
    for reader in OCEAN.readers:
        assert any(reader.recognises(head) for head in heads), reader.name
    for one in FORMATS:
        assert any(one.recognises(head) for head in heads), one.name


def test_every_good_file_has_a_picture(examples: list[Example]) -> None:
    for example in examples:
        if example.error_class is None:
            file = parse(OCEAN, CONFIG, LandedFile.at(example.path, f"ocean/{example.key}"))
            png = station_map_png(file, derive(OCEAN, CONFIG, file))
            assert png.startswith(b"\x89PNG")
            assert len(png) < 100_000


@pytest.mark.parametrize(
    ("key", "group"),
    [
        ("ocean/33RR20160208/a/b.csv", "33RR20160208"),
        ("ocean/33RR20160208_hy1.csv", "33RR20160208"),
        ("ocean/33RR20160321_ct1.zip", "33RR20160321"),
        ("ocean/a05_74EQ20151206_ct1.zip", "a05_74EQ20151206"),
        ("ocean/33RR20160321_nc_ctd.zip", "33RR20160321"),
        ("ocean/33RR20160321_ctd.nc", "33RR20160321"),
        ("ocean/stn01.cnv.bz2", "stn01"),
        ("ocean/stn01.v2.cnv", "stn01.v2"),
        ("ocean/README", "README"),
        ("ocean/x_hy1/data", "x_hy1"),
        ("ocean/_hy1.csv", "_hy1"),
        ("ecg/x", ""),
    ],
)
def test_the_cruise_of_a_key(key: str, group: str) -> None:
    assert group_of(key) == group
