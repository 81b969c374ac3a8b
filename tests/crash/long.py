"""Many kills: `python -m tests.crash.long --kills 200`. First each named point, on a home with its first files and on
one whose files were overwritten, then random moments of a drain, the last ones after it published among them.

After each kill only whole batches may be visible; after at most four, drains that are left alone must bring landing
folder, ledger and tables to agree, each read on its own. Ends with an error, and with the seed, where they do not.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.crash.conftest import FRESH, SECOND, prepare
from tests.crash.deployment import KILLED, NOTHING_LEFT_TO_DO, SOME_REFUSED, Deployment
from tests.crash.die_at import NOWHERE, POINTS, READ_SLOWLY
from tests.crash.warm_client import Warm

KILLS_IN_A_ROW = 4
ENDED = {NOTHING_LEFT_TO_DO, SOME_REFUSED}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="at random moments, beside those at the named points")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-points", action="store_true", help="random moments only")
    options = parser.parse_args()
    begun = time.monotonic()
    with Warm() as warm, tempfile.TemporaryDirectory(prefix="strandline-kills-") as folder:
        deployment = prepare(Path(folder), warm)
        at_points = Counter() if options.no_points else kill_at_points(deployment)
        at_random, recoveries = kill_at_random(deployment, options.kills, random.Random(options.seed))
    print(json.dumps({
        "seed": options.seed, "kills at named points": sum(at_points.values()), "points": len(at_points),
        "kills at random moments": at_random, "recoveries checked": recoveries + sum(at_points.values()),
        "minutes": round((time.monotonic() - begun) / 60, 1),
    }))  # fmt: skip
    return 0


def keys_with_rows(deployment: Deployment) -> frozenset[str]:
    return frozenset(deployment.versions[file_id].key for file_id in deployment.visible())


def kill_at_points(deployment: Deployment) -> Counter[str]:
    killed: Counter[str] = Counter()
    for home in (FRESH, SECOND):
        for point in sorted(set(POINTS) - {NOWHERE, READ_SLOWLY}):
            deployment.put_back(home)
            keys = keys_with_rows(deployment)
            code = deployment.drain(point)
            assert code == KILLED, f"{point} on {home} was not reached: {code}\n{deployment.log()}"
            killed[point] += 1
            deployment.visible(never_without=keys)
            recover(deployment)
            print(f"{home}: killed {point}; all is there", flush=True)
    return killed


def kill_at_random(deployment: Deployment, kills: int, moments: random.Random) -> tuple[int, int]:
    """Kills that met a living drain, and how often all was checked after some of them."""
    killed = recoveries = in_a_row = 0
    while killed < kills:
        if not in_a_row:
            home = moments.choice((FRESH, SECOND))
            deployment.put_back(home)
            keys = keys_with_rows(deployment)
        drain = deployment.start()
        wait = moments.uniform(0.0, deployment.fastest)
        time.sleep(wait)
        if drain.poll() is None:
            os.kill(drain.pid, signal.SIGKILL)
        code = deployment.finish(drain)
        assert code in {KILLED, *ENDED}, deployment.log()
        deployment.visible(never_without=keys)
        killed += code == KILLED
        in_a_row += 1
        print(f"{home}: after {wait:.2f} s ended with {code}; {killed} of {kills}", flush=True)
        if code != KILLED or in_a_row == KILLS_IN_A_ROW or killed == kills:
            recover(deployment)
            recoveries += 1
            in_a_row = 0
    return killed, recoveries


def recover(deployment: Deployment) -> None:
    assert deployment.drain() in ENDED, deployment.log()
    deployment.assert_done()


if __name__ == "__main__":
    sys.exit(main())
