"""Finding out what has landed: whole files only, each once, and a failed look is never an empty folder."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from resources.landing.folder import FolderStore
from resources.ledger.arrivals import Look, known_looks
from resources.ledger.queries import list_files, unsettled_looks
from resources.ledger.tables import looks
from resources.platform import Platform
from sensors.discovery import Discovery, discover
from tests.conftest import Put
from tests.ledger.conftest import dump

Look_ = Callable[..., Discovery]


@pytest.fixture
def look(platform: Platform) -> Look_:
    def discover_toys(*, settle: float = 0.05, budget: float = 20.0) -> Discovery:
        store = platform.landing
        return discover(platform.ledger, store, "toy", "toy/", settle_seconds=settle, budget_seconds=budget)

    return discover_toys


def known(platform: Platform) -> list[tuple[str, str]]:
    return [(row.key, row.state) for row in list_files(platform.ledger)]


def write(platform: Platform, key: str, content: bytes = b"toy\n1\n") -> Path:
    path = platform.landing.root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_an_empty_folder(platform: Platform, look: Look_) -> None:
    assert look() == Discovery()


def test_whole_files_are_entered_once(platform: Platform, look: Look_, put: Put) -> None:
    put("toy/a", "1")
    put("toy/deep/b", "2")
    put("other/c", "3")
    found = look()
    assert (found.listed, len(found.new_files), found.unsettled, found.skipped) == (2, 2, 0, [])
    assert sorted(known(platform)) == [("toy/a", "pending"), ("toy/deep/b", "pending")]
    again = look()
    assert (again.listed, again.new_files) == (2, [])


def test_a_second_look_hashes_nothing(
    platform: Platform, look: Look_, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("toy/a", "1")
    look()

    def hashed(self: FolderStore, look: Look) -> str:
        raise AssertionError(f"{look.key} was read again")

    monkeypatch.setattr(FolderStore, "version_of", hashed)
    assert look().new_files == []


def test_the_oldest_file_comes_first(platform: Platform, look: Look_) -> None:
    for age, name in ((1, "new"), (3, "oldest"), (2, "old")):
        path = write(platform, f"toy/{name}")
        os.utime(path, (time.time() - age, time.time() - age))
    look()
    assert [key for key, _ in known(platform)] == ["toy/oldest", "toy/old", "toy/new"]


def test_a_growing_file_is_not_taken_until_it_is_stable(
    platform: Platform, look: Look_, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(platform, "toy/a", b"toy\n")
    sleep = time.sleep

    def grow(seconds: float) -> None:
        sleep(seconds)
        with path.open("ab") as file:
            file.write(b"1\n")

    with monkeypatch.context() as patched:
        patched.setattr("sensors.discovery.time.sleep", grow)
        for _ in range(3):
            found = look()
            assert (found.new_files, found.unsettled) == ([], 1)
            assert known(platform) == []
            assert [row.key for row in unsettled_looks(platform.ledger, "toy")] == ["toy/a"]
    sleep(0.06)
    assert len(look().new_files) == 1
    assert list_files(platform.ledger)[0].size_bytes == len(b"toy\n1\n1\n1\n")
    assert unsettled_looks(platform.ledger) == []


def test_a_file_that_changes_while_it_is_hashed_is_not_taken(
    platform: Platform, look: Look_, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(platform, "toy/a", b"toy\n")

    def hash_slowly(of: Path) -> str:
        with path.open("ab") as file:
            file.write(b"1\n")
        return "hash of something in between"

    with monkeypatch.context() as patched:
        patched.setattr("resources.landing.folder.sha256_of", hash_slowly)
        found = look()
    assert (found.new_files, found.unsettled) == ([], 1)
    time.sleep(0.06)
    assert len(look().new_files) == 1


def test_without_time_for_two_looks_the_next_call_takes_the_second(platform: Platform, look: Look_, put: Put) -> None:
    put("toy/a", "1")
    first = look(settle=0.3, budget=0.1)
    assert (first.new_files, first.unsettled) == ([], 1)
    too_early = look(settle=0.3, budget=0.1)
    assert too_early.new_files == []
    time.sleep(0.31)
    assert len(look(settle=0.3, budget=0.1).new_files) == 1


def test_what_the_time_did_not_suffice_for_is_found_later(
    platform: Platform, look: Look_, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        put(f"toy/{number}", str(number))
    version_of = FolderStore.version_of

    def slow(self: FolderStore, look: Look) -> str:
        time.sleep(0.1)
        return version_of(self, look)

    monkeypatch.setattr(FolderStore, "version_of", slow)
    found = [look(budget=1.0)]
    assert 0 < len(found[0].new_files) < 20
    assert found[0].unsettled == 20 - len(found[0].new_files)
    while sum(len(one.new_files) for one in found) < 20 and len(found) < 20:
        found.append(look(budget=1.0))
    assert len(known(platform)) == 20
    assert look().new_files == []


def test_a_folder_that_cannot_be_listed_raises_and_changes_nothing(
    platform: Platform, look: Look_, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("toy/a", "1")
    put("toy/locked/b", "2")
    look()
    put("toy/c", "3")
    look(settle=1, budget=0.1)
    before = dump(platform.ledger)
    scandir = os.scandir

    def denied(path: str) -> Any:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", denied)
        with pytest.raises(PermissionError, match="locked"):
            look()
    assert dump(platform.ledger) == before
    time.sleep(0.06)
    assert len(look().new_files) == 1


def test_a_file_that_cannot_be_read_is_skipped_and_the_others_are_taken(
    platform: Platform, look: Look_, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("toy/a", "1")
    put("toy/locked", "2")
    version_of = FolderStore.version_of

    def denied(self: FolderStore, look: Look) -> str:
        if look.key == "toy/locked":
            raise PermissionError(13, "Permission denied", look.key)
        return version_of(self, look)

    with monkeypatch.context() as patched:
        patched.setattr(FolderStore, "version_of", denied)
        for new in (1, 0):
            found = look()
            assert len(found.new_files) == new
            assert [(one.name, one.reason) for one in found.skipped] == [
                ("toy/locked", "it cannot be read (permission denied); let the platform's user read it")
            ]
    assert known(platform) == [("toy/a", "pending")]
    assert len(look().new_files) == 1


def test_a_disk_that_fails_raises(platform: Platform, look: Look_, put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    put("toy/a", "1")

    def broken(self: FolderStore, look: Look) -> str:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(FolderStore, "version_of", broken)
        with pytest.raises(OSError, match="Input/output error"):
            look()
    assert known(platform) == []
    assert len(look().new_files) == 1


def test_a_file_that_is_gone_before_it_was_whole_is_forgotten(platform: Platform, look: Look_) -> None:
    path = write(platform, "toy/a")
    look(settle=1, budget=0.1)
    assert [row.key for row in unsettled_looks(platform.ledger)] == ["toy/a"]
    path.unlink()
    assert look().listed == 0
    assert unsettled_looks(platform.ledger) == []
    assert known(platform) == []


def test_many_files_at_once(platform: Platform, look: Look_) -> None:
    for number in range(1500):
        write(platform, f"toy/{number % 10}/{number}.csv", str(number).encode())
    found = look()
    assert (found.listed, len(found.new_files), found.unsettled) == (1500, 1500, 0)
    on_disk = {path.relative_to(platform.landing.root).as_posix() for path in platform.landing.root.rglob("*.csv")}
    assert {key for key, _ in known(platform)} == on_disk
    assert look().new_files == []


KEYS = [
    "toy/with space.csv",
    "toy/é漢字😀.csv",
    "toy/a%2Fb.csv",
    "toy/a/b.csv",
    "toy/quote'\"`.csv",
    "toy/percent%_like.csv",
    "toy/back\\slash.csv",
    "toy/-dash;semi&.csv",
    "toy/" + "x" * 255,
    "toy/" + "/".join(["y" * 200] * 4),
]


def test_odd_keys_are_kept_as_they_are(platform: Platform, look: Look_, put: Put) -> None:
    for number, key in enumerate(KEYS):
        put(key, str(number))
    assert len(look().new_files) == len(KEYS)
    assert {key for key, _ in known(platform)} == set(KEYS)
    assert set(known_looks(platform.ledger, "toy", "folder")) == set(KEYS)
    for key in KEYS:
        assert [row.key for row in list_files(platform.ledger, key_contains=key)] == [key]


def test_skipped_names_are_told_and_not_entered(platform: Platform, look: Look_) -> None:
    write(platform, "toy/a")
    (platform.landing.root / "toy/link").symlink_to("a")
    found = look()
    assert [one.name for one in found.skipped] == ["toy/link"]
    assert known(platform) == [("toy/a", "pending")]


def test_sources_do_not_see_each_other_s_files(platform: Platform, look: Look_, put: Put) -> None:
    put("toys/a", "1")
    put("toy", "a file where the folder would be") if not (platform.landing.root / "toy").exists() else None
    assert look().listed == 0
    with platform.ledger.read() as connection:
        assert connection.execute(select(looks)).all() == []


def test_what_is_new_is_told_before_it_is_known_to_be_whole(platform: Platform) -> None:
    told: list[tuple[int, list[tuple[str, str]]]] = []

    def look() -> Discovery:
        return discover(
            platform.ledger, platform.landing, "toy", "toy/", settle_seconds=0.05, budget_seconds=20.0,
            on_news=lambda keys: told.append((keys, known(platform))),
        )  # fmt: skip

    look()
    write(platform, "toy/a")
    write(platform, "toy/b")
    assert len(look().new_files) == 2
    look()
    assert told == [(2, [])], "once, before the ledger had them, and not of what is old"
