"""What is served, told in a way that can be held against the lake: file by file, and lane by lane and day."""

from __future__ import annotations

import hashlib

import pyarrow as pa
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


def served_files(connection: Connection) -> dict[str, int]:
    """The number of prices of each file that is served, counted from the prices."""
    rows = connection.execute(
        text(
            "SELECT b.file_id, count(p.file_no) AS n FROM batches b LEFT JOIN prices p USING (file_no) GROUP BY b.file_id"
        )
    )
    return {row.file_id: row.n for row in rows}


def digest_of_file(connection: Connection, file_id: str) -> str:
    """SHA-256 over the rows of a served file, in their order; see `digest_of_rows`."""
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


def digest_of_rows(rows: pa.Table) -> str:
    """The same over rows of `rates.prices` of one file."""
    return hashlib.sha256(wire.encode_to_compare(rows.sort_by("row"))).hexdigest()


def daily(connection: Connection) -> pa.Table:
    """All averages and percentiles that are kept, by lane and day, in the order of both."""
    rows = connection.execute(
        text(
            "SELECT l.orig_code, l.dest_code, d.day, d.prices, d.total / d.prices AS average, d.p2_5, d.p25, d.median, d.p75, "
            'd.p97_5 FROM daily_rates d JOIN lanes l USING (lane_id) ORDER BY l.orig_code COLLATE "C", l.dest_code COLLATE "C", d.day'
        )
    ).all()
    return pa.table([pa.array([row[i] for row in rows], field.type) for i, field in enumerate(DAILY)], schema=DAILY)


def differing_days(kept: pa.Table, prices: pa.Table) -> list[tuple[object, ...]]:
    """Lane and day of each row of `kept` that is not what the prices give, or is missing; DuckDB averages them.

    kept: as `daily` gives it. prices: orig_code, dest_code, day, price.
    """
    import duckdb

    names = [name for name in DAILY.names if name not in {"orig_code", "dest_code", "day", "prices"}]
    close = " AND ".join(f"abs(k.{name} - c.{name}) <= {_TOLERANCE} * abs(c.{name})" for name in names)
    with duckdb.connect() as connection:
        connection.register("kept", kept)
        connection.register("given", prices)
        return connection.execute(
            f"""WITH computed AS (
                SELECT orig_code, dest_code, day, count(*) AS prices, avg(price) AS average,
                       quantile_cont(price, [0.025, 0.25, 0.5, 0.75, 0.975]) AS q FROM given GROUP BY ALL),
            c AS (SELECT * EXCLUDE (q), q[1] AS p2_5, q[2] AS p25, q[3] AS median, q[4] AS p75, q[5] AS p97_5 FROM computed)
            SELECT coalesce(k.orig_code, c.orig_code), coalesce(k.dest_code, c.dest_code), coalesce(k.day, c.day)
            FROM kept k FULL JOIN c USING (orig_code, dest_code, day)
            WHERE NOT coalesce(k.prices = c.prices AND {close}, false) ORDER BY ALL"""
        ).fetchall()
