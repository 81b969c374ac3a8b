"""Rows of casts that are parsed while others are still cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_assets.ocean.read import rows_ahead
from pipeline_assets.ocean.read.exchange_lines import ExchangeText
from pipeline_assets.ocean.read.rows_ahead import RowsAhead


def text(body: bytes, names: tuple[str, ...] = ("CTDPRS", "CTDTMP")) -> ExchangeText:
    return ExchangeText("CTD", [], {}, names, ("DBAR", "ITS-90"), body, 1, True)


_bodies = st.lists(
    st.lists(st.tuples(st.integers(0, 6000), st.integers(-2, 35)), max_size=5).map(
        lambda rows: "\n".join(f"{a},{b}" for a, b in rows).encode()
    ),
    min_size=1,
    max_size=12,
)


@given(bodies=_bodies, closed=st.booleans(), piece=st.sampled_from([1, 20, 1 << 20]))
def test_all_rows_come_in_their_order_however_they_are_cut_into_pieces(
    bodies: list[bytes], closed: bool, piece: int
) -> None:
    with pytest.MonkeyPatch.context() as patch, RowsAhead(()) as rows:
        patch.setattr(rows_ahead, "_PIECE_BYTES", piece)
        for body in bodies:
            rows.add(text(body + b"\n" if closed and body else body))
        columns = rows.columns()
    expected = [list(map(float, line.split(b","))) for body in bodies for line in body.splitlines()]
    assert columns is not None
    assert rows.counts == [len(body.splitlines()) for body in bodies]
    np.testing.assert_array_equal(
        np.column_stack([column.to_numpy() for column in columns]), np.array(expected).reshape(-1, 2)
    )


@pytest.mark.parametrize(
    "bodies",
    [
        pytest.param([b"1,2\n", b"1,2,3\n"], id="more values than columns"),
        pytest.param([b"1,2\n", b"1,warm\n"], id="no number"),
        pytest.param([b"1,2\n\n3,4\n"], id="a blank line, so that rows cannot be told by counting"),
    ],
)
def test_rows_that_are_not_well_formed_are_left_to_the_careful_way(bodies: list[bytes]) -> None:
    with RowsAhead(()) as rows:
        for body in bodies:
            rows.add(text(body))
        assert rows.columns() is None


def test_texts_with_other_columns_are_not_read_together() -> None:
    with RowsAhead(()) as rows:
        rows.add(text(b"1,2\n"))
        rows.add(text(b"1,2\n", ("CTDPRS", "CTDSAL")))
        rows.add(text(b"1,2\n"))
        assert rows.columns() is None


def test_keys_are_texts() -> None:
    with RowsAhead({"SAMPNO"}) as rows:
        rows.add(text(b"01,2\n", ("SAMPNO", "CTDTMP")))
        columns = rows.columns()
    assert columns is not None
    assert columns[0].to_pylist() == ["01"]
