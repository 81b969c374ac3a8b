"""What people ask of the serving database: rates of a lane by day, between ports or regions.

A place is a port's code or a region's slug; a region stands for all ports of it and of the regions below it. Averages are of
all prices of a day together, whichever lane they are of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.sql.elements import TextClause
from sqlalchemy.types import Date, Text

from resources.errors import UserError

FEWEST_PRICES = 3
"""A day with fewer has no average: too few quotes make a market's price."""


class UnknownPlace(UserError):
    """Neither a port's code nor a region's slug. field: which of the two ends of the lane."""

    def __init__(self, field: str, place: str) -> None:
        self.reason = f"{place!r} is neither a port's code nor a region's slug"
        super().__init__(f"{field}: {self.reason}")
        self.field = field


@dataclass(frozen=True)
class DayRate:
    """One day between two places. prices: how many there are. average: of all of them, None under `FEWEST_PRICES`."""

    day: date
    prices: int
    average: float | None

    @property
    def average_price(self) -> int | None:
        """Rounded to a whole number, halves up."""
        # Through the shortest decimal, else 1111.5 could have become 1111.4999.
        return (
            None if self.average is None else int(Decimal(repr(round(self.average, 6))).quantize(_ONE, "ROUND_HALF_UP"))
        )


_ONE = Decimal(1)


@dataclass(frozen=True)
class DaySpread:
    """The prices of a day between two places: None under `FEWEST_PRICES`."""

    day: date
    prices: int
    p2_5: float | None
    p25: float | None
    median: float | None
    p75: float | None
    p97_5: float | None


def daily_rates(connection: Connection, origin: str, destination: str, first: date, last: date) -> list[DayRate]:
    """One entry for each day from `first` to `last`, both inclusive, in order. Raises UnknownPlace."""
    return day_rates(_rows(connection, RATES, origin, destination, first, last))


def daily_spread(connection: Connection, origin: str, destination: str, first: date, last: date) -> list[DaySpread]:
    """Median and percentiles of the same days. Raises UnknownPlace."""
    return day_spreads(_rows(connection, SPREAD, origin, destination, first, last))


def days_with_prices(connection: Connection, origin: str, destination: str, first: date, last: date) -> list[DayRate]:
    """Only the days that have prices, newest first, their average however few they are. Raises UnknownPlace."""
    return day_rates_newest_first(_rows(connection, RATES, origin, destination, first, last))


def day_rates(rows: Sequence[Any]) -> list[DayRate]:
    """From the rows of `RATES`."""
    return [DayRate(row.day, row.prices, enough(row.prices, row.average)) for row in rows]


def day_spreads(rows: Sequence[Any]) -> list[DaySpread]:
    """From the rows of `SPREAD`."""
    return [
        DaySpread(row.day, row.prices, *(enough(row.prices, value) for value in (row.p or [None] * 5))) for row in rows
    ]


def day_rates_newest_first(rows: Sequence[Any]) -> list[DayRate]:
    """From the rows of `RATES`, as `days_with_prices`."""
    return [DayRate(row.day, row.prices, row.average) for row in reversed(rows) if row.prices]


def enough(prices: int, value: float | None) -> float | None:
    """A figure, unless too few prices stand behind it."""
    return value if prices >= FEWEST_PRICES else None


def check_places(rows: Sequence[Any], origin: str, destination: str) -> None:
    """Raises UnknownPlace, from the rows of either query."""
    for field, place, is_known in (
        ("origin", origin, rows[0].has_origin),
        ("destination", destination, rows[0].has_destination),
    ):
        if not is_known:
            raise UnknownPlace(field, place)


def _rows(
    connection: Connection, query: TextClause, origin: str, destination: str, first: date, last: date
) -> list[Any]:
    if first > last:
        raise UserError(f"date_from: {first} is after date_to, {last}")
    given = {"origin": origin, "destination": destination, "first": first, "last": last}
    rows = list(connection.execute(query, given))
    check_places(rows, origin, destination)
    return rows


# A lane's days lie together in daily_rates, and there are few lanes; so lanes are found first, then their days.
_PLACES = """
WITH origins AS MATERIALIZED (
    SELECT code FROM ports WHERE code = :origin
    UNION SELECT port_code FROM closure WHERE region_slug = :origin),
destinations AS MATERIALIZED (
    SELECT code FROM ports WHERE code = :destination
    UNION SELECT port_code FROM closure WHERE region_slug = :destination),
wanted AS MATERIALIZED (
    SELECT l.lane_id FROM lanes l
    WHERE l.orig_code IN (SELECT code FROM origins) AND l.dest_code IN (SELECT code FROM destinations)),
known AS MATERIALIZED (
    SELECT EXISTS (SELECT 1 FROM origins) OR EXISTS (SELECT 1 FROM regions WHERE slug = :origin) AS has_origin,
           EXISTS (SELECT 1 FROM destinations) OR EXISTS (SELECT 1 FROM regions WHERE slug = :destination) AS has_destination),
"""
_DAYS = "SELECT generate_series(CAST(:first AS timestamp), CAST(:last AS timestamp), interval '1 day')::date AS day"
_TYPES = (
    bindparam("origin", type_=Text), bindparam("destination", type_=Text), bindparam("first", type_=Date),
    bindparam("last", type_=Date),
)  # fmt: skip

RATES = text(
    f"""{_PLACES}
found AS (
    SELECT d.day, sum(d.prices) AS prices, sum(d.total) / sum(d.prices) AS average
    FROM wanted w JOIN daily_rates d ON d.lane_id = w.lane_id AND d.day BETWEEN :first AND :last
    GROUP BY d.day)
SELECT days.day, coalesce(found.prices, 0)::int AS prices, found.average, known.has_origin, known.has_destination
FROM ({_DAYS}) days CROSS JOIN known LEFT JOIN found ON found.day = days.day
ORDER BY days.day"""
).bindparams(*_TYPES)
"""One row for each day: day, prices, average (also of few prices), has_origin, has_destination."""

SPREAD = text(
    f"""{_PLACES}
found AS (
    SELECT p.day, count(*) AS prices,
           percentile_cont(ARRAY[0.025, 0.25, 0.5, 0.75, 0.975]) WITHIN GROUP (ORDER BY p.price) AS p
    FROM wanted w JOIN prices p ON p.lane_id = w.lane_id AND p.day BETWEEN :first AND :last
    GROUP BY p.day)
SELECT days.day, coalesce(found.prices, 0)::int AS prices, found.p, known.has_origin, known.has_destination
FROM ({_DAYS}) days CROSS JOIN known LEFT JOIN found ON found.day = days.day
ORDER BY days.day"""
).bindparams(*_TYPES)
"""One row for each day: day, prices, p (2.5, 25, 50, 75 and 97.5 %), has_origin, has_destination."""
