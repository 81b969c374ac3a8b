"""How well a NetCDF file keeps the CF conventions: the points that the IOOS compliance checker gives it."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path
from typing import Any

from pipeline_assets.ocean.findings import Findings

CHECKER = "cf:1.8"
_MOST_BYTES = 100_000_000
_NORMAL = 2
"""The checker's own criterion "normal": what is only recommended, of weight 1, does not count."""


def score_of(content: bytes, findings: Findings) -> tuple[int | None, int | None]:
    """Points and possible points; what costs points is noted. None for a file that the checker cannot judge."""
    if len(content) > _MOST_BYTES:
        findings.add("not_scored", "info", "the file is too large to be scored against the CF conventions")
        return None, None
    with tempfile.TemporaryDirectory(prefix="strandline-cf-") as folder:
        path = Path(folder) / "file.nc"
        path.write_bytes(content)
        try:
            groups = check_cf(path)
        except Exception as error:  # the checker has a fault for many an odd file
            findings.add(
                "not_scored", "info", f"the compliance checker failed: {type(error).__name__}: {str(error)[:120]}"
            )
            return None, None
    points = possible = 0
    for group in groups:
        if group.weight < _NORMAL:
            continue
        got, of = group.value
        got = min(got, of)  # some checks give more points than they have
        points, possible = points + got, possible + of
        if got < of:
            findings.add(
                "cf_conventions", "warning",
                f"CF conventions: {group.name}", parameter=str(group.name)[:80], count=of - got,
                places=[str(message) for message in group.msgs[:3]],
            )  # fmt: skip
    return points, possible


def check_cf(path: Path) -> list[Any]:
    """What the checker says of a file, by section of the conventions."""
    from compliance_checker.runner import CheckSuite

    level = logging.getLogger("compliance_checker").level
    logging.getLogger("compliance_checker").setLevel(logging.CRITICAL)
    try:
        suite = CheckSuite()
        suite.load_all_available_checkers()
        dataset = suite.load_dataset(os.fspath(path))
        try:
            results = suite.run_all(dataset, [CHECKER], None, [])
        finally:
            dataset.close()
        groups, _errors = next(iter(results.values()))
        return list(groups)
    finally:
        logging.getLogger("compliance_checker").setLevel(level)
