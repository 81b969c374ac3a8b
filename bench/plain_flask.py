"""The peer of the rates API: Flask and psycopg, as one would write it first, on the tables of the task as they are given.

`PLAIN_URL` is of a database whose search path has `regions`, `ports` and `prices`; bench/rates_api.py fills them. Each
thread keeps its connection; there is an index on the lane and day. One query answers, regions by recursion.
"""

from __future__ import annotations

import os
import threading
from typing import Any

import psycopg
from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue

SCHEMA = """
CREATE TABLE regions (slug text PRIMARY KEY, name text NOT NULL, parent_slug text REFERENCES regions);
CREATE TABLE ports (code text PRIMARY KEY, name text NOT NULL, parent_slug text NOT NULL REFERENCES regions);
CREATE TABLE prices (orig_code text NOT NULL REFERENCES ports, dest_code text NOT NULL REFERENCES ports,
                     day date NOT NULL, price integer NOT NULL);
CREATE INDEX ON prices (orig_code, dest_code, day) INCLUDE (price);
"""

QUERY = """
WITH RECURSIVE orig AS (
    SELECT slug FROM regions WHERE slug = %(origin)s
    UNION SELECT r.slug FROM regions r JOIN orig o ON r.parent_slug = o.slug),
dest AS (
    SELECT slug FROM regions WHERE slug = %(destination)s
    UNION SELECT r.slug FROM regions r JOIN dest d ON r.parent_slug = d.slug)
SELECT days.day::date AS day, CASE WHEN count(p.price) >= 3 THEN round(avg(p.price)) END AS average_price
FROM generate_series(%(first)s::date, %(last)s::date, interval '1 day') AS days(day)
LEFT JOIN prices p ON p.day = days.day
  AND p.orig_code IN (SELECT code FROM ports WHERE code = %(origin)s OR parent_slug IN (SELECT slug FROM orig))
  AND p.dest_code IN (SELECT code FROM ports WHERE code = %(destination)s OR parent_slug IN (SELECT slug FROM dest))
GROUP BY days.day ORDER BY days.day
"""

app = Flask(__name__)
_local = threading.local()


def _connection() -> psycopg.Connection[Any]:
    if not hasattr(_local, "connection"):
        _local.connection = psycopg.connect(os.environ["PLAIN_URL"], autocommit=True)
    return _local.connection


@app.get("/rates")
def rates() -> ResponseReturnValue:
    given = {
        "origin": request.args["origin"], "destination": request.args["destination"],
        "first": request.args["date_from"], "last": request.args["date_to"],
    }  # fmt: skip
    found = _connection().execute(QUERY, given).fetchall()
    return jsonify([{"day": str(day), "average_price": None if price is None else int(price)} for day, price in found])
