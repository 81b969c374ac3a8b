"""Tables archived under a number, and archived rows put back: in one moment, and so that all adds up afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.main import main
from pipeline_assets import registry
from pipeline_assets.operations import archiving
from pipeline_assets.operations.archiving import CannotArchive, archive_tables, restore_tables
from pipeline_assets.operations.backup import back_up
from pipeline_assets.operations.balance import balance
from pipeline_assets.operations.erasure import forget
from pipeline_assets.operations.maintain import maintain
from pipeline_assets.operations.reconcile import reconcile
from resources.lake.archive import NoSuchArchive, archives
from resources.ledger.queries import list_files
from resources.platform import Platform
from tests.conftest import Put
from tests.erasure.traces import traces
from tests.running import look_and_run, rows_of, states, toy, visible
from tests.toy_datasets import MANY, content
from tests.toy_source import TOY

WALKS = "SELECT value FROM many.walk_0 UNION ALL SELECT value FROM many.walk_1 ORDER BY ALL"


def walks(platform: Platform) -> list[float]:
    return [value for (value,) in rows_of(platform, WALKS)]


@pytest.fixture
def archived(platform: Platform, put: Put) -> Platform:
    """Two files, an archive of their walks; then one of them has other walks, and a third file came."""
    put("many/a", content(walk_0=[1, 2], sleep_3=[3]))
    put("many/b", content(walk_1=[4]))
    look_and_run(platform, source=MANY)
    taken = archive_tables(platform, MANY, "Walk")
    assert (taken.label, sum(taken.rows.values()), len(taken.rows)) == ("Walk_1", 3, 12)
    return platform


def test_archived_rows_come_back_and_what_landed_since_is_read_again(archived: Platform, put: Put) -> None:
    with archived.ledger.write() as connection:
        connection.exec_driver_sql("UPDATE files SET state = 'pending', batch_id = NULL WHERE key = 'many/a'")
    put("many/c", content(walk_0=[7], sleep_3=[8]))
    look_and_run(archived, "run-2", MANY)
    assert walks(archived) == [1, 2, 4, 7]

    done = restore_tables(archived, MANY, "Walk_1")
    assert {name: rows for name, rows in done.rows.items() if rows} == {"walk_0": 2, "walk_1": 1}
    assert walks(archived) == [1, 2, 4]
    assert states(archived)["many/c"] == "pending"
    assert rows_of(archived, "SELECT value FROM many.sleep_3 ORDER BY 1") == [(3,), (8,)]
    look_and_run(archived, "run-3", MANY)
    assert walks(archived) == [1, 2, 4, 7]
    assert rows_of(archived, "SELECT value FROM many.sleep_3 ORDER BY 1") == [(3,), (8,)]
    assert balance(archived, MANY).balanced
    assert reconcile(archived, MANY).balanced


def test_rows_of_a_file_that_is_overwritten_since_do_not_come_back(archived: Platform, put: Put) -> None:
    put("many/a", content(walk_0=[9]))
    look_and_run(archived, "run-2", MANY)
    assert walks(archived) == [4, 9]
    restore_tables(archived, MANY, "Walk_1")
    assert walks(archived) == [4], "the older bytes' rows are archived, but the key has other bytes now"
    look_and_run(archived, "run-3", MANY)
    assert walks(archived) == [4, 9]
    assert balance(archived, MANY).balanced


def test_a_file_that_is_read_again_just_now_keeps_what_it_had(archived: Platform, put: Put) -> None:
    with archived.ledger.write() as connection:
        connection.exec_driver_sql("UPDATE files SET state = 'running' WHERE key = 'many/a'")
    restore_tables(archived, MANY, "Walk_1")
    assert walks(archived) == [1, 2, 4]
    with archived.ledger.write() as connection:
        connection.exec_driver_sql("UPDATE files SET state = 'committed'")
    assert balance(archived, MANY).balanced


def test_a_file_without_rows_in_a_restored_table_still_adds_up(platform: Platform, put: Put) -> None:
    put("toy/none", toy())
    put("toy/two", toy(1, 2))
    look_and_run(platform, source=TOY)
    archive_tables(platform, TOY, "readings")
    restore_tables(platform, TOY, "readings_1")
    assert visible(platform) == {"toy/none": [], "toy/two": [1, 2]}
    assert balance(platform, TOY).balanced


def test_killed_before_the_ledger_has_it_a_restore_has_not_happened(
    archived: Platform, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("many/c", content(walk_0=[7]))
    look_and_run(archived, "run-2", MANY)

    def die(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(archiving, "publish_restored", die)
        with pytest.raises(KeyboardInterrupt):
            restore_tables(archived, MANY, "Walk_1")
    assert walks(archived) == [1, 2, 4, 7]
    put("many/d", content(walk_0=[8]))
    look_and_run(archived, "run-3", MANY)
    assert walks(archived) == [1, 2, 4, 7, 8]
    assert balance(archived, MANY).balanced


def test_numbers_go_on_and_maintenance_leaves_archives(archived: Platform, put: Put) -> None:
    for number in range(6):
        put(f"many/{number}", content(walk_0=[10 + number]))
        look_and_run(archived, f"run-{number + 2}", MANY)
    second = archive_tables(archived, MANY, "Walk")
    third = archive_tables(archived, MANY, "walk_1")
    assert [one.label for one in archives(archived.lake, "many")] == ["Walk_1", "Walk_2", "walk_1_1"]
    assert (sum(second.rows.values()), dict(third.rows)) == (9, {"walk_1": 1})
    maintain(archived, MANY, "maintenance")
    restore_tables(archived, MANY, "Walk_2")
    assert len(walks(archived)) == 9
    restore_tables(archived, MANY, "Walk_1")
    assert walks(archived) == [1, 2, 4]


def test_forgetting_reaches_archives(archived: Platform, put: Put) -> None:
    put("many/secret", content(walk_0=[721.46875]))
    look_and_run(archived, "run-2", MANY)
    archive_tables(archived, MANY, "Walk")
    (file_id,) = [row.file_id for row in list_files(archived.ledger) if row.key == "many/secret"]
    assert any("archive" in place for place in traces(archived.settings.home, [], [721.46875]))
    forget(archived, MANY, [file_id], lambda text: None, lambda runs: None)
    assert [place for place in traces(archived.settings.home, [], [721.46875]) if "landing" not in place] == []
    kept = archives(archived.lake, "many")[1]
    assert sum(kept.rows.values()) == 3
    restore_tables(archived, MANY, "Walk_2")
    assert walks(archived) == [1, 2, 4]


def test_a_backup_has_the_archives(archived: Platform, tmp_path: Path) -> None:
    back_up(archived, (MANY,), tmp_path / "backup")
    copied = sorted(path.name for path in (tmp_path / "backup/lake/archive").rglob("*.*"))
    assert copied == ["000000.parquet", "000000.parquet", "archive.json"]


# --- through the command


@pytest.fixture
def strandline(archived: Platform, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setenv("STRANDLINE_HOME", str(archived.settings.home))
    monkeypatch.setattr(registry.get_source, "__defaults__", ((MANY,),))

    def run(*arguments: str, code: int = 0, **options: Any) -> str:
        archived.close()
        done = CliRunner().invoke(main, arguments, **options)
        assert done.exit_code == code, (done.output, done.exception)
        return done.output

    return run


def test_the_command_archives_lists_and_restores(archived: Platform, strandline: Callable[..., Any], put: Put) -> None:
    assert strandline("table", "archive", "many.sleep_3").startswith("many.sleep_3_1: 1 rows of 1 tables, taken 20")
    listed = strandline("table", "archives", "many").splitlines()
    assert [line.split(":")[0] for line in listed] == ["many.Walk_1", "many.sleep_3_1"]
    put("many/c", content(walk_0=[7]))
    look_and_run(archived, "run-2", MANY)
    strandline("table", "restore", "many.Walk_1", code=1, input="n\n")
    assert walks(archived) == [1, 2, 4, 7]
    said = strandline("table", "restore", "many.Walk_1", "--yes", code=3)
    assert "many.Walk_1: 3 rows are back in 12 tables\n1 files landed since and are to be read again" in said
    assert json.loads(strandline("table", "restore", "many.Walk_1", "--yes", "--json"))["read_again"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("archive", "many.nosuch"),
            "many shows no table or dataset 'nosuch'. There are: Walk, Sleep, Speech, documents",
        ),
        (("archive", "many"), "'many': expected SOURCE.NAME"),
        (("restore", "many.Walk_7", "--yes"), "There is no archive 'Walk_7' of many. Archives: Walk_1"),
    ],
)
def test_what_cannot_be_archived_is_told(
    strandline: Callable[..., Any], arguments: tuple[str, ...], message: str
) -> None:
    assert message in strandline("table", *arguments, code=2)


def test_an_archive_whose_columns_have_become_others_is_not_restored(archived: Platform) -> None:
    import pyarrow as pa

    from resources.lake.lake import TableName

    name = TableName("many", "walk_0")
    have = archived.lake.schema(name)
    assert have is not None
    changed = pa.schema([pa.field("value", pa.string()) if field.name == "value" else field for field in have])
    archived.lake.ensure(name, changed, is_rewritten=True)
    with pytest.raises(CannotArchive, match=r"columns of many\.walk_0 have become others since: value \(double, now"):
        restore_tables(archived, MANY, "Walk_1")
    with pytest.raises(NoSuchArchive):
        restore_tables(archived, MANY, "nosuch_1")
