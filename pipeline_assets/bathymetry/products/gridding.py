"""Soundings -> preliminary surface -> filtered soundings -> surface: each made of what was made before it.

A filter needs a surface, so the surface that it filters by is a product of its own, there before the filter begins.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_assets.bathymetry.config import BathymetryConfig
from pipeline_assets.bathymetry.derive import soundings_of
from pipeline_assets.bathymetry.grid.config import CubeParameters, GridConfig
from pipeline_assets.bathymetry.products.coverage import area_km2
from pipeline_assets.bathymetry.products.filtered_file import FILTERED_FILE, FilteredWriter, pieces_of
from pipeline_assets.bathymetry.products.line_fit import LineFit
from pipeline_assets.bathymetry.products.pictures import depth_histogram_png, hillshade_png
from pipeline_assets.bathymetry.products.provenance import Provenance, utc
from pipeline_assets.bathymetry.products.stored import load_surface, save_surface
from pipeline_assets.bathymetry.products.survey import provenance_of
from pipeline_assets.bathymetry.s44 import cell_max, order_of
from pipeline_assets.bathymetry.sigma_filter import off_surface, too_far
from pipeline_assets.bathymetry.soundings import Soundings
from pipeline_assets.bathymetry.surface import Surface
from pipeline_assets.product import Making, ProductResult

CARIS_SURFACE = "caris_surface"
"""The product that holds the surface of the engine CARIS, for surveys that have that engine."""
LEAST_CELL_M = 0.5
_OF_DEPTH = 0.05
_SHALLOW = 0.01


def cell_for(shallow: float, order: str) -> float:
    """The edge of cells for a survey that is so deep where it is shallow, m: the largest of 0.5, 1, 2, 5, 10, ... that shows the
    order's smallest feature there, as QAX asks; one twentieth of that depth for orders that ask no features, which is Strandline's
    own.
    """
    no_features = order_of(order).feature_m is None
    most = _OF_DEPTH * shallow if no_features else float(cell_max(order, shallow))
    if most < 1.0:
        return LEAST_CELL_M
    tens = 10.0 ** math.floor(math.log10(most))
    return max(step * tens for step in (1.0, 2.0, 5.0) if step * tens <= most * (1 + 1e-9))


def shallow_depth(pieces: Iterable[Soundings], accepted: int) -> float:
    """The depth than which a hundredth of the accepted soundings is shallower, m, not above the datum; interpolated.

    accepted: how many there are. No more than that hundredth is held.
    """
    place = _SHALLOW * max(0, accepted - 1)
    count, least = int(place) + 2, np.empty(0)
    for piece in pieces:
        least = np.concatenate((least, piece.depth[piece.accepted]))
        if len(least) > count:
            least = np.partition(least, count - 1)[:count]
    least.sort()
    return max(float(np.interp(place, np.arange(len(least)), least)), 0.0) if len(least) else 0.0


def make_preliminary(making: Making) -> ProductResult:
    """CUBE's surface of all accepted soundings, in the cells that the survey gets."""
    from pipeline_assets.bathymetry.grid.engine import grid_pieces

    config: BathymetryConfig = making.config
    lines, pieces = making.rows["lines"], partial(in_pieces, making)
    # One survey.json, or one setting, holds for all lines.
    order, declared = lines["s44_order"][0].as_py(), lines["cell_m"][0].as_py()
    cell = declared or config.cell_m or cell_for(shallow_depth(pieces(), pc.sum(lines["accepted"]).as_py()), order)
    told = grid_config(config, lines, order, cell, method="cube")
    with tempfile.TemporaryDirectory(prefix="points-", dir=making.folder) as scratch:
        surface = grid_pieces(pieces, told, Path(scratch))
    provenance = provenance_of(making.partition, lines, order, datetime.now(UTC))
    save_surface(surface, provenance, making.folder)
    return ProductResult(picture=depth_histogram_png(surface), metadata=described(surface))


def in_pieces(making: Making) -> Iterator[Soundings]:
    """The soundings of a survey from the rows of its tables, piece by piece; each has the names of its own lines alone."""
    lines = making.rows["lines"]
    for piece in making.pieces("soundings"):
        yield soundings_of({"lines": lines, "soundings": piece})


def grid_config(config: BathymetryConfig, lines: pa.Table, order: str, cell: float, *, method: str) -> GridConfig:
    """lines: rows of the table `lines`; what they say of CUBE counts before the settings."""
    declared = lines["cube"][0].as_py()
    cube = config.cube if declared is None else CubeParameters.model_validate_json(declared)
    said = {"method": method, "cell_m": cell, "order": order, "cube": cube, "max_cells": config.max_cells}
    return GridConfig.model_validate(said)


def make_filtered(making: Making) -> ProductResult:
    """All soundings, with what the filter rejects, as Parquet; a table of the lines, with how they lie to each other."""
    config: BathymetryConfig = making.config
    preliminary, provenance = load_surface(making.products["preliminary_surface"])
    fit = LineFit()
    with FilteredWriter(making.folder, preliminary.grid.crs, preliminary.vertical_datum) as writer:
        for rows in making.pieces("soundings"):
            soundings = soundings_of({"lines": making.rows["lines"], "soundings": rows})
            off, sigma = off_surface(soundings, preliminary)
            far = too_far(soundings, off, sigma, provenance.profile, config.filter_sigmas)
            fit.add(soundings, far, off)
            writer.write(soundings, rows["time"], far, off)
    return ProductResult(
        markdown=fit.as_markdown(),
        metadata={**fit.figures(), "filter": f"{config.filter_sigmas:g} standard deviations, {provenance.profile}"},
    )


def make_surface(making: Making) -> ProductResult:
    """The survey's surface, and its picture: of the filtered soundings, or as CARIS made it where that is the survey's engine."""
    caris = making.products.get(CARIS_SURFACE)
    if caris is not None:
        surface, provenance = load_surface(caris)
        filtered = 0  # CARIS does not say how many
    else:
        surface, provenance, filtered = _gridded(making)
    save_surface(surface, provenance, making.folder)
    picture = hillshade_png(surface)
    (making.folder / f"{provenance.survey}_relief.png").write_bytes(picture)
    rows = surface_row(surface, provenance, making.partition, filtered)
    shown = {**described(surface), **acquired(provenance), "order": order_of(provenance.profile).title}
    return ProductResult(picture=picture, metadata=shown, rows={"surfaces": rows})


def _gridded(making: Making) -> tuple[Surface, Provenance, int]:
    """The surface of the filtered soundings, and how many the filter rejected."""
    from pipeline_assets.bathymetry.grid.engine import grid_pieces

    config: BathymetryConfig = making.config
    preliminary, begun = load_surface(making.products["preliminary_surface"])
    path = making.products["filtered_soundings"] / FILTERED_FILE
    told = grid_config(config, making.rows["lines"], begun.profile, preliminary.grid.cell, method=config.method)
    with tempfile.TemporaryDirectory(prefix="points-", dir=making.folder) as scratch:
        surface = grid_pieces(lambda: pieces_of(path), told, Path(scratch))
    provenance = provenance_of(making.partition, making.rows["lines"], begun.profile, datetime.now(UTC))
    return surface, provenance, _filtered_out(path)


def _filtered_out(path: Path) -> int:
    import pyarrow.parquet as pq

    return int(pc.sum(pq.read_table(path, columns=["filtered"])["filtered"]).as_py() or 0)


def surface_row(
    surface: Surface, provenance: Provenance, survey: str, filtered: int, name: str = "surface"
) -> dict[str, list[Any]]:
    """The surface's row in the table `surfaces`. name: what it is called there."""
    grid, known = surface.grid, np.isfinite(surface.depth)
    depth = surface.depth[known].astype(np.float64)
    certain = surface.uncertainty[known & np.isfinite(surface.uncertainty)].astype(np.float64)
    row = {
        "survey": survey, "surface": name, "method": surface.method, "engine": provenance.engine, "engine_version": provenance.version,
        "s44_order": provenance.profile, "crs": grid.crs, "vertical_datum": surface.vertical_datum, "cell_m": grid.cell,
        "grid_rows": grid.rows, "grid_columns": grid.columns, "west_m": grid.west,
        "south_m": grid.north - grid.rows * grid.cell, "east_m": grid.west + grid.columns * grid.cell,
        "north_m": grid.north, "cells": int(known.sum()), "area_km2": area_km2(surface),
        "soundings": int(surface.density.sum()), "depth_min_m": float(depth.min()), "depth_max_m": float(depth.max()),
        "depth_mean_m": float(depth.mean()),
        "uncertainty_median_m": float(np.median(certain)) if len(certain) else None,
        "uncertainty_max_m": float(certain.max()) if len(certain) else None,
        "several_hypotheses": int((surface.hypotheses > 1).sum()), "filtered": filtered,
        "parameters": json.dumps(dict(surface.parameters), sort_keys=True), "made_at": provenance.made_at,
    }  # fmt: skip
    return {name: [value] for name, value in row.items()}


def acquired(provenance: Provenance) -> dict[str, str | int]:
    """Of how many lines, and from when to when, where their files say so."""
    told: dict[str, str | int] = {"lines": len(provenance.inputs)}
    if provenance.start is not None and provenance.end is not None:
        told["acquired"] = f"{utc(provenance.start)} to {utc(provenance.end)}"
    return told


def described(surface: Surface) -> dict[str, str | int | float]:
    """A surface's figures, for its page."""
    known = np.isfinite(surface.depth)
    depth, uncertainty = surface.depth[known], surface.uncertainty[known]
    grid = surface.grid
    told: dict[str, str | int | float] = {
        "method": surface.method, "cell (m)": grid.cell, "rows": grid.rows, "columns": grid.columns, "crs": grid.crs,
        "vertical datum": surface.vertical_datum, "cells with a depth": int(known.sum()),
        "area (km²)": round(area_km2(surface), 6),
        "soundings used": int(surface.density.sum()),
        "cells with several hypotheses": int((surface.hypotheses > 1).sum()),
    }  # fmt: skip
    if len(depth):
        told |= {"depth least (m)": _rounded(depth.min()), "depth greatest (m)": _rounded(depth.max())}
    if np.isfinite(uncertainty).any():
        told["uncertainty median (m, 95 %)"] = _rounded(np.nanmedian(uncertainty))
        told["uncertainty greatest (m, 95 %)"] = _rounded(np.nanmax(uncertainty))
    return told


def _rounded(value: Any) -> float:
    return round(float(value), 4)
