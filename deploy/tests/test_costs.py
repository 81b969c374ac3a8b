"""The cost table: of the template, complete, and the same in the docs."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import pytest

from deploy.aws.costs import NoPrice, Prices, cost_lines, main, table, total
from deploy.aws.profiles import PROFILES
from deploy.tests.template import Template

PAGE = Path(__file__).parents[2] / "docs" / "deploy.md"


@pytest.fixture(scope="module")
def prices() -> Prices:
    return Prices.load()


@pytest.mark.parametrize("name", ["prod", "small", "dev", "foreign"])
def test_every_resource_has_a_price_or_is_known_to_be_free(
    templates: Mapping[str, Template], prices: Prices, name: str
) -> None:
    lines = cost_lines(templates[name].data, prices)
    assert all(line.month >= 0 for line in lines)
    assert {"database", "service code", "service daemon", "lake"} <= {line.what for line in lines}


def test_a_resource_of_an_unknown_kind_is_an_error(templates: Mapping[str, Template], prices: Prices) -> None:
    data = copy.deepcopy(dict(templates["dev"].data))
    data["Resources"]["New"] = {"Type": "AWS::Neptune::DBCluster", "Properties": {}}
    with pytest.raises(NoPrice, match="AWS::Neptune::DBCluster"):
        cost_lines(data, prices)


def test_a_price_that_is_not_there_is_named(templates: Mapping[str, Template], prices: Prices) -> None:
    data = copy.deepcopy(dict(templates["dev"].data))
    for one in data["Resources"].values():
        if one["Type"] == "AWS::RDS::DBInstance":
            one["Properties"]["DBInstanceClass"] = "db.r9.huge"
    with pytest.raises(NoPrice, match=r"db\.r9\.huge_hour"):
        cost_lines(data, prices)


def test_lines_follow_the_template(templates: Mapping[str, Template], prices: Prices) -> None:
    """Against sums by hand, of two lines."""
    by_name = {line.what: line for line in cost_lines(templates["small"].data, prices)}
    size = PROFILES["small"].sizes["webserver"]
    assert by_name["service webserver"].month == pytest.approx(
        730 * (size.cpu / 1024 * 0.04048 + size.memory / 1024 * 0.004445)
    )
    assert by_name["database"].month == pytest.approx(730 * 0.016 + 20 * 0.115)
    services = sum(one["DesiredCount"] for one in templates["small"].of("AWS::ECS::Service").values())
    assert by_name["public addresses of services"].month == pytest.approx(services * 730 * 0.005)
    data = copy.deepcopy(dict(templates["small"].data))
    for one in data["Resources"].values():
        if one["Type"] == "AWS::RDS::DBInstance":
            one["Properties"]["MultiAZ"] = True
    doubled = {line.what: line for line in cost_lines(data, prices)}["database"]
    assert doubled.month == pytest.approx(2 * by_name["database"].month)


def test_small_costs_less_than_prod_and_dev_less_than_small(templates: Mapping[str, Template], prices: Prices) -> None:
    sums = [total(cost_lines(templates[name].data, prices)) for name in ("dev", "small", "prod")]
    assert sums == sorted(sums)


def test_every_price_names_its_source(prices: Prices) -> None:
    for name, price in prices._prices.items():
        assert price["source"].startswith("aws.amazon.com/"), name
        assert price["read"] is None or price["read"].rpartition(", ")[2].startswith("20"), name


@pytest.mark.parametrize("name", ["small", "prod", "dev"])
def test_the_docs_have_the_computed_table(templates: Mapping[str, Template], prices: Prices, name: str) -> None:
    lines = cost_lines(templates[name].data, prices)
    page = PAGE.read_text(encoding="utf-8")
    if name == "small":
        assert table(name, lines, prices) in page, table(name, lines, prices)
    assert f"{total(lines):.0f}" in next(row for row in page.splitlines() if row.startswith(f"| `{name}` |")), total(
        lines
    )


def test_an_unknown_profile_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["huge"]) == 2
    assert "Profiles: prod, small, dev" in capsys.readouterr().err
