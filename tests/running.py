"""Ways to land, look, run and read on a platform, without Dagster."""

from __future__ import annotations

import multiprocessing.forkserver
import os
from collections import Counter
from pathlib import Path
from typing import Any

from pipeline_assets.batch_run import BatchReport, run_batch
from pipeline_assets.source import FileSource, NoConfig
from resources.lake.sql import run_query
from resources.ledger.batches import Batch, get_batch
from resources.ledger.planning import BatchLimits, plan
from resources.ledger.queries import list_files
from resources.platform import Platform
from sensors.looking import look_for_arrivals
from tests.toy_source import TOY, lines_of

LIMITS = BatchLimits(files=1000, size_bytes=1 << 30)


class Silent:
    """A reporter that keeps what it hears."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.progressed: list[tuple[int, int, int]] = []

    def progress(self, batch: Batch, done: int, total: int, refused: int) -> None:
        self.progressed.append((done, total, refused))

    def say(self, message: str) -> None:
        self.said.append(message)


def toy(*values: float | str) -> str:
    """A toy file with these readings; a word in the first place is a command to its reader."""
    return "toy\n" + "".join(f"{value}\n" for value in values)


def next_batch(platform: Platform, source: FileSource = TOY) -> Batch:
    """Look for what landed and close a batch of it."""
    look_for_arrivals(platform, source)
    batch = plan(platform.ledger, source.name, LIMITS, flush=True)
    assert batch is not None, "nothing to do"
    return batch


def run(
    platform: Platform, batch: Batch | str, run_id: str = "run-1", source: FileSource = TOY, **options: Any
) -> BatchReport:
    batch_id = batch if isinstance(batch, str) else batch.batch_id
    options.setdefault("hold_when_stopped", lambda: True)
    return run_batch(platform, source, NoConfig(), batch_id, run_id, Silent(), **options)


def look_and_run(platform: Platform, run_id: str = "run-1", source: FileSource = TOY) -> BatchReport:
    return run(platform, next_batch(platform, source), run_id, source)


def states(platform: Platform) -> dict[str, str]:
    """State of the newest version of every key."""
    return {row.key: row.state for row in list_files(platform.ledger)}


def all_states(platform: Platform) -> Counter[tuple[str, str]]:
    """How many files there are of each key and state."""
    return Counter((row.key, row.state) for row in list_files(platform.ledger))


def batch_state(platform: Platform, batch: Batch) -> str:
    return get_batch(platform.ledger, batch.batch_id).state


def rows_of(platform: Platform, query: str) -> list[tuple[Any, ...]]:
    found = run_query(platform.lake, platform.ledger, query, platform.product_rows)
    return [tuple(row.values()) for row in found.to_pylist()]


def visible(platform: Platform) -> dict[str, list[float]]:
    """By key, the values of the toy readings that SQL shows, in order; asserts that both tables agree."""
    if not any("toy.readings" in name for name in _tables(platform)):
        return {}
    counted = dict(rows_of(platform, "SELECT source_key, readings FROM toy.files ORDER BY ALL"))
    shown: dict[str, list[float]] = {key: [] for key in counted}
    query = """SELECT f.source_key, r.value FROM toy.readings r JOIN toy.files f ON r.file_id = f.file_id
               ORDER BY f.source_key, r.n"""
    for key, value in rows_of(platform, query):
        shown[key].append(value)
    files = rows_of(platform, "SELECT count(*), count(DISTINCT source_key) FROM toy.files")
    assert files[0][0] == files[0][1], "a key has two versions in the table"
    assert sum(map(len, shown.values())) == rows_of(platform, "SELECT count(*) FROM toy.readings")[0][0]
    assert {key: len(values) for key, values in shown.items()} == counted
    return shown


def _tables(platform: Platform) -> list[str]:
    from resources.lake.sql import list_tables

    return list_tables(platform.ledger)


def independent(root: Path) -> dict[str, list[float]]:
    """What the landing folder holds, read without any of the platform's code but the toy's own parser."""
    return {
        path.relative_to(root).as_posix(): [float(line[0]) for line in lines_of(path.read_bytes())]
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".landing" not in path.parts
    }


def reader_processes() -> list[int]:
    """The reader processes of this process: children of its fork server."""
    server = multiprocessing.forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    if server is None:
        return []
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = Path(f"/proc/{entry}/stat").read_text(errors="replace").rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] not in "ZX" and int(fields[1]) == server:
                found.append(int(entry))
    return found
