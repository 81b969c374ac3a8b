"""A code location whose runs say which image they are on. Not a part of the tests' package: it is loaded by its folder."""

import os
import time
from pathlib import Path

import dagster as dg

IMAGE = os.environ["DAGSTER_CURRENT_IMAGE"]
if IMAGE.startswith("broken"):
    raise ImportError("this image is broken")


@dg.op
def wait_for_permission(context: dg.OpExecutionContext) -> None:
    folder = Path(os.environ["SWAP_FOLDER"])
    image = IMAGE.partition("@")[0]
    (folder / f"{context.run_id}.started").write_text(image)
    deadline = time.monotonic() + 60
    while not (folder / f"{context.run_id}.may_end").exists():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.05)
    (folder / f"{context.run_id}.ended").write_text(image)


@dg.job(executor_def=dg.in_process_executor)
def waiting() -> None:
    wait_for_permission()


defs = dg.Definitions(jobs=[waiting])
