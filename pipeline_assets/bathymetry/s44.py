"""How well depths must be known, by order of survey, as data and the formulas that go with it.

S-44 is IHO Publication S-44, Standards for Hydrographic Surveys, edition 6.1.0 (2022), table 1; here are its numbers alone.
HIPP is the HydroScheme Industry Partnership Program of the Australian Hydrographic Office. Density and the size of features
are as AusSeabed's QAX 2 judges them (its specifications for HIPP and IHO), density's share as NOAA's QC Tools do, too.
NOAA's Hydrographic Surveys Specifications ask for order 1a down to 100 m and for order 2 below.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Order:
    """What one order of survey asks for. None: it asks nothing.

    tvu_m, tvu_of_depth: a and b of the most vertical uncertainty at 95 %, sqrt(a² + (b·depth)²), m and 1.
    thu_m, thu_of_depth: of the most horizontal uncertainty at 95 %, thu_m + thu_of_depth·depth, m and 1.
    feature_m: edge of the smallest cube that must be found where it is shallower than `FEATURE_DEPTH_M`, m.
    deep_feature_m, deep_feature_of_depth: the same from that depth on, the sum of both, m and 1.
    density_min, density_share: soundings a cell, and the share of cells that must have so many.
    tvu_share: share of cells whose uncertainty must be within the most; QAX asks it of all, NOAA's QC Tools of 95 %.
    deeper: the depth from which on another order's uncertainties hold, m, and that order's name.
    """

    name: str
    title: str
    tvu_m: float
    tvu_of_depth: float
    thu_m: float | None = None
    thu_of_depth: float = 0.0
    feature_m: float | None = None
    deep_feature_m: float = 0.0
    deep_feature_of_depth: float = 0.0
    density_min: int | None = None
    density_share: float = 0.95
    tvu_share: float = 1.0
    deeper: tuple[float, str] | None = None


FEATURE_DEPTH_M = 40.0
"""From this depth on the size of features that must be found grows with depth, m."""

ORDERS: dict[str, Order] = {
    order.name: order
    for order in (
        Order(
            "exclusive", "IHO S-44 Exclusive Order", 0.15, 0.0075, 1.0,
            feature_m=0.5, deep_feature_m=0.5, density_min=9,
        ),
        Order(
            "special", "IHO S-44 Special Order", 0.25, 0.0075, 2.0, feature_m=1.0, deep_feature_m=1.0, density_min=9
        ),
        Order("1a", "IHO S-44 Order 1a", 0.5, 0.013, 5.0, 0.05, feature_m=2.0, density_min=5, deep_feature_of_depth=0.1),
        # S-44 asks no features of order 1b; QAX judges the size of its cells as of order 1a.
        Order("1b", "IHO S-44 Order 1b", 0.5, 0.013, 5.0, 0.05, feature_m=2.0, deep_feature_of_depth=0.1),
        Order("2", "IHO S-44 Order 2", 1.0, 0.023, 20.0, 0.10),
        Order("hipp1", "HIPP 1", 0.25, 0.0075, feature_m=1.0, deep_feature_of_depth=0.02, density_min=5),
        Order("hipp2", "HIPP 2", 0.5, 0.013, feature_m=4.0, density_min=5, deep_feature_of_depth=0.1),
        Order("hipp_passage", "HIPP Passage", 1.0, 0.023, feature_m=4.0, deep_feature_of_depth=0.1),
        Order(
            "noaa", "NOAA, order 1a to 100 m and order 2 deeper", 0.5, 0.013, 5.0, 0.05, feature_m=2.0, density_min=5,
            tvu_share=0.95, deeper=(100.0, "2"), deep_feature_of_depth=0.1,
        ),
    )
}  # fmt: skip
"""Every order by its name."""


def order_of(order: str | Order) -> Order:
    """The order of a name. Raises ValueError that lists the names."""
    if isinstance(order, Order):
        return order
    if order not in ORDERS:
        raise ValueError(f"no order of survey is called {order!r}; expected one of: {', '.join(ORDERS)}")
    return ORDERS[order]


def tvu_max(order: str | Order, depth: Any) -> NDArray[np.float64]:
    """Most vertical uncertainty at 95 %, m, for depths in m; NaN where the depth is NaN. S-44 3.2.3."""
    one, depths = order_of(order), np.abs(np.asarray(depth, dtype=np.float64))
    most = np.hypot(one.tvu_m, one.tvu_of_depth * depths)
    if one.deeper is None:
        return most
    beyond, other = one.deeper
    return np.where(depths >= beyond, tvu_max(other, depths), most)


def thu_max(order: str | Order, depth: Any) -> NDArray[np.float64]:
    """Most horizontal uncertainty at 95 %, m, for depths in m; infinite where the order asks nothing. S-44 table 1."""
    one, depths = order_of(order), np.abs(np.asarray(depth, dtype=np.float64))
    most = np.full(depths.shape, np.inf) if one.thu_m is None else one.thu_m + one.thu_of_depth * depths
    most = np.where(np.isnan(depths), np.nan, most)
    if one.deeper is None:
        return most
    beyond, other = one.deeper
    return np.where(depths >= beyond, thu_max(other, depths), most)


def feature_size(order: str | Order, depth: Any) -> NDArray[np.float64]:
    """Edge of the smallest cube that must be found, m, for depths in m; infinite where the order asks nothing."""
    one, depths = order_of(order), np.abs(np.asarray(depth, dtype=np.float64))
    if one.feature_m is None:
        return np.where(np.isnan(depths), np.nan, np.inf)
    deep = one.deep_feature_m + one.deep_feature_of_depth * depths
    sizes = np.where(depths < FEATURE_DEPTH_M, one.feature_m, deep)
    return np.where(np.isnan(depths), np.nan, sizes)


def cell_max(order: str | Order, depth: Any) -> NDArray[np.float64]:
    """Largest cell in which such features still show: half their size, m. QAX, MBES Grid Checks, resolution."""
    return 0.5 * feature_size(order, depth)
