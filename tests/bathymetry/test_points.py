"""Text, Parquet and LAS: the same soundings from each, and what declarations change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_assets.bathymetry.examples import declaration, las, parquet, xyz
from pipeline_assets.bathymetry.made_survey import CRS, MadeLine
from pipeline_assets.bathymetry.read.text import recognise_text
from pipeline_assets.landed_file import Refused
from tests.bathymetry.conftest import CONFIG, DECLARED, read

HERE = "540000.0,5292000.0"


@pytest.mark.parametrize("delimiter", [" ", ",", ";", "\t", "   "])
@pytest.mark.parametrize("header", [True, False])
def test_text_gives_the_soundings(made: MadeLine, delimiter: str, header: bool) -> None:
    line = read(xyz(made, delimiter=delimiter, header=header))
    assert (line.kind, line.crs, line.uncertainty_from) == ("text", CRS, "none")
    for name in ("x", "y", "depth"):
        np.testing.assert_allclose(getattr(line, name), getattr(made, name), atol=0.0006)
    assert np.array_equal(line.accepted, ~made.rejected if header else np.ones(len(made.x), bool))
    assert np.isnan(line.tvu).all()


@pytest.mark.parametrize("packed", [True, False])
def test_las_gives_the_soundings(made: MadeLine, packed: bool) -> None:
    line = read(las(made, packed=packed, epsg=32755))
    assert line.kind == "las"
    for name in ("x", "y", "depth"):
        np.testing.assert_allclose(getattr(line, name), getattr(made, name), atol=0.0006)
    assert np.array_equal(line.accepted, ~made.rejected)
    assert read(las(made, packed=packed, epsg=32755), declared=None).crs == CRS, "it says so itself"


def test_parquet_gives_the_soundings(made: MadeLine) -> None:
    line = read(parquet(made))
    assert (line.kind, line.uncertainty_from) == ("parquet", "file")
    for name in ("x", "y", "depth"):
        assert np.array_equal(getattr(line, name), getattr(made, name))
    assert np.array_equal(line.tvu, 2 * made.sigma)
    assert np.array_equal(line.accepted, ~made.rejected)
    assert line.ping[-1] == len(made.ping_x) - 1
    single = declaration(crs=CRS, uncertainty="1sigma")
    np.testing.assert_allclose(read(parquet(made), declared=single).tvu, 1.959964 * 2 * made.sigma, rtol=1e-6)


def test_columns_are_those_that_are_declared() -> None:
    text = b"Nord;Ost;Tiefe;Peilung\n5292000.5;540001.5;-12.5;7\n5292001.5;540002.5;-13.5;7\n"
    with pytest.raises(Refused, match=r"they are Nord, Ost, Tiefe, Peilung. Say which is which"):
        read(text)
    said = {"x": ["ost"], "y": ["nord"], "depth": ["tiefe"], "ping": ["peilung"]}
    line = read(text, declared=declaration(crs=CRS, positive="up", columns=said))
    assert line.x.tolist() == [540001.5, 540002.5]
    assert line.depth.tolist() == [12.5, 13.5]
    assert line.ping.tolist() == [7, 7]
    bare = b"# from a chart\n5292000.5 540001.5 99 12.5\n"
    order = {"without_header": ["y", "x", "-", "depth"]}
    assert read(bare, declared=declaration(crs=CRS, columns=order)).depth.tolist() == [12.5]


def test_degrees_are_brought_to_the_declared_crs() -> None:
    text = b"lat,lon,depth\n-42.5,147.5,20\n-42.5001,147.5,21\n"
    line = read(text)
    assert line.crs == CRS
    np.testing.assert_allclose(line.x, [541083.1, 541083.0], atol=0.1)
    assert line.y[0] - line.y[1] == pytest.approx(11.1, abs=0.05)
    assert read(text, declared=None).crs == CRS
    with pytest.raises(Refused, match=r"1 positions are none on the earth, the first longitude 147.5, latitude -91.0"):
        read(text.replace(b"-42.5001", b"-91"))


@pytest.mark.parametrize(
    ("text", "said", "error_class", "message"),
    [
        (f"{HERE},-20\n{HERE},-21", {}, "wrong_sign", r'declare "positive": "up"'),
        (f"{HERE},20\n{HERE},21", {"positive": "up"}, "wrong_sign", r'declare "positive": "down"'),
        (f"{HERE},20", {"extent": [144, 40, 150, 50]}, "outside_extent", "42.52S 147.49E"),
        ("540000,-4354453,20", {"crs": "EPSG:32655"}, "wrong_hemisphere", "the other hemisphere"),
        ("5292000,540000,20", {}, "swapped_axes", "if northings came first"),
        ("99999999,5292000,20", {}, "wrong_zone", "EPSG:32755"),
        ("1040000,5292000,20", {}, "wrong_zone", "The UTM zone of such positions is EPSG:32756"),
        (f"{HERE},20", {"crs": "EPSG:4326"}, "bad_crs", "no projected CRS in metres"),
        (f"{HERE},20", {"crs": "EPSG:999999"}, "bad_crs", "EPSG has no EPSG:999999"),
        (f"{HERE},13000", {}, "impossible_depth", "deeper than 12,000 m, the first 13,000 m"),
        (f"{HERE},nan", {}, "bad_number", "1 rows have no number in depth"),
        (f"{HERE},1e400", {}, "bad_number", "depth"),
        (f"{HERE},20\n{HERE}", {}, "column_alignment", "Expected 3 columns, got 2"),
        (f"{HERE},20\n{HERE},x", {}, "bad_number", "invalid value 'x'"),
        (f"x,y,depth,flag\n{HERE},20,0.5", {}, "bad_number", "flag must be a whole number"),
        (f"x,y,depth\n{HERE},20\n1,2,3,4", {}, "column_alignment", "Expected 3 columns, got 4"),
        (f"{HERE},20\n" * 40 + f"{HERE},2\0", {}, "unreadable", "NUL bytes"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(text: str, said: dict, error_class: str, message: str) -> None:
    with pytest.raises(Refused, match=message) as caught:
        read((text + "\n").encode(), declared=declaration(**{"crs": CRS, **said}))
    assert caught.value.error_class == error_class


def test_depths_below_an_ellipsoid_may_be_of_either_sign() -> None:
    text = f"{HERE},-20\n{HERE},-21\n".encode()
    said = declaration(crs=CRS, vertical_datum="EPSG:7912", ellipsoidal=True)
    assert read(text, declared=said).depth.tolist() == [-20.0, -21.0]


def test_two_columns_of_one_name_and_ones_nobody_asked_for_do_no_harm() -> None:
    text = f"note,x,y,depth,note\nä,{HERE},20,b\n,{HERE},21,\n"
    assert read(text.encode("latin-1")).depth.tolist() == [20.0, 21.0]


@pytest.mark.parametrize(
    ("head", "is_text"),
    [
        (b"1 2 3\n", True), (b"1,2,3\r\n", True), (b"# c\n1;2;3\n", True), (b"x y z\n1 2 3\n", True), (b"\xef\xbb\xbf1 2 3\n", True),
        (b" 1.5  -2e3\t.5\n", True), (b"1 2\n", False), (b"a b c\n", False), (b"", False), (b"1 2 3", True),
        (b"{}\n1 2 3\n", False), (b"1 2 3\n\0", False), (b"t,x,y,z\n2024-01-01,1,2,3\n", True), (b"x,y,z\n1,2,3,4\n", False), (b"Dear all,\n1 2 apples\n", False), (b" " * 500 + b"x\n", False),
        (b"9" * 500 + b"x\n", False),
    ],
)  # fmt: skip
def test_text_is_recognised_by_its_first_lines(head: bytes, is_text: bool) -> None:
    assert recognise_text(head) is is_text


_NUMBERS = st.tuples(
    st.floats(530_000, 550_000), st.floats(5_285_000, 5_299_000), st.floats(0.25, 11_000)
).map(lambda row: tuple(round(value, 3) for value in row))  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    st.lists(_NUMBERS, min_size=1, max_size=30), st.sampled_from([" ", ",", ";", "\t", "  ", " , "]), st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "x{d}y{d}z{d}"]), st.booleans(), st.sampled_from(["", " ", "   "]),
)  # fmt: skip
def test_whatever_is_written_is_read(
    rows: list, delimiter: str, end: str, header: str, has_last_end: bool, indent: str
) -> None:
    names = [header.removesuffix("{d}").format(d=delimiter)] if header else []
    text = end.join([*names, *(indent + delimiter.join(map(repr, row)) for row in rows)]) + (
        end if has_last_end else ""
    )
    if "\n" not in text:  # one line without an end is nothing that one would recognise
        text += end
    line = read(text.encode())
    assert np.stack([line.x, line.y, line.depth], axis=1).tolist() == [list(row) for row in rows]


def test_a_survey_may_be_declared_by_the_settings() -> None:
    by_name = CONFIG.model_validate({"surveys": {"survey": {"crs": CRS, "vertical_datum": "LAT"}}})
    line = read(f"{HERE},20\n".encode(), declared=None, config=by_name)
    assert (line.crs, line.declared.vertical_datum) == (CRS, "LAT")
    for_all = CONFIG.model_validate({"default": {"crs": CRS, "vertical_datum": "CD"}})
    assert read(f"{HERE},20\n".encode(), declared=None, config=for_all).declared.vertical_datum == "CD"
    assert read(f"{HERE},20\n".encode(), declared=DECLARED, config=for_all).declared.vertical_datum == "MSL"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{", "is no JSON"), (b"\xff\xfe", "is no JSON"), (b"[]", "is no JSON object"), (b'{"crs": 32755}', "crs: Input should be"),
        (b'{"crs": "EPSG:x"}', "expected one such as EPSG:32755"), (b'{"datum": "MSL"}', "datum: Extra inputs"),
        (b'{"order": "3"}', "no order of survey is called '3'"), (b'{"extent": [1, 2, 3]}', "extent"),
        (b'{"extent": [0, 20, 10, 10]}', "west, south, east, north"), (b'{"columns": {"without_header": ["q"]}}', "names 'q'"),
        (b'{"sensors": {"heave_m": -1}}', "sensors.heave_m"), (b"[" * 100_000, "is no JSON"),
        (b" " * 2_000_001, "has 2,000,001 bytes"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_declaration_is_told(text: bytes, message: str) -> None:
    with pytest.raises(Refused, match=message) as caught:
        read(f"{HERE},20\n".encode(), declared=text)
    assert caught.value.error_class == "bad_declaration"
