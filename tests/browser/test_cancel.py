"""A person cancels a run in the UI while it reads. No browser: the UI's own GraphQL calls."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from sqlalchemy import select

from pipeline_assets.ecg.examples import matlab5, synthetic_ecg
from resources.lake.sql import list_tables, run_query
from resources.ledger.queries import count_by_state, list_files
from resources.ledger.tables import batches, leases
from tests.browser.dev_server import DevServer
from tests.crash.sessions import wait_until

FILES, REPEATS = 8, 250
"""Eight recordings of forty minutes: read in some ten seconds, one after the other."""
SAMPLES = 3600 * REPEATS

TERMINATE = """mutation Terminate($run: String!) {
  terminateRun(runId: $run, terminatePolicy: SAFE_TERMINATE) { __typename ... on TerminateRunFailure { message } }
}"""
STATUS = "query Status($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"


def land_long_recordings(server: DevServer, folder: Path) -> None:
    folder.mkdir()
    rng = np.random.default_rng(5)
    for number in range(FILES):
        counts, _ = synthetic_ecg(rng)
        (folder / f"long_{number}.mat").write_bytes(matlab5(np.tile(counts, REPEATS)))
    server.strandline("land", "ecg", str(folder))


def test_a_cancelled_run_frees_its_files_as_held(tmp_path: Path) -> None:
    settings = {"STRANDLINE_WORKERS": "1", "STRANDLINE_ECG_SAMPLES": str(SAMPLES)}
    server = DevServer(tmp_path / "home", **settings)
    land_long_recordings(server, tmp_path / "long")
    with server:
        ledger = server.platform.ledger
        wait_until(lambda: count_by_state(ledger) == {"running": FILES}, 60, f"a run claims them; see {server.log}")
        wait_until(lambda: len(server.readers()) >= 2, 30, "readers are at work")
        file = list_files(ledger)[0]
        batch_id, run_id = file.batch_id, file.run_id
        time.sleep(1.0)  # into the reading

        assert server.graphql(TERMINATE, run=run_id)["terminateRun"] == {"__typename": "TerminateRunSuccess"}

        wait_until(lambda: count_by_state(ledger) == {"held": FILES}, 30, "its files are held")
        wait_until(lambda: status(server, run_id) == "CANCELED", 30, "the run is cancelled")
        wait_until(lambda: not server.readers(), 10, "its readers and their fork server are gone")
        with ledger.read() as connection:
            (batch,) = connection.execute(select(batches)).all()
            assert not connection.execute(select(leases)).all()
        assert (batch.state, batch.run_id) == ("held", run_id)
        assert "canceled by a person" in batch.error
        assert "ecg.samples" not in list_tables(ledger)

        server.strandline("release", batch_id)

        wait_until(lambda: count_by_state(ledger) == {"committed": FILES}, 90, f"a new run does it; see {server.log}")
        query = "SELECT count(*), count(DISTINCT file_id), count(DISTINCT (file_id, sample)) FROM ecg.samples"
        (row,) = run_query(server.platform.lake, ledger, query).to_pylist()
        assert list(row.values()) == [FILES * SAMPLES, FILES, FILES * SAMPLES]
        again = list_files(ledger)[0].run_id
        wait_until(lambda: status(server, again) == "SUCCESS", 30, "the new run ends")
        assert again != run_id
        server.interrupt()


def status(server: DevServer, run_id: str) -> str:
    return server.graphql(STATUS, run=run_id)["runOrError"]["status"]
