"""A line as a surveyor looks at it first: where its soundings are and how deep, and what a look from its end shows."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline_assets.bathymetry.products.pictures import hillshade_png
from pipeline_assets.bathymetry.read.line import DeclaredSurvey, SurveyLine
from pipeline_assets.bathymetry.read.surface_file import LandedSurface

_REJECTED, _GRID = "#c0392b", "#c9d6df"
_MOST_POINTS = 20_000


def file_png(read: SurveyLine | LandedSurface | DeclaredSurvey, tables: Mapping[str, Any]) -> bytes:
    """PNG of what was read of a file: a line, or the relief of a surface that landed."""
    if isinstance(read, LandedSurface):
        return hillshade_png(read.surface)
    if isinstance(read, DeclaredSurvey):
        raise ValueError(f"{read.key} says something of a survey, and has nothing to draw")
    return line_png(read, tables)


def line_png(line: SurveyLine, tables: Mapping[str, Any]) -> bytes:
    """PNG of a line: a map of its soundings coloured by depth, and depth along the ping; rejected ones red."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), dpi=80, layout="constrained")
    step = max(1, len(line.depth) // _MOST_POINTS)
    accepted, rejected = (np.flatnonzero(rows)[::step] for rows in (line.accepted, ~line.accepted))
    here = figure.add_subplot(1, 2, 1)
    east, north = line.x - line.x.min(), line.y - line.y.min()
    shown = here.scatter(
        east[accepted], north[accepted], c=line.depth[accepted], s=2, cmap="viridis_r", linewidths=0, rasterized=True
    )
    if len(accepted):
        figure.colorbar(shown, ax=here, shrink=0.8).set_label("depth (m)", fontsize=8)
    here.set_aspect("equal", adjustable="datalim")
    here.set_xlabel(f"m east of {line.x.min():,.0f} ({line.crs})", fontsize=8)
    here.set_ylabel(f"m north of {line.y.min():,.0f}", fontsize=8)
    side = figure.add_subplot(1, 2, 2)
    along = line.ping if line.ping.max() > line.ping.min() else np.arange(len(line.ping))
    side.plot(along[accepted], line.depth[accepted], ",", color="#1f618d")
    side.plot(along[rejected], line.depth[rejected], ".", color=_REJECTED, markersize=2)
    if len(accepted):
        low, high = np.quantile(line.depth[accepted], [0.001, 0.999])
        room = max(1.0, 0.3 * (high - low))
        side.set_ylim(high + room, low - room)
    side.set_xlabel("ping", fontsize=8)
    side.set_ylabel("depth (m)", fontsize=8)
    for axes in (here, side):
        axes.tick_params(labelsize=7)
        axes.grid(color=_GRID, linewidth=0.4)
    key = line.key if len(line.key) <= 80 else "…" + line.key[-79:]
    title = f"{key}   ·   {len(line.depth):,} soundings, {len(line.depth) - int(line.accepted.sum()):,} rejected"
    figure.suptitle(title.replace("$", r"\$"), fontsize=10, x=0.01, ha="left")
    return _small_png(figure)


def _small_png(figure: Any) -> bytes:
    """The figure with 128 colours: a picture stands in the event log."""
    from PIL import Image

    whole, small = io.BytesIO(), io.BytesIO()
    figure.savefig(whole, format="png")
    whole.seek(0)
    Image.open(whole).convert("RGB").quantize(128).save(small, format="png", optimize=True)
    return small.getvalue()
