"""WHP-Exchange as archives really have it: what is odd is told, what is broken is refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_assets.ocean.examples import ctd_csv, ctd_zip, made_station
from pipeline_assets.ocean.examples import write_examples as write_examples
from pipeline_assets.ocean.read.cruise_file import NO_FLAG
from tests.ocean.reading import codes, column, read, refusal, rows_of

BOTTLE = """BOTTLE,20240101TEST
# comment, with a comma
EXPOCODE,SECT_ID,STNNBR,CASTNO,SAMPNO,BTLNBR,BTLNBR_FLAG_W,DATE,TIME,LATITUDE,LONGITUDE,DEPTH,CTDPRS,SALNTY,SALNTY_FLAG_W,OXYGEN,OXYGEN_FLAG_W
,,,,,,,,,,,METERS,DBAR,PSS-78,,UMOL/KG,
99XX20240101,P1,1,1,2,2,2,20240102,0415,-10.5,170.25,4000,1000.0,34.5,2,180.1,2
99XX20240101,P1,1,1,1,1,2,20240102,0415,-10.5,170.25,4000,2000.0,34.6,3,-999.0,9
99XX20240101,P1,2,1,1,1,2,20240103,2400,-11.5,-179.0,4100,10.0,-999,9,200.0,6
END_DATA
"""
CTD = """CTD,20240101TEST
# a comment
NUMBER_HEADERS = 9
EXPOCODE = 99XX20240101
SECT_ID = P1
STNNBR = 7
CASTNO = 2
DATE = 20240102
TIME = 0415
LATITUDE = -10.5
LONGITUDE = 170.25
CTDPRS,CTDPRS_FLAG_W,CTDTMP,CTDTMP_FLAG_W
DBAR,,ITS-90,
2.0,2,20.1,2
4.0,2,-999,9
6.0,2,19.9,3
END_DATA
"""


def test_a_bottle_file() -> None:
    file = read(BOTTLE)
    assert (file.kind, file.rows, len(file.casts)) == ("exchange_bottle", 3, 2)
    one, two = file.casts
    assert (one.expocode, one.section, one.station, one.number, one.bottom_depth_m) == (
        "99XX20240101",
        "P1",
        "1",
        "1",
        4000,
    )
    assert one.time == np.datetime64("2024-01-02T04:15")
    assert two.time == np.datetime64("2024-01-04T00:00")
    assert file.sample is not None
    assert file.sample.tolist() == ["2", "1", "1"]
    oxygen = column(file, "OXYGEN")
    assert (oxygen.unit, oxygen.standard_name) == ("UMOL/KG", "moles_of_oxygen_per_unit_mass_in_sea_water")
    np.testing.assert_array_equal(oxygen.values, [180.1, np.nan, 200.0])
    assert oxygen.flags is not None
    assert oxygen.flags.tolist() == [2, 9, 6]
    assert codes(file) == {}
    rows = rows_of(file)
    assert len(rows["observations"]) == 9
    assert [row["bottle_flag"] for row in rows["levels"]] == [2, 2, 2]
    (totals,) = rows["files"]
    assert (totals["crosses_dateline"], totals["longitude_west"], totals["longitude_east"]) == (True, 170.25, -179.0)
    assert totals["comments"] == "# comment, with a comma"


def test_a_ctd_file() -> None:
    file = read(CTD)
    (cast,) = file.casts
    assert (cast.station, cast.number, cast.latitude) == ("7", "2", -10.5)
    assert file.pressure.tolist() == [2, 4, 6]
    np.testing.assert_array_equal(column(file, "CTDTMP").values, [20.1, np.nan, 19.9])
    assert codes(file) == {}
    stats = {row["parameter"]: row for row in rows_of(file)["parameter_stats"]}
    of = stats["CTDTMP"]
    assert (of["n"], of["n_good"], of["n_missing"], of["n_flag_2"], of["n_flag_3"], of["n_flag_9"]) == (
        2,
        1,
        1,
        1,
        1,
        1,
    )
    assert (of["min"], of["max"], of["mean_good"]) == (19.9, 20.1, 20.1)


SPELLINGS: dict[str, tuple[Callable[[str], str | bytes], dict[str, int]]] = {
    "windows": (lambda text: text.replace("\n", "\r\n"), {"windows_line_ends": 1}),
    "old mac": (lambda text: text.replace("\n", "\r"), {"windows_line_ends": 1}),
    "mark": (lambda text: "\ufeff".encode() + text.encode(), {"byte_order_mark": 1}),
    "utf-16": (lambda text: b"\xff\xfe" + text.encode("utf-16-le"), {"byte_order_mark": 1}),
    "latin-1": (lambda text: text.replace("comment", "Température"), {"latin_1": 1}),
    "no end": (lambda text: text.replace("END_DATA\n", ""), {"no_end_data": 1}),
    "no end, no line end": (lambda text: text.replace("\nEND_DATA\n", ""), {"no_end_data": 1}),
    "text after the end": (lambda text: text + "\nthanks,\nA. N. Other\n", {}),
    "blank lines": (lambda text: text.replace("\nEND", "\n\n  \nEND"), {}),
    "small letters": (lambda text: text.replace("BOTTLE", "Bottle").replace("CTD,", "ctd,"), {}),
    "stamp alone": (lambda text: text.replace(",20240101TEST", ""), {}),
    "comments first": (lambda text: "# first\n" + text, {}),
    "spaces": (lambda text: text.replace(",", " , "), {}),
    "quoted stamp": (lambda text: f'"{text[: text.index(",")]}"' + text[text.index(",") :], {}),
}  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("text", [BOTTLE, CTD], ids=["bottle", "ctd"])
def test_spellings_change_nothing_but_what_is_told(text: str, spelling: str) -> None:
    change, told = SPELLINGS[spelling]
    plain, file = read(text), read(change(text))
    assert codes(file) == told
    assert [one.name for one in file.parameters] == [one.name for one in plain.parameters]
    for one, other in zip(file.parameters, plain.parameters, strict=True):
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_array_equal(
            one.flags if one.flags is not None else [], other.flags if other.flags is not None else []
        )
    assert [cast.station for cast in file.casts] == [cast.station for cast in plain.casts]
    assert [cast.time for cast in file.casts] == [cast.time for cast in plain.casts]


def test_trailing_commas_are_no_columns() -> None:
    names, units = "SALNTY_FLAG_W,OXYGEN,OXYGEN_FLAG_W", "PSS-78,,UMOL/KG,"
    text = BOTTLE.replace(names, names + ",,").replace(units, units + ",,")
    everywhere = "\n".join(line + ",," if line.startswith("99XX") else line for line in text.split("\n"))
    file = read(everywhere)
    assert codes(file) == {"trailing_commas": 3}
    assert file.rows == 3
    assert codes(read(text)) == {}


def test_rows_that_lack_a_value_or_have_one_too_many_refuse_the_file() -> None:
    for wrong in ("4.0,2,-999", "4.0,2,-999,9,7"):
        refused = refusal(CTD.replace("4.0,2,-999,9", wrong))
        assert refused.error_class == "column_alignment"
        assert refused.location.startswith("line 15 ")
    assert refusal(BOTTLE[: BOTTLE.index("99XX20240101,P1,2") + 30]).error_class == "column_alignment"


@pytest.mark.parametrize(
    ("text", "error_class"),
    [
        (BOTTLE[: BOTTLE.index("99XX")] + "END_DATA\n", "no_data"),
        (CTD[: CTD.index("2.0,2,")] + "END_DATA\n", "no_data"),
        (BOTTLE[: BOTTLE.index("EXPOCODE")], "no_columns"),
        (CTD[: CTD.index("CTDPRS")], "no_columns"),
        (BOTTLE.replace("STNNBR", "STATION").replace("CASTNO", "CAST"), "no_keys"),
        (CTD.replace("CTDPRS", "DEPTHS"), "no_pressure"),
        (CTD.replace("DBAR,,ITS-90,", "DBAR,,ITS-90,PSS-78,X"), "unit_alignment"),
        (CTD[:100] + "\0" + CTD[100:], "wrong_encoding"),
        ("BOTTLE", "no_columns"),
    ],
)
def test_what_leaves_nothing_to_trust_is_refused(text: str, error_class: str) -> None:
    assert refusal(text).error_class == error_class


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("SECT_ID = P1\n", "SECT = P1\n", {"header_alias": 1}),
        ("NUMBER_HEADERS = 9\n", "", {"no_number_headers": 1}),
        ("NUMBER_HEADERS = 9", "NUMBER_HEADERS = 12", {"number_headers": 1}),
        ("NUMBER_HEADERS = 9", "NUMBER_HEADERS=9", {}),
        ("LATITUDE = -10.5", "LATITUDE = 10 30.0 S", {"degrees_minutes": 1}),
        ("LATITUDE = -10.5\n", "", {"number_headers": 1}),
        ("LATITUDE = -10.5", "LATITUDE = nowhere", {"bad_header_value": 1}),
        ("STNNBR = 7\n", "", {"number_headers": 1, "missing_key": 1}),
        ("DATE = 20240102", "DATE = 2024-01-02", {}),
        ("DATE = 20240102", "DATE = 31/02/24", {"bad_date": 1}),
        ("DATE = 20240102", "DATE = -999", {"no_date": 1}),
        ("TIME = 0415\n", "", {"number_headers": 1, "no_time": 1}),
        ("TIME = 0415", "TIME = 4:15", {}),
        ("TIME = 0415", "TIME = 415", {}),
        ("TIME = 0415", "TIME = 9999", {"bad_time": 1}),
        ("DBAR,,ITS-90,\n", "", {"no_units": 1}),
        ("DBAR,,ITS-90,\n", "DBAR\n", {"unit_alignment": 1}),
        ("4.0,2,-999,9", "4.0,2,-999.0000,9", {}),
        ("4.0,2,-999,9", "4.0,2,,9", {}),
        ("4.0,2,-999,9", "4.0,2,abc,9", {"not_a_number": 1}),
        ("4.0,2,-999,9", "4.0,2,19.0,x", {"unreadable_flag": 1}),
        ("CTDTMP,CTDTMP_FLAG_W", "CTDTMP,XMISS_FLAG_W", {"orphan_flag": 1}),
        ("CTDTMP,CTDTMP_FLAG_W", "CTDTMP,CTDTMP", {"name_with_two_units": 1}),
        ("CTDTMP,CTDTMP_FLAG_W", "MYSTERY,MYSTERY_FLAG_W", {"undefined_parameter": 1}),
        ("DBAR,,ITS-90,", "DBAR, ,ITS-90, ", {}),
        ("4.0,2,-999,9", "# a note\n4.0,2,-999,9", {"notes_among_data": 1}),
    ],
)  # fmt: skip
def test_oddities_of_ctd_files_are_told_and_read(old: str, new: str, told: dict[str, int]) -> None:
    assert old in CTD
    file = read(CTD.replace(old, new))
    assert codes(file) == told
    assert file.pressure.tolist() == [2, 4, 6]
    rows_of(file)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("34.6,3", "34.6,0", {"illegal_flag": 1}),
        ("34.6,3", "34.6,-999", {"illegal_flag": 1}),
        ("34.6,3", "34.6,9", {"flag_without_value": 1}),
        ("-999,9,200.0", "-999,2,200.0", {"flag_of_no_value": 1}),
        ("-999,9,200.0", "-9999,9,200.0", {}),
        (",1,1,2,20240102", ",2,2,2,20240102", {"duplicate_key": 1}),
        ("99XX20240101,P1,2,1,1,1", "99XX20240101,P1,,1,1,1", {"partial_key": 1}),
        ("-11.5,-179.0", "-999,-999", {"no_position": 1}),
        ("-11.5,-179.0", "-11.5,181.0", {"longitude_to_360": 1}),
        ("-11.5,-179.0", "-111.5,-179.0", {"bad_position": 1}),
        ("-11.5,-179.0", "60.0,-20.0", {"suspect_position": 1}),
        ("20240103,2400", "22240103,2400", {"bad_date": 1}),
        ("20240103,2400", "21990103,0000", {"bad_time": 1}),
        ("CTDPRS,SALNTY", "DEPTHS,SALNTY", {"no_pressure": 1, "undefined_parameter": 1}),
        ("20240102,0415,-10.5,170.25,4000,2000.0", "20240102,0415,-10.6,170.25,4000,2000.0", {"inconsistent_coordinate": 1}),
    ],
)  # fmt: skip
def test_oddities_of_bottle_files_are_told_and_read(old: str, new: str, told: dict[str, int]) -> None:
    assert old in BOTTLE
    file = read(BOTTLE.replace(old, new))
    rows_of(file)
    assert codes(file) == told
    assert file.rows == 3


@pytest.mark.parametrize(
    "missing", ["DATE", "TIME", "LATITUDE", "LONGITUDE", "SECT_ID", "BTLNBR", "SAMPNO", "DEPTH", "EXPOCODE"]
)
def test_bottle_files_without_a_column_are_read(missing: str) -> None:
    lines = BOTTLE.split("\n")
    at = lines[2].split(",").index(missing)
    cut = [
        ",".join(cell for number, cell in enumerate(line.split(",")) if number != at) if line.count(",") > 10 else line
        for line in lines
    ]
    file = read("\n".join(cut))
    assert file.rows == 3
    rows = rows_of(file)
    assert rows["files"][0]["cruise"] == ("C" if missing == "EXPOCODE" else "99XX20240101")
    assert file.casts[0].expocode == ("" if missing == "EXPOCODE" else "99XX20240101")


def test_casts_that_follow_each_other_in_one_file() -> None:
    file = read(CTD + CTD.replace("STNNBR = 7", "STNNBR = 8") + CTD.replace("STNNBR = 7", "STNNBR = 8"))
    assert [cast.station for cast in file.casts] == ["7", "8", "8"]
    assert file.rows == 9
    assert codes(file) == {"duplicate_cast": 1}


def test_columns_of_one_name_with_two_units_are_two_parameters() -> None:
    text = CTD.replace("CTDTMP,CTDTMP_FLAG_W", "CTDTMP,CTDTMP_FLAG_W,CTDTMP,CTDTMP_FLAG_W").replace(
        "ITS-90,", "ITS-90,,IPTS-68,"
    )
    text = (
        text.replace(",20.1,2", ",20.1,2,20.2,3")
        .replace(",-999,9", ",-999,9,-999,9")
        .replace(",19.9,3", ",19.9,3,20.0,4")
    )
    file = read(text)
    first, second = column(file, "CTDTMP"), column(file, "CTDTMP_2")
    assert (first.unit, second.unit) == ("ITS-90", "IPTS-68")
    assert first.flags is not None
    assert second.flags is not None
    assert (first.flags.tolist(), second.flags.tolist()) == ([2, 9, 3], [3, 9, 4])
    assert codes(file) == {"name_with_two_units": 1}


def test_texts_are_kept_where_numbers_are_not() -> None:
    file = read(
        BOTTLE.replace("OXYGEN", "REMARK")
        .replace("180.1", "lost")
        .replace(",-999.0,9", ",odd,9")
        .replace("200.0,6", "fine,6")
    )
    remark = column(file, "REMARK")
    assert remark.text is not None
    assert remark.text.tolist() == ["lost", "odd", "fine"]
    shown = [row["text"] for row in rows_of(file)["observations"] if row["parameter"] == "REMARK"]
    assert shown == ["lost", "odd", "fine"]
    assert "not_a_number" not in codes(file)


def test_the_state_of_the_water_follows_by_teos_10() -> None:
    import gsw

    text = CTD.replace("CTDTMP,CTDTMP_FLAG_W", "CTDTMP,CTDTMP_FLAG_W,CTDSAL,CTDSAL_FLAG_W").replace(
        "ITS-90,", "ITS-90,,PSS-78,"
    )
    for row, salinity in (("20.1,2", "35.0,2"), ("-999,9", "35.1,2"), ("19.9,3", "35.2,2")):
        text = text.replace(row, f"{row},{salinity}")
    one, two, three = rows_of(read(text))["levels"]
    absolute = gsw.SA_from_SP(35.0, 2.0, 170.25, -10.5)
    assert one["absolute_salinity_g_kg"] == pytest.approx(absolute)
    assert one["conservative_temperature_c"] == pytest.approx(gsw.CT_from_t(absolute, 20.1, 2.0))
    assert one["depth_m"] == pytest.approx(-gsw.z_from_p(2.0, -10.5))
    assert two["sigma0_kg_m3"] is None
    assert three["temperature_c"] is None, "a value that its originator calls bad counts for nothing"


number = st.one_of(
    st.integers(-998, 10_000).map(str), st.floats(-900, 10_000, allow_nan=False).map(lambda value: f"{value:.4f}"), st.just("-999"),
)  # fmt: skip
flag = st.sampled_from(["1", "2", "3", "4", "5", "6", "7", "8", "9", "", "0"])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(number, flag, number, flag), min_size=1, max_size=30), st.booleans())
def test_whatever_stands_in_the_cells_comes_out(rows: list[tuple[str, str, str, str]], spaced: bool) -> None:
    separator = " ,  " if spaced else ","
    body = "".join(f"{separator.join((f'{n}.0', '2', *row))}\n" for n, row in enumerate(rows))
    begin = CTD[: CTD.index("CTDPRS,")]
    file = read(
        f"{begin}CTDPRS,CTDPRS_FLAG_W,CTDTMP,CTDTMP_FLAG_W,OXYGEN,OXYGEN_FLAG_W\nDBAR,,ITS-90,,UMOL/KG,\n{body}END_DATA\n"
    )
    assert file.rows == len(rows)
    for at, name in ((0, "CTDTMP"), (2, "OXYGEN")):
        one = column(file, name)
        assert one.flags is not None
        np.testing.assert_array_equal(
            one.values, [float(row[at]) if float(row[at]) != -999 else np.nan for row in rows]
        )
        assert one.flags.tolist() == [int(row[at + 1]) if row[at + 1] else NO_FLAG for row in rows]
    made = rows_of(file)
    for row in made["parameter_stats"]:
        counted = sum(row[f"n_flag_{one}"] for one in (*range(1, 10), "other", "none"))
        assert counted == row["n"] + row["n_missing"] == len(rows)


def test_members_of_a_zip_that_differ_are_read_one_by_one() -> None:
    import zipfile
    from io import BytesIO

    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("b_ct1.csv", CTD.replace("STNNBR = 7", "STNNBR = 8"))
        archive.writestr("a_ct1.csv", CTD.replace("CTDTMP", "CTDOXY"))
        archive.writestr("readme.html", "<html></html>")
        archive.writestr("empty_ct1.csv", CTD[: CTD.index("2.0,2,")] + "END_DATA\n")
    file = read(packed.getvalue())
    assert (file.kind, file.rows) == ("exchange_ctd_zip", 6)
    assert [cast.member for cast in file.casts] == ["a_ct1.csv", "b_ct1.csv", "empty_ct1.csv"]
    assert codes(file) == {"empty_cast": 1, "other_member": 1, "duplicate_cast": 1}
    of = {row["parameter"]: row for row in rows_of(file)["parameter_stats"]}
    assert (of["CTDOXY"]["cast_index"], of["CTDTMP"]["cast_index"]) == (0, 1)


def test_generated_casts_are_read_alike_together_and_alone() -> None:
    rng = np.random.default_rng(3)
    stations = [made_station(number, 4, rng) for number in range(1, 5)]
    together = read(ctd_zip(stations))
    alone = [read(ctd_csv(one)) for one in stations]
    for one in together.parameters:
        np.testing.assert_array_equal(one.values, np.concatenate([column(file, one.name).values for file in alone]))
