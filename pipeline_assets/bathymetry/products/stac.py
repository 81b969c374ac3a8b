"""A survey's products as a STAC item (SpatioTemporal Asset Catalog 1.0.0), for catalogues."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline_assets.bathymetry.judge.judged import Judged
from pipeline_assets.bathymetry.judge.sanity import lonlat_bounds
from pipeline_assets.bathymetry.products.coverage import area_km2, coverage, lonlat
from pipeline_assets.bathymetry.products.provenance import Provenance, utc
from pipeline_assets.bathymetry.products.survey_zip import sha256_of
from pipeline_assets.bathymetry.surface import Surface

MEDIA_TYPES = {
    ".tif": "image/tiff; application=geotiff", ".bag": "application/x-hdf5", ".gpkg": "application/geopackage+sqlite3",
    ".geojson": "application/geo+json", ".json": "application/json", ".png": "image/png", ".zip": "application/zip",
    ".gsf": "application/octet-stream", ".shp": "application/octet-stream",
}  # fmt: skip
COG_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"


def stac_item(
    surface: Surface, provenance: Provenance, files: Mapping[str, Path], folder: Path, judged: Sequence[Judged] = (),
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The item. files: the products by the names of the assets. folder: where the item lies, which hrefs are relative to.

    more: properties besides, or instead.
    """
    from pyproj import CRS

    code = CRS.from_user_input(surface.grid.crs).to_epsg(min_confidence=70)
    west, south, east, north = lonlat_bounds(surface)
    outline = coverage(surface)
    known = surface.depth[np.isfinite(surface.depth)]
    grid = surface.grid
    properties: dict[str, Any] = {
        "title": f"Survey {provenance.survey}",
        "description": provenance.abstract or f"Gridded bathymetry of the survey {provenance.survey}",
        "created": utc(provenance.made_at),
        **_when(provenance),
        "proj:epsg": code,
        "proj:shape": [grid.rows, grid.columns],
        "proj:transform": [grid.cell, 0.0, grid.west, 0.0, -grid.cell, grid.north],
        "gsd": grid.cell,
        "processing:software": {provenance.engine: provenance.version},
        "processing:lineage": f"{surface.method} with {json.dumps(dict(surface.parameters), sort_keys=True)}",
        "strandline:profile": provenance.profile,
        "strandline:vertical_datum": surface.vertical_datum,
        "strandline:area_km2": round(area_km2(surface), 6),
        "strandline:depth_min_m": round(float(known.min()), 3),
        "strandline:depth_max_m": round(float(known.max()), 3),
        "strandline:checks": {
            one.name: "not judged" if one.not_judged else ("pass" if one.passed else "fail") for one in judged
        },
    }
    if provenance.licence:
        properties["license"] = provenance.licence
    if code is None:
        properties["proj:wkt2"] = CRS.from_user_input(grid.crs).to_wkt()
    properties |= more or {}
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [
            "https://stac-extensions.github.io/projection/v1.1.0/schema.json",
            "https://stac-extensions.github.io/processing/v1.1.0/schema.json",
            "https://stac-extensions.github.io/file/v2.1.0/schema.json",
        ],
        "id": provenance.survey,
        # East of the date line a box begins at its west, as RFC 7946 (5.2) has it.
        "bbox": [round(value, 8) for value in (west, south, east - 360.0 if east > 180.0 else east, north)],
        "geometry": lonlat(outline, grid.crs),
        "properties": properties,
        "links": [],
        "assets": {name: _asset(path, folder) for name, path in files.items()},
    }


def _when(provenance: Provenance) -> dict[str, Any]:
    """A moment, or an interval if it is known. STAC wants one or the other."""
    if provenance.start is None or provenance.end is None:
        return {"datetime": utc(provenance.start or provenance.end or provenance.made_at)}
    return {
        "datetime": None,
        "start_datetime": utc(provenance.start),
        "end_datetime": utc(provenance.end),
    }


def _asset(path: Path, folder: Path) -> dict[str, Any]:
    kind = COG_TYPE if path.stem.endswith(("_cog", "_hs")) else MEDIA_TYPES.get(path.suffix, "application/octet-stream")
    return {
        "href": f"./{path.relative_to(folder).as_posix()}",
        "type": kind,
        "roles": ["thumbnail"] if path.suffix == ".png" else ["metadata"] if path.suffix == ".json" else ["data"],
        "file:size": path.stat().st_size,
        # A multihash: 12 for SHA-256, 20 for its 32 bytes.
        "file:checksum": f"1220{sha256_of(path)}",
    }


def write_stac(
    surface: Surface, provenance: Provenance, files: Mapping[str, Path], path: Path, judged: Sequence[Judged] = (),
    more: Mapping[str, Any] | None = None,
) -> Path:  # fmt: skip
    text = json.dumps(
        stac_item(surface, provenance, files, path.parent, judged, more), ensure_ascii=False, indent=1, allow_nan=False
    )
    path.write_text(text + "\n", encoding="utf-8")
    return path
