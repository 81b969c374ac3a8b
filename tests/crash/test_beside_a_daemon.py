"""Two drains and a daemon with its sensors, all at work on one home while files land and are overwritten."""

from __future__ import annotations

import subprocess
from pathlib import Path

from sqlalchemy import func, select

from resources.ledger.queries import count_by_state
from resources.ledger.tables import batches, files, publications
from tests.browser.dev_server import DevServer
from tests.crash.conftest import examples
from tests.crash.deployment import NOTHING_LEFT_TO_DO, SOME_REFUSED, Deployment
from tests.crash.sessions import end_session, wait_until
from tests.crash.warm_client import Warm

MOST_SECONDS = 120.0
SETTINGS = {"STRANDLINE_BATCH_MAX_FILES": "10", "STRANDLINE_COMPANION_WAIT_SECONDS": "3600"}


def test_two_drains_and_a_daemon_at_once(tmp_path: Path, warm: Warm) -> None:
    deployment = Deployment(tmp_path, warm, SETTINGS)
    first = examples(tmp_path / "first", seed=4, good=10)
    second = examples(tmp_path / "second", seed=5, good=10)
    drains: list[subprocess.Popen[bytes]] = []
    with DevServer(deployment.home, **SETTINGS):
        try:
            for contents in (first, {key: second[key] for key in second if "/rec_" in key or "/wfdb/" in key}):
                deployment.land(contents)
                drains = [deployment.start_cold(), deployment.start_cold()]
                codes = [deployment.finish(drain, MOST_SECONDS) for drain in drains]
                assert set(codes) <= {NOTHING_LEFT_TO_DO, SOME_REFUSED}, deployment.log()
            wait_until(lambda: is_settled(deployment), MOST_SECONDS, "the sensor's runs end")
        finally:
            for drain in drains:
                end_session(drain.pid)
    deployment.assert_done()
    with deployment.platform() as platform, platform.ledger.read() as connection:
        # Aggregates are published without a batch.
        published = connection.scalars(select(publications.c.batch_id).where(publications.c.batch_id != "")).all()
        done = connection.execute(select(batches.c.batch_id, batches.c.attempt)).all()
        known = connection.scalar(select(func.count()).select_from(files))
    assert known == len(first) + sum("/rec_" in key or "/wfdb/" in key for key in second)
    assert sorted(published) == sorted(row.batch_id for row in done), "a batch was published twice, or never"
    assert {row.attempt for row in done} == {1}


def is_settled(deployment: Deployment) -> bool:
    with deployment.platform() as platform:
        return not set(count_by_state(platform.ledger)) & {"pending", "running", "waiting"}
