"""Reconciling mends what differs between landing store, ledger and tables, and says what it cannot mend."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline_assets.batch_run import run_batch
from pipeline_assets.operations.reconcile import reconcile
from pipeline_assets.source import NoConfig
from resources.lake.lake import UnknownRows
from resources.lake.sql import run_query
from resources.ledger.batches import BatchBusy, claim
from resources.ledger.planning import BatchLimits, plan
from resources.ledger.queries import count_by_state
from resources.platform import Platform
from sensors.looking import look_for_arrivals
from tests.conftest import Put
from tests.running import next_batch, run
from tests.toy_source import TOY

QUERY = "SELECT source_key, value FROM toy.readings JOIN toy.files USING (file_id) ORDER BY ALL"


class Silent:
    def progress(self, *args: object) -> None: ...

    def say(self, message: str) -> None: ...


def drain(platform: Platform) -> None:
    look_for_arrivals(platform, TOY)
    number = 0
    while batch := plan(platform.ledger, "toy", BatchLimits(100, 1 << 20), flush=True):
        number += 1
        run_batch(
            platform,
            TOY,
            NoConfig(),
            batch.batch_id,
            f"run-{batch.batch_id}-{number}",
            Silent(),
            hold_when_stopped=lambda: True,
        )


def rows(platform: Platform) -> list[dict[str, object]]:
    return run_query(platform.lake, platform.ledger, QUERY).to_pylist()


@pytest.fixture
def drained(platform: Platform, put: Put) -> Platform:
    for number in range(6):
        put(f"toy/{number}.csv", f"toy\n{number}\n{number + 10}\n")
    put("toy/bad.csv", "toy\nnot a number\n")
    drain(platform)
    assert len(rows(platform)) == 12
    return platform


def test_a_sound_deployment_is_balanced(drained: Platform) -> None:
    findings = reconcile(drained, TOY)
    assert findings.balanced
    assert (findings.keys, findings.committed, findings.rows) == (7, 6, {"readings": 12, "files": 6})


def test_files_landed_unseen_are_found(drained: Platform, put: Put) -> None:
    put("toy/new.csv", "toy\n5\n")
    assert reconcile(drained, TOY).new_files == 1
    drain(drained)
    assert len(rows(drained)) == 13
    assert reconcile(drained, TOY).balanced


def test_a_lost_lake_is_rebuilt_from_the_landing_store(drained: Platform) -> None:
    before = rows(drained)
    drained.close()
    shutil.rmtree(drained.settings.lake_folder)
    findings = reconcile(drained, TOY)
    assert findings.lake_lost
    assert not findings.lost
    drain(drained)
    assert rows(drained) == before
    assert reconcile(drained, TOY).balanced


def test_a_lost_data_file_is_rebuilt(drained: Platform) -> None:
    before = rows(drained)
    next(drained.settings.lake_folder.glob("warehouse/toy/readings/data/**/*.parquet")).unlink()
    assert reconcile(drained, TOY).lake_lost
    drain(drained)
    assert rows(drained) == before


def test_tables_are_not_rebuilt_without_files_that_are_gone_unless_asked(drained: Platform) -> None:
    (drained.landing.root / "toy/0.csv").unlink()
    next(drained.settings.lake_folder.glob("warehouse/toy/files/data/**/*.parquet")).unlink()
    findings = reconcile(drained, TOY)
    assert (findings.lake_lost, len(findings.lost)) == (True, 1)
    assert count_by_state(drained.ledger) == {"committed": 6, "quarantined": 1}
    assert reconcile(drained, TOY, accept_loss=True).lake_lost
    drain(drained)
    assert count_by_state(drained.ledger) == {"committed": 5, "quarantined": 1, "deleted": 1}
    assert len(rows(drained)) == 10


def test_a_lost_ledger_is_rebuilt_from_lake_and_landing_store(drained: Platform, put: Put) -> None:
    before = rows(drained)
    ids = run_query(drained.lake, drained.ledger, "SELECT file_id FROM toy.files ORDER BY 1").to_pylist()
    (drained.landing.root / "toy/0.csv").unlink()
    drained.close()
    for path in drained.settings.home.glob("ledger.db*"):
        path.unlink()
    findings = reconcile(drained, TOY)
    assert (findings.adopted, findings.new_files, findings.committed) == (6, 1, 6)
    assert rows(drained) == before
    drain(drained)
    assert rows(drained) == before
    assert run_query(drained.lake, drained.ledger, "SELECT file_id FROM toy.files ORDER BY 1").to_pylist() == ids
    assert reconcile(drained, TOY).balanced
    put("toy/0.csv", "toy\n77\n")
    drain(drained)
    assert [row["value"] for row in rows(drained) if row["source_key"] == "toy/0.csv"] == [77.0]


def test_a_lost_ledger_that_sensors_have_begun_anew_is_rebuilt_all_the_same(drained: Platform, put: Put) -> None:
    """What lands before anyone notices comes after what the tables have, however early it was seen."""
    before = {row["source_key"] for row in rows(drained)}
    drained.close()
    for path in drained.settings.home.glob("ledger.db*"):
        path.unlink()
    put("toy/0.csv", "toy\n77\n")
    batch = next_batch(drained)
    with pytest.raises(UnknownRows):
        run(drained, batch)
    put("toy/new.csv", "toy\n78\n")
    look_for_arrivals(drained, TOY)
    findings = reconcile(drained, TOY)
    assert (findings.adopted, findings.committed) == (6, 6)
    drain(drained)
    values = {row["source_key"]: row["value"] for row in rows(drained)}
    assert values.keys() == before | {"toy/new.csv"}
    assert (values["toy/0.csv"], values["toy/new.csv"]) == (77.0, 78.0)
    assert reconcile(drained, TOY).balanced


def test_a_lost_ledger_is_not_rebuilt_under_a_run(drained: Platform) -> None:
    drained.close()
    for path in drained.settings.home.glob("ledger.db*"):
        path.unlink()
    batch = next_batch(drained)
    claim(drained.ledger, batch.batch_id, "run-live", 30)
    with pytest.raises(BatchBusy, match="Wait for it to end, or cancel it; then reconcile again"):
        reconcile(drained, TOY)


def test_rows_that_differ_from_the_ledger_are_read_again(drained: Platform) -> None:
    before = rows(drained)
    victim = run_query(drained.lake, drained.ledger, "SELECT file_id FROM operations.files WHERE key = 'toy/3.csv'")
    file_id = victim.to_pylist()[0]["file_id"]
    with drained.ledger.write() as connection:
        connection.exec_driver_sql(f"UPDATE file_rows SET rows = 99 WHERE file_id = '{file_id}'")
    findings = reconcile(drained, TOY)
    assert findings.read_again == [file_id]
    drain(drained)
    assert rows(drained) == before
    assert reconcile(drained, TOY).balanced


def test_rows_of_files_that_are_gone_are_reported_and_kept(drained: Platform) -> None:
    (drained.landing.root / "toy/3.csv").unlink()
    with drained.ledger.write() as connection:
        connection.exec_driver_sql(
            "UPDATE file_rows SET rows = 99 WHERE file_id = (SELECT file_id FROM files WHERE key = 'toy/3.csv')"
        )
    findings = reconcile(drained, TOY)
    assert len(findings.lost) == 1
    assert not findings.read_again
    assert len(rows(drained)) == 12


def test_rows_the_ledger_does_not_account_for_are_reported(drained: Platform) -> None:
    with drained.ledger.write() as connection:
        connection.exec_driver_sql("DELETE FROM file_rows WHERE table_name = 'files'")
        connection.exec_driver_sql("UPDATE files SET state = 'deleted' WHERE state = 'committed'")
    assert len(reconcile(drained, TOY).strange["files"]) == 6


def test_nothing_landed_is_balanced(platform: Platform, tmp_path: Path) -> None:
    assert reconcile(platform, TOY).balanced
