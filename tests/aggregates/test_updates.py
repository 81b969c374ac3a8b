"""Only what changed is computed, and after every update the table equals the whole computed anew."""

from __future__ import annotations

import dataclasses
import random
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pytest
from pandera.typing.pandas import Series
from pydantic import SecretStr

from pipeline_assets.aggregate import Aggregate
from pipeline_assets.aggregate_run import (
    recompute_sample,
)
from pipeline_assets.source import NoConfig
from resources.ledger.aggregates import made_from
from resources.ledger.planning import plan
from resources.ledger.publishing import published_snapshots
from resources.platform import Platform
from resources.settings import Settings
from sensors.looking import look_for_arrivals
from tests.aggregates.updating import (
    assert_up_to_date,
    behind,
    forget_old_snapshots,
    land_and_run,
    next_number,
    shown,
    update,
)
from tests.conftest import Put, putter
from tests.running import LIMITS, look_and_run, next_batch, rows_of, run, toy
from tests.toy_source import TOY


def test_only_what_changed_is_computed(platform: Platform, put: Put) -> None:
    assert update(platform).publication == 0
    land_and_run(platform, put, a=toy(1, 2, 2), b=toy(2, 3))
    assert behind(platform)
    first = update(platform)
    assert (first.rebuilt, first.keys, first.rows_read) == ("it was never made before", 3, 5)
    assert shown(platform) == {1.0: (1, 0), 2.0: (3, 2), 3.0: (1, 1)}

    land_and_run(platform, put, c=toy(3, 4))
    second = update(platform)
    assert (second.rebuilt, second.keys, second.rows_read) == ("", 2, 3)
    assert_up_to_date(platform)

    land_and_run(platform, put, a=toy(1, 5))
    third = update(platform)
    assert (third.rebuilt, third.keys) == ("", 3), "2 went, 5 came, and the batch of 1 is another now"
    assert_up_to_date(platform)


def test_a_row_knows_its_newest_batch_and_no_file(platform: Platform, put: Put) -> None:
    land_and_run(platform, put, a=toy(1, 2))
    land_and_run(platform, put, b=toy(2))
    update(platform)
    batches = [batch for (batch,) in rows_of(platform, "SELECT DISTINCT batch_id FROM toy.readings ORDER BY 1")]
    assert len(batches) == 2
    rows = rows_of(platform, "SELECT value, batch_id, file_id FROM toy.by_value ORDER BY value")
    assert rows == [(1.0, batches[0], None), (2.0, batches[1], None)]


def test_doing_it_again_changes_nothing(platform: Platform, put: Put) -> None:
    land_and_run(platform, put, a=toy(1, 2))
    first = update(platform)
    before = published_snapshots(platform.ledger, "toy"), made_from(platform.ledger, "toy", "by_value")
    again = update(platform)
    assert again.committed == first.committed
    assert again.keys == 0
    assert (published_snapshots(platform.ledger, "toy"), made_from(platform.ledger, "toy", "by_value")) == before


def test_a_batch_that_changes_no_rows_asks_for_nothing(platform: Platform, put: Put) -> None:
    land_and_run(platform, put, a=toy(1))
    update(platform)
    land_and_run(platform, put, bad=toy("bad"))
    assert not behind(platform)


def test_a_batch_done_again_touches_no_key(platform: Platform, put: Put) -> None:
    """Its rows are written anew, into other data files, and are the same."""
    put("toy/a", toy(1, 2))
    batch = next_batch(platform)
    run(platform, batch)
    first = update(platform)
    run(platform, batch, "run-again")
    assert behind(platform)
    report = update(platform)
    assert (report.keys, report.rebuilt) == (0, "")
    assert report.committed == first.committed
    assert_up_to_date(platform)


def test_when_all_rows_go_the_table_is_empty(platform: Platform, put: Put) -> None:
    land_and_run(platform, put, a=toy(1, 2))
    update(platform)
    land_and_run(platform, put, a=toy())
    report = update(platform)
    assert (report.committed.total_rows, report.keys) == (0, 2)
    assert shown(platform) == {}
    assert_up_to_date(platform)
    land_and_run(platform, put, a=toy(7))
    update(platform)
    assert shown(platform) == {7.0: (1, 0)}


def test_a_source_whose_first_batch_has_no_rows(platform: Platform, put: Put) -> None:
    land_and_run(platform, put, bad=toy("bad"))
    assert behind(platform)
    assert update(platform).committed.total_rows == 0
    assert not behind(platform)
    land_and_run(platform, put, a=toy(1))
    assert update(platform).rebuilt == ""
    assert_up_to_date(platform)


def test_keys_without_a_value_are_a_key(platform: Platform, put: Put) -> None:
    """Two batches of rows whose key is null come together in one row."""
    source = dataclasses.replace(WITH_LABELS, aggregates=(BY_LABEL,))

    def step(**files: str) -> list[tuple[Any, ...]]:
        for key, content in files.items():
            put(f"toy/{key}", content)
        look_and_run(platform, f"run-{next_number()}", source)
        update(platform, BY_LABEL, source)
        return rows_of(platform, "SELECT label, rows FROM toy.by_label ORDER BY label NULLS FIRST")

    assert step(a=toy(-1, 2), b=toy(3)) == [(None, 1), ("+", 2)]
    assert step(c=toy(-4)) == [(None, 2), ("+", 2)]
    assert step(a=toy(2)) == [(None, 1), ("+", 2)]
    assert step(c=toy(4)) == [("+", 3)]
    found = recompute_sample(platform, source, BY_LABEL, NoConfig(), 20, "x")
    assert found is not None
    assert (found.keys_compared, found.differing) == (1, ())


class Named(pa.DataFrameModel):
    """One row for each label, or none."""

    label: Series[str] = pa.Field(nullable=True, description="label")
    rows: Series[np.int64] = pa.Field(description="rows")

    class Config:
        strict = True


class Labelled(pa.DataFrameModel):
    """Readings, those below zero without a label."""

    label: Series[str] = pa.Field(nullable=True, description="label")
    value: Series[np.float64] = pa.Field(description="reading")

    class Config:
        strict = True


def derive_labels(values: list[float], config: NoConfig) -> dict[str, object]:
    return {"readings": pd.DataFrame({"label": [None if v < 0 else "+" for v in values], "value": values})}


def by_label(rows: pd.DataFrame, config: NoConfig) -> pd.DataFrame:
    return rows.groupby("label", dropna=False).agg(rows=("value", "size")).astype(np.int64).reset_index()


BY_LABEL = Aggregate("by_label", Named, of="readings", keys=("label",), columns=("value",), compute=by_label)
WITH_LABELS = dataclasses.replace(
    TOY, tables=(dataclasses.replace(TOY.tables[0], schema=Labelled),), derive=derive_labels, aggregates=()
)


def wander(platform: Platform, put: Put, seed: int, steps: int) -> None:
    """A random walk; after each update the aggregate equals the whole computed anew."""
    dice = random.Random(seed)
    batches: list[str] = []
    updates = 0
    for _ in range(steps):
        move = dice.choice(["land", "land", "overwrite", "again", "bad", "update", "update", "late"])
        if move in {"land", "overwrite", "bad"}:
            for _ in range(dice.randint(1, 3)):
                values = [dice.randint(1, 6) for _ in range(dice.randint(0, 5))]
                content = toy("bad") if move == "bad" else toy(*values)
                put(f"toy/{dice.randint(1, 4) if move == 'overwrite' else dice.randint(1, 40)}", content)
            look_for_arrivals(platform, TOY)
            batch = plan(platform.ledger, "toy", LIMITS, flush=True)
            if batch is not None:
                run(platform, batch, f"run-{next_number()}")
                batches.append(batch.batch_id)
        elif move == "again" and batches:
            run(platform, dice.choice(batches), f"run-{next_number()}")
        elif move == "late":
            forget_old_snapshots(platform)
        elif move == "update" and batches:
            update(platform)
            updates += 1
            assert_up_to_date(platform)
    update(platform)
    assert_up_to_date(platform)
    assert updates


@pytest.mark.parametrize("seed", range(4))
def test_any_order_of_events(platform: Platform, put: Put, seed: int) -> None:
    wander(platform, put, seed, 25)


@pytest.fixture
def on_postgresql(settings: Settings, postgresql: str) -> Iterator[Platform]:
    name = f"test{uuid.uuid4().hex[:8]}"
    made = Platform(settings.model_copy(update={"ledger_url": SecretStr(postgresql), "namespace": name}))
    yield made
    made.close()


def test_any_order_of_events_on_postgresql(on_postgresql: Platform, tmp_path: Path) -> None:
    put = putter(on_postgresql.landing, tmp_path)
    land_and_run(on_postgresql, put, a=toy(1, 2))
    update(on_postgresql)
    land_and_run(on_postgresql, put, a=toy(2), b=toy(2, 9))
    report = update(on_postgresql)
    assert (report.rebuilt, report.keys) == ("", 3)
    assert_up_to_date(on_postgresql)
    wander_lightly(on_postgresql, put)


def wander_lightly(platform: Platform, put: Put) -> None:
    dice = random.Random(7)
    for _ in range(6):
        land_and_run(platform, put, **{f"k{dice.randint(1, 3)}": toy(*dice.choices(range(1, 6), k=3), dice.random())})
        if dice.random() < 0.6:
            update(platform)
            assert_up_to_date(platform)
