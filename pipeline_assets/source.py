"""What a source is: the FileSource declaration, from which its assets, checks, job and sensor follow.

Nothing here imports Dagster, so that reader processes start fast; `source_defs` makes the Dagster objects.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel

from pipeline_assets.aggregate import Aggregate
from pipeline_assets.columns import Schema, description_of, own_names
from pipeline_assets.landed_file import LandedFile
from pipeline_assets.product import Product, check_products
from pipeline_assets.reader_versions import EVERY_FILE, Serves
from pipeline_assets.serving import Serving
from pipeline_assets.source_check import SourceCheck
from resources.landing.shards import DateShards
from resources.ledger.arrivals import Delivery
from resources.ledger.assembly import group_batch_id

if TYPE_CHECKING:
    from resources.platform import Platform

SOURCE_NAME = r"[a-z][a-z0-9_]{0,40}"
"""What a source may be called."""
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
    at_most: the field of the source's configuration that says how many such files a run reads at once, because reading
             one takes much memory or a service that others use, too. None, or None in that field: as many as it can.
    serves: of the files that it recognises, those that it is for, where a format has changed in time. The first reader
            that recognises a file and serves it reads it; the ledger keeps its name with the file.
    """

    name: str
    description: str
    recognises: Callable[[bytes], bool]
    read: Callable[[LandedFile, Any], Any]
    serves: Serves = EVERY_FILE
    at_most: str | None = None


@dataclass(frozen=True)
class Table:
    """One table of a source in the lake: ``source.name``.

    schema: the pandera model of its columns, or `Columns` for a table that is declared from data. The frame adds
            `file_id` and `batch_id`, and fills `source_key` where the schema has it and the rows do not.
    derived_from: the source's tables it is made from; empty for the checked dataset, which is made from the files.
    dataset: the dataset that it is a table of. `derive` may leave such a table out for a file that has no rows for it, a
             batch without rows for it leaves it as it is, and what is checked of it shows at the dataset.
    """

    name: str
    schema: Schema
    derived_from: tuple[str, ...] = ()
    dataset: str | None = None

    @property
    def description(self) -> str:
        return description_of(self.schema)


@dataclass(frozen=True)
class Dataset:
    """A part of what the files hold, where a source has many tables: a kind of document in an archive, say.

    It stands as an asset of its own between the files and the tables that are made of it, and has no rows of its own.
    columns: its fields, which its tables name as what their columns are made from; name, type and description.
    told: what else people should see of it: titles and texts.
    """

    name: str
    description: str
    columns: tuple[tuple[str, str, str], ...] = ()
    told: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Records:
    """Files that are read as one because of their names, such as a header with the signal files that it describes.

    All files of a record are in one folder. One of them, the primary, is what the reader gets; the others are its
    `companions`. A record waits for what is missing, ``STRANDLINE_COMPANION_WAIT_SECONDS`` at most, and is then refused
    as `incomplete_record`; when the rest lands, or a part is overwritten, all of it is read again.

    name_of: the record that a key is a part of; None for a file that can be no part of any.
    primary: of the names of a record's files, the one to read it from; None while that is not there.
    needs: names of the files without which the primary cannot be read, from its name and, if it asks, its first
           `RECORD_HEAD_BYTES` bytes.
    stands_alone: whether the file of a key is read at once, as a record of its own if nothing else is there.
    wanted: what a person calls the files that a record is read from; it stands in refusals.
    """

    name_of: Callable[[str], str | None]
    primary: Callable[[Collection[str]], str | None]
    needs: Callable[[str, Callable[[], bytes]], Collection[str]]
    stands_alone: Callable[[str], bool]
    wanted: str


@dataclass(frozen=True)
class Groups:
    """Files that belong together by a named part of their key, such as the lines of a survey: one partition a group.

    A run does all files that the group has now; what it commits takes the place of the group's earlier generation.

    pattern: a regular expression that the whole key matches, with a part named ``group``. The example
             ``toy/(?P<group>[^/]+)/.+`` takes each folder for a group.
    quiet_seconds: a group is read once nothing more came for so long, or
    done: once a file landed whose whole key this regular expression matches; it is a mark and is not read.
    shared: files of a group whose whole key this regular expression matches are given, as `companions`, to the readers of
            all others: what says something about the whole group, such as a survey's declaration. They are read, too.
    wanted: what such a key looks like, for people.
    stops: asked when files of a group are refused: from the configuration, what the group shares and the keys of the refused
            files, why nothing of the group's new generation may be visible (the batch is held); None: the others go on.
    """

    pattern: str
    quiet_seconds: float = 60.0
    done: str = r"(?!)"
    shared: str = r"(?!)"
    wanted: str = ""
    stops: Callable[[Any, Mapping[str, LandedFile], Sequence[str]], str | None] | None = None

    def group_of(self, key: str) -> str:
        """The group of a key; `NO_GROUP` for a key that names none that can be a partition."""
        match = re.fullmatch(self.pattern, key, re.DOTALL)
        name = match["group"] if match else ""
        return NO_GROUP if not name or _NO_PARTITION.search(name) else name

    def is_done(self, key: str) -> bool:
        return re.fullmatch(self.done, key, re.DOTALL) is not None

    def is_shared(self, key: str) -> bool:
        return re.fullmatch(self.shared, key, re.DOTALL) is not None

    def is_about_all(self, key: str) -> bool:
        """Whether the file says something about the group and is no part of its data."""
        return self.is_done(key) or self.is_shared(key)


@dataclass(frozen=True)
class Adapted:
    """A source as one run has it: with tables, and a configuration to read by, that are not those that were declared.

    because: what people are told of it.
    """

    source: FileSource
    config: BaseModel
    because: str


NO_GROUP = "(no group)"
_NO_PARTITION = re.compile(r"\.\.\.|[\x00-\x1f]")
"""What Dagster takes in no partition's name."""

RECORD_HEAD_BYTES = 65_536


@dataclass(frozen=True)
class FileSource:
    """One kind of delivery: how its files are recognised, read, checked and turned into tables.

    name: its folder in the landing store, its schema in SQL, its group in the UI.
    derive: what a reader gave, and the configuration, to the rows of every table by name. Raises Refused.
            None for a source with one table whose rows the reader gives.
    datasets: parts of what the files hold, where `tables` are so many that people need them in groups.
    aggregates: tables over all batches of the source.
    products: files made from a batch's rows after its commit, each after those that it is made from.
    checks: what is judged of a batch's rows besides their schema, shown as asset checks that warn.
    config: a pydantic model; each field is set by ``STRANDLINE_<SOURCE>_<FIELD>``.
    picture: what a reader gave, and the derived rows, to a PNG that shows one file on the asset's page.
    examples: writes generated files of the source into a folder, good ones and broken ones.
    question: a query worth asking of the tables, for people who begin.
    records: which files are read as one by their names; None: each by itself.
    groups: which files are one partition; None: files are batched as they arrive.
    overwrite: what other bytes under a known key are: they `replace` the older ones, or are a `new` delivery beside them.
    equal_bytes: what bytes that are committed under another key are: a file of their `own`, or a `duplicate` that is
            not read into the tables again.
    preload, preload_for_picture: modules that `read` and `derive`, or `picture`, import inside their functions, so that
            the definitions load fast; reader processes import them once, before their first file.
    expect_every: how often files are expected, if they are: the source's assets then have a freshness policy and check.
            `STRANDLINE_EXPECT_EVERY_HOURS` replaces it.
    shards: how its keys are sharded by date, so that listing can leave out folders in which no more files land. The
            setting STRANDLINE_DATE_SHARDS says so for a deployment.
    prepare: the platform and the configuration, to the configuration as reading needs it: with what only the platform
             knows, asked once a run.
    adapt: the platform, the source, its configuration and the tables that a batch has rows for (None: nothing is read yet), to
            the source as this run must have it, because the lake's tables are not as declared; None where it is right as it
            is. Asked before a batch is read and after; what it gives after is read by anew.
    serving: a second store that holds its rows, such as a database behind an API.
    after: sources whose landed files are read before this one's, because reading these leans on them.
    subject: the column that says whose rows they are, as ``table.column``; `strandline forget --subject` goes by it.
    on_conflict: what a person does when a dataset's table cannot take its rows any more, because its schema changed.
    hold_above: the share of refused files above which a batch is held back, in batches of `hold_from_files` or more.
    """

    name: str
    description: str
    owners: tuple[str, ...]
    readers: tuple[Reader, ...]
    tables: tuple[Table, ...]
    derive: Callable[[Any, Any], Mapping[str, Any]] | None = None
    datasets: tuple[Dataset, ...] = ()
    aggregates: tuple[Aggregate, ...] = ()
    products: tuple[Product, ...] = ()
    checks: tuple[SourceCheck, ...] = ()
    config: type[BaseModel] = NoConfig
    picture: Callable[[Any, Mapping[str, Any]], bytes] | None = None
    examples: Callable[[Path], Any] | None = None
    question: str = ""
    records: Records | None = None
    groups: Groups | None = None
    overwrite: Literal["replace", "new"] = "replace"
    equal_bytes: Literal["own", "duplicate"] = "own"
    preload: tuple[str, ...] = ()
    preload_for_picture: tuple[str, ...] = ()
    shards: DateShards | None = None
    on_conflict: str = ""
    hold_above: float = 0.95
    hold_from_files: int = 50
    kinds: frozenset[str] = field(default_factory=frozenset)
    expect_every: timedelta | None = None
    prepare: Callable[[Platform, Any], BaseModel] | None = None
    adapt: Callable[[Platform, FileSource, Any, Collection[str] | None], Adapted | None] | None = None
    serving: Serving | None = None
    after: tuple[str, ...] = ()
    subject: str | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(SOURCE_NAME, self.name):
            raise ValueError(f"source name {self.name!r}: use lower-case letters, digits and underscores")
        if self.expect_every is not None and self.expect_every < timedelta(minutes=1):
            raise ValueError(f"source {self.name}: expect_every is {self.expect_every}; use a minute or more")
        readers = [reader.name for reader in self.readers]
        if len(set(readers)) != len(readers) or any(len(name) > 64 for name in readers):
            raise ValueError(f"source {self.name}: readers need names of their own, of at most 64 letters: {readers}")
        unknown_limits = {reader.at_most for reader in self.readers if reader.at_most} - set(self.config.model_fields)
        if unknown_limits:
            raise ValueError(
                f"source {self.name}: `at_most` names no field of {self.config.__name__}: {sorted(unknown_limits)}"
            )
        if self.derive is None and len(self.tables) != 1:
            raise ValueError(f"source {self.name}: without `derive` it has exactly one table, not {len(self.tables)}")
        unknown = {parent for table in self.tables for parent in table.derived_from} - set(self.table_names)
        if unknown:
            raise ValueError(f"source {self.name}: derived_from names no table of it: {sorted(unknown)}")
        for position, one in enumerate(self.tables):
            later = set(one.derived_from) - {earlier.name for earlier in self.tables[:position]}
            if later:  # a batch's tables are shown in their order, and Dagster takes no child before its parent
                raise ValueError(f"source {self.name}: name {sorted(later)} before {one.name}, which is made of them")
        for aggregate in self.aggregates:
            if aggregate.of not in self.table_names:
                raise ValueError(
                    f"aggregate {self.name}.{aggregate.name} is of {aggregate.of!r}, which is no table of the source. "
                    f"Tables: {', '.join(self.table_names)}"
                )
        for check in self.checks:
            # A batch may leave a dataset's table as it is, so nothing is judged there.
            columns = {table.name: set(own_names(table.schema)) for table in self.tables if not table.dataset}
            if not set(check.columns) <= columns.get(check.table, set()):
                raise ValueError(
                    f"check {self.name}.{check.name} is of {check.table!r} with the columns {list(check.columns)}, which "
                    "the source does not have"
                )
        if len({(check.table, check.name) for check in self.checks}) != len(self.checks):
            raise ValueError(f"source {self.name}: every check of a table needs a name of its own")
        if self.products:
            of_tables = {table.name: own_names(table.schema) for table in self.tables}
            check_products(self.name, self.products, of_tables, [aggregate.name for aggregate in self.aggregates])
        datasets = {dataset.name for dataset in self.datasets}
        kinds = (self.datasets, self.aggregates, self.products)
        names = [*self.table_names, *(one.name for some in kinds for one in some)]
        if len(set(names)) != len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(
                f"source {self.name}: every table, dataset, aggregate and product needs a name of its own: {twice}"
            )
        strange = sorted({table.dataset for table in self.tables if table.dataset} - datasets)
        if strange:
            raise ValueError(f"source {self.name}: tables are of datasets that it does not have: {strange}")
        empty = sorted(datasets - {table.dataset for table in self.tables})
        if empty:
            raise ValueError(f"source {self.name}: datasets without a table: {empty}")
        if self.tables[0].dataset:
            raise ValueError(
                f"source {self.name}: its first table is the one that every file has rows in, of no dataset"
            )
        if self.subject is not None:
            table, _, column = self.subject.partition(".")
            schemas = {one.name: one.schema for one in self.tables}
            if table not in schemas or column not in own_names(schemas[table]):
                raise ValueError(
                    f"source {self.name}: subject is {self.subject!r}; expected TABLE.COLUMN of its tables"
                )
        if self.records and self.groups:
            raise ValueError(f"source {self.name}: it has either `records` or `groups`, not both")
        if self.groups and "group" not in re.compile(self.groups.pattern).groupindex:
            raise ValueError(f"source {self.name}: `groups.pattern` has no part named group: (?P<group>...)")
        if self.overwrite == "new" and (self.records or self.groups):
            raise ValueError(f"source {self.name}: parts of records and groups are replaced; overwrite is not `new`")
        if self.equal_bytes == "duplicate" and self.overwrite != "new":
            # Were the first of equal files replaced, its duplicates would be nowhere.
            raise ValueError(f"source {self.name}: equal_bytes=`duplicate` goes with overwrite=`new`")

    def at_most(self, config: BaseModel) -> dict[str, int]:
        """How many files a run reads at once, by the reader's name; only those that are limited."""
        limits = {reader.name: getattr(config, reader.at_most) for reader in self.readers if reader.at_most}
        return {name: limit for name, limit in limits.items() if limit is not None}

    @property
    def delivery(self) -> Delivery:
        """What its files mean when they arrive."""
        if self.records is not None:
            alone = self.records.stands_alone
            return Delivery(self.records.name_of, waits=lambda key: not alone(key))
        if self.groups is not None:
            return Delivery(self.groups.group_of)
        return Delivery(keeps_older=self.overwrite == "new")

    def products_of(self, config: Any) -> tuple[Product, ...]:
        """Its products, by this configuration."""
        return tuple(product for product in self.products if product.is_on(config))

    def batch_of(self, partition: str) -> str:
        """The batch that a partition is."""
        return partition if self.groups is None else group_batch_id(self.name, partition)

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
