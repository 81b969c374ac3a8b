"""The tables that batches of prices become: the one place where a column is defined."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandera.pandas as pa
from pandera.engines.pandas_engine import Date
from pandera.typing.pandas import Series

_ORIGIN = "port of origin, by its UN/LOCODE"
_DESTINATION = "port of destination, by its UN/LOCODE"
_CURRENCY = "currency of the batches"


class Prices(pa.DataFrameModel):
    """One row for each price of each file. Equal rows are prices of their own: several quotes for a lane and day."""

    row: Series[np.int32] = pa.Field(
        ge=1, description="number of the row in its file, from 1, the header not counted", metadata={"unit": "1"}
    )
    orig_code: Series[str] = pa.Field(description=_ORIGIN)
    dest_code: Series[str] = pa.Field(description=_DESTINATION)
    day: Series[Date] = pa.Field(description="day that the price is for")
    price: Series[np.float64] = pa.Field(gt=0, description="price of moving a container", metadata={"unit": _CURRENCY})

    class Config:
        strict = True


def _of_prices(description: str, column: str, unit: str = "1", **rules: Any) -> Any:
    return pa.Field(description=description, metadata={"unit": unit, "from": [f"prices.{column}"]}, **rules)


class Batches(pa.DataFrameModel):
    """One row for each file whose prices are taken, whole."""

    source_key: Series[str] = pa.Field(description="key of the file in the landing store")
    prices: Series[np.int64] = _of_prices("rows of the file", "row", gt=0)
    lanes: Series[np.int64] = pa.Field(
        gt=0,
        description="pairs of ports that it has prices for",
        metadata={"unit": "1", "from": ["prices.orig_code", "prices.dest_code"]},
    )
    first_day: Series[Date] = pa.Field(description="earliest day of a price", metadata={"from": ["prices.day"]})
    last_day: Series[Date] = pa.Field(description="latest day of a price", metadata={"from": ["prices.day"]})
    lowest: Series[np.float64] = _of_prices("lowest price", "price", _CURRENCY, gt=0)
    highest: Series[np.float64] = _of_prices("highest price", "price", _CURRENCY, gt=0)

    class Config:
        strict = True


def _of_day(description: str) -> Any:
    return pa.Field(gt=0, description=description, metadata={"unit": _CURRENCY, "from": ["prices.price"]})


class DailyRates(pa.DataFrameModel):
    """One row for each pair of ports and day that has prices. The serving database keeps the same."""

    orig_code: Series[str] = pa.Field(description=_ORIGIN)
    dest_code: Series[str] = pa.Field(description=_DESTINATION)
    day: Series[Date] = pa.Field(description="day")
    prices: Series[np.int64] = pa.Field(
        gt=0, description="prices of the day", metadata={"unit": "1", "from": ["prices.price"]}
    )
    average: Series[np.float64] = _of_day("mean of the prices")
    p2_5: Series[np.float64] = _of_day("2.5th percentile of the prices, interpolated")
    p25: Series[np.float64] = _of_day("25th percentile")
    median: Series[np.float64] = _of_day("median")
    p75: Series[np.float64] = _of_day("75th percentile")
    p97_5: Series[np.float64] = _of_day("97.5th percentile")

    class Config:
        strict = True
