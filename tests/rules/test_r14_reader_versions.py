"""R14 Reader versions. A source may declare which reader serves which files (by key, date or schema), so old deliveries
stay readable when a format changes.
"""

from __future__ import annotations

import dataclasses
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import main
from pipeline_assets.landed_file import LandedFile, Refused
from pipeline_assets.metadata import batch_metadata
from pipeline_assets.reader_versions import Serves
from pipeline_assets.reading_units import reader_for
from pipeline_assets.source import FileSource, NoConfig, Reader
from resources.ledger.replay import RefusedFilter, replay
from resources.platform import Platform
from tests.conftest import Put
from tests.running import look_and_run, next_batch, rows_of, run, states, toy, visible
from tests.toy_source import TOY, lines_of, recognise

CHANGE = datetime(2026, 3, 1, tzinfo=UTC)
"""When the instrument's maker began to write metres in place of millimetres, under the same head."""


def read_millimetres(file: LandedFile, config: NoConfig) -> list[float]:
    return [float(line[0]) for line in lines_of(file.read_bytes())]


def read_metres(file: LandedFile, config: NoConfig) -> list[float]:
    try:
        return [float(line[0]) * 1000 for line in lines_of(file.read_bytes())]
    except ValueError as error:
        raise Refused("not_a_number", str(error)) from error


def is_schema_2(file: LandedFile) -> bool:
    return b"# schema 2" in file.read_bytes()


def source(*readers: Reader) -> FileSource:
    return dataclasses.replace(TOY, readers=readers)


def reader(name: str, serves: Serves) -> Reader:
    read = read_metres if name == "metres" else read_millimetres
    return Reader(name, "toy CSV file", recognise, read, serves)


ONE = source(reader("millimetres", Serves()))
BY_DATE = source(reader("millimetres", Serves(landed_before=CHANGE)), reader("metres", Serves(landed_from=CHANGE)))


def at(platform: Platform, key: str, moment: datetime) -> None:
    """Let a landed file have landed then."""
    os.utime(platform.landing.root / key, (moment.timestamp(), moment.timestamp()))  # type: ignore[attr-defined]


def readers_of(platform: Platform, table: str = "files") -> dict[str, str | None]:
    return dict(rows_of(platform, f"SELECT key, reader FROM operations.{table} ORDER BY key"))  # type: ignore[arg-type]


def test_by_date_old_deliveries_stay_readable_when_the_format_changes(platform: Platform, put: Put) -> None:
    put("toy/old", toy(1, 2))
    put("toy/bad_old", toy(1, 2000))
    for key in ("toy/old", "toy/bad_old"):
        at(platform, key, datetime(2026, 2, 28, 23, 59, tzinfo=UTC))
    old = next_batch(platform, ONE)
    run(platform, old, source=ONE)
    assert states(platform) == {"toy/bad_old": "quarantined", "toy/old": "committed"}

    put("toy/new", toy(0.003))
    at(platform, "toy/new", CHANGE)
    report = look_and_run(platform, "run-2", BY_DATE)
    assert report.readers == {"metres": 1}
    assert visible(platform) == {"toy/new": [3.0], "toy/old": [1.0, 2.0]}

    again = run(platform, old, "run-3", BY_DATE)
    assert again.readers == {"millimetres": 2}, "materializing the old batch again reads it as it was meant"
    assert visible(platform) == {"toy/new": [3.0], "toy/old": [1.0, 2.0]}
    assert replay(platform.ledger, RefusedFilter(source="toy"))
    assert look_and_run(platform, "run-4", BY_DATE).readers == {"millimetres": 1}, "so does replaying"
    assert readers_of(platform) == {"toy/bad_old": "millimetres", "toy/new": "metres", "toy/old": "millimetres"}
    assert readers_of(platform, "quarantine") == {"toy/bad_old": "millimetres"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (Serves(keys=("toy/v1/*", "toy/legacy/*")), Serves(keys=("toy/v2/*",))),
        (Serves(keys=("toy/v1/*",)), Serves()),
        (Serves(), Serves(content=is_schema_2)),
    ],
    ids=["by key", "by key, else", "by schema"],
)
def test_by_key_or_by_schema(platform: Platform, put: Put, old: Serves, new: Serves) -> None:
    put("toy/v1/a/b", toy(1))
    put("toy/v2/a/b", "toy # schema 2\n0.002\n")
    versions = [reader("millimetres", old), reader("metres", new)]
    declared = source(*(reversed(versions) if new.content else versions))
    assert look_and_run(platform, source=declared).readers == {"metres": 1, "millimetres": 1}
    assert visible(platform) == {"toy/v1/a/b": [1.0], "toy/v2/a/b": [2.0]}


def test_a_file_that_no_version_serves_is_refused_and_says_why(platform: Platform, put: Put) -> None:
    put("toy/a", toy(1))
    at(platform, "toy/a", datetime(2026, 3, 2, 8, 30, tzinfo=UTC))
    only_old = source(
        reader("millimetres", Serves(landed_before=CHANGE)), reader("metres", Serves(keys=("toy/v2/*", "toy/v3/*")))
    )
    report = look_and_run(platform, source=only_old)
    (refused,) = report.refused
    assert refused.refusal.error_class == "no_reader_version"
    assert refused.refusal.message == (
        "this is a toy CSV file, but no version of its reader serves toy/a (landed 2026-03-02 08:30 UTC): millimetres "
        "serves landed before 2026-03-01 00:00 UTC; metres serves keys like toy/v2/* or toy/v3/*. Land it where one "
        "does; or let one serve it (`serves` in the declaration of source toy), and replay the file."
    )
    assert report.readers == {}
    assert replay(platform.ledger, RefusedFilter(error_class="no_reader_version"))
    assert look_and_run(platform, "run-2", ONE).readers == {"millimetres": 1}
    assert visible(platform) == {"toy/a": [1.0]}


def test_the_reader_is_told_in_metadata_and_by_the_command_line(
    platform: Platform, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("toy/v1/a", toy(1))
    put("toy/v2/bad", toy("bad"))
    declared = source(reader("millimetres", Serves(keys=("toy/v1/*",))), reader("metres", Serves(keys=("toy/v2/*",))))
    report = look_and_run(platform, source=declared)
    shown = batch_metadata(declared, report, declared.tables[0], is_checked=True)
    assert shown["files by reader"] == "metres 1, millimetres 1"
    monkeypatch.setenv("STRANDLINE_HOME", str(platform.settings.home))
    assert "read by millimetres" in strandline("explain", "toy/v1/a")
    assert json.loads(strandline("explain", "toy/v1/a", "--json"))[0]["reader"] == "millimetres"
    assert "reader metres" in strandline("quarantine", "show", "toy/v2/bad")


def strandline(*arguments: str) -> str:
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False).output


def test_rows_that_stay_because_their_file_is_gone_keep_their_reader(platform: Platform, put: Put) -> None:
    put("toy/a", toy(1))
    batch = next_batch(platform, ONE)
    run(platform, batch, source=ONE)
    (platform.landing.root / "toy/a").unlink()  # type: ignore[attr-defined]
    run(platform, batch, "run-2", ONE)
    assert readers_of(platform) == {"toy/a": "millimetres"}


def test_a_file_in_a_notebook_has_the_time_of_its_folder_or_none(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text(toy(1))
    assert reader_for(BY_DATE, LandedFile.at(path)).name == "metres"
    os.utime(path, (CHANGE.timestamp() - 1,) * 2)
    assert reader_for(BY_DATE, LandedFile.at(path)).name == "millimetres"
    assert reader_for(BY_DATE, LandedFile("toy/a", data=b"toy\n1")).name == "metres", "not landed: as if landing now"


def test_declarations_that_cannot_be_meant_are_refused() -> None:
    with pytest.raises(ValueError, match=r"give a tuple of patterns: \('toy/\*',\)"):
        Serves(keys="toy/*")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="give the time zone"):
        Serves(landed_before=datetime(2026, 3, 1))
    with pytest.raises(ValueError, match="would serve no file"):
        Serves(landed_from=CHANGE, landed_before=CHANGE)
    with pytest.raises(ValueError, match="readers need names of their own"):
        source(*[reader("metres", Serves())] * 2)
