"""What a run does with an aggregate: find the keys whose rows changed, compute these anew, commit, publish.

No Dagster here: `aggregate_defs` wraps this into assets, and tests call it directly.
"""

from __future__ import annotations

import hashlib
import inspect
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from pipeline_assets.aggregate import Aggregate
from pipeline_assets.columns import BATCH_ID, FILE_ID, RowsError, arrow_schema, columns_of, to_table
from pipeline_assets.heartbeat import Heartbeat
from pipeline_assets.source import FileSource
from pipeline_assets.validation import to_pandas, violations
from resources.errors import PermanentFailure
from resources.lake import files as files_of_lake
from resources.lake.changes import Snapshot, TouchedKeys, open_workspace, quoted, same_keys
from resources.lake.lake import Committed, SnapshotGone, TableName, new_data_file
from resources.lake.sql import select_rows
from resources.ledger.aggregates import (
    Behind,
    MadeFrom,
    Publication,
    begin,
    behind,
    give_aggregate_back,
    made_from,
    newest_publication,
    publish_aggregate,
    take_aggregate,
)
from resources.ledger.leases import Lease
from resources.platform import Platform

_ROWS_AT_ONCE = 200_000
"""What `compute` gets at once, unless a single key has more."""
_MOST_LOOKS = 3
_WAIT_SECONDS = 0.1
_TOLERANCE = 1e-9

Say = Callable[[str], None]


class WrongAggregate(PermanentFailure, ValueError):
    """`compute` gave rows that do not make its table. Nothing was published; the message says what is wrong."""


@dataclass(frozen=True)
class AggregateReport:
    """What an update did."""

    committed: Committed
    keys: int
    """keys computed anew, also those that have no rows any more"""
    rows_read: int
    rebuilt: str
    """why the whole table was made anew; empty when only what changed was"""
    publication: int
    """the source's publication that the table shows; 0 when the source has none yet"""
    seconds: float


def fingerprint(aggregate: Aggregate, config: BaseModel) -> str:
    """Names the code that makes an aggregate: the module of `compute`, the columns, the configuration."""
    try:
        code = inspect.getsource(sys.modules[aggregate.compute.__module__])
    except (OSError, TypeError, KeyError):
        code = aggregate.compute.__qualname__
    columns = [(c.name, str(c.type), c.nullable, c.rules) for c in columns_of(aggregate.schema, True)]
    parts = (code, aggregate.compute.__qualname__, columns, aggregate.of, aggregate.keys, aggregate.columns)
    return hashlib.sha256(f"{parts} {config.model_dump_json()}".encode()).hexdigest()[:16]


def check_declaration(source: FileSource, aggregate: Aggregate) -> None:
    """Raises ValueError when the columns that an aggregate names are not there."""
    table = next(table for table in source.tables if table.name == aggregate.of)
    have = {column.name: column.type for column in columns_of(table.schema)}
    unknown = [name for name in (*aggregate.keys, *aggregate.columns) if name not in have]
    name = f"{source.name}.{aggregate.name}"
    if unknown:
        raise ValueError(f"aggregate {name}: {source.name}.{table.name} has no columns {unknown}. It has: {list(have)}")
    own = {column.name: column for column in columns_of(aggregate.schema, True)}
    missing = [key for key in aggregate.keys if key not in own or own[key].type != have[key]]
    if missing:
        raise ValueError(
            f"aggregate {name}: its schema {aggregate.schema.__name__} must have the keys {missing}, of the same type as in "
            f"{source.name}.{table.name}"
        )


def is_behind(platform: Platform, source: FileSource, aggregate: Aggregate, config: BaseModel) -> Behind | None:
    """Whether an aggregate lacks something that its source has published."""
    version = fingerprint(aggregate, config)
    return behind(platform.ledger, source.name, aggregate.name, aggregate.of, version)


def update_aggregate(
    platform: Platform,
    source: FileSource,
    aggregate: Aggregate,
    config: BaseModel,
    run_id: str,
    say: Say,
    *,
    whole: bool = False,
) -> AggregateReport:
    """Bring an aggregate up to date with what its source has published. Doing it again equals doing it once.

    whole: compute every key anew, also where nothing changed.
    Raises WrongAggregate, and whatever `compute` and the machinery raise; the table stays as it was then.
    """
    started = time.monotonic()
    with (
        Heartbeat(platform.ledger, platform.settings.lease_seconds) as heartbeat,
        _lease(platform, source, aggregate, run_id, heartbeat, say) as lease,
    ):
        update = _Update(platform, source, aggregate, config, lease, heartbeat, say, started, whole)
        for _ in range(_MOST_LOOKS - 1):
            with suppress(SnapshotGone):
                return update.make()
        return update.make()


@contextmanager
def _lease(
    platform: Platform, source: FileSource, aggregate: Aggregate, run_id: str, heartbeat: Heartbeat, say: Say
) -> Iterator[Lease]:
    waited = False
    while True:
        lease = take_aggregate(platform.ledger, source.name, aggregate.name, run_id, platform.settings.lease_seconds)
        if lease is not None:
            break
        if not waited:
            say(f"waiting: another run makes {source.name}.{aggregate.name}")
            waited = True
        time.sleep(_WAIT_SECONDS)
    heartbeat.keep(lease)
    try:
        yield lease
    finally:
        heartbeat.stop()
        give_aggregate_back(platform.ledger, lease)


@dataclass
class _Update:
    platform: Platform
    source: FileSource
    aggregate: Aggregate
    config: BaseModel
    lease: Lease
    heartbeat: Heartbeat
    say: Say
    started: float
    whole: bool

    def __post_init__(self) -> None:
        self.name = TableName(self.source.name, self.aggregate.name)
        self.of = TableName(self.source.name, self.aggregate.of)
        self.schema = arrow_schema(self.aggregate.schema, True)

    def make(self) -> AggregateReport:
        """Raises SnapshotGone when what was published has been replaced and expired meanwhile: look again."""
        ledger, aggregate = self.platform.ledger, self.aggregate
        newest, made = begin(ledger, self.lease, self.source.name, aggregate.name, aggregate.of)
        if newest is None:
            self.say(f"{self.source.name} has published nothing yet, so there is nothing to make {self.name} of")
            return self._report(Committed(None, 0), 0, 0, "", 0)
        inputs = {aggregate.of: newest.snapshots[aggregate.of]}
        new = MadeFrom(newest.seq, inputs, fingerprint(aggregate, self.config))
        why_whole = self._why_whole(newest, made, new)
        if why_whole:
            self.say(f"{self.name} is made anew: {why_whole}")
        before = newest.snapshots.get(aggregate.name)
        if made is not None and not why_whole and made.inputs == inputs:
            rows = self.platform.lake.total_rows(self.name, before)
            return self._report(Committed(before, rows), 0, 0, "", made.publication)
        with open_workspace(self.platform.settings.workers) as connection:
            then = None if why_whole or made is None else self._snapshot(made.inputs[aggregate.of])
            touched = TouchedKeys(
                connection, then, self._snapshot(inputs[aggregate.of]), aggregate.keys, aggregate.columns
            )
            self._compute(touched)
            old = Snapshot(self.schema, () if why_whole else tuple(self.platform.lake.data_files(self.name, before)))
            changes = bool(why_whole or touched.count)
            committed = self._commit(touched.whole(self.schema, old) if changes else None, before, new)
            return self._report(committed, touched.count, touched.rows, why_whole, newest.seq)

    def _why_whole(self, newest: Publication, made: MadeFrom | None, new: MadeFrom) -> str:
        if made is None:
            return "it was never made before"
        if self.whole:
            return "that was asked for"
        if made.version != new.version:
            return "its code, schema or configuration changed"
        published = self.aggregate.name in newest.snapshots
        if not published or not self.platform.lake.is_readable(self.name, newest.snapshots[self.aggregate.name]):
            return "its table was lost"
        try:
            self.platform.lake.data_files(self.of, made.inputs[self.aggregate.of])
        except SnapshotGone:
            return f"the rows of {self.of} that it was made from are not known any more"
        return ""

    def _snapshot(self, snapshot_id: int | None) -> Snapshot:
        return Snapshot.of(self.platform.lake, self.of, snapshot_id)

    def _compute(self, touched: TouchedKeys) -> None:
        for chunk in touched.chunks(_ROWS_AT_ONCE):
            rows = compute_rows(self.source, self.aggregate, self.config, chunk.rows)
            wrong = touched.keep(rows, chunk.first, chunk.last)
            if wrong:
                raise WrongAggregate(
                    f"compute of {self.name} must give at most one row for each key of the rows it gets, and no other. "
                    f"Keys ({', '.join(self.aggregate.keys)}) that came twice or were not among them: {wrong}"
                )

    def _commit(self, rows: Iterable[pa.Table] | None, before: int | None, new: MadeFrom) -> Committed:
        """Write and publish the rows; None stands for those that are there.

        Nobody else writes to this table, and publishing leaves the source's own tables as they are: so this waits for
        no batch, and none for this.
        """
        lake, ledger = self.platform.lake, self.platform.ledger
        if rows is None:
            committed = Committed(before, lake.total_rows(self.name, before))
        else:
            folder = lake.ensure(self.name, self.schema, is_rewritten=True)
            paths = self._write(rows, new_data_file(folder, "aggregate"))
            committed = lake.replace_all(self.name, base=before, add=paths, run_id=self.lease.owner)
        self.heartbeat.stop()
        publish_aggregate(
            ledger, self.lease, self.source.name, self.aggregate.name, committed.snapshot_id, committed.total_rows, new
        )
        return committed

    def _write(self, rows: Iterable[pa.Table], uri: str) -> list[str]:
        files_of_lake.make_room(uri)
        written = 0
        at, place = files_of_lake.path_in(uri), files_of_lake.place(uri)
        with pq.ParquetWriter(at, self.schema, compression="zstd", **place) as writer:
            for part in rows:
                writer.write_table(part)
                written += part.num_rows
        if not written:
            files_of_lake.delete([uri])
        return [uri] if written else []

    def _report(
        self, committed: Committed, keys: int, rows_read: int, rebuilt: str, publication: int
    ) -> AggregateReport:
        return AggregateReport(committed, keys, rows_read, rebuilt, publication, time.monotonic() - self.started)


def compute_rows(source: FileSource, aggregate: Aggregate, config: BaseModel, rows: pa.Table) -> pa.Table:
    """An aggregate's rows for some keys, checked by its schema. Raises WrongAggregate."""
    table = next(table for table in source.tables if table.name == aggregate.of)
    given = aggregate.compute(to_pandas(table.schema, rows), config)
    try:
        made = to_table(aggregate.schema, given, {FILE_ID: None, BATCH_ID: ""}, is_aggregate=True)
    except RowsError as error:
        raise WrongAggregate(f"rows of {source.name}.{aggregate.name}: {error}") from error
    broken = violations(aggregate.schema, made, [made.num_rows], [FILE_ID, BATCH_ID])
    for violation in broken.values():
        raise WrongAggregate(f"rows of {source.name}.{aggregate.name} break its schema: {violation.message}")
    return made


@dataclass(frozen=True)
class Recomputed:
    """How the published table compares with rows computed anew, from all rows that it was made from."""

    keys_compared: int
    rows: int
    """of the table"""
    keys_without_rows: int
    """rows of the table whose key no row has"""
    differing: tuple[dict[str, Any], ...]
    """for each difference the key, the column, the value in the table and the value computed anew"""


def recompute_sample(
    platform: Platform, source: FileSource, aggregate: Aggregate, config: BaseModel, most_keys: int, seed: str
) -> Recomputed | None:
    """Compute some keys of an aggregate from the beginning and compare; None when it was never made.

    It takes no step that updating takes: the keys are chosen by chance among those of the rows and of the table.
    """
    made = made_from(platform.ledger, source.name, aggregate.name)
    newest = newest_publication(platform.ledger, source.name)
    if made is None or newest is None or aggregate.name not in newest.snapshots:
        return None
    lake, keys, quoted_seed = platform.lake, aggregate.keys, seed.replace("'", "''")
    columns = (*keys, *aggregate.columns, FILE_ID, BATCH_ID)
    own = Snapshot.of(lake, TableName(source.name, aggregate.name), newest.snapshots[aggregate.name])
    input_rows = Snapshot.of(lake, TableName(source.name, aggregate.of), made.inputs[aggregate.of])
    with open_workspace(platform.settings.workers) as connection:
        connection.execute(f"CREATE VIEW own AS {select_rows(connection, own.schema, own.paths, 'empty_own')}")
        every = select_rows(connection, input_rows.schema, input_rows.paths, "empty_rows")
        connection.execute(f"CREATE VIEW every AS {every}")
        connection.execute(f"CREATE TEMP TABLE known AS SELECT DISTINCT {quoted(keys)} FROM every")
        connection.execute(
            f"CREATE TEMP TABLE sample AS SELECT * FROM (SELECT {quoted(keys)} FROM known UNION "
            f"SELECT {quoted(keys)} FROM own) ORDER BY md5(concat_ws('|', '{quoted_seed}', {quoted(keys)})) LIMIT {most_keys}"
        )
        chosen = f"JOIN sample ON {same_keys(keys, 'r', 'sample')}"
        rows = connection.sql(
            f"SELECT {quoted(columns, 'r.')} FROM every r {chosen} "
            f"ORDER BY {quoted(keys, 'r.')}, r.file_id, {quoted(columns, 'r.')}"
        ).to_arrow_table()
        shown = connection.sql(f"SELECT r.* FROM own r {chosen}").to_arrow_table()
        stale = connection.execute(
            f"SELECT count(*) FROM own WHERE NOT EXISTS (SELECT 1 FROM known WHERE {same_keys(keys, 'own', 'known')})"
        ).fetchall()[0][0]
        compared = connection.execute("SELECT count(*) FROM sample").fetchall()[0][0]
        total = connection.execute("SELECT count(*) FROM own").fetchall()[0][0]
    anew = compute_rows(source, aggregate, config, rows.select([*keys, *aggregate.columns])) if rows.num_rows else None
    newest_batch: dict[tuple[Any, ...], str] = {}
    for row in rows.select([*keys, BATCH_ID]).to_pylist():
        key = tuple(row[name] for name in keys)
        newest_batch[key] = max(row[BATCH_ID], newest_batch.get(key, ""))
    wanted = {_key(row, keys): row for row in (anew.to_pylist() if anew is not None else [])}
    for key, row in wanted.items():
        row[BATCH_ID] = newest_batch[key]
    found = {_key(row, keys): row for row in shown.to_pylist()}
    return Recomputed(compared, total, stale, tuple(_differences(keys, found, wanted)))


def _key(row: dict[str, Any], keys: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(row[name] for name in keys)


Rows = dict[tuple[Any, ...], dict[str, Any]]


def _differences(keys: tuple[str, ...], found: Rows, wanted: Rows) -> Iterator[dict[str, Any]]:
    for key in {**found, **wanted}:
        shown = ", ".join(f"{name}={value}" for name, value in zip(keys, key, strict=True))
        if key not in found or key not in wanted:
            here, anew = ("a row", "no row") if key in found else ("no row", "a row")
            yield {"key": shown, "column": "", "in the table": here, "computed anew": anew}
            continue
        for name, value in wanted[key].items():
            if not _equal(found[key][name], value):
                yield {"key": shown, "column": name, "in the table": str(found[key][name]), "computed anew": str(value)}


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE) or (left != left and right != right)
    return bool(left == right)
