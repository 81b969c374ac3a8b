"""Cells of a surface as GeoJSON (RFC 7946): longitude and latitude of WGS 84, rings against the clock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline_assets.bathymetry.judge.judged import Mask
from pipeline_assets.bathymetry.surface import Grid

MOST_FEATURES = 1000
_DIGITS = 8
"""Of a degree: about a millimetre."""


def failing_cells(grid: Grid, failing: Mask, most: int = MOST_FEATURES) -> dict[str, Any]:
    """A FeatureCollection of the True cells: a polygon for each run of them in a row, the longest first, at most `most`.

    `cells` says how many there are, `cells_shown` how many of these the features cover.
    """
    rows, starts, ends = _runs(failing)
    order = np.argsort(starts - ends, kind="stable")[:most]
    rows, starts, ends = rows[order], starts[order], ends[order]
    rings = lonlat_rings(
        grid.crs,
        np.stack([grid.west + starts * grid.cell, grid.north - (rows + 1) * grid.cell], axis=1),
        np.stack([grid.west + ends * grid.cell, grid.north - rows * grid.cell], axis=1),
    )
    features = [
        {"type": "Feature", "geometry": polygon(ring), "properties": {"cells": int(end - start)}}
        for ring, start, end in zip(rings, starts, ends, strict=True)
    ]
    return {
        "type": "FeatureCollection", "features": features, "cells": int(np.count_nonzero(failing)),
        "cells_shown": int((ends - starts).sum()),
    }  # fmt: skip


def _runs(mask: Mask) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, first column, and column after the last, of each run of True cells."""
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(edges == 1)
    return rows, starts, np.nonzero(edges == -1)[1]


def lonlat_rings(crs: str, south_west: np.ndarray, north_east: np.ndarray) -> list[list[list[float]]]:
    """Rings of rectangles given by their corners (n, 2), m; longitudes beyond 180 where a ring crosses the date line."""
    from pyproj import Transformer

    if not len(south_west):
        return []
    (west, south), (east, north) = south_west.T, north_east.T
    x = np.stack([west, east, east, west, west], axis=1)
    y = np.stack([south, south, north, north, south], axis=1)
    lon, lat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x.ravel(), y.ravel())
    lon, lat = np.reshape(lon, x.shape), np.reshape(lat, y.shape)
    crosses = np.ptp(lon, axis=1) > 180.0
    lon[crosses] = np.where(lon[crosses] < 0.0, lon[crosses] + 360.0, lon[crosses])
    return np.round(np.stack([lon, lat], axis=2), _DIGITS).tolist()


def polygon(ring: Sequence[Sequence[float]]) -> dict[str, Any]:
    """A Polygon; where its ring goes beyond longitude 180, a MultiPolygon that is cut there, as RFC 7946 (3.1.9) asks."""
    if max(point[0] for point in ring) <= 180.0:
        return {"type": "Polygon", "coordinates": [list(map(list, ring))]}
    from shapely.geometry import Polygon

    return cut_at_date_line(Polygon(ring))


def cut_at_date_line(shape: Any) -> dict[str, Any]:
    """The geometry of a shapely shape whose longitudes may run beyond 180, its outer rings against the clock."""
    from shapely.affinity import translate
    from shapely.geometry import MultiPolygon, Polygon, box, mapping
    from shapely.geometry.polygon import orient

    pieces = [
        shape.intersection(box(-540, -90, 180, 90)),
        translate(shape.intersection(box(180, -90, 540, 90)), -360.0),
    ]
    parts = [
        orient(part, 1.0)
        for piece in pieces
        for part in getattr(piece, "geoms", [piece])
        if isinstance(part, Polygon) and not part.is_empty
    ]
    whole = parts[0] if len(parts) == 1 else MultiPolygon(parts)
    return _as_lists(mapping(whole))


def _as_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_lists(member) for key, member in value.items()}
    return [_as_lists(member) for member in value] if isinstance(value, tuple | list) else value
