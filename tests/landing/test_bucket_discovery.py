"""Finding files in a bucket: all of them, once each, wherever a look is cut off."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from resources.landing.s3 import S3Store
from resources.landing.store import LandingStore, Page, StoreError
from resources.ledger.arrivals import Look, known_looks
from resources.ledger.database import utc_now
from resources.ledger.queries import list_files
from resources.ledger.states import FileState, move
from resources.ledger.sweeps import go_on, save_position
from resources.platform import Platform
from sensors.discovery import Discovery, discover
from tests.landing.conftest import Bucket, new_bucket, settings_for

Look_ = Callable[..., Discovery]


@pytest.fixture
def platform(moto: str, tmp_path: Path) -> Iterator[Platform]:
    """With a bucket of the quicker server."""
    bucket = new_bucket(moto)
    made = Platform(settings_for(bucket, tmp_path / "home"))
    yield made
    made.close()


@pytest.fixture
def bucket(platform: Platform) -> Bucket:
    from tests.landing import servers

    assert isinstance(platform.landing, S3Store)
    endpoint = platform.landing.endpoint
    assert endpoint is not None
    return Bucket(endpoint, platform.landing.address.bucket, servers.client(endpoint))


def look_at(platform: Platform, store: LandingStore | None = None, **options: float | bool) -> Discovery:
    given = {"settle_seconds": 1.0, "budget_seconds": 30.0} | options
    return discover(platform.ledger, store or platform.landing, "toy", "toy/", **given)  # type: ignore[arg-type]


def keys(platform: Platform) -> list[str]:
    return [row.key for row in list_files(platform.ledger)]


def test_a_file_counts_at_the_first_look_and_once(platform: Platform, bucket: Bucket) -> None:
    bucket.put("toy/a", "1")
    bucket.put("toys/b", "1")
    found = look_at(platform, settle_seconds=500)
    assert (found.listed, len(found.new_files), found.unsettled, found.complete) == (1, 1, 0, True)
    again = look_at(platform)
    assert (again.listed, again.new_files) == (1, [])
    bucket.put("toy/a", "1")
    assert look_at(platform).new_files == [], "the same bytes again change nothing, whatever their time"
    bucket.put("toy/a", "2")
    assert len(look_at(platform).new_files) == 1
    bucket.put("toy/a", "1")
    assert len(look_at(platform).new_files) == 1, "A, B, A: a new generation"
    assert [(row.key, row.state) for row in list_files(platform.ledger)] == [
        ("toy/a", "superseded"),
        ("toy/a", "superseded"),
        ("toy/a", "pending"),
    ]


@pytest.mark.parametrize("state", [FileState.DELETED, FileState.SUPERSEDED])
def test_bytes_that_a_reader_missed_are_found_again(platform: Platform, bucket: Bucket, state: FileState) -> None:
    """Even if they are back with the same time, as in A, B, A within a second."""
    bucket.put("toy/a", "1")
    (file_id,) = look_at(platform).new_files
    with platform.ledger.write() as connection:
        move(connection, [file_id], state, at=utc_now(), reason="not there when it was read")
    look_at(platform)
    assert list_files(platform.ledger)[-1].state == "pending"


def test_3000_keys_on_a_real_server(seaweed: str, tmp_path: Path) -> None:
    bucket = new_bucket(seaweed)
    names = [f"toy/{number % 7}/{number % 3}-{number:05d}.csv" for number in range(3000)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: bucket.put(name, name), names))
    platform = Platform(settings_for(bucket, tmp_path / "home"))
    looked = [look_at(platform)]
    while not looked[-1].complete:
        looked.append(look_at(platform))
    assert sorted(keys(platform)) == sorted(names)
    assert sum(look.listed for look in looked) == 3000
    again = look_at(platform)
    assert (again.listed, again.new_files, again.complete) == (3000, [], True)
    platform.close()


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.landing.s3.PAGE_KEYS", 3)


@pytest.mark.usefixtures("small_pages")
def test_a_listing_cut_off_anywhere_goes_on_there(platform: Platform, bucket: Bucket) -> None:
    for number in range(10):
        bucket.put(f"toy/{number}", str(number))
    looked = [look_at(platform, budget_seconds=0.0) for _ in range(4)]
    assert [look.listed for look in looked] == [3, 3, 3, 1]
    assert [len(look.new_files) for look in looked] == [3, 3, 3, 1]
    assert [look.complete for look in looked] == [False, False, False, True]
    bucket.put("toy/0", "overwritten, behind the position")
    bucket.put("toy/00", "new, behind the position")
    assert look_at(platform, budget_seconds=0.0).listed == 3, "after the end it begins anew"
    assert len(keys(platform)) == 12


@pytest.mark.usefixtures("small_pages")
def test_keys_that_come_and_go_during_a_sweep(platform: Platform, bucket: Bucket) -> None:
    for number in range(6):
        bucket.put(f"toy/{number}", str(number))
    look_at(platform, budget_seconds=0.0)
    bucket.delete("toy/2")  # where the listing stopped
    bucket.delete("toy/4")
    bucket.put("toy/0a", "early")
    bucket.put("toy/9", "late")
    while not look_at(platform, budget_seconds=0.0).complete:
        pass
    assert keys(platform) == ["toy/0", "toy/1", "toy/2", "toy/3", "toy/5", "toy/9"]
    while not look_at(platform, budget_seconds=0.0).complete:
        pass
    assert keys(platform)[-1] == "toy/0a"


@pytest.mark.usefixtures("small_pages")
def test_an_error_in_the_middle_keeps_what_was_done_and_is_no_end(
    platform: Platform, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(10):
        bucket.put(f"toy/{number}", str(number))
    pages = S3Store.pages

    def failing(self: S3Store, prefix: str, after: str | None = None, *closed: Any) -> Iterator[Page]:
        for number, page in enumerate(pages(self, prefix, after, *closed)):
            if number == 2:
                raise StoreError("s3://bucket does not answer")
            yield page

    with monkeypatch.context() as broken:
        broken.setattr(S3Store, "pages", failing)
        with pytest.raises(StoreError):
            look_at(platform, rest_seconds=900)
        assert len(keys(platform)) == 6
    rest = look_at(platform, rest_seconds=900)
    assert (rest.listed, rest.complete) == (4, True)
    assert len(keys(platform)) == 10


def test_a_store_that_is_down_changes_nothing(platform: Platform, bucket: Bucket) -> None:
    bucket.put("toy/a", "1")
    look_at(platform)
    from resources.settings import S3Address
    from tests.landing.servers import free_ports

    assert isinstance(platform.landing, S3Store)
    down = S3Store(S3Address(bucket.name), endpoint=f"http://127.0.0.1:{free_ports(1)[0]}", spool=Path("unused"))
    with pytest.raises(StoreError):
        look_at(platform, down)
    assert [(row.key, row.state) for row in list_files(platform.ledger)] == [("toy/a", "pending")]
    assert look_at(platform).new_files == []


@pytest.mark.usefixtures("small_pages")
def test_once_something_is_found_a_look_soon_ends(
    platform: Platform, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensors.discovery._LINGER_SECONDS", -1.0)
    for number in range(10):
        bucket.put(f"toy/{number}", str(number))
    assert look_at(platform).listed == 3
    while not look_at(platform).complete:
        pass
    assert look_at(platform).listed == 10, "nothing new: to the end in one look"


@pytest.mark.usefixtures("small_pages")
def test_listing_rests_between_sweeps_but_not_within(platform: Platform, bucket: Bucket) -> None:
    for number in range(5):
        bucket.put(f"toy/{number}", str(number))
    listed = [look_at(platform, budget_seconds=0.0, rest_seconds=900).listed for _ in range(3)]
    assert listed == [3, 2, 0]
    bucket.put("toy/new", "1")
    assert look_at(platform, rest_seconds=900).listed == 0
    assert look_at(platform, rest_seconds=900, from_start=True).listed == 6
    time.sleep(0.01)
    assert look_at(platform, rest_seconds=0.001).listed == 6


def test_two_looks_at_once_never_skip_keys(platform: Platform) -> None:
    mine, theirs = (go_on(platform.ledger, "toy", "s3://b") for _ in range(2))
    assert mine is not None
    assert mine == theirs
    save_position(platform.ledger, mine, "toy/m", keep_time=True)
    save_position(platform.ledger, mine, None, keep_time=True)
    save_position(platform.ledger, theirs, "toy/k", keep_time=True)  # type: ignore[arg-type]
    after = go_on(platform.ledger, "toy", "s3://b")
    assert after is not None
    assert after.position is None, "a look of the sweep before cannot move the new one"
    save_position(platform.ledger, after, "toy/x", keep_time=True)
    anew = go_on(platform.ledger, "toy", "s3://b", restart=True)
    assert anew is not None
    assert anew.position is None
    save_position(platform.ledger, after, "toy/y", keep_time=True)
    assert go_on(platform.ledger, "toy", "s3://b") == anew
    assert go_on(platform.ledger, "toy", "s3://other") != anew


def test_an_idle_look_writes_nothing(platform: Platform, bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("toy/a", "1")
    look_at(platform)
    with closing(sqlite3.connect(tmp_path / "home/ledger.db", isolation_level=None)) as beside:

        def version() -> int:
            return int(beside.execute("PRAGMA data_version").fetchone()[0])

        before = version()
        look_at(platform)
        assert version() == before
        bucket.put("toy/b", "1")
        look_at(platform)
        assert version() != before


def test_what_a_million_old_keys_cost_is_their_listing(platform: Platform, bucket: Bucket) -> None:
    """Each page asks for its own keys by the primary key, and no statement goes through all looks of a source."""
    for number in range(5):
        bucket.put(f"toy/{number}", str(number))
    look_at(platform)
    asked: list[tuple[str, Any]] = []
    event.listen(
        platform.ledger.engine,
        "before_cursor_execute",
        lambda connection, cursor, statement, parameters, *rest: asked.append((statement, parameters)),
    )
    look_at(platform)
    (about_looks,) = [one for one in asked if "FROM looks" in one[0]]
    known_looks(platform.ledger, "toy", platform.landing.name, unsettled=True)
    with platform.ledger.read() as connection:
        for (statement, parameters), index in (
            (about_looks, "sqlite_autoindex_looks_1 (store=? AND key=?)"),
            (asked[-2], "ix_looks_unsettled"),
        ):
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            assert index in str(plan)


def test_a_folder_is_swept_in_parts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from resources.settings import Settings

    monkeypatch.setattr("resources.landing.folder.PAGE_KEYS", 3)
    monkeypatch.setattr("sensors.discovery._MOST_FRESH", 3)
    platform = Platform(Settings(home=tmp_path / "home"))
    names = [f"toy/{number % 3}/{number}" for number in range(10)]
    for name in names:
        path = tmp_path / "home/landing" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    looked: list[Discovery] = []
    for _ in range(40):
        looked.append(look_at(platform, budget_seconds=0.0, settle_seconds=0.0))
        if looked[-1].complete and not looked[-1].unsettled and not looked[-1].new_files:
            break
    assert not looked[0].complete
    assert sorted(keys(platform)) == sorted(names)
    platform.close()


def test_looks_tell_versions_where_the_store_does(platform: Platform, bucket: Bucket) -> None:
    bucket.put("toy/a", "1")
    (look,) = platform.landing.list("toy/")
    assert isinstance(look, Look)
    assert look.version == "c4ca4238a0b923820dcc509a6f75849b"
    assert platform.landing.version_of(look) == look.version
