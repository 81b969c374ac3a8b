"""One piece of the ocean benchmark in a process of its own; prints the wall and processor seconds of what counts.

``ocean_work.py read|official|batch FILE FOLDER``: reading with our reader; with the official one (cchdo.hydro); a batch from its
start to its publication. Imports, and the start of the process, do not count.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from multiprocessing import forkserver
from pathlib import Path
from typing import Any


def ours(path: Path, _folder: Path) -> Callable[[], int]:
    import pandas as pd  # noqa: F401 - what reading loads must not count

    from pipeline_assets.landed_file import LandedFile
    from pipeline_assets.ocean.config import OceanConfig
    from pipeline_assets.ocean.source import OCEAN
    from pipeline_assets.reading_units import parse

    return lambda: int(parse(OCEAN, OceanConfig(), LandedFile.at(path, f"ocean/{path.name}")).rows)


def official(path: Path, _folder: Path) -> Callable[[], int]:
    import numpy as np
    from cchdo.hydro import read_exchange

    return lambda: int(np.isfinite(read_exchange(path)["pressure"].values).sum())


def batch(path: Path, folder: Path) -> Callable[[], int]:
    """A small batch comes first, so that the fork server has imported what readers need. Without the picture for the asset's
    page, which is drawn after the commit."""
    from dataclasses import replace

    from pipeline_assets import batch_commit
    from pipeline_assets.batch_run import run_batch
    from pipeline_assets.ocean.config import OceanConfig
    from pipeline_assets.ocean.examples import write_examples
    from pipeline_assets.ocean.source import OCEAN as SOURCE
    from resources.ledger.batches import due
    from resources.platform import Platform
    from resources.settings import Settings
    from sensors.looking import look_for_arrivals, plan_batches

    OCEAN = replace(SOURCE, picture=None)
    platform = Platform(Settings(home=folder / "home", settle_seconds=0.05))
    small = next(one for one in write_examples(folder / "examples", broken=False) if one.key.endswith("_hy1.csv"))

    publish = batch_commit.publish

    def noted(*given: Any, **named: Any) -> None:
        publish(*given, **named)
        _published.append(time.perf_counter())

    batch_commit.publish = noted

    class Silent:
        def progress(self, *_: object) -> None: ...

        def say(self, _message: str) -> None: ...

    def run(key: str, content: Path) -> Callable[[], int]:
        platform.landing.put(content, key)
        look_for_arrivals(platform, OCEAN)
        plan_batches(platform, OCEAN, flush=True)
        (one,) = due(platform.ledger, OCEAN.name)

        def go() -> int:
            report = run_batch(
                platform,
                OCEAN,
                OceanConfig(),
                one.batch_id,
                f"run-{one.partition}",
                Silent(),
                hold_when_stopped=lambda: True,
            )
            assert report.committed == 1, report.refused
            return report.rows["levels"]

        return go

    run("ocean/warm/small.csv", small.path)()
    return run(f"ocean/{path.name}", path)


def main(what: str, path: Path, folder: Path) -> None:
    work = {"read": ours, "official": official, "batch": batch}[what](path, folder)
    before, started = _processor(), time.perf_counter()
    rows = work()
    # What is left of a run after the publication is the end of its reader processes.
    wall = (_published[-1] if what == "batch" else time.perf_counter()) - started
    print(json.dumps({"wall": wall, "cpu": _processor() - before, "rows": rows}))


_published: list[float] = []
"""When batches were published, by `time.perf_counter`."""


def _processor() -> float:
    """Seconds of processor of this process, and of the fork server with the readers that it started and that ended."""
    used = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    mine = sum(one.ru_utime + one.ru_stime for one in used)
    server = getattr(forkserver._forkserver, "_forkserver_pid", None)  # type: ignore[attr-defined]
    if server is None:
        return mine
    fields = Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()
    return mine + sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
