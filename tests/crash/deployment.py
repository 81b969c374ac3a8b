"""A home that crash tests kill drains on, and what must hold of it: while a drain is dead, and when all is done."""

from __future__ import annotations

import hashlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from sqlalchemy import select

from pipeline_assets.ecg import derive, read
from pipeline_assets.ecg.config import EcgConfig
from pipeline_assets.landed_file import LandedFile, Refused
from resources.lake.sql import list_tables, run_query
from resources.ledger.arrivals import file_identity
from resources.ledger.tables import batches, file_rows, files, leases
from resources.platform import Platform
from resources.settings import Settings
from tests.crash.die_at import NOWHERE
from tests.crash.sessions import assert_session_ends, end_session, own_environment, processes_of, wait_until
from tests.crash.warm_client import Started, Warm

ROOT = Path(__file__).parents[2]
TABLES = ("samples", "recordings", "beats", "annotations")
ORDER = ["file_id", "recording_id", "lead", "sample"]
KILLED, NOTHING_LEFT_TO_DO, SOME_REFUSED = -signal.SIGKILL, 0, 3
ORPHAN_SECONDS = 30.0
"""Far below the minute that a slow reader takes; one second where nothing else runs."""
DRAIN_SECONDS = 60.0
"""Far below the lease: a drain that waited for a dead run's lease to expire would not end in time."""
LEASE_SECONDS = 900.0

Frames = dict[str, pd.DataFrame]


@dataclass(frozen=True)
class Version:
    """One version of one key, read by the source's pure functions and nothing else."""

    key: str
    file_id: str
    frames: Frames | None
    """its rows by table, none for a part of a record that is read from another file; None when it is refused"""

    @property
    def has_rows(self) -> bool:
        return self.frames is not None and len(self.frames["samples"]) > 0


def read_independently(root: Path) -> dict[str, Version]:
    """Every file below a landing folder, by file id. Each key has its bytes for the first time."""
    records: dict[Path, dict[str, Path]] = {}
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.relative_to(root).as_posix().startswith("."):
            records.setdefault(path.with_suffix(""), {})[path.suffix] = path
    versions = {}
    for parts in records.values():
        primary = parts[".hea" if ".hea" in parts else ".mat"]
        ids = {path: _file_id(path.relative_to(root).as_posix(), path.read_bytes()) for path in parts.values()}
        others = [path for path in parts.values() if path != primary]
        key = primary.relative_to(root).as_posix()
        frames = _frames(LandedFile.at(primary, key, others), ids[primary])
        no_rows = None if frames is None else {table: frame[:0] for table, frame in frames.items()}
        for path, file_id in ids.items():
            of_file = frames if path == primary else no_rows
            versions[file_id] = Version(path.relative_to(root).as_posix(), file_id, of_file)
    return versions


def _file_id(key: str, content: bytes) -> str:
    return file_identity("folder", key, hashlib.sha256(content).hexdigest(), len(content), 0)


def _frames(file: LandedFile, file_id: str) -> Frames | None:
    config = EcgConfig()
    readers = (
        (read.recognise_matlab5, read.read_matlab5),
        (read.recognise_matlab73, read.read_matlab73),
        (read.recognise_wfdb, read.read_wfdb),
        (read.recognise_matlab4, read.read_matlab4),
    )
    head = file.read_bytes()[:512]
    try:
        matching = [reads for recognises, reads in readers if head and recognises(head)]
        if not matching:
            return None
        rows = derive.checked_tables(matching[0](file, config), config)
    except Refused:
        return None
    return {table: pd.DataFrame({**rows[table], "file_id": file_id}) for table in TABLES}


@dataclass
class Deployment:
    """A home at one place, put back from copies of it: a lake cannot be moved, its files are named by whole paths."""

    base: Path
    warm: Warm
    environment: dict[str, str] = field(default_factory=dict)
    versions: dict[str, Version] = field(default_factory=dict)
    """every version that was ever landed, by file id"""
    fastest: float = DRAIN_SECONDS
    """seconds of the fastest drain that did a whole batch"""

    @property
    def home(self) -> Path:
        return self.base / "home"

    @property
    def landing(self) -> Path:
        return self.home / "landing"

    def settings(self) -> dict[str, str]:
        return {
            "STRANDLINE_HOME": str(self.home),
            "STRANDLINE_WORKERS": "2",
            "STRANDLINE_SETTLE_SECONDS": "0.05",
            "STRANDLINE_LEASE_SECONDS": str(LEASE_SECONDS),
            "STRANDLINE_MAX_ATTEMPTS": "1000",
            "DAGSTER_DISABLE_TELEMETRY": "1",
            **self.environment,
        }

    def keep(self, name: str) -> None:
        shutil.copytree(self.home, self.base / name)

    def put_back(self, name: str) -> None:
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.copytree(self.base / name, self.home)

    @contextmanager
    def platform(self) -> Iterator[Platform]:
        opened = Platform(Settings(home=self.home))
        try:
            yield opened
        finally:
            opened.close()

    def land(self, contents: Mapping[str, bytes]) -> None:
        aside = self.base / "to_land"
        with self.platform() as platform:
            for key, content in contents.items():
                aside.write_bytes(content)
                platform.landing.put(aside, key)
        self.versions |= read_independently(self.landing)

    # Starting and ending drains

    def start(self, point: str = NOWHERE) -> Started:
        """A drain that dies at a point, begun from a process that has imported everything."""
        return self.warm.start(point, ["drain"], self.settings(), self.base / "drain.log")

    def start_cold(self, point: str | None = None) -> subprocess.Popen[bytes]:
        """The real command, or the real command that dies at a point."""
        command = ["cli.main", "drain"] if point is None else ["tests.crash.die_at", point, "--", "drain"]
        with (self.base / "drain.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *command], cwd=ROOT, env={**own_environment(), **self.settings()},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def finish(self, drain: Started | subprocess.Popen[bytes], seconds: float = DRAIN_SECONDS) -> int:
        """Wait for a drain to end, and see that it leaves no process. Its exit code."""
        try:
            wait_until(lambda: drain.poll() is not None, seconds, f"the drain ends; its output:\n{self.log()}")
            assert_session_ends(drain.pid, ORPHAN_SECONDS)
        finally:
            end_session(drain.pid)
        code = drain.poll()
        assert code is not None
        return code

    def drain(self, point: str = NOWHERE) -> int:
        started = time.monotonic()
        code = self.finish(self.start(point))
        if code == SOME_REFUSED:
            self.fastest = min(self.fastest, time.monotonic() - started)
        return code

    def log(self) -> str:
        path = self.base / "drain.log"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""

    def readers(self, drain: Started | subprocess.Popen[bytes]) -> int:
        """How many processes a drain has beside its own."""
        return len(set(processes_of(drain.pid)) - {drain.pid})

    # What must hold

    def visible(self, *, never_without: frozenset[str] = frozenset()) -> set[str]:
        """Ids of the files whose rows SQL shows. Fails unless each is there with exactly its rows in every table, at
        most one version of a key, and at least one of these keys."""
        with self.platform() as platform:
            shown = dict.fromkeys(TABLES, pd.DataFrame({"file_id": []}))
            if "ecg.samples" in list_tables(platform.ledger):
                for table in TABLES:
                    query = f"SELECT * EXCLUDE (batch_id) FROM ecg.{table}"
                    shown[table] = run_query(platform.lake, platform.ledger, query).to_pandas()
        ids = {table: set(frame["file_id"]) for table, frame in shown.items()}
        assert ids["samples"] == ids["recordings"] == ids["beats"] >= ids["annotations"], "a file is half visible"
        keys = [self.versions[file_id].key for file_id in ids["samples"]]
        assert len(keys) == len(set(keys)), "two versions of a key are visible"
        assert never_without <= set(keys), "a key lost its rows"
        for table in TABLES:
            assert_same_rows(shown[table], self.frames_of(ids["samples"], table))
        return ids["samples"]

    def summary(self) -> list[dict[str, object]]:
        """ecg.class_summary as SQL shows it: class, lead, recordings, beats."""
        return self._query("SELECT class_label, lead, recordings, beats FROM ecg.class_summary ORDER BY ALL")

    def counted_summary(self) -> list[dict[str, object]]:
        """The same, counted by SQL from ecg.recordings."""
        return self._query(
            "SELECT class_label, lead, count(*) AS recordings, sum(beats)::BIGINT AS beats FROM ecg.recordings "
            "GROUP BY ALL ORDER BY ALL"
        )

    def _query(self, query: str) -> list[dict[str, object]]:
        with self.platform() as platform:
            return run_query(platform.lake, platform.ledger, query).to_pylist()

    def frames_of(self, file_ids: set[str], table: str) -> pd.DataFrame:
        parts = []
        for file_id in sorted(file_ids):
            frames = self.versions[file_id].frames
            assert frames is not None, f"rows of a refused file are visible: {self.versions[file_id].key}"
            parts.append(frames[table])
        return pd.concat(parts) if parts else pd.DataFrame({"file_id": []})

    def assert_done(self) -> None:
        """Nothing is lost, doubled or left over: landing folder, ledger and tables agree, each read on its own."""
        landed = read_independently(self.landing)
        visible = self.visible()
        assert self.summary() == self.counted_summary()
        with self.platform() as platform, platform.ledger.read() as connection:
            known = connection.execute(select(files).order_by(files.c.seq)).all()
            batch_states = set(connection.scalars(select(batches.c.state)))
            held = connection.execute(select(leases)).all()
            counted = {(row.file_id, row.table_name): row.rows for row in connection.execute(select(file_rows))}
        current = {row.key: row for row in known}
        assert {row.file_id for row in current.values()} == set(landed), "landing folder and ledger differ"
        for row in current.values():
            good = landed[row.file_id].frames is not None
            assert row.state == ("committed" if good else "quarantined"), (row.key, row.state, row.error)
        committed = {row.file_id for row in known if row.state == "committed"}
        assert visible == {i for i in committed if self.versions[i].has_rows}, (
            "rows of files that are not committed, or none of one that is"
        )
        assert {row.state for row in known} <= {"committed", "quarantined", "superseded"}
        assert counted == {
            (file_id, table): len(self.frames_of({file_id}, table)) for file_id in committed for table in TABLES
        }
        assert batch_states == {"finished"}
        assert not held


def assert_same_rows(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Equal to the last bit, in whatever order the rows are."""
    assert len(found) == len(expected)
    if expected.empty:
        return
    order = [name for name in ORDER if name in expected.columns]
    left, right = found.sort_values(order), expected.sort_values(order)
    assert set(left.columns) == set(right.columns)
    for name in right.columns:
        ours, theirs = left[name].to_numpy(), right[name].to_numpy()
        if theirs.dtype.kind == "f" and name not in {"symbol", "aux"}:
            assert np.array_equal(ours, theirs, equal_nan=True), name
        else:
            missing = pd.isna(ours)
            assert np.array_equal(missing, pd.isna(theirs)), name
            assert (ours[~missing] == theirs[~missing]).all(), name
