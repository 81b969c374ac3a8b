"""Tables of products in SQL: rows that come, change and go with the product that they are told of."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import main
from pipeline_assets import registry
from pipeline_assets.product import Product
from pipeline_assets.product_making import ProductFailed
from pipeline_assets.product_run import run_product
from pipeline_assets.source import FileSource, NoConfig
from resources.lake.sql import QueryError, list_tables
from resources.ledger.batches import Batch, get_batch
from resources.platform import Platform
from tests.conftest import Put
from tests.products.toy_products import COUNTED, GROUPED_TABLES, NOT_ROWS, ROWS_OF_ANOTHER, TOTALS, WITH_TABLES, Totals
from tests.rules.test_r03_groups import do_all
from tests.running import look_and_run, rows_of, toy
from tests.toy_source import TOY

QUERY = "SELECT keys, total FROM toy.totals_by_batch ORDER BY ALL"


def commit(platform: Platform, put: Put, *values: float, name: str = "a", source: FileSource = WITH_TABLES) -> Batch:
    put(f"toy/{name}.csv", toy(*values))
    return get_batch(platform.ledger, look_and_run(platform, source=source).batch.batch_id)


def make(platform: Platform, batch: Batch, source: FileSource = WITH_TABLES, product: Product = COUNTED) -> None:
    run_product(platform, source, NoConfig(), product, batch, "run-2", print)


def test_rows_of_a_product_stand_beside_the_tables_of_its_source(platform: Platform, put: Put, tmp_path: Path) -> None:
    batch = commit(platform, put, 1, 2)
    with pytest.raises(QueryError, match="totals_by_batch does not exist"):
        rows_of(platform, QUERY)
    make(platform, batch)
    other = commit(platform, put, 5, name="b")
    make(platform, other)
    assert rows_of(platform, "SELECT keys, total, file_id, batch_id FROM toy.totals_by_batch ORDER BY keys") == [
        ("toy/a.csv", 3.0, None, batch.batch_id), ("toy/b.csv", 5.0, None, other.batch_id),
    ]  # fmt: skip
    joined = "SELECT count(*) FROM toy.readings JOIN toy.totals_by_batch USING (batch_id)"
    assert rows_of(platform, joined) == [(3,)]
    assert "toy.totals_by_batch" in list_tables(platform.ledger, platform.product_rows)
    make(platform, batch)
    assert rows_of(platform, QUERY) == [("toy/a.csv", 3.0), ("toy/b.csv", 5.0)], "made again, not twice"


def test_rows_are_of_the_last_time_it_was_made_and_go_with_it(platform: Platform, put: Put) -> None:
    put("toy/x/a.csv", toy(1))
    put("toy/y/a.csv", toy(5))
    do_all(platform, GROUPED_TABLES)
    x, y = (get_batch(platform.ledger, GROUPED_TABLES.batch_of(group)) for group in "xy")
    for batch in (x, y):
        make(platform, batch, GROUPED_TABLES)
    put("toy/x/b.csv", toy(2))
    do_all(platform, GROUPED_TABLES)
    assert ("x", "outdated") in rows_of(platform, "SELECT partition, state FROM operations.products")
    assert rows_of(platform, QUERY) == [("toy/x/a.csv", 1.0), ("toy/y/a.csv", 5.0)], "until it is made anew"
    make(platform, x, GROUPED_TABLES)
    assert rows_of(platform, QUERY) == [("toy/x/a.csv, toy/x/b.csv", 3.0), ("toy/y/a.csv", 5.0)]


def test_rows_of_a_batch_that_has_none_any_more_are_gone(platform: Platform, put: Put) -> None:
    old = commit(platform, put, 1)
    make(platform, old)
    newer = commit(platform, put, 2)
    make(platform, newer)
    make(platform, old)
    assert rows_of(platform, QUERY) == [("toy/a.csv", 2.0)]


def test_rows_that_break_their_schema_leave_everything_as_it_was(platform: Platform, put: Put) -> None:
    good = commit(platform, put, 4)
    make(platform, good)
    for value, message in (
        (900.0, r"the rows of its table totals_by_batch break their schema \(column total"),
        (ROWS_OF_ANOTHER, r"it left totals_by_batch\.rows\.parquet, and files that end in .* call it something else"),
        (NOT_ROWS, "the rows of its table totals_by_batch are no such rows .*lack the columns"),
    ):
        put("toy/bad.csv", toy(value, value))
        bad = get_batch(platform.ledger, look_and_run(platform, source=WITH_TABLES).batch.batch_id)
        with pytest.raises(ProductFailed, match=message):
            make(platform, bad)
    assert rows_of(platform, QUERY) == [("toy/a.csv", 4.0)]
    silent = replace(TOTALS, tables={"others": Totals})
    with pytest.raises(ProductFailed, match=r"gave rows of \[\], and declares the tables \['others'\]"):
        make(platform, good, replace(WITH_TABLES, products=(silent,)), silent)


@pytest.mark.parametrize("name", ["readings", "Others", "by_value"])
def test_a_table_of_a_product_needs_a_name_of_its_own(name: str) -> None:
    with pytest.raises(ValueError, match=f"its table '{name}' needs a name of its own"):
        replace(TOY, products=(replace(COUNTED, tables={name: Totals}),))
    twice = replace(COUNTED, name="again", tables={"totals_by_batch": Others})
    with pytest.raises(
        ValueError, match=r"product toy\.again: its table 'totals_by_batch' is one of another product, with"
    ):
        replace(TOY, products=(COUNTED, twice))


class Others(Totals):
    """A schema of another product."""


def test_products_may_have_rows_of_one_table(platform: Platform, put: Put) -> None:
    again = replace(COUNTED, name="again")
    source = replace(TOY, products=(COUNTED, again), aggregates=())
    batch = commit(platform, put, 1, 2, source=source)
    make(platform, batch, source)
    assert rows_of(platform, QUERY) == [("toy/a.csv", 3.0)]
    make(platform, batch, source, again)
    assert rows_of(platform, QUERY) == [("toy/a.csv", 3.0)] * 2
    newer = commit(platform, put, 4, source=source)
    make(platform, newer, source)
    make(platform, batch, source)
    assert rows_of(platform, QUERY) == [("toy/a.csv", 3.0), ("toy/a.csv", 4.0)], (
        "of the older batch those of the other product"
    )


def test_namespaces_have_rows_of_their_own(platform: Platform, put: Put) -> None:
    make(platform, commit(platform, put, 1))
    other = Platform(platform.settings.model_copy(update={"namespace": "trial"}))
    assert "toy.totals_by_batch" in list_tables(platform.ledger, platform.product_rows)
    assert other.product_rows.tables("toy") == []
    assert other.product_rows.of("toy", "totals_by_batch") is None


@pytest.fixture
def strandline(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    for name, value in {"HOME": platform.settings.home, "SETTLE_SECONDS": 0.05, "WORKERS": 1}.items():
        monkeypatch.setenv(f"STRANDLINE_{name}", str(value))
    monkeypatch.setattr(registry, "SOURCES", (WITH_TABLES,))
    monkeypatch.setattr(registry.get_source, "__defaults__", ((WITH_TABLES,),))

    def run(*arguments: str, code: int = 0) -> str:
        platform.close()
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == code, (done.output, done.exception)
        return done.stdout

    return run


def test_a_person_queries_and_exports_them_and_what_is_forgotten_leaves_them(
    platform: Platform, put: Put, strandline: Callable[..., str], tmp_path: Path
) -> None:
    put("toy/a.csv", toy(1))
    put("toy/secret.csv", toy(2))
    strandline("drain")
    assert "toy/a.csv, toy/secret.csv" in strandline("sql", QUERY)
    strandline("export", "toy", str(tmp_path / "out"))
    with (tmp_path / "out" / "totals_by_batch.csv").open() as file:
        assert [row["total"] for row in csv.DictReader(file)] == ["3.0"]
    strandline("forget", "toy/secret.csv", "--yes", code=3)  # the file itself is still in the landing store
    assert "secret" not in strandline("sql", QUERY)
    assert rows_of(platform, QUERY) == [("toy/a.csv", 1.0)]
