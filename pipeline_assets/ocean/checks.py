"""What is judged of a batch's rows, for the data manager: flags, quality tests, order of pressure, places, conventions."""

from __future__ import annotations

from typing import Any

import pandas as pd

from pipeline_assets.ocean import qartod
from pipeline_assets.ocean.config import OceanConfig
from pipeline_assets.source_check import Judgement, SourceCheck

FLAG_RULES = ("illegal_flag", "flag_without_value", "flag_of_no_value", "unreadable_flag", "orphan_flag")


def _whole(value: Any) -> int:
    return int(value)


def _rounded(value: Any) -> float:
    return round(float(value), 4)


def _findings(found: pd.DataFrame, what: str) -> Judgement:
    counted = found.sort_values("count", ascending=False)
    return Judgement(
        passed=found.empty,
        description=f"{len(found)} kinds of {what}, {int(found['count'].sum()):,} times" if len(found) else f"no {what}",
        shown={"kinds": len(found), "times": int(found["count"].sum())},
        records=[
            {
                "what": f"{row.code} {row.parameter}".strip(), "times": _whole(row.count_), "where": str(row.places)[:200],
                "file": str(row.source_key),
            }
            for row in counted.rename(columns={"count": "count_"}).itertuples()
        ],
    )  # fmt: skip


def flag_rules(findings: pd.DataFrame, config: OceanConfig) -> Judgement:
    """Flags are legal, and go with what stands beside them."""
    return _findings(findings[findings["code"].isin(FLAG_RULES)], "breaches of the flag rules")


def no_errors(findings: pd.DataFrame, config: OceanConfig) -> Judgement:
    """Nothing was found that makes data wrong or unusable."""
    return _findings(findings[findings["severity"] == "error"], "errors")


def qartod_share(stats: pd.DataFrame, config: OceanConfig) -> Judgement:
    """Few values fail the quality tests."""
    n, fail, suspect = (int(stats[name].sum()) for name in ("n", "n_qartod_fail", "n_qartod_suspect"))
    share = fail / n if n else 0.0
    by_name = stats.groupby("parameter")[["n", "n_qartod_fail", "n_qartod_suspect"]].sum()
    worst = by_name[by_name["n_qartod_fail"] > 0].sort_values("n_qartod_fail", ascending=False)
    return Judgement(
        passed=share <= config.qartod_fail_share_max,
        description=f"{fail:,} of {n:,} values fail ({share:.2%}), {suspect:,} are suspect",
        shown={"values": n, "fail": fail, "suspect": suspect, "share that fails": round(share, 6)},
        records=[
            {"parameter": str(name), "fail": int(row["n_qartod_fail"]), "suspect": int(row["n_qartod_suspect"])}
            for name, row in worst.iterrows()
        ],
    )


def pressure_order(casts: pd.DataFrame, config: OceanConfig) -> Judgement:
    """Levels of a profile lie one below the other."""
    wrong = casts[casts["pressure_not_increasing"] > 0]
    return Judgement(
        passed=wrong.empty,
        description=f"{len(wrong)} of {len(casts)} casts have levels that lie no deeper than the one before",
        shown={"casts": len(casts), "out of order": len(wrong)},
        records=[
            {"cast": f"station {row.station}, cast {row.cast_number}", "levels": _whole(row.pressure_not_increasing), "file": str(row.source_key)}
            for row in wrong.itertuples()
        ],
    )  # fmt: skip


def places_and_times(casts: pd.DataFrame, config: OceanConfig) -> Judgement:
    """Casts have a place on the globe that a ship can reach, and a time that can be."""
    wrong = casts[(casts["qartod_location"] != qartod.GOOD) | (casts["qartod_time"] != qartod.GOOD)]
    return Judgement(
        passed=wrong.empty,
        description=f"{len(wrong)} of {len(casts)} casts have a place or time that is missing or in doubt",
        shown={"casts": len(casts), "in doubt": len(wrong)},
        records=[
            {
                "cast": f"station {row.station}, cast {row.cast_number}", "location": _whole(row.qartod_location),
                "time": _whole(row.qartod_time), "file": str(row.source_key),
            }
            for row in wrong.itertuples()
        ],
    )  # fmt: skip


def cf_conventions(files: pd.DataFrame, config: OceanConfig) -> Judgement:
    """NetCDF files keep the CF conventions."""
    scored = files[files["cf_score"].notna()]
    poor = scored[scored["cf_score"] < config.cf_score_min]
    return Judgement(
        passed=poor.empty,
        description=f"{len(poor)} of {len(scored)} NetCDF files have less than {config.cf_score_min:.0%} of the points",
        shown={"scored": len(scored), "poor": len(poor)},
        records=[{"file": str(row.source_key), "score": _rounded(row.cf_score)} for row in poor.itertuples()],
    )


_CAST = ("source_key", "station", "cast_number")
_FINDING = ("source_key", "code", "severity", "parameter", "count", "places")

CHECKS = (
    SourceCheck(
        "flag_rules", "findings", "WOCE quality flags are legal, and agree with the values that they judge.", _FINDING, flag_rules
    ),
    SourceCheck("no_errors", "findings", "Nothing was found that makes data wrong or unusable.", _FINDING, no_errors),
    SourceCheck(
        "qartod", "parameter_stats", "Few values fail QARTOD's tests.",
        ("parameter", "n", "n_qartod_fail", "n_qartod_suspect"), qartod_share,
    ),
    SourceCheck(
        "pressure_order", "casts", "The levels of a profile lie one below the other.",
        (*_CAST, "pressure_not_increasing"), pressure_order,
    ),
    SourceCheck(
        "places_and_times", "casts", "Every cast has a place that a ship can reach, and a time that can be.",
        (*_CAST, "qartod_location", "qartod_time"), places_and_times,
    ),
    SourceCheck(
        "cf_conventions", "files", "NetCDF files that land keep the CF conventions.", ("source_key", "cf_score"), cf_conventions
    ),
)  # fmt: skip
