"""The files of a survey's delivery, each kind a product: rasters, BAG, coverage and soundings."""

from __future__ import annotations

from pipeline_assets.bathymetry.products.bag import write_bag
from pipeline_assets.bathymetry.products.coverage import area_km2, write_coverage
from pipeline_assets.bathymetry.products.geotiff import write_cog, write_hillshade, write_triplet
from pipeline_assets.bathymetry.products.gridding import filtered_soundings
from pipeline_assets.bathymetry.products.gsf import write_gsf
from pipeline_assets.bathymetry.products.stored import load_surface
from pipeline_assets.product import Making, ProductResult


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
    soundings, times = filtered_soundings(making.products["filtered_soundings"])
    _, provenance = load_surface(making.products["surface"])
    (making.folder / "gsf").mkdir()
    written = write_gsf(soundings, provenance, making.folder / "gsf", times)
    return ProductResult(metadata={"lines": len(written), "soundings": int(soundings.accepted.sum())})
