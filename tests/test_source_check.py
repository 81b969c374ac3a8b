"""Checks that a source declares itself."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from pipeline_assets.source_check import Judgement, SourceCheck
from tests.toy_source import TOY


def judge(rows: pd.DataFrame, config: object) -> Judgement:
    return Judgement(rows.empty, "")


def test_a_check_names_a_table_and_columns_that_are_there() -> None:
    assert replace(TOY, checks=(SourceCheck("low", "readings", "", ("value",), judge),)).checks
    for wrong in (
        SourceCheck("low", "nothing", "", ("value",), judge),
        SourceCheck("low", "readings", "", ("nothing",), judge),
    ):
        with pytest.raises(ValueError, match=r"check toy\.low is of .* which the source does not have"):
            replace(TOY, checks=(wrong,))


def test_names_of_checks() -> None:
    with pytest.raises(ValueError, match="use lower-case letters"):
        SourceCheck("Too low", "readings", "", ("value",), judge)
    one = SourceCheck("low", "readings", "", ("value",), judge)
    with pytest.raises(ValueError, match="every check of a table needs a name of its own"):
        replace(TOY, checks=(one, one))
