"""A backup of ledger and lake, of one moment, taken while batches run. No Dagster here.

Ledger and tables must be of one moment, or the one names snapshots that the other lacks. Everything large in a lake never
changes once it is written, so only what is small is copied while commits wait: the ledger, the catalog, and of each table
the list of files that it needs. The files are copied afterwards; they cannot go meanwhile, because only maintenance
deletes any and the backup holds its leases.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.engine import make_url

from pipeline_assets.heartbeat import Heartbeat
from pipeline_assets.source import FileSource
from resources.errors import UserError
from resources.lake.archive import paths_of_archives
from resources.lake.lake import TableName
from resources.lake.maintenance import files_referred_to
from resources.ledger.leases import Lease
from resources.ledger.publishing import end_commit_turn, published_snapshots, take_commit_turn
from resources.ledger.upkeep import end_lease, take_maintenance
from resources.platform import Platform

_WAIT_SECONDS = 300.0
_LOOK_SECONDS = 0.05
MANIFEST = "backup.json"


class BackupFailed(UserError):
    """No backup was made. The message says why and what to do."""


@dataclass(frozen=True)
class Backup:
    """What a backup holds."""

    folder: str
    home: str
    """where the lake's files must lie again: they are named by whole paths"""
    taken_at: str
    ledger: str
    """the ledger's file in the folder"""
    files: int
    size_bytes: int
    commits_waited_seconds: float


def back_up(platform: Platform, sources: Sequence[FileSource], folder: Path) -> Backup:
    """Copy ledger and lake of a deployment into a new folder. Its manifest is written last: without it, it is none.

    Raises BackupFailed.
    """
    if platform.lake.bucket is not None:
        raise BackupFailed(
            f"The lake is in {platform.lake.root}: a bucket keeps versions of its objects, and the database of the ledger "
            "its own backups. Nothing was copied; docs/run-launching.md says how to go back to a moment."
        )
    if folder.exists() and any(folder.iterdir()):
        raise BackupFailed(f"{folder} is not empty. Name a new folder for each backup.")
    folder.mkdir(parents=True, exist_ok=True)
    run_id = f"backup-{uuid.uuid4().hex[:12]}"
    seconds, ledger = platform.settings.lease_seconds, platform.ledger
    kept: list[Lease] = []
    turns: list[Lease] = []
    with Heartbeat(ledger, seconds) as heartbeat:

        def take(what: str, source: FileSource, one: Callable[..., Lease | None], into: list[Lease]) -> None:
            deadline = time.monotonic() + _WAIT_SECONDS
            while (lease := one(ledger, source.name, run_id, seconds)) is None:
                if time.monotonic() > deadline:
                    raise BackupFailed(
                        f"{what} of {source.name} did not end within {_WAIT_SECONDS:g} s. Try again later."
                    )
                time.sleep(_LOOK_SECONDS)
            heartbeat.keep(lease)
            into.append(lease)

        try:
            for source in sources:
                take("maintenance", source, take_maintenance, kept)
            try:
                for source in sources:
                    take("the commits", source, take_commit_turn, turns)
                waited = time.monotonic()
                ledger_file = _copy_ledger(platform, folder)
                paths = _copy_catalog(platform, sources, folder)
                waited = time.monotonic() - waited
            finally:
                for turn in turns:
                    heartbeat.release(turn)
                    end_commit_turn(ledger, turn)
            size = sum(_copy(path, platform, folder) for path in paths)
        finally:
            heartbeat.stop()
            for lease in kept:
                end_lease(ledger, lease)
    home, taken_at = str(platform.settings.home.resolve()), datetime.now(UTC).isoformat(timespec="seconds")
    done = Backup(str(folder), home, taken_at, ledger_file, len(paths), size, round(waited, 3))
    aside = folder / f".{MANIFEST}"
    aside.write_text(json.dumps(asdict(done), indent=2))
    aside.replace(folder / MANIFEST)
    return done


def _copy_ledger(platform: Platform, folder: Path) -> str:
    url = make_url(platform.settings.ledger_address)
    if url.get_backend_name() == "sqlite":
        assert url.database
        name = Path(url.database).name
        copy_sqlite(Path(url.database), folder / name)
        with closing(sqlite3.connect(folder / name)) as copy, copy:
            # No run of the moment of the backup is alive where it is restored.
            copy.execute("UPDATE leases SET expires_at = '1970-01-01 00:00:00.000000'")
        return name
    target = folder / "ledger.pgdump"
    plain = url.set(drivername="postgresql", password=None).render_as_string()
    # The password goes by the environment: arguments are seen by every user of the machine.
    environment = {**os.environ, "PGPASSWORD": url.password or os.environ.get("PGPASSWORD", "")}
    schema = platform.settings.ledger_schema
    no_leases = f"--exclude-table-data={schema}.leases"
    command = ["pg_dump", "--format=custom", f"--schema={schema}", no_leases, f"--file={target}", plain]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise BackupFailed(
            "The ledger is in PostgreSQL and `pg_dump` is not on PATH. Install PostgreSQL's client."
        ) from None
    if done.returncode:
        raise BackupFailed(f"pg_dump could not copy the ledger: {done.stderr.strip()[-500:]}")
    return target.name


def copy_sqlite(database: Path, target: Path) -> None:
    """Copy a SQLite database as of one moment, while others write to it."""
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)


def _copy_catalog(platform: Platform, sources: Sequence[FileSource], folder: Path) -> list[str]:
    """Copy what may change once commits go on; the paths of the files that the tables need, which do not change."""
    lake = platform.lake
    (folder / "lake").mkdir()
    assert lake.catalog is not None
    copy_sqlite(lake.folder / "catalog.db", folder / "lake" / "catalog.db")
    paths: set[str] = set()
    for source in sources:
        for name in published_snapshots(platform.ledger, source.name):
            paths |= files_referred_to(lake, TableName(source.name, name))
        paths |= {str(path) for path in paths_of_archives(lake, source.name)}
    metadata = {path for path in paths if path.endswith(".json")}
    for path in metadata:
        _copy(path, platform, folder)
    return sorted(paths - metadata)


def _copy(path: str, platform: Platform, folder: Path) -> int:
    """Copy a file of the lake to its place in the backup; its size. Earlier metadata may have been cleared away already."""
    target = folder / "lake" / Path(path).relative_to(platform.lake.folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copy2(path, target)
    except FileNotFoundError:
        if not path.endswith(".json"):
            raise BackupFailed(f"{path} is gone, which a table needs. First: strandline reconcile") from None
        return 0
    return target.stat().st_size
