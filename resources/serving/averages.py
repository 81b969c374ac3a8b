"""What is kept of each lane and day that has prices: their number, sum and percentiles.

Two ways to the same numbers, to the last bit. PostgreSQL computes a lane's day from all its prices. Days that had none before a
batch are computed from the batch's own, in the loading process: several times quicker, and most of what a batch brings is new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from sqlalchemy import Connection, text

from resources.serving import wire
from resources.serving.copying import copy_into

KEPT_PRICES = 1 << 20
"""Prices of one batch that are kept in memory (16 bytes each) to be averaged there; with more, PostgreSQL averages all."""

_QUANTILES = (0.025, 0.25, 0.5, 0.75, 0.975)
_RANKS_AT_ONCE = 64


@dataclass
class NewPrices:
    """The prices that a load brings, until they are averaged. moments: lane and day as one number (`wire.encode`)."""

    moments: set[int] = field(default_factory=set)
    _kept: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    _count: int = 0

    def note(self, moments: np.ndarray, prices: np.ndarray) -> None:
        """moments int64 (n,), prices float64 (n,)."""
        self.moments.update(np.unique(moments).tolist())
        self._count += len(moments)
        if self._count <= KEPT_PRICES:
            self._kept.append((moments, prices))
        else:
            self._kept.clear()

    def daily(self, leave_out: Sequence[int]) -> wire.Daily | None:
        """What is kept of their lanes and days, without some; None if there are too many prices or none is left."""
        if not self._kept:
            return None
        moments, prices = (np.concatenate(arrays) for arrays in zip(*self._kept, strict=True))
        if len(leave_out):
            wanted = ~np.isin(moments, np.asarray(leave_out, np.int64))
            moments, prices = moments[wanted], prices[wanted]
        return daily_of(moments, prices) if len(moments) else None


def daily_of(moments: np.ndarray, prices: np.ndarray) -> wire.Daily:
    """Number, sum and percentiles of the prices of each moment. moments int64 (n,), prices float64 (n,), n > 0."""
    order = np.lexsort((prices, moments))
    moments, prices = moments[order], prices[order]
    firsts = np.flatnonzero(np.r_[True, moments[1:] != moments[:-1]])
    counts = np.diff(np.r_[firsts, len(moments)])
    percentiles = []
    for quantile in _QUANTILES:
        at = quantile * (counts - 1.0)
        below = np.floor(at)
        low, high = prices[firsts + below.astype(np.int64)], prices[firsts + np.ceil(at).astype(np.int64)]
        percentiles.append(low + (at - below) * (high - low))
    return wire.Daily(moments[firsts], counts, _sums(prices, firsts, counts), percentiles)


def _sums(prices: np.ndarray, firsts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """One price after the other, as PostgreSQL adds; NumPy's own sum of a piece goes by pairs and ends in other bits."""
    totals = prices[firsts]
    few = counts <= _RANKS_AT_ONCE
    for rank in range(1, int(counts[few].max(initial=0))):
        has = np.flatnonzero(few & (counts > rank))
        totals[has] += prices[firsts[has] + rank]
    for group in np.flatnonzero(~few):
        totals[group] = np.add.accumulate(prices[firsts[group] : firsts[group] + counts[group]])[-1]
    return totals


def begin(connection: Connection) -> None:
    """Make the table in which the transaction's touched lanes and days are noted."""
    connection.execute(text("CREATE TEMP TABLE touched (lane_id int, day date) ON COMMIT DROP"))


def average_touched(connection: Connection, new: NewPrices | None = None) -> None:
    """Compute what is kept of the touched lanes and days anew.

    new: prices that the transaction has inserted; their lanes and days are touched, too.
    """
    if new is not None:
        copy_into(connection, "touched", wire.encode_moments(np.array(sorted(new.moments), np.int64)))
    connection.execute(text("ANALYZE touched"))
    had = connection.scalars(text(_DELETE)).all()
    daily = new.daily(had) if new is not None else None
    if daily is not None:
        copy_into(connection, "daily_rates", wire.encode_daily(daily))
        if not had:
            return
        connection.execute(text(_ONLY_EARLIER))
    connection.execute(text(_AVERAGE))


def average_all(connection: Connection) -> None:
    """Compute what is kept of all lanes and days anew."""
    begin(connection)
    connection.execute(
        text("INSERT INTO touched SELECT lane_id, day FROM prices UNION SELECT lane_id, day FROM daily_rates")
    )
    average_touched(connection)


_DELETE = f"""
DELETE FROM daily_rates d USING touched t WHERE d.lane_id = t.lane_id AND d.day = t.day
RETURNING (CAST(d.lane_id AS bigint) << {wire.LANE_SHIFT}) + (d.day - DATE '2000-01-01')
"""

_ONLY_EARLIER = "DELETE FROM touched t USING daily_rates d WHERE d.lane_id = t.lane_id AND d.day = t.day"

# Percentiles between two prices are interpolated, as NumPy and DuckDB do (method 7 of Hyndman & Fan 1996,
# https://doi.org/10.2307/2684934). One sort serves all lanes and days, where percentile_cont would sort each by itself; and
# sums go in one order, so that the same prices give the same sum.
_PERCENTILE = "a[1 + floor({x})::int] + ({x} - floor({x})) * (a[1 + ceil({x})::int] - a[1 + floor({x})::int])"
_PERCENTILES = ", ".join(_PERCENTILE.format(x=f"({q}::float8 * (n - 1))") for q in _QUANTILES)
_AVERAGE = f"""
INSERT INTO daily_rates (lane_id, day, prices, total, p2_5, p25, median, p75, p97_5)
SELECT lane_id, day, n, total, {_PERCENTILES}
FROM (
    SELECT p.lane_id, p.day, count(*) AS n, sum(p.price ORDER BY p.price) AS total,
           array_agg(p.price ORDER BY p.price) AS a
    FROM prices p JOIN (SELECT DISTINCT lane_id, day FROM touched) t ON t.lane_id = p.lane_id AND t.day = p.day
    GROUP BY p.lane_id, p.day
    OFFSET 0
) sorted
"""
