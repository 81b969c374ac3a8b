"""Soundings -> preliminary surface -> filtered soundings -> surface: each made of what was made before it.

A filter needs a surface, so the surface that it filters by is a product of its own, there before the filter begins.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline_assets.bathymetry.config import BathymetryConfig
from pipeline_assets.bathymetry.derive import soundings_of
from pipeline_assets.bathymetry.grid.config import GridConfig
from pipeline_assets.bathymetry.products.coverage import area_km2
from pipeline_assets.bathymetry.products.pictures import depth_histogram_png, hillshade_png
from pipeline_assets.bathymetry.products.provenance import Provenance
from pipeline_assets.bathymetry.products.stored import load_surface, save_surface
from pipeline_assets.bathymetry.products.survey import provenance_of
from pipeline_assets.bathymetry.s44 import cell_max, order_of
from pipeline_assets.bathymetry.sigma_filter import off_surface, too_far
from pipeline_assets.bathymetry.soundings import Soundings
from pipeline_assets.bathymetry.surface import Surface
from pipeline_assets.product import Making, ProductResult

FILTERED_FILE = "soundings.parquet"
LEAST_CELL_M = 0.5
_OF_DEPTH = 0.05
_SHALLOW = 0.01
_ROWS_AT_ONCE = 1 << 20


def cell_for(depth: NDArray[np.float64], order: str) -> float:
    """The edge of cells for these depths, m: the largest of 0.5, 1, 2, 5, 10, ... that shows the order's smallest feature
    where it is shallow (a hundredth of the soundings is shallower), as QAX asks; one twentieth of that depth for orders that
    ask no features, which is Strandline's own.
    """
    shallow = max(float(np.quantile(depth, _SHALLOW)), 0.0) if len(depth) else 0.0
    no_features = order_of(order).feature_m is None
    most = _OF_DEPTH * shallow if no_features else float(cell_max(order, shallow))
    if most < 1.0:
        return LEAST_CELL_M
    tens = 10.0 ** math.floor(math.log10(most))
    return max(step * tens for step in (1.0, 2.0, 5.0) if step * tens <= most * (1 + 1e-9))


def make_preliminary(making: Making) -> ProductResult:
    """CUBE's surface of all accepted soundings, in the cells that the survey gets."""
    from pipeline_assets.bathymetry.grid.engine import grid

    config: BathymetryConfig = making.config
    soundings, lines = soundings_of(making.rows), making.rows["lines"]
    # One survey.json, or one setting, holds for all lines.
    order, declared = lines["s44_order"][0].as_py(), lines["cell_m"][0].as_py()
    cell = declared or config.cell_m or cell_for(soundings.depth[soundings.accepted], order)
    told = grid_config(config, order, cell, method="cube")
    surface = grid(soundings, told)
    provenance = provenance_of(making.partition, lines, order, datetime.now(UTC))
    save_surface(surface, provenance, making.folder)
    return ProductResult(picture=depth_histogram_png(surface), metadata=described(surface))


def grid_config(config: BathymetryConfig, order: str, cell: float, *, method: str) -> GridConfig:
    said = {"method": method, "cell_m": cell, "order": order, "cube": config.cube, "max_cells": config.max_cells}
    return GridConfig.model_validate(said)


def make_filtered(making: Making) -> ProductResult:
    """All soundings, with what the filter rejects, as Parquet; a table of the lines, with how they lie to each other."""
    import pyarrow.parquet as pq

    config: BathymetryConfig = making.config
    preliminary, provenance = load_surface(making.products["preliminary_surface"])
    soundings = soundings_of(making.rows)
    off, sigma = off_surface(soundings, preliminary)
    far = too_far(soundings, off, sigma, provenance.profile, config.filter_sigmas)
    kept = soundings.accepted & ~far
    table = pa.table(
        {
            "line": pa.DictionaryArray.from_arrays(pa.array(soundings.line), pa.array(soundings.lines, pa.string())),
            "ping": soundings.ping, "beam": soundings.beam, "time": making.rows["soundings"]["time"],
            "x_m": soundings.x, "y_m": soundings.y, "depth_m": soundings.depth,
            "tvu_m": soundings.tvu.astype(np.float32), "thu_m": soundings.thu.astype(np.float32),
            "accepted": kept, "filtered": far, "off_m": off.astype(np.float32),
        }
    )  # fmt: skip
    table = table.replace_schema_metadata({"crs": soundings.crs, "vertical_datum": soundings.vertical_datum})
    pq.write_table(table, making.folder / FILTERED_FILE, compression="zstd", row_group_size=_ROWS_AT_ONCE)
    accepted = int(soundings.accepted.sum())
    return ProductResult(
        markdown=_lines_table(soundings, kept, far, off),
        metadata={
            "soundings": len(soundings.depth), "accepted by the files": accepted, "filtered out": int(far.sum()),
            "kept": int(kept.sum()), "filter": f"{config.filter_sigmas:g} standard deviations, {provenance.profile}",
        },
    )  # fmt: skip


def _lines_table(
    soundings: Soundings, kept: NDArray[np.bool_], far: NDArray[np.bool_], off: NDArray[np.float64]
) -> str:
    """A row a line. The mean of how far its soundings lie from the surface of all lines shows a tide or draft that is wrong."""
    told = ["| line | soundings | kept | filtered | mean off (m) | std (m) |", "|---|--:|--:|--:|--:|--:|"]
    count = len(soundings.lines)
    known = kept & np.isfinite(off)
    number = np.bincount(soundings.line[known], minlength=count)
    total = np.bincount(soundings.line[known], off[known], minlength=count)
    square = np.bincount(soundings.line[known], off[known] ** 2, minlength=count)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / number
        spread = np.sqrt(np.maximum(square / number - mean**2, 0.0))
    whole, kept_of, far_of = (
        np.bincount(soundings.line[rows], minlength=count) for rows in (slice(None), kept, far)
    )  # fmt: skip
    for at in sorted(range(count), key=lambda one: soundings.lines[one]):
        name = soundings.lines[at].replace("|", "\\|")
        told.append(
            f"| {name} | {whole[at]:,} | {kept_of[at]:,} | {far_of[at]:,} | {mean[at]:+.3f} | {spread[at]:.3f} |"
        )
    return "\n".join(told)


def make_surface(making: Making) -> ProductResult:
    """The survey's surface, of the filtered soundings, and its picture."""
    from pipeline_assets.bathymetry.grid.engine import grid_pieces

    config: BathymetryConfig = making.config
    preliminary, begun = load_surface(making.products["preliminary_surface"])
    path = making.products["filtered_soundings"] / FILTERED_FILE
    told = grid_config(config, begun.profile, preliminary.grid.cell, method=config.method)
    with tempfile.TemporaryDirectory(prefix="points-", dir=making.folder) as scratch:
        surface = grid_pieces(lambda: pieces_of(path), told, Path(scratch))
    provenance = provenance_of(making.partition, making.rows["lines"], begun.profile, datetime.now(UTC))
    save_surface(surface, provenance, making.folder)
    picture = hillshade_png(surface)
    (making.folder / f"{provenance.survey}_relief.png").write_bytes(picture)
    rows = surface_row(surface, provenance, making.partition, _filtered_out(path))
    return ProductResult(picture=picture, metadata=described(surface), rows={"surfaces": rows})


def _filtered_out(path: Path) -> int:
    import pyarrow.compute as pc
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


def pieces_of(path: Path) -> Iterator[Soundings]:
    """The soundings of a file of filtered soundings, a million at a time."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as content:
        for batch in content.iter_batches(_ROWS_AT_ONCE):
            yield _soundings(pa.Table.from_batches([batch]), content.schema_arrow.metadata)


def filtered_soundings(folder: Path) -> tuple[Soundings, NDArray[np.float64]]:
    """All soundings of the product `filtered_soundings`, and their times, seconds since 1970; NaN where unknown."""
    import pyarrow.parquet as pq

    table = pq.read_table(folder / FILTERED_FILE)
    moments = table["time"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).cast(pa.float64())
    times = moments.to_numpy() / 1e6  # which makes NaN of null
    return _soundings(table, table.schema.metadata), times


def _soundings(table: pa.Table, said: Any) -> Soundings:
    line = table["line"].combine_chunks()
    line = line.combine_chunks() if isinstance(line, pa.ChunkedArray) else line
    column = {name: table[name].to_numpy() for name in ("x_m", "y_m", "depth_m", "tvu_m", "thu_m", "ping", "beam")}
    return Soundings(
        x=column["x_m"], y=column["y_m"], depth=column["depth_m"], tvu=column["tvu_m"].astype(np.float64),
        thu=column["thu_m"].astype(np.float64), accepted=table["accepted"].to_numpy(),
        line=line.indices.to_numpy(zero_copy_only=False).astype(np.int32), ping=column["ping"], beam=column["beam"],
        crs=said[b"crs"].decode(), vertical_datum=said[b"vertical_datum"].decode(),
        lines=tuple(line.dictionary.to_pylist()),
    )  # fmt: skip


def described(surface: Surface) -> dict[str, str | int | float]:
    """A surface's figures, for its page."""
    known = np.isfinite(surface.depth)
    depth, uncertainty = surface.depth[known], surface.uncertainty[known]
    grid = surface.grid
    told: dict[str, str | int | float] = {
        "method": surface.method, "cell (m)": grid.cell, "rows": grid.rows, "columns": grid.columns, "crs": grid.crs,
        "vertical datum": surface.vertical_datum, "cells with a depth": int(known.sum()),
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
