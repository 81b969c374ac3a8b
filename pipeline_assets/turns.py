"""The turn to commit to a source's tables, waited for and kept alive. No Dagster here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from pipeline_assets.heartbeat import Heartbeat
from resources.ledger.leases import Lease
from resources.ledger.publishing import end_commit_turn, take_commit_turn
from resources.platform import Platform

Say = Callable[[str], None]

_WAIT_SECONDS = 0.1


@contextmanager
def commit_turn(platform: Platform, source: str, owner: str, say: Say) -> Iterator[tuple[Lease, Heartbeat]]:
    """Ends with an exception; without one it is the caller's to end, for the ledger's transactions can do it."""
    seconds = platform.settings.lease_seconds
    turn = wait_for_lease(partial(take_commit_turn, platform.ledger, source, owner, seconds), say, source)
    with Heartbeat(platform.ledger, seconds) as heartbeat:
        heartbeat.keep(turn)
        try:
            yield turn, heartbeat
        except BaseException:
            heartbeat.stop()
            end_commit_turn(platform.ledger, turn)
            raise


def wait_for_lease(take: Callable[[], Lease | None], say: Say, name: str) -> Lease:
    said = False
    while (lease := take()) is None:
        if not said:
            say(f"waiting: another run commits to {name}")
            said = True
        time.sleep(_WAIT_SECONDS)
    return lease
