"""A survey's surface held against its order: a finding for each check, the cells that fail, and the report of it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from pipeline_assets.bathymetry.config import BathymetryConfig
from pipeline_assets.bathymetry.grid.ladder import Places
from pipeline_assets.bathymetry.judge.bag_structure import bag_structure
from pipeline_assets.bathymetry.judge.beside import with_beside, without_margin
from pipeline_assets.bathymetry.judge.checks import CHECKS, judge_surface, state_of
from pipeline_assets.bathymetry.judge.cog import cog
from pipeline_assets.bathymetry.judge.geojson import failing_cells
from pipeline_assets.bathymetry.judge.judged import Judged
from pipeline_assets.bathymetry.judge.profiles import SURFACE_CHECKS, Profile, profile_of
from pipeline_assets.bathymetry.landed_surface.bag import MAX_CELLS
from pipeline_assets.bathymetry.products.compared import NOTHING_TO_COMPARE, compared
from pipeline_assets.bathymetry.products.filtered_file import FILTERED_FILE, pieces_of
from pipeline_assets.bathymetry.products.gridding import rows_together
from pipeline_assets.bathymetry.products.pictures import depth_histogram_png, uncertainty_map_png
from pipeline_assets.bathymetry.products.provenance import Provenance
from pipeline_assets.bathymetry.products.qa_report import write_qa_report
from pipeline_assets.bathymetry.products.stored import Part, load_parts, load_places, load_surface
from pipeline_assets.bathymetry.products.survey import positions_of
from pipeline_assets.bathymetry.surface import Surface
from pipeline_assets.product import Finding, Making, ProductResult

JUDGED = (*SURFACE_CHECKS, "thu", "bag_structure", "cog")
"""The checks that a survey's own surface and files can be put to."""
COMPARED = ("regression", "engines")
"""Those that hold it against another one."""
RESULTS_FILE = "results.json"


def make_checks(making: Making) -> ProductResult:
    """Judges the surface by the profile of the survey's order, and the BAG and COG that were made of it.

    Where cells grow with depth, the surface of each size is judged in its own cells, and what is of all of them, together.
    """
    started = datetime.now(UTC)
    config: BathymetryConfig = making.config
    folder = making.products["surface"]
    places, parts = load_places(folder), list(load_parts(folder))
    surface, provenance = load_surface(folder) if places is not None else (parts[0].surface, parts[0].provenance)
    profile = profile_of(provenance.profile)
    bag = making.products["bag"] / f"{provenance.survey}.bag"
    most_nodes = max(MAX_CELLS, config.max_cells * len(parts))
    of_files = [
        bag_structure(bag, most_nodes, strict_corners=True),
        cog(making.products["geotiff"] / f"{provenance.survey}_cog.tif"),
        *compared(making, surface, provenance),
    ]
    judged_of = [
        (
            Part(-1, surface, provenance),
            of_files if places is not None else [*_of_part(making, parts, 0, None), *of_files],
            [bag.name],
        )
    ]
    if places is not None:
        for number, part in enumerate(parts):
            named = f"{part.provenance.stem}_cog.tif"
            judged = [*_of_part(making, parts, number, places), cog(making.products["geotiff"] / named)]
            judged_of.append((part, judged, [named]))
    results, rows, told = [], [], []
    for part, judged, files in judged_of:
        found = write_findings(part.surface, judged, part.provenance, files, making.folder, started)
        rows.append(rows_of(found, making.partition, profile.name, part.surface.method, part.name))
        results += [{"surface": part.name, **one} for one in found]
        told += ([f"**{part.name}**"] if places is not None else []) + [table_of(found)]
    _write_json(making.folder / RESULTS_FILE, {"profile": profile.name, "results": results})
    named_findings = [(part.name, profile, one) for part, judged, _ in judged_of for one in judged]
    return ProductResult(
        markdown="\n\n".join(told),
        picture=(making.folder / f"{provenance.stem}_uncertainties.png").read_bytes(),
        metadata={
            "profile": profile.title,
            "passed": sum(result["passed"] for result in results),
            "warnings": sum(result["state"] == "warning" for result in results),
            "failed": sum(result["state"] == "fail" for result in results),
        },
        checks={name: worst(name, named_findings) or finding_of(name, None, profile) for name in (*JUDGED, *COMPARED)},
        rows={"check_results": rows_together(rows)},
    )


def _of_part(making: Making, parts: Sequence[Part], number: int, places: Places | None) -> list[Judged]:
    """The checks of one part, among the others, and of the soundings that it is made of."""
    part, positions = parts[number], positions_of(making.rows["lines"])
    profile = profile_of(part.provenance.profile)
    soundings = pieces_of(making.products["filtered_soundings"] / FILTERED_FILE)
    if places is None:
        return judge_surface(part.surface, profile, soundings, positions)
    others = (other.surface for other in parts if other is not part)
    # As far as one of the coarse cells that say which cells a place has.
    margin = round(places.grid.cell / part.surface.grid.cell)
    own = np.pad(places.own_cells(part.step), margin)
    its = (places.only(piece, part.step) for piece in soundings)
    judged = judge_surface(with_beside(part.surface, others, margin), profile, its, positions, own)
    return [without_margin(one, margin) for one in judged]


def worst(name: str, found: Sequence[tuple[str, Profile, Judged]]) -> Finding | None:
    """The finding of a check in several surfaces, by their names: that of the first that did not pass. None where none has it."""
    having = [one for one in found if one[2].name == name]
    if not having:
        return None
    failing = [one for one in having if not one[2].passed]
    called, profile, judged = (failing or having)[0]
    finding = finding_of(name, judged, profile)
    if len(having) == 1:
        return finding
    counted = {**finding.metadata, "surfaces": len(having), "not passed": len(failing)}
    return replace(finding, description=f"{called}: {finding.description}", metadata=counted)


def write_findings(
    surface: Surface, judged: list[Judged], provenance: Provenance, files: list[str], folder: Path, started: datetime
) -> list[dict[str, Any]]:
    """The report, the failing cells of each check and the pictures, as files; the results, as `result_of` gives them.

    files: of the surface, that were judged.
    """
    profile = profile_of(provenance.profile)
    write_qa_report(
        surface, judged, profile, provenance, files, folder / f"{provenance.stem}_qa.json",
        start=started, end=datetime.now(UTC),
    )  # fmt: skip
    for one in judged:
        if one.failing is not None and one.failing.any():
            path = folder / f"{provenance.stem}_{one.name}.geojson"
            path.write_text(json.dumps(failing_cells(surface.grid, one.failing)) + "\n", encoding="utf-8")
    (folder / f"{provenance.stem}_uncertainties.png").write_bytes(uncertainty_map_png(surface, profile.limits))
    (folder / f"{provenance.stem}_depths.png").write_bytes(depth_histogram_png(surface))
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
