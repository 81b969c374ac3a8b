"""Products made from a batch's committed rows: whole, anew with the rows, and failing alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline_assets import product_making
from pipeline_assets.product import Making, Product, ProductResult
from pipeline_assets.product_making import ProductFailed
from pipeline_assets.product_run import ProductReport, _tables, behind_products, place_of, run_product
from pipeline_assets.source import NoConfig
from resources.ledger.batches import Batch, get_batch
from resources.ledger.products import give_products_back, take_products
from resources.platform import Platform
from tests.conftest import Put
from tests.products.toy_products import (
    AWAY,
    COPY,
    CRASH,
    FAULT,
    GROUPED,
    HANG,
    LIE,
    REFUSE,
    TOTALS,
    WITH_PRODUCTS,
    write_totals,
)
from tests.rules.test_r03_groups import do_all
from tests.running import look_and_run, rows_of, states, toy
from tests.toy_source import TOY


def commit(platform: Platform, put: Put, *values: float, name: str = "a") -> Batch:
    put(f"toy/{name}.csv", toy(*values))
    return get_batch(platform.ledger, look_and_run(platform, source=WITH_PRODUCTS).batch.batch_id)


def make(platform: Platform, batch: Batch, product: Product = TOTALS, run_id: str = "run-2") -> ProductReport:
    return run_product(platform, WITH_PRODUCTS, NoConfig(), product, batch, run_id, print)


def text_of(platform: Platform, batch: Batch) -> str:
    folder = platform.products.find(place_of(platform, WITH_PRODUCTS, TOTALS, batch.partition))
    assert folder is not None
    return (folder / "deep" / "totals.txt").read_text()


def files_below(platform: Platform) -> list[str]:
    root = platform.settings.products_folder
    return sorted(path.name for path in root.rglob("*") if path.is_file())


def due(platform: Platform) -> list[tuple[str, int, bool]]:
    return [(one.name, one.failures, one.is_permanent) for one in behind_products(platform, WITH_PRODUCTS, NoConfig())]


def shown(platform: Platform) -> list[tuple[str, str]]:
    return rows_of(platform, "SELECT product, state FROM operations.products ORDER BY ALL")  # type: ignore[return-value]


def test_a_product_is_made_from_the_rows_of_its_batch(platform: Platform, put: Put) -> None:
    commit(platform, put, 7, name="other")
    batch = commit(platform, put, 1, 2.5)
    assert due(platform) == [("copy_of_totals", 0, False), ("totals", 0, False)] * 2
    report = make(platform, batch)
    assert text_of(platform, batch) == "toy/a.csv: [1.0, 2.5] make 3.5\n"
    assert (report.rows, report.files) == ({"readings": 2, "files": 1}, {"deep/totals.txt": 31})
    assert report.result.metadata == {"total": 3.5}
    assert make(platform, batch, COPY).result.metadata == {"highest": 2.5}
    assert len(due(platform)) == 2
    assert shown(platform) == [
        ("copy_of_totals", "due"), ("copy_of_totals", "made"), ("totals", "due"), ("totals", "made"),
    ]  # fmt: skip


def test_rows_come_file_by_file_in_the_order_of_keys(platform: Platform, put: Put) -> None:
    for name in ("c", "a", "b"):
        put(f"toy/{name}.csv", toy(*[float(ord(name))] * 3, 1))
    batch = get_batch(platform.ledger, look_and_run(platform, source=WITH_PRODUCTS).batch.batch_id)
    make(platform, batch)
    values = [97.0] * 3 + [1.0] + [98.0] * 3 + [1.0] + [99.0] * 3 + [1.0]
    assert text_of(platform, batch) == f"toy/a.csv, toy/b.csv, toy/c.csv: {values} make {sum(values)}\n"


def test_rows_can_be_had_in_pieces_of_a_file_each_in_the_same_order(
    platform: Platform, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, values in {"c": [3.0] * 3, "a": [1.0, 2.0, 9.0, 1.0, 5.0], "b": [8.0]}.items():
        put(f"toy/{name}.csv", toy(*values))
    batch = get_batch(platform.ledger, look_and_run(platform, source=WITH_PRODUCTS).batch.batch_id)
    tables = _tables(platform, WITH_PRODUCTS, TOTALS, batch)
    monkeypatch.setattr(product_making, "PIECE_ROWS", 2)
    rows = product_making.RowsOfBatch(tables)
    making = Making(rows, platform.settings.home, NoConfig(), batch.partition)
    pieces = list(making.pieces("readings"))
    assert [piece.num_rows for piece in pieces] == [2, 2, 1, 1, 2, 1]
    assert all(len(set(piece["file_id"].to_pylist())) == 1 for piece in pieces)
    whole = rows["readings"]
    assert pa.concat_tables(pieces).equals(whole)
    assert list(replace(making, rows={"readings": whole}).pieces("readings")) == [whole]
    counts = {file_id: count + 1 for file_id, count in tables["readings"].counts.items()}
    with pytest.raises(OSError, match="found 5 rows in the data files, where the ledger counts 6"):
        list(product_making.read_pieces(replace(tables["readings"], counts=counts)))


def test_in_a_source_with_groups_it_is_of_the_whole_group_and_follows_it(platform: Platform, put: Put) -> None:
    put("toy/x/a.csv", toy(1))
    put("toy/y/a.csv", toy(5))
    do_all(platform, GROUPED)
    batch = get_batch(platform.ledger, GROUPED.batch_of("x"))
    run_product(platform, GROUPED, NoConfig(), TOTALS, batch, "run-2", print)
    assert text_of(platform, batch) == "toy/x/a.csv: [1.0] make 1.0\n"
    assert (platform.settings.products_folder / "toy" / "x" / "totals").is_dir()
    put("toy/x/b.csv", toy(2))
    do_all(platform, GROUPED)
    assert ("totals", "outdated") in shown(platform)
    run_product(platform, GROUPED, NoConfig(), TOTALS, batch, "run-3", print)
    assert text_of(platform, batch) == "toy/x/a.csv, toy/x/b.csv: [1.0, 2.0] make 3.0\n"
    assert files_below(platform) == ["totals.txt"]


def test_a_batch_that_loses_rows_to_another_has_its_products_made_anew_or_deleted(platform: Platform, put: Put) -> None:
    put("toy/b.csv", toy(3))
    old = commit(platform, put, 1)
    lone = commit(platform, put, 9, name="lone")
    for batch in (old, lone):
        make(platform, batch)
    newer = commit(platform, put, 2)
    commit(platform, put, 8, name="lone")
    assert {one.batch_id for one in behind_products(platform, WITH_PRODUCTS, NoConfig())} >= {
        old.batch_id,
        lone.batch_id,
    }
    for batch in (old, newer):
        make(platform, batch)
    assert make(platform, lone).folder is None
    assert text_of(platform, old) == "toy/b.csv: [3.0] make 3.0\n"
    assert text_of(platform, newer) == "toy/a.csv: [2.0] make 2.0\n"
    assert platform.products.find(place_of(platform, WITH_PRODUCTS, TOTALS, lone.partition)) is None
    assert files_below(platform) == ["totals.txt"] * 2


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (HANG, "making totals took longer than 2 s. If that is right, raise STRANDLINE_PRODUCT_TIMEOUT_SECONDS"),
        (CRASH, "the process that made totals died"),
        (FAULT, "write_totals failed with KeyError: 'a fault of the function'. The rows are unusual, or"),
        (REFUSE, r"totals cannot be made of these rows \(too_odd\): the readings are too odd"),
    ],
)
def test_a_product_that_fails_leaves_everything_as_it_was(
    platform: Platform, put: Put, command: float, message: str
) -> None:
    platform.settings = platform.settings.model_copy(update={"product_timeout_seconds": 2.0})
    batch = commit(platform, put, 1)
    make(platform, batch)
    put("toy/a.csv", toy(1, command))
    bad = get_batch(platform.ledger, look_and_run(platform, source=WITH_PRODUCTS).batch.batch_id)
    with pytest.raises(ProductFailed, match=message):
        make(platform, bad)
    assert states(platform) == {"toy/a.csv": "committed"}
    assert rows_of(platform, "SELECT count(*) FROM toy.readings") == [(2,)]
    assert files_below(platform) == ["totals.txt"]
    (failed,) = [one for one in behind_products(platform, WITH_PRODUCTS, NoConfig()) if one.failures]
    assert (failed.batch_id, failed.name, failed.is_permanent) == (bad.batch_id, "totals", True)
    assert failed.error is not None
    with pytest.raises(
        ProductFailed, match=r"copy_of_totals is made from totals, which is not there for .* Materialize"
    ):
        make(platform, bad, COPY)


def test_a_product_takes_in_what_is_beside_it_where_that_is_there(platform: Platform, put: Put) -> None:
    taking = replace(TOTALS, name="taking", beside=("totals",), make=write_names, checks={})
    source = replace(WITH_PRODUCTS, products=(TOTALS, taking))
    batch = commit(platform, put, 1)
    assert run_product(platform, source, NoConfig(), taking, batch, "run-2", print).result.markdown == "nothing"
    make(platform, batch)
    assert run_product(platform, source, NoConfig(), taking, batch, "run-3", print).result.markdown == "totals: deep"
    with pytest.raises(
        ValueError, match="`beside` names 'totals'; expected products declared before it: there are none"
    ):
        replace(TOY, products=(taking,))


def write_names(making: Making) -> ProductResult:
    """What is beside the product, and what is in that."""
    (making.folder / "names.txt").write_text("names")
    told = [f"{name}: {path.name}" for name, folder in making.products.items() for path in folder.iterdir()]
    return ProductResult(markdown=", ".join(told) or "nothing")


def test_what_is_outside_and_away_may_be_tried_again(platform: Platform, put: Put) -> None:
    batch = commit(platform, put, AWAY)
    with pytest.raises(ConnectionError):
        make(platform, batch)
    assert ("totals", 1, False) in due(platform)
    assert ("totals", "failed") in shown(platform)


def test_a_function_that_makes_nothing_or_another_thing_has_a_fault(platform: Platform, put: Put) -> None:
    batch = commit(platform, put, LIE)
    make(platform, batch)
    with pytest.raises(ProductFailed, match="write_copy has a fault: it left no file in its folder"):
        make(platform, batch, COPY)
    silent = replace(TOTALS, checks={"other": "Another check."})
    with pytest.raises(ProductFailed, match=r"reported the checks \['is_positive'\], and declares \['other'\]"):
        run_product(
            platform, replace(WITH_PRODUCTS, products=(silent,)), NoConfig(), silent, batch, "run-3", print
        )  # fmt: skip


def test_a_product_that_is_new_in_the_declaration_can_be_made_for_an_older_batch(platform: Platform, put: Put) -> None:
    put("toy/a.csv", toy(4))
    batch = get_batch(platform.ledger, look_and_run(platform, source=TOY).batch.batch_id)
    assert shown(platform) == []
    make(platform, batch)
    assert text_of(platform, batch) == "toy/a.csv: [4.0] make 4.0\n"
    assert shown(platform) == [("totals", "made")]


def test_one_product_of_a_batch_is_made_at_a_time(platform: Platform, put: Put) -> None:
    import threading

    batch = commit(platform, put, 1)
    lease = take_products(platform.ledger, batch.batch_id, "another", 60)
    assert lease is not None
    said: list[str] = []
    waiting = threading.Event()

    def say(text: str) -> None:
        said.append(text)
        waiting.set()

    made: list[ProductReport] = []
    thread = threading.Thread(
        target=lambda: made.append(run_product(platform, WITH_PRODUCTS, NoConfig(), TOTALS, batch, "run-2", say))
    )
    thread.start()
    assert waiting.wait(30)
    assert said == [f"waiting: another run makes products of batch {batch.batch_id}"]
    assert not files_below(platform)
    give_products_back(platform.ledger, lease)
    thread.join(60)
    assert made[0].folder is not None


def test_a_namespace_has_products_of_its_own(platform: Platform, put: Put, tmp_path: Path) -> None:
    platform.settings = platform.settings.model_copy(update={"namespace": "trial"})
    batch = commit(platform, put, 1)
    make(platform, batch)
    assert [path.name for path in platform.settings.products_folder.iterdir()] == ["trial__toy"]


@pytest.mark.parametrize(
    ("products", "message"),
    [
        ((replace(TOTALS, of=("nosuch",)),), "`of` names 'nosuch'; expected tables: readings, files"),
        ((replace(TOTALS, columns={"readings": ("nosuch",)}),), "`columns` names 'nosuch' of readings"),
        ((replace(COPY, after=(), columns={"files": ("readings",)}),), "`columns` names 'readings' of files"),
        ((COPY,), "`after` names 'totals'; expected products declared before it: there are none"),
        ((TOTALS, TOTALS), "every table, dataset, aggregate and product needs a name of its own"),
        ((replace(TOTALS, name="readings"),), "every table, dataset, aggregate and product needs a name of its own"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused(products: tuple[Product, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TOY, products=products)


def test_a_product_needs_a_name_and_a_table() -> None:
    with pytest.raises(ValueError, match="product name 'A b'"):
        Product("A b", "", of=("readings",), make=write_totals)
    with pytest.raises(ValueError, match="`of` names the tables"):
        Product("a", "", of=(), make=write_totals)
