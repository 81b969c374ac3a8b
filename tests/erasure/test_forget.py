"""Forgetting files through the command: nothing of them is left in any byte, and they do not come back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.main import main
from pipeline_assets import registry
from pipeline_assets.operations.reconcile import reconcile
from resources.ledger.alerts import Alert, AlertKind
from resources.ledger.alerts import record as record_alert
from resources.platform import Platform
from tests.conftest import Put
from tests.erasure.toy_cli import WITH_SUBJECT
from tests.erasure.traces import traces
from tests.running import all_states, look_and_run, rows_of, states, toy, visible
from tests.toy_source import TOY

SECRET_KEY = "toy/secret_patient_name.csv"
SECRET = 721.46875
"""A value that no other file has."""
WORD = "canary-in-an-error"


Run = Callable[..., Any]


@pytest.fixture
def strandline(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command, in this process."""
    for name, value in {"HOME": platform.settings.home, "SETTLE_SECONDS": 0.05, "WORKERS": 2}.items():
        monkeypatch.setenv(f"STRANDLINE_{name}", str(value))
    monkeypatch.setattr(registry, "SOURCES", (WITH_SUBJECT,))
    monkeypatch.setattr(registry.get_source, "__defaults__", ((WITH_SUBJECT,),))

    def run(*arguments: str, code: int = 0) -> Any:
        platform.close()
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == code, (done.output, done.exception)
        return json.loads(done.stdout) if "--json" in arguments else done.output

    return run


def everywhere(platform: Platform) -> list[str]:
    """Where anything of the secret file is, in the whole home but its landing folder."""
    home = platform.settings.home
    found = traces(home, [SECRET_KEY, "secret_patient", WORD], [SECRET])
    return [place for place in found if not place.startswith("landing/")]


def test_nothing_of_a_file_is_left_in_any_byte(platform: Platform, put: Put, strandline: Run) -> None:
    """Tables with older snapshots, an earlier version in quarantine, aggregates, Dagster's events and their copies."""
    put("toy/a.csv", toy(1, 2))
    put(SECRET_KEY, f"toy\n{WORD}\n")
    strandline("drain", "--json", code=3)
    put(SECRET_KEY, toy(SECRET, 2))
    put("toy/b.csv", toy(3))
    strandline("drain", "--json")
    put("toy/c.csv", toy(SECRET + 1))
    strandline("drain", "--json")
    assert visible(platform)[SECRET_KEY] == [SECRET, 2.0]
    with platform.ledger.write() as connection:
        told = Alert("held/toy", AlertKind.BATCH_HELD, "toy", title="a batch is held", text=f"{SECRET_KEY}: {WORD}")
        record_alert(connection, told)
    places = "\n".join(everywhere(platform))
    for place in ("lake/warehouse/toy/readings/data", "lake/warehouse/toy/by_value/data", "/metadata/", "ledger.db"):
        assert place in places, "the test looks in the wrong way"
    assert "dagster/history" in places

    done = strandline("forget", SECRET_KEY, "--yes", "--json", code=3)
    (erasure,) = done["erasures"]
    assert (len(erasure["files"]), erasure["rows"], erasure["refusals"]) == (2, {"files": 1, "readings": 2}, 1)
    assert done["landed_still"] == [platform.landing.uri(SECRET_KEY)]
    assert "backups" in done["beyond_reach"]

    platform.close()
    assert everywhere(platform) == []
    assert visible(platform) == {"toy/a.csv": [1.0, 2.0], "toy/b.csv": [3.0], "toy/c.csv": [SECRET + 1]}
    assert rows_of(platform, "SELECT value, readings FROM toy.by_value ORDER BY ALL") == [
        (1.0, 1), (2.0, 1), (3.0, 1), (SECRET + 1, 1),
    ]  # fmt: skip
    assert rows_of(platform, "SELECT count(*) FROM operations.quarantine") == [(0,)]
    (audit,) = rows_of(platform, "SELECT source, files, rows, refusals, finished_at FROM operations.erasures")
    assert audit[:4] == ("toy", 2, 3, 1)
    assert audit[4] is not None


@pytest.fixture
def forgotten(platform: Platform, put: Put, strandline: Run) -> Platform:
    """A platform with two files; one that was forgotten is still in the landing folder."""
    put("toy/a.csv", toy(1, 2))
    put(SECRET_KEY, toy(SECRET))
    look_and_run(platform)
    strandline("forget", SECRET_KEY, "--yes", code=3)
    assert visible(platform) == {"toy/a.csv": [1.0, 2.0]}
    return platform


def test_it_does_not_come_back(forgotten: Platform, put: Put, strandline: Run) -> None:
    """Looked at again, landed again, other bytes in between, done again, replayed, reconciled."""
    strandline("drain", "--json")
    told = strandline("explain", SECRET_KEY, code=2)
    assert "was forgotten and is not taken in again. Delete it there: file://" in told
    put(SECRET_KEY, toy(7))
    strandline("drain", "--json")
    assert visible(forgotten)[SECRET_KEY] == [7.0]
    put(SECRET_KEY, toy(SECRET))
    strandline("drain", "--json")
    batch = rows_of(forgotten, "SELECT min(batch_id) FROM operations.files WHERE state = 'committed'")[0][0]
    strandline("redo", batch)
    strandline("quarantine", "replay", "--all")
    strandline("drain", "--json")
    strandline("reconcile", "--json")
    strandline("drain", "--json")
    assert visible(forgotten) == {"toy/a.csv": [1.0, 2.0], SECRET_KEY: [7.0]}
    assert traces(forgotten.settings.lake_folder, [], [SECRET]) == []


def test_a_lost_ledger_does_not_bring_it_back(forgotten: Platform, strandline: Run) -> None:
    forgotten.close()
    for path in forgotten.settings.home.glob("ledger.db*"):
        path.unlink()
    found = strandline("reconcile", "--json", code=3)[0]
    assert (found["adopted"], found["new_files"]) == (1, 0)
    strandline("drain", "--json")
    assert visible(forgotten) == {"toy/a.csv": [1.0, 2.0]}


def test_lost_tables_do_not_bring_it_back(forgotten: Platform, strandline: Run) -> None:
    """Nor do ledger and tables lost one after the other."""
    forgotten.close()
    shutil.rmtree(forgotten.settings.lake_folder)
    strandline("reconcile", code=3)
    strandline("drain")
    assert visible(forgotten) == {"toy/a.csv": [1.0, 2.0]}
    test_a_lost_ledger_does_not_bring_it_back(forgotten, strandline)


def test_an_id_is_that_version_alone(platform: Platform, put: Put, strandline: Run) -> None:
    put("toy/a.csv", toy(1))
    look_and_run(platform)
    put("toy/a.csv", toy(2))
    look_and_run(platform, "run-2")
    old = rows_of(platform, "SELECT file_id FROM operations.files WHERE state = 'superseded'")[0][0]
    done = strandline("forget", old, "--yes", "--json", code=3)
    assert done["erasures"][0]["files"] == [old]
    assert visible(platform) == {"toy/a.csv": [2.0]}
    assert all_states(platform) == {("toy/a.csv", "committed"): 1, (f"toy/(forgotten)/{old}", "forgotten"): 1}


def test_a_file_that_waits_is_never_read(platform: Platform, put: Put, strandline: Run) -> None:
    from tests.running import next_batch, run

    put(SECRET_KEY, toy(SECRET))
    put("toy/a.csv", toy(1))
    batch = next_batch(platform)
    strandline("forget", SECRET_KEY, "--yes", code=3)
    run(platform, batch)
    assert visible(platform) == {"toy/a.csv": [1.0]}
    assert "forgotten" in states(platform).values()


def test_after_the_person_deleted_it_its_key_is_known_nowhere(forgotten: Platform, strandline: Run) -> None:
    strandline("drain")
    (forgotten.settings.home / SECRET_KEY.replace("toy/", "landing/toy/")).unlink()
    strandline("drain")
    forgotten.close()
    assert [place for place in everywhere(forgotten) if "ledger" not in place] == []
    assert strandline("forget").startswith("there is nothing to go on with")
    assert reconcile(forgotten, TOY).balanced


def test_a_subject(platform: Platform, put: Put, strandline: Run) -> None:
    put("toy/one.csv", toy(5, 5))
    put("toy/two.csv", toy(5))
    put("toy/mixed.csv", toy(5, 6))
    put("toy/other.csv", toy(6))
    look_and_run(platform)
    refused = strandline("forget", "--subject", "5.0", "--source", "toy", "--yes", code=2)
    assert "1 of the 3 files of '5.0' have rows of others as well" in refused
    assert "--with-others" in refused
    assert len(visible(platform)) == 4
    done = strandline("forget", "--subject", "5.0", "--source", "toy", "--with-others", "--yes", "--json", code=3)
    assert done["erasures"][0]["rows"] == {"files": 3, "readings": 5}
    assert visible(platform) == {"toy/other.csv": [6.0]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("toy/never.csv", "--yes"), "'toy/never.csv' names no file that the ledger knows"),
        (("toy/a.csv",), "This erases 1 files for good. Say that it is meant: strandline forget --yes"),
        (("--subject", "8", "--source", "toy", "--yes"), "No row of readings.value in toy is of '8'"),
        (("--subject", "8", "--yes"), "--subject needs --source"),
        (("toy/a.csv", "--yes", "--subject", "8", "--source", "nothing"), "There is no source 'nothing'"),
    ],
)
def test_wrong_requests(
    platform: Platform, put: Put, strandline: Run, arguments: tuple[str, ...], message: str
) -> None:
    put("toy/a.csv", toy(1))
    look_and_run(platform)
    assert message in strandline("forget", *arguments, code=2)
    assert visible(platform) == {"toy/a.csv": [1.0]}


def test_rows_that_the_ledger_does_not_know_stay(platform: Platform, put: Put, strandline: Run, tmp_path: Path) -> None:
    """The ledger is lost, the file is discovered anew, and forgetting it must not take the other rows for debris."""
    from sensors.looking import look_for_arrivals

    put("toy/a.csv", toy(1))
    put("toy/b.csv", toy(2))
    look_and_run(platform)
    platform.close()
    for path in platform.settings.home.glob("ledger.db*"):
        path.unlink()
    look_for_arrivals(platform, TOY)
    assert "strandline reconcile --source toy" in strandline("forget", "toy/a.csv", "--yes", code=2)
    platform.close()
    for path in platform.settings.home.glob("ledger.db*"):
        path.unlink()
    strandline("reconcile", "--json", code=3)
    strandline("forget", "toy/a.csv", "--yes", code=3)
    assert visible(platform) == {"toy/b.csv": [2.0]}
