"""A survey's surface held against its order: a finding for each check, the cells that fail, and the report of it."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline_assets.bathymetry.judge.bag_structure import bag_structure
from pipeline_assets.bathymetry.judge.checks import CHECKS, judge_surface, state_of
from pipeline_assets.bathymetry.judge.cog import cog
from pipeline_assets.bathymetry.judge.geojson import failing_cells
from pipeline_assets.bathymetry.judge.judged import Judged
from pipeline_assets.bathymetry.judge.profiles import SURFACE_CHECKS, Profile, profile_of
from pipeline_assets.bathymetry.products.compared import NOTHING_TO_COMPARE, compared
from pipeline_assets.bathymetry.products.filtered_file import FILTERED_FILE, pieces_of
from pipeline_assets.bathymetry.products.pictures import depth_histogram_png, uncertainty_map_png
from pipeline_assets.bathymetry.products.provenance import Provenance
from pipeline_assets.bathymetry.products.qa_report import write_qa_report
from pipeline_assets.bathymetry.products.stored import load_surface
from pipeline_assets.bathymetry.products.survey import positions_of
from pipeline_assets.bathymetry.surface import Surface
from pipeline_assets.product import Finding, Making, ProductResult

JUDGED = (*SURFACE_CHECKS, "thu", "bag_structure", "cog")
"""The checks that a survey's own surface and files can be put to."""
COMPARED = ("regression", "engines")
"""Those that hold it against another one."""
RESULTS_FILE = "results.json"


def make_checks(making: Making) -> ProductResult:
    """Judges the surface by the profile of the survey's order, and the BAG and COG that were made of it."""
    started = datetime.now(UTC)
    surface, provenance = load_surface(making.products["surface"])
    soundings = pieces_of(making.products["filtered_soundings"] / FILTERED_FILE)
    profile = profile_of(provenance.profile)
    bag = making.products["bag"] / f"{provenance.survey}.bag"
    judged = [
        *judge_surface(surface, profile, soundings, positions_of(making.rows["lines"])),
        bag_structure(bag, strict_corners=True),
        cog(making.products["geotiff"] / f"{provenance.survey}_cog.tif"),
        *compared(making, surface, provenance),
    ]
    results = write_findings(surface, judged, provenance, [bag.name], making.folder, started)
    _write_json(making.folder / RESULTS_FILE, {"profile": profile.name, "results": results})
    uncertainties = (making.folder / f"{provenance.survey}_uncertainties.png").read_bytes()
    by_name = {one.name: one for one in judged}
    return ProductResult(
        markdown=table_of(results),
        picture=uncertainties,
        metadata={
            "profile": profile.title,
            "passed": sum(one.passed for one in judged),
            "warnings": sum(result["state"] == "warning" for result in results),
            "failed": sum(result["state"] == "fail" for result in results),
        },
        checks={name: finding_of(name, by_name.get(name), profile) for name in (*JUDGED, *COMPARED)},
        rows={"check_results": rows_of(results, making.partition, profile.name, surface.method)},
    )


def write_findings(
    surface: Surface, judged: list[Judged], provenance: Provenance, files: list[str], folder: Path, started: datetime
) -> list[dict[str, Any]]:
    """The report, the failing cells of each check and the pictures, as files; the results, as `result_of` gives them.

    files: of the surface, that were judged.
    """
    profile = profile_of(provenance.profile)
    write_qa_report(
        surface, judged, profile, provenance, files, folder / f"{provenance.survey}_qa.json",
        start=started, end=datetime.now(UTC),
    )  # fmt: skip
    for one in judged:
        if one.failing is not None and one.failing.any():
            path = folder / f"{provenance.survey}_{one.name}.geojson"
            path.write_text(json.dumps(failing_cells(surface.grid, one.failing)) + "\n", encoding="utf-8")
    (folder / f"{provenance.survey}_uncertainties.png").write_bytes(uncertainty_map_png(surface, profile.limits))
    (folder / f"{provenance.survey}_depths.png").write_bytes(depth_histogram_png(surface))
    return [result_of(one, profile) for one in judged]


def rows_of(
    results: list[dict[str, Any]], survey: str, order: str, method: str, surface: str = "surface"
) -> dict[str, list[Any]]:
    """Rows of the table `check_results`. surface: what it is called there."""
    of_results = {
        "check_name": "check", "check_id": "id", "state": "state", "passed": "passed", "is_blocking": "blocking",
        "is_judged": "judged", "share": "share", "threshold": "threshold", "failing_cells": "failing_cells",
        "message": "message",
    }  # fmt: skip
    columns = {column: [one[name] for one in results] for column, name in of_results.items()}
    same = {"survey": survey, "surface": surface, "s44_order": order, "method": method}
    return {**columns, **{name: [value] * len(results) for name, value in same.items()}}


def result_of(judged: Judged, profile: Profile) -> dict[str, Any]:
    """What is kept of a finding. share is None where nothing could be judged."""
    share = None if math.isnan(judged.share) else judged.share
    return {
        "check": judged.name, "id": CHECKS[judged.name].id, "state": state_of(judged, profile), "passed": judged.passed,
        "blocking": judged.name in profile.blocking, "judged": not judged.not_judged, "share": share,
        "threshold": judged.threshold, "failing_cells": None if judged.failing is None else int(judged.failing.sum()),
        "message": judged.message,
    }  # fmt: skip


def finding_of(name: str, judged: Judged | None, profile: Profile) -> Finding:
    if judged is None:
        return Finding(True, NOTHING_TO_COMPARE.get(name, f"{profile.title} does not ask for it"))
    shown = {
        key: value
        for key, value in judged.metadata.items()
        if not (isinstance(value, float) and not math.isfinite(value))
    }
    if not math.isnan(judged.share):
        shown |= {"share": round(judged.share, 6), "threshold": judged.threshold}
    return Finding(judged.passed, judged.message, shown, is_error=name in profile.blocking)


def table_of(results: list[dict[str, Any]]) -> str:
    told = ["| check | is | share | least |", "|---|---|--:|--:|"]
    for one in results:
        share = "" if one["share"] is None else f"{one['share']:.2%}"
        told.append(f"| {one['check']} | {one['state']} | {share} | {one['threshold']:.2%} |")
    return "\n".join(told)


def _write_json(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
