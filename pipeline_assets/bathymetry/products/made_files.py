"""The files of a survey's delivery, each kind a product: rasters, BAG, coverage and soundings."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline_assets.bathymetry.products.bag import write_bag
from pipeline_assets.bathymetry.products.coverage import area_km2, write_coverage
from pipeline_assets.bathymetry.products.filtered_file import FILTERED_FILE, lines_of
from pipeline_assets.bathymetry.products.geotiff import write_cog, write_hillshade, write_triplet
from pipeline_assets.bathymetry.products.gsf import file_names, write_gsf
from pipeline_assets.bathymetry.products.provenance import Provenance
from pipeline_assets.bathymetry.products.stored import load_parts, load_places, load_surface
from pipeline_assets.bathymetry.products.vr_bag import write_vr_bag
from pipeline_assets.bathymetry.soundings import Soundings
from pipeline_assets.bathymetry.surface import Surface
from pipeline_assets.product import Making, ProductResult

BUNDLE = 400
"""Soundings of a line without pings that are written as one: GSF has nothing but pings, and one for each would take ever so
long."""


def make_geotiff(making: Making) -> ProductResult:
    """Depth, Density and Uncertainty as a GeoTIFF each, all of them as a cloud-optimized one, and a shaded relief.

    Where cells grow with depth these are of each size, and a cloud-optimized one and a relief are of all together.
    """
    folder = making.products["surface"]
    cells = []
    for part in load_parts(folder):
        write_triplet(part.surface, part.provenance, making.folder)
        _write_pictured(part.surface, part.provenance, making.folder)
        cells.append(part.surface.grid.cell)
        crs = part.surface.grid.crs
    if load_places(folder) is not None:
        _write_pictured(*load_surface(folder), making.folder)
    return ProductResult(metadata={"crs": crs, "cell (m)": ", ".join(f"{cell:g}" for cell in cells)})


def _write_pictured(surface: Surface, provenance: Provenance, folder: Path) -> None:
    write_cog(surface, provenance, folder / f"{provenance.stem}_cog.tif")
    write_hillshade(surface, provenance, folder / f"{provenance.stem}_hs.tif")


def make_bag(making: Making) -> ProductResult:
    """One BAG; of variable resolution where cells grow with depth."""
    folder = making.products["surface"]
    surface, provenance = load_surface(folder)
    path, places = making.folder / f"{provenance.survey}.bag", load_places(folder)
    if places is None:
        write_bag(surface, provenance, path)
        cells = f"{surface.grid.cell:g}"
    else:
        write_vr_bag(places, ((part.step, part.surface) for part in load_parts(folder)), provenance, path)
        cells = ", ".join(f"{part.surface.grid.cell:g}" for part in load_parts(folder))
    return ProductResult(metadata={"crs": surface.grid.crs, "cell (m)": cells})


def make_coverage(making: Making) -> ProductResult:
    """The outline; where cells grow with depth, that of all of them together, with the area of the cells themselves."""
    folder = making.products["surface"]
    surface, provenance = load_surface(folder)
    area = sum(area_km2(part.surface) for part in load_parts(folder))
    write_coverage(surface, provenance, making.folder, area)
    return ProductResult(metadata={"area (km²)": round(area, 6)})


def make_gsf(making: Making) -> ProductResult:
    _, provenance = load_surface(making.products["surface"])
    lines = making.rows["lines"]
    without = [
        line for line, pings in zip(lines["line"].to_pylist(), lines["pings"].to_pylist(), strict=True) if not pings
    ]
    names = file_names(tuple(lines["line"].to_pylist()))
    (making.folder / "gsf").mkdir()
    written = accepted = 0
    for soundings, times in lines_of(making.products["filtered_soundings"] / FILTERED_FILE):
        bundled = in_bundles(soundings, without)
        written += len(write_gsf(bundled, provenance, making.folder / "gsf", times, names))
        accepted += int(soundings.accepted.sum())
    return ProductResult(metadata={"lines": written, "soundings": accepted})


def in_bundles(soundings: Soundings, lines: Collection[str]) -> Soundings:
    """The soundings, those of these lines in pings of `BUNDLE`."""
    ping = soundings.ping.copy()
    for number, line in enumerate(soundings.lines):
        if line in lines:
            here = np.flatnonzero(soundings.line == number)
            ping[here] = np.arange(len(here)) // BUNDLE
    return replace(soundings, ping=ping)
