"""The command line, as a person and as a script use it."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

import cli.drain
from cli.main import main
from pipeline_assets import registry
from resources.lake.lake import TableName
from resources.ledger import queries
from resources.ledger.publishing import published_snapshots
from resources.ledger.queries import list_files
from resources.platform import Platform
from resources.settings import Settings
from tests.running import batch_state, get_batch, next_batch, run, toy
from tests.toy_source import TOY


class Person:
    """Somebody at a shell: works in one folder, has the deployment's state in another."""

    def __init__(self, place: Path) -> None:
        self.folder = place / "work"
        self.folder.mkdir()
        self.settings = Settings(home=place / "home", settle_seconds=0.05, workers=2)
        self.environment: dict[str, str | None] = {
            "STRANDLINE_HOME": str(self.settings.home),
            "STRANDLINE_SETTLE_SECONDS": "0.05",
            "STRANDLINE_WORKERS": "2",
            # A drain sets it; it must not outlive the command here either.
            "DAGSTER_HOME": None,
        }

    def __call__(self, *arguments: str, exit_code: int = 0) -> Result:
        with contextlib.chdir(self.folder):
            result = CliRunner().invoke(main, arguments, env=self.environment)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == exit_code, result.output
        return result


@pytest.fixture(scope="module", autouse=True)
def _only_the_toy_source() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(registry, "SOURCES", (TOY,))
        patched.setattr(registry.get_source, "__defaults__", ((TOY,),))
        patched.setattr(cli.drain, "_WAIT_SECONDS", 0.05)
        yield


@pytest.fixture
def strandline(tmp_path: Path) -> Person:
    return Person(tmp_path)


@pytest.fixture
def folder(strandline: Person) -> Path:
    return strandline.folder


@pytest.fixture
def platform(strandline: Person) -> Iterator[Platform]:
    made = Platform(strandline.settings)
    yield made
    made.close()


def landed(platform: Platform) -> set[str]:
    root = platform.landing.root
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def write(path: Path, content: str = "toy\n1\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


# --- land


def test_land_keeps_relative_folders(strandline: Person, folder: Path, platform: Platform) -> None:
    write(folder / "2024/may/a.csv")
    write(folder / "b.csv")
    result = strandline("land", "toy", "2024/may/a.csv", "b.csv")
    assert result.stdout.splitlines() == ["toy/2024/may/a.csv", "toy/b.csv"]
    assert result.stderr == "2 landed, 0 unchanged\n"
    assert landed(platform) == {"toy/2024/may/a.csv", "toy/b.csv"}


def test_land_keeps_the_name_of_an_absolute_or_outside_file(
    strandline: Person, folder: Path, platform: Platform
) -> None:
    write(folder / "deep/a.csv")
    write(folder.parent / "outside.csv")
    strandline("land", "toy", str(folder / "deep/a.csv"), "../outside.csv")
    assert landed(platform) == {"toy/a.csv", "toy/outside.csv"}


def test_land_a_folder(strandline: Person, folder: Path, platform: Platform) -> None:
    for name in ("day/a.csv", "day/deep/b.csv", "day/.hidden/c.csv", "day/.DS_Store"):
        write(folder / name)
    strandline("land", "toy", "day")
    assert landed(platform) == {"toy/day/a.csv", "toy/day/deep/b.csv"}
    strandline("land", "toy", str(folder / "day/deep"))
    assert landed(platform) == {"toy/day/a.csv", "toy/day/deep/b.csv", "toy/deep/b.csv"}


def test_land_under_a_key(strandline: Person, folder: Path, platform: Platform) -> None:
    write(folder / "a.csv")
    strandline("land", "toy", "a.csv", "--key", "other/name.csv")
    assert landed(platform) == {"toy/other/name.csv"}


def test_land_the_same_bytes_again(strandline: Person, folder: Path) -> None:
    write(folder / "a.csv")
    strandline("land", "toy", "a.csv")
    result = strandline("land", "toy", "a.csv")
    assert result.stdout == "toy/a.csv  (these bytes are there already)\n"
    assert result.stderr == "0 landed, 1 unchanged\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nosource", "a.csv"), "There is no source 'nosource'. Sources: toy."),
        (("toy", "a.csv", "--key", "../out.csv"), "'toy/../out.csv' is not a key"),
        (("toy", "a.csv", "--key", "/abs"), "is not a key"),
        (("toy", "a.csv", "--key", ".hidden"), "begins with a dot"),
        (("toy", "a.csv", "--key", "line\nbreak"), "control character"),
        (("toy", "a.csv", "b.csv", "--key", "one"), "takes exactly one FILE"),
        (("toy", "day", "--key", "one"), "takes exactly one FILE"),
        (("toy", "missing.csv"), "does not exist"),
        (("toy",), "Missing argument"),
    ],
)
def test_land_says_what_is_wrong_and_lands_nothing(
    strandline: Person, folder: Path, platform: Platform, arguments: tuple[str, ...], message: str
) -> None:
    for name in ("a.csv", "b.csv", "day/c.csv"):
        write(folder / name)
    result = strandline("land", *arguments, exit_code=2)
    assert message in result.stderr
    assert not result.stdout
    assert landed(platform) == set()


def test_land_refuses_two_files_for_one_key(strandline: Person, folder: Path, platform: Platform) -> None:
    write(folder / "one/a.csv")
    write(folder / "two/a.csv")
    arguments = [str(folder / "one/a.csv"), str(folder / "two/a.csv")]
    result = strandline("land", "toy", *arguments, exit_code=2)
    assert result.stderr == "Error: Several files would get the key 'toy/a.csv'. Land them one by one with --key.\n"
    assert landed(platform) == set()


# --- drain


def test_drain_with_nothing_to_do(strandline: Person) -> None:
    assert strandline("drain").stdout == "0 batches run\n"
    assert json.loads(strandline("drain", "--json").stdout)["exit_code"] == 0
    assert "There is no source 'x'" in strandline("drain", "--source", "x", exit_code=2).stderr


def test_drain_twice_changes_nothing(strandline: Person, folder: Path, platform: Platform) -> None:
    write(folder / "a.csv", toy(1, 2))
    strandline("land", "toy", "a.csv")
    assert strandline("drain").stdout == "1 batch run: 1 committed\n"
    query = ("sql", "SELECT n, value, batch_id, source_key FROM toy.readings JOIN toy.files USING (batch_id)")
    first, files = strandline(*query, "--format", "csv").stdout, list_files(platform.ledger)
    assert strandline("drain").stdout == "0 batches run\n"
    strandline("land", "toy", "a.csv")
    assert strandline("drain").stdout == "0 batches run\n"
    assert strandline(*query, "--format", "csv").stdout == first
    assert list_files(platform.ledger) == files


def test_drain_brings_aggregates_up_to_date(strandline: Person, folder: Path, platform: Platform) -> None:
    (folder / "a.csv").write_text(toy(1, 2, 2))
    strandline("land", "toy", "a.csv")
    assert json.loads(strandline("drain", "--json").stdout)["aggregates"] == ["toy.by_value"]
    query = "SELECT value, readings FROM toy.by_value ORDER BY value"
    assert strandline("sql", query, "--format", "csv").stdout.splitlines()[1:] == ["1,1", "2,2"]
    assert json.loads(strandline("drain", "--json").stdout)["aggregates"] == []
    # A run that published its batch and was killed before the aggregates had their turn.
    (folder / "b.csv").write_text(toy(2, 3))
    strandline("land", "toy", "b.csv")
    run(platform, next_batch(platform))
    result = json.loads(strandline("drain", "--json").stdout)
    assert (result["batches"], result["aggregates"]) == (0, ["toy.by_value"])
    assert strandline("sql", query, "--format", "csv").stdout.splitlines()[1:] == ["1,1", "2,3", "3,1"]


def test_drain_ends_with_1_when_an_aggregate_fails(
    strandline: Person, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.csv").write_text(toy(1))
    strandline("land", "toy", "a.csv")

    def broken(*args: object) -> None:
        raise ZeroDivisionError("a fault of the aggregate")

    with monkeypatch.context() as patched:
        patched.setattr("pipeline_assets.aggregate_run.compute_rows", broken)
        result = strandline("drain", exit_code=1)
    assert result.stdout == "1 batch run: 1 committed\n"
    assert "FAILED: aggregates of toy: " in result.stderr
    assert "a fault of the aggregate" in result.stderr
    strandline("drain")


def test_drain_ends_with_3_when_files_were_refused(strandline: Person, folder: Path) -> None:
    write(folder / "a.csv", toy(1))
    write(folder / "b.csv", "no toy file")
    strandline("land", "toy", "a.csv", "b.csv")
    result = strandline("drain", "--json", exit_code=3)
    summary = json.loads(result.stdout)
    assert (summary["batches"], summary["states"]) == (1, {"committed": 1, "quarantined": 1})
    assert summary["exit_code"] == 3
    assert strandline("drain").exit_code == 0, "nothing refused in this one"


def test_drain_ends_with_3_when_a_batch_is_held_and_release_moves_it_on(
    strandline: Person, folder: Path, platform: Platform
) -> None:
    for number in range(5):
        write(folder / f"day/{number}.csv", toy("bad"))
    strandline("land", "toy", "day")
    result = strandline("drain", exit_code=3)
    (batch_id,) = {row.batch_id for row in list_files(platform.ledger)}
    assert f"let it pass with: strandline release {batch_id}" in result.stdout
    assert "0 batches run" in strandline("drain").stdout
    assert strandline("release", batch_id).stdout == f"batch {batch_id} waits for its next run (5 files)\n"
    assert "1 batch run: 5 quarantined" in strandline("drain", exit_code=3).stdout
    assert "is finished, not held" in strandline("release", batch_id, exit_code=2).stderr
    assert "There is no batch 'nosuch'" in strandline("release", "nosuch", exit_code=2).stderr


def test_a_drain_merges_small_data_files_once_many_piled_up(
    strandline: Person, folder: Path, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli.drain, "_BATCHES_BETWEEN_LOOKS_AT_THE_LAKE", 5)
    strandline.environment |= {"STRANDLINE_COMPACT_SMALL_FILES": "4", "STRANDLINE_BATCH_MAX_FILES": "1"}
    for number in range(6):
        write(folder / f"day/{number}.csv", toy(number))
    strandline("land", "toy", "day")
    assert "10 small data files merged, because many had piled up" in strandline("drain").stdout
    published = published_snapshots(platform.ledger, "toy")
    # After the fifth batch the five of each of the two tables became one; one came since.
    left = {name: len(platform.lake.data_files(TableName("toy", name), published[name])) for name in TOY.table_names}
    assert set(left.values()) == {2}, left
    assert len(list_files(platform.ledger, state="committed")) == 6
    assert "\n6\n" in strandline("sql", "SELECT count(*) FROM toy.readings", "--format", "csv").stdout
    assert "merged" not in strandline("drain").stdout


def test_a_drain_whose_maintenance_fails_says_so(
    strandline: Person, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "a.csv")
    strandline("land", "toy", "a.csv")

    def broken(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("resources.lake.maintenance.count_small", broken)
    result = strandline("drain", exit_code=1)
    assert result.stdout == "1 batch run: 1 committed\n"
    assert "FAILED: maintenance of toy: OSError: No space left on device" in result.stderr


def test_what_a_script_needs_is_there_as_json(strandline: Person, folder: Path) -> None:
    for number in range(6):
        write(folder / f"day/{number}.csv", "toy\nrubbish\n")
    landed = json.loads(strandline("land", "toy", "day", "--json").stdout)
    assert landed == [{"key": f"toy/day/{number}.csv", "changed": True} for number in range(6)]
    batch_id = json.loads(strandline("drain", "--json", exit_code=3).stdout)["held"][0].partition(" ")[0]
    released = json.loads(strandline("release", batch_id, "--json").stdout)
    assert released == {"batch_id": batch_id, "state": "planned", "files": 6}
    strandline("drain", exit_code=3)
    refused = {row["file_id"] for row in json.loads(strandline("files", "--state", "quarantined", "--json").stdout)}
    replayed = json.loads(strandline("quarantine", "replay", "--all", "--json").stdout)["replayed"]
    assert set(replayed) == refused
    assert len(refused) == 6


def test_drain_ends_with_3_for_names_it_cannot_take(strandline: Person, folder: Path, platform: Platform) -> None:
    write(platform.landing.root / "toy/a.csv")
    (platform.landing.root / "toy/link.csv").symlink_to("a.csv")
    assert "not taken: toy/link.csv: it is a symbolic link" in strandline("drain", exit_code=3).stdout


def test_drain_ends_with_1_when_the_platform_fails_and_heals(
    strandline: Person, folder: Path, platform: Platform
) -> None:
    write(folder / "a.csv")
    strandline("land", "toy", "a.csv")
    platform.settings.lake_folder.parent.mkdir(exist_ok=True)
    platform.settings.lake_folder.write_text("not a folder")
    result = strandline("drain", exit_code=1)
    assert "FAILED: batch" in result.stderr
    assert str(platform.settings.lake_folder) in result.stderr
    assert [row.state for row in list_files(platform.ledger)] == ["pending"]
    platform.settings.lake_folder.unlink()
    assert strandline("drain").stdout == "1 batch run: 1 committed\n"


def test_a_batch_that_another_run_finished_meanwhile_is_not_done_again(
    strandline: Person, folder: Path, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "a.csv")
    strandline("land", "toy", "a.csv")
    batch = next_batch(platform)

    def quicker() -> str:
        run(platform, batch, "run-other")
        return str(uuid.uuid4())

    monkeypatch.setattr(cli.drain._Runner, "new_run_id", staticmethod(quicker))
    assert strandline("drain").stdout == "0 batches run\n"
    assert batch_state(platform, batch) == "finished"
    after = get_batch(platform.ledger, batch.batch_id)
    assert (after.attempt, after.run_id) == (1, "run-other")


# --- files, explain, sql


@pytest.fixture(scope="module")
def drained(tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Somebody who landed good and bad files and drained. To be asked only: tests share it."""
    person = Person(tmp_path_factory.mktemp("drained"))
    write(person.folder / "good.csv", toy(1, 2.5))
    write(person.folder / "bad.csv", toy("bad"))
    write(person.folder / "day/good.csv", toy(3))
    person("land", "toy", "good.csv", "bad.csv", "day")
    person("drain", exit_code=3)
    return person


def test_files(drained: Person) -> None:
    result = drained("files")
    lines = sorted(result.stdout.splitlines(), key=lambda line: line.split()[5])
    assert [line.split()[1] for line in lines] == ["quarantined", "committed", "committed"]
    assert lines[0].endswith("toy/bad.csv  not_a_number: could not convert string to float: 'bad'")
    assert result.stderr == "3 shown of 3 files: 2 committed, 1 quarantined\n"
    by_key = {record["key"]: record for record in json.loads(drained("files", "--json").stdout)}
    assert by_key["toy/bad.csv"]["error_class"] == "not_a_number"
    for arguments, keys in {
        ("--state", "committed"): {"toy/good.csv", "toy/day/good.csv"},
        ("--key", "day"): {"toy/day/good.csv"},
        ("--key", "toy/da"): {"toy/day/good.csv"},
        ("--key", "oy/day/go", "--limit", "0"): {"toy/day/good.csv"},
        ("--key", "good.csv", "--source", "toy", "--state", "committed"): {"toy/good.csv", "toy/day/good.csv"},
        ("--key", "good.csv", "--state", "quarantined"): set(),
        ("--batch", by_key["toy/bad.csv"]["batch_id"]): set(by_key),
        ("--source", "ecg"): set(),
    }.items():
        assert {one["key"] for one in json.loads(drained("files", "--json", *arguments).stdout)} == keys
    assert len(json.loads(drained("files", "--json", "--limit", "2").stdout)) == 2
    assert len(json.loads(drained("files", "--json", "--limit", "0").stdout)) == 3


def test_files_says_when_not_every_key_was_looked_through(drained: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "_LOOKED_THROUGH", 1)
    for form in ((), ("--json",)):
        result = drained("files", "--key", "nothing", *form)
        assert (
            "Of all but the newest 1 files, those were looked for of whose keys 'nothing' is the last part"
            in result.stderr
        )
        assert "--limit 0" in result.stderr
    assert "looked for" not in drained("files", "--key", "nothing", "--limit", "0").stderr
    assert "looked for" not in drained("files", "--key", "toy/nothing").stderr
    assert "toy/bad.csv" in drained("files", "--key", "bad.csv").stdout


def test_explain(drained: Person) -> None:
    text = drained("explain", "bad.csv").stdout
    for part in (
        "toy/bad.csv",
        "QUARANTINED",
        "not_a_number: could not convert",
        "where: row 1",
        "Send it again mended",
    ):
        assert part in text
    (story,) = json.loads(drained("explain", "toy/good.csv", "--json").stdout)
    assert story["rows"] == {"readings": 2, "files": 1}
    assert [move["to_state"] for move in story["history"]] == ["pending", "running", "committed"]
    assert len(json.loads(drained("explain", "good.csv", "--json").stdout)) == 2, "both keys end so"
    assert drained("explain", story["file_id"]).stdout.startswith("toy/good.csv\n")
    missing = drained("explain", "nosuch.csv", exit_code=2)
    assert "No file 'nosuch.csv' is known" in missing.stderr
    assert not missing.stdout
    assert drained("explain", "nosuch.csv", "--json", exit_code=2).stdout == "[]\n"


def test_explain_a_file_that_nobody_looked_at(strandline: Person, folder: Path) -> None:
    write(folder / "a.csv")
    strandline("land", "toy", "a.csv")
    assert "not looked at yet" in strandline("explain", "toy/a.csv", exit_code=2).stderr


QUERY = "SELECT source_key, sum(value) AS total, NULL AS nothing FROM toy.readings JOIN toy.files USING (file_id) GROUP BY ALL ORDER BY ALL"


def test_sql_in_every_format(drained: Person) -> None:
    table = drained("sql", QUERY).stdout.splitlines()
    assert table[0].split() == ["source_key", "total", "nothing"]
    assert [line.split() for line in table[2:4]] == [["toy/day/good.csv", "3", "NULL"], ["toy/good.csv", "3.5", "NULL"]]
    assert table[4] == "(2 rows)"
    expected: list[dict[str, Any]] = [
        {"source_key": "toy/day/good.csv", "total": 3.0, "nothing": None},
        {"source_key": "toy/good.csv", "total": 3.5, "nothing": None},
    ]
    assert json.loads(drained("sql", QUERY, "--format", "json").stdout) == expected
    rows = list(csv.DictReader(io.StringIO(drained("sql", QUERY, "--format", "csv").stdout)))
    assert [(row["source_key"], float(row["total"])) for row in rows] == [
        ("toy/day/good.csv", 3.0),
        ("toy/good.csv", 3.5),
    ]
    said = drained("sql", QUERY, "--format", "parquet", "--output", "out.parquet")
    assert (said.stdout, said.stderr) == ("", "2 rows written to out.parquet\n")
    assert pq.read_table(drained.folder / "out.parquet").to_pylist() == expected
    assert pq.read_table(io.BytesIO(drained("sql", QUERY, "--format", "parquet").stdout_bytes)).num_rows == 2


def test_sql_says_what_is_wrong(drained: Person) -> None:
    result = drained("sql", "SELECT * FROM toy.nosuch", "--output", "kept", exit_code=2)
    assert "nosuch" in result.stderr
    assert "Tables: toy.by_value, toy.files, toy.readings, operations.files, operations.quarantine" in result.stderr
    assert not (drained.folder / "kept").exists()
    assert drained("sql", "SELEC 1", exit_code=2).stderr.startswith("Error: ")


def test_wrong_settings_are_named(strandline: Person) -> None:
    strandline.environment["STRANDLINE_WORKERS"] = "many"
    assert "STRANDLINE_WORKERS='many'" in strandline("files", exit_code=2).stderr


def test_every_command_helps(strandline: Person) -> None:
    assert isinstance(main, click.Group)
    for name in main.commands:
        assert "Usage:" in strandline(name, "--help").stdout
