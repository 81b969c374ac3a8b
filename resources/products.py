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

    def rows(self, source: str) -> dict[str, pa.Table]:
        """By table, the rows that the products of a source have of it, of each product as it was made last."""

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
        self._link(place).unlink(missing_ok=True)
        self._delete_generations(place)

    def remove_partition(self, source: str, partition: str) -> None:
        folder = self._partition(source, partition)
        if folder.exists():
            shutil.rmtree(folder)

    def rows(self, source: str) -> dict[str, pa.Table]:
        for _ in range(_MOST_LOOKS - 1):
            # A generation may be exchanged between listing and reading.
            with suppress(FileNotFoundError):
                return self._rows(source)
        return self._rows(source)

    def _rows(self, source: str) -> dict[str, pa.Table]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        found: dict[str, list[pa.Table]] = {}
        for path in sorted((self.root / source).glob(f"*/*/*{ROWS_SUFFIX}")):
            # Links aside begin with a dot.
            if not path.parent.name.startswith("."):
                found.setdefault(path.name.removesuffix(ROWS_SUFFIX), []).append(pq.ParquetFile(path).read())
        return {name: pa.concat_tables(parts, promote_options="permissive") for name, parts in found.items()}

    def uri(self, source: str) -> str:
        return f"file://{self.root / source}"

    def _partition(self, source: str, partition: str) -> Path:
        return self.root / source / folder_name(partition)

    def _link(self, place: Place) -> Path:
        return self._partition(place.source, place.partition) / place.product

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


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


@dataclass(frozen=True)
class ProductRows:
    """The rows of products, for SQL. prefix: of a namespace, before a source's name where its products lie."""

    store: ProductStore
    prefix: str

    def of(self, source: str) -> dict[str, pa.Table]:
        return self.store.rows(f"{self.prefix}{source}")
