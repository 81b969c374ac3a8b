"""The summary by class and lead: the function alone, and the table against SQL's own counting."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from pipeline_assets.aggregate_run import compute_rows, update_aggregate
from pipeline_assets.batch_run import run_batch
from pipeline_assets.columns import arrow_schema
from pipeline_assets.ecg.config import EcgConfig
from pipeline_assets.ecg.examples import write_examples
from pipeline_assets.ecg.source import ECG
from pipeline_assets.ecg.summary import by_class_and_lead
from resources.lake.sql import run_query
from resources.platform import Platform
from tests.running import Silent, next_batch

(SUMMARY,) = ECG.aggregates


def recordings(*rows: tuple[str | None, str, str | None, float | None]) -> pd.DataFrame:
    """Recordings of a minute with 60 beats each: class, lead, verdict, heart rate."""
    return pd.DataFrame(
        [
            {"class_label": label, "lead": lead, "class_number": None if label is None else len(label), "verdict": verdict,
             "duration_s": 60.0, "beats": 60, "heart_rate_bpm": rate, "amplitude_mv": 1.5, "bsqi": None}
            for label, lead, verdict, rate in rows
        ]
    ).astype({"class_number": "Int32", "heart_rate_bpm": float, "bsqi": float})  # fmt: skip


def test_one_row_for_each_class_and_lead() -> None:
    rows = recordings(
        ("NSR", "MLII", "good", 60.0),
        ("NSR", "MLII", "warn", 90.0),
        ("NSR", "MLII", "good", 63.0),
        ("NSR", "V5", None, None),
        (None, "MLII", "warn", 50.0),
    )
    summary = by_class_and_lead(rows, EcgConfig()).set_index(["class_label", "lead"])
    assert len(summary) == 3
    normal = summary.loc[("NSR", "MLII")]
    assert (normal["recordings"], normal["good"], normal["warn"]) == (3, 2, 1)
    assert normal["warn_share"] == pytest.approx(1 / 3)
    assert (normal["duration_s"], normal["beats"], normal["class_number"]) == (180.0, 180, 3)
    assert (normal["heart_rate_mean_bpm"], normal["heart_rate_median_bpm"]) == (71.0, 63.0)
    assert (normal["heart_rate_min_bpm"], normal["heart_rate_max_bpm"]) == (60.0, 90.0)
    assert pd.isna(normal["bsqi_median"])
    unjudged = summary.loc[("NSR", "V5")]
    assert pd.isna(unjudged["warn_share"])
    assert pd.isna(unjudged["heart_rate_mean_bpm"])
    (without_class,) = [row for key, row in summary.iterrows() if pd.isna(key[0])]
    assert (without_class["recordings"], without_class["warn_share"]) == (1, 1.0)
    assert pd.isna(without_class["class_number"])


BY_SQL = """
    SELECT class_label, lead, min(class_number) AS class_number, count(*) AS recordings,
           count(*) FILTER (verdict = 'good') AS good, count(*) FILTER (verdict = 'warn') AS warn,
           count(*) FILTER (verdict = 'warn') / count(verdict) AS warn_share,
           sum(duration_s) AS duration_s, sum(beats)::BIGINT AS beats,
           avg(heart_rate_bpm) AS heart_rate_mean_bpm, median(heart_rate_bpm) AS heart_rate_median_bpm,
           min(heart_rate_bpm) AS heart_rate_min_bpm, max(heart_rate_bpm) AS heart_rate_max_bpm,
           median(amplitude_mv) AS amplitude_median_mv, median(bsqi) AS bsqi_median, max(batch_id) AS batch_id
    FROM ecg.recordings GROUP BY ALL ORDER BY class_label, lead
"""


def about(value: object) -> object:
    """The same but for the order in which numbers were added."""
    return pytest.approx(value) if isinstance(value, float) else value


def test_the_table_is_what_sql_counts(platform: Platform, tmp_path: Path) -> None:
    write_examples(tmp_path / "examples")
    for half in (0, 1):
        for position, path in enumerate(sorted((tmp_path / "examples").rglob("*.mat"))):
            if position % 2 == half:
                folder = ("1 NSR/", "4 AFIB/", "")[position % 3]
                platform.landing.put(path, f"ecg/{folder}{path.name}")
        batch = next_batch(platform, ECG)
        run_batch(platform, ECG, EcgConfig(), batch.batch_id, f"run-{half}", Silent(), hold_when_stopped=lambda: True)
        report = update_aggregate(platform, ECG, SUMMARY, EcgConfig(), f"aggregate-{half}", print)
        assert bool(report.rebuilt) == (half == 0)
        counted = run_query(platform.lake, platform.ledger, BY_SQL).to_pylist()
        query = "SELECT * EXCLUDE (file_id) FROM ecg.class_summary ORDER BY class_label, lead"
        shown = run_query(platform.lake, platform.ledger, query).to_pylist()
        assert len(shown) == len(counted) >= 2
        for row, wanted in zip(shown, counted, strict=True):
            assert {name: about(value) for name, value in wanted.items()} == row
    assert {row["class_label"] for row in shown} >= {"NSR", None}


def test_its_rows_pass_its_schema() -> None:
    rows = recordings((None, "MLII", None, None), ("NSR", "MLII", "good", 70.0))
    types = {field.name: field.type for field in arrow_schema(ECG.tables[1].schema)}
    given = pa.table({name: pa.array(rows[name], types[name], from_pandas=True) for name in rows.columns})
    assert compute_rows(ECG, SUMMARY, EcgConfig(), given).num_rows == 2
