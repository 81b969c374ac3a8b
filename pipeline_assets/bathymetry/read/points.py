"""Soundings that come as a table of points, in text, Parquet or LAS: from their columns to a `SurveyLine`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline_assets.bathymetry.config import NAMES, BathymetryConfig, Columns, Declared
from pipeline_assets.bathymetry.positions import crs_of_grid, crs_of_positions, forward
from pipeline_assets.bathymetry.read.line import SurveyLine, checked
from pipeline_assets.bathymetry.uncertainty import SIGMAS_95, SIGMAS_95_PLANE
from pipeline_assets.landed_file import Refused

Array = NDArray[np.float64]


def meant(names: Sequence[str], columns: Columns) -> dict[str, int]:
    """Which of these columns is what: the first that has one of the names. Raises Refused `missing_columns`."""
    lower = [name.strip().strip('"').strip().lower() for name in names]
    found: dict[str, int] = {}
    for what in NAMES:
        for wanted in getattr(columns, what):
            if wanted.lower() in lower:
                found.setdefault(what, lower.index(wanted.lower()))
    return complete(found, names)


def complete(found: dict[str, int], names: Sequence[str]) -> dict[str, int]:
    """What was found, if it has positions and depths. Raises Refused `missing_columns`."""
    if "depth" not in found or not ({"x", "y"} <= found.keys() or {"longitude", "latitude"} <= found.keys()):
        raise Refused(
            "missing_columns",
            "the columns must have a depth, and x and y or longitude and latitude; they are "
            f"{', '.join(names)[:200]}. Say which is which: `columns` in survey.json.",
        )
    return found


def line_of_points(
    *, key: str, kind: str, sha256: str, size_bytes: int, values: Mapping[str, Array], default_positive: str,
    declared: Declared, config: BathymetryConfig, own_crs: str | None = None, rejected: NDArray[np.bool_] | None = None,
    system: str = "",
) -> SurveyLine:  # fmt: skip
    """The line of columns by what they are. Raises Refused.

    default_positive: which way such files' depths point if nothing is declared. own_crs: what the file says of its CRS.
    rejected: soundings that the file rejects, besides those with a flag.
    """
    if not len(values["depth"]):
        raise Refused("no_soundings", "the file has no row. Send a line that has soundings.")
    for name, column in values.items():
        wrong = ~np.isfinite(column) if name not in ("tvu", "thu") else np.isinf(column)
        if wrong.any():
            at = int(np.argmax(wrong))
            raise Refused(
                "bad_number",
                f"{int(wrong.sum())} rows have no number in {name}, the first {column[at]}. Leave such rows out.",
                location=f"row {at + 1}",
            )
    if "x" in values and "y" in values:
        x, y = values["x"], values["y"]
        crs = crs_of_grid(x, y, declared, config, own_crs, "the file")
    else:
        longitude, latitude = values["longitude"], values["latitude"]
        _check_degrees(longitude, latitude)
        crs = crs_of_positions(longitude, latitude, declared, config)
        x, y = forward(longitude, latitude, declared, crs)
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise Refused("wrong_zone", f"some positions are nowhere in {crs}. Declare the CRS that fits them.")
    positive = declared.positive or default_positive
    depth = values["depth"] if positive == "down" else -values["depth"]
    count = len(depth)
    flag = _whole("flag", values, np.int32, count)
    accepted = flag == 0
    if rejected is not None:
        accepted &= ~rejected
    plain = declared.uncertainty == "95"
    tvu = _uncertainty(values, "tvu", count, 1.0 if plain else SIGMAS_95)
    thu = _uncertainty(values, "thu", count, 1.0 if plain else SIGMAS_95_PLANE)
    ping = _whole("ping", values, np.int64, count) if "ping" in values else np.arange(count, dtype=np.int64)
    line = SurveyLine(
        key=key, kind=kind, sha256=sha256, size_bytes=size_bytes, declared=declared, crs=crs,
        x=np.ascontiguousarray(x, np.float64), y=np.ascontiguousarray(y, np.float64), depth=depth, tvu=tvu, thu=thu,
        accepted=accepted, flag=flag, ping=ping, beam=_whole("beam", values, np.int32, count),
        uncertainty_from="none" if np.isnan(tvu).all() else "file", system=system,
    )  # fmt: skip
    return checked(line, positive, config)


def _check_degrees(longitude: Array, latitude: Array) -> None:
    wrong = (np.abs(longitude) > 360) | (np.abs(latitude) > 90)
    if wrong.any():
        at = int(np.argmax(wrong))
        raise Refused(
            "bad_position",
            f"{int(wrong.sum())} positions are none on the earth, the first longitude {longitude[at]}, latitude "
            f"{latitude[at]}. Send degrees; or say which column is which: `columns` in survey.json.",
            location=f"row {at + 1}",
        )


def _uncertainty(values: Mapping[str, Array], name: str, count: int, scale: float) -> Array:
    if name not in values:
        return np.full(count, np.nan)
    return np.where(values[name] > 0, values[name] * scale, np.nan)


def _whole(name: str, values: Mapping[str, Array], dtype: type, count: int) -> NDArray:
    if name not in values:
        return np.zeros(count, dtype)
    column, limits = values[name], np.iinfo(dtype)
    wrong = (column != np.trunc(column)) | (column < limits.min) | (column >= float(limits.max))
    if wrong.any():
        at = int(np.argmax(wrong))
        raise Refused(
            "bad_number", f"{name} must be a whole number; in {int(wrong.sum())} rows it is none, the first {column[at]}.",
            location=f"row {at + 1}",
        )  # fmt: skip
    return column.astype(dtype)
