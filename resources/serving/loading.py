"""A batch of prices, from data files to committed and served, in one transaction.

Staged, checked as a set, inserted, averaged: readers see the state before all of it or the one after. Doing it again
equals doing it once: what a file had before goes in the same transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Connection, text

from resources.serving import wire
from resources.serving.database import copy_cursor

_ROWS_AT_ONCE = 131_072
_COLUMNS = ["file_id", "row", "orig_code", "dest_code", "day", "price"]
_MOST_SHOWN = 20
_WORK_MEMORY = "64MB"


@dataclass(frozen=True)
class BadRows:
    """Why a file cannot be loaded: rows that break a rule of the database, as a set. shown: the first of them."""

    rows: int
    shown: tuple[str, ...]


@dataclass
class PriceLoad:
    """One load, in the caller's transaction of the one writer: `stage` (or `begin`, `copy`, `check`), then `commit_rows`."""

    connection: Connection
    price_max: float
    _numbers: dict[str, int] = field(default_factory=dict)
    """of staged files, by id: their places in the batch, from 1"""

    def stage(self, paths: Sequence[str]) -> dict[str, BadRows]:
        """Copy the rows of data files aside and check every one; what is wrong, by file id."""
        self.begin()
        with self._copying() as write:
            for path in paths:
                with pq.ParquetFile(path.removeprefix("file://")) as file:
                    for rows in file.iter_batches(_ROWS_AT_ONCE, columns=_COLUMNS):
                        write(rows)
        return self.check()

    def begin(self) -> None:
        """Ports cannot change from now to the end of the transaction."""
        run = self.connection.execute
        run(text(f"SET LOCAL work_mem = '{_WORK_MEMORY}'"))
        run(text("LOCK TABLE ports IN SHARE MODE"))
        run(text(_STAGED))

    def copy(self, rows: pa.Table) -> None:
        """Put rows of `rates.prices` aside."""
        with self._copying() as write:
            write(rows)

    @contextmanager
    def _copying(self) -> Iterator[Callable[[pa.Table | pa.RecordBatch], None]]:
        with copy_cursor(self.connection) as cursor, cursor.copy("COPY staged FROM STDIN (FORMAT binary)") as copy:
            copy.write(wire.HEADER)
            yield lambda rows: copy.write(wire.encode(rows, self._file_nos(rows.column("file_id"))))
            copy.write(wire.TRAILER)

    def _file_nos(self, ids: pa.Array | pa.ChunkedArray) -> np.ndarray:
        encoded = (ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids).dictionary_encode()
        numbers = [self._numbers.setdefault(name, len(self._numbers) + 1) for name in encoded.dictionary.to_pylist()]
        return np.array(numbers, np.int32)[encoded.indices.to_numpy()]

    def check(self) -> dict[str, BadRows]:
        """What is wrong with the staged rows, by file id."""
        self.connection.execute(text("ANALYZE staged"))
        self.connection.execute(text(_STAGED_LANES))
        limits = {"most": self.price_max, "shown": _MOST_SHOWN}
        ids = {number: file_id for file_id, number in self._numbers.items()}
        return {
            ids[row.file_no]: BadRows(row.rows, tuple(row.shown))
            for row in self.connection.execute(text(_BAD_ROWS), limits)
        }

    def commit_rows(self, keep: Collection[str], remove: Collection[str], batch_id: str) -> None:
        """Serve the staged rows of the files in `keep`, and no longer those of the files in `remove`.

        The averages of the days and lanes that this touches follow. The caller's commit makes it visible.
        """
        run = self.connection.execute
        run(text("CREATE TEMP TABLE touched (lane_id int, day date) ON COMMIT DROP"))
        remove_files(self.connection, {*remove, *keep})
        kept = {name: number for name, number in self._numbers.items() if name in keep}
        made = {}
        for name in sorted(keep):
            made[name] = run(
                text("INSERT INTO batches (file_id, batch_id, prices) VALUES (:id, :batch, 0) RETURNING file_no"),
                {"id": name, "batch": batch_id},
            ).scalar_one()
        if kept:
            run(text(_INSERT_LANES), {"staged": list(kept.values())})
            run(text("CREATE TEMP TABLE kept (staged_no int, file_no int) ON COMMIT DROP"))
            run(
                text("INSERT INTO kept VALUES (:staged, :made)"),
                [{"staged": number, "made": made[name]} for name, number in kept.items()],
            )
            run(text(_INSERT_PRICES))
            run(text(_COUNT_PRICES))
            run(text(_TOUCH))
        average_touched(self.connection)


def remove_files(connection: Connection, file_ids: Collection[str]) -> None:
    """Serve the prices of some files no longer; what they touched is noted in the table `touched`."""
    ids = {"ids": sorted(file_ids)}
    if ids["ids"]:
        connection.execute(text(_REMOVE_PRICES), ids)
        connection.execute(text("DELETE FROM batches WHERE file_id = ANY(:ids)"), ids)


def average_touched(connection: Connection) -> None:
    """Compute what is kept of the touched lanes and days anew, from their prices."""
    connection.execute(text("ANALYZE touched"))
    connection.execute(text("DELETE FROM daily_rates d USING touched t WHERE d.lane_id = t.lane_id AND d.day = t.day"))
    connection.execute(text(_AVERAGE))


def withdraw(connection: Connection, file_ids: Collection[str]) -> None:
    """Serve the prices of some files no longer, in the caller's transaction of the one writer."""
    connection.execute(text("CREATE TEMP TABLE touched (lane_id int, day date) ON COMMIT DROP"))
    remove_files(connection, file_ids)
    average_touched(connection)


_STAGED = """
CREATE TEMP TABLE staged (
    file_no int, "row" int, orig_code text COLLATE "C", dest_code text COLLATE "C", day date, price float8
) ON COMMIT DROP
"""

_STAGED_LANES = """
CREATE TEMP TABLE staged_lanes ON COMMIT DROP AS
SELECT l.file_no, l.orig_code, l.dest_code,
       EXISTS (SELECT 1 FROM ports p WHERE p.code = l.orig_code) AS has_orig,
       EXISTS (SELECT 1 FROM ports p WHERE p.code = l.dest_code) AS has_dest
FROM (SELECT DISTINCT file_no, orig_code, dest_code FROM staged) l
"""

_BAD_ROWS = """
WITH unknown AS (SELECT * FROM staged_lanes WHERE NOT (has_orig AND has_dest)),
bad AS (
    SELECT s.file_no, s."row", s.orig_code, s.dest_code, s.day, s.price, u.has_orig, u.has_dest
    FROM staged s LEFT JOIN unknown u USING (file_no, orig_code, dest_code)
    WHERE u.file_no IS NOT NULL OR s.price IS NULL OR s.day IS NULL OR NOT (s.price > 0 AND s.price <= :most)
),
numbered AS (SELECT *, row_number() OVER (PARTITION BY file_no ORDER BY "row") AS n FROM bad),
told AS (
    SELECT file_no, count(*) AS rows FROM bad GROUP BY file_no
)
SELECT told.file_no, told.rows, (
    SELECT array_agg(
        'row ' || n."row" || ': ' || concat_ws(', ',
            CASE WHEN NOT n.has_orig THEN 'orig_code ' || n.orig_code || ' is no known port' END,
            CASE WHEN NOT n.has_dest THEN 'dest_code ' || n.dest_code || ' is no known port' END,
            CASE WHEN n.day IS NULL THEN 'no day' END,
            CASE WHEN n.price IS NULL OR NOT (n.price > 0 AND n.price <= :most) THEN 'price ' || coalesce(n.price::text, 'missing') END)
        ORDER BY n."row")
    FROM numbered n WHERE n.file_no = told.file_no AND n.n <= :shown) AS shown
FROM told ORDER BY told.file_no
"""

_INSERT_LANES = """
INSERT INTO lanes (orig_code, dest_code)
SELECT DISTINCT s.orig_code, s.dest_code FROM staged_lanes s
WHERE s.file_no = ANY(:staged)
  AND NOT EXISTS (SELECT 1 FROM lanes l WHERE l.orig_code = s.orig_code AND l.dest_code = s.dest_code)
ORDER BY 1, 2
"""

# In the order of the index, whose pages are then written one after the other.
_INSERT_PRICES = """
INSERT INTO prices (file_no, "row", lane_id, day, price)
SELECT k.file_no, s."row", l.lane_id, s.day, s.price
FROM staged s JOIN kept k ON k.staged_no = s.file_no
JOIN lanes l ON l.orig_code = s.orig_code AND l.dest_code = s.dest_code
ORDER BY l.lane_id, s.day
"""

_COUNT_PRICES = """
UPDATE batches b SET prices = c.n
FROM (SELECT k.file_no, count(*) AS n FROM staged s JOIN kept k ON k.staged_no = s.file_no GROUP BY 1) c
WHERE b.file_no = c.file_no
"""

_TOUCH = """
INSERT INTO touched
SELECT DISTINCT l.lane_id, s.day
FROM (SELECT DISTINCT orig_code, dest_code, day FROM staged JOIN kept k ON k.staged_no = staged.file_no) s
JOIN lanes l ON l.orig_code = s.orig_code AND l.dest_code = s.dest_code
"""

_REMOVE_PRICES = """
WITH gone AS (
    DELETE FROM prices p USING batches b WHERE b.file_no = p.file_no AND b.file_id = ANY(:ids)
    RETURNING p.lane_id, p.day)
INSERT INTO touched SELECT DISTINCT lane_id, day FROM gone
"""

# Percentiles between two prices are interpolated, as NumPy and DuckDB do (method 7 of Hyndman & Fan 1996,
# https://doi.org/10.2307/2684934). Sums go in one order, so that the same prices give the same sum.
_AVERAGE = """
INSERT INTO daily_rates (lane_id, day, prices, total, p2_5, p25, median, p75, p97_5)
SELECT lane_id, day, n, total, p[1], p[2], p[3], p[4], p[5]
FROM (
    SELECT p.lane_id, p.day, count(*) AS n, sum(p.price ORDER BY p.price) AS total,
           percentile_cont(ARRAY[0.025, 0.25, 0.5, 0.75, 0.975]) WITHIN GROUP (ORDER BY p.price) AS p
    FROM prices p JOIN (SELECT DISTINCT lane_id, day FROM touched) t ON t.lane_id = p.lane_id AND t.day = p.day
    GROUP BY p.lane_id, p.day
) a
"""
