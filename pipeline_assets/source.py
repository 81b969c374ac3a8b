"""What a source is: the FileSource declaration, from which its assets, checks, job and sensor follow.

Nothing here imports Dagster, so that reader processes start fast; `source_defs` makes the Dagster objects.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from pipeline_assets.landed_file import LandedFile

if TYPE_CHECKING:
    from pandera.pandas import DataFrameModel

HEAD_BYTES = 512
"""How much of a file a reader sees to recognise it."""


class NoConfig(BaseModel):
    """The configuration of a source that has none."""


@dataclass(frozen=True)
class Reader:
    """One kind of file that a source takes.

    description: what a person calls such a file; it stands in the refusal of files that no reader recognises.
    recognises: from the file's first `HEAD_BYTES` bytes, whether this reader can read it.
    read: the file to whatever `FileSource.derive` takes, or to the rows of the source's only table.
          Raises Refused for a bad file.
    """

    name: str
    description: str
    recognises: Callable[[bytes], bool]
    read: Callable[[LandedFile, Any], Any]


@dataclass(frozen=True)
class Table:
    """One table of a source in the lake: ``source.name``.

    schema: the pandera model of its columns. The frame adds `file_id` and `batch_id`, and fills `source_key` where
            the model has it and the rows do not.
    derived_from: the source's tables it is made from; empty for the checked dataset, which is made from the files.
    """

    name: str
    schema: type[DataFrameModel]
    derived_from: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        return (self.schema.__doc__ or "").strip()


@dataclass(frozen=True)
class FileSource:
    """One kind of delivery: how its files are recognised, read, checked and turned into tables.

    name: its folder in the landing store, its schema in SQL, its group in the UI.
    derive: what a reader gave, and the configuration, to the rows of every table by name. Raises Refused.
            None for a source with one table whose rows the reader gives.
    config: a pydantic model; each field is set by ``STRANDLINE_<SOURCE>_<FIELD>``.
    picture: what a reader gave, and the derived rows, to a PNG that shows one file on the asset's page.
    examples: writes generated files of the source into a folder, good ones and broken ones.
    question: a query worth asking of the tables, for people who begin.
    preload, preload_for_picture: modules that `read` and `derive`, or `picture`, import inside their functions, so that
            the definitions load fast; reader processes import them once, before their first file.
    hold_above: the share of refused files above which a batch is held back, in batches of `hold_from_files` or more.
    """

    name: str
    description: str
    owners: tuple[str, ...]
    readers: tuple[Reader, ...]
    tables: tuple[Table, ...]
    derive: Callable[[Any, Any], Mapping[str, Any]] | None = None
    config: type[BaseModel] = NoConfig
    picture: Callable[[Any, Mapping[str, Any]], bytes] | None = None
    examples: Callable[[Path], Any] | None = None
    question: str = ""
    preload: tuple[str, ...] = ()
    preload_for_picture: tuple[str, ...] = ()
    hold_above: float = 0.95
    hold_from_files: int = 50
    kinds: frozenset[str] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", self.name):
            raise ValueError(f"source name {self.name!r}: use lower-case letters, digits and underscores")
        if self.derive is None and len(self.tables) != 1:
            raise ValueError(f"source {self.name}: without `derive` it has exactly one table, not {len(self.tables)}")
        unknown = {parent for table in self.tables for parent in table.derived_from} - set(self.table_names)
        if unknown:
            raise ValueError(f"source {self.name}: derived_from names no table of it: {sorted(unknown)}")

    @property
    def prefix(self) -> str:
        """The source's folder in the landing store, with the slash."""
        return f"{self.name}/"

    @property
    def example_query(self) -> str:
        return self.question or f"SELECT * FROM {self.name}.{self.tables[0].name} LIMIT 5"

    @property
    def table_names(self) -> tuple[str, ...]:
        return tuple(table.name for table in self.tables)
