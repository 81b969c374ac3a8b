"""What a reader process does to make a product: read the batch's rows from data files, and call its function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import BaseModel

from pipeline_assets.columns import BATCH_ID, FILE_ID, RowsError, to_table
from pipeline_assets.landed_file import Refused
from pipeline_assets.product import Making, Product, ProductResult
from pipeline_assets.validation import violations
from resources.errors import PermanentFailure, TransientFailure
from resources.lake import files as files_of_lake
from resources.products import ROWS_SUFFIX

PIECE_ROWS = 1 << 20


class ProductFailed(PermanentFailure):
    """A product cannot be made. The message says why and what to do."""


@dataclass(frozen=True)
class TableFiles:
    """The rows of some files in one table. paths: data files that may hold them. counts: rows by file, in the order wanted."""

    paths: tuple[str, ...]
    schema: pa.Schema
    counts: Mapping[str, int]

    @property
    def rows(self) -> int:
        return sum(self.counts.values())


@dataclass(frozen=True)
class ProductTask:
    """One product of one batch."""

    product: Product
    config: BaseModel
    partition: str
    tables: Mapping[str, TableFiles]
    folder: str
    products: Mapping[str, str]
    batch_id: str
    older: str | None = None


class RowsOfBatch(Mapping[str, pa.Table]):
    """A batch's rows by table, each table read when it is first asked for."""

    def __init__(self, tables: Mapping[str, TableFiles]) -> None:
        self._tables = tables
        self._read: dict[str, pa.Table] = {}

    def __getitem__(self, name: str) -> pa.Table:
        if name not in self._read:
            self._read[name] = read_rows(self._tables[name])
        return self._read[name]

    def pieces(self, table: str) -> Iterator[pa.Table]:
        return read_pieces(self._tables[table])

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)


def read_rows(table: TableFiles) -> pa.Table:
    """Rows of files, file by file; within a file as they were written. Raises OSError when they are not there any more."""
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    if not table.rows:
        return table.schema.empty_table()
    ids = list(table.counts)
    rows = _dataset(table).to_table(filter=ds.field("file_id").isin(ids))
    _check_count(rows.num_rows, table.rows)
    rank = pc.index_in(rows["file_id"], value_set=pa.array(ids))
    return rows.take(pc.array_sort_indices(rank))  # which keeps the order within a file


def read_pieces(table: TableFiles) -> Iterator[pa.Table]:
    """The same rows in the same order, at most `PIECE_ROWS` of a file at a time. Raises OSError as `read_rows` does."""
    import pyarrow.dataset as ds

    if not table.rows:
        return
    data = _dataset(table)
    wanted = ds.field("file_id").isin(list(table.counts))
    # Looked at once: what row groups say of themselves stays with the fragments.
    held = [one for one in data.get_fragments() if one.subset(wanted).row_groups]
    data = ds.FileSystemDataset(held, table.schema, data.format, data.filesystem)
    for file_id, count in table.counts.items():
        found = 0
        scanner = data.scanner(
            filter=ds.field("file_id") == file_id, batch_size=PIECE_ROWS, batch_readahead=1, fragment_readahead=1
        )
        for batch in scanner.to_batches():
            if batch.num_rows:
                found += batch.num_rows
                yield pa.Table.from_batches([batch])
        _check_count(found, count)


def _dataset(table: TableFiles) -> Any:
    import pyarrow.dataset as ds

    places = [files_of_lake.path_in(path) for path in table.paths]
    return ds.dataset(places, schema=table.schema, format="parquet", **files_of_lake.place(table.paths[0]))


def _check_count(found: int, counted: int) -> None:
    if found != counted:
        # Data files changed between asking the ledger and reading them; the next try asks again.
        raise OSError(f"found {found} rows in the data files, where the ledger counts {counted}")


def make_product(task: ProductTask, outside: Any = None, say: Callable[[str], None] | None = None) -> ProductResult:
    """Make a product in its folder: in a reader process, unless it needs something of `outside`.

    Raises ProductFailed for what its function got wrong.
    """
    product = task.product
    folder = Path(task.folder)
    making = Making(
        RowsOfBatch(task.tables),
        folder,
        task.config,
        task.partition,
        {name: Path(at) for name, at in task.products.items()},
        older=None if task.older is None else Path(task.older),
        outside=outside,
    )
    if say is not None:
        making = replace(making, say=say)
    try:
        result = product.make(making)
    except (OSError, MemoryError, PermanentFailure, TransientFailure):
        raise
    except Refused as refused:
        raise ProductFailed(
            f"{product.name} cannot be made of these rows ({refused.error_class}): {refused}"
        ) from refused
    except Exception as error:
        raise ProductFailed(
            f"{product.make.__name__} failed with {type(error).__name__}: {error}. The rows are unusual, or the function has "
            f"a fault that they show. Mend it, and materialize {product.name} again."
        ) from error
    problems = _problems(product, result, folder) or _write_tables(task, result)
    if problems:
        raise ProductFailed(
            f"{product.make.__name__} has a fault: {problems}. Mend it, and materialize {product.name} again."
        )
    # The rows lie beside the files now.
    return replace(result, rows={})


def _problems(product: Product, result: object, folder: Path) -> str:
    if not isinstance(result, ProductResult):
        return f"it gave {type(result).__name__}, not a ProductResult"
    if result.checks.keys() != product.checks.keys():
        return f"it reported the checks {sorted(result.checks)}, and declares {sorted(product.checks)}"
    if not any(path.is_file() for path in folder.rglob("*")):
        return "it left no file in its folder"
    like_rows = sorted(path.name for path in folder.rglob(f"*{ROWS_SUFFIX}"))
    if like_rows:
        return f"it left {like_rows[0]}, and files that end in {ROWS_SUFFIX} are those of its tables; call it something else"
    if result.rows.keys() != product.tables.keys():
        return f"it gave rows of {sorted(result.rows)}, and declares the tables {sorted(product.tables)}"
    return ""


def _write_tables(task: ProductTask, result: ProductResult) -> str:
    """Writes the rows of the product's tables beside its files; what is wrong with them, or nothing."""
    import pyarrow.parquet as pq

    fill = {FILE_ID: None, BATCH_ID: task.batch_id}
    for name, schema in task.product.tables.items():
        try:
            rows = to_table(schema, result.rows[name], fill, is_aggregate=True)
        except RowsError as error:
            return f"the rows of its table {name} are no such rows ({error})"
        broken = violations(schema, rows, [rows.num_rows], tuple(fill))
        if broken:
            return f"the rows of its table {name} break their schema ({broken[0].message})"
        pq.write_table(rows, Path(task.folder) / f"{name}{ROWS_SUFFIX}", compression="zstd")
    return ""
