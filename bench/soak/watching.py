"""What a soak sees of a deployment from outside: which rows SQL shows and since when, memory by kind of process, sizes."""

from __future__ import annotations

import os
import sqlite3
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench.measure import processes_of, pss_kib
from bench.soak.deliveries import Sender
from pipeline_assets.source import FileSource
from resources.lake.lake import TableName
from resources.lake.sql import run_query
from resources.ledger.aggregates import newest_publication
from resources.ledger.health import UNSETTLED
from resources.ledger.queries import count_by_state
from resources.platform import Platform

LASTING = ("webserver", "daemon", "code location", "dev")
"""Kinds of processes that live as long as the deployment."""
PASSING = ("runs", "readers")
KINDS = (*LASTING, *PASSING)
_QUEUED, _UNDER_WAY = ("NOT_STARTED", "QUEUED", "STARTING"), ("STARTED", "CANCELING")


def kind_of(command: str) -> str:
    """What a process of `strandline dev` is, by its command line."""
    for words, kind in (
        ("forkserver", "readers"), ("resource_tracker", "readers"), ("multiprocessing.spawn", "runs"), ("execute_run", "runs"), ("execute_step", "runs"),
        ("dagster_webserver", "webserver"), ("_daemon", "daemon"), ("api grpc", "code location"),
        ("code-server", "code location"),
    ):  # fmt: skip
        if words in command:
            return kind
    return "dev"


@dataclass
class Sample:
    """One look. Times in seconds, memory in MiB (proportional set size), sizes in bytes."""

    at: float
    landed: int = 0
    visible: int = 0
    outstanding: int = 0
    memory: dict[str, float] = field(default_factory=dict)
    processes: dict[str, int] = field(default_factory=dict)
    largest: dict[str, float] = field(default_factory=dict)
    """of the processes of a kind"""
    runs: int = 0
    queued: int = 0
    under_way: int = 0
    dagster_bytes: int = 0
    events: int = 0
    ticks: int = 0
    ledger_bytes: int = 0
    ledger_files: int = 0
    lake_bytes: int = 0
    lake_files: int = 0
    snapshots: int = 0

    @property
    def ended(self) -> int:
        """Runs that ended."""
        return self.runs - self.queued - self.under_way

    def flat(self) -> dict[str, float]:
        """One row of the CSV."""
        row: dict[str, float] = {}
        for name, value in vars(self).items():
            if isinstance(value, dict):
                row |= {f"{name} {kind}": round(value.get(kind, 0.0), 1) for kind in KINDS}
            else:
                row[name] = round(value, 1)
        return row


class Watcher:
    def __init__(self, platform: Platform, sources: tuple[FileSource, ...], sender: Sender, session: int) -> None:
        self.platform, self._sources, self._sender, self._session = platform, sources, sender, session
        self._seen: dict[str, int] = {}
        self._counted: dict[Path, tuple[float, int]] = {}
        self._begun = time.monotonic()

    def look(self) -> None:
        """Note which deliveries a query shows by now; asks only of sources with something published since."""
        for source in self._sources:
            newest = newest_publication(self.platform.ledger, source.name)
            if newest is None or self._seen.get(source.name) == newest.seq:
                continue
            table = source.tables[-1].name
            query = f"SELECT DISTINCT source_key, delivery FROM {source.name}.{table}"
            shown = {
                tuple(row.values()) for row in run_query(self.platform.lake, self.platform.ledger, query).to_pylist()
            }
            now = time.monotonic()
            for one in self._sender.waiting():
                if one.source == source.name and (one.key, one.number) in shown:
                    one.visible = now
            self._seen[source.name] = newest.seq

    def sample(self) -> Sample:
        states = count_by_state(self.platform.ledger)
        found = Sample(
            round(time.monotonic() - self._begun, 1),
            landed=len(self._sender.sent),
            visible=sum(one.visible is not None for one in self._sender.sent),
            outstanding=sum(states.get(state, 0) for state in UNSETTLED),
            ledger_files=sum(states.values()),
        )
        self._memory(found)
        home = self.platform.settings.home
        found.dagster_bytes = _size(self.platform.settings.dagster_home)[1]
        found.ledger_bytes = sum(path.stat().st_size for path in home.glob("ledger.db*"))
        found.lake_files, found.lake_bytes = _size(self.platform.settings.lake_folder)
        found.snapshots = self._snapshots()
        self._dagster(found)
        return found

    def _memory(self, found: Sample) -> None:
        memory: Counter[str] = Counter()
        processes: Counter[str] = Counter()
        for pid, command in processes_of(self._session).items():
            kind, mib = kind_of(command), pss_kib(pid) / 1024
            memory[kind] += mib
            processes[kind] += 1
            found.largest[kind] = max(found.largest.get(kind, 0.0), mib)
        found.memory, found.processes = dict(memory), dict(processes)

    def _snapshots(self) -> int:
        count = 0
        for source in self._sources:
            for name in (*source.table_names, *(one.name for one in source.aggregates)):
                identifier = self.platform.lake.identifier(TableName(source.name, name))
                with suppress(Exception):  # not made yet, or being made
                    count += len(self.platform.lake.catalog.load_table(identifier).metadata.snapshots)
        return count

    def _dagster(self, found: Sample) -> None:
        home = self.platform.settings.dagster_home
        states: Counter[str] = Counter()
        for path in home.rglob("runs.db"):
            states.update(dict(_ask(path, "SELECT status, count(*) FROM runs GROUP BY status")))
        found.runs = sum(states.values())
        found.queued = sum(states[state] for state in _QUEUED)
        found.under_way = sum(states[state] for state in _UNDER_WAY)
        found.ticks = sum(
            int(rows[0][0])
            for path in home.rglob("schedules.db")
            if (rows := _ask(path, "SELECT count(*) FROM job_ticks"))
        )
        found.events = sum(self._events(path) for path in (home / "history" / "runs").glob("*.db"))

    def _events(self, path: Path) -> int:
        """Rows of one of the event log's databases, of which there is one a run; counted anew when it was written to."""
        with suppress(OSError):
            changed = max(one.stat().st_mtime for one in path.parent.glob(f"{path.name}*"))
            if self._counted.get(path, (0.0, 0))[0] != changed:
                rows = _ask(path, "SELECT count(*) FROM event_logs")
                self._counted[path] = (changed, int(rows[0][0]) if rows else 0)
        return self._counted.get(path, (0.0, 0))[1]


def _ask(path: Path, query: str) -> list[tuple[str, int]]:
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as connection:
        return connection.execute(query).fetchall()
    return []


def _size(folder: Path) -> tuple[int, int]:
    """Files below a folder, and their bytes."""
    files = size = 0
    for at, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # deleted meanwhile
                size += Path(at, name).stat().st_size
                files += 1
    return files, size
