"""Soundings -> preliminary surface -> filtered soundings -> surface: each made of what was made before it.

A filter needs a surface, so the surface that it filters by is a product of its own, there before the filter begins.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline_assets.bathymetry.config import BathymetryConfig
from pipeline_assets.bathymetry.derive import soundings_of
from pipeline_assets.bathymetry.grid.config import CubeParameters, GridConfig, Ladder
from pipeline_assets.bathymetry.grid.engine import Pieces, grid_pieces
from pipeline_assets.bathymetry.grid.ladder import Places, grid_places, places_of
from pipeline_assets.bathymetry.products.cells import cell_for, ladder_of, shallow_depth
from pipeline_assets.bathymetry.products.coverage import area_km2
from pipeline_assets.bathymetry.products.described import described, described_together, parts_table
from pipeline_assets.bathymetry.products.filtered_file import FILTERED_FILE, FilteredWriter, filtered_out, pieces_of
from pipeline_assets.bathymetry.products.line_fit import LineFit
from pipeline_assets.bathymetry.products.pictures import depth_histogram_png, hillshade_png
from pipeline_assets.bathymetry.products.provenance import Provenance, utc
from pipeline_assets.bathymetry.products.stored import (
    Part,
    load_parts,
    load_places,
    load_surface,
    save_parts,
    save_surface,
)
from pipeline_assets.bathymetry.products.survey import provenance_of
from pipeline_assets.bathymetry.s44 import order_of
from pipeline_assets.bathymetry.sigma_filter import off_surface, too_far
from pipeline_assets.bathymetry.soundings import Soundings
from pipeline_assets.bathymetry.surface import Surface
from pipeline_assets.product import Making, ProductResult

CARIS_SURFACE = "caris_surface"
"""The product that holds the surface of the engine CARIS, for surveys that have that engine."""


def make_preliminary(making: Making) -> ProductResult:
    """CUBE's surface of all accepted soundings, in the cells that the survey gets."""
    config: BathymetryConfig = making.config
    lines, pieces = making.rows["lines"], partial(in_pieces, making)
    # One survey.json, or one setting, holds for all lines.
    order, ladder = lines["s44_order"][0].as_py(), ladder_of(lines, config)
    provenance = provenance_of(making.partition, lines, order, datetime.now(UTC))
    if ladder:
        told = grid_config(config, lines, order, ladder[0][1], method="cube", ladder=ladder)
        surface = _by_depth(making, pieces, None, told, provenance)
    else:
        cell = lines["cell_m"][0].as_py() or config.cell_m
        cell = cell or cell_for(shallow_depth(pieces(), pc.sum(lines["accepted"]).as_py()), order)
        surface = _of_one_size(making, pieces, grid_config(config, lines, order, cell, method="cube"), provenance)
    figures = [(part.provenance.part, described(part.surface)) for part in _parts(making.folder, surface, provenance)]
    return ProductResult(
        markdown=parts_table(figures), picture=depth_histogram_png(surface), metadata=described_together(figures)
    )


def _of_one_size(making: Making, pieces: Pieces, told: GridConfig, provenance: Provenance) -> Surface:
    with tempfile.TemporaryDirectory(prefix="points-", dir=making.folder) as scratch:
        surface = grid_pieces(pieces, told, Path(scratch))
    save_surface(surface, provenance, making.folder)
    return surface


def _by_depth(
    making: Making, pieces: Pieces, places: Places | None, told: GridConfig, provenance: Provenance
) -> Surface:
    """All parts together, which are saved. places: which cells the survey gets where; None: by the depths of these soundings."""
    with tempfile.TemporaryDirectory(prefix="points-", dir=making.folder) as scratch:
        where = places_of(pieces, told, Path(scratch)) if places is None else places
        return save_parts(where, grid_places(pieces, where, told, Path(scratch)), provenance, making.folder)


def _parts(folder: Path, surface: Surface, provenance: Provenance) -> Iterator[Part]:
    """The parts of a surface that was saved to a folder; of one without any, itself."""
    return load_parts(folder) if load_places(folder) is not None else iter([Part(-1, surface, provenance)])


def in_pieces(making: Making) -> Iterator[Soundings]:
    """The soundings of a survey from the rows of its tables, piece by piece; each has the names of its own lines alone."""
    lines = making.rows["lines"]
    for piece in making.pieces("soundings"):
        yield soundings_of({"lines": lines, "soundings": piece})


def grid_config(
    config: BathymetryConfig, lines: pa.Table, order: str, cell: float, *, method: str, ladder: Ladder = ()
) -> GridConfig:
    """lines: rows of the table `lines`; what they say of CUBE counts before the settings."""
    declared = lines["cube"][0].as_py()
    cube = config.cube if declared is None else CubeParameters.model_validate_json(declared)
    said = {"method": method, "cell_m": cell, "order": order, "cube": cube, "max_cells": config.max_cells}
    said["ladder"] = ladder
    return GridConfig.model_validate(said)


def make_filtered(making: Making) -> ProductResult:
    """All soundings, with what the filter rejects, as Parquet; a table of the lines, with how they lie to each other."""
    config: BathymetryConfig = making.config
    folder = making.products["preliminary_surface"]
    places, parts = load_places(folder), list(load_parts(folder))
    preliminary, provenance = parts[0].surface, parts[0].provenance
    fit = LineFit()
    with FilteredWriter(making.folder, preliminary.grid.crs, preliminary.vertical_datum) as writer:
        for rows in making.pieces("soundings"):
            soundings = soundings_of({"lines": making.rows["lines"], "soundings": rows})
            off, sigma = _off(soundings, places, parts)
            far = too_far(soundings, off, sigma, provenance.profile, config.filter_sigmas)
            fit.add(soundings, far, off)
            writer.write(soundings, rows["time"], far, off)
    return ProductResult(
        markdown=fit.as_markdown(),
        metadata={**fit.figures(), "filter": f"{config.filter_sigmas:g} standard deviations, {provenance.profile}"},
    )


def _off(soundings: Soundings, places: Places | None, parts: Sequence[Part]) -> tuple[NDArray[Any], NDArray[Any]]:
    """As `off_surface` has it, of the part that each sounding belongs to."""
    if places is None:
        return off_surface(soundings, parts[0].surface)
    off, sigma = (np.full(len(soundings.depth), np.nan) for _ in range(2))
    step = places.of(soundings.x, soundings.y)
    for part in parts:
        here = step == part.step
        its_off, its_sigma = off_surface(soundings, part.surface)
        off[here], sigma[here] = its_off[here], its_sigma[here]
    return off, sigma


def make_surface(making: Making) -> ProductResult:
    """The survey's surface, and its picture: of the filtered soundings, or as CARIS made it where that is the survey's engine."""
    caris = making.products.get(CARIS_SURFACE)
    if caris is not None:
        surface, provenance = load_surface(caris)
        save_surface(surface, provenance, making.folder)
        filtered = {-1: 0}  # CARIS does not say how many
    else:
        surface, provenance, filtered = _gridded(making)
    picture = hillshade_png(surface)
    (making.folder / f"{provenance.survey}_relief.png").write_bytes(picture)
    rows, figures = [], []
    for part in _parts(making.folder, surface, provenance):
        rows.append(surface_row(part.surface, part.provenance, making.partition, filtered[part.step], part.name))
        figures.append((part.provenance.part, described(part.surface)))
    shown = {**described_together(figures), **acquired(provenance), "order": order_of(provenance.profile).title}
    return ProductResult(
        markdown=parts_table(figures), picture=picture, metadata=shown, rows={"surfaces": rows_together(rows)}
    )


def _gridded(making: Making) -> tuple[Surface, Provenance, dict[int, int]]:
    """The surface of the filtered soundings, in the cells of the preliminary one; how many the filter rejected, by step."""
    config: BathymetryConfig = making.config
    before, lines = making.products["preliminary_surface"], making.rows["lines"]
    preliminary, begun = load_surface(before)
    places, path = load_places(before), making.products["filtered_soundings"] / FILTERED_FILE
    provenance = provenance_of(making.partition, lines, begun.profile, datetime.now(UTC))
    ladder = places.ladder if places else ()
    told = grid_config(config, lines, begun.profile, preliminary.grid.cell, method=config.method, ladder=ladder)
    if places is None:
        surface = _of_one_size(making, lambda: pieces_of(path), told, provenance)
    else:
        surface = _by_depth(making, lambda: pieces_of(path), places, told, provenance)
    return surface, provenance, filtered_out(path, places)


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


def rows_together(rows: Sequence[dict[str, list[Any]]]) -> dict[str, list[Any]]:
    return {name: [value for row in rows for value in row[name]] for name in rows[0]}


def acquired(provenance: Provenance) -> dict[str, str | int]:
    """Of how many lines, and from when to when, where their files say so."""
    told: dict[str, str | int] = {"lines": len(provenance.inputs)}
    if provenance.start is not None and provenance.end is not None:
        told["acquired"] = f"{utc(provenance.start)} to {utc(provenance.end)}"
    return told
