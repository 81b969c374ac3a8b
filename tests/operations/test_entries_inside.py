"""The entries of docs/operations.md under "When something is wrong" that are about files, runs, schemas and versions."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta

import dagster as dg
import numpy as np
import pandera.pandas as pa
import pytest
from pandera.typing import Series
from sqlalchemy import update

from pipeline_assets.definitions import Overrides, build_defs
from pipeline_assets.source import NoConfig
from resources.lake.lake import SchemaConflict
from resources.ledger.batches import claim
from resources.ledger.database import HEAD, Ledger, upgrade, utc_now
from resources.ledger.tables import files
from resources.platform import Platform
from sensors.looking import look_for_arrivals
from tests.conftest import Put
from tests.crash.sessions import end_session, own_environment
from tests.operations.page import saw, walks
from tests.operations.shell import Shell, agrees
from tests.operations.test_commands import ROOT
from tests.running import next_batch, run, toy
from tests.test_dagster_runs import Dagster
from tests.toy_source import TOY, Files, Readings


@walks("A file is not taken")
def test_a_file_is_not_taken(drained_shell: Shell) -> None:
    (drained_shell.home / "landing/toy/link.csv").symlink_to(drained_shell.home / "landing/toy/0.csv")
    told = drained_shell("drain", code=3)
    saw("A file is not taken", told)
    assert "link.csv" not in drained_shell("files", code=0)
    (drained_shell.home / "landing/toy/link.csv").unlink()
    drained_shell("drain", code=0)


@walks("A run is stuck, or dead")
def test_a_run_says_nothing_any_more(shell: Shell) -> None:
    shell.put("toy/1.csv", toy(1))
    batch = next_batch(shell.platform)
    claim(shell.platform.ledger, batch.batch_id, "silent-run", 0.2)
    assert "running" in shell("files", "--state", "running")
    time.sleep(0.3)
    shell("drain", code=0)
    saw("A run is stuck, or dead", shell("explain", "toy/1.csv"))
    agrees(shell)


@walks("A reader crashes, hangs or starves")
def test_a_reader_crashes_hangs_or_starves(shell: Shell) -> None:
    shell.environment |= {"STRANDLINE_FILE_TIMEOUT_SECONDS": "1.5"}
    for command in ("crash", "hang", "hog"):
        shell.put(f"toy/{command}.csv", toy(command))
    for number in range(5):
        shell.put(f"toy/{number}.csv", toy(number))
    assert "5 committed, 3 quarantined" in shell("drain", code=3)
    told = "".join(shell("quarantine", "show", f"toy/{command}.csv") for command in ("crash", "hang", "hog"))
    saw("A reader crashes, hangs or starves", told)
    for command in ("crash", "hang", "hog"):
        shell.put(f"toy/{command}.csv", toy(1))
    shell("drain", code=0)


@walks("Files stop coming")
def test_files_stop_coming(drained_shell: Shell, ephemeral: dg.DagsterInstance) -> None:
    source = dataclasses.replace(TOY, expect_every=timedelta(hours=1))
    defs = build_defs(Overrides(sources=(source,), platform=drained_shell.platform))

    def tick() -> dg.AssetCheckEvaluation:
        context = dg.build_sensor_context(instance=ephemeral, resources={"platform": drained_shell.platform})
        (event,) = defs.resolve_sensor_def("toy_freshness")(context).asset_events  # type: ignore[union-attr]
        return event

    assert tick().passed
    with drained_shell.platform.ledger.write() as connection:
        connection.execute(update(files).values(seen_at=utc_now() - timedelta(hours=3)))
    late = tick()
    assert not late.passed
    saw("Files stop coming", late.description)
    drained_shell.put("toy/new.csv", toy(1))
    look_for_arrivals(drained_shell.platform, TOY)
    assert tick().passed


@walks("Too many runs wait")
def test_not_more_than_one_batch_waits(platform: Platform, put: Put, ephemeral: dg.DagsterInstance) -> None:
    from dagster._core.test_utils import create_run_for_test

    dagster = Dagster(platform, ephemeral)
    put("toy/first.csv", toy(1))
    (request,) = dagster.tick()
    create_run_for_test(ephemeral, "toy_ingest", tags=dict(request.tags))
    for number in range(20):
        put(f"toy/{number}.csv", toy(number))
        assert dagster.tick() == []
    saw("Too many runs wait", dagster.skipped.skip_message)
    assert dagster.execute_request(request).success
    (following,) = dagster.tick()
    assert dagster.execute_request(following).success
    assert dagster.tick() == []
    assert [rows for _, rows in dagster.materialized(dg.AssetKey(["toy", "files"]))] == [1, 20]


@walks("After a kill or a power cut")
def test_after_a_kill(shell: Shell) -> None:
    for number in range(30):
        shell.put(f"toy/{number}.csv", toy(number))
    environment = {**own_environment(), "STRANDLINE_HOME": str(shell.home), "STRANDLINE_SETTLE_SECONDS": "0.05"}
    drain = subprocess.Popen(
        [sys.executable, "-m", "tests.toy_cli", "drain"], cwd=ROOT, env=environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while "running" not in shell("reconcile", "--check"):
            assert drain.poll() is None, "it was done before it could be killed"
        os.kill(drain.pid, signal.SIGKILL)
        drain.wait(10)
    finally:
        end_session(drain.pid)
    told = shell("reconcile", "--check", code=3)
    assert "30 files are not done yet" in told
    saw("After a kill or a power cut", told)
    shell("drain", code=0)
    assert "30 committed" in agrees(shell)


class Changed(pa.DataFrameModel):
    """Readings whose value is a text now."""

    n: Series[np.int32] = pa.Field(description="number of the reading in its file")
    value: Series[str] = pa.Field(description="reading")

    class Config:
        strict = True


@walks("A table cannot take the new schema")
def test_a_table_cannot_take_the_new_schema(drained_shell: Shell) -> None:
    def derive(values: list[float], config: NoConfig) -> dict[str, object]:
        rows = {"n": np.arange(len(values), dtype=np.int32), "value": [str(value) for value in values]}
        return {"readings": rows, "files": {"readings": np.array([len(values)], dtype=np.int32)}}

    readings, of_files = TOY.tables
    tables = (dataclasses.replace(readings, schema=Changed), of_files)
    changed = dataclasses.replace(TOY, tables=tables, derive=derive, aggregates=())
    assert (readings.schema, of_files.schema) == (Readings, Files)
    drained_shell.put("toy/new.csv", toy(1))
    batch = next_batch(drained_shell.platform, changed)
    with pytest.raises(SchemaConflict):
        run(drained_shell.platform, batch, source=changed)
    saw("A table cannot take the new schema", drained_shell("explain", "toy/new.csv"))
    assert batch.batch_id in drained_shell("status", code=3)
    drained_shell("redo", batch.batch_id, code=0)
    drained_shell("drain", code=0)
    agrees(drained_shell)


@walks("After an upgrade")
def test_after_an_upgrade(shell: Shell) -> None:
    shell.home.mkdir()
    old = Ledger(f"sqlite:///{shell.home / 'ledger.db'}")
    old.close()
    from sqlalchemy import create_engine

    engine = create_engine(f"sqlite:///{shell.home / 'ledger.db'}")
    with engine.begin() as connection:
        upgrade(connection, "0002")
    engine.dispose()
    shell.put("toy/1.csv", toy(1))
    shell("drain", code=0)
    saw("After an upgrade", agrees(shell))
    with shell.platform.ledger.read() as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == HEAD
    with shell.platform.ledger.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    shell.platform.close()
    told = shell("files")
    assert (shell.code != 0, "9999" in told) == (True, True), told
