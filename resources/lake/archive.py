"""Numbered archives of tables: copies of what they showed at one moment, beside the tables and out of every commit's way.

An archive is a folder ``<lake>/archive/<source>/<name>_<number>`` with the data files of each table and a manifest, which
is written last: without it the folder is none.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from resources.errors import UserError
from resources.lake.lake import Lake, TableName, new_data_file
from resources.lake.sql import rows_by_file

_ARCHIVE, _MANIFEST = "archive", "archive.json"
_RESTORED = "restored"
"""Folder of restored data files, where a batch's id stands for its own."""


class NoSuchArchive(UserError):
    """There is no archive of that name and number. The message lists those there are."""


class NoArchives(UserError):
    """This lake has none. The message says what to do."""


@dataclass(frozen=True)
class Archive:
    """What an archive holds. rows: by table."""

    source: str
    name: str
    number: int
    taken_at: str
    rows: Mapping[str, int]

    @property
    def label(self) -> str:
        return f"{self.name}_{self.number}"


def archives(lake: Lake, source: str) -> list[Archive]:
    """The archives of a source, by name and number."""
    found = []
    for manifest in _folder(lake, source).glob(f"*/{_MANIFEST}"):
        found.append(Archive(**json.loads(manifest.read_text())))
    return sorted(found, key=lambda one: (one.name, one.number))


def find_archive(lake: Lake, source: str, label: str) -> Archive:
    """The archive NAME_NUMBER. Raises NoSuchArchive."""
    there = archives(lake, source)
    for one in there:
        if one.label == label:
            return one
    known = ", ".join(one.label for one in there) or "none yet"
    raise NoSuchArchive(f"There is no archive {label!r} of {source}. Archives: {known}")


def take_archive(lake: Lake, source: str, name: str, snapshots: Mapping[str, int | None], taken_at: str) -> Archive:
    """Copy the rows of tables in these snapshots into a new archive, whose number is the next one of its name.

    Data files never change, so on the same disk each is one more name of the same bytes. The caller keeps maintenance from
    deleting them meanwhile.
    """
    number = max((one.number for one in archives(lake, source) if one.name == name), default=0) + 1
    rows = {}
    aside = _folder(lake, source) / f".{uuid.uuid4().hex}"
    for table, snapshot in snapshots.items():
        target = aside / table
        target.mkdir(parents=True)
        full = TableName(source, table)
        for position, path in enumerate(lake.data_files(full, snapshot)):
            _link(Path(path.removeprefix("file://")), target / f"{position:06}.parquet")
        rows[table] = sum(count for _, count in rows_by_file(lake, full, snapshot).values())
    taken = Archive(source, name, number, taken_at, rows)
    (aside / _MANIFEST).write_text(json.dumps(asdict(taken), indent=1))
    aside.rename(_folder(lake, source) / taken.label)
    return taken


def files_of_archive(lake: Lake, archive: Archive, table: str) -> list[Path]:
    return sorted((_folder(lake, archive.source) / archive.label / table).glob("*.parquet"))


def restored_files(lake: Lake, archive: Archive, table: str, keep: Collection[str]) -> tuple[list[str], dict[str, int]]:
    """Data files of a table with the archived rows of some files, and how many rows each of these has.

    keep: ids of the files whose rows are wanted. Nobody refers to the data files yet.
    """
    folder = lake.data_folder(TableName(archive.source, table))
    paths: list[str] = []
    counts: dict[str, int] = {}
    wanted = pa.array(sorted(keep), pa.string())
    for path in files_of_archive(lake, archive, table):
        rows = pq.read_table(path, partitioning=None)
        rows = rows.filter(pc.is_in(rows["file_id"], value_set=wanted))
        if not rows.num_rows:
            continue
        for one in pc.value_counts(rows["file_id"].combine_chunks()).to_pylist():
            counts[one["values"]] = counts.get(one["values"], 0) + one["counts"]
        target = Path(new_data_file(folder, _RESTORED).removeprefix("file://"))
        target.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows, target, compression="zstd", row_group_size=262_144)
        paths.append(f"file://{target}")
    return paths, counts


def restored_schema(lake: Lake, archive: Archive, table: str) -> pa.Schema | None:
    """The columns that the archived rows of a table have; None if it had no rows."""
    paths = files_of_archive(lake, archive, table)
    return pa.unify_schemas([pq.read_schema(path) for path in paths]) if paths else None


def erase_from_archives(lake: Lake, source: str, file_ids: Collection[str]) -> int:
    """Leave no row of the files in any archive of a source. The number of rows that went."""
    if lake.bucket is not None:
        return 0
    unwanted = pa.array(sorted(file_ids), pa.string())
    gone = 0
    for archive in archives(lake, source):
        rows = dict(archive.rows)
        for table in archive.rows:
            for path in files_of_archive(lake, archive, table):
                there = pq.read_table(path, partitioning=None)
                left = there.filter(pc.invert(pc.is_in(there["file_id"], value_set=unwanted)))
                if left.num_rows == there.num_rows:
                    continue
                gone += there.num_rows - left.num_rows
                rows[table] -= there.num_rows - left.num_rows
                _replace(path, left)
        if rows != archive.rows:
            manifest = _folder(lake, source) / archive.label / _MANIFEST
            aside = manifest.with_suffix(".part")
            aside.write_text(json.dumps(asdict(archive) | {"rows": rows}, indent=1))
            aside.replace(manifest)
    return gone


def paths_of_archives(lake: Lake, source: str) -> list[Path]:
    """Every file of the archives of a source."""
    return [path for one in archives(lake, source) for path in _all_files(_folder(lake, source) / one.label)]


def _all_files(folder: Path) -> Sequence[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _replace(path: Path, rows: pa.Table) -> None:
    aside = path.with_suffix(".part")
    if rows.num_rows:
        pq.write_table(rows, aside, compression="zstd")
        aside.replace(path)
    else:
        path.unlink()


def _link(path: Path, target: Path) -> None:
    try:
        os.link(path, target)
    except OSError:  # another disk, or one that knows no links
        shutil.copy2(path, target)


def _folder(lake: Lake, source: str) -> Path:
    if lake.bucket is not None:
        raise NoArchives(
            f"The lake is in {lake.root}, and archives of tables are made in a lake in a folder alone. Keep a copy by "
            "`strandline export SOURCE FOLDER`."
        )
    return lake.folder / _ARCHIVE / f"{lake.table_prefix}{source}"
