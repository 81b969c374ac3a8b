"""Putting back the lake of a backup where the lake is in a bucket. No Dagster here.

Files of a lake never change, so one that is there with its size is not copied again: done twice, it goes on where it
stopped. The tables come last, each by one call, when all files that they need are there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline_assets.operations.backup import LAKE, MANIFEST, TABLES, KeptTable, NoBackup, as_place, read_backup
from pipeline_assets.operations.standstill import Standstill
from pipeline_assets.source import FileSource
from resources.errors import UserError
from resources.lake.copying import Tell, copy_files, said
from resources.lake.files import listing, local, missing, read_small
from resources.lake.lake import TableName
from resources.platform import Platform


class NotRestored(UserError):
    """Nothing was restored. The message says why and what to do."""


@dataclass(frozen=True)
class Restored:
    """What a restore did. files: that were copied; the others were there."""

    place: str
    lake: str
    taken_at: str
    files: int
    size_bytes: int
    tables: int
    """that were set to what they were"""


def restore_lake(
    platform: Platform, sources: Sequence[FileSource], place: str, tell: Tell = lambda *_: None
) -> Restored:
    """Bring files and tables of the lake back to what the backup at a place holds. The ledger is to be of the same backup.

    Raises NotRestored, NoBackup, NoStandstill, NotCopied.
    """
    lake, place = platform.lake, as_place(place)
    backup = read_backup(place)
    if lake.bucket is None:
        raise NotRestored(
            f"This lake is in the folder {lake.folder}: copy the backup to {backup.home}, as docs/operations.md says under "
            "Backup and restore. Nothing was changed."
        )
    if backup.lake != lake.root:
        raise NotRestored(
            f"{place} is a backup of the lake {backup.lake}, and this lake is {lake.root}: files are named by whole "
            f"addresses. Set STRANDLINE_LAKE={backup.lake}. Nothing was changed."
        )
    tables = [KeptTable(**one) for one in json.loads(_content(f"{place}/{TABLES}"))]
    below = f"{place}/{LAKE}"
    with said(f"{lake.root} or {below} could not be listed"):
        there = {one.address: one.size_bytes for one in listing(lake.root)}
        kept = list(listing(below))
    pairs = []
    for one in kept:
        address = lake.root + local(one.address).removeprefix(below)
        if there.get(address) != one.size_bytes:
            pairs.append((one.address, address))
    standstill = Standstill(platform, sources, "restore")
    with standstill.maintenance_held(), standstill.commits_held():
        sizes = copy_files(pairs, tell)
        if lost := missing([table.metadata for table in tables]):
            raise NotRestored(f"{place} lacks {lost[0]}, which a table needs. No table was changed.")
        changed = sum(_set_back(platform, table) for table in tables)
    return Restored(place, lake.root, backup.taken_at, len(sizes), sum(sizes.values()), changed)


def _content(address: str) -> bytes:
    content = read_small(address)
    if content is None:
        raise NoBackup(f"{address} is not there, though {MANIFEST} is: it was deleted from the backup.")
    return content


def _set_back(platform: Platform, kept: KeptTable) -> bool:
    """Have the catalog name the metadata of the backup; whether it named others or none."""
    from pyiceberg.exceptions import NoSuchTableError

    catalog = platform.lake.catalog
    identifier = platform.lake.identifier(TableName(kept.source, kept.table))
    try:
        if catalog.load_table(identifier).metadata_location == kept.metadata:
            return False
    except (NoSuchTableError, FileNotFoundError):
        # There is no such table, or its files are gone.
        pass
    if catalog.table_exists(identifier):
        catalog.drop_table(identifier)
    if not catalog.namespace_exists(identifier[0]):
        catalog.create_namespace(identifier[0])
    catalog.register_table(identifier, kept.metadata)
    return True
