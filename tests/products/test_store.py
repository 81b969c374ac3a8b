"""Where products lie: whole or not at all, under any partition's name."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from resources.products import ROWS_SUFFIX, FolderProducts, Place, folder_name
from resources.settings import Settings

PLACE = Place("toy", "a/b", "report")


@pytest.fixture
def store(tmp_path: Path) -> FolderProducts:
    return FolderProducts(tmp_path / "products")


def write(store: FolderProducts, place: Place, text: str) -> Path:
    made = store.begin(place)
    (made / "a.txt").write_text(text)
    return store.put(place, made)


def everything(store: FolderProducts) -> list[str]:
    return sorted(path.name for path in store.root.rglob("*") if path.is_file())


def test_a_generation_takes_the_place_of_the_older_one_and_nothing_of_that_is_left(store: FolderProducts) -> None:
    first = write(store, PLACE, "one")
    assert first == store.root / "toy" / "a%2Fb" / "report" == store.find(PLACE)
    assert (first / "a.txt").read_text() == "one"
    half = store.begin(PLACE)
    (half / "b.txt").write_text("half")
    assert (first / "a.txt").read_text() == "one", "what is begun is not there yet"
    store.drop(half)
    second = write(store, PLACE, "two")
    assert second == first
    assert (second / "a.txt").read_text() == "two"
    assert everything(store) == ["a.txt"]


def test_products_and_partitions_do_not_disturb_each_other(store: FolderProducts) -> None:
    others = [Place("toy", "a/b", "report-2"), Place("toy", "a", "report"), Place("ns__toy", "a/b", "report")]
    for place in (PLACE, *others):
        write(store, place, str(place))
    store.remove(PLACE)
    assert store.find(PLACE) is None
    store.remove(PLACE)
    assert [(store.find(place) / "a.txt").read_text() for place in others] == list(map(str, others))  # type: ignore[operator]
    store.remove_partition("toy", "a/b")
    assert store.find(others[0]) is None
    assert store.find(others[1]) is not None
    store.remove_partition("toy", "nosuch")


def write_rows(store: FolderProducts, place: Place, **tables: int) -> None:
    made = store.begin(place)
    (made / "a.txt").write_text("something")
    for table, value in tables.items():
        pq.write_table(pa.table({"value": [value]}), made / f"{table}{ROWS_SUFFIX}")
    store.put(place, made)


def rows(store: FolderProducts, table: str) -> list[int]:
    return [part["value"][0].as_py() for part in store.rows("toy", table)]


def test_rows_are_found_by_their_table_until_their_product_goes_or_has_none(store: FolderProducts) -> None:
    other, beside = Place("toy", "b", "report"), Place("toy", "a/b", "beside")
    assert (store.tables("toy"), rows(store, "totals")) == ([], [])
    write_rows(store, PLACE, totals=1, more=10)
    write_rows(store, other, totals=2)
    write_rows(store, beside, others=3)
    write_rows(store, PLACE, totals=4, more=40)
    assert store.tables("toy") == ["more", "others", "totals"]
    assert (rows(store, "totals"), rows(store, "more"), rows(store, "others")) == ([4, 2], [40], [3])
    write_rows(store, PLACE, more=50)
    assert (rows(store, "totals"), rows(store, "more")) == ([2], [50])
    store.remove(PLACE)
    assert (store.tables("toy"), rows(store, "others")) == (["others", "totals"], [3])
    store.remove_partition("toy", "a/b")
    assert (store.tables("toy"), rows(store, "totals")) == (["totals"], [2])
    assert "a%2Fb" not in {path.name for path in store.root.rglob("*")}, "nor does a name tell of it"


def test_products_of_a_partition_may_have_rows_of_one_table(store: FolderProducts) -> None:
    other, elsewhere = Place("toy", "a/b", "other"), Place("toy", "a", "report")
    for number, place in enumerate((PLACE, other, elsewhere)):
        write_rows(store, place, totals=number)
    assert sorted(rows(store, "totals")) == [0, 1, 2]
    write_rows(store, PLACE, totals=5)
    assert sorted(rows(store, "totals")) == [1, 2, 5]
    store.remove(other)
    assert sorted(rows(store, "totals")) == [2, 5]
    store.remove_partition("toy", "a/b")
    assert rows(store, "totals") == [2]


def test_links_of_an_older_version_are_taken_over(store: FolderProducts) -> None:
    write_rows(store, PLACE, totals=1)
    (link,) = (store.root / "toy" / ".tables" / "totals").iterdir()
    link.rename(link.with_name("a%2Fb"))
    assert rows(store, "totals") == [1]
    write_rows(store, PLACE, totals=2)
    assert rows(store, "totals") == [2]
    (link,) = (store.root / "toy" / ".tables" / "totals").iterdir()
    link.rename(link.with_name("a%2Fb"))
    store.remove_partition("toy", "a/b")
    assert (store.tables("toy"), rows(store, "totals")) == ([], [])


def test_rows_that_are_listed_and_not_there_yet_are_passed_over(store: FolderProducts) -> None:
    write_rows(store, PLACE, totals=1)
    store._link(PLACE).unlink()
    assert rows(store, "totals") == []


def test_folders_tell_partitions_apart_and_stay_where_they_belong() -> None:
    plain = "33RR20160208 (leg 1)"
    assert folder_name(plain) == plain
    odd = ["..", ".", ".hidden", "a/b", "a%2Fb", "Ü", "a\\b", "a:b", "x" * 400, "x" * 401, "é" * 100]
    names = [folder_name(name) for name in odd]
    assert len(set(names)) == len(odd)
    for name in names:
        assert "/" not in name
        assert not name.startswith(".")
        assert len(name.encode()) <= 150


def test_the_folder_is_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_HOME", str(tmp_path / "home"))
    assert Settings.load().products_folder == tmp_path / "home" / "products"
    monkeypatch.setenv("STRANDLINE_PRODUCTS", str(tmp_path / "elsewhere"))
    assert Settings.load().products_folder == tmp_path / "elsewhere"
