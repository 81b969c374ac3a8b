"""What a declaration or its compute can get wrong, and what is said of it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pandas as pd
import pytest

from pipeline_assets import aggregate_run
from pipeline_assets.aggregate_run import (
    WrongAggregate,
    check_declaration,
    recompute_sample,
)
from pipeline_assets.source import FileSource, NoConfig
from resources.platform import Platform
from tests.aggregates.updating import (
    assert_up_to_date,
    expected,
    land_and_run,
    shown,
    update,
)
from tests.conftest import Put
from tests.running import toy
from tests.toy_source import BY_VALUE, TOY, by_value


def wrong(rows: pd.DataFrame, config: NoConfig, *, kind: str) -> Any:
    made = by_value(rows, config)
    return {
        "twice": pd.concat([made, made]),
        "foreign key": made.assign(value=made["value"] + 100),
        "lacks a column": made.drop(columns="latest"),
        "breaks the schema": made.assign(readings=0),
    }[kind]


MESSAGES = {
    "twice": r"compute of toy.by_value must give at most one row for each key.*\(value\).*1.0",
    "foreign key": r"were not among them: \[.*\(101.0,\)",
    "lacks a column": r"rows of toy.by_value: the rows of ByValue lack the columns \['latest'\]",
    "breaks the schema": r"rows of toy.by_value break its schema: column readings: greater_than\(0\)",
}


@pytest.mark.parametrize(("kind", "message"), MESSAGES.items(), ids=MESSAGES)
def test_wrong_rows_are_not_published(platform: Platform, put: Put, kind: str, message: str) -> None:
    land_and_run(platform, put, a=toy(1, 2))
    update(platform)
    land_and_run(platform, put, b=toy(1, 3))
    broken = dataclasses.replace(BY_VALUE, compute=lambda rows, config: wrong(rows, config, kind=kind))
    with pytest.raises(WrongAggregate, match=message):
        update(platform, broken)
    assert shown(platform) == {1.0: (1, 0), 2.0: (1, 1)}
    update(platform)
    assert_up_to_date(platform)


def test_compute_may_leave_keys_out(platform: Platform, put: Put) -> None:
    often = dataclasses.replace(BY_VALUE, compute=lambda rows, config: by_value(rows, config).query("readings > 1"))
    land_and_run(platform, put, a=toy(1, 1, 2))
    update(platform, often)
    assert shown(platform) == {1.0: (2, 1)}
    land_and_run(platform, put, a=toy(1, 2, 2))
    update(platform, often)
    assert shown(platform) == {2.0: (2, 2)}
    found = recompute_sample(platform, TOY, often, NoConfig(), 20, "x")
    assert found is not None
    assert (found.keys_compared, found.differing) == (2, ())


def test_the_recomputation_finds_what_is_wrong(platform: Platform, put: Put) -> None:
    """Rows that no run would make, in a table that the ledger publishes."""
    land_and_run(platform, put, a=toy(1, 2))
    miscounted = dataclasses.replace(BY_VALUE, compute=miscount)
    update(platform, miscounted)
    found = recompute_sample(platform, TOY, BY_VALUE, NoConfig(), 20, "x")
    assert found is not None
    assert {(item["key"], item["column"], item["in the table"], item["computed anew"]) for item in found.differing} == {
        ("value=1.0", "readings", "11", "1"),
        ("value=2.0", "", "no row", "a row"),
    }


def miscount(rows: pd.DataFrame, config: NoConfig) -> pd.DataFrame:
    return by_value(rows, config).assign(readings=lambda made: made["readings"] + 10).head(1)


def test_keys_with_many_rows_are_computed_apart(platform: Platform, put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many keys are computed at once, the table is the same."""
    monkeypatch.setattr(aggregate_run, "_ROWS_AT_ONCE", 4)
    given: list[int] = []

    def counting(rows: pd.DataFrame, config: NoConfig) -> pd.DataFrame:
        given.append(len(rows))
        return by_value(rows, config)

    land_and_run(platform, put, a=toy(*[1] * 7, *[2] * 2, *[3] * 2, 4))
    update(platform, dataclasses.replace(BY_VALUE, compute=counting))
    assert given == [7, 4, 1]
    assert shown(platform) == expected(platform)


def declared(**changes: Any) -> FileSource:
    return dataclasses.replace(TOY, aggregates=(dataclasses.replace(BY_VALUE, **changes),))


def test_wrong_declarations_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"aggregate toy.by_value is of 'nothing', which is no table.*readings, files"):
        declared(of="nothing")
    with pytest.raises(ValueError, match="every table, dataset, aggregate and product needs a name of its own"):
        declared(name="files")
    with pytest.raises(ValueError, match="aggregate name 'By Value': use lower-case"):
        declared(name="By Value")
    with pytest.raises(ValueError, match="`keys` names the columns to group by"):
        declared(keys=())
    with pytest.raises(ValueError, match=r"\['value'\] are keys, so `columns` need not name them"):
        declared(columns=("value",))
    for changes, message in (
        ({"columns": ("m",)}, r"aggregate toy.by_value: toy.readings has no columns \['m'\]. It has: \['n', 'value'"),
        (
            {"keys": ("n",), "columns": ()},
            r"its schema ByValue must have the keys \['n'\], of the same type as in toy.r",
        ),
    ):
        source = declared(**changes)
        with pytest.raises(ValueError, match=message):
            check_declaration(source, source.aggregates[0])
