"""Where a surface has data, as a polygon with its area: GeoPackage, Shapefile and GeoJSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from pipeline_assets.bathymetry.judge.geojson import cut_at_date_line
from pipeline_assets.bathymetry.judge.judged import Mask
from pipeline_assets.bathymetry.products.geotiff import transform_of
from pipeline_assets.bathymetry.products.provenance import Provenance, utc
from pipeline_assets.bathymetry.surface import Surface
from pipeline_assets.landed_file import Refused

SIMPLIFIED_CELLS = 5.0
"""How far the outline may be from the cells, in cells: that of AusSeabed's coverage polygons."""
_FORMATS = (("GPKG", ".gpkg"), ("ESRI Shapefile", ".shp"))


def coverage(surface: Surface, simplified_cells: float = SIMPLIFIED_CELLS) -> Any:
    """The shapely MultiPolygon of the cells with a depth, in the surface's CRS. Refused `empty_surface` where there are none.

    simplified_cells: how far it may be simplified, in cells. Holes of fewer cells than the square of it are filled first, for
    few of them would survive, and a surface has tens of thousands; islands that would vanish are kept as they are.
    """
    from rasterio.features import shapes
    from shapely import make_valid
    from shapely.geometry import MultiPolygon, Polygon, shape

    known = np.isfinite(surface.depth)
    if not known.any():
        raise Refused(
            "empty_surface", "No cell of the surface has a depth; expected some. Look at the soundings and the grid."
        )
    filled = _without_small_holes(known, simplified_cells**2)
    found = shapes(filled.astype(np.uint8), mask=filled, connectivity=4, transform=transform_of(surface.grid))
    parts = []
    for outline, _ in found:
        part = shape(outline)
        simple = part.simplify(simplified_cells * surface.grid.cell) if simplified_cells else part
        simple = simple if simple.is_valid and not simple.is_empty else make_valid(simple)
        pieces = [
            piece for piece in getattr(simple, "geoms", [simple]) if isinstance(piece, Polygon) and piece.area > 0
        ]
        parts += pieces or [part]
    return MultiPolygon(parts)


def _without_small_holes(known: Mask, cells: float) -> Mask:
    from scipy import ndimage

    labels, count = ndimage.label(~known, output=np.int32)
    small = np.bincount(labels.ravel(), minlength=count + 1) < cells
    small[0] = False
    small[np.unique(np.concatenate((labels[0], labels[-1], labels[:, 0], labels[:, -1])))] = False
    filled: Mask = known | small[labels]
    return filled


def area_km2(surface: Surface) -> float:
    """Area of the cells with a depth, km²: of the cells, not of a simplified outline."""
    return float(np.count_nonzero(np.isfinite(surface.depth))) * surface.grid.cell**2 / 1e6


def write_coverage(
    surface: Surface, provenance: Provenance, folder: Path, area: float | None = None
) -> dict[str, Path]:
    """The polygon as `<survey>_coverage` .gpkg and .shp in the surface's CRS, and .geojson in longitude and latitude.

    area: of the cells, km², where it is not that of the surface's own: of larger ones that stand for them.
    """
    import pyogrio.raw
    from shapely import to_wkb

    outline = coverage(surface)
    said = {
        "survey": provenance.survey, "profile": provenance.profile, "vdatum": surface.vertical_datum,
        "area_km2": round(area_km2(surface) if area is None else area, 6), "cell_m": surface.grid.cell, "engine": provenance.engine,
        "made_at": utc(provenance.made_at),
    }  # fmt: skip
    written = {}
    for driver, suffix in _FORMATS:
        path = folder / f"{provenance.survey}_coverage{suffix}"
        # A GeoPackage notes when it was written, which would make the same run write other bytes.
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": utc(provenance.made_at).replace("Z", ".000Z")})
        pyogrio.raw.write(
            str(path), np.array([to_wkb(outline)], dtype=object), [np.array([value]) if not isinstance(value, str) else np.array([value], dtype=object) for value in said.values()],
            list(said), driver=driver, crs=surface.grid.crs, geometry_type="MultiPolygon", layer=path.stem,
        )  # fmt: skip
        written[suffix.lstrip(".")] = path
    path = folder / f"{provenance.survey}_coverage.geojson"
    document = {
        "type": "FeatureCollection",
        "features": [{"type": "Feature", "geometry": lonlat(outline, surface.grid.crs), "properties": said}],
    }
    path.write_text(json.dumps(document, ensure_ascii=False) + "\n", encoding="utf-8")
    return {**written, "geojson": path}


def lonlat(outline: Any, crs: str) -> dict[str, Any]:
    """The geometry in longitude and latitude, cut at the date line (RFC 7946)."""
    from pyproj import Transformer
    from shapely import get_coordinates, set_coordinates, set_precision, transform

    transformer = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    turned = transform(outline, lambda points: np.stack(transformer.transform(points[:, 0], points[:, 1]), axis=1))
    points = get_coordinates(turned)
    if float(np.ptp(points[:, 0])) > 180.0:
        points[:, 0] = np.where(points[:, 0] < 0.0, points[:, 0] + 360.0, points[:, 0])
        turned = set_coordinates(turned, points)
    return cut_at_date_line(set_precision(turned, 1e-8))
