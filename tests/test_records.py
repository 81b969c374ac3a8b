"""Records of several files: they wait for each other, are read as one, and recover by themselves."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipeline_assets.operations.reconcile import reconcile
from resources.landing.folder import FolderFetcher
from resources.ledger.planning import BatchLimits, plan
from resources.ledger.queries import count_by_state, find_files, list_files, tell
from resources.ledger.replay import RefusedFilter, replay
from resources.platform import Platform
from resources.settings import Settings
from sensors.looking import look_for_arrivals, plan_batches
from tests.conftest import Put, putter
from tests.running import next_batch, rows_of, run, states, toy, visible
from tests.toy_records import RECORDS, name_of, primary, values_of

HEADER = toy("@a.part", 1)


@pytest.fixture
def impatient(settings: Settings) -> Iterator[Platform]:
    """A platform on which no file waits for others."""
    made = Platform(settings.model_copy(update={"companion_wait_seconds": 0.0}))
    yield made
    made.close()


def look(platform: Platform) -> None:
    look_for_arrivals(platform, RECORDS)
    plan_batches(platform, RECORDS, flush=True)


def do_all(platform: Platform, attempt: list[int] | None = None) -> int:
    """Look and run until nothing is left to do; the number of runs."""
    runs = 0
    while True:
        look_for_arrivals(platform, RECORDS)
        batch = plan(platform.ledger, "toy", BatchLimits(1000, 1 << 30), flush=True)
        if batch is None:
            return runs
        runs += 1
        run(platform, batch, f"run-{batch.batch_id}", source=RECORDS)


def refusals(platform: Platform) -> dict[str, str | None]:
    return {row.key: row.error_class for row in list_files(platform.ledger)}


def test_a_header_waits_for_the_files_that_it_names(platform: Platform, put: Put) -> None:
    put("toy/a.hdr", HEADER)
    assert do_all(platform) == 0
    assert states(platform) == {"toy/a.hdr": "waiting"}
    put("toy/a.part", toy(2, 3))
    assert do_all(platform) == 1
    assert states(platform) == {"toy/a.hdr": "committed", "toy/a.part": "committed"}
    assert visible(platform) == {"toy/a.hdr": [1, 2, 3]}


def test_a_part_waits_for_its_header(platform: Platform, put: Put) -> None:
    put("toy/a.part", toy(2, 3))
    put("toy/other.hdr", toy(9))
    assert do_all(platform) == 1
    assert states(platform) == {"toy/a.part": "waiting", "toy/other.hdr": "committed"}
    put("toy/a.hdr", HEADER)
    do_all(platform)
    assert visible(platform) == {"toy/a.hdr": [1, 2, 3], "toy/other.hdr": [9]}


def test_what_waited_long_enough_is_refused_and_recovers_when_the_rest_arrives(
    impatient: Platform, tmp_path: Path
) -> None:
    put = putter(impatient.landing, tmp_path)  # type: ignore[arg-type]
    put("toy/a.hdr", HEADER)
    put("toy/b.part", toy(5))
    do_all(impatient)
    assert refusals(impatient) == {"toy/a.hdr": "incomplete_record", "toy/b.part": "incomplete_record"}
    errors = {row.key: row.error for row in list_files(impatient.ledger)}
    assert "only a part of the record came (a.hdr) and a.part did not" in errors["toy/a.hdr"]
    assert "(b.part) and a header (.hdr) of the same name did not" in errors["toy/b.part"]

    put("toy/a.part", toy(2))
    put("toy/b.hdr", toy("@b.part"))
    do_all(impatient)
    assert set(states(impatient).values()) == {"committed"}
    assert visible(impatient) == {"toy/a.hdr": [1, 2], "toy/b.hdr": [5]}


def test_only_what_is_late_is_given_up(settings: Settings, put: Put) -> None:
    platform = Platform(settings.model_copy(update={"companion_wait_seconds": 0.6}))
    put("toy/a.hdr", HEADER)
    found = look_for_arrivals(platform, RECORDS)
    assert (found.waiting, plan(platform.ledger, "toy", BatchLimits(9, 99), flush=True)) == (1, None)
    assert found.waiting_until is not None
    while not do_all(platform):
        pass
    assert refusals(platform) == {"toy/a.hdr": "incomplete_record"}
    platform.close()


def test_an_overwritten_part_makes_the_record_be_read_again(platform: Platform, put: Put) -> None:
    put("toy/a.hdr", HEADER)
    put("toy/a.part", toy(2))
    put("toy/z.hdr", toy(7))
    do_all(platform)
    put("toy/a.part", toy(20, 30))
    do_all(platform)
    assert visible(platform) == {"toy/a.hdr": [1, 20, 30], "toy/z.hdr": [7]}
    assert count_by_state(platform.ledger) == {"committed": 3, "superseded": 1}


def test_an_overwritten_header_may_need_other_files(platform: Platform, put: Put) -> None:
    put("toy/a.hdr", HEADER)
    put("toy/a.part", toy(2))
    do_all(platform)
    put("toy/a.hdr", toy("@a.part", "@a.more", 10))
    do_all(platform)
    assert visible(platform) == {"toy/a.hdr": [1, 2]}, "the old version is seen while the new one waits"
    put("toy/a.more", toy(4))
    do_all(platform)
    assert visible(platform) == {"toy/a.hdr": [10, 4, 2]}


def test_a_companion_that_nobody_asked_for_is_read_when_it_comes(platform: Platform, put: Put) -> None:
    put("toy/a.hdr", HEADER)
    put("toy/a.part", toy(2))
    do_all(platform)
    put("toy/a.more", toy(4))
    assert do_all(platform) == 1
    assert visible(platform) == {"toy/a.hdr": [1, 4, 2]}


def test_a_file_that_stands_alone_does_not_wait_and_may_become_a_part(platform: Platform, put: Put) -> None:
    put("toy/a.toy", toy(5))
    do_all(platform)
    assert visible(platform) == {"toy/a.toy": [5]}
    put("toy/a.hdr", toy("@a.toy", 1))
    do_all(platform)
    assert visible(platform) == {"toy/a.hdr": [1, 5]}
    assert states(platform) == {"toy/a.toy": "committed", "toy/a.hdr": "committed"}


def test_a_file_that_stands_alone_joins_a_record_that_is_there_already(platform: Platform, put: Put) -> None:
    put("toy/a.hdr", toy(1))
    do_all(platform)
    put("toy/a.toy", toy(5))
    do_all(platform)
    put("toy/a.toy", toy(6))
    do_all(platform)
    assert visible(platform) == {"toy/a.hdr": [1, 6]}


def test_a_new_part_that_is_bad_leaves_the_record_as_it_was(platform: Platform, put: Put) -> None:
    put("toy/a.hdr", HEADER)
    put("toy/a.part", toy(2))
    do_all(platform)
    put("toy/a.part", toy("rubbish"))
    do_all(platform)
    assert visible(platform) == {"toy/a.hdr": [1, 2]}
    found = [(row.key, row.state) for row in list_files(platform.ledger)]
    assert sorted(found) == [("toy/a.hdr", "committed"), ("toy/a.part", "committed"), ("toy/a.part", "quarantined")]
    put("toy/a.part", toy(3))
    do_all(platform)
    assert visible(platform) == {"toy/a.hdr": [1, 3]}


def test_a_record_is_refused_whole_and_its_neighbours_are_not(platform: Platform, put: Put) -> None:
    for name in "abc":
        put(f"toy/{name}.hdr", toy(f"@{name}.part", 1))
        put(f"toy/{name}.part", toy("crash") if name == "b" else toy(2))
    do_all(platform)
    assert visible(platform) == {"toy/a.hdr": [1, 2], "toy/c.hdr": [1, 2]}
    bad = {key: error for key, error in refusals(platform).items() if error}
    assert bad == {"toy/b.hdr": "reader_crashed", "toy/b.part": "reader_crashed"}


def test_the_parts_of_a_record_are_in_one_batch_whatever_its_limits(platform: Platform, put: Put) -> None:
    for name in "ab":
        put(f"toy/{name}.hdr", toy(f"@{name}.part", 1))
        put(f"toy/{name}.part", toy(2))
    look_for_arrivals(platform, RECORDS)
    batch = plan(platform.ledger, "toy", BatchLimits(1, 1), flush=True)
    assert batch is not None
    assert batch.files == 2
    assert {Path(row.key).stem for row in list_files(platform.ledger, batch_id=batch.batch_id)} == {"a"}


def test_equal_names_in_two_folders_are_two_records(platform: Platform, put: Put) -> None:
    for ward in (1, 2):
        put(f"toy/{ward}/a.hdr", toy("@a.part", ward))
        put(f"toy/{ward}/a.part", toy(10 * ward))
    do_all(platform)
    assert visible(platform) == {"toy/1/a.hdr": [1, 10], "toy/2/a.hdr": [2, 20]}


def test_a_part_that_changes_while_the_record_is_read_makes_it_wait(
    platform: Platform, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("toy/a.hdr", HEADER)
    put("toy/a.part", toy(2))
    batch = next_batch(platform, RECORDS)
    put("toy/a.part", toy(4, 5))
    run(platform, batch, source=RECORDS)
    found = {(row.key, row.state, row.batch_id) for row in list_files(platform.ledger)}
    assert found == {("toy/a.hdr", "waiting", None), ("toy/a.part", "superseded", batch.batch_id)}
    do_all(platform)
    assert visible(platform) == {"toy/a.hdr": [1, 4, 5]}


def test_a_part_of_a_record_whose_header_is_gone_is_not_read_for_ever(
    platform: Platform, put: Put, settings: Settings
) -> None:
    put("toy/a.hdr", HEADER)
    put("toy/a.part", toy(2))
    do_all(platform)
    header = settings.home / "landing/toy/a.hdr"
    header.unlink()
    put("toy/a.part", toy(3))
    assert do_all(platform) == 1
    assert visible(platform) == {"toy/a.hdr": [1, 2]}
    newest = list_files(platform.ledger)[-1]
    assert (newest.key, newest.state, newest.error_class) == ("toy/a.part", "quarantined", "incomplete_record")
    assert "toy/a.hdr of its record is gone" in newest.error
    assert "Land what is gone again, then replay this file" in newest.error
    put("toy/a.hdr", HEADER)
    assert replay(platform.ledger, RefusedFilter()) == [newest.file_id]
    do_all(platform)
    assert visible(platform) == {"toy/a.hdr": [1, 3]}


def test_a_replayed_older_version_does_not_wait_for_ever(impatient: Platform, tmp_path: Path) -> None:
    put = putter(impatient.landing, tmp_path)  # type: ignore[arg-type]
    put("toy/a.part", toy(1))
    do_all(impatient)
    put("toy/a.part", toy(2))
    do_all(impatient)
    assert len(replay(impatient.ledger, RefusedFilter())) == 2
    do_all(impatient)
    found = [(row.key, row.state) for row in list_files(impatient.ledger)]
    assert found == [("toy/a.part", "superseded"), ("toy/a.part", "quarantined")]


def test_a_replayed_part_brings_its_record(impatient: Platform, tmp_path: Path) -> None:
    put = putter(impatient.landing, tmp_path)  # type: ignore[arg-type]
    put("toy/a.hdr", HEADER)
    put("toy/a.part", toy("rubbish"))
    do_all(impatient)
    part = find_files(impatient.ledger, "toy/a.part")
    assert replay(impatient.ledger, RefusedFilter(file_ids=part)) == part
    do_all(impatient)
    assert refusals(impatient) == {"toy/a.hdr": "not_a_number", "toy/a.part": "not_a_number"}
    assert len(tell(impatient.ledger, part[0]).refusals) == 2


def test_a_bucket_that_fails_refuses_nothing(platform: Platform, put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    from resources.landing.store import StoreError

    def fail(self: FolderFetcher, key: str, version: str, size_bytes: int) -> bytes:
        raise StoreError("the bucket is away")

    put("toy/a.hdr", HEADER)
    put("toy/a.part", toy(2))
    with monkeypatch.context() as broken:
        broken.setattr(FolderFetcher, "fetch", fail)
        found = look_for_arrivals(platform, RECORDS)
        assert found.warnings == ["records cannot be put together: the bucket is away"]
    assert set(states(platform).values()) == {"waiting"}
    do_all(platform)
    assert visible(platform) == {"toy/a.hdr": [1, 2]}


def test_a_lost_lake_and_a_lost_ledger_are_rebuilt(platform: Platform, put: Put, settings: Settings) -> None:
    put("toy/a.hdr", HEADER)
    put("toy/a.part", toy(2))
    put("toy/b.toy", toy(3))
    do_all(platform)
    before = visible(platform)
    platform.close()
    shutil.rmtree(settings.lake_folder)
    assert reconcile(platform, RECORDS).lake_lost
    do_all(platform)
    assert visible(platform) == before
    platform.close()
    for path in settings.home.glob("ledger.db*"):
        path.unlink()
    assert reconcile(platform, RECORDS).adopted == 2
    do_all(platform)
    assert visible(platform) == before
    assert set(states(platform).values()) == {"committed"}
    assert rows_of(platform, "SELECT count(*) FROM toy.readings") == [(3,)]


_names = st.sampled_from(["a.hdr", "a.part", "a.more", "b.hdr", "b.part", "c.toy", "c.hdr"])
_contents = st.lists(st.integers(0, 9), max_size=2)
_steps = st.lists(st.one_of(st.tuples(_names, _contents), st.just("run"), st.just("look")), max_size=12)


def _expected(folder: Path) -> dict[str, list[float]]:
    """What should be seen in the end, from the landing folder alone."""
    records: dict[str, dict[str, bytes]] = {}
    for path in folder.glob("toy/*.*"):
        key = f"toy/{path.name}"
        records.setdefault(str(name_of(key)), {})[path.name] = path.read_bytes()
    shown = {}
    for parts in records.values():
        first = primary(parts)
        wanted = [line[1:].decode() for line in parts[first].splitlines() if line.startswith(b"@")] if first else []
        if first and set(wanted) <= parts.keys():
            shown[f"toy/{first}"] = values_of(parts[first], *(parts[name] for name in sorted(parts) if name != first))
    return shown


@hypothesis_settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(_steps)
def test_whatever_the_order_whole_records_are_seen_and_nothing_else(steps: list[tuple[str, list[int]] | str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        home = Path(name) / "home"
        platform = Platform(Settings(home=home, workers=1, settle_seconds=0.0, companion_wait_seconds=0.0))
        put = putter(platform.landing, Path(name))  # type: ignore[arg-type]
        for step in steps:
            if step == "run":
                do_all(platform)
            elif step == "look":
                look_for_arrivals(platform, RECORDS)
            else:
                key, values = step
                needed = ["@a.part"] if key == "a.hdr" else []
                put(f"toy/{key}", toy(*needed, *values))
        do_all(platform)
        shown = visible(platform)
        expected = _expected(home / "landing")
        # A record that became incomplete by a later part stays as it was, so nothing is seen that was never whole.
        assert {key: shown.get(key) for key in expected} == expected
        found = {row.key: row.state for row in list_files(platform.ledger)}
        assert not set(found.values()) & {"pending", "running", "waiting"}
        platform.close()
