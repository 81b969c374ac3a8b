"""Acceptance of a licensed host: every command on a small made survey, and what differed from what is expected."""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from resources.errors import UserError

if TYPE_CHECKING:
    from resources.platform import Platform

SURVEY = "acceptance"
_RMSE_MOST_M = 0.1
"""Of CARIS's surface to the made sea floor, whose soundings have a noise of 0.05 to 0.1 m. Our own."""
_SAME_CELLS = 0.95
"""Least share of the cells that both engines fill: they differ at the edges of a small survey. Our own."""
_SEEN = {
    "start and end of a process": "====== ",
    "each converted line": "Converted Line:",
    "how many lines were converted": "lines successfully converted",
    "how many depths were converted": "Depths Converted:",
    "the time that it took": "Elapsed Time:",
}
"""What CARIS was seen to write in logs of others; only the third is needed."""


class CannotAccept(UserError):
    """What the acceptance needs is not there."""


@dataclass
class Acceptance:
    """What was found. differs: what is not as expected; empty where the host is accepted."""

    steps: list[dict[str, Any]] = field(default_factory=list)
    said: dict[str, bool] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    differs: list[str] = field(default_factory=list)


def accept(platform: Platform, folder: Path, vessel_file: str | None, *, as_json: bool) -> int:
    """Run the whole chain on the host that the settings name, in a deployment of its own below `folder`. The exit code."""
    from cli.drain import drain_sources
    from pipeline_assets.bathymetry.source import BATHYMETRY
    from resources.platform import Platform
    from resources.settings import Settings

    if folder.exists() and any(folder.iterdir()):
        raise CannotAccept(
            f"{folder} is not empty; name a folder that is, or is not there: all that is found is kept in it."
        )
    _land(folder / "landing" / BATHYMETRY.name / SURVEY, vessel_file)
    # Whatever else this deployment uses, such as its ledger, is left alone.
    settings = Settings(
        home=folder.resolve(), landing=None, ledger_url=None, serving_url=None, serving_reader_url=None, queue_url=None,
        products=None, slack_token=None, workers=1, settle_seconds=0.1, s3_endpoint=platform.settings.s3_endpoint,
    )  # fmt: skip
    own = Platform(settings)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            drain_sources(own, (BATHYMETRY,), as_json=False)
        found = _found(own)
    finally:
        own.close()
    if as_json:
        click.echo(json.dumps(asdict(found), ensure_ascii=False, indent=1))
    else:
        _print(found)
    return 3 if found.differs else 0


def _land(folder: Path, vessel_file: str | None) -> None:
    from pipeline_assets.bathymetry.config import BathymetryConfig
    from pipeline_assets.bathymetry.examples import declaration
    from pipeline_assets.bathymetry.made_survey import CRS, Plan, gsf, lines
    from resources.settings import load_source_config

    caris = load_source_config(BathymetryConfig, "bathymetry").default.caris
    if vessel_file is not None:
        caris = caris.model_copy(update={"vessel_file": vessel_file})
    if caris.vessel_file is None:
        raise CannotAccept(
            "CARIS imports lines with a vessel file: name one with --vessel-file, of the folder STRANDLINE_BATHYMETRY_CARIS_FILES"
        )
    folder.mkdir(parents=True)
    made = list(lines(Plan(seed=1, width_m=60, height_m=60, ping_m=0.5, beams=120, sigma_m=0.05, fliers=0.0002)))
    for line in made:
        (folder / line.name).write_bytes(gsf(line))
    declared = declaration(
        crs=CRS, vertical_datum="MSL", order="1a", engine="caris", cell_m=1.0, lines=[line.name for line in made],
        caris=caris.model_dump(mode="json", exclude_defaults=True),
    )  # fmt: skip
    (folder / "survey.json").write_bytes(declared)
    (folder / "survey.done").write_bytes(b"done\n")


def _found(own: Platform) -> Acceptance:
    from pipeline_assets.bathymetry.caris.chain import CHAIN
    from pipeline_assets.bathymetry.caris.checkpoint import LOGS, read_checkpoint
    from pipeline_assets.bathymetry.config import BathymetryConfig
    from pipeline_assets.bathymetry.source import BATHYMETRY
    from pipeline_assets.product_run import behind_products, products_source
    from resources.products import Place
    from resources.settings import load_source_config

    found = Acceptance()
    failed = {
        one.name: one.error
        for one in behind_products(own, BATHYMETRY, load_source_config(BathymetryConfig, BATHYMETRY.name))
    }
    texts: list[str] = []
    source = products_source(own, BATHYMETRY)
    for step in CHAIN.steps:
        folder = own.products.find(Place(source, SURVEY, step.name))
        if folder is None:
            if step.name in failed:
                found.steps.append({"step": step.name, "made": False, "commands": []})
                found.differs.append(f"{step.name}: {failed[step.name] or 'what it is made from is not there'}")
            continue
        commands = [asdict(one) for one in read_checkpoint(folder).commands]
        found.steps.append({"step": step.name, "made": True, "commands": commands})
        texts += [path.read_text("utf-8", errors="replace") for path in sorted((folder / LOGS).glob("*.txt"))]
    found.said = {what: any(mark in text for text in texts) for what, mark in _SEEN.items()}
    surfaces = [own.products.find(Place(source, SURVEY, name)) for name in ("caris_surface", "preliminary_surface")]
    if surfaces[0] is not None and surfaces[1] is not None:
        _compare(found, surfaces[0], surfaces[1])
    elif not found.differs:
        found.differs.append("the survey was not read, or its engine is not caris: see the drain's own words above")
    return found


def _compare(found: Acceptance, theirs: Path, ours: Path) -> None:
    """CARIS's surface against the open engine's, cell by cell, and against the sea floor that was made up."""
    import numpy as np

    from pipeline_assets.bathymetry.judge.compare import compare
    from pipeline_assets.bathymetry.made_survey import sea_floor
    from pipeline_assets.bathymetry.products.stored import load_surface

    surface, _ = load_surface(theirs)
    grid = surface.grid
    x, y = np.meshgrid(
        grid.west + (np.arange(grid.columns) + 0.5) * grid.cell, grid.north - (np.arange(grid.rows) + 0.5) * grid.cell
    )
    known = np.isfinite(surface.depth)
    off = surface.depth[known] - sea_floor(x, y)[known]
    rmse = float(np.sqrt(np.mean(off**2)))
    judged = compare(surface, load_surface(ours)[0], "engines", same_cells=_SAME_CELLS)
    found.figures = {"cells": int(known.sum()), "rmse to the sea floor (m)": round(rmse, 4), **judged.metadata}
    if rmse > _RMSE_MOST_M:
        found.differs.append(
            f"CARIS's surface is {rmse:.3f} m (RMSE) off the sea floor that the soundings were made from; expected at most {_RMSE_MOST_M} m"
        )
    if not judged.passed:
        found.differs.append(f"the surfaces of both engines differ: {judged.message}")


def _print(found: Acceptance) -> None:
    for step in found.steps:
        click.echo(f"{step['step']}: {'made' if step['made'] else 'NOT made'}")
        for one in step["commands"]:
            warned = sum(one["warnings"].values())
            click.echo(f"  {one['process']}: exit code {one['exit_code']}, {one['seconds']:.1f} s, {warned} warnings")
    for what, seen in found.said.items():
        click.echo(f"CARIS says {what}: {'yes' if seen else 'no'}")
    for name, value in found.figures.items():
        click.echo(f"{name}: {value}")
    click.echo("\n".join(f"differs: {text}" for text in found.differs) or "Nothing differs: the host is accepted.")
