"""What is served, told in a way that can be held against the lake: file by file, and lane by lane and day."""

from __future__ import annotations

import hashlib

import pyarrow as pa
from sqlalchemy import Connection, text

from resources.serving import wire
from resources.serving.database import copy_cursor

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
    return hashlib.sha256(wire.encode(rows.sort_by("row"))).hexdigest()


def daily(connection: Connection) -> pa.Table:
    """All averages and percentiles that are kept, by lane and day, in the order of both."""
    rows = connection.execute(
        text(
            "SELECT l.orig_code, l.dest_code, d.day, d.prices, d.total / d.prices AS average, d.p2_5, d.p25, d.median, d.p75, "
            'd.p97_5 FROM daily_rates d JOIN lanes l USING (lane_id) ORDER BY l.orig_code COLLATE "C", l.dest_code COLLATE "C", d.day'
        )
    ).all()
    return pa.table([pa.array([row[i] for row in rows], field.type) for i, field in enumerate(DAILY)], schema=DAILY)
