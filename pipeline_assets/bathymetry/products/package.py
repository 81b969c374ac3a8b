"""What is handed over of a survey: all of its files in one folder, with a STAC item and a zip of everything."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from pipeline_assets.bathymetry.config import BathymetryConfig
from pipeline_assets.bathymetry.judge.judged import Judged
from pipeline_assets.bathymetry.products.coverage import area_km2
from pipeline_assets.bathymetry.products.quality import RESULTS_FILE
from pipeline_assets.bathymetry.products.stac import write_stac
from pipeline_assets.bathymetry.products.stored import load_parts, load_places, load_surface
from pipeline_assets.bathymetry.products.survey_zip import write_zip
from pipeline_assets.landed_file import Refused
from pipeline_assets.product import Making, ProductResult

DELIVERED = ("surface", "geotiff", "bag", "coverage", "gsf", "checks")
_NOT_DELIVERED = (RESULTS_FILE, ".parquet", ".npz")
"""How files end that are not handed over: of the products' tables, which are rows of these products and of no other, and of surfaces
as products keep them."""


def make_delivery(making: Making) -> ProductResult:
    """The folder, the item and the zip. Raises Refused `fails_its_order` where a blocking check failed."""
    config: BathymetryConfig = making.config
    results = json.loads((making.products["checks"] / RESULTS_FILE).read_text(encoding="utf-8"))
    failed = [one for one in results["results"] if one["state"] == "fail"]
    if failed and not config.deliver_failing:
        told = "; ".join(f"{_called(one)}: {one['message']}" for one in failed)
        raise Refused(
            "fails_its_order",
            f"the surface does not keep the order {results['profile']} ({told}). Look at the product `checks`; mend the lines, declare "
            "the order that the survey was made for, or deliver it as it is with STRANDLINE_BATHYMETRY_DELIVER_FAILING=true",
        )
    folder = making.products["surface"]
    surface, provenance = load_surface(folder)
    files: dict[str, Path] = {}
    for product in DELIVERED:
        for path in sorted(making.products[product].rglob("*")):
            if path.is_file() and not path.name.endswith(_NOT_DELIVERED):
                name = path.relative_to(making.products[product]).as_posix()
                files[name] = _linked(path, making.folder / name)
    # Of the surfaces of several cell sizes the worst counts, which the item names last.
    judged = sorted(map(_judged, results["results"]), key=lambda one: (not one.passed, bool(one.not_judged)))
    write_stac(surface, provenance, files, making.folder / f"{provenance.survey}.json", judged, _by_depth(folder))
    whole = sorted(path for path in making.folder.rglob("*") if path.is_file())
    archive = write_zip(whole, making.folder / f"{provenance.survey}.zip", making.folder)
    return ProductResult(metadata={"files in the zip": len(whole), "bytes of the zip": archive.stat().st_size})


def _by_depth(folder: Path) -> dict[str, Any]:
    """What the item says besides of a survey whose cells grow with depth: its own cells, where the rest is of larger ones."""
    if load_places(folder) is None:
        return {}
    parts = [part.surface for part in load_parts(folder)]
    return {
        "gsd": min(part.grid.cell for part in parts),
        "strandline:area_km2": round(sum(map(area_km2, parts)), 6),
        "strandline:depth_min_m": round(min(float(np.nanmin(part.depth)) for part in parts), 3),
        "strandline:depth_max_m": round(max(float(np.nanmax(part.depth)) for part in parts), 3),
        "strandline:cells": {f"{part.grid.cell:g} m": int(np.isfinite(part.depth).sum()) for part in parts},
    }


def _called(one: dict[str, Any]) -> str:
    """The check, and which of several surfaces it is of."""
    part = one.get("surface", "surface").removeprefix("surface").lstrip("_")
    return f"{one['check']} ({part})" if part else str(one["check"])


def _linked(path: Path, to: Path) -> Path:
    """The file under another name; no second copy where the file system can do without. Files of products never change."""
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path.resolve(), to)
    except OSError:
        shutil.copyfile(path, to)
    return to


def _judged(one: dict[str, Any]) -> Judged:
    share = float("nan") if one["share"] is None else one["share"]
    why = "" if one["judged"] else one["message"]
    return Judged(one["check"], one["passed"], share, one["threshold"], None, one["message"], {}, why)
