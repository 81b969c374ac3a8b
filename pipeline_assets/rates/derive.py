"""From the prices of a file to the rows of every table, and from all prices to daily rates. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

PERCENTILES = {"p2_5": 0.025, "p25": 0.25, "median": 0.5, "p75": 0.75, "p97_5": 0.975}
KEYS = ("orig_code", "dest_code", "day")
COLUMNS = ("price",)


def checked_tables(prices: Mapping[str, pa.Array], config: Any) -> dict[str, Mapping[str, Any]]:
    """Rows of prices and of batches."""
    lanes = pa.table({"o": prices["orig_code"], "d": prices["dest_code"]}).group_by(["o", "d"]).aggregate([])
    days, amounts = pc.min_max(prices["day"]).as_py(), pc.min_max(prices["price"]).as_py()
    return {
        "prices": prices,
        "batches": {
            "prices": np.array([len(prices["row"])], np.int64),
            "lanes": np.array([lanes.num_rows], np.int64),
            "first_day": pa.array([days["min"]], pa.date32()),
            "last_day": pa.array([days["max"]], pa.date32()),
            "lowest": np.array([amounts["min"]]),
            "highest": np.array([amounts["max"]]),
        },
    }


def daily_rates(rows: pd.DataFrame, config: Any) -> pd.DataFrame:
    """Count, mean and percentiles for each pair of ports and day.

    Percentiles between two prices are interpolated (method 7 of Hyndman & Fan 1996, https://doi.org/10.2307/2684934).
    """
    grouped: Any = rows.groupby(list(KEYS), sort=False, dropna=False)["price"]
    made = grouped.agg(prices="size", average="mean").astype({"prices": np.int64})
    spread = grouped.quantile(list(PERCENTILES.values())).unstack()
    return made.join(spread.rename(columns={value: name for name, value in PERCENTILES.items()})).reset_index()
