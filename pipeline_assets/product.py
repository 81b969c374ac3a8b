"""What a product is: files made from the rows of one batch after its commit, such as a document, a picture, NetCDF.

Nothing here imports Dagster, so that `make` is a plain function that a test or a notebook calls. `product_run` runs it,
`product_defs` makes the Dagster objects.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa

from pipeline_assets.columns import Schema


@runtime_checkable
class InPieces(Protocol):
    """Rows that can be had piece by piece."""

    def pieces(self, table: str) -> Iterator[pa.Table]: ...


def _unheard(message: str) -> None:
    pass


@dataclass(frozen=True)
class Making:
    """What a product is made from.

    rows: by table, all rows of the batch (in a source with groups: of the group), files in the order of their keys and
          their rows as the reader gave them, with `file_id` and `batch_id`. A table is read when it is asked for.
    folder: empty, and the product's own; what is in it when `make` returns is the product.
    config: the source's configuration.
    partition: the group, or the batch's id.
    products: by name, the folders of the products that it comes after and of those beside it, of those that there are.
    older: the folder of the generation that this one takes the place of; None where there is none, and for products that are
            made in a reader process.
    outside: what `Product.outside` gave.
    say: tells people of the progress, in the run's log; nobody hears it in a reader process.
    """

    rows: Mapping[str, pa.Table]
    folder: Path
    config: Any
    partition: str
    products: Mapping[str, Path] = field(default_factory=dict)
    older: Path | None = None
    outside: Any = None
    say: Callable[[str], None] = _unheard

    def pieces(self, table: str) -> Iterator[pa.Table]:
        """The rows of a table in the same order, a part of a file's at a time, for what shall not hold all of them."""
        if isinstance(self.rows, InPieces):
            yield from self.rows.pieces(table)
        else:
            yield self.rows[table]


@dataclass(frozen=True)
class Finding:
    """What a check found in a product. metadata: numbers and short texts by name. is_error: not passing is more than a
    warning.
    """

    passed: bool
    description: str
    metadata: Mapping[str, str | int | float] = field(default_factory=dict)
    is_error: bool = False


@dataclass(frozen=True)
class ProductResult:
    """What `make` tells of the product, besides the files in its folder.

    markdown: shown on the asset's page. picture: a PNG shown there, of at most 100 kB.
    metadata: numbers and short texts, by name. checks: a finding for each check that the product declares.
    rows: for each table that the product declares, its rows, as `derive` gives those of a source's tables.
    """

    markdown: str = ""
    picture: bytes | None = None
    metadata: Mapping[str, str | int | float] = field(default_factory=dict)
    checks: Mapping[str, Finding] = field(default_factory=dict)
    rows: Mapping[str, Any] = field(default_factory=dict)


def _always(config: Any) -> bool:
    return True


def _no_pool(config: Any) -> str | None:
    return None


def _never_skipped(making: Making) -> str:
    return ""


@dataclass(frozen=True)
class Product:
    """Files made from the committed rows of a batch: an asset after the tables, in the same partition and job.

    It is made in a reader process, with limits of time and memory (unless it has an `outside`), and takes the place of its
    older generation whole. When it fails, its asset fails; files, tables and other products are as they were, and it can be
    materialized alone.

    of: the tables that it is made from. after: products of the same source that it is made from; without one of them it
    cannot be made. beside: such that it takes in where they are there.
    make: what is there to a folder with files. A pure function; it raises Refused when it cannot be made of these rows.
    columns: of some of these tables, the only columns that it needs; the others are not read.
    is_on: from the source's configuration, whether there is such a product at all.
    skip: from the rows, why this batch has no such product, or nothing where it has one. Products after it are made without it.
          It sees rows and configuration alone.
    outside: from the platform to what `make` needs of it, such as a licensed host; a function of a module. `make` then
             runs in the run's own process, without limits, for it waits for work that is done elsewhere; an error of that
             machinery is tried again.
    pool: from the source's configuration, the pool of Dagster whose limit its runs keep; None: none but those of all runs.
    told: what people see of it before any batch, besides what the frame tells: short texts by name.
    when_empty: whether `make` is called also for a batch that has no rows any more, to take away what it put elsewhere.
    checks: for each check whose finding `make` reports, what it is about.
    tables: small tables about the product, by name, with their schemas: `make` gives their rows, which lie in the product's
            folder, come and go with it, and stand beside the source's tables in SQL. Several products may have rows of one.
    preload: modules that `make` imports inside of it; they are imported once, before it is called.
    kinds: what it consists of, for the UI, such as ``netcdf``.
    """

    name: str
    description: str
    of: tuple[str, ...]
    make: Callable[[Making], ProductResult]
    after: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    is_on: Callable[[Any], bool] = _always
    skip: Callable[[Making], str] = _never_skipped
    outside: Callable[[Any], Any] | None = None
    pool: Callable[[Any], str | None] = _no_pool
    told: Mapping[str, str] = field(default_factory=dict)
    when_empty: bool = False
    checks: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, Schema] = field(default_factory=dict)
    preload: tuple[str, ...] = ()
    kinds: frozenset[str] = frozenset({"file"})

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", self.name):
            raise ValueError(f"product name {self.name!r}: use lower-case letters, digits and underscores")
        if not self.of:
            raise ValueError(f"product {self.name}: `of` names the tables that it is made from; at least one is needed")


def check_products(
    source: str, products: tuple[Product, ...], tables: Mapping[str, Collection[str]], also_taken: Collection[str] = ()
) -> None:
    """Raises ValueError unless every product is made from tables and earlier products of its source.

    tables: the columns of each. also_taken: what else is called something in SQL.
    """
    known: list[str] = []
    taken = list(also_taken)
    of_products: dict[str, Schema] = {}
    for product in products:
        for what, names, there in (
            ("of", product.of, tuple(tables)),
            ("after", product.after, tuple(known)),
            ("beside", product.beside, tuple(known)),
        ):
            unknown = [name for name in names if name not in there]
            if unknown:
                raise ValueError(
                    f"product {source}.{product.name}: `{what}` names {', '.join(map(repr, unknown))}; expected "
                    f"{'tables' if what == 'of' else 'products declared before it'}: {', '.join(there) or 'there are none'}"
                )
        for table, columns in product.columns.items():
            unknown = [name for name in columns if table not in product.of or name not in tables[table]]
            if unknown:
                raise ValueError(
                    f"product {source}.{product.name}: `columns` names {', '.join(map(repr, unknown))} of {table}, which is no "
                    "column of a table that it is made from"
                )
        for name, schema in product.tables.items():
            if of_products.setdefault(name, schema) is not schema:
                raise ValueError(
                    f"product {source}.{product.name}: its table {name!r} is one of another product, with another schema; give "
                    "it a name of its own, or the same schema"
                )
            if not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", name) or name in (*tables, *taken):
                raise ValueError(
                    f"product {source}.{product.name}: its table {name!r} needs a name of its own, of lower-case letters, digits "
                    f"and underscores; taken are {', '.join((*tables, *taken))}"
                )
        known.append(product.name)
