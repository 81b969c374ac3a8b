"""A surface as GeoTIFF: AusSeabed's three files of one band, a cloud-optimized one, and its shaded relief."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.bathymetry.products.provenance import Provenance
from pipeline_assets.bathymetry.surface import Grid, Surface

NO_DATA = -9999.0
"""Of depths and densities; no sea is as deep, and no density negative."""
AZIMUTH, ALTITUDE, EXAGGERATION = 30.0, 45.0, 2.0
"""Of the light, degrees, and of the depths: those of AusSeabed's products."""
_BLOCK = 512


def write_triplet(surface: Surface, provenance: Provenance, folder: Path) -> dict[str, Path]:
    """Depth, Density and Uncertainty as a GeoTIFF of one float32 band each, by the names by which QAX finds the bands.

    AusSeabed's rules of delivery, level 3: depths are negative. The CRS is that of the surface; nothing is resampled.
    """
    layers = {
        "Depth": (-surface.depth, "metre", "depth, negative below the vertical datum"),
        "Density": (_density(surface), "", "soundings of the cell"),
        "Uncertainty": (surface.uncertainty, "metre", "vertical uncertainty at 95 %"),
    }
    written = {}
    for name, (values, unit, description) in layers.items():
        path = folder / f"{provenance.stem}_{name.lower()}.tif"
        _write(path, surface.grid, {name: values}, "GTiff", provenance.tags(surface), unit, description)
        written[name] = path
    return written


def write_cog(surface: Surface, provenance: Provenance, path: Path) -> Path:
    """Depth (negative), Uncertainty and Density as bands of one cloud-optimized GeoTIFF: float32, deflated with predictor 3,
    overviews of averages.
    """
    layers = {"Depth": -surface.depth, "Uncertainty": surface.uncertainty, "Density": _density(surface)}
    _write(path, surface.grid, layers, "COG", provenance.tags(surface), "metre", "")
    return path


def write_hillshade(surface: Surface, provenance: Provenance, path: Path) -> Path:
    """The shaded relief as a cloud-optimized GeoTIFF of bytes, 0 where there is none."""
    shade = hillshade(-surface.depth, surface.grid.cell)
    _write(path, surface.grid, {"Hillshade": shade}, "COG", provenance.tags(surface), "", "shaded relief, 1 to 255")
    return path


def hillshade(
    elevation: NDArray[np.float32],
    cell: float,
    azimuth: float = AZIMUTH,
    altitude: float = ALTITUDE,
    exaggeration: float = EXAGGERATION,
) -> NDArray[np.uint8]:
    """Brightness from 1 to 255, 0 beside cells without a value: the slopes of Horn (1981), as `gdaldem hillshade` has them.

    elevation: m, positive up, the northernmost row first. cell: m. azimuth: of the light, degrees from north. The outermost
    cells of the array have none.
    """
    shade = np.zeros(elevation.shape, dtype=np.uint8)
    if min(elevation.shape) < 3:
        return shade
    z = elevation.astype(np.float32, copy=False)
    nw, n, ne = z[:-2, :-2], z[:-2, 1:-1], z[:-2, 2:]
    w, e = z[1:-1, :-2], z[1:-1, 2:]
    sw, s, se = z[2:, :-2], z[2:, 1:-1], z[2:, 2:]
    factor = np.float32(exaggeration / (8.0 * cell))
    x = ((nw + 2.0 * w + sw) - (ne + 2.0 * e + se)) * factor
    y = ((sw + 2.0 * s + se) - (nw + 2.0 * n + ne)) * factor
    light, zenith = np.radians(azimuth), np.radians(altitude)
    # x points to the east where it falls, y to the north where it falls.
    lit = np.sin(zenith) + np.cos(zenith) * (x * np.sin(light) + y * np.cos(light))
    value = lit / np.sqrt(1.0 + x * x + y * y)
    known = np.isfinite(value) & np.isfinite(z[1:-1, 1:-1])
    inner = shade[1:-1, 1:-1]
    inner[known] = np.rint(np.clip(1.0 + 254.0 * value[known], 1.0, 255.0)).astype(np.uint8)
    return shade


def _density(surface: Surface) -> NDArray[np.float32]:
    return np.where(np.isfinite(surface.depth), surface.density.astype(np.float32), np.float32(np.nan))


def transform_of(grid: Grid) -> Any:
    from rasterio.transform import from_origin

    return from_origin(grid.west, grid.north, grid.cell, grid.cell)


def _write(
    path: Path,
    grid: Grid,
    layers: Mapping[str, NDArray[Any]],
    driver: str,
    tags: Mapping[str, str],
    unit: str,
    description: str,
) -> None:
    """Layers as the bands of one file. Floats are compressed with predictor 3, for they are; bytes with 2."""
    import rasterio
    from rasterio.io import MemoryFile
    from rasterio.shutil import copy

    values = np.stack(list(layers.values()))
    is_float = values.dtype.kind == "f"
    no_data = NO_DATA if is_float else 0
    if is_float:
        values = np.where(np.isnan(values), np.float32(NO_DATA), values).astype(np.float32)
    shape: dict[str, Any] = {
        "driver": "GTiff", "width": grid.columns, "height": grid.rows, "count": len(layers), "dtype": values.dtype.name,
        "crs": grid.crs, "transform": transform_of(grid), "nodata": no_data,
    }  # fmt: skip
    packed = {"compress": "deflate", "predictor": 3 if is_float else 2, "bigtiff": "if_safer", "num_threads": 1}
    tiled = (
        {"tiled": True, "blockxsize": _BLOCK, "blockysize": _BLOCK} if min(grid.rows, grid.columns) >= _BLOCK else {}
    )

    def fill(content: Any) -> None:
        content.write(values)
        content.update_tags(**tags)
        for index, name in enumerate(layers, start=1):
            content.set_band_description(index, name)
            if unit and name != "Density":
                content.set_band_unit(index, unit)
            if description:
                content.update_tags(index, DESCRIPTION=description)

    with rasterio.Env(GDAL_PAM_ENABLED="NO"):
        if driver == "GTiff":
            with rasterio.open(path, "w", **shape, **packed, **tiled) as content:
                fill(content)
            return
        with MemoryFile() as memory:
            with memory.open(**shape) as content:
                fill(content)
            with memory.open() as content:
                copy(
                    content, path, driver="COG", compress="DEFLATE", level=9, predictor="FLOATING_POINT" if is_float else "STANDARD",
                    overview_resampling="AVERAGE", blocksize=_BLOCK, bigtiff="IF_SAFER",
                )  # fmt: skip
