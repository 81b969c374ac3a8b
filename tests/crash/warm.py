"""`python -m tests.crash.warm MODULE`: starts commands that die at a point from a process that has imported the product
already. The module, such as `tests.crash.die_at`, has `prepare()`, called before all imports, and `run(point, arguments)`.

Each command is a process and a session of its own, as if started by a shell, four seconds sooner. Requests are lines
of JSON on standard input, answers on standard output: ``{"start": {point, arguments, environment, log}}`` gives the
process id, ``{"poll": pid}`` its exit code, or null while it runs. Ends with its standard input.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from typing import Any

PRELOAD = (
    "alembic.command", "cli.drain", "cli.forget", "cli.main", "dagster", "duckdb", "pipeline_assets.definitions",
    "pipeline_assets.operations.event_log",
    "pipeline_assets.reading", "pyarrow.parquet", "pyiceberg.catalog.sql", "pyiceberg.table", "sensors.dead_runs",
    "sensors.looking",
)  # fmt: skip


def serve() -> dict[str, Any] | None:
    """Answer requests until there are no more. In a started process: returns what it is to do."""
    for line in sys.stdin:
        request = json.loads(line)
        if "poll" in request:
            pid, status = os.waitpid(request["poll"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        else:
            answer = os.fork()
            if answer == 0:
                return request["start"]
        print(json.dumps(answer), flush=True)
    return None


def become(command: dict[str, Any]) -> None:
    """Be the started process."""
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    log = os.open(command["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(command["environment"])
    import_module(sys.argv[1]).run(command["point"], command["arguments"])


if __name__ == "__main__":
    import_module(sys.argv[1]).prepare()
    for name in PRELOAD:
        import_module(name)
    print("ready", flush=True)
    if todo := serve():
        become(todo)
