"""R12 Listing. S3 lists by key, not time: a rotating full sweep with a resumable position, cheap with a million old keys;
date-sharded prefixes are skipped when declared closed.

The sweep is proven by

- tests/landing/test_bucket_discovery.py::test_a_listing_cut_off_anywhere_goes_on_there
- tests/landing/test_bucket_discovery.py::test_keys_that_come_and_go_during_a_sweep
- tests/landing/test_bucket_discovery.py::test_two_looks_at_once_never_skip_keys
- tests/landing/test_bucket_discovery.py::test_what_a_million_old_keys_cost_is_their_listing
- tests/landing/test_bucket_discovery.py::test_a_folder_is_swept_in_parts_too
- tests/landing/test_contract.py::test_pages_resume_after_every_position

and the closed shards here, on a folder, an imitated S3 and a real S3 server.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline_assets.operations.reconcile import reconcile
from resources.landing.folder import FolderStore
from resources.landing.s3 import S3Store
from resources.landing.s3_client import s3_client
from resources.landing.shards import Closed, DateShards, Passed
from resources.landing.store import LandingStore
from resources.ledger.arrivals import Look
from resources.ledger.queries import list_files
from resources.ledger.sweeps import listed_shards
from resources.platform import Platform
from resources.settings import Settings, SettingsError
from sensors.discovery import Discovery, discover
from sensors.looking import look_for_arrivals
from tests.conftest import putter
from tests.landing.conftest import _credentials, moto, new_bucket, seaweed, settings_for  # noqa: F401
from tests.ledger.conftest import dump
from tests.running import next_batch, run, states, toy
from tests.toy_source import TOY

DAYS = DateShards(pattern="{yyyy}/{mm}/{dd}/", closed_after_days=3)
TODAY = datetime(2026, 5, 20, 12, tzinfo=UTC)
CLOSED = [f"toy/{day:%Y/%m/%d}/" for day in (TODAY - timedelta(days) for days in (4, 5, 30, 45, 200, 800))]
OPEN = [f"toy/{TODAY - timedelta(days):%Y/%m/%d}/" for days in (0, 1, 3)]


class At:
    """The platform's clock, where looks ask it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = TODAY
        monkeypatch.setattr("sensors.discovery.utc_now", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> At:
    return At(monkeypatch)


@pytest.fixture(params=["folder", "moto", "seaweed"])
def platform(request: pytest.FixtureRequest, tmp_path: Path, settings: Settings) -> Iterator[Platform]:
    if request.param == "folder":
        made = Platform(settings)
    else:
        bucket = new_bucket(request.getfixturevalue(request.param))
        made = Platform(settings_for(bucket, tmp_path / "home", "below/"))
    yield made
    made.close()


def land(platform: Platform, tmp_path: Path, *keys: str) -> None:
    put = putter(platform.landing, tmp_path)  # type: ignore[arg-type]
    for key in keys:
        put(key, toy(len(key)) + key)


def remove(platform: Platform, key: str) -> None:
    store = platform.landing
    if isinstance(store, S3Store):
        full = store.address.prefix + key
        s3_client(store.endpoint).delete_object(Bucket=store.address.bucket, Key=full)
    else:
        (store.root / key).unlink()  # type: ignore[attr-defined]


def look(platform: Platform, shards: DateShards | None = DAYS, **options: Any) -> Discovery:
    """One look, with the settle time of a moment that a clock standing still needs."""
    given = {"settle_seconds": 0.0, "budget_seconds": 30.0} | options
    return discover(platform.ledger, platform.landing, "toy", "toy/", shards=shards, **given)


def noted(platform: Platform) -> list[str]:
    return sorted(listed_shards(platform.ledger, "toy", platform.landing.name))


@contextmanager
def counted(store: LandingStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What a listing asks for: folders of a disk, or requests to a bucket."""
    asked: list[str] = []
    if isinstance(store, S3Store):
        client = s3_client(store.endpoint)

        def note(params: Any, **_: Any) -> None:
            asked.append(str(params))

        client.meta.events.register("before-parameter-build.s3.ListObjectsV2", note)
        yield asked
        client.meta.events.unregister("before-parameter-build.s3.ListObjectsV2", note)
    else:
        scandir = os.scandir

        def note_folder(path: Any) -> Any:
            asked.append(str(path))
            return scandir(path)

        with monkeypatch.context() as patched:
            patched.setattr("resources.landing.folder.os.scandir", note_folder)
            yield asked


def test_closed_shards_cost_nothing_once_they_were_listed(
    platform: Platform, tmp_path: Path, clock: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a page, not a key: with sixty closed days as many folders or requests as with six."""
    monkeypatch.setattr("resources.landing.s3.PAGE_KEYS", 5)
    land(platform, tmp_path, *(f"{shard}{number}" for shard in (*CLOSED, *OPEN) for number in range(5)))
    first = look(platform)
    assert (first.listed, len(first.new_files), first.passed) == (45, 45, 0)
    assert noted(platform) == ["toy/2024/", "toy/2025/", "toy/2026/04/", "toy/2026/05/15/", "toy/2026/05/16/"]
    with counted(platform.landing, monkeypatch) as with_six:
        second = look(platform)
    assert (second.listed, second.new_files, second.passed) == (15, [], 5)

    more = [f"toy/2025/{month:02}/{day:02}/x" for month in range(1, 7) for day in range(1, 10)]
    land(platform, tmp_path, *more)
    assert len(look(platform, from_start=True).new_files) == len(more)
    with counted(platform.landing, monkeypatch) as with_sixty:
        third = look(platform)
    assert (third.listed, third.new_files, third.passed) == (15, [], 5)
    assert len(with_sixty) == len(with_six)
    with counted(platform.landing, monkeypatch) as without_declaration:
        assert look(platform, shards=None).listed == 45 + len(more)
    assert len(without_declaration) > len(with_sixty)


def test_a_shard_is_listed_until_it_was_listed_after_it_closed(platform: Platform, tmp_path: Path, clock: At) -> None:
    land(platform, tmp_path, "toy/2026/05/17/early")
    look(platform)
    assert noted(platform) == [], "it closes at the end of the 20th"
    land(platform, tmp_path, "toy/2026/05/17/late")
    clock.now = datetime(2026, 5, 21, tzinfo=UTC)
    found = look(platform)
    assert (found.listed, len(found.new_files), noted(platform)) == (2, 1, ["toy/2026/05/17/"])
    assert look(platform).listed == 0


def test_what_is_in_no_shard_is_always_listed(platform: Platform, tmp_path: Path, clock: At) -> None:
    look(platform)
    keys = ["toy/2025/01/01/a", "toy/2026/01/01/a", "toy/a", "toy/readme/2020/01/01/a", "toy/2026/13/01/a"]
    land(platform, tmp_path, *keys)
    look(platform)
    assert noted(platform) == ["toy/2025/", "toy/2026/01/"]
    new = ["toy/2026/readme", "toy/2026/01-readme", "toy/2026/13/01/b", "toy/zzz", "toy/2024x", "toy/2026/02/01/late"]
    land(platform, tmp_path, *new)
    found = look(platform)
    assert (found.listed, len(found.new_files)) == (3 + len(new), len(new))
    assert {row.key for row in list_files(platform.ledger)} == {*keys, *new}


def test_a_listing_from_the_start_and_reconciling_list_everything(
    platform: Platform, tmp_path: Path, clock: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when they are cut off and go on; so a file that landed against the declaration is late, not lost."""
    monkeypatch.setattr("resources.landing.s3.PAGE_KEYS", 2)
    monkeypatch.setattr("resources.landing.folder.PAGE_KEYS", 2)
    monkeypatch.setattr("sensors.discovery._MOST_FRESH", 1)
    land(platform, tmp_path, *(f"toy/2025/01/0{day}/{name}" for day in (1, 2, 3) for name in "ab"))
    look(platform)
    land(platform, tmp_path, "toy/2025/01/03/late")
    assert look(platform).listed == 0
    looked = [look(platform, from_start=True, budget_seconds=0.0)]
    while not looked[-1].complete:
        looked.append(look(platform, budget_seconds=0.0))
    assert len(looked) > 2
    assert sum(one.listed for one in looked) >= 7
    assert look(platform).listed == 0, "the next sweep leaves them out again"
    states_now = states(platform)
    if platform.landing.is_atomic:
        assert states_now["toy/2025/01/03/late"] == "pending"

    land(platform, tmp_path, "toy/2025/01/01/later")
    declared = Platform(platform.settings.model_copy(update={"date_shards": {"toy": DAYS}}))
    assert look_for_arrivals(declared, TOY).listed == 0
    findings = reconcile(declared, TOY)
    assert findings.keys >= 8
    assert states(platform)["toy/2025/01/01/later"] == "pending"
    assert states(platform)["toy/2025/01/03/late"] == "pending"
    declared.close()


def test_a_sweep_cut_off_anywhere_notes_only_what_it_has_gone_through(
    platform: Platform, tmp_path: Path, clock: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not platform.landing.is_atomic:
        pytest.skip("a folder's files are not taken without time for two looks")
    monkeypatch.setattr("resources.landing.s3.PAGE_KEYS", 2)
    land(platform, tmp_path, *(f"toy/2026/05/0{day}/{number}" for day in (1, 2) for number in range(5)))
    first = ["toy/2026/05/01/"]
    assert sweep(platform) == [[], [], first, first, first, first], (
        "the 2nd lies around a shard noted in the same sweep"
    )
    assert len(list_files(platform.ledger)) == 10
    assert sweep(platform) == [first, first, first, first, [*first, "toy/2026/05/02/"]]
    assert look(platform).listed == 0


def sweep(platform: Platform) -> list[list[str]]:
    """Go through all keys, a page a look; the shards noted after each."""
    seen = []
    is_complete = False
    while not is_complete:
        is_complete = look(platform, budget_seconds=0.0).complete
        seen.append(noted(platform))
        assert len(seen) < 50, "it makes no headway"
    return seen


def test_a_sweep_that_goes_on_in_the_middle_of_a_shard_does_not_note_it(
    platform: Platform, tmp_path: Path, clock: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The part before the position was listed while the shard was open."""
    if not platform.landing.is_atomic:
        pytest.skip("a folder's files are not taken without time for two looks")
    monkeypatch.setattr("resources.landing.s3.PAGE_KEYS", 2)
    land(platform, tmp_path, *(f"toy/2026/05/17/{number}" for number in range(4)))
    look(platform, budget_seconds=0.0)
    land(platform, tmp_path, "toy/2026/05/17/00")
    clock.now = datetime(2026, 5, 21, tzinfo=UTC)
    assert look(platform).listed == 2
    assert noted(platform) == []
    assert len(look(platform).new_files) == 1
    assert noted(platform) == ["toy/2026/05/17/"]


def test_a_month_takes_the_place_of_its_days(platform: Platform, tmp_path: Path, clock: At) -> None:
    land(platform, tmp_path, *(f"toy/2026/05/{day:02}/a" for day in range(1, 17)))
    look(platform)
    assert len(noted(platform)) == 16
    clock.now = datetime(2026, 6, 4, tzinfo=UTC)
    found = look(platform)
    assert (found.listed, found.passed, noted(platform)) == (0, 16, ["toy/2026/05/"])
    found = look(platform)
    assert (found.listed, found.passed) == (0, 1)


def test_a_file_that_was_not_as_listed_opens_its_shard_again(platform: Platform, tmp_path: Path, clock: At) -> None:
    land(platform, tmp_path, "toy/2026/05/01/a", "toy/2026/05/02/b", "toy/2026/05/03/c")
    look(platform)
    batch = next_batch(platform)
    land(platform, tmp_path, "toy/2026/05/02/b")  # the same: nothing
    remove(platform, "toy/2026/05/01/a")
    putter(platform.landing, tmp_path)("toy/2026/05/02/b", toy(7))  # type: ignore[arg-type]
    run(platform, batch)
    assert noted(platform) == ["toy/2026/05/03/"]
    assert len(look(platform).new_files) == 1
    assert noted(platform) == ["toy/2026/05/02/", "toy/2026/05/03/"]


def test_a_later_close_opens_what_was_noted_too_early(platform: Platform, tmp_path: Path, clock: At) -> None:
    land(platform, tmp_path, "toy/2026/05/01/a", "toy/2026/05/16/a")
    look(platform)
    later = DateShards(pattern=DAYS.pattern, closed_after_days=10)
    assert look(platform, later).listed == 1, "the 16th is open again"
    other = DateShards(pattern="{yyyy}-{mm}/", closed_after_days=1)
    assert look(platform, other).listed == 2
    clock.now += timedelta(days=30)
    assert look(platform, later).listed == 1
    assert look(platform, later).listed == 0


def test_an_idle_look_writes_nothing(platform: Platform, tmp_path: Path, clock: At) -> None:
    land(platform, tmp_path, "toy/2025/01/01/a", "toy/2026/05/01/a", "toy/2026/05/20/a")
    look(platform)
    before = dump(platform.ledger)
    look(platform)
    assert dump(platform.ledger) == before


def write(platform: Platform, key: str) -> Path:
    path: Path = platform.landing.root / key  # type: ignore[attr-defined]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(toy(1))
    return path


def test_a_shard_with_a_file_that_could_not_be_taken_stays_open(
    settings: Settings, clock: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = Platform(settings)
    for key in ("toy/2026/05/01/growing", "toy/2026/05/02/locked", "toy/2026/05/03/fine"):
        write(platform, key)
    sleep, version_of = time.sleep, FolderStore.version_of

    def grow(seconds: float) -> None:
        sleep(seconds)
        write(platform, "toy/2026/05/01/growing").write_text(toy(1, 2))

    def denied(self: FolderStore, look: Look) -> str:
        if look.key.endswith("locked"):
            raise PermissionError(13, "Permission denied", look.key)
        return version_of(self, look)

    with monkeypatch.context() as patched:
        patched.setattr("sensors.discovery.time.sleep", grow)
        patched.setattr(FolderStore, "version_of", denied)
        assert len(look(platform).new_files) == 1
    assert noted(platform) == ["toy/2026/05/03/"]
    assert len(look(platform).new_files) == 2
    assert noted(platform) == ["toy/2026/05/01/", "toy/2026/05/02/", "toy/2026/05/03/"]
    platform.close()


def test_pages_around_closed_shards_resume_after_every_position(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.landing.s3.PAGE_KEYS", 2)
    monkeypatch.setattr("resources.landing.folder.PAGE_KEYS", 2)
    names = ["a", "b/1", "b/2", "b/3", "b/c/1", "b/c/2", "b-d", "c/x/1", "c/x/2", "c/y/1", "c/y/2", "c/z", "d/1", "é/1"]
    keys = {f"toy/{name}" for name in names}
    land(platform, tmp_path, *keys)
    closed = Closed(frozenset({"toy/b/c/", "toy/c/x/", "toy/d/", "toy/gone/"}))
    wanted = {key for key in keys if not key.startswith(tuple(closed.prefixes))}
    pages = list(platform.landing.pages("toy/", None, closed))
    seen = [one.key for page in pages for one in page.seen if isinstance(one, Look)]
    assert (set(seen), len(seen)) == (wanted, len(wanted))
    passed = [one.prefix for page in pages for one in page.seen if isinstance(one, Passed)]
    assert sorted(passed) == ["toy/b/c/", "toy/c/x/", "toy/d/"]
    assert [page.position for page in pages].count(None) == 1
    assert pages[-1].position is None
    done = 0
    for page in pages[:-1]:
        done += sum(isinstance(one, Look) for one in page.seen)
        rest = [one.key for page in platform.landing.pages("toy/", page.position, closed) for one in page.seen
                if isinstance(one, Look)]  # fmt: skip
        assert rest == seen[done:], page.position


NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("pattern", "key", "closed"),
    [
        ("{yyyy}/{mm}/{dd}/", "2026/03/02/x", ["2026/03/02/"]),
        ("{yyyy}/{mm}/{dd}/", "2026/03/03/x", []),
        ("{yyyy}/{mm}/{dd}/", "2026/02/28/x/y", ["2026/02/", "2026/02/28/"]),
        ("{yyyy}/{mm}/{dd}/", "2025/12/31/x", ["2025/", "2025/12/", "2025/12/31/"]),
        ("{yyyy}/{mm}/{dd}/", "2025/12/x", ["2025/", "2025/12/"]),
        ("{yyyy}/{mm}/{dd}/", "2025/02/30/x", ["2025/", "2025/02/"]),
        ("{yyyy}/{mm}/{dd}/", "2026/00/01/x", []),
        ("{yyyy}/{mm}/{dd}/", "9999/12/31/x", []),
        ("{yyyy}/{mm}/{dd}/", "2026/3/2/x", []),
        ("{yyyy}/", "2025/x", ["2025/"]),
        ("{yyyy}{mm}{dd}/", "20260302/x", ["20260302/"]),
        ("year={yyyy}/month={mm}/", "year=2026/month=02/x", ["year=2026/month=02/"]),
        ("site-*/{yyyy}-{mm}/", "site-a.b/2026-02/x", ["site-a.b/2026-02/"]),
        ("site-*/{yyyy}-{mm}/", "place/2026-02/x", []),
        ("site.*/{yyyy}-{mm}/", "sites/2026-02/x", []),
    ],
)
def test_which_shards_are_closed(pattern: str, key: str, closed: list[str]) -> None:
    """One day after the end of their date, in UTC."""
    shards = DateShards(pattern=pattern, closed_after_days=1)
    assert shards.closed("toy/", f"toy/{key}", NOON) == [f"toy/{shard}" for shard in closed]
    assert shards.closed("toy/", f"other/{key}", NOON) == []


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("{", "expected JSON such as"),
        ('{"toy": {"pattern": "{yyyy}/{mm}", "closed_after_days": 3}}', "a slash behind each"),
        ('{"toy": {"pattern": "{dd}/{mm}/{yyyy}/", "closed_after_days": 3}}', "the year first"),
        ('{"toy": {"pattern": "{yyyy}/{HH}/", "closed_after_days": 3}}', "the year first"),
        ('{"toy": {"pattern": "files/", "closed_after_days": 3}}', "the year first"),
        ('{"toy": {"pattern": "{yyyy}/", "closed_after_days": 0}}', "greater than or equal to 1"),
        ('{"toy": {"pattern": "{yyyy}/"}}', "Field required"),
    ],
)
def test_a_wrong_declaration_is_named(value: str, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_DATE_SHARDS", value)
    with pytest.raises(SettingsError, match=rf"STRANDLINE_DATE_SHARDS=[\s\S]*{problem}"):
        Settings.load()


def test_a_declaration_by_the_setting_or_by_the_source(
    settings: Settings, clock: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRANDLINE_DATE_SHARDS", '{"ecg": {"pattern": "{yyyy}/{mm}/{dd}/", "closed_after_days": 3}}')
    assert Settings.load().date_shards == {"ecg": DAYS}
    platform = Platform(settings)
    write(platform, "toy/2026/05/01/a")
    declared = dataclasses.replace(TOY, shards=DAYS)
    assert [look_for_arrivals(platform, declared).listed for _ in range(2)] == [1, 0]
    never = DateShards(pattern=DAYS.pattern, closed_after_days=3650)
    overruled = Platform(settings.model_copy(update={"date_shards": {"toy": never}}))
    assert look_for_arrivals(overruled, declared).listed == 1
    unknown = Platform(settings.model_copy(update={"date_shards": {"tyo": DAYS}}))
    with pytest.raises(SettingsError, match=r"names 'tyo', which is no source. Sources: .*ecg, .*toy\."):
        look_for_arrivals(unknown, TOY)
    for one in (platform, overruled, unknown):
        one.close()
