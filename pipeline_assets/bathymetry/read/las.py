"""Soundings as LAS or LAZ point clouds."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.bathymetry.config import BathymetryConfig, declared_for
from pipeline_assets.bathymetry.crs_names import horizontal
from pipeline_assets.bathymetry.read.las_guard import check_sizes, damaged
from pipeline_assets.bathymetry.read.line import SurveyLine, check_count, identity
from pipeline_assets.bathymetry.read.points import line_of_points
from pipeline_assets.landed_file import LandedFile, Refused

NO_BOTTOM = (7, 18, 41, 42, 45)
"""Classes that are no sea floor: low and high noise (LAS 1.4), water surface, derived water surface, no bottom found (ASPRS
domain profile for topo-bathymetric lidar)."""
_POINTS_AT_ONCE = 1_000_000
_MOST_PACKED = 200
"""How many times larger points may be than the LAZ file that packs them; those of real surveys are some 10 times."""


def recognise_las(head: bytes) -> bool:
    return head.startswith(b"LASF")


def read_las(file: LandedFile, config: BathymetryConfig) -> SurveyLine:
    """All points of a file. Raises Refused."""
    declared = declared_for(file, config)
    data = file.read_bytes()
    sha256, size = identity(data)
    try:
        check_sizes(data)
        values, rejected, own_crs, system = _points(data, config)
    except (Refused, MemoryError):
        raise
    except Exception as error:  # laspy answers damaged bytes with almost any exception
        raise damaged(f"{type(error).__name__}: {str(error)[:200]}") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # what lazrs, written in Rust, calls a fault of its own
            raise
        raise damaged(f"lazrs gave up: {str(error)[:200]}") from error
    return line_of_points(
        key=file.key, kind="las", sha256=sha256, size_bytes=size, values=values, default_positive="up", declared=declared,
        config=config, own_crs=own_crs, rejected=rejected, system=system,
    )  # fmt: skip


def _points(
    data: bytes, config: BathymetryConfig
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.bool_], str | None, str]:
    import laspy

    # What damage makes infinite is told of as no number.
    with np.errstate(over="ignore"), laspy.open(io.BytesIO(data), laz_backend=laspy.LazBackend.Lazrs) as opened:
        header = opened.header
        count = int(header.point_count)
        check_count(count, config)
        record = int(header.point_format.size)
        room = (len(data) - int(header.offset_to_point_data)) * (_MOST_PACKED if header.are_points_compressed else 1)
        if count * record > room:
            raise damaged(f"it says that it has {count:,} points, and has room for {max(0, room // record):,}")
        extra = {name.lower(): name for name in header.point_format.extra_dimension_names}
        uncertainty = {
            what: extra[name]
            for what, names in (("tvu", ("tvu", "vertical_uncertainty")), ("thu", ("thu", "horizontal_uncertainty")))
            for name in names
            if name in extra
        }
        names = ("x", "y", "depth", *uncertainty)
        values: dict[str, NDArray[np.float64]] = {name: np.empty(count) for name in names}
        rejected = np.zeros(count, np.bool_)
        at = 0
        for points in opened.chunk_iterator(_POINTS_AT_ONCE):
            to = slice(at, at + len(points))
            for name, axis in (("x", points.x), ("y", points.y), ("depth", points.z)):
                values[name][to] = np.asarray(axis)
            for what, name in uncertainty.items():
                values[what][to] = np.asarray(points[name], np.float64)
            rejected[to] = np.isin(np.asarray(points.classification), NO_BOTTOM) | np.asarray(points.withheld, np.bool_)
            at += len(points)
        if at != count:
            raise damaged(f"it says that it has {count:,} points, and has {at:,}")
        return values, rejected, _crs_of(header), str(header.generating_software)[:60]


def _crs_of(header: Any) -> str | None:
    """The horizontal CRS that the file names: its EPSG code, or WKT where that has none; None if it names none."""
    try:
        crs = header.parse_crs()
        if crs is None:
            return None
        crs = horizontal(crs)
        if crs.ellipsoid is None:  # a drawing's, which lies nowhere on the earth
            return None
        code = crs.to_epsg(min_confidence=90)
        return str(crs.to_wkt()) if code is None else f"EPSG:{code}"
    except Exception:  # a name that cannot be understood is none; what is declared then counts
        return None
