"""What CloudWatch is to know of a deployment, once a minute, from beside the daemon: `python -m deploy.aws.emit_metrics`.

A line that cannot be written is a metric that is missing, which the heartbeat's alarm takes for a dead daemon: rightly, for
without Dagster's storage there is none.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from dagster import DagsterInstance, DagsterRunStatus, RunsFilter
from sqlalchemy import func, select

from deploy.aws.emf import Metric, line
from resources.ledger import Ledger
from resources.ledger.batches import BatchState
from resources.ledger.tables import batches
from resources.logs import configure_logs, redact
from resources.platform import Platform

EVERY_SECONDS = 60.0
_BUSY = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]


def heartbeat_age(instance: DagsterInstance, now: float, since: float) -> float:
    """Seconds since the oldest sign of any part that the daemon must have. One that never gave any counts from `since`."""
    beats = instance.get_daemon_heartbeats()
    required = instance.get_required_daemon_types()
    return max((now - (beats[name].timestamp if name in beats else since) for name in required), default=0.0)


def measured(
    instance: DagsterInstance, ledger: Ledger, *, started: float, looked: float, now: float
) -> dict[Metric, float]:
    """started: of this process. looked: up to when failed runs were counted already. All in seconds since 1970."""
    after, before = datetime.fromtimestamp(looked, UTC), datetime.fromtimestamp(now, UTC)
    failed = RunsFilter(statuses=[DagsterRunStatus.FAILURE], updated_after=after, updated_before=before)
    with ledger.read() as connection:
        held = connection.execute(select(func.count()).where(batches.c.state == BatchState.HELD)).scalar_one()
    return {
        Metric.HEARTBEAT_AGE: round(heartbeat_age(instance, now, started), 1),
        Metric.FAILED_RUNS: instance.get_runs_count(failed),
        Metric.QUEUED_RUNS: instance.get_runs_count(RunsFilter(statuses=[DagsterRunStatus.QUEUED])),
        Metric.RUNNING_RUNS: instance.get_runs_count(RunsFilter(statuses=_BUSY)),
        Metric.HELD_BATCHES: held,
    }


def emit_once(platform: Platform, instance: DagsterInstance, *, started: float, looked: float) -> float:
    """Write one line. Returns up to when it has looked: where that failed, the next one looks from the same moment on."""
    now = time.time()
    try:
        values = measured(instance, platform.ledger, started=started, looked=looked, now=now)
    except Exception as error:
        print(redact(f"no metrics now: {type(error).__name__}: {error}"), file=sys.stderr, flush=True)
        return looked
    print(line(platform.settings.namespace, values, now), flush=True)
    return now


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.aws.emit_metrics", description=__doc__)
    parser.add_argument("--once", action="store_true", help="one line, and exit code 1 if there is none")
    once = parser.parse_args(arguments).once
    platform = Platform.from_environment()
    # So that no line has a password in it.
    configure_logs(platform.settings, is_service=True)
    started = looked = time.time()
    with DagsterInstance.get() as instance:
        while True:
            before, looked = looked, emit_once(platform, instance, started=started, looked=looked)
            if once:
                return int(looked == before)
            time.sleep(EVERY_SECONDS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
