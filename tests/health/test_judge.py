"""What the checks of the health source say of a batch's rows, as the tables give them: with and without values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline_assets.health.config import HealthConfig
from pipeline_assets.health.judge import drift, unmapped, waived

CONFIG = HealthConfig()


@pytest.mark.parametrize("nothing", [None, np.nan, pd.NA])
def test_nothing_to_tell_passes(nothing: object) -> None:
    documents = pd.DataFrame(
        {"recordid": ["r"], "schema_id": [nothing], "status": ["kept"], "extra_rows": [0], "extra_fields": [nothing]}
    )
    assert unmapped(documents, CONFIG).passed
    assert unmapped(documents, CONFIG).description == "every file with a schema has a dataset (1 files)"
    assert drift(documents, CONFIG).passed
    assert waived(pd.DataFrame({"waivers": [nothing, nothing]}), CONFIG).passed


def test_an_empty_batch_passes() -> None:
    empty = pd.DataFrame(
        {name: [] for name in ("recordid", "schema_id", "status", "extra_rows", "extra_fields", "waivers")}
    )
    assert [judge(empty, CONFIG).passed for judge in (unmapped, waived, drift)] == [True, True, True]


def test_unmapped_files_are_counted_by_their_schema() -> None:
    found = unmapped(
        pd.DataFrame(
            {
                "recordid": ["a", "a", "b", "b"],
                "schema_id": ["x", "y", "x", "x"],
                "status": ["unmapped", "unmapped", "unmapped", "kept"],
            }
        ),
        CONFIG,
    )
    assert (found.passed, dict(found.shown)) == (False, {"files": 3, "schemas": 2})
    assert list(found.records) == [{"$id": "x", "files": 2}, {"$id": "y", "files": 1}]
    assert found.description.startswith("3 files of 2 records have a schema of no dataset")


def test_every_use_of_a_waiver_is_counted() -> None:
    found = waived(pd.DataFrame({"waivers": ["android weather: 2, other: 1", None, "other: 4"]}), CONFIG)
    assert (found.passed, dict(found.shown)) == (False, {"errors let pass": 7, "waivers used": 2})
    assert list(found.records) == [
        {"waiver": "other", "errors let pass": 5}, {"waiver": "android weather", "errors let pass": 2},
    ]  # fmt: skip


def test_fields_without_a_column_are_named() -> None:
    found = drift(pd.DataFrame({"extra_rows": [3, 0, 1], "extra_fields": ["t.a, t.b", None, "t.a"]}), CONFIG)
    assert (found.passed, dict(found.shown)) == (False, {"rows": 4, "fields": 2})
    assert found.description == "4 rows have fields that no column holds; they are kept in _extra: t.a, t.b"
    assert next(iter(found.records)) == {"field": "t.a", "files": 2}
