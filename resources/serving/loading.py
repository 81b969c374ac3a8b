"""A batch of prices, from data files to committed and served, in one transaction.

Checked as a set, inserted, averaged: readers see the state before all of it or the one after. Doing it again equals doing
it once: what a file had before goes in the same transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlalchemy import Connection, text

from resources.lake import files as files_of_lake
from resources.serving import wire
from resources.serving.averages import NewPrices, average_touched, begin
from resources.serving.copying import copy_into

ROWS_AT_ONCE = 262_144
COLUMNS = ("file_id", "row", "orig_code", "dest_code", "day", "price")
_MOST_SHOWN = 20
_WORK_MEMORY = "64MB"

Rows: TypeAlias = Any
"""A table or record batch of Arrow."""


def rows_of_files(paths: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The rows of data files of `rates.prices`, some at a time."""
    for path in paths:
        with pq.ParquetFile(files_of_lake.path_in(path), **files_of_lake.place(path)) as file:
            yield from file.iter_batches(ROWS_AT_ONCE, columns=list(COLUMNS))


@dataclass
class BadRows:
    """Why a file cannot be loaded: rows that break a rule. shown: the first of them."""

    rows: int = 0
    shown: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class PriceLoad:
    """One load, in the caller's transaction of the one writer: `check`, then `commit_rows`, both of the same rows.

    The rows stay where they are between the two, in their data files. A copy of them in a staging table would be written
    as a whole only to be read once, and inserts from there cost twice what COPY does (docs/decisions/0010).
    """

    connection: Connection
    price_max: float

    def check(self, rows: Iterable[Rows]) -> dict[str, BadRows]:
        """Hold every row against the ports and the limits; what is wrong, by file id.

        Ports cannot change from now to the end of the transaction.
        """
        run = self.connection.execute
        run(text(f"SET LOCAL work_mem = '{_WORK_MEMORY}'"))
        run(text("LOCK TABLE ports IN SHARE MODE"))
        known = pa.array(sorted(self.connection.scalars(text("SELECT code FROM ports"))), pa.string())
        wrong: dict[str, BadRows] = {}
        for some in rows:
            _note_bad_rows(some, known, self.price_max, wrong)
        return wrong

    def commit_rows(self, rows: Iterable[Rows], keep: Collection[str], remove: Collection[str], batch_id: str) -> None:
        """Serve the rows of the files in `keep`, and no longer those of the files in `remove`.

        The averages of the days and lanes that this touches follow. The caller's commit makes it visible.
        """
        connection = self.connection
        begin(connection)
        remove_files(connection, {*remove, *keep})
        numbers = {
            name: connection.execute(
                text("INSERT INTO batches (file_id, batch_id, prices) VALUES (:id, :batch, 0) RETURNING file_no"),
                {"id": name, "batch": batch_id},
            ).scalar_one()
            for name in sorted(keep)
        }
        average_touched(connection, self._insert(rows, numbers) if numbers else None)

    def _insert(self, rows: Iterable[Rows], numbers: Mapping[str, int]) -> NewPrices:
        lanes = _Lanes(self.connection)
        counts = dict.fromkeys(numbers.values(), 0)
        new = NewPrices()
        wanted = pa.array(sorted(numbers), pa.string())
        for given in rows:
            some = given.filter(pc.is_in(given.column("file_id"), value_set=wanted))
            if not some.num_rows:
                continue
            file_nos = _looked_up(some.column("file_id"), numbers)
            lane_ids = lanes.of(some)
            data, moments = wire.encode(some, file_nos, lane_ids)
            copy_into(self.connection, "prices", data)
            new.note(moments, wire.numbers(some.column("price")))
            for number, count in zip(*np.unique(file_nos, return_counts=True), strict=True):
                counts[int(number)] += int(count)
        self.connection.execute(
            text("UPDATE batches SET prices = :count WHERE file_no = :number"),
            [{"count": count, "number": number} for number, count in counts.items()],
        )
        return new


class _Lanes:
    """The numbers of lanes; new ones are made as they are asked for."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: dict[tuple[str, str], int] = {}

    def of(self, rows: Rows) -> np.ndarray:
        """The lane of each row."""
        origins, destinations = (wire.plain(rows.column(name)).dictionary_encode() for name in COLUMNS[2:4])
        count = max(1, len(destinations.dictionary))
        pairs, at = np.unique(
            origins.indices.to_numpy().astype(np.int64) * count + destinations.indices.to_numpy(), return_inverse=True
        )
        from_codes, to_codes = origins.dictionary.to_pylist(), destinations.dictionary.to_pylist()
        named = [(from_codes[pair // count], to_codes[pair % count]) for pair in pairs.tolist()]
        unknown = [pair for pair in named if pair not in self._known]
        if unknown:
            self._make(unknown)
        return np.array([self._known[pair] for pair in named], np.int32)[at]

    def _make(self, pairs: Sequence[tuple[str, str]]) -> None:
        given = {"origins": [pair[0] for pair in pairs], "destinations": [pair[1] for pair in pairs]}
        self._connection.execute(text(_INSERT_LANES), given)
        for row in self._connection.execute(text(_FIND_LANES), given):
            self._known[row.orig_code, row.dest_code] = row.lane_id


def _looked_up(column: pa.Array | pa.ChunkedArray, numbers: Mapping[str, int]) -> np.ndarray:
    encoded = wire.plain(column).dictionary_encode()
    return np.array([numbers[name] for name in encoded.dictionary.to_pylist()], np.int32)[encoded.indices.to_numpy()]


def _note_bad_rows(rows: Rows, known: pa.Array, price_max: float, wrong: dict[str, BadRows]) -> None:
    prices = rows.column("price")
    in_range = pc.and_(pc.greater(prices, 0.0), pc.less_equal(prices, price_max))
    masks = {
        "orig_code": pc.is_in(rows.column("orig_code"), value_set=known),
        "dest_code": pc.is_in(rows.column("dest_code"), value_set=known),
        "day": pc.is_valid(rows.column("day")),
        "price": pc.fill_null(in_range, False),
    }
    right = pc.and_(pc.and_(masks["orig_code"], masks["dest_code"]), pc.and_(masks["day"], masks["price"]))
    if pc.all(right).as_py() is not False:
        return
    bad = pc.invert(right)
    counted = pc.value_counts(wire.plain(pc.filter(rows.column("file_id"), bad)))
    for one in counted.to_pylist():
        wrong.setdefault(one["values"], BadRows()).rows += one["counts"]
    for at in np.flatnonzero(np.asarray(bad)).tolist():
        file = wrong[rows.column("file_id")[at].as_py()]
        if len(file.shown) >= _MOST_SHOWN:
            if all(len(other.shown) >= min(_MOST_SHOWN, other.rows) for other in wrong.values()):
                break
            continue
        said = [
            f"{name} {rows.column(name)[at].as_py()} {'is no known port' if name.endswith('code') else 'is out of range'}"
            for name, mask in masks.items()
            if not mask[at].as_py()
        ]
        file.shown.append(f"row {rows.column('row')[at].as_py()}: {', '.join(said)}")


def remove_files(connection: Connection, file_ids: Collection[str]) -> None:
    """Serve the prices of some files no longer; what they touched is noted in the table `touched`."""
    ids = {"ids": sorted(file_ids)}
    if ids["ids"]:
        connection.execute(text(_REMOVE_PRICES), ids)
        connection.execute(text("DELETE FROM batches WHERE file_id = ANY(:ids)"), ids)


def withdraw(connection: Connection, file_ids: Collection[str]) -> None:
    """Serve the prices of some files no longer, in the caller's transaction of the one writer."""
    begin(connection)
    remove_files(connection, file_ids)
    average_touched(connection)


_INSERT_LANES = """
INSERT INTO lanes (orig_code, dest_code)
SELECT g.o, g.d FROM unnest(CAST(:origins AS text[]), CAST(:destinations AS text[])) AS g (o, d)
WHERE NOT EXISTS (SELECT 1 FROM lanes l WHERE l.orig_code = g.o AND l.dest_code = g.d)
"""

_FIND_LANES = """
SELECT l.lane_id, l.orig_code, l.dest_code
FROM unnest(CAST(:origins AS text[]), CAST(:destinations AS text[])) AS g (o, d)
JOIN lanes l ON l.orig_code = g.o AND l.dest_code = g.d
"""

_REMOVE_PRICES = """
WITH gone AS (
    DELETE FROM prices p USING batches b WHERE b.file_no = p.file_no AND b.file_id = ANY(:ids)
    RETURNING p.lane_id, p.day)
INSERT INTO touched SELECT DISTINCT lane_id, day FROM gone
"""
