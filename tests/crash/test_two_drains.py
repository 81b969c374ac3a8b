"""Drains beside each other, and drains that are asked to stop."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path

from sqlalchemy import select

from resources.ledger.queries import count_by_state
from resources.ledger.tables import batches, leases
from tests.crash.conftest import FRESH, examples
from tests.crash.deployment import KILLED, NOTHING_LEFT_TO_DO, ORPHAN_SECONDS, SOME_REFUSED, Deployment
from tests.crash.die_at import READ_SLOWLY
from tests.crash.sessions import assert_session_ends, end_session, wait_until
from tests.crash.slow_reading import BEGUN
from tests.crash.warm_client import Warm


def test_two_drains_at_once(tmp_path: Path, warm: Warm) -> None:
    """The real command, with work for both, on a home where another was killed before its first batch was published."""
    deployment = Deployment(tmp_path, warm, {"STRANDLINE_BATCH_MAX_FILES": "20"})
    deployment.land(examples(tmp_path / "examples", seed=2, good=60))
    assert deployment.finish(deployment.start_cold("after_table_commits")) == KILLED, deployment.log()
    assert deployment.visible() == set()
    drains = [deployment.start_cold(), deployment.start_cold()]
    try:
        codes = [deployment.finish(drain) for drain in drains]
    finally:
        for drain in drains:
            end_session(drain.pid)
    assert set(codes) <= {NOTHING_LEFT_TO_DO, SOME_REFUSED}, deployment.log()
    deployment.assert_done()
    with deployment.platform() as platform, platform.ledger.read() as connection:
        done = connection.execute(select(batches.c.attempt, batches.c.run_id)).all()
    assert len(done) >= 4
    assert sorted(row.attempt for row in done) == [*[1] * (len(done) - 1), 2], "a batch was run without need"
    assert len({row.run_id for row in done}) == len(done)


def test_asked_to_stop_while_reading(deployment: Deployment, tmp_path: Path) -> None:
    """SIGTERM, as from a service manager: everything begun is given back."""
    deployment.put_back(FRESH)
    begun = tmp_path / "begun"
    deployment.environment = {BEGUN: str(begun)}
    drain = deployment.start(READ_SLOWLY)
    deployment.environment = {}
    try:
        wait_until(begun.exists, 30, f"a reader begins; output of the drain:\n{deployment.log()}")
        assert deployment.readers(drain) >= 2
        os.kill(drain.pid, signal.SIGTERM)
        stopped = time.monotonic()
        wait_until(lambda: drain.poll() is not None, 10, "the drain ends after SIGTERM")
        assert_session_ends(drain.pid, ORPHAN_SECONDS)
        print(f"ended {time.monotonic() - stopped:.2f} s after SIGTERM with exit code {drain.poll()}")
    finally:
        end_session(drain.pid)
    assert drain.poll() not in {NOTHING_LEFT_TO_DO, SOME_REFUSED}
    assert deployment.visible() == set()
    with deployment.platform() as platform, platform.ledger.read() as connection:
        states = Counter(connection.scalars(select(batches.c.state)))
        held = connection.execute(select(leases)).all()
        assert count_by_state(platform.ledger) == {"pending": 29}
    assert (states, held) == ({"planned": 1}, [])
    assert deployment.drain() == SOME_REFUSED, deployment.log()
    deployment.assert_done()
