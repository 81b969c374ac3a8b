"""What is served, told in a way that can be held against the lake: file by file, and lane by lane and day."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from math import isclose

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, text

from resources.serving import wire
from resources.serving.database import copy_cursor

_TOLERANCE = 1e-9

DAILY = pa.schema(
    [
        pa.field("orig_code", pa.string()),
        pa.field("dest_code", pa.string()),
        pa.field("day", pa.date32()),
        pa.field("prices", pa.int64()),
        *(pa.field(name, pa.float64()) for name in ("average", "p2_5", "p25", "median", "p75", "p97_5")),
    ]
)


@dataclass(frozen=True)
class Sums:
    """What the prices of a file add up to: how many there are, their sum, and that weighted by their rows."""

    prices: int
    total: float
    weighted: float

    def is_close(self, other: Sums) -> bool:
        pairs = ((self.total, other.total), (self.weighted, other.weighted))
        return self.prices == other.prices and all(isclose(one, two, rel_tol=_TOLERANCE) for one, two in pairs)


_SUMS = 'count(price) AS n, sum(price) AS total, sum(price * "row") AS weighted'
SUMS_IN_LAKE = f"SELECT file_id, {_SUMS} FROM published GROUP BY file_id"


def served_sums(connection: Connection) -> dict[str, Sums]:
    """Each file that is served."""
    rows = connection.execute(
        text(f"SELECT b.file_id, {_SUMS} FROM batches b LEFT JOIN prices p USING (file_no) GROUP BY b.file_id")
    )
    return {row.file_id: Sums(row.n, row.total or 0.0, row.weighted or 0.0) for row in rows}


def sums_of(rows: pa.Table) -> dict[str, Sums]:
    """The same of the answer to `SUMS_IN_LAKE`."""
    return {row["file_id"]: Sums(row["n"], row["total"], row["weighted"]) for row in rows.to_pylist()}


def digest_of_file(connection: Connection, file_id: str) -> str:
    """SHA-256 over the rows of a served file, in their order; see `digest`."""
    digest = hashlib.sha256()
    with copy_cursor(connection) as cursor:
        query = (
            'SELECT p."row", l.orig_code, l.dest_code, p.day, p.price FROM prices p JOIN batches b USING (file_no) '
            'JOIN lanes l USING (lane_id) WHERE b.file_id = %s ORDER BY p."row"'
        )
        skip = len(wire.HEADER)
        with cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT binary)", (file_id,)) as copy:
            for part in copy:
                data = bytes(part)
                if skip:
                    data, skip = data[skip:], max(0, skip - len(data))
                if data != wire.TRAILER:
                    digest.update(data)
    return digest.hexdigest()


def digest(rows: pa.Table, file_id: str) -> str:
    """The same of a file among rows of `rates.prices`."""
    own = rows.filter(pc.equal(rows.column("file_id"), file_id))
    return hashlib.sha256(wire.encode_to_compare(own.sort_by("row"))).hexdigest()


def daily(connection: Connection) -> pa.Table:
    """All averages and percentiles that are kept, by lane and day, in the order of both."""
    rows = connection.execute(
        text(
            "SELECT l.orig_code, l.dest_code, d.day, d.prices, d.total / d.prices AS average, d.p2_5, d.p25, d.median, d.p75, "
            'd.p97_5 FROM daily_rates d JOIN lanes l USING (lane_id) ORDER BY l.orig_code COLLATE "C", l.dest_code COLLATE "C", d.day'
        )
    ).all()
    return pa.table([pa.array([row[i] for row in rows], field.type) for i, field in enumerate(DAILY)], schema=DAILY)


_FIGURES = [field.name for field in DAILY if pa.types.is_floating(field.type)]
_CLOSE = " AND ".join(f"abs(k.{name} - c.{name}) <= {_TOLERANCE} * abs(c.{name})" for name in _FIGURES)
DIFFERING_DAYS = f"""
WITH computed AS (
    SELECT orig_code, dest_code, day, count(*) AS prices, avg(price) AS average,
           quantile_cont(price, [0.025, 0.25, 0.5, 0.75, 0.975]) AS q FROM published GROUP BY ALL),
c AS (SELECT * EXCLUDE (q), q[1] AS p2_5, q[2] AS p25, q[3] AS median, q[4] AS p75, q[5] AS p97_5 FROM computed)
SELECT coalesce(k.orig_code, c.orig_code) AS orig_code, coalesce(k.dest_code, c.dest_code) AS dest_code,
       coalesce(k.day, c.day) AS day
FROM kept k FULL JOIN c USING (orig_code, dest_code, day)
WHERE NOT coalesce(k.prices = c.prices AND {_CLOSE}, false) ORDER BY ALL
"""
"""Of the lake's prices (``published``) and what is kept by lane and day (``kept``, as `daily` gives it): where they differ.
DuckDB averages anew."""
