"""What is judged of a survey's lines, shown as asset checks: whether all are there, and whether they fit together."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from pipeline_assets.bathymetry.config import UNKNOWN_DATUM
from pipeline_assets.source_check import Judgement, SourceCheck

_MOST_NAMED = 20


def all_lines_there(lines: pd.DataFrame, config: Any) -> Judgement:
    """Every line that the survey's survey.json names was read, and no other."""
    if lines.empty:
        return Judgement(False, "the survey has no line that could be read", {"lines": 0})
    manifests = sorted(set(lines["manifest"].dropna().astype(str)))
    shown = {"lines": len(lines)}
    if not manifests:
        return Judgement(True, f"{len(lines)} lines; no survey.json says how many there should be", shown)
    wanted = {name for text in manifests for name in json.loads(text)}
    there = set(lines["line"])
    missing, extra = sorted(wanted - there), sorted(there - wanted)
    records = [{"line": name, "is": "missing"} for name in missing] + [
        {"line": name, "is": "not named"} for name in extra
    ]
    return Judgement(
        not missing and not extra,
        f"{len(wanted) - len(missing)} of {len(wanted)} lines of survey.json are there; {len(extra)} others",
        {**shown, "expected": len(wanted), "missing": len(missing), "not named": len(extra)},
        records[:_MOST_NAMED],
    )


def one_reference(lines: pd.DataFrame, config: Any) -> Judgement:
    """All lines are in one CRS and on one vertical datum that is known."""
    systems, datums = (sorted(set(lines[name])) for name in ("crs", "vertical_datum"))
    said = f"CRS: {', '.join(systems) or 'none'}; vertical datum: {', '.join(datums) or 'none'}"
    passed = len(systems) == 1 and len(datums) == 1 and UNKNOWN_DATUM not in datums
    return Judgement(passed, said if passed else f"{said}. Declare one of each in survey.json", {"lines": len(lines)})


def rejected_share(lines: pd.DataFrame, config: Any) -> Judgement:
    """No line rejects more of its soundings than `rejected_share_max`."""
    share = 1.0 - lines["accepted"] / lines["soundings"].clip(lower=1)
    bad = lines[share > config.rejected_share_max]
    records = [
        {"line": str(row.line), "soundings": int(row.soundings), "accepted": int(row.accepted)}
        for row in bad.head(_MOST_NAMED).itertuples()
    ]
    return Judgement(
        bad.empty,
        f"{len(bad)} of {len(lines)} lines reject more than {config.rejected_share_max:.0%} of their soundings",
        {"lines": len(lines), "soundings": int(lines["soundings"].sum()), "accepted": int(lines["accepted"].sum())},
        records,
    )


CHECKS = (
    SourceCheck(
        "all_lines", "lines", "Every line that survey.json names was read, and no other.", ("line", "manifest"),
        all_lines_there,
    ),
    SourceCheck(
        "one_reference", "lines", "All lines are in one CRS and on one vertical datum, which is declared.",
        ("crs", "vertical_datum"), one_reference,
    ),
    SourceCheck(
        "rejected_soundings", "lines", "No line rejects too large a share of its soundings.",
        ("line", "soundings", "accepted"), rejected_share,
    ),
)  # fmt: skip
