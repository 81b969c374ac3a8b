"""Where products lie: for each partition of a source a folder, and in it one for each product, exchanged as a whole."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

if TYPE_CHECKING:
    import pyarrow as pa

_GENERATIONS = ".generations"
ROWS_SUFFIX = ".rows.parquet"
"""Of a file in a product's folder that holds the product's rows of a table, after the table's name."""
_TABLES = ".tables"
"""Below a source: for each table a folder, in it for each partition and product a link to its rows. No partition's folder begins
with a dot."""
_OF = "!"
"""Between partition and product in the name of such a link; no folder of a partition has it in its name."""
_MOST_LOOKS = 3
_LONGEST_NAME = 150
"""of a folder, in bytes; file systems take 255"""


@dataclass(frozen=True)
class Place:
    """Which product of which partition. source: as it is called in the store, with the namespace's prefix."""

    source: str
    partition: str
    product: str


class ProductStore(Protocol):
    """Keeps the files of products. What is there is whole: an older generation stays until the newer one is."""

    def begin(self, place: Place) -> Path:
        """An empty folder of one's own, to make a generation in."""

    def put(self, place: Place, made: Path) -> Path:
        """Let what was made in a folder from `begin` take the place of the older generation; where it is now."""

    def drop(self, made: Path) -> None:
        """Let go of a folder from `begin`, whatever is in it."""

    def find(self, place: Place) -> Path | None:
        """The folder of a product, for reading; None when there is none."""

    def remove(self, place: Place) -> None:
        """Delete a product with all its generations, if it is there."""

    def remove_partition(self, source: str, partition: str) -> None:
        """Delete all products of a partition, also those that nobody declares any more."""

    def tables(self, source: str) -> list[str]:
        """The tables that products of a source have rows of."""

    def rows(self, source: str, table: str) -> list[pa.Table]:
        """The rows of a table, of each product that has some as it was made last."""

    def uri(self, source: str) -> str:
        """Where a source's products are."""


class FolderProducts:
    """Products in folders of this machine: ``<root>/<source>/<partition>/<product>/``.

    The product's own name is a link to its generation, because a link can be exchanged in one step.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def __repr__(self) -> str:
        return f"FolderProducts({self.root})"

    def begin(self, place: Place) -> Path:
        folder = (
            self._partition(place.source, place.partition) / _GENERATIONS / f"{place.product}-{uuid.uuid4().hex[:12]}"
        )
        folder.mkdir(parents=True)
        return folder

    def put(self, place: Place, made: Path) -> Path:
        for path in made.rglob("*"):
            if path.is_file():
                _sync(path)
        link = self._link(place)
        # Before the exchange: a link to rows that are not there yet is passed over, rows without one would be lost to sight.
        self._index(place, {path.name.removesuffix(ROWS_SUFFIX) for path in made.glob(f"*{ROWS_SUFFIX}")})
        aside = link.with_name(f".{link.name}-{uuid.uuid4().hex[:12]}")
        aside.symlink_to(Path(_GENERATIONS) / made.name, target_is_directory=True)
        os.replace(aside, link)
        self._delete_generations(place, keep=made.name)
        return link

    def drop(self, made: Path) -> None:
        shutil.rmtree(made, ignore_errors=True)

    def find(self, place: Place) -> Path | None:
        link = self._link(place)
        return link if link.is_dir() else None

    def remove(self, place: Place) -> None:
        self._index(place, set())
        self._link(place).unlink(missing_ok=True)
        self._delete_generations(place)

    def remove_partition(self, source: str, partition: str) -> None:
        folder = self._partition(source, partition)
        for table in (self.root / source / _TABLES).glob("*"):
            for link in table.iterdir():
                if link.name.partition(_OF)[0] == folder.name:
                    link.unlink(missing_ok=True)
        if folder.exists():
            shutil.rmtree(folder)

    def tables(self, source: str) -> list[str]:
        folders = (self.root / source / _TABLES).glob("*")
        return sorted(folder.name for folder in folders if any(folder.iterdir()))

    def rows(self, source: str, table: str) -> list[pa.Table]:
        links = sorted((self.root / source / _TABLES / table).glob("*"))
        return [rows for rows in map(_read_rows, links) if rows is not None]

    def uri(self, source: str) -> str:
        return f"file://{self.root / source}"

    def _partition(self, source: str, partition: str) -> Path:
        return self.root / source / folder_name(partition)

    def _link(self, place: Place) -> Path:
        return self._partition(place.source, place.partition) / place.product

    def _index(self, place: Place, tables: set[str]) -> None:
        """Lets a product be found by the tables that it has rows of, and by no other: a source may have very many products."""
        index, folder = self.root / place.source / _TABLES, folder_name(place.partition)
        name = f"{folder}{_OF}{place.product}"
        for table in index.glob("*"):
            # What an older version of this code left, when a table's rows were of one product alone.
            older = table / folder
            if older.is_symlink() and older.readlink().parent.name == place.product:
                os.replace(older, table / name)
        for has in tables:
            entry = index / has / name
            entry.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):
                entry.symlink_to(Path("..", "..", folder, place.product, f"{has}{ROWS_SUFFIX}"))
        for table in index.glob("*"):
            if table.name not in tables:
                (table / name).unlink(missing_ok=True)

    def _delete_generations(self, place: Place, keep: str = "") -> None:
        folder = self._partition(place.source, place.partition) / _GENERATIONS
        # A name ends with twelve digits, so that `map` has nothing to do with `map-of-it`.
        for path in folder.glob(f"{place.product}-{'?' * 12}"):
            if path.name != keep:
                shutil.rmtree(path)


def folder_name(partition: str) -> str:
    """A name that every file system takes and that tells two partitions apart; the partition itself where that will do."""
    name = quote(partition, safe=" ()+,=@")
    if name.startswith("."):
        name = f"%2E{name[1:]}"
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[: _LONGEST_NAME - 17]}-{hashlib.sha256(partition.encode()).hexdigest()[:16]}"


def _read_rows(path: Path) -> pa.Table | None:
    """None when they are gone."""
    import pyarrow.parquet as pq

    for _ in range(_MOST_LOOKS):
        # A generation may be exchanged between following the link and opening the file.
        with suppress(FileNotFoundError), path.open("rb") as file:
            return pq.read_table(file)
    return None


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


@dataclass(frozen=True)
class ProductRows:
    """The rows of products, for SQL. prefix: of a namespace, before a source's name where its products lie."""

    store: ProductStore
    prefix: str

    def tables(self, source: str) -> list[str]:
        return self.store.tables(f"{self.prefix}{source}")

    def of(self, source: str, table: str) -> pa.Table | None:
        """All rows of a table; None when no product has any."""
        import pyarrow as pa

        parts = self.store.rows(f"{self.prefix}{source}", table)
        return pa.concat_tables(parts, promote_options="permissive") if parts else None
