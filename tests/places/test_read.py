"""Ports and regions become a tree that holds, or are refused with what is wrong with it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_assets.example_places import ports, regions
from pipeline_assets.landed_file import LandedFile, Refused
from pipeline_assets.places import derive, read
from tests.freight import places_csv


def tables(some_ports: str, some_regions: str, key: str = "places/ports.csv") -> dict[str, Any]:
    other = LandedFile("places/regions.csv", some_regions.encode())
    file = LandedFile(key, some_ports.encode(), companions={"regions.csv": other})
    return derive.checked_tables(read.read(file, None), None)


def of_rows(some_ports: list[tuple[str, ...]], some_regions: list[tuple[str, ...]]) -> dict[str, Any]:
    return tables(places_csv(some_ports, "code"), places_csv(some_regions, "slug"))


def test_the_examples_are_of_the_size_of_a_real_set() -> None:
    made = of_rows(ports(), regions())
    assert (len(made["ports"]["code"]), len(made["regions"]["slug"])) == (143, 20)
    assert max(made["regions"]["depth"]) == 3 - 1
    assert len(set(made["ports"]["code"])) == 143
    parents = {slug for _, _, slug in ports()}
    assert parents & {parent for _, _, parent in regions()}, "a region holds both ports and regions"


def test_the_closure_has_every_port_of_each_region_below() -> None:
    made = of_rows(
        [("NLRTM", "Rotterdam", "benelux"), ("GBFXT", "Felixstowe", "europe"), ("CNSGH", "Shanghai", "china")],
        [("benelux", "Benelux", "west"), ("west", "", "europe"), ("europe", "Europe", ""), ("china", "China", "")],
    )
    closure = made["closure"]
    rows = sorted(zip(closure["region_slug"], closure["port_code"], closure["depth"].tolist(), strict=True))
    assert rows == [
        ("benelux", "NLRTM", 0), ("china", "CNSGH", 0), ("europe", "GBFXT", 0), ("europe", "NLRTM", 2), ("west", "NLRTM", 1),
    ]  # fmt: skip
    assert made["regions"]["name"] == ["Benelux", "west", "Europe", "China"]
    assert made["regions"]["parent_slug"] == ["west", "europe", None, None]


REGIONS = [("a", "A", ""), ("b", "B", "a")]
PORTS = [("NLRTM", "Rotterdam", "b")]


@pytest.mark.parametrize(
    ("some_ports", "some_regions", "error_class", "why"),
    [
        (PORTS, [("a", "A", "b"), ("b", "B", "a")], "cycle", "'a' in 'b' in 'a'"),
        (PORTS, [("a", "A", ""), ("b", "B", "b")], "cycle", "'b' in 'b'"),
        (PORTS, [("a", "A", ""), ("b", "B", "c")], "orphan", "regions whose parent_slug is no slug"),
        ([("NLRTM", "R", "c")], REGIONS, "orphan", "ports whose parent_slug is no slug of regions.csv: NLRTM (line 2)"),
        ([("NLRTM", "R", "")], REGIONS, "orphan", "NLRTM (line 2)"),
        (PORTS, [*REGIONS, ("NLRTM", "x", "")], "clash", "whose code is the slug of a region"),
        (PORTS * 2, REGIONS, "duplicate_code", "NLRTM (line 3)"),
        (PORTS, [*REGIONS, ("a", "x", "")], "duplicate_slug", "a (line 4)"),
        ([("Rotterdam", "R", "b")], REGIONS, "wrong_code", "Rotterdam (line 2)"),
        ([("nlrtm", "R", "b")], REGIONS, "wrong_code", "nlrtm (line 2)"),
        ([], REGIONS, "no_places", "ports.csv has no line"),
        (PORTS, [], "no_places", "regions.csv has no line"),
        ([("", "R", "b")], REGIONS, "wrong_place", "ports.csv has a line without code"),
        ([("NLRTM", "R" * 300, "b")], REGIONS, "wrong_place", "more than 200"),
    ],
)  # fmt: skip
def test_a_tree_that_does_not_hold(
    some_ports: list[tuple[str, ...]], some_regions: list[tuple[str, ...]], error_class: str, why: str
) -> None:
    with pytest.raises(Refused) as refused:
        of_rows(some_ports, some_regions)
    assert refused.value.error_class == error_class
    assert why in refused.value.message


@pytest.mark.parametrize(
    ("some_ports", "error_class"),
    [
        ("code,name\nNLRTM,R\n", "missing_columns"),
        ("", "missing_columns"),
        ("code,code,name,parent_slug\n", "missing_columns"),
        ("code,name,parent_slug\nNLRTM,R\n", "unreadable"),
        ('code,name,parent_slug\n"NLRTM,R,b\n', "unreadable"),
    ],
)
def test_a_file_that_is_no_such_csv(some_ports: str, error_class: str) -> None:
    with pytest.raises(Refused) as refused:
        tables(some_ports, places_csv(REGIONS, "slug"))
    assert refused.value.error_class == error_class


def test_there_is_one_set() -> None:
    with pytest.raises(Refused, match=r"this is places/2026/ports\.csv"):
        tables(places_csv(PORTS, "code"), places_csv(REGIONS, "slug"), "places/2026/ports.csv")


def test_columns_may_come_in_another_order() -> None:
    made = tables(
        "parent_slug,more,code,name\nb,x, NLRTM ,Rotterdam\n\n", "\ufeff" + places_csv(REGIONS, "slug")
    )  # fmt: skip
    assert made["ports"] == {"code": ["NLRTM"], "name": ["Rotterdam"], "region_slug": ["b"]}


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-1, 11), min_size=1, max_size=12))
def test_any_tree_or_none(parents: list[int]) -> None:
    """Region n is in region parents[n]. The closure is what following the parents gives; a ring is refused."""
    count = len(parents)
    some_regions = [
        (f"r{number}", "x", f"r{parent}" if 0 <= parent < count else "") for number, parent in enumerate(parents)
    ]
    above: dict[int, list[int]] = {}
    for number in range(count):
        path, at = [], number
        while 0 <= at < count and len(path) <= count:
            path.append(at)
            at = parents[at]
        above[number] = path
    some_ports = [(f"NLA{chr(65 + number)}A", "x", f"r{number}") for number in range(count)]
    if any(len(path) > count for path in above.values()):
        with pytest.raises(Refused) as refused:
            of_rows(some_ports, some_regions)
        assert refused.value.error_class == "cycle"
        return
    closure = of_rows(some_ports, some_regions)["closure"]
    found = set(zip(closure["region_slug"], closure["port_code"], closure["depth"].tolist(), strict=True))
    assert found == {
        (f"r{region}", some_ports[number][0], depth)
        for number, path in above.items()
        for depth, region in enumerate(path)
    }  # fmt: skip
