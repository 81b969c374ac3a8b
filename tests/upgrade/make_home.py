"""Makes `home_0002.tar.xz`: a home as the platform left it when its ledger was at migration 0002.

To be run with the code of that time, from a work tree of the commit 2682c1e and with its environment:

    git worktree add /tmp/old 2682c1e && cd /tmp/old && make setup
    .venv/bin/python <here>/tests/upgrade/make_home.py <here>/tests/upgrade/home_0002.tar.xz

A lake names its files by whole paths, so the home is made, and is to be used, at one place: `PLACE`.
"""

from __future__ import annotations

import shutil
import sys
import tarfile
from contextlib import suppress
from pathlib import Path

PLACE = Path("/tmp/strandline-upgrade-0002")
SETTINGS = {"workers": 2, "settle_seconds": 0.05, "file_timeout_seconds": 5, "lease_seconds": 2}


def main(archive: Path) -> None:
    sys.path.insert(0, str(Path.cwd()))
    from pipeline_assets.batch_run import BatchHeld
    from resources.landing.folder import FolderStore
    from resources.ledger.batches import claim, plan
    from resources.ledger.queries import count_by_state
    from resources.platform import Platform
    from resources.settings import Settings
    from sensors.looking import look_for_arrivals
    from tests.conftest import putter
    from tests.running import LIMITS, look_and_run, next_batch, toy
    from tests.toy_source import TOY

    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir()
    platform = Platform(Settings(home=PLACE / "home", **SETTINGS))
    assert isinstance(platform.landing, FolderStore)
    put = putter(platform.landing, PLACE)
    put("toy/committed.csv", toy(1, 2))
    put("toy/replaced.csv", toy(3))
    put("toy/refused.csv", toy("no number"))
    look_and_run(platform)
    put("toy/replaced.csv", toy(4, 5))
    look_and_run(platform, "run-2")
    for number in range(6):
        put(f"toy/held/{number}.csv", toy("no number"))
    with suppress(BatchHeld):
        look_and_run(platform, "run-3")
    put("toy/running.csv", toy(6))
    # Its run died: the lease, of a process that is no more, ends by itself.
    claim(platform.ledger, next_batch(platform).batch_id, "run-4", SETTINGS["lease_seconds"])
    put("toy/planned.csv", toy(7))
    next_batch(platform)
    put("toy/pending.csv", toy(8))
    look_for_arrivals(platform, TOY)
    assert plan(platform.ledger, "toy", LIMITS) is None
    print(count_by_state(platform.ledger))
    (PLACE / "to_land").unlink()
    platform.close()
    with tarfile.open(archive, "w:xz") as out:
        out.add(PLACE / "home", "home")
    print(archive.stat().st_size, "bytes")
    shutil.rmtree(PLACE)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
