"""Makes products: the rows of a batch, as they are published, to files. No Dagster here.

A product never changes what became of a file. One product of a batch is made at a time, from what is published at its
begin, so the last to be made knows the newest rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pyarrow as pa
from pebble import ProcessExpired
from pydantic import BaseModel

from pipeline_assets.columns import FILE_ID, arrow_schema
from pipeline_assets.failures import FailureKind, kind_of
from pipeline_assets.heartbeat import Heartbeat
from pipeline_assets.product import Making, Product, ProductResult
from pipeline_assets.product_making import ProductFailed, ProductTask, RowsOfBatch, TableFiles, make_product
from pipeline_assets.source import FileSource
from pipeline_assets.worker_pool import ReaderPool
from resources.errors import PermanentFailure
from resources.lake.lake import TableName
from resources.ledger.batches import Batch
from resources.ledger.leases import Lease
from resources.ledger.products import (
    BehindProduct,
    behind,
    give_products_back,
    newest_publication_of,
    note_failed,
    note_made,
    take_products,
)
from resources.ledger.publishing import published_snapshots
from resources.ledger.queries import list_files, row_counts
from resources.logs import bound, redact
from resources.platform import Platform
from resources.products import Place

Say = Callable[[str], None]
_WAIT_SECONDS = 0.1
_LONGEST_ERROR = 2000
NO_ROWS = "no rows: the batch has none, so there is no such product"
_NO_FOLDER = Path()


@dataclass(frozen=True)
class ProductReport:
    """What became of a product. folder: None when there is no such product of the batch, `because` of that; it is gone then."""

    folder: Path | None
    rows: Mapping[str, int]
    files: Mapping[str, int]
    """bytes of each file, by its path in the folder"""
    result: ProductResult
    seconds: float
    because: str = ""


def place_of(platform: Platform, source: FileSource, product: Product, partition: str) -> Place:
    return Place(products_source(platform, source), partition, product.name)


def products_source(platform: Platform, source: FileSource) -> str:
    """What a source is called where products lie."""
    return f"{platform.settings.table_prefix}{source.name}"


def run_product(
    platform: Platform, source: FileSource, config: BaseModel, product: Product, batch: Batch, run_id: str, say: Say
) -> ProductReport:
    """Make a product of a batch from its published rows, in place of its older generation.

    Doing it again equals doing it once. Raises ProductFailed, or what else fails; the older generation stays then.
    """
    with (
        bound(source=source.name, batch=batch.batch_id, run=run_id),
        _turn(platform, batch.batch_id, run_id, say) as lease,
    ):
        try:
            return _make(platform, source, config, product, batch, lease, say)
        except Exception as error:
            permanent = kind_of(error) is FailureKind.PERMANENT
            words = redact(str(error) if isinstance(error, PermanentFailure) else f"{type(error).__name__}: {error}")
            note_failed(
                platform.ledger, batch.batch_id, product.name, words[:_LONGEST_ERROR], run_id, permanent=permanent
            )  # fmt: skip
            raise


def _make(
    platform: Platform,
    source: FileSource,
    config: BaseModel,
    product: Product,
    batch: Batch,
    lease: Lease,
    say: Say,
) -> ProductReport:
    started = time.monotonic()
    ledger, store = platform.ledger, platform.products
    place = place_of(platform, source, product, batch.partition)
    publication = newest_publication_of(ledger, source.name)
    tables = _tables(platform, source, product, batch)
    rows = {name: table.rows for name, table in tables.items()}
    because = NO_ROWS if not any(rows.values()) and not product.when_empty else _skipped(product, config, batch, tables)
    if because:
        store.remove(place)
        note_made(ledger, lease, source.name, batch.batch_id, product.name, publication, lease.owner)
        return ProductReport(None, rows, {}, ProductResult(), time.monotonic() - started, because)
    earlier = {
        name: store.find(place_of(platform, source, _named(source, name), batch.partition))
        for name in (*product.after, *product.beside)
    }
    lacking = [
        name
        for name in product.after
        if earlier[name] is None and not _has_none(platform, source, config, _named(source, name), batch)
    ]
    if lacking:
        raise ProductFailed(
            f"{product.name} is made from {', '.join(lacking)}, which is not there for {batch.partition}. Materialize "
            f"{', '.join(f'{source.name}/{name}' for name in lacking)} first."
        )
    made = store.begin(place)
    try:
        products = {name: str(folder) for name, folder in earlier.items() if folder is not None}
        task = ProductTask(product, config, batch.partition, tables, str(made), products, batch.batch_id)
        if product.outside is None:
            result = _in_reader_process(platform, task)
        else:
            older = store.find(place)
            task = replace(task, older=None if older is None else str(older))
            result = make_product(task, product.outside(platform), say)
        files = {
            path.relative_to(made).as_posix(): path.stat().st_size for path in sorted(made.rglob("*")) if path.is_file()
        }
        folder = store.put(place, made)
    except BaseException:
        store.drop(made)
        raise
    note_made(ledger, lease, source.name, batch.batch_id, product.name, publication, lease.owner)
    return ProductReport(folder, rows, files, result, time.monotonic() - started)


def _skipped(product: Product, config: BaseModel, batch: Batch, tables: Mapping[str, TableFiles]) -> str:
    return product.skip(Making(RowsOfBatch(tables), _NO_FOLDER, config, batch.partition))


def _has_none(platform: Platform, source: FileSource, config: BaseModel, product: Product, batch: Batch) -> bool:
    """Whether a batch is right to have no such product."""
    return bool(_skipped(product, config, batch, _tables(platform, source, product, batch)))


def rows_for(platform: Platform, source: FileSource, product: Product, batch: Batch) -> RowsOfBatch:
    """The published rows that a product of a batch is made from, as its `make` sees them."""
    return RowsOfBatch(_tables(platform, source, product, batch))


def _named(source: FileSource, name: str) -> Product:
    return next(product for product in source.products if product.name == name)


def _tables(platform: Platform, source: FileSource, product: Product, batch: Batch) -> dict[str, TableFiles]:
    """Where the rows of the batch's files are in the tables that the product is made from."""
    counts = row_counts(platform.ledger, batch_id=batch.batch_id)
    files = sorted(list_files(platform.ledger, batch_id=batch.batch_id), key=lambda file: (file.key, file.file_id))
    published = published_snapshots(platform.ledger, source.name)
    found = {}
    for table in source.tables:
        if table.name not in product.of:
            continue
        of_table = {file_id: rows for file_id, rows in counts.get(table.name, {}).items() if rows}
        counted = {file.file_id: of_table[file.file_id] for file in files if file.file_id in of_table}
        paths: tuple[str, ...] = ()
        if counted:
            # Not by the batch's id: rows that an earlier generation committed may stand.
            paths = tuple(platform.lake.data_files(TableName(source.name, table.name), published.get(table.name)))
        schema = arrow_schema(table.schema)
        if table.name in product.columns:
            wanted = {*product.columns[table.name], FILE_ID}
            schema = pa.schema([column for column in schema if column.name in wanted])
        found[table.name] = TableFiles(paths, schema, counted)
    return found


def _in_reader_process(platform: Platform, task: ProductTask) -> ProductResult:
    settings, product = platform.settings, task.product
    preload = [make_product.__module__, product.make.__module__, *product.preload]
    with ReaderPool(1, settings.product_memory_mb, [name for name in preload if name != "__main__"]) as pool:
        try:
            return pool.result_of(pool.submit(make_product, task, timeout=settings.product_timeout_seconds))
        except TimeoutError as error:
            raise ProductFailed(
                f"making {product.name} took longer than {settings.product_timeout_seconds:g} s. If that is right, raise "
                f"STRANDLINE_PRODUCT_TIMEOUT_SECONDS and materialize it again."
            ) from error
        except MemoryError as error:
            raise ProductFailed(
                f"making {product.name} needed more than {settings.product_memory_mb} MiB. If that is right, raise "
                f"STRANDLINE_PRODUCT_MEMORY_MB and materialize it again."
            ) from error
        except ProcessExpired as error:
            pool.prove()
            raise ProductFailed(
                f"the process that made {product.name} died ({error}). The rows are unusual, or {product.make.__name__} has a "
                "fault that they show."
            ) from error


@contextmanager
def _turn(platform: Platform, batch_id: str, run_id: str, say: Say) -> Iterator[Lease]:
    """The right to make products of a batch, kept alive."""
    seconds = platform.settings.lease_seconds
    take = partial(take_products, platform.ledger, batch_id, run_id, seconds)
    said = False
    while (lease := take()) is None:
        if not said:
            say(f"waiting: another run makes products of batch {batch_id}")
            said = True
        time.sleep(_WAIT_SECONDS)
    with Heartbeat(platform.ledger, seconds) as heartbeat:
        heartbeat.keep(lease)
        try:
            yield lease
        finally:
            heartbeat.stop()
            give_products_back(platform.ledger, lease)


def behind_products(platform: Platform, source: FileSource, config: BaseModel) -> list[BehindProduct]:
    """The products of a source that lack something that was published."""
    names = [product.name for product in source.products_of(config)]
    return behind(platform.ledger, source.name, names) if names else []


def remake_products(
    platform: Platform, source: FileSource, config: BaseModel, batch: Batch, run_id: str, say: Say
) -> None:
    """Delete all products of a batch, then make them from the rows that it has now. One that fails is told and left away."""
    platform.products.remove_partition(products_source(platform, source), batch.partition)
    for product in source.products_of(config):
        try:
            run_product(platform, source, config, product, batch, run_id, say)
        except Exception as error:
            say(f"{source.name}/{product.name} of {batch.partition} was deleted and is not made anew: {error}")
