"""What every landing store does alike, be it a folder or a bucket of either server."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from resources.landing.folder import FolderStore
from resources.landing.store import (
    BadKey,
    FileChanged,
    FileGone,
    LandingStore,
    ReadOnlyStore,
)
from resources.ledger.arrivals import Look
from tests.landing.conftest import new_bucket


@pytest.fixture(params=["folder", "seaweed", "seaweed below a prefix", "moto"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> LandingStore:
    if request.param == "folder":
        return FolderStore(tmp_path / "landing")
    bucket = new_bucket(request.getfixturevalue(request.param.split()[0]))
    bucket.put("beside/toy/not-mine", "of somebody else")
    return bucket.store(tmp_path / "spool", "a deep/prefix/" if "prefix" in request.param else "")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file to land"
    path.write_bytes(b"12345")
    return path


def looks(store: LandingStore, prefix: str = "toy/") -> dict[str, Look]:
    return {look.key: look for look in store.list(prefix) if isinstance(look, Look)}


def version(store: LandingStore, key: str) -> str:
    look = store.look(key)
    assert look is not None
    return store.version_of(look)


def test_an_empty_store_lists_nothing(store: LandingStore) -> None:
    assert list(store.list("toy/")) == []
    assert [(page.seen, page.position) for page in store.pages("toy/")] == [((), None)]
    assert store.look("toy/a") is None


def test_what_is_put_is_listed_looked_at_and_fetched(store: LandingStore, file: Path) -> None:
    assert store.put(file, "toy/deep/a b+ü%2F.csv")
    (look,) = looks(store).values()
    assert (look.key, look.size_bytes) == ("toy/deep/a b+ü%2F.csv", 5)
    seen = store.look(look.key)
    assert seen is not None
    assert (seen.key, seen.size_bytes, seen.version) == (look.key, look.size_bytes, look.version)
    assert store.version_of(look) == store.version_of(seen)
    fetcher = pickle.loads(pickle.dumps(store.fetcher()))
    content = fetcher.fetch(look.key, store.version_of(look), 5)
    assert content == b"12345"
    fetcher.done(content)


def test_the_same_bytes_again_change_nothing(store: LandingStore, file: Path) -> None:
    assert store.put(file, "toy/a")
    before, first = store.look("toy/a"), version(store, "toy/a")
    assert not store.put(file, "toy/a")
    assert store.look("toy/a") == before
    file.write_bytes(b"54321")
    assert store.put(file, "toy/a")
    assert version(store, "toy/a") != first


def test_prefixes_are_folders(store: LandingStore, file: Path) -> None:
    for key in ("toy/a", "toys/b", "other/toy/c"):
        store.put(file, key)
    assert set(looks(store)) == {"toy/a"}


def test_a_fetch_is_pinned_to_its_version(store: LandingStore, file: Path) -> None:
    store.put(file, "toy/a")
    old = version(store, "toy/a")
    file.write_bytes(b"other")
    store.put(file, "toy/a")
    with pytest.raises(FileChanged):
        store.fetcher().fetch("toy/a", old, 5)
    with pytest.raises(FileGone):
        store.fetcher().fetch("toy/b", old, 5)
    assert store.fetcher().fetch("toy/a", version(store, "toy/a"), 5) == b"other"


def test_an_empty_file_is_a_file(store: LandingStore, file: Path) -> None:
    file.write_bytes(b"")
    store.put(file, "toy/empty")
    assert store.fetcher().fetch("toy/empty", version(store, "toy/empty"), 0) == b""


def test_a_large_file_comes_as_a_path(store: LandingStore, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.landing.folder._BIG_FILE_BYTES", 5)
    monkeypatch.setattr("resources.landing.s3.BIG_FILE_BYTES", 5)
    store.put(file, "toy/a.mat")
    fetcher = store.fetcher()
    path = fetcher.fetch("toy/a.mat", version(store, "toy/a.mat"), 5)
    assert isinstance(path, Path)
    assert path.suffix == ".mat"
    assert path.read_bytes() == b"12345"
    fetcher.done(path)
    assert store.fetcher().fetch("toy/a.mat", version(store, "toy/a.mat"), 5), "the landed file itself is still there"
    with pytest.raises(FileChanged):
        fetcher.fetch("toy/a.mat", "of other bytes", 5)


@pytest.mark.parametrize("key", ["/a", "a//b", "a/../b", "./a", "", "a/", "new\nline", "x" * 1025, "\udce9"])
def test_keys_that_are_none_are_refused(store: LandingStore, file: Path, key: str) -> None:
    with pytest.raises(BadKey):
        store.put(file, key)


def test_a_read_only_store_is_not_written_to(store: LandingStore, file: Path) -> None:
    store.read_only = True
    with pytest.raises(ReadOnlyStore, match="STRANDLINE_LANDING_READ_ONLY"):
        store.put(file, "toy/a")
    assert looks(store) == {}


def test_pages_resume_after_every_position(store: LandingStore, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.landing.folder.PAGE_KEYS", 2)
    monkeypatch.setattr("resources.landing.s3.PAGE_KEYS", 2)
    # In the order of bytes `a-b` and `a.c` come before `a/...`, in that of folders after it.
    keys = [f"toy/{name}" for name in ("B", "a-b", "a.c", "a/b", "a/c/d", "a/c/e", "a/z", "aa", "ä/b", "z z/b", "トオ")]
    for key in keys:
        store.put(file, key)
    whole = [look.key for page in store.pages("toy/") for look in page.seen if isinstance(look, Look)]
    assert sorted(whole) == sorted(keys)
    for number, position in enumerate(whole):
        rest = [look.key for page in store.pages("toy/", position) for look in page.seen if isinstance(look, Look)]
        assert rest == whole[number + 1 :], position
    positions = [page.position for page in store.pages("toy/")]
    assert positions[-1] is None
    assert None not in positions[:-1]
    assert len(positions) >= len(keys) // 2


def test_a_position_that_is_gone_is_still_a_position(
    store: LandingStore, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "c", "d/e"):
        store.put(file, f"toy/{name}")
    after = [look.key for page in store.pages("toy/", "toy/b/x") for look in page.seen if isinstance(look, Look)]
    assert after == ["toy/c", "toy/d/e"]


def test_what_is_made_touches_nothing(tmp_path: Path) -> None:
    from resources.landing.s3 import S3Store
    from resources.settings import S3Address

    FolderStore(tmp_path / "none")
    made = S3Store(S3Address("none"), endpoint="http://127.0.0.1:9", spool=tmp_path / "spool")
    assert made.uri("toy") == "s3://none/toy"
    made.fetcher()
    assert list(tmp_path.iterdir()) == []
