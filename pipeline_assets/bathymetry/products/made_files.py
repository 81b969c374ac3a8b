"""The files of a survey's delivery, each kind a product: rasters, BAG, coverage and soundings."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from pipeline_assets.bathymetry.products.bag import write_bag
from pipeline_assets.bathymetry.products.coverage import area_km2, write_coverage
from pipeline_assets.bathymetry.products.filtered_file import FILTERED_FILE, lines_of
from pipeline_assets.bathymetry.products.geotiff import write_cog, write_hillshade, write_triplet
from pipeline_assets.bathymetry.products.gsf import file_names, write_gsf
from pipeline_assets.bathymetry.products.stored import load_surface
from pipeline_assets.bathymetry.soundings import Soundings
from pipeline_assets.product import Making, ProductResult

BUNDLE = 400
"""Soundings of a line without pings that are written as one: GSF has nothing but pings, and one for each would take ever so
long."""


def make_geotiff(making: Making) -> ProductResult:
    """Depth, Density and Uncertainty as a GeoTIFF each, all of them as a cloud-optimized one, and a shaded relief."""
    surface, provenance = load_surface(making.products["surface"])
    write_triplet(surface, provenance, making.folder)
    write_cog(surface, provenance, making.folder / f"{provenance.survey}_cog.tif")
    write_hillshade(surface, provenance, making.folder / f"{provenance.survey}_hs.tif")
    return ProductResult(metadata={"crs": surface.grid.crs, "cell (m)": surface.grid.cell})


def make_bag(making: Making) -> ProductResult:
    surface, provenance = load_surface(making.products["surface"])
    write_bag(surface, provenance, making.folder / f"{provenance.survey}.bag")
    return ProductResult(metadata={"crs": surface.grid.crs, "cell (m)": surface.grid.cell})


def make_coverage(making: Making) -> ProductResult:
    surface, provenance = load_surface(making.products["surface"])
    write_coverage(surface, provenance, making.folder)
    return ProductResult(metadata={"area (km²)": round(area_km2(surface), 6)})


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
