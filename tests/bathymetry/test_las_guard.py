"""LAS and LAZ files that say more of themselves than there is: refused before a library goes by it."""

from __future__ import annotations

import struct

import pytest

from pipeline_assets.bathymetry.examples import las
from pipeline_assets.bathymetry.made_survey import MadeLine
from pipeline_assets.landed_file import Refused
from tests.bathymetry.conftest import CONFIG, read

HUGE = 0xFFFFFFF0


def said(data: bytes, at: int, form: str, value: int) -> bytes:
    """The file with another number in one place."""
    body = bytearray(data)
    struct.pack_into(form, body, at, value)
    return bytes(body)


def points_at(data: bytes) -> int:
    return int(struct.unpack_from("<I", data, 96)[0])


@pytest.mark.parametrize(
    ("at", "form", "value", "message"),
    [
        (100, "<I", HUGE, "4,294,967,280 records of its own; at most 1,000"),
        (100, "<I", 900, "there is no room for record 2 of 900|record 2 of 900 is longer"),
        (96, "<I", HUGE, "points are said to begin at byte 4,294,967,280"),
        (243, "<I", HUGE, "extended records"),
        (247, "<Q", 90_000, "it says that it has 90,000 points, and has room for"),
        (25, "<B", 7, r"it is LAS 1\.7; 1\.2 to 1\.4 are read"),
    ],
)
def test_numbers_in_the_header(made: MadeLine, at: int, form: str, value: int, message: str) -> None:
    data = said(las(made, epsg=32755), at, form, value)
    with pytest.raises(Refused, match=message) as caught:
        read(data)
    assert caught.value.error_class in ("damaged_las", "unsupported_las")


def test_more_points_than_may_be(made: MadeLine) -> None:
    with pytest.raises(Refused, match="at most 100") as caught:
        read(las(made), config=CONFIG.model_copy(update={"max_soundings": 100}))
    assert caught.value.error_class == "too_many_soundings"


def test_packed_points(made: MadeLine) -> None:
    data = las(made, packed=True)
    points = points_at(data)
    (table,) = struct.unpack_from("<q", data, points)
    size_of_layer = points + 8 + 30 + 4
    for at, form, value, message in (
        (points, "<q", len(data) + 5, "the table of packed chunks is said to be at byte"),
        (table + 4, "<I", HUGE, "it is said to have 4,294,967,280 packed chunks"),
        (table + 4, "<I", 0, "the packed chunks end at byte"),
        (size_of_layer, "<I", HUGE, "have 4,294,9[0-9,]+ bytes, more than the chunk"),
    ):
        with pytest.raises(Refused, match=message) as caught:
            read(said(data, at, form, value))
        assert caught.value.error_class == "damaged_las"
