"""Files of a group that all others of it are read with: given to each, read anew with each, never a different version."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from pipeline_assets.batch_run import BatchHeld, run_batch
from pipeline_assets.landed_file import LandedFile
from pipeline_assets.reading_units import SharedFileChanged, shared_by, shared_files
from pipeline_assets.source import Groups, NoConfig, Reader
from resources.errors import TransientFailure
from resources.ledger.batches import due, release
from resources.platform import Platform
from sensors.looking import look_for_arrivals, plan_batches
from tests.conftest import Put
from tests.running import Silent, rows_of, states, toy
from tests.toy_source import TOY, read, recognise


def read_raised(file: LandedFile, config: NoConfig) -> list[float]:
    """The file's readings, raised by that of the group's shared file; the shared file itself has none."""
    if file.name == "offset.txt":
        return []
    offset = read(file.companions["offset.txt"], config)[0] if "offset.txt" in file.companions else 0.0
    return [value + offset for value in read(file, config)]


def no_picture(parsed: list[float], rows: object) -> bytes:
    """A picture that tells whose it is by its length."""
    return bytes(int(parsed[0]))


SHARING = dataclasses.replace(
    TOY,
    readers=(Reader("toy_csv", "toy CSV file", recognise, read_raised),),
    groups=Groups(
        r"toy/(?P<group>[^/]+)/.+",
        quiet_seconds=0.0,
        done=r".*/\w+\.done",
        shared=r"toy/[^/]+/offset\.txt",
        wanted="toy/G/F",
    ),
    picture=no_picture,
)


def do(platform: Platform) -> list[bytes | None]:
    """Look and run what is due; the pictures of the runs."""
    look_for_arrivals(platform, SHARING)
    plan_batches(platform, SHARING, flush=True)
    pictures = []
    for batch in due(platform.ledger, "toy"):
        run_id = f"run-{batch.batch_id}-{batch.attempt}"
        report = run_batch(
            platform, SHARING, NoConfig(), batch.batch_id, run_id, Silent(), hold_when_stopped=lambda: True
        )
        pictures.append(report.picture)
    return pictures


def shown(platform: Platform) -> dict[str, float]:
    query = "SELECT f.source_key, r.value FROM toy.readings r JOIN toy.files f USING (file_id)"
    return dict(rows_of(platform, query))


def test_what_is_shared_is_given_to_all_others_of_its_group(platform: Platform, put: Put) -> None:
    for name in ("a", "b"):
        put(f"toy/one/{name}.csv", toy(1.0))
    put("toy/one/offset.txt", toy(10.0))
    put("toy/one/a.done", toy())
    put("toy/two/c.csv", toy(2.0))
    assert sorted(do(platform)) == [bytes(2), bytes(11)], "the picture is of a file, read with what is shared"
    assert shown(platform) == {"toy/one/a.csv": 11.0, "toy/one/b.csv": 11.0, "toy/two/c.csv": 2.0}
    assert set(states(platform).values()) == {"committed"}


def test_another_version_of_it_has_all_read_again(platform: Platform, put: Put) -> None:
    put("toy/one/a.csv", toy(1.0))
    put("toy/one/offset.txt", toy(10.0))
    do(platform)
    put("toy/one/offset.txt", toy(20.0))
    do(platform)
    assert shown(platform) == {"toy/one/a.csv": 21.0}


def test_files_are_never_read_with_another_version_than_was_planned(platform: Platform, put: Put) -> None:
    put("toy/one/a.csv", toy(1.0))
    put("toy/one/offset.txt", toy(10.0))
    look_for_arrivals(platform, SHARING)
    plan_batches(platform, SHARING, flush=True)
    put("toy/one/offset.txt", toy(20.0))
    (batch,) = due(platform.ledger, "toy")
    with pytest.raises(SharedFileChanged, match=r"toy/one/offset.txt cannot be read as it was"):
        run_batch(platform, SHARING, NoConfig(), batch.batch_id, "run-1", Silent(), hold_when_stopped=lambda: True)
    assert issubclass(SharedFileChanged, TransientFailure)
    assert "committed" not in states(platform).values()


def test_what_is_gone_is_not_shared(platform: Platform, put: Put) -> None:
    put("toy/one/a.csv", toy(1.0))
    put("toy/one/offset.txt", toy(10.0))
    look_for_arrivals(platform, SHARING)
    plan_batches(platform, SHARING, flush=True)
    Path(platform.landing.uri("toy/one/offset.txt").removeprefix("file://")).unlink()
    (batch,) = due(platform.ledger, "toy")
    run_batch(platform, SHARING, NoConfig(), batch.batch_id, "run-1", Silent(), hold_when_stopped=lambda: True)
    assert shown(platform) == {"toy/one/a.csv": 1.0}


def refuses_with_an_offset(config: NoConfig, shared: Mapping[str, LandedFile], refused: Sequence[str]) -> str | None:
    return "It wants to be whole." if "offset.txt" in shared else None


STOPPING = dataclasses.replace(SHARING, groups=dataclasses.replace(SHARING.groups, stops=refuses_with_an_offset))  # type: ignore[type-var]


def test_a_group_that_wants_to_be_whole_is_held_with_a_refused_file_until_a_person_lets_it_go(
    platform: Platform, put: Put
) -> None:
    for group in ("one", "two"):
        put(f"toy/{group}/a.csv", toy(1.0))
        put(f"toy/{group}/bad.csv", "toy\nno number\n")
    put("toy/one/offset.txt", toy(10.0))
    look_for_arrivals(platform, STOPPING)
    plan_batches(platform, STOPPING, flush=True)
    one, two = sorted(due(platform.ledger, "toy"), key=lambda batch: batch.partition)

    def run(batch_id: str, run_id: str) -> None:
        run_batch(platform, STOPPING, NoConfig(), batch_id, run_id, Silent(), hold_when_stopped=lambda: True)

    run(two.batch_id, "run-1")
    with pytest.raises(BatchHeld, match=r"It wants to be whole\. 1 of 3 files were refused: toy/one/bad\.csv \("):
        run(one.batch_id, "run-2")
    assert shown(platform) == {"toy/two/a.csv": 1.0}
    assert {states(platform)[f"toy/one/{name}"] for name in ("a.csv", "bad.csv", "offset.txt")} == {"held"}
    release(platform.ledger, one.batch_id)
    run(one.batch_id, "run-3")
    assert shown(platform) == {"toy/one/a.csv": 11.0, "toy/two/a.csv": 1.0}
    assert states(platform)["toy/one/bad.csv"] == "quarantined"


def test_sources_without_shared_files_are_read_as_before() -> None:
    assert shared_by(TOY, ()) == ()
    assert shared_files(None, ()) == {}  # type: ignore[arg-type]
