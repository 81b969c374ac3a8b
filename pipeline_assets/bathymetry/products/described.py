"""A surface's figures, for the pages of its assets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline_assets.bathymetry.products.coverage import area_km2
from pipeline_assets.bathymetry.surface import Surface

Figures = dict[str, str | int | float]
_SUMS = ("cells with a depth", "area (km²)", "soundings used", "cells with several hypotheses")
_ALIKE = ("method", "crs", "vertical datum")
_DEPTHS = ("depth least (m)", "depth greatest (m)")
_UNCERTAIN = "uncertainty greatest (m, 95 %)"


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


def described_together(parts: Sequence[tuple[str, Figures]]) -> Figures:
    """The figures of a survey's surface from those of its parts, by their names; where its cells grow with depth, also the cells of
    each size."""
    if len(parts) == 1 and not parts[0][0]:
        return parts[0][1]
    figures = [said for _, said in parts]
    told: Figures = {name: figures[0][name] for name in _ALIKE}
    told["cell (m)"] = ", ".join(f"{said['cell (m)']:g}" for said in figures)
    told |= {f"cells of {name}": said["cells with a depth"] for name, said in parts}
    told |= {name: round(sum(_numbers(figures, name)), 6) for name in _SUMS}
    for name, of in ((_DEPTHS[0], min), (_DEPTHS[1], max), (_UNCERTAIN, max)):
        if known := _numbers(figures, name):
            told[name] = of(known)
    return told


def _numbers(figures: Sequence[Figures], name: str) -> list[Any]:
    return [said[name] for said in figures if name in said]


def parts_table(parts: Sequence[tuple[str, Figures]]) -> str:
    """A row for each part of a surface; nothing where its cells are of one size."""
    if len(parts) == 1 and not parts[0][0]:
        return ""
    told = [
        "| cells (m) | with a depth | depths (m) | uncertainty, greatest (m) | soundings |",
        "|--:|--:|---|--:|--:|",
    ]
    for _, said in parts:
        told.append(
            f"| {said['cell (m)']:g} | {said['cells with a depth']:,} | {said.get(_DEPTHS[0])} to {said.get(_DEPTHS[1])} | "
            f"{said.get(_UNCERTAIN, '')} | {said['soundings used']:,} |"
        )
    return "\n".join(told)
