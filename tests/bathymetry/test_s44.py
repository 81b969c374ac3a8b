"""Orders of survey: the numbers of S-44's table 1, and the formulas that go with them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_assets.bathymetry.s44 import ORDERS, cell_max, feature_size, order_of, thu_max, tvu_max


# Computed by hand from S-44 edition 6.1.0, table 1.
@pytest.mark.parametrize(
    ("order", "depth", "tvu", "thu", "feature"),
    [
        ("exclusive", 0.0, 0.15, 1.0, 0.5),
        ("exclusive", 100.0, 0.764853, 1.0, 0.5),
        ("special", 10.0, 0.261008, 2.0, 1.0),
        ("1a", 30.0, 0.634114, 6.5, 2.0),
        ("1a", 40.0, 0.721388, 7.0, 4.0),
        ("1b", 100.0, 1.392839, 10.0, 10.0),
        ("2", 1000.0, 23.021729, 120.0, np.inf),
        ("hipp1", 100.0, 0.790569, np.inf, 2.0),
        ("hipp2", 20.0, 0.563560, np.inf, 4.0),
        ("noaa", 99.0, 1.380713, 9.95, 9.9),
        ("noaa", 100.0, 2.507987, 30.0, 10.0),
    ],
)
def test_what_an_order_asks_for(order: str, depth: float, tvu: float, thu: float, feature: float) -> None:
    assert tvu_max(order, depth) == pytest.approx(tvu, abs=1e-6)
    assert thu_max(order, depth) == pytest.approx(thu, abs=1e-6)
    assert feature_size(order, depth) == pytest.approx(feature, abs=1e-9)
    assert cell_max(order, depth) == pytest.approx(feature / 2, abs=1e-9)


@given(st.sampled_from(sorted(ORDERS)), st.floats(0, 11_000), st.floats(0, 11_000))
def test_deeper_is_never_stricter(order: str, one: float, other: float) -> None:
    shallow, deep = sorted((one, other))
    for limit in (tvu_max, thu_max, feature_size):
        assert limit(order, shallow) <= limit(order, deep)
        assert limit(order, -deep) == limit(order, deep), "heights count like depths"


def test_nothing_known_stays_unknown() -> None:
    for order in ORDERS:
        for limit in (tvu_max, thu_max, feature_size):
            assert np.isnan(limit(order, np.array([np.nan, 10.0]))).tolist() == [True, False]


def test_an_unknown_order_is_told_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="no order of survey is called '3'; expected one of: exclusive, special, 1a"):
        order_of("3")
