"""Recordings to their summary by class and lead. A pure function, no Dagster: run it on any rows of ecg.recordings."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipeline_assets.ecg.config import EcgConfig

KEYS = ("class_label", "lead")
COLUMNS = ("class_number", "verdict", "duration_s", "beats", "heart_rate_bpm", "amplitude_mv", "bsqi")


def by_class_and_lead(recordings: pd.DataFrame, config: EcgConfig) -> pd.DataFrame:
    """One row for each class and lead; recordings without a class are a class of their own (None).

    recordings: the columns `KEYS` and `COLUMNS` of ecg.recordings. A figure over recordings that all lack it is NaN.
    """
    rows = recordings.assign(good=recordings["verdict"] == "good", warn=recordings["verdict"] == "warn")
    summary = rows.groupby(list(KEYS), dropna=False, sort=True).agg(
        class_number=("class_number", "min"),
        recordings=("lead", "size"),
        good=("good", "sum"),
        warn=("warn", "sum"),
        duration_s=("duration_s", "sum"),
        beats=("beats", "sum"),
        heart_rate_mean_bpm=("heart_rate_bpm", "mean"),
        heart_rate_median_bpm=("heart_rate_bpm", "median"),
        heart_rate_min_bpm=("heart_rate_bpm", "min"),
        heart_rate_max_bpm=("heart_rate_bpm", "max"),
        amplitude_median_mv=("amplitude_mv", "median"),
        bsqi_median=("bsqi", "median"),
    )
    counts = dict.fromkeys(("recordings", "good", "warn", "beats"), np.int64)
    summary = summary.astype(counts).reset_index()
    judged = (summary["good"] + summary["warn"]).to_numpy(dtype=float)
    share = np.divide(
        summary["warn"].to_numpy(dtype=float), judged, out=np.full(len(summary), np.nan), where=judged > 0
    )
    return summary.assign(warn_share=share)
