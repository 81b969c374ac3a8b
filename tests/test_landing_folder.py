"""A folder as landing store: putting, listing and reading exactly what was meant."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from resources.landing import folder as folder_module
from resources.landing.folder import BadKey, FolderStore, LandingGone, check_key, sha256_of
from resources.landing.store import FileChanged, FileGone, Skipped
from resources.ledger.arrivals import Look


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "landing")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"content")
    return path


def write(store: FolderStore, key: str, content: bytes = b"content") -> Path:
    path = store.root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def keys(store: FolderStore, prefix: str = "toy/") -> list[str]:
    return sorted(look.key for look in store.list(prefix) if isinstance(look, Look))


def skipped(store: FolderStore) -> list[Skipped]:
    return [look for look in store.list("toy/") if isinstance(look, Skipped)]


# --- putting


def test_putting_makes_folders_and_leaves_nothing_aside(store: FolderStore, source: Path) -> None:
    assert store.put(source, "toy/2024/a.csv")
    assert (store.root / "toy/2024/a.csv").read_bytes() == b"content"
    assert list((store.root / ".landing").iterdir()) == []
    assert source.exists()


def test_putting_the_same_bytes_touches_nothing(store: FolderStore, source: Path) -> None:
    store.put(source, "toy/a")
    before = (store.root / "toy/a").stat()
    assert not store.put(source, "toy/a")
    assert (store.root / "toy/a").stat() == before


@pytest.mark.parametrize("content", [b"changed", b"longer than before"])
def test_putting_other_bytes_replaces_the_file_by_another(store: FolderStore, source: Path, content: bytes) -> None:
    store.put(source, "toy/a")
    with (store.root / "toy/a").open("rb") as reader:
        source.write_bytes(content)
        assert store.put(source, "toy/a")
        assert reader.read() == b"content", "who reads the old file is not disturbed"
    assert (store.root / "toy/a").read_bytes() == content


def test_a_failed_put_leaves_the_old_file(store: FolderStore, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put(source, "toy/a")
    source.write_bytes(b"changed")

    def half(source_path: Path, target: Path) -> None:
        target.write_bytes(b"cha")
        raise OSError("No space left on device")

    monkeypatch.setattr(shutil, "copyfile", half)
    with pytest.raises(OSError, match="No space left"):
        store.put(source, "toy/a")
    assert (store.root / "toy/a").read_bytes() == b"content"
    assert list((store.root / ".landing").iterdir()) == []


def test_what_is_put_aside_is_never_listed(store: FolderStore, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    replace = os.replace

    def look_and_replace(aside: Path, target: Path) -> None:
        seen.extend(store.list("toy/"))
        replace(aside, target)

    monkeypatch.setattr(os, "replace", look_and_replace)
    store.put(source, "toy/a")
    assert seen == []
    assert keys(store) == ["toy/a"]


def test_a_key_in_the_way_of_another(store: FolderStore, source: Path) -> None:
    store.put(source, "toy/a/b")
    with pytest.raises(BadKey, match="'toy/a' is a folder in the landing store"):
        store.put(source, "toy/a")
    with pytest.raises(BadKey, match="'toy/a/b/c' has a part that is a file"):
        store.put(source, "toy/a/b/c")
    assert keys(store) == ["toy/a/b"]
    assert list((store.root / ".landing").iterdir()) == []


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("", "is not a key: use a relative path"),
        ("/toy/a", "is not a key"),
        ("toy//a", "is not a key"),
        ("toy/a/", "is not a key"),
        ("toy/./a", "is not a key"),
        ("toy/../../etc/passwd", "is not a key"),
        ("toy/.hidden", "begins with a dot; such files are never picked up"),
        ("toy/.folder/a", "begins with a dot"),
        ("toy/a\nb", "has a control character"),
        ("toy/a\x7f", "has a control character"),
        ("toy/a\0b", "has a control character"),
        ("toy/\udcff", "is not UTF-8"),
        ("toy/" + "x" * 256, "too long: at most 1,024 bytes, and 255 for each part"),
        ("toy/" + "é" * 128, "too long"),
        ("/".join(["toy", *["x" * 200] * 6]), "too long"),
    ],
)
def test_keys_that_are_refused(store: FolderStore, source: Path, key: str, message: str) -> None:
    with pytest.raises(BadKey, match=message):
        check_key(key)
    with pytest.raises(BadKey, match=message):
        store.put(source, key)
    assert not store.root.exists()


@pytest.mark.parametrize("key", ["toy/a b.csv", "toy/é漢字", "toy/a%2Fb", "toy/a'b\"c", "toy/" + "x" * 255])
def test_keys_that_are_taken(store: FolderStore, source: Path, key: str) -> None:
    assert store.put(source, key)
    assert keys(store) == [key]


# --- listing


def test_listing_a_prefix(store: FolderStore) -> None:
    for key in ("toy/a", "toy/deep/er/b", "toys/c", "other/d"):
        write(store, key)
    assert keys(store) == ["toy/a", "toy/deep/er/b"]
    (look,) = [look for look in store.list("other/") if isinstance(look, Look)]
    assert look == store.look("other/d")
    info = (store.root / "other/d").stat()
    assert (look.size_bytes, look.mtime_ns) == (7, info.st_mtime_ns)


def test_a_folder_that_is_not_there_yet_is_empty(store: FolderStore) -> None:
    assert list(store.list("toy/")) == []


def test_a_chosen_landing_folder_that_is_not_there_is_an_error(tmp_path: Path, source: Path) -> None:
    store = FolderStore(tmp_path / "unmounted", must_exist=True)
    with pytest.raises(LandingGone, match=r"unmounted is not there\. Mount or make it, or correct STRANDLINE_LANDING"):
        list(store.list("toy/"))
    with pytest.raises(LandingGone):
        store.put(source, "toy/a")
    assert not store.root.exists()


def test_dotfiles_are_not_listed(store: FolderStore) -> None:
    for key in ("toy/.hidden", "toy/.folder/a", "toy/deep/.DS_Store"):
        write(store, key)
    assert list(store.list("toy/")) == []


def test_links_and_odd_names_are_skipped_with_the_reason(store: FolderStore, tmp_path: Path) -> None:
    write(store, "toy/a")
    (tmp_path / "elsewhere").mkdir()
    (store.root / "toy/file").symlink_to("a")
    (store.root / "toy/folder").symlink_to(tmp_path / "elsewhere")
    (store.root / "toy/broken").symlink_to("nowhere")
    Path(os.fsdecode(os.fsencode(store.root / "toy") + b"/\xff\xfe.csv")).write_bytes(b"x")
    assert keys(store) == ["toy/a"]
    reasons = {one.name: one.reason for one in skipped(store)}
    assert reasons.pop("'toy/\\udcff\\udcfe.csv'") == "its name is not UTF-8; rename it"
    assert set(reasons) == {"toy/file", "toy/folder", "toy/broken"}
    assert set(reasons.values()) == {"it is a symbolic link; land the file itself"}


def test_pipes_are_no_files(store: FolderStore) -> None:
    write(store, "toy/a")
    os.mkfifo(store.root / "toy/pipe")
    assert keys(store) == ["toy/a"]
    assert store.look("toy/pipe") is None


def test_looking_at_what_is_gone(store: FolderStore) -> None:
    write(store, "toy/a")
    assert store.look("toy/nosuch") is None
    assert store.look("toy/a/b") is None
    assert store.look("toy") is None


# --- versions and reading


def test_a_version_is_the_hash_of_the_bytes_that_were_seen(store: FolderStore) -> None:
    write(store, "toy/a", b"bytes")
    look = store.look("toy/a")
    assert look is not None
    assert store.version_of(look) == hashlib.sha256(b"bytes").hexdigest()
    write(store, "toy/a", b"more bytes")
    with pytest.raises(FileChanged):
        store.version_of(look)
    (store.root / "toy/a").unlink()
    with pytest.raises(FileGone):
        store.version_of(look)


@pytest.mark.parametrize("big", [False, True])
def test_reading_gives_the_version_that_was_asked_for_or_raises(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch, big: bool
) -> None:
    monkeypatch.setattr(folder_module, "_BIG_FILE_BYTES", 5 if big else 6)
    path = write(store, "toy/a", b"bytes")
    version = sha256_of(path)
    fetcher = store.fetcher()
    content = fetcher.fetch("toy/a", version, 5)
    assert content == (path if big else b"bytes")
    path.write_bytes(b"BYTES")
    with pytest.raises(FileChanged, match="toy/a"):
        fetcher.fetch("toy/a", version, 5)
    path.unlink()
    with pytest.raises(FileGone, match="toy/a"):
        fetcher.fetch("toy/a", version, 5)
    shutil.rmtree(store.root / "toy")
    with pytest.raises(FileGone):
        fetcher.fetch("toy/a", version, 5)
    (store.root / "toy").write_bytes(b"a file now")
    with pytest.raises(FileGone):
        fetcher.fetch("toy/a", version, 5)


def test_a_store_that_vanished_is_no_sign_that_a_file_did(store: FolderStore) -> None:
    version = sha256_of(write(store, "toy/a"))
    shutil.rmtree(store.root)
    with pytest.raises(LandingGone, match="Mount it again"):
        store.fetcher().fetch("toy/a", version, 7)
