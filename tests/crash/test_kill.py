"""`kill -9` of a drain: no process stays, nothing is half visible, the next drain takes over at once, and what landed,
what the ledger says and what the tables hold are the same."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

from tests.crash.conftest import FRESH, SECOND
from tests.crash.deployment import KILLED, NOTHING_LEFT_TO_DO, SOME_REFUSED, Deployment
from tests.crash.die_at import EVENTS, NOWHERE, POINTS, READ_SLOWLY
from tests.crash.sessions import processes_of

KILLS = int(os.environ.get("STRANDLINE_TEST_KILLS", "4"))
KILLS_IN_A_ROW = 4
UNTIL_PUBLISHED = 0.7
"""of a drain's time; what is left goes to the picture, the checks and Dagster's events"""


def keys_with_rows(deployment: Deployment) -> frozenset[str]:
    return frozenset(deployment.versions[file_id].key for file_id in deployment.visible())


WHILE_REPLACING = {
    "before_reading": ("after_discovery", "after_claim", "after_claim_in_run"),
    "reading": ("while_reading", "before_first_commit"),
    "between_tables": ("in_second_commit", "between_table_commits", "before_tables_move"),
    "at_the_end": ("after_table_commits", "in_publish"),
    "published": ("after_publish",),
}


WHILE_UPDATING_AGGREGATES = (
    "in_aggregate",
    "before_aggregate_commit",
    "after_aggregate_commit",
    "in_aggregate_publish",
    "after_aggregate_publish",
)


WHILE_TELLING_DAGSTER = tuple(f"at_{kind.lower()}" for kind in EVENTS)
"""`tests.crash.long` dies at each of them."""


AT_THE_FIRST_BATCH = ("in_dagster_setup", "in_second_commit", "between_table_commits", "in_publish")


def test_every_point_is_tried() -> None:
    tried = {point for points in WHILE_REPLACING.values() for point in points}
    tried |= {*WHILE_UPDATING_AGGREGATES, *WHILE_TELLING_DAGSTER, *AT_THE_FIRST_BATCH}
    assert tried == set(POINTS) - {NOWHERE, READ_SLOWLY}


@pytest.mark.parametrize("points", WHILE_REPLACING.values(), ids=WHILE_REPLACING)
def test_killed_while_replacing(deployment: Deployment, points: tuple[str, ...]) -> None:
    """Some keys have new bytes, good or bad, some are new. Until the new rows are there the old ones are.

    Each drain takes over from the dead one before it, and dies later than that, or at the same stage.
    """
    deployment.put_back(SECOND)
    had = deployment.visible()
    keys = keys_with_rows(deployment)
    for point in points:
        assert deployment.drain(point) == KILLED, deployment.log()
        now = deployment.visible(never_without=keys)
        assert (now == had) == (point != "after_publish")
    code = deployment.drain()
    assert code == (NOTHING_LEFT_TO_DO if points[-1] == "after_publish" else SOME_REFUSED), deployment.log()
    deployment.assert_done()
    assert keys <= keys_with_rows(deployment)


def test_killed_while_updating_aggregates(deployment: Deployment) -> None:
    """The batches are done; readers see the aggregates whole, as they were or as they must be."""
    deployment.put_back(SECOND)
    before = deployment.summary()
    assert before
    for point in WHILE_UPDATING_AGGREGATES:
        assert deployment.drain(point) == KILLED, deployment.log()
        shown, counted = deployment.summary(), deployment.counted_summary()
        assert before != counted
        assert shown == (counted if point == "after_aggregate_publish" else before)
    assert deployment.drain() == NOTHING_LEFT_TO_DO, deployment.log()
    deployment.assert_done()


@pytest.mark.parametrize("point", ["at_step_start", "at_pipeline_success"])
def test_killed_while_dagster_is_told(deployment: Deployment, point: str) -> None:
    """What Dagster never hears of has happened all the same, or has not, as a whole."""
    deployment.put_back(SECOND)
    keys = keys_with_rows(deployment)
    assert deployment.drain(point) == KILLED, deployment.log()
    deployment.visible(never_without=keys)
    assert deployment.drain() in {NOTHING_LEFT_TO_DO, SOME_REFUSED}, deployment.log()
    deployment.assert_done()


def test_killed_at_the_very_first_batch(deployment: Deployment) -> None:
    """No table has a published snapshot to be set back to, and each drain has the last one's debris to clear."""
    deployment.put_back(FRESH)
    for point in AT_THE_FIRST_BATCH:
        assert deployment.drain(point) == KILLED, deployment.log()
        assert deployment.visible() == set()
    assert deployment.drain() == SOME_REFUSED, deployment.log()
    deployment.assert_done()


def test_killed_at_any_moment(deployment: Deployment) -> None:
    """STRANDLINE_TEST_KILLS says how often, STRANDLINE_TEST_SEED where to begin."""
    seed = int(os.environ.get("STRANDLINE_TEST_SEED", "0"))
    moments = random.Random(seed)
    deployment.put_back(SECOND)
    keys = keys_with_rows(deployment)
    kills_since = 0
    for kill in range(KILLS):
        drain = deployment.start()
        wait = moments.uniform(0.0, UNTIL_PUBLISHED * deployment.fastest)
        time.sleep(wait)
        processes = len(processes_of(drain.pid))
        if drain.poll() is None:
            os.kill(drain.pid, signal.SIGKILL)
        code = deployment.finish(drain)
        assert code in {KILLED, NOTHING_LEFT_TO_DO, SOME_REFUSED}, deployment.log()
        print(f"seed {seed}, kill {kill}: after {wait:.2f} s, with {processes} processes, ended with {code}")
        deployment.visible(never_without=keys)
        kills_since = kills_since + 1 if code == KILLED else 0
        if kills_since in {0, KILLS_IN_A_ROW} or kill == KILLS - 1:
            if code == KILLED:
                assert deployment.drain() in {NOTHING_LEFT_TO_DO, SOME_REFUSED}, deployment.log()
            deployment.assert_done()
            deployment.put_back(SECOND)
            kills_since = 0
