"""What people ask of the serving database: rates of a lane by day, between ports or regions.

A place is a port's code or a region's slug; a region stands for all ports of it and of the regions below it. Averages are of
all prices of a day together, whichever lane they are of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from math import floor
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, text
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
        return None if self.average is None else rounded(self.average)


def rounded(average: float) -> int:
    """To a whole number, halves up."""
    # To a millionth first, else 1111.5 could have become 1111.4999.
    return floor(round(average, 6) + 0.5)


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


class RateRow(NamedTuple):
    """A row of `RATES`: a day with prices, their number and their mean, however few they are. Without any such day there is
    one row of which these are None."""

    day: date | None
    prices: int | None
    average: float | None
    has_origin: bool
    has_destination: bool


class SpreadRow(NamedTuple):
    """A row of `SPREAD`, likewise. p: the percentiles 2.5, 25, 50, 75 and 97.5."""

    day: date | None
    prices: int | None
    p: Sequence[float] | None
    has_origin: bool
    has_destination: bool


def daily_rates(connection: Connection, origin: str, destination: str, first: date, last: date) -> list[DayRate]:
    """One entry for each day from `first` to `last`, both inclusive, in order. Raises UnknownPlace."""
    return day_rates(_rate_rows(connection, origin, destination, first, last), first, last)


def daily_spread(connection: Connection, origin: str, destination: str, first: date, last: date) -> list[DaySpread]:
    """Median and percentiles of the same days. Raises UnknownPlace."""
    found = connection.execute(SPREAD, _given(origin, destination, first, last))
    rows = [SpreadRow._make(row) for row in found]
    check_places(rows, origin, destination)
    return day_spreads(rows, first, last)


def days_with_prices(connection: Connection, origin: str, destination: str, first: date, last: date) -> list[DayRate]:
    """Only the days that have prices, newest first, their average however few they are. Raises UnknownPlace."""
    return day_rates_newest_first(_rate_rows(connection, origin, destination, first, last))


def day_rates(rows: Sequence[RateRow], first: date, last: date) -> list[DayRate]:
    """Every day of a span, from the rows of `RATES`."""
    found = {row.day: (row.prices or 0, row.average) for row in rows}
    made = []
    for day in days_of(first, last):
        prices, average = found.get(day, (0, None))
        made.append(DayRate(day, prices, average if prices >= FEWEST_PRICES else None))
    return made


def day_spreads(rows: Sequence[SpreadRow], first: date, last: date) -> list[DaySpread]:
    """Every day of a span, from the rows of `SPREAD`."""
    found = {row.day: (row.prices or 0, row.p) for row in rows}
    made = []
    for day in days_of(first, last):
        prices, p = found.get(day, (0, None))
        made.append(DaySpread(day, prices, *(p if p is not None and prices >= FEWEST_PRICES else [None] * 5)))
    return made


def day_rates_newest_first(rows: Sequence[RateRow]) -> list[DayRate]:
    """From the rows of `RATES`, as `days_with_prices`."""
    return [DayRate(row.day, row.prices or 0, row.average) for row in reversed(rows) if row.day is not None]


def days_of(first: date, last: date) -> list[date]:
    """Every day of a span, both ends inclusive."""
    return [date.fromordinal(day) for day in range(first.toordinal(), last.toordinal() + 1)]


def check_places(rows: Sequence[RateRow] | Sequence[SpreadRow], origin: str, destination: str) -> None:
    """Raises UnknownPlace, from the rows of either query."""
    for field, place, is_known in (
        ("origin", origin, rows[0].has_origin),
        ("destination", destination, rows[0].has_destination),
    ):
        if not is_known:
            raise UnknownPlace(field, place)


def _rate_rows(connection: Connection, origin: str, destination: str, first: date, last: date) -> list[RateRow]:
    rows = [RateRow._make(row) for row in connection.execute(RATES, _given(origin, destination, first, last))]
    check_places(rows, origin, destination)
    return rows


def _given(origin: str, destination: str, first: date, last: date) -> dict[str, object]:
    if first > last:
        raise UserError(f"date_from: {first} is after date_to, {last}")
    return {"origin": origin, "destination": destination, "first": first, "last": last}


# A lane's days lie together in daily_rates, and there are few lanes; so lanes are found first, then their days. Arrays
# rather than joins, because an index takes all of an array at once: that halved the time of PostgreSQL.
_PLACES = """
WITH ends AS MATERIALIZED (
    SELECT ARRAY(SELECT code FROM ports WHERE code = :origin
                 UNION ALL SELECT port_code FROM closure WHERE region_slug = :origin) AS origins,
           ARRAY(SELECT code FROM ports WHERE code = :destination
                 UNION ALL SELECT port_code FROM closure WHERE region_slug = :destination) AS destinations),
known AS MATERIALIZED (
    SELECT cardinality(origins) > 0 OR EXISTS (SELECT 1 FROM regions WHERE slug = :origin) AS has_origin,
           cardinality(destinations) > 0 OR EXISTS (SELECT 1 FROM regions WHERE slug = :destination) AS has_destination
    FROM ends),
"""
_OF_LANES_AND_DAYS = """
    lane_id = ANY (ARRAY(
        SELECT lane_id FROM lanes WHERE orig_code = ANY (CAST((SELECT origins FROM ends) AS text[]))
                                    AND dest_code = ANY (CAST((SELECT destinations FROM ends) AS text[]))))
    AND day BETWEEN :first AND :last"""
_TYPES = (
    bindparam("origin", type_=Text), bindparam("destination", type_=Text), bindparam("first", type_=Date),
    bindparam("last", type_=Date),
)  # fmt: skip
_WITH_KNOWN = "known LEFT JOIN found ON true ORDER BY found.day"

RATES = text(
    f"""{_PLACES}
found AS (
    SELECT d.day, sum(d.prices)::int AS prices, sum(d.total) / sum(d.prices) AS average
    FROM daily_rates d WHERE {_OF_LANES_AND_DAYS}
    GROUP BY d.day)
SELECT found.day, found.prices, found.average, known.has_origin, known.has_destination FROM {_WITH_KNOWN}"""
).bindparams(*_TYPES)
"""`RateRow`s, in the order of their days."""

SPREAD = text(
    f"""{_PLACES}
found AS (
    SELECT p.day, count(*)::int AS prices,
           percentile_cont(ARRAY[0.025, 0.25, 0.5, 0.75, 0.975]) WITHIN GROUP (ORDER BY p.price) AS p
    FROM prices p WHERE {_OF_LANES_AND_DAYS}
    GROUP BY p.day)
SELECT found.day, found.prices, found.p, known.has_origin, known.has_destination FROM {_WITH_KNOWN}"""
).bindparams(*_TYPES)
"""`SpreadRow`s, likewise."""
