"""Products that not every batch has, and products that work with something outside."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from pipeline_assets.product import Making, Product, ProductResult
from pipeline_assets.product_making import ProductFailed
from pipeline_assets.product_run import ProductReport, behind_products, place_of, run_product
from pipeline_assets.source import NoConfig
from resources.errors import PermanentFailure, TransientFailure
from resources.ledger.batches import Batch, get_batch
from resources.platform import Platform
from tests.conftest import Put
from tests.running import look_and_run, toy
from tests.toy_source import TOY

FEW = 2


def too_few(making: Making) -> str:
    return "too few readings" if len(making.rows["readings"]) < FEW else ""


def write_many(making: Making) -> ProductResult:
    (making.folder / "many.txt").write_text("many")
    return ProductResult()


def write_both(making: Making) -> ProductResult:
    (making.folder / "both.txt").write_text(", ".join(sorted(making.products)))
    return ProductResult()


def write_outside(making: Making) -> ProductResult:
    making.say(f"asking {making.outside['host']}")
    if error := making.outside.get("error"):
        raise error
    before = (making.older / "outside.txt").read_text() if making.older else "nothing"
    (making.folder / "outside.txt").write_text(f"{os.getpid()} after {before.partition(' ')[0]}")
    return ProductResult()


HOST: dict[str, object] = {"host": "a licensed host"}


def host_of(platform: Platform) -> dict[str, object]:
    return HOST


MANY = Product("many", "Where there are many readings.", of=("readings",), make=write_many, skip=too_few)
BOTH = Product("both", "Of all there is.", of=("readings",), after=("many",), make=write_both)
OUTSIDE = Product(
    "outside", "Made elsewhere.", of=("readings",), make=write_outside, outside=host_of,
    told={"commands": "make it"},
)  # fmt: skip
SOURCE = replace(TOY, products=(MANY, BOTH, OUTSIDE), aggregates=())


def commit(platform: Platform, put: Put, *values: float) -> Batch:
    put("toy/a.csv", toy(*values))
    return get_batch(platform.ledger, look_and_run(platform, source=SOURCE).batch.batch_id)


def make(platform: Platform, batch: Batch, product: Product, said: list[str] | None = None) -> ProductReport:
    hear = print if said is None else said.append
    return run_product(platform, SOURCE, NoConfig(), product, batch, "run-2", hear)


def text_of(platform: Platform, batch: Batch, product: Product) -> str:
    folder = platform.products.find(place_of(platform, SOURCE, product, batch.partition))
    assert folder is not None
    return (folder / f"{product.name}.txt").read_text()


def test_a_batch_that_skips_a_product_has_none_and_those_after_it_are_made_without(
    platform: Platform, put: Put
) -> None:
    batch = commit(platform, put, 1)
    report = make(platform, batch, MANY)
    assert (report.folder, report.because) == (None, "too few readings")
    assert platform.products.find(place_of(platform, SOURCE, MANY, batch.partition)) is None
    make(platform, batch, BOTH)
    assert text_of(platform, batch, BOTH) == ""
    assert [one.name for one in behind_products(platform, SOURCE, NoConfig())] == ["outside"], (
        "what is skipped is not due"
    )


def test_a_product_that_is_not_skipped_is_needed(platform: Platform, put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = commit(platform, put, 1, 2)
    with pytest.raises(ProductFailed, match="both is made from many, which is not there"):
        make(platform, batch, BOTH)
    make(platform, batch, MANY)
    make(platform, batch, BOTH)
    assert text_of(platform, batch, BOTH) == "many"
    monkeypatch.setattr(f"{__name__}.FEW", 3)
    make(platform, batch, MANY)
    assert platform.products.find(place_of(platform, SOURCE, MANY, batch.partition)) is None, (
        "it goes when it is skipped"
    )


def test_a_product_with_an_outside_is_made_in_the_run_s_own_process_and_knows_what_it_was(
    platform: Platform, put: Put
) -> None:
    batch = commit(platform, put, 1)
    said: list[str] = []
    make(platform, batch, OUTSIDE, said)
    assert said == ["asking a licensed host"]
    assert text_of(platform, batch, OUTSIDE) == f"{os.getpid()} after nothing"
    make(platform, batch, OUTSIDE, said)
    assert text_of(platform, batch, OUTSIDE) == f"{os.getpid()} after {os.getpid()}"


@pytest.mark.parametrize("kind", [PermanentFailure, TransientFailure])
def test_the_outside_s_own_errors_stay_what_they_are(
    platform: Platform, put: Put, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    batch = commit(platform, put, 1)
    monkeypatch.setitem(HOST, "error", kind("the host is away"))
    with pytest.raises(kind, match=r"^the host is away$"):
        make(platform, batch, OUTSIDE)
    (behind,) = [one for one in behind_products(platform, SOURCE, NoConfig()) if one.name == "outside"]
    assert behind.is_permanent == (kind is PermanentFailure)


def test_what_a_product_tells_stands_in_its_definition() -> None:
    from pipeline_assets.metadata import product_metadata

    assert product_metadata(SOURCE, OUTSIDE, "file:///x")["commands"] == "make it"
